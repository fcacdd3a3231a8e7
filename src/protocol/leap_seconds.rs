//! `leap-seconds.list`, as IERS and tzdata publish it: since when TAI − UTC has been how much.
//!
//! In: the bytes of a list. Out: [`LeapSeconds`], of which at any instant the coming, or else the last, leap
//! second can be told; or a [`BrokenList`] with the line and the reason. A list is taken only whole: its
//! SHA-1 must be right, which finds a cut or a slip, not a forgery. Where lists come from, and whether an
//! expired one is still good, is decided elsewhere.

use crate::engine::time::Utc;
use crate::protocol::excerpt::Excerpt;
use crate::protocol::webntp::LeapNotice;
use sha1::{Digest, Sha1};
use std::ops::RangeInclusive;

/// 1970-01-01 in NTP seconds (RFC 5905 §6, era 0).
const NTP_EPOCH_S: i64 = 2_208_988_800;

/// From 1972-01-01, when leap seconds began, to 2200.
const INSTANTS_S: RangeInclusive<i64> = 63_072_000..=7_258_118_400;

/// TAI − UTC has been 10 s and more since leap seconds began, and moves by decades.
const TAI_UTC_S: RangeInclusive<i32> = 10..=1_000;

const DAY_S: i64 = 86_400;

/// Since when TAI − UTC has been how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeapSeconds {
    /// In the order of time, two at least; each differs from the one before by one second.
    rows: Vec<Row>,
    /// When the list was last changed, if it says so.
    updated: Option<Utc>,
    /// Until when it is complete, if it says so.
    expires: Option<Utc>,
}

/// One row of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    since: Utc,
    /// Whole seconds.
    tai_utc: i32,
}

/// Where and why a list is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenList {
    /// Which line, counted from 1; none when the list as a whole is wrong.
    pub line: Option<usize>,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What may be wrong with a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Neither a comment nor a row.
    #[error("{0} is not a row: NTP seconds and TAI-UTC, both plain numbers")]
    Row(Excerpt),
    /// A row's instant is no midnight between 1972 and 2200.
    #[error("{0} is no midnight from 1972 to 2200 in NTP seconds")]
    Instant(Excerpt),
    /// TAI − UTC is out of range.
    #[error("TAI-UTC {0} is not between 10 and 1000")]
    TaiUtc(Excerpt),
    /// A row that is not later than the one before.
    #[error("the row is not later than the one before")]
    Order,
    /// TAI − UTC changes by something else than a second.
    #[error("TAI-UTC changes by {0} s, not by 1 or -1")]
    Step(i32),
    /// The text after `#$` or `#@` is not an instant.
    #[error("{0} is not an instant from 1972 to 2200 in NTP seconds")]
    Date(Excerpt),
    /// The text after `#h` is not a hash.
    #[error("{0} is not a hash: five hexadecimal numbers")]
    Hash(Excerpt),
    /// A second `#$`, `#@` or `#h`.
    #[error("a second {0}")]
    Twice(&'static str),
    /// Not enough rows to name a leap second.
    #[error("fewer than two rows; is it leap-seconds.list?")]
    TooShort,
    /// No line begins with `#h`.
    #[error("no #h line, so nobody can tell whether it is whole")]
    NoHash,
    /// The contents are not those of which the hash was made.
    #[error("the hash does not fit the rows: the list is damaged or was cut")]
    WrongHash,
}

impl std::fmt::Display for BrokenList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.flaw),
            None => write!(f, "{}", self.flaw),
        }
    }
}

impl std::error::Error for BrokenList {}

impl LeapSeconds {
    /// What is known without a list: the last leap second, 2017-01-01 (IERS Bulletin C 52).
    pub fn built_in() -> Self {
        let row = |since, tai_utc| Row {
            since: Utc::from_secs(since),
            tai_utc,
        };
        Self {
            rows: vec![row(1_435_708_800, 36), row(1_483_228_800, 37)],
            updated: None,
            expires: None,
        }
    }

    /// Reads a whole list.
    pub fn parse(list: &[u8]) -> Result<Self, BrokenList> {
        let mut reader = Reader::default();
        for (k, line) in list.split(|&byte| byte == b'\n').enumerate() {
            reader.line(line.trim_ascii()).map_err(|flaw| BrokenList {
                line: Some(k + 1),
                flaw,
            })?;
        }
        reader.end()
    }

    /// The next leap second after `now`, or else the last one.
    pub fn at(&self, now: Utc) -> LeapNotice {
        let notice = |pair: &[Row]| LeapNotice {
            tai_utc_before: pair[0].tai_utc,
            next: pair[1].since,
            step: if pair[1].tai_utc > pair[0].tai_utc {
                1
            } else {
                -1
            },
        };
        let mut pairs = self.rows.windows(2);
        let coming = pairs.find(|pair| pair[1].since > now);
        coming.map_or_else(|| notice(&self.rows[self.rows.len() - 2..]), notice)
    }

    /// The last leap second that the list knows of; it may be yet to come.
    pub fn last(&self) -> Utc {
        self.rows[self.rows.len() - 1].since
    }

    /// When the list was last changed, if it says so.
    pub fn updated(&self) -> Option<Utc> {
        self.updated
    }

    /// Until when the list is complete, if it says so.
    pub fn expires(&self) -> Option<Utc> {
        self.expires
    }
}

/// A list of which some lines have been read.
#[derive(Default)]
struct Reader {
    rows: Vec<Row>,
    updated: Option<Utc>,
    expires: Option<Utc>,
    hash: Option<[u32; 5]>,
    /// The digits of the dates and of the rows, in the order of the lines.
    digest: Sha1,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), Flaw> {
        match line {
            [] => Ok(()),
            [b'#', b'$', rest @ ..] => {
                let date = self.date(rest)?;
                set(&mut self.updated, date, "#$")
            }
            [b'#', b'@', rest @ ..] => {
                let date = self.date(rest)?;
                set(&mut self.expires, date, "#@")
            }
            [b'#', b'h', rest @ ..] => {
                let words = hash(rest).ok_or_else(|| Flaw::Hash(Excerpt::of(rest)))?;
                set(&mut self.hash, words, "#h")
            }
            [b'#', ..] => Ok(()),
            _ => self.row(line),
        }
    }

    fn date(&mut self, text: &[u8]) -> Result<Utc, Flaw> {
        let text = text.trim_ascii();
        self.digest.update(text);
        instant(text)
            .map(Utc::from_secs)
            .ok_or_else(|| Flaw::Date(Excerpt::of(text)))
    }

    fn row(&mut self, line: &[u8]) -> Result<(), Flaw> {
        let content = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = words(content);
        let (Some(since), Some(tai_utc), None) = (words.next(), words.next(), words.next()) else {
            return Err(Flaw::Row(Excerpt::of(line)));
        };
        if number(since).is_none() || number(tai_utc).is_none() {
            return Err(Flaw::Row(Excerpt::of(line)));
        }
        self.digest.update(since);
        self.digest.update(tai_utc);
        let row = Row {
            since: instant(since)
                .filter(|seconds| seconds % DAY_S == 0)
                .map(Utc::from_secs)
                .ok_or_else(|| Flaw::Instant(Excerpt::of(since)))?,
            tai_utc: number(tai_utc)
                .and_then(|number| i32::try_from(number).ok())
                .filter(|seconds| TAI_UTC_S.contains(seconds))
                .ok_or_else(|| Flaw::TaiUtc(Excerpt::of(tai_utc)))?,
        };
        if let Some(before) = self.rows.last() {
            if row.since <= before.since {
                return Err(Flaw::Order);
            }
            let step = row.tai_utc - before.tai_utc;
            if step.abs() != 1 {
                return Err(Flaw::Step(step));
            }
        }
        self.rows.push(row);
        Ok(())
    }

    fn end(self) -> Result<LeapSeconds, BrokenList> {
        let flaw = if self.rows.len() < 2 {
            Flaw::TooShort
        } else {
            match self.hash {
                None => Flaw::NoHash,
                Some(hash) if hash != sum(self.digest) => Flaw::WrongHash,
                Some(_) => {
                    return Ok(LeapSeconds {
                        rows: self.rows,
                        updated: self.updated,
                        expires: self.expires,
                    });
                }
            }
        };
        Err(BrokenList { line: None, flaw })
    }
}

fn set<T>(slot: &mut Option<T>, value: T, name: &'static str) -> Result<(), Flaw> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Flaw::Twice(name)),
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// A number of plain digits.
fn number(text: &[u8]) -> Option<i64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Unix seconds of an instant written in NTP seconds.
fn instant(text: &[u8]) -> Option<i64> {
    let seconds = number(text)?.checked_sub(NTP_EPOCH_S)?;
    INSTANTS_S.contains(&seconds).then_some(seconds)
}

/// The five words of a hash. Some lists lack the zeros in front of a word, so words are compared as numbers.
fn hash(text: &[u8]) -> Option<[u32; 5]> {
    let mut found = words(text).map(|word| {
        let digits = std::str::from_utf8(word).ok()?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(digits, 16).ok().filter(|_| plain)
    });
    let mut hash = [0; 5];
    for word in &mut hash {
        *word = found.next()??;
    }
    found.next().is_none().then_some(hash)
}

fn sum(digest: Sha1) -> [u32; 5] {
    let bytes = digest.finalize();
    let mut sum = [0; 5];
    for (word, four) in sum.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = four
            .iter()
            .fold(0, |word, &byte| word << 8 | u32::from(byte));
    }
    sum
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The list of IERS of July 2025, without most of its comments. It is in the public domain.
    pub(crate) const REAL: &str = "\
#\tATOMIC TIME
#\tCoordinated Universal Time (UTC) is the reference time scale derived
#$\t3960835200
#@\t3991593600
#NTP Time      DTAI    Day Month Year
#
2272060800      10      # 1 Jan 1972
2287785600      11      # 1 Jul 1972
2303683200      12      # 1 Jan 1973
2335219200      13      # 1 Jan 1974
2366755200      14      # 1 Jan 1975
2398291200      15      # 1 Jan 1976
2429913600      16      # 1 Jan 1977
2461449600      17      # 1 Jan 1978
2492985600      18      # 1 Jan 1979
2524521600      19      # 1 Jan 1980
2571782400      20      # 1 Jul 1981
2603318400      21      # 1 Jul 1982
2634854400      22      # 1 Jul 1983
2698012800      23      # 1 Jul 1985
2776982400      24      # 1 Jan 1988
2840140800      25      # 1 Jan 1990
2871676800      26      # 1 Jan 1991
2918937600      27      # 1 Jul 1992
2950473600      28      # 1 Jul 1993
2982009600      29      # 1 Jul 1994
3029443200      30      # 1 Jan 1996
3076704000      31      # 1 Jul 1997
3124137600      32      # 1 Jan 1999
3345062400      33      # 1 Jan 2006
3439756800      34      # 1 Jan 2009
3550089600      35      # 1 Jul 2012
3644697600      36      # 1 Jul 2015
3692217600      37      # 1 Jan 2017
#
#h\t49db2447 571e5e1b 2f002a53 9c8da8e4 39b8e49e
";

    /// A list with the last leap second that is built in, and these dates, in NTP seconds.
    pub(crate) fn made(updated: Option<&str>, expires: Option<&str>) -> String {
        let mut lines = String::new();
        for (sign, date) in [("#$", updated), ("#@", expires)] {
            if let Some(date) = date {
                lines += &format!("{sign} {date}\n");
            }
        }
        short(&(lines + "3644697600 36\n3692217600 37"))
    }

    /// These lines, and the hash that makes them whole.
    fn short(rows: &str) -> String {
        let words = rows.lines().flat_map(str::split_whitespace);
        let digits: Vec<&str> = words.filter(|word| !word.starts_with('#')).collect();
        let sum = sum(Sha1::new().chain_update(digits.concat()));
        let words = sum.map(|word| format!("{word:x}")).join(" ");
        format!("{rows}\n#h {words}\n")
    }

    fn flaw(list: &str) -> String {
        LeapSeconds::parse(list.as_bytes())
            .expect_err(list)
            .to_string()
    }

    fn notice(tai_utc_before: i32, next: i64, step: i8) -> LeapNotice {
        LeapNotice {
            tai_utc_before,
            next: Utc::from_secs(next),
            step,
        }
    }

    #[test]
    fn the_real_list_is_read_and_its_hash_fits() {
        let list = LeapSeconds::parse(REAL.as_bytes()).expect("it is real");
        assert_eq!(list.rows.len(), 28);
        assert_eq!(list.updated(), Some(Utc::from_secs(1_751_846_400)));
        assert_eq!(list.expires(), Some(Utc::from_secs(1_782_604_800)));
        assert_eq!(list.last(), LeapSeconds::built_in().last());
    }

    #[test]
    fn ends_of_lines_and_blanks_do_not_matter() {
        let list = REAL.replace('\n', "\r\n").replace("      ", "\t");
        assert_eq!(
            LeapSeconds::parse(list.as_bytes()),
            LeapSeconds::parse(REAL.as_bytes())
        );
    }

    #[test]
    fn a_hash_may_lack_leading_zeros_in_its_words() {
        for since in (0..40).map(|years| 3_692_217_600i64 + years * 365 * DAY_S) {
            let list = short(&format!("3644697600 36\n{since} 37"));
            assert!(LeapSeconds::parse(list.as_bytes()).is_ok(), "{list}");
        }
    }

    #[test]
    fn between_leap_seconds_the_next_is_told_and_after_the_last_the_last() {
        let list = LeapSeconds::parse(REAL.as_bytes()).expect("it is real");
        for (now, told) in [
            (0, notice(10, 78_796_800, 1)),
            (1_435_708_799, notice(35, 1_435_708_800, 1)),
            (1_435_708_800, notice(36, 1_483_228_800, 1)),
            (1_483_228_799, notice(36, 1_483_228_800, 1)),
            (1_483_228_800, notice(36, 1_483_228_800, 1)),
            (4_000_000_000, notice(36, 1_483_228_800, 1)),
        ] {
            assert_eq!(list.at(Utc::from_secs(now)), told, "{now}");
        }
    }

    #[test]
    fn a_second_that_is_left_out_has_the_step_minus_one() {
        // 2035-07-01 in NTP seconds.
        let list = short("3692217600 37\n4275849600 36");
        let list = LeapSeconds::parse(list.as_bytes()).expect("good");
        let told = list.at(Utc::from_secs(1_800_000_000));
        assert_eq!(told, notice(37, 2_066_860_800, -1));
    }

    #[test]
    fn what_is_built_in_is_what_the_real_list_says_of_today() {
        let list = LeapSeconds::parse(REAL.as_bytes()).expect("it is real");
        for now in [1_483_228_800, 1_795_000_000, 4_000_000_000].map(Utc::from_secs) {
            assert_eq!(LeapSeconds::built_in().at(now), list.at(now));
        }
    }

    #[test]
    fn a_broken_list_is_told_by_line_and_reason() {
        for (from, to, told) in [
            (
                "2303683200      12",
                "2303683200      twelve",
                "line 9: \"2303683200      twelve      # 1 Jan 1973\" is not a row: NTP seconds and TAI-UTC, both plain numbers",
            ),
            (
                "2303683200      12",
                "2303683200",
                "line 9: \"2303683200      # 1 Jan 1973\" is not a row: NTP seconds and TAI-UTC, both plain numbers",
            ),
            (
                "2303683200      12",
                "2303683200 12 13",
                "line 9: \"2303683200 12 13      # 1 Jan 1973\" is not a row: NTP seconds and TAI-UTC, both plain numbers",
            ),
            (
                "2303683200      12",
                "2303683201      12",
                "line 9: \"2303683201\" is no midnight from 1972 to 2200 in NTP seconds",
            ),
            (
                "2272060800      10",
                "86400      10",
                "line 7: \"86400\" is no midnight from 1972 to 2200 in NTP seconds",
            ),
            (
                "2272060800      10",
                "2272060800      9",
                "line 7: TAI-UTC \"9\" is not between 10 and 1000",
            ),
            (
                "2303683200      12",
                "2303683200      13",
                "line 9: TAI-UTC changes by 2 s, not by 1 or -1",
            ),
            (
                "2303683200      12",
                "2287785600      12",
                "line 9: the row is not later than the one before",
            ),
            (
                "#$\t3960835200",
                "#$\t-1",
                "line 3: \"-1\" is not an instant from 1972 to 2200 in NTP seconds",
            ),
            (
                "49db2447 571e5e1b",
                "49db2447571e5e1b",
                "line 36: \"\\t49db2447571e5e1b 2f002a53 9c8da8e4 39b8e49e\" is not a hash: five hexadecimal numbers",
            ),
            (
                "49db2447 571e5e1b",
                "+9db2447 571e5e1b",
                "line 36: \"\\t+9db2447 571e5e1b 2f002a53 9c8da8e4 39b8e49e\" is not a hash: five hexadecimal numbers",
            ),
            ("#NTP Time", "#@ 3991593600 \n#", "line 5: a second #@"),
            (
                "#h",
                "#",
                "no #h line, so nobody can tell whether it is whole",
            ),
            (
                "3550089600",
                "3558038400",
                "the hash does not fit the rows: the list is damaged or was cut",
            ),
            (
                "#@\t3991593600",
                "#@\t3991593601",
                "the hash does not fit the rows: the list is damaged or was cut",
            ),
        ] {
            assert!(REAL.contains(from), "{from}");
            assert_eq!(flaw(&REAL.replacen(from, to, 1)), told);
        }
    }

    #[test]
    fn a_list_that_was_cut_is_broken_wherever_it_was_cut() {
        for length in 0..REAL.len() - 2 {
            assert!(
                LeapSeconds::parse(&REAL.as_bytes()[..length]).is_err(),
                "{length}"
            );
        }
        let told = "fewer than two rows; is it leap-seconds.list?";
        assert_eq!(flaw(""), told);
        assert_eq!(flaw("#\n# nothing but comments\n"), told);
        assert!(flaw("<!DOCTYPE html>").starts_with("line 1: \"<!DOCTYPE html>\" is not a row"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = LeapSeconds::parse(&bytes);
        }

        #[test]
        fn no_damage_to_a_real_list_panics_or_changes_what_it_says(at in 0..REAL.len(), byte: u8) {
            let mut bytes = REAL.as_bytes().to_vec();
            bytes[at] = byte;
            if let Ok(list) = LeapSeconds::parse(&bytes) {
                // A comment was hit, or nothing was changed.
                let real = LeapSeconds::parse(REAL.as_bytes()).expect("it is real");
                prop_assert_eq!(list.rows, real.rows);
            }
        }

        #[test]
        fn no_text_like_a_list_panics(
            lines in prop::collection::vec("(#[$@h])?[ \t]*[0-9a-f]{0,24}[ \t]*[0-9]{0,12}( [0-9a-f]{1,9}){0,4}", 0..8)
        ) {
            if let Ok(list) = LeapSeconds::parse(lines.join("\n").as_bytes()) {
                let _ = (list.at(Utc::from_nanos(i64::MAX)), list.at(Utc::from_nanos(i64::MIN)));
            }
        }
    }
}
