//! Each fault over HTTP is on the wire what its name says.

use std::io::ErrorKind;
use std::time::Duration;

use super::client::{Exchange, HttpClient, PATIENCE};
use crate::fake::{Authority, FakeUpstream, Fault, Setup, Tls};

fn faulty(fault: Fault) -> FakeUpstream {
    FakeUpstream::start(Setup {
        fault: Some(fault),
        ..Setup::honest()
    })
}

fn one(fault: Fault) -> Exchange {
    let fake = faulty(fault);
    HttpClient::connect(&fake)
        .exchange("1.25")
        .expect("a whole reply")
}

#[test]
fn a_fault_of_the_head_leaves_a_body_that_looks_good() {
    let retry = one(Fault::RetryAfter(30));
    assert_eq!(retry.status(), 503);
    assert_eq!(retry.header("retry-after"), Some("30"));
    let redirect = one(Fault::Redirect("https://elsewhere.test/".to_owned()));
    assert_eq!(redirect.status(), 302);
    assert_eq!(redirect.header("location"), Some("https://elsewhere.test/"));
    let status = one(Fault::Status(500));
    assert_eq!(status.status(), 500);
    let age = one(Fault::Age);
    assert_eq!(age.header("age"), Some("7"));
    let hit = one(Fault::XCacheHit);
    assert!(hit.header("x-cache").unwrap().starts_with("HIT"));
    let gzip = one(Fault::ContentEncodingGzip);
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let huge = one(Fault::HugeHeaders);
    assert!(huge.head.len() > 32 * 1024);
    for good in [retry, redirect, status, age, hit, gzip, huge] {
        assert_eq!(good.member("it"), "1.25");
    }
}

#[test]
fn a_captive_portal_answers_200_with_html() {
    let exchange = one(Fault::Html);
    assert_eq!(exchange.status(), 200);
    assert!(
        exchange
            .header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(exchange.body.starts_with("<!DOCTYPE html>"));
}

#[test]
fn a_body_can_be_empty() {
    let exchange = one(Fault::EmptyBody);
    assert_eq!((exchange.status(), exchange.body.as_str()), (200, ""));
    assert_eq!(exchange.header("content-length"), Some("0"));
}

#[test]
fn a_huge_body_goes_on_until_its_length_is_reached() {
    let exchange = one(Fault::HugeBody(100_000));
    assert_eq!(exchange.body.len(), 100_000);
    assert_eq!(exchange.member("it"), "1.25");
}

#[test]
fn a_huge_body_ends_when_the_peer_has_had_enough() {
    let fake = faulty(Fault::HugeBody(1 << 40));
    let mut client = HttpClient::connect(&fake);
    client.send("GET", "/json?1").unwrap();
    client.fill().unwrap();
    assert_eq!(fake.counts().open, 1);
    drop(client);
    assert!(fake.wait(|counts| counts.open == 0, PATIENCE));
}

#[test]
fn the_echo_can_be_another_or_zero() {
    assert_eq!(one(Fault::WrongIt).member("it"), "1.26");
    assert_eq!(one(Fault::ItZero).member("it"), "0");
}

#[test]
fn the_stamp_can_be_anything_and_is_entered_as_it_was_sent() {
    let stamp = |fault| {
        let fake = faulty(fault);
        let exchange = HttpClient::connect(&fake).exchange("1").unwrap();
        assert_eq!(exchange.member("time"), exchange.member("st"));
        assert_eq!(fake.ledger()[0].stamp, exchange.member("st"));
        exchange.member("st").to_owned()
    };
    assert_eq!(stamp(Fault::NotANumber), "NaN");
    assert!(stamp(Fault::NegativeStamp).starts_with("-1"));
    assert!(stamp(Fault::ExponentStamp).ends_with("e0"));
    assert!(stamp(Fault::SevenDigits).ends_with(".1000000"));
    assert!(stamp(Fault::StampBefore2020).starts_with("1546300799."));
    assert!(stamp(Fault::StampAfter2100).starts_with("4102444800."));
}

#[test]
fn something_can_follow_the_json() {
    let numbers = one(Fault::TwoNumbers);
    assert!(numbers.body.ends_with("} 1790557227.05"));
    let trailing = one(Fault::TrailingText);
    assert!(trailing.body.ends_with("} trailing"));
}

#[test]
fn faults_of_stamp_and_tail_meet_the_header_of_a_head_request_too() {
    let fake = FakeUpstream::start(Setup::honest());
    let mut client = HttpClient::connect(&fake);
    for (fault, end) in [
        (Fault::TwoNumbers, " 1790557227.05"),
        (Fault::TrailingText, " trailing"),
        (Fault::SevenDigits, ".1000000"),
    ] {
        fake.set_fault(Some(fault));
        let exchange = client.request("HEAD", "/.well-known/time").unwrap();
        assert!(exchange.header("x-httpstime").unwrap().ends_with(end));
    }
    fake.set_fault(Some(Fault::Html));
    let exchange = client.request("HEAD", "/.well-known/time").unwrap();
    assert_eq!(
        (exchange.status(), exchange.header("x-httpstime")),
        (200, None)
    );
}

#[test]
fn a_stall_before_the_headers_sends_nothing_and_keeps_the_connection() {
    let fake = faulty(Fault::StallBeforeHeaders);
    let mut client = HttpClient::connect(&fake);
    client.send("GET", "/json?1").unwrap();
    assert!(fake.wait_served(1, PATIENCE));
    let served = &fake.ledger()[0];
    assert_eq!((served.stamp.as_str(), served.stamped_raw_ns), ("", None));
    assert_eq!(fake.counts().open, 1);
    fake.stop();
    client.fill().unwrap();
    assert_eq!(client.unread, b"");
}

#[test]
fn a_stall_in_the_body_stops_inside_the_stamp_and_keeps_the_connection() {
    let fake = faulty(Fault::StallInBody);
    let mut client = HttpClient::connect(&fake);
    client.send("GET", "/json?1").unwrap();
    client.fill().unwrap();
    let stamp = fake.ledger()[0].stamp.clone();
    let half = format!("\"st\":{}", &stamp[..stamp.len() / 2]);
    assert!(client.unread.ends_with(half.as_bytes()));
    assert_eq!(fake.counts().open, 1);
    drop(client);
    assert!(fake.wait(|counts| counts.open == 0, PATIENCE));
}

#[test]
fn a_connection_can_end_inside_the_stamp_without_the_alert_of_tls() {
    for tls in [None, Some(Tls::of(&Authority::new()))] {
        let encrypted = tls.is_some();
        let fake = FakeUpstream::start(Setup {
            tls,
            fault: Some(Fault::CloseMidBody),
            ..Setup::honest()
        });
        let mut client = HttpClient::connect(&fake);
        client.send("GET", "/json?1").unwrap();
        client.fill().unwrap();
        assert!(client.unread.windows(4).any(|four| four == b"\"st\""));
        match client.fill() {
            Ok(count) => assert!(!encrypted && count == 0),
            Err(error) => assert!(encrypted && error.kind() == ErrorKind::UnexpectedEof),
        }
    }
}

#[test]
fn a_reply_can_come_byte_by_byte() {
    let exchange = one(Fault::OneByteEvery(Duration::from_micros(100)));
    let bytes = exchange.head.len() + 4 + exchange.body.len();
    let slow = i64::try_from(bytes - 1).unwrap() * 100_000;
    assert!(exchange.reads > 2 && exchange.received - exchange.sent >= slow);
}

#[test]
fn two_replies_can_answer_one_request() {
    let fake = faulty(Fault::TwoReplies);
    let mut client = HttpClient::connect(&fake);
    let exchange = client.exchange("1").unwrap();
    while !client.unread.ends_with(exchange.body.as_bytes()) {
        assert!(client.fill().unwrap() > 0);
    }
    assert!(client.unread.starts_with(exchange.head.as_bytes()));
    assert_eq!(fake.served(), 1);
}

#[test]
fn a_fault_can_be_set_while_it_runs_for_so_many_replies_and_taken_back() {
    let fake = FakeUpstream::start(Setup::honest());
    let mut client = HttpClient::connect(&fake);
    let mut status = || client.exchange("1").unwrap().status();
    assert_eq!(status(), 200);
    fake.set_fault_for(Fault::Status(500), 2);
    assert_eq!([status(), status(), status()], [500, 500, 200]);
    fake.set_fault(Some(Fault::Status(500)));
    assert_eq!([status(), status(), status()], [500, 500, 500]);
    fake.set_fault(None);
    assert_eq!(status(), 200);
}

#[test]
fn faults_that_only_a_websocket_can_have_leave_http_alone() {
    for fault in [
        Fault::BinaryFrame,
        Fault::UnsolicitedReply,
        Fault::OversizeFrame,
        Fault::FragmentedOversize,
    ] {
        let exchange = one(fault);
        assert_eq!((exchange.status(), exchange.member("it")), (200, "1.25"));
    }
}
