//! Numbers and foreign texts as people read them.

use super::table::Length;
use crate::engine::reason::Reason;
use crate::engine::time::Span;
use crate::sys::log::is_hostile;

/// `text` with what would move a terminal's cursor, break the line or turn the text around written out.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// `1 step`, `2 steps`.
pub fn count(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// How fast a clock is that falls behind by so many parts per billion.
pub fn drift(ppb: i64) -> String {
    let way = if ppb < 0 { "fast" } else { "slow" };
    format!("{:.3} ppm {way}", ppb.unsigned_abs() as f64 / 1e3)
}

/// Why a source that could be used is not the best of all.
pub fn reason(reason: &Reason) -> String {
    let off = |by: Span| {
        let way = if by < Span::ZERO {
            "behind"
        } else {
            "ahead of"
        };
        format!("{} {way}", Length(by.abs()))
    };
    let speed = |ppt: i64| {
        let way = if ppt < 0 { "slower" } else { "faster" };
        format!("{:.1} ppm {way} than", ppt.unsigned_abs() as f64 / 1e6)
    };
    match reason {
        Reason::OffTheMajority { by } => format!("{} what the majority holds", off(*by)),
        Reason::OffTheirRate { by } => {
            format!("its clock runs {} the majority allows", speed(by.as_ppt()))
        }
        Reason::Creeps { by } => {
            format!("creeps, its clock runs {} the others", speed(by.as_ppt()))
        }
        Reason::Crept => "crept, and has not shown since that it does not".to_owned(),
        Reason::StandsApart { by } => format!("stands apart, {} the others", off(*by)),
        Reason::WholeSeconds => "whole seconds only: heard when no better kind is left".to_owned(),
        Reason::NotPreferred => "another one is preferred".to_owned(),
        Reason::Undecided => "contradicts no majority, but nothing is decided".to_owned(),
    }
}

/// A length of time in its two greatest units: `5 s`, `2 min 5 s`, `3 h 0 min`, `12 d 4 h`.
pub fn long(span: Span) -> String {
    let seconds = span.as_nanos().max(0) / 1_000_000_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A length of time in the one unit that suits it: `90 s`, `20 min`, `5 h`, `3 days`, `56 years`.
pub fn roughly(span: Span) -> String {
    let seconds = span.as_nanos().max(0) / 1_000_000_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        172_800..63_115_200 => format!("{} days", seconds / 86_400),
        _ => format!("{} years", seconds / 31_557_600),
    }
}

/// The age of a sample: below ten minutes to the microsecond, since readers refuse it after seconds; then [`roughly`].
pub fn ago(span: Span) -> String {
    if span < Span::from_secs(600) {
        Length(span).to_string()
    } else {
        roughly(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_time_has_two_units() {
        let written = |seconds| long(Span::from_secs(seconds));
        assert_eq!(written(-1), "0 s");
        assert_eq!(written(59), "59 s");
        assert_eq!(written(125), "2 min 5 s");
        assert_eq!(written(10_800), "3 h 0 min");
        assert_eq!(written(90_000), "1 d 1 h");
    }

    #[test]
    fn a_rough_time_has_one_unit_and_none_of_it_is_too_great() {
        let written = |seconds| roughly(Span::from_secs(seconds));
        assert_eq!(written(-1), "0 s");
        assert_eq!(written(119), "119 s");
        assert_eq!(written(7_199), "119 min");
        assert_eq!(written(7_200), "2 h");
        assert_eq!(written(172_800), "2 days");
        assert_eq!(written(1_800_000_000), "57 years");
    }

    #[test]
    fn the_age_of_a_sample_is_told_as_exactly_as_it_matters() {
        let written = |seconds| ago(Span::from_secs(seconds));
        assert_eq!(written(6), "6.000 s");
        assert_eq!(written(599), "599.000 s");
        assert_eq!(written(600), "10 min");
    }

    #[test]
    fn a_clock_that_falls_behind_is_slow() {
        assert_eq!(drift(1_250), "1.250 ppm slow");
        assert_eq!(drift(-12), "0.012 ppm fast");
    }

    #[test]
    fn a_reason_says_which_way_off_and_by_how_much() {
        let ms = Span::from_millis;
        let ppm = crate::engine::time::Rate::from_ppm;
        for (cause, words) in [
            (
                Reason::OffTheMajority { by: ms(3_000) },
                "3.000 s ahead of what the majority holds",
            ),
            (
                Reason::OffTheMajority { by: ms(-40) },
                "40.000 ms behind what the majority holds",
            ),
            (
                Reason::OffTheirRate { by: ppm(20) },
                "its clock runs 20.0 ppm faster than the majority allows",
            ),
            (
                Reason::Creeps { by: ppm(-3) },
                "creeps, its clock runs 3.0 ppm slower than the others",
            ),
            (
                Reason::Crept,
                "crept, and has not shown since that it does not",
            ),
            (
                Reason::StandsApart { by: ms(8) },
                "stands apart, 8.000 ms ahead of the others",
            ),
        ] {
            assert_eq!(reason(&cause), words);
        }
    }

    #[test]
    fn one_is_one_and_none_are_many() {
        assert_eq!(count(1, "step"), "1 step");
        assert_eq!(count(0, "step"), "0 steps");
    }
}
