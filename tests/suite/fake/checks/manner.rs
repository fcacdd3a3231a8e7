//! How a client asks in each dialect, and what it finds in the reply.
//!
//! In: exchanges. Out: stamps, as texts and as nanoseconds. Not: any refusal; dates are read by another way than the fake
//! writes them.

use std::io;
use std::ops::Range;

use super::client::{Exchange, HttpClient, nanoseconds};
use crate::fake::{Clock, Dialect, FakeUpstream, SECOND_NS};

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
const WEEKDAYS: &str = "MonTueWedThuFriSatSun";

/// What a client of this dialect sends: method and target.
pub(super) fn question(dialect: Dialect, it: &str) -> (&'static str, String) {
    match dialect {
        Dialect::WebNtp | Dialect::Nict => ("GET", format!("/json?{it}")),
        Dialect::HtpTime => ("GET", "/api/time".to_owned()),
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
        Dialect::WebNtp | Dialect::Nict => "\"st\":",
        Dialect::HtpTime => "\"time\":",
    };
    let values = exchange.body.split(member).skip(1);
    values
        .map(|rest| &rest[..rest.find([',', '}']).expect("an object")])
        .collect()
}

/// The one stamp of a reply, in nanoseconds, and the value of its last digit.
pub(super) fn stamp(dialect: Dialect, exchange: &Exchange) -> (i64, i64) {
    let [stamp] = stamps(dialect, exchange)[..] else {
        panic!("not one stamp: {exchange:?}");
    };
    match dialect {
        Dialect::HttpDate => (unix_seconds(stamp) * SECOND_NS, SECOND_NS),
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
    let before = (month - 14) / 12;
    let julian =
        day - 32_075 + 1461 * (year + 4800 + before) / 4 + 367 * (month - 2 - before * 12) / 12
            - 3 * ((year + 4900 + before) / 100) / 4;
    assert_eq!(julian.rem_euclid(7), place(WEEKDAYS, 0..3), "{date}");
    let second = number(17..19) * 3600 + number(20..22) * 60 + number(23..25);
    (julian - 2_440_588) * 86_400 + second
}
