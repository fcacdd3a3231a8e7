//! The last link: what ntpd or chronyd itself says of the clock that webntpd feeds.
//!
//! In: the lines of `ntpq -pn` or `chronyc -c sources`. Out: whether our clock is among its sources, reached and believed.

use super::link::Link;
use super::probe::{Said, ask};
use super::reader::{Clock, Kind};
use crate::config::Output;
use crate::engine::time::Span;
use crate::status::table::Signed;

/// A clock as its daemon shows it.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    /// `*` chosen, `+` combined, `-` outlier, `x` falseticker.
    tally: char,
    /// The last eight polls; the newest is the lowest bit.
    reach: u8,
    /// Positive: the system clock is behind.
    offset: Option<Span>,
}

/// Asks a daemon that runs; nothing if it has no such program.
pub(super) fn look(kind: Kind) -> Option<Said> {
    match kind {
        Kind::Ntpd => Some(ask("ntpq", &["-pn", "127.0.0.1"])),
        Kind::Chronyd => Some(ask("chronyc", &["-n", "-c", "sources"])),
        Kind::NtpdRs | Kind::Timesyncd => None,
    }
}

/// What a daemon `said` of `clock`, if its configuration has it.
pub(super) fn judge(kind: Kind, said: &Said, clock: Option<&Clock>, outputs: &[Output]) -> Link {
    let name = format!("view of {}", kind.name());
    let program = if kind == Kind::Chronyd {
        "chronyc"
    } else {
        "ntpq"
    };
    let lines = match said {
        Said::Missing => return Link::skipped(name, format!("{program} is not on PATH")),
        Said::Nothing(why) => {
            return Link::note(name, why)
                .remedy("see whether the daemon hangs, or refuses queries");
        }
        Said::Lines(lines) => lines,
    };
    let is_answer = match kind {
        Kind::Chronyd => lines.lines().any(|line| line.split(',').count() == 10),
        _ => lines.contains("======"),
    };
    if !is_answer {
        let first = lines
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("it says nothing");
        let excerpt: String = first.chars().take(100).collect();
        return Link::note(name, format!("{program}: {excerpt}"))
            .remedy("run this with sudo; ntpd answers 127.0.0.1 only if a `restrict` line of its configuration lets it");
    }
    let clock_unit = clock.and_then(|clock| clock.output.unit());
    let unit = clock_unit.or_else(|| outputs.iter().find_map(Output::unit));
    let row = match kind {
        Kind::Chronyd => lines.lines().find_map(|line| chrony_row(line, clock)),
        _ => lines.lines().find_map(|line| ntp_row(line, unit?)),
    };
    match row {
        Some(row) => judge_row(name, &row),
        None => Link::fault(name, format!("it does not have our clock among its sources ({program} tells all)"))
            .remedy("restart it, for it to take its configuration; if it is still missing there, its log tells why"),
    }
}

fn judge_row(name: String, row: &Row) -> Link {
    let offset = row.offset.map_or(String::new(), |offset| {
        format!(", offset {}", Signed(offset))
    });
    let told = format!("reach {:o}{offset}", row.reach);
    match row.tally {
        _ if row.reach == 0 => Link::fault(name, "it has our clock, and took no sample in the last eight polls (reach 0)")
            .remedy("see the segment and the daemon above; after a start, ask again in a minute"),
        'x' => Link::fault(name, format!("falseticker: its other sources contradict what webntpd says; {told}")).remedy(
            "see who is right (`webntp URL` of a server that you trust); if both are, the bound that it has for our clock \
             is too small: raise `delay` of chrony, or `mindist` of ntpd",
        ),
        '*' | 'o' => Link::ok(name, format!("it follows our clock; {told}")),
        '+' | '#' => Link::ok(name, format!("it combines our clock with others; {told}")),
        '-' => Link::note(name, format!("it prefers others to our clock; {told}")),
        '~' => Link::note(name, format!("our clock varies too much for it; {told}")),
        _ => Link::note(name, format!("it does not use our clock now; {told}"))
            .remedy("after a start, ask again in some minutes; `noselect` in its configuration keeps it from using it"),
    }
}

/// `*SHM(2)  .WEB.  0 l  3  8  377  0.0000  12.3450  0.0000`.
fn ntp_row(line: &str, unit: u8) -> Option<Row> {
    let tally = line.chars().next()?;
    let columns: Vec<&str> = line[tally.len_utf8()..].split_whitespace().collect();
    let [remote, .., reach, _delay, offset, _jitter] = columns[..] else {
        return None;
    };
    let ours = [format!("SHM({unit})"), format!("127.127.28.{unit}")];
    ours.iter().any(|ours| ours == remote).then_some(())?;
    Some(Row {
        tally,
        reach: u8::from_str_radix(reach, 8).ok()?,
        // ntpsec may give its unit, else it is milliseconds.
        offset: offset
            .parse()
            .ok()
            .filter(|offset: &f64| offset.is_finite())
            .map(|offset| Span::from_secs_f64(offset / 1e3)),
    })
}

/// `#,*,WEB,0,4,377,1,-0.0123,-0.0123,0.011`; chronyc's sign is the opposite one. Without a refid it is the first clock.
fn chrony_row(line: &str, clock: Option<&Clock>) -> Option<Row> {
    let columns: Vec<&str> = line.split(',').collect();
    let [
        "#",
        state,
        name,
        _stratum,
        _poll,
        reach,
        _age,
        _adjusted,
        measured,
        _error,
    ] = columns[..]
    else {
        return None;
    };
    let refid = clock.and_then(|clock| clock.refid.as_deref());
    if refid.is_some_and(|refid| refid != name) {
        return None;
    }
    Some(Row {
        tally: state.chars().next()?,
        reach: u8::from_str_radix(reach, 8).ok()?,
        offset: measured
            .parse()
            .ok()
            .filter(|offset: &f64| offset.is_finite())
            .map(|offset| Span::from_secs_f64(-offset)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::link::State;
    use super::*;

    const HEAD: &str = "     remote  refid  st t when poll reach  delay  offset  jitter\n=======\n";

    fn ntpd(lines: &str) -> Link {
        judge(
            Kind::Ntpd,
            &Said::Lines(format!("{HEAD}{lines}")),
            None,
            &[Output::of_unit(2)],
        )
    }

    fn chronyd(line: &str) -> Link {
        let clock = Clock {
            output: Output::of_unit(2),
            refid: Some("WEB".into()),
        };
        judge(Kind::Chronyd, &Said::Lines(line.into()), Some(&clock), &[])
    }

    #[test]
    fn a_clock_that_is_followed_is_fine_and_its_offset_has_ntpqs_sign() {
        let link = ntpd("*SHM(2)  .WEB.  0 l  3  8  377  0.0000  -12.3450  0.0000\n");
        assert_eq!(
            (link.state, link.text.as_str()),
            (
                State::Ok,
                "it follows our clock; reach 377, offset -12.345 ms"
            )
        );
        let link = ntpd("+127.127.28.2  .WEB.  0 l  3  8  17  0.0000  1.0  0.0000\n");
        assert_eq!(link.state, State::Ok);
        let link = chronyd("#,*,WEB,0,4,377,1,-0.0123,-0.012345,0.011\n");
        assert_eq!(
            (link.state, link.text.as_str()),
            (
                State::Ok,
                "it follows our clock; reach 377, offset +12.345 ms"
            )
        );
    }

    #[test]
    fn a_clock_that_is_missing_unreached_or_contradicted_is_a_fault() {
        for lines in [
            "*SHM(3)  .WEB.  0 l  3  8  377  0.0000  -12.3450  0.0000\n",
            " SHM(2)  .WEB.  0 l  -  8  0  0.0000  0.0  0.0000\n",
            "xSHM(2)  .WEB.  0 l  3  8  377  0.0000  -12.3450  0.0000\n",
        ] {
            let link = ntpd(lines);
            assert_eq!(link.state, State::Fault, "{link:?}");
            assert!(link.remedy.is_some());
        }
        for line in [
            "#,*,GPS,0,4,377,1,0.0,0.0,0.011\n",
            "#,?,WEB,0,4,0,4294967295,0.0,0.0,0.0\n",
            "#,x,WEB,0,4,377,1,0.0,0.0,0.011\n",
        ] {
            assert_eq!(chronyd(line).state, State::Fault, "{line}");
        }
    }

    #[test]
    fn a_clock_that_is_not_used_yet_is_noted() {
        for tally in ['-', ' '] {
            let link = ntpd(&format!(
                "{tally}SHM(2)  .WEB.  0 l  3  8  3  0.0  1.0  0.0\n"
            ));
            assert_eq!(link.state, State::Note, "{link:?}");
        }
        assert_eq!(chronyd("#,?,WEB,0,4,3,1,0.0,0.0,0.011").state, State::Note);
    }

    #[test]
    fn a_program_that_is_missing_or_gets_no_answer_is_no_fault() {
        let view = |said| judge(Kind::Chronyd, &said, None, &[Output::of_unit(2)]);
        assert_eq!(view(Said::Missing).state, State::Skipped);
        assert_eq!(view(Said::Nothing("no answer".into())).state, State::Note);
        let refused = view(Said::Lines("506 Cannot talk to daemon\n".into()));
        assert_eq!(
            (refused.state, refused.text.as_str()),
            (State::Note, "chronyc: 506 Cannot talk to daemon")
        );
    }

    #[test]
    fn no_line_is_too_odd() {
        for line in [
            "é",
            "*",
            "",
            "#,,,,,,,,,",
            "*SHM(2) a b c d nan e",
            "#,é,WEB,0,4,377,1,inf,inf,0",
        ] {
            let _ = (ntpd(line), chronyd(line));
        }
    }
}
