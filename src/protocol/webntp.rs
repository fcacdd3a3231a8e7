//! The reply of a WebNTP server, over HTTP and WebSocket alike:
//! `{"id":"host","it":1489217288.328757,"st":1489224472.995564,"time":1489224472.995564,"leap":36,"next":1483228800,"step":1}`,
//! and its dialects: NICT's, the same with three digits and without `time`, and htptime's, where `time`
//! is the stamp and `it` and `st` need not be there.
//!
//! In: the body, what we sent, and which stamps are plausible. Out: when the reply was made, by the
//! server's clock, where in the body that stamp ends, and what the server says about leap seconds. It
//! does not turn stamps into bounds ([`stamp`](crate::protocol::stamp) does) nor judge leap notices.

use crate::engine::time::{Span, Utc};
use crate::protocol::decimal::DecimalSeconds;
use crate::protocol::excerpt::Excerpt;
use crate::protocol::json::{Members, Number, Value};
use crate::protocol::plausible::Plausible;
use crate::protocol::refusal::Refusal;

/// The WebSocket subprotocol that these servers speak.
pub const SUBPROTOCOL: &str = "webntp.shogo82148.com";

/// How far an echo may be off at the least: servers re-format it, some through a float.
const ECHO_TOLERANCE: Span = Span::from_micros(1);

/// How far an echo may be off at the most, however few digits it came back with. No two of our requests
/// are so close together.
const ECHO_TOLERANCE_MAX: Span = Span::from_millis(1);

/// How far `time` and `st` may be apart, one of which repeats the other.
const COPY_TOLERANCE: Span = Span::from_secs(1);

/// What a WebNTP server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `st`, or in htptime's dialect `time`: when the reply was made.
    pub stamp: DecimalSeconds,
    /// Offset in the body just behind the last digit of the stamp: once that digit is here, the stamp
    /// had been taken before.
    pub stamp_end: usize,
    /// Whether it names the request that it answers.
    pub echoes: bool,
    /// What the server says about leap seconds, if it has a list.
    pub leap: Option<LeapNotice>,
}

/// The leap second that a server names: the next one, or the last if none is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeapNotice {
    /// TAI − UTC before `next`, in whole seconds.
    pub tai_utc_before: i32,
    /// The midnight at whose stroke TAI − UTC changes. May lie in the past.
    pub next: Utc,
    /// The change of TAI − UTC at `next`: 1 or −1.
    pub step: i8,
}

#[derive(Default)]
struct Known<'a> {
    it: Option<Value<'a>>,
    st: Option<Value<'a>>,
    time: Option<Value<'a>>,
    leap: Option<Value<'a>>,
    next: Option<Value<'a>>,
    step: Option<Value<'a>>,
}

/// Reads the reply to the request that carried `it` (decimal seconds, as sent).
///
/// `st` is the stamp. `time` is the same by definition and need not be there; a server that
/// contradicts itself by more than a second is not believed.
pub fn parse(body: &[u8], it: &str, plausible: &Plausible) -> Result<Reply, Refusal> {
    let known = Known::read(body)?;
    let echoes = check_echo(known.it.ok_or(Refusal::Missing { member: "it" })?, it)?;
    let reply = known.reply(("st", known.st), ("time", known.time), plausible)?;
    Ok(Reply { echoes, ..reply })
}

/// Reads a reply in htptime's dialect. The request carried no time, so an echo can only be 0.
///
/// `time` is the stamp. WebNTP servers say the same as `st`; a server that contradicts itself by more
/// than a second is not believed.
pub fn parse_htptime(body: &[u8], plausible: &Plausible) -> Result<Reply, Refusal> {
    let known = Known::read(body)?;
    if let Some(it) = known.it {
        check_echo(it, "0")?;
    }
    known.reply(("time", known.time), ("st", known.st), plausible)
}

impl<'a> Known<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        let mut known = Self::default();
        for member in Members::of(body)? {
            let member = member?;
            let (slot, name) = match member.name {
                b"it" => (&mut known.it, "it"),
                b"st" => (&mut known.st, "st"),
                b"time" => (&mut known.time, "time"),
                b"leap" => (&mut known.leap, "leap"),
                b"next" => (&mut known.next, "next"),
                b"step" => (&mut known.step, "step"),
                _ => continue,
            };
            if slot.replace(member.value).is_some() {
                return Err(Refusal::Duplicate { member: name });
            }
        }
        Ok(known)
    }

    /// What is said by the members `stamp` and, if it is there, `copy`: each a name and what it stands for.
    fn reply(
        &self,
        stamp: (&'static str, Option<Value<'_>>),
        copy: (&'static str, Option<Value<'_>>),
        plausible: &Plausible,
    ) -> Result<Reply, Refusal> {
        let (member, value) = stamp;
        let (stamp, stamp_end) = decimal(member, value.ok_or(Refusal::Missing { member })?)?;
        plausible.check(stamp.instant)?;
        if let (member, Some(value)) = copy {
            let (copy, _) = decimal(member, value)?;
            if (copy.instant - stamp.instant).abs() > COPY_TOLERANCE {
                return Err(Refusal::Disagreement);
            }
        }
        Ok(Reply {
            stamp,
            stamp_end,
            echoes: false,
            leap: self.leap_notice()?,
        })
    }

    /// Nothing when the server has no list: then the members are absent, or all 0.
    fn leap_notice(&self) -> Result<Option<LeapNotice>, Refusal> {
        let tai_utc_before: i32 = integer("leap", self.leap)?;
        let next: i64 = integer("next", self.next)?;
        let step: i8 = integer("step", self.step)?;
        if (tai_utc_before, next, step) == (0, 0, 0) {
            return Ok(None);
        }
        // TAI − UTC has been 10 s and more since leap seconds began in 1972, and moves by decades.
        if !(10..=1_000).contains(&tai_utc_before) {
            return Err(Refusal::LeapNonsense { member: "leap" });
        }
        // From 1972-07-01 to 2200, at midnight UTC.
        if !(78_796_800..=7_258_118_400).contains(&next) || next % 86_400 != 0 {
            return Err(Refusal::LeapNonsense { member: "next" });
        }
        if step != 1 && step != -1 {
            return Err(Refusal::LeapNonsense { member: "step" });
        }
        Ok(Some(LeapNotice {
            tai_utc_before,
            next: Utc::from_secs(next),
            step,
        }))
    }
}

/// A number of plain digits, and where it ends.
fn decimal(member: &'static str, value: Value<'_>) -> Result<(DecimalSeconds, usize), Refusal> {
    let Value::Number(Number { text, end }) = value else {
        return Err(Refusal::NotNumber { member });
    };
    if text.starts_with(b"-") {
        return Err(Refusal::Signed { member });
    }
    if text.iter().any(|byte| matches!(byte, b'e' | b'E')) {
        return Err(Refusal::Exponent { member });
    }
    let seconds = DecimalSeconds::parse(text).map_err(|why| Refusal::Number { member, why })?;
    Ok((seconds, end))
}

/// A whole number, though it may be written with a point and zeros, as some do who have only one kind of number; an absent one
/// counts as 0.
fn integer<T: std::str::FromStr + Default>(
    member: &'static str,
    value: Option<Value<'_>>,
) -> Result<T, Refusal> {
    match value {
        None => Ok(T::default()),
        Some(Value::Number(number)) => std::str::from_utf8(number.text)
            .ok()
            .and_then(|text| match text.split_once('.') {
                Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => {
                    whole.parse().ok()
                }
                _ => text.parse().ok(),
            })
            .ok_or(Refusal::LeapNonsense { member }),
        Some(_) => Err(Refusal::LeapNonsense { member }),
    }
}

/// Refuses an echo that is neither ours, compared as a number, nor 0 ("I could not read your query"). Whether it is ours.
fn check_echo(value: Value<'_>, ours: &str) -> Result<bool, Refusal> {
    let (theirs, _) = decimal("it", value)?;
    if theirs.instant == Utc::from_nanos(0) {
        return Ok(false);
    }
    let tolerance = theirs.resolution.clamp(ECHO_TOLERANCE, ECHO_TOLERANCE_MAX);
    let same = DecimalSeconds::parse(ours.as_bytes())
        .is_ok_and(|ours| (theirs.instant - ours.instant).abs() <= tolerance);
    if same {
        return Ok(true);
    }
    let theirs = match value {
        Value::Number(number) => number.text,
        _ => &[],
    };
    Err(Refusal::WrongEcho {
        ours: Excerpt::of(ours.as_bytes()),
        theirs: Excerpt::of(theirs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::decimal::DecimalError;
    use proptest::prelude::*;

    const IT: &str = "1893456000.328757";
    const ST: &str = "1893456001.995564";

    fn read(body: &str) -> Result<Reply, Refusal> {
        parse(body.as_bytes(), IT, &Plausible::release())
    }

    fn refused(body: &str) -> Refusal {
        read(body).expect_err(body)
    }

    /// A reply with other members than usual.
    fn with(members: &str) -> String {
        format!(r#"{{"id":"h","it":{IT},"st":{ST}{members}}}"#)
    }

    fn with_st(st: &str) -> String {
        format!(r#"{{"it":{IT},"st":{st}}}"#)
    }

    fn with_it(it: &str) -> String {
        format!(r#"{{"it":{it},"st":{ST}}}"#)
    }

    #[test]
    fn the_reply_of_a_real_server_is_read() {
        let body = r#"{"id":"localhost:8080","it":1489217288.328757,"st":1489224472.995564,"time":1489224472.995564,"leap":36,"next":1483228800,"step":1}"#;
        let then = Plausible {
            not_before: Utc::from_secs(1_480_000_000),
            not_after: Utc::from_secs(1_500_000_000),
        };
        let reply = parse(body.as_bytes(), "1489217288.328757", &then).expect("it is real");
        assert_eq!(
            reply,
            Reply {
                stamp: DecimalSeconds {
                    instant: Utc::from_nanos(1_489_224_472_995_564_000),
                    resolution: Span::from_micros(1),
                },
                stamp_end: body.find(",\"time\"").expect("it is there"),
                echoes: true,
                leap: Some(LeapNotice {
                    tai_utc_before: 36,
                    next: Utc::from_secs(1_483_228_800),
                    step: 1,
                }),
            }
        );
    }

    #[test]
    fn members_may_be_unknown_or_absent_but_not_needed_ones() {
        assert!(read(&with(r#","x":{"st":1},"y":[],"\u0073t":1"#)).is_ok());
        assert_eq!(
            refused(&format!(r#"{{"it":{IT},"time":{ST}}}"#)),
            Refusal::Missing { member: "st" }
        );
        assert_eq!(
            refused(&format!(r#"{{"st":{ST}}}"#)),
            Refusal::Missing { member: "it" }
        );
        assert_eq!(refused("{}"), Refusal::Missing { member: "it" });
    }

    #[test]
    fn a_known_member_twice_is_refused() {
        for member in ["it", "st", "time", "leap", "next", "step"] {
            let body = format!(r#"{{"{member}":1,"{member}":1}}"#);
            assert_eq!(refused(&body), Refusal::Duplicate { member });
        }
        assert!(read(&with(r#","id":"again""#)).is_ok());
    }

    #[test]
    fn a_stamp_that_is_not_plain_digits_is_refused() {
        let member = "st";
        assert_eq!(refused(&with_st("-1")), Refusal::Signed { member });
        assert_eq!(
            refused(&with_st("1.893456001995564e+09")),
            Refusal::Exponent { member }
        );
        for text in [r#""1893456001.9""#, "null", "true", "[1]"] {
            assert_eq!(refused(&with_st(text)), Refusal::NotNumber { member });
        }
        let overflow = DecimalError::Overflow;
        assert_eq!(
            refused(&with_st("99999999999999999999")),
            Refusal::Number {
                member,
                why: overflow
            }
        );
    }

    #[test]
    fn a_stamp_rounded_up_without_carry_is_refused() {
        assert_eq!(
            refused(&with_st("1893456001.1000000")),
            Refusal::Number {
                member: "st",
                why: DecimalError::Uncarried
            }
        );
    }

    #[test]
    fn an_implausible_stamp_is_refused() {
        assert!(matches!(
            refused(&with_st("1489224472.995564")),
            Refusal::BeforeRelease { .. }
        ));
        assert!(matches!(
            refused(&with_st("4102444801")),
            Refusal::BeyondHorizon { .. }
        ));
    }

    #[test]
    fn the_echo_is_compared_as_a_number() {
        for it in [
            IT,
            "1893456000.3287570",
            "1893456000.328758",
            "1893456000.3287561",
            "1893456000.32876",
            "1893456000.328",
            "0",
            "0.000000",
        ] {
            assert!(read(&with_it(it)).is_ok(), "{it}");
        }
        for it in [
            "1893456000.328759",
            "1893456000.3289",
            "1893456000.33",
            "1893456000",
            "1",
        ] {
            assert!(
                matches!(refused(&with_it(it)), Refusal::WrongEcho { .. }),
                "{it}"
            );
        }
        assert_eq!(refused(&with_it("-1")), Refusal::Signed { member: "it" });
    }

    #[test]
    fn a_wrong_echo_is_told_within_bounds() {
        let long = format!("1.{}", "5".repeat(900));
        let text = refused(&with_it(&long)).to_string();
        assert!(text.contains(IT) && text.len() < 250, "{text}");
    }

    #[test]
    fn a_server_that_contradicts_itself_is_refused() {
        assert!(read(&with(r#","time":1893456002.9"#)).is_ok());
        assert_eq!(
            refused(&with(r#","time":1893456003"#)),
            Refusal::Disagreement
        );
        assert_eq!(
            refused(&with(r#","time":"now""#)),
            Refusal::NotNumber { member: "time" }
        );
    }

    #[test]
    fn the_reply_of_nict_is_read() {
        let body = "{\n \"id\": \"ntp-a1.nict.go.jp\",\n \"it\": 1232963971.248,\n \"st\": 1232963971.920,\n \
                    \"leap\": 33,\n \"next\": 1230768000,\n \"step\": 1\n}\n";
        let then = Plausible {
            not_before: Utc::from_secs(1_200_000_000),
            not_after: Utc::from_secs(1_300_000_000),
        };
        let reply = parse(body.as_bytes(), "1232963971.248", &then).expect("it is real");
        assert_eq!(reply.stamp.resolution, Span::from_millis(1));
        assert_eq!(
            reply.stamp.instant,
            Utc::from_nanos(1_232_963_971_920_000_000)
        );
        assert_eq!(reply.leap.map(|leap| leap.tai_utc_before), Some(33));
    }

    #[test]
    fn in_htptimes_dialect_the_stamp_is_time() {
        let read = |body: &str| parse_htptime(body.as_bytes(), &Plausible::release());
        let alone = format!(r#"{{"time":{ST}}}"#);
        let webntps = format!(r#"{{"id":"h","it":0.000000,"st":{ST},"time":{ST}}}"#);
        for body in [alone, webntps] {
            let reply = read(&body).expect(&body);
            assert_eq!(reply.stamp.resolution, Span::from_micros(1));
            assert!(body[..reply.stamp_end].ends_with(ST) && body[reply.stamp_end..] == *"}");
        }
        let missing = Refusal::Missing { member: "time" };
        assert_eq!(read(&format!(r#"{{"st":{ST}}}"#)), Err(missing));
        let contradicted = format!(r#"{{"st":1893456003,"time":{ST}}}"#);
        assert_eq!(read(&contradicted), Err(Refusal::Disagreement));
    }

    #[test]
    fn in_htptimes_dialect_an_echo_is_of_somebody_elses_request() {
        let body = format!(r#"{{"it":{IT},"time":{ST}}}"#);
        let refusal = parse_htptime(body.as_bytes(), &Plausible::release());
        assert!(
            matches!(refusal, Err(Refusal::WrongEcho { .. })),
            "{refusal:?}"
        );
    }

    #[test]
    fn a_server_without_a_list_says_nothing_about_leap_seconds() {
        for members in ["", r#","leap":0,"next":0,"step":0"#] {
            assert_eq!(read(&with(members)).map(|reply| reply.leap), Ok(None));
        }
    }

    #[test]
    fn leap_members_that_cannot_be_are_refused() {
        for (leap, next, step, member) in [
            ("9", "1483228800", "1", "leap"),
            ("-36", "1483228800", "1", "leap"),
            ("36.5", "1483228800", "1", "leap"),
            ("1e1", "1483228800", "1", "leap"),
            ("36.0e0", "1483228800", "1", "leap"),
            ("36", "1483228800.5", "1", "next"),
            ("99999999999", "1483228800", "1", "leap"),
            ("\"36\"", "1483228800", "1", "leap"),
            ("36", "1483228801", "1", "next"),
            ("36", "0", "1", "next"),
            ("36", "-86400", "1", "next"),
            ("36", "86400000000", "1", "next"),
            ("36", "1483228800", "0", "step"),
            ("36", "1483228800", "2", "step"),
            ("36", "1483228800", "null", "step"),
            ("0", "0", "1", "leap"),
        ] {
            let body = with(&format!(r#","leap":{leap},"next":{next},"step":{step}"#));
            assert_eq!(refused(&body), Refusal::LeapNonsense { member }, "{body}");
        }
        let removed = read(&with(r#","leap":37,"next":1893456000,"step":-1"#));
        assert_eq!(removed.map(|r| r.leap.map(|l| l.step)), Ok(Some(-1)));
    }

    #[test]
    fn a_whole_number_may_have_a_fraction_of_zero() {
        let notice = |members: &str| read(&with(members)).map(|reply| reply.leap);
        let whole = notice(r#","leap":36,"next":1483228800,"step":-1"#);
        assert!(matches!(whole, Ok(Some(_))), "{whole:?}");
        let written = notice(r#","leap":36.0,"next":1483228800.000,"step":-1.0"#);
        assert_eq!(written, whole);
        assert_eq!(notice(r#","leap":0.0,"next":0.0,"step":0.0"#), Ok(None));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, it: String) {
            let _ = parse(&bytes, &it, &Plausible::release());
            let _ = parse_htptime(&bytes, &Plausible::release());
        }

        #[test]
        fn a_reply_cut_short_is_refused(cut in 0usize..60) {
            let body = with("");
            prop_assume!(cut < body.len());
            prop_assert!(read(&body[..cut]).is_err());
        }

        #[test]
        fn the_stamp_ends_where_its_digits_do(blanks in " {0,4}", rest in " {0,4}") {
            let body = format!(r#"{{"it":0,{blanks}"st":{blanks}{ST}{rest},"x":1}}"#);
            let reply = read(&body).expect("it is well-formed");
            prop_assert!(body[..reply.stamp_end].ends_with(ST));
        }
    }
}
