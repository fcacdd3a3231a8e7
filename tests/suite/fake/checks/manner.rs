//! How a client asks in each dialect, and what it finds in the reply.
//!
//! In: exchanges. Out: stamps, as texts and as nanoseconds. Not: any refusal; dates are read by another way than the fake
//! writes them.

use std::io;
use std::ops::Range;

use super::client::{Exchange, HttpClient, nanoseconds};
use crate::fake::{Clock, Dialect, FakeUpstream, SECOND_NS};

const MS_NS: i64 = 1_000_000;
const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
const WEEKDAYS: &str = "MonTueWedThuFriSatSun";

/// What a client of this dialect sends: method and target.
pub(super) fn question(dialect: Dialect, it: &str) -> (&'static str, String) {
    match dialect {
        Dialect::WebNtp | Dialect::Nict => ("GET", format!("/json?{it}")),
        Dialect::HtpTime => ("GET", "/api/time".to_owned()),
        Dialect::XTime => ("GET", "/generate_204".to_owned()),
        Dialect::Text | Dialect::Iso => ("GET", "/?iso&ms".to_owned()),
        Dialect::Trace => ("GET", "/cdn-cgi/trace".to_owned()),
        Dialect::HttpsTime => ("HEAD", "/.well-known/time".to_owned()),
        Dialect::HttpDate => ("HEAD", format!("/?nonce-{it}")),
    }
}

/// Asks on a connection that is there.
pub(super) fn ask(client: &mut HttpClient, dialect: Dialect, it: &str) -> io::Result<Exchange> {
    let (method, target) = question(dialect, it);
    client.request(method, &target)
}

/// Asks once, on a connection of its own.
pub(super) fn ask_once<C: Clock>(fake: &FakeUpstream<C>) -> Exchange {
    let dialect = fake.setup().dialect;
    ask(&mut HttpClient::connect(fake), dialect, "1.250").expect("a whole reply")
}

/// All stamps of a reply, as they are written.
pub(super) fn stamps(dialect: Dialect, exchange: &Exchange) -> Vec<&str> {
    let member = match dialect {
        Dialect::HttpsTime => return exchange.headers("x-httpstime"),
        Dialect::HttpDate => return exchange.headers("date"),
        Dialect::XTime => return exchange.headers("x-time"),
        Dialect::Trace => return exchange.body.lines().filter_map(after_name).collect(),
        Dialect::Text | Dialect::Iso => {
            let lines = exchange.body.lines();
            return lines.filter(|line| *line != "unknown").collect();
        }
        Dialect::WebNtp | Dialect::Nict => "\"st\":",
        Dialect::HtpTime => "\"time\":",
    };
    let values = exchange.body.split(member).skip(1);
    values
        .map(|rest| &rest[..rest.find([',', '}']).expect("an object")])
        .collect()
}

fn after_name(line: &str) -> Option<&str> {
    line.strip_prefix("ts=")
}

/// The one stamp of a reply, in nanoseconds, and the value of its last digit.
pub(super) fn stamp(dialect: Dialect, exchange: &Exchange) -> (i64, i64) {
    let [stamp] = stamps(dialect, exchange)[..] else {
        panic!("not one stamp: {exchange:?}");
    };
    match dialect {
        Dialect::HttpDate => (unix_seconds(stamp) * SECOND_NS, SECOND_NS),
        Dialect::XTime => (stamp.parse::<i64>().expect("digits") * MS_NS, MS_NS),
        Dialect::Iso => iso(stamp),
        _ => nanoseconds(stamp),
    }
}

/// A date as Unix seconds, its weekday checked. The days are counted as Fliegel and Van Flandern do (1968).
pub(super) fn unix_seconds(date: &str) -> i64 {
    let number = |range: Range<usize>| date[range].parse::<i64>().expect("digits");
    let place =
        |names: &str, range: Range<usize>| names.find(&date[range]).expect("a name") as i64 / 3;
    assert_eq!((date.len(), &date[25..]), (29, " GMT"), "{date}");
    let (year, month, day) = (number(12..16), place(MONTHS, 8..11) + 1, number(5..7));
    let julian = julian(year, month, day);
    assert_eq!(julian.rem_euclid(7), place(WEEKDAYS, 0..3), "{date}");
    let second = number(17..19) * 3600 + number(20..22) * 60 + number(23..25);
    (julian - 2_440_588) * 86_400 + second
}

/// A date and time of ISO 8601 in UTC, in nanoseconds, and the value of its last digit.
fn iso(stamp: &str) -> (i64, i64) {
    let text = stamp.strip_suffix('Z').expect("it is in UTC");
    let (date, time) = text.split_once('T').expect("a date and a time");
    let numbers = |text: &str, sign| -> Vec<i64> {
        let numbers = text.split(sign).map(|digits| digits.parse());
        numbers.collect::<Result<_, _>>().expect("digits")
    };
    let (clock, fraction) = time.split_at(8);
    let ([year, month, day], [hour, minute, second]) =
        (&numbers(date, '-')[..], &numbers(clock, ':')[..])
    else {
        panic!("{stamp}");
    };
    let days = julian(*year, *month, *day) - 2_440_588;
    let (nanos, unit) = nanoseconds(&format!("0{fraction}"));
    let second = days * 86_400 + hour * 3600 + minute * 60 + second;
    (second * SECOND_NS + nanos, unit)
}

fn julian(year: i64, month: i64, day: i64) -> i64 {
    let before = (month - 14) / 12;
    day - 32_075 + 1461 * (year + 4800 + before) / 4 + 367 * (month - 2 - before * 12) / 12
        - 3 * ((year + 4900 + before) / 100) / 4
}
