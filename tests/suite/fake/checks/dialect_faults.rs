//! Each fault is on the wire what its name says, in every dialect.

use std::time::Duration;

use super::client::{Exchange, HttpClient, PATIENCE};
use super::manner::{ask, ask_once, question, stamp, stamps};
use crate::fake::{Dialect, FakeUpstream, Fault, SECOND_NS, Setup};

fn faulty(dialect: Dialect, fault: Fault) -> FakeUpstream {
    FakeUpstream::start(Setup {
        dialect,
        fault: Some(fault),
        ..Setup::honest()
    })
}

fn one(dialect: Dialect, fault: Fault) -> Exchange {
    ask_once(&faulty(dialect, fault))
}

/// Those whose stamp is in a header.
const IN_HEAD: [Dialect; 3] = [Dialect::HttpsTime, Dialect::XTime, Dialect::HttpDate];

#[test]
fn a_fault_of_the_head_leaves_a_stamp_that_looks_good() {
    for dialect in Dialect::ALL {
        let fake = faulty(dialect, Fault::Age);
        let mut client = HttpClient::connect(&fake);
        for (fault, status, name, value) in [
            (Fault::Status(500), 500, "content-type", None),
            (
                Fault::Redirect("/x".to_owned()),
                302,
                "location",
                Some("/x"),
            ),
            (Fault::RetryAfter(30), 503, "retry-after", Some("30")),
            (Fault::Age, 0, "age", Some("7")),
            (Fault::XCacheHit, 0, "x-cache", Some("HIT from fake")),
            (
                Fault::ContentEncodingGzip,
                0,
                "content-encoding",
                Some("gzip"),
            ),
            (Fault::HugeHeaders, 0, "x-31", None),
        ] {
            fake.set_fault(Some(fault.clone()));
            let exchange = ask(&mut client, dialect, "1").unwrap();
            let good = match dialect {
                Dialect::HttpsTime | Dialect::XTime => 204,
                _ => 200,
            };
            let status = if status == 0 { good } else { status };
            assert_eq!(exchange.status(), status, "{dialect:?} {fault:?}");
            if value.is_some() {
                assert_eq!(exchange.header(name), value, "{dialect:?}");
            }
            let huge = exchange.head.len() > 32 * 1024;
            assert_eq!(huge, fault == Fault::HugeHeaders);
            let served = fake.ledger().pop().unwrap();
            assert_eq!(stamps(dialect, &exchange), [served.stamp]);
            let (stamp, unit) = stamp(dialect, &exchange);
            let utc_ns = exchange.received + fake.truth(exchange.received);
            assert!((0..unit + 5 * SECOND_NS).contains(&(utc_ns - stamp)));
        }
    }
}

#[test]
fn a_redirect_can_lead_to_another_fake_where_the_time_is() {
    for dialect in Dialect::ALL {
        let goal = FakeUpstream::start(Setup {
            dialect,
            ..Setup::honest()
        });
        let (method, target) = question(dialect, "1");
        let away = faulty(dialect, Fault::Redirect(goal.url("http", &target)));
        let exchange = ask_once(&away);
        let to = exchange.header("location").unwrap();
        let (addr, path) = to.strip_prefix("http://").unwrap().split_once('/').unwrap();
        assert_eq!(addr, goal.addr().to_string());
        let arrived = HttpClient::connect(&goal).request(method, &format!("/{path}"));
        assert_eq!(
            stamps(dialect, &arrived.unwrap()),
            [&*goal.ledger()[0].stamp]
        );
    }
}

#[test]
fn a_stamp_can_be_no_time_and_is_entered_as_it_was_sent() {
    for dialect in Dialect::ALL {
        let sent = |fault| {
            let fake = faulty(dialect, fault);
            let exchange = ask_once(&fake);
            let stamp = fake.ledger()[0].stamp.clone();
            assert_eq!(stamps(dialect, &exchange), [stamp.as_str()]);
            stamp
        };
        let date = dialect == Dialect::HttpDate;
        let zone = match dialect {
            Dialect::HttpDate => " GMT",
            Dialect::Iso => "Z",
            _ => "",
        };
        assert_eq!(sent(Fault::NotANumber), "NaN");
        assert!(sent(Fault::NegativeStamp).starts_with('-'));
        assert!(sent(Fault::ExponentStamp).ends_with(&format!("e0{zone}")));
        assert!(sent(Fault::SevenDigits).ends_with(&format!(".1000000{zone}")));
        let text = "1994-11-06T08:49:37Z";
        assert_eq!(sent(Fault::StampText(text)), text);
        let (old, far) = if date {
            (
                "Mon, 31 Dec 2018 23:59:59 GMT",
                "Fri, 01 Jan 2100 00:00:00 GMT",
            )
        } else if dialect == Dialect::Iso {
            ("2018-12-31T23:59:59.25", "2100-01-01T00:00:00.25")
        } else if dialect == Dialect::XTime {
            ("1546300799250", "4102444800250")
        } else {
            ("1546300799.25", "4102444800.25")
        };
        assert!(sent(Fault::StampBefore2020).starts_with(old));
        assert!(sent(Fault::StampAfter2100).starts_with(far));
    }
}

#[test]
fn something_can_follow_the_stamp_or_what_holds_it() {
    for dialect in Dialect::ALL {
        for (fault, end, second) in [
            (Fault::TrailingText, " trailing", " trailing"),
            (
                Fault::TwoNumbers,
                " 1790557227.05",
                ", Sun, 06 Nov 1994 08:49:37 GMT",
            ),
        ] {
            let fake = faulty(dialect, fault);
            let exchange = ask_once(&fake);
            let stamp = &fake.ledger()[0].stamp;
            match dialect {
                Dialect::HttpsTime
                | Dialect::XTime
                | Dialect::Text
                | Dialect::Iso
                | Dialect::Trace => {
                    assert_eq!(stamps(dialect, &exchange), [format!("{stamp}{end}")]);
                }
                Dialect::HttpDate => {
                    assert_eq!(stamps(dialect, &exchange), [format!("{stamp}{second}")]);
                }
                _ => assert!(exchange.body.ends_with(&format!("}}{end}"))),
            }
        }
    }
}

#[test]
fn a_stamp_can_be_missing() {
    for dialect in Dialect::ALL {
        let fake = faulty(dialect, Fault::StampMissing);
        let exchange = ask_once(&fake);
        assert!(stamps(dialect, &exchange).is_empty());
        assert!(!exchange.body.contains("time"), "{exchange:?}");
        assert_eq!(exchange.status() / 100, 2);
        assert_eq!(fake.ledger()[0].stamp, "");
    }
}

#[test]
fn a_stamp_can_come_twice_and_say_an_hour_more() {
    for dialect in Dialect::ALL {
        let fake = faulty(dialect, Fault::StampTwice);
        let exchange = ask_once(&fake);
        let [first, second] = stamps(dialect, &exchange)[..] else {
            panic!("{exchange:?}");
        };
        let served = fake.ledger().pop().unwrap();
        let stamped = served.stamped_raw_ns.unwrap();
        let utc_ns = stamped + fake.truth(stamped);
        let shown = [0, 3_600].map(|s| dialect.show(fake.setup().face, utc_ns + s * SECOND_NS));
        assert_eq!([first, second], [&shown[0], &shown[1]]);
        assert_eq!(first, served.stamp);
    }
}

#[test]
fn there_can_be_nothing_where_the_stamp_should_be() {
    for dialect in Dialect::ALL {
        let fake = faulty(dialect, Fault::EmptyBody);
        let exchange = ask_once(&fake);
        if IN_HEAD.contains(&dialect) {
            assert_eq!(stamps(dialect, &exchange), [""]);
        } else {
            assert_eq!(exchange.header("content-length"), Some("0"));
        }
        assert_eq!(fake.ledger()[0].stamp, "");
    }
}

#[test]
fn a_captive_portal_has_no_stamp_but_its_own_date() {
    for dialect in Dialect::ALL {
        let fake = faulty(dialect, Fault::Html);
        let exchange = ask_once(&fake);
        assert_eq!(exchange.status(), 200);
        let media = exchange.header("content-type").unwrap();
        assert!(media.starts_with("text/html"));
        assert_ne!(exchange.header("content-length"), Some("0"));
        let date = exchange.header("date");
        assert_eq!(date.is_some(), dialect == Dialect::HttpDate);
        assert_eq!(fake.ledger()[0].stamp, date.unwrap_or_default());
        assert_eq!(exchange.header("x-httpstime"), None);
    }
}

#[test]
fn a_huge_body_comes_even_where_none_may_be() {
    for dialect in Dialect::ALL {
        let fake = faulty(dialect, Fault::HugeBody(1 << 40));
        let mut client = HttpClient::connect(&fake);
        let (method, target) = question(dialect, "1");
        client.send(method, &target).unwrap();
        while client.unread.len() < 16_384 {
            assert!(client.fill().unwrap() > 0);
        }
        assert!(client.unread.ends_with(b"    "));
        drop(client);
        assert!(fake.wait(|counts| counts.open == 0, PATIENCE));
    }
}

#[test]
fn a_stall_before_the_headers_sends_nothing() {
    for dialect in Dialect::ALL {
        let fake = faulty(dialect, Fault::StallBeforeHeaders);
        let mut client = HttpClient::connect(&fake);
        let (method, target) = question(dialect, "1");
        client.send(method, &target).unwrap();
        assert!(fake.wait_served(1, PATIENCE));
        assert_eq!(fake.counts().open, 1);
        fake.stop();
        assert_eq!(client.fill().unwrap(), 0);
    }
}

#[test]
fn a_reply_can_stall_or_end_inside_the_stamp_wherever_that_is() {
    for dialect in Dialect::ALL {
        for fault in [Fault::StallInBody, Fault::CloseMidBody] {
            let fake = faulty(dialect, fault.clone());
            let mut client = HttpClient::connect(&fake);
            let (method, target) = question(dialect, "1");
            client.send(method, &target).unwrap();
            client.fill().unwrap();
            let stamp = fake.ledger()[0].stamp.clone();
            let half = &stamp.as_bytes()[..stamp.len() / 2];
            assert!(client.unread.ends_with(half), "{dialect:?}");
            if fault == Fault::CloseMidBody {
                assert_eq!(client.fill().unwrap(), 0);
            } else {
                assert_eq!(fake.counts().open, 1);
            }
        }
    }
}

#[test]
fn a_reply_can_come_byte_by_byte_or_twice() {
    for dialect in Dialect::ALL {
        let slow = one(dialect, Fault::OneByteEvery(Duration::from_micros(10)));
        assert!(slow.reads > 2, "{dialect:?}");

        let fake = faulty(dialect, Fault::TwoReplies);
        let mut client = HttpClient::connect(&fake);
        let first = ask(&mut client, dialect, "1").unwrap();
        let length = first.head.len() + 4 + first.body.len();
        while client.unread.len() < length {
            assert!(client.fill().unwrap() > 0);
        }
        assert!(client.unread.starts_with(first.head.as_bytes()));
    }
}

#[test]
fn faults_of_the_echo_leave_a_dialect_without_one_alone() {
    for dialect in Dialect::ALL {
        for (fault, it) in [(Fault::WrongIt, "1.251"), (Fault::ItZero, "0")] {
            let exchange = one(dialect, fault);
            match dialect {
                Dialect::WebNtp | Dialect::Nict => assert_eq!(exchange.member("it"), it),
                _ => assert!(!exchange.body.contains("\"it\"")),
            }
        }
    }
}

#[test]
fn a_client_that_has_gone_away_ends_a_slow_reply() {
    let fake = faulty(
        Dialect::HttpDate,
        Fault::OneByteEvery(Duration::from_millis(1)),
    );
    let mut client = HttpClient::connect(&fake);
    client.send("HEAD", "/").unwrap();
    client.fill().unwrap();
    drop(client);
    assert!(fake.wait(|counts| counts.open == 0, PATIENCE));
}
