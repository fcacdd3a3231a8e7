//! What each dialect looks like on the wire, and the manners of those that are no WebNTP.

use std::time::Duration;

use tungstenite::protocol::WebSocketConfig;

use super::client::{HttpClient, PATIENCE, WebSocketClient};
use super::manner::{ask, ask_once, question, stamps, unix_seconds};
use crate::fake::{
    Cut, Delay, Dialect, Echo, Face, FakeUpstream, HttpShape, HttpsTimeShape, JsonShape, KeepAlive,
    KnownClock, Path, Place, Rounding, SECOND_NS, Setup, Tls,
};

fn setup(dialect: Dialect) -> Setup {
    Setup {
        dialect,
        ..Setup::honest()
    }
}

fn start(dialect: Dialect) -> FakeUpstream {
    FakeUpstream::start(setup(dialect))
}

fn https_time(shape: HttpsTimeShape) -> FakeUpstream {
    FakeUpstream::start(Setup {
        https_time: shape,
        ..setup(Dialect::HttpsTime)
    })
}

#[test]
fn nict_has_three_decimals_an_echo_and_no_time() {
    let fake = start(Dialect::Nict);
    let exchange = HttpClient::connect(&fake).exchange("1232963971.248");
    let stamp = fake.ledger()[0].stamp.clone();
    assert_eq!(
        exchange.unwrap().body,
        format!(
            "{{\"id\":\"fake.test\",\"it\":1232963971.248,\"st\":{stamp},\
             \"leap\":36,\"next\":1483228800,\"step\":1}}"
        )
    );
    let (_, fraction) = stamp.split_once('.').unwrap();
    assert_eq!(fraction.len(), 3);
}

#[test]
fn nict_formats_its_echo_and_answers_nonsense_with_nothing_as_webntp_does() {
    let fake = FakeUpstream::start(Setup {
        json: JsonShape {
            echo: Echo::TrailingZerosDropped,
            ..JsonShape::plain()
        },
        ..setup(Dialect::Nict)
    });
    let mut client = HttpClient::connect(&fake);
    assert_eq!(client.exchange("1.250").unwrap().member("it"), "1.25");
    assert_eq!(client.exchange("now").unwrap().body, "");
}

#[test]
fn htptime_has_time_only_and_does_not_look_at_the_question() {
    let fake = start(Dialect::HtpTime);
    let mut client = HttpClient::connect(&fake);
    for target in ["/", "/api?1.5", "/api?now"] {
        let exchange = client.request("GET", target).unwrap();
        let stamp = fake.ledger().pop().unwrap().stamp;
        let body = format!("{{\"id\":\"fake.test\",\"time\":{stamp}}}");
        assert_eq!(exchange.body, body);
    }
}

#[test]
fn https_time_answers_head_of_the_well_known_path_only() {
    let fake = start(Dialect::HttpsTime);
    let mut client = HttpClient::connect(&fake);
    for (method, target, status) in [
        ("HEAD", "/.well-known/time", 204),
        ("HEAD", "/.well-known/time?nonce", 204),
        ("GET", "/.well-known/time", 405),
        ("POST", "/.well-known/time", 405),
        ("HEAD", "/", 404),
        ("HEAD", "/json/.well-known/time", 404),
    ] {
        let exchange = client.request(method, target).unwrap();
        let stamp = fake.ledger().pop().unwrap().stamp;
        assert_eq!(exchange.status(), status, "{method} {target}");
        let shown = exchange.header("x-httpstime").unwrap_or_default();
        assert_eq!((shown, shown.is_empty()), (stamp.as_str(), status != 204));
    }
}

#[test]
fn https_time_may_have_200_another_case_and_every_path_and_method() {
    for (status, name) in [(204, "x-httpstime"), (200, "X-HttpsTime")] {
        let fake = https_time(HttpsTimeShape {
            status,
            name,
            everywhere: true,
            get: true,
            ..HttpsTimeShape::plain()
        });
        let mut client = HttpClient::connect(&fake);
        for method in ["HEAD", "GET"] {
            let exchange = client.request(method, "/any").unwrap();
            let stamp = fake.ledger().pop().unwrap().stamp;
            assert_eq!(exchange.status(), status);
            let line = format!("\r\n{name}: {stamp}");
            assert!(exchange.head.contains(&line), "{exchange:?}");
            let length = exchange.header("content-length");
            assert_eq!(length, (status == 200).then_some("0"));
        }
    }
}

#[test]
fn https_time_has_any_number_of_digits() {
    for digits in 0..=9 {
        let fake = FakeUpstream::start(Setup {
            face: Face {
                digits,
                ..Face::MICROSECONDS
            },
            ..setup(Dialect::HttpsTime)
        });
        let exchange = ask_once(&fake);
        let shown = exchange.header("x-httpstime").unwrap();
        let fraction = shown.split_once('.').map_or("", |(_, fraction)| fraction);
        assert_eq!(fraction.len(), usize::from(digits));
    }
}

#[test]
fn https_time_may_have_a_body_and_no_header() {
    let fake = https_time(HttpsTimeShape {
        status: 200,
        get: true,
        in_body: true,
        ..HttpsTimeShape::plain()
    });
    let mut client = HttpClient::connect(&fake);
    let told = client.request("HEAD", "/.well-known/time").unwrap();
    assert_eq!(told.header("content-length"), Some("18"));
    assert_eq!(fake.ledger()[0].stamp, "");
    let shown = client.request("GET", "/.well-known/time").unwrap();
    assert_eq!(shown.body, format!("{}\n", fake.ledger()[1].stamp));
    for exchange in [told, shown] {
        assert_eq!(exchange.status(), 200);
        assert_eq!(exchange.header("x-httpstime"), None);
    }
}

#[test]
fn webntp_shares_the_manners_of_https_time_on_head() {
    let fake = FakeUpstream::start(Setup {
        https_time: HttpsTimeShape {
            status: 200,
            everywhere: true,
            ..HttpsTimeShape::plain()
        },
        ..Setup::honest()
    });
    let exchange = HttpClient::connect(&fake).request("HEAD", "/json").unwrap();
    assert_eq!(exchange.status(), 200);
    assert!(exchange.header("x-httpstime").is_some());
}

#[test]
fn http_date_answers_head_and_get_of_any_path_and_query() {
    let fake = start(Dialect::HttpDate);
    let mut client = HttpClient::connect(&fake);
    for target in ["/", "/?nonce-5f3c", "/a/b.html?q=1&r"] {
        let told = client.request("HEAD", target).unwrap();
        let shown = client.request("GET", target).unwrap();
        assert_eq!((told.body.len(), shown.body.len()), (0, 65));
        assert_eq!(told.header("content-length"), Some("65"));
        for (exchange, served) in [told, shown]
            .iter()
            .zip(&fake.ledger()[fake.served() - 2..])
        {
            assert_eq!(exchange.status(), 200);
            assert_eq!(exchange.header("date"), Some(served.stamp.as_str()));
        }
    }
    assert_eq!(client.request("POST", "/").unwrap().status(), 405);
}

#[test]
fn x_time_is_whole_milliseconds_without_a_body() {
    for digits in [0, 6] {
        let fake = FakeUpstream::start(Setup {
            face: Face {
                digits,
                ..Face::MICROSECONDS
            },
            ..setup(Dialect::XTime)
        });
        let exchange = ask_once(&fake);
        assert_eq!((exchange.status(), &*exchange.body), (204, ""));
        let shown = exchange.header("x-time").unwrap();
        assert!(shown.len() == 13 && shown.bytes().all(|byte| byte.is_ascii_digit()));
    }
}

#[test]
fn a_text_is_its_stamp_or_has_a_line_for_it() {
    for dialect in Dialect::TEXTS {
        let fake = start(dialect);
        let mut client = HttpClient::connect(&fake);
        let exchange = client.request("GET", "/any?1").unwrap();
        let stamp = fake.ledger().pop().unwrap().stamp;
        let body = match dialect {
            Dialect::Trace => format!(
                "fl=123f45\nh=fake.test\nip=192.0.2.1\nts={stamp}\nvisit_scheme=http\nuag=a=b ts=1\n"
            ),
            _ => format!("{stamp}\n"),
        };
        assert_eq!(exchange.body, body);
        assert_eq!(exchange.header("content-type"), Some("text/plain"));
        assert_eq!(client.request("HEAD", "/").unwrap().status(), 405);
    }
}

#[test]
fn dates_are_those_of_the_calendar() {
    let face = Face {
        digits: 9,
        ..Face::MICROSECONDS
    };
    for (unix_s, date) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
        (1_483_228_799, "Sat, 31 Dec 2016 23:59:59 GMT"),
        (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
        (4_102_444_800, "Fri, 01 Jan 2100 00:00:00 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
    ] {
        let shown = Dialect::HttpDate.show(face, unix_s * SECOND_NS + 999_999_999);
        assert_eq!((shown.as_str(), unix_seconds(date)), (date, unix_s));
    }
    for day in 0..60_000 {
        let unix_s = day * 86_400 + day;
        let shown = Dialect::HttpDate.show(face, unix_s * SECOND_NS);
        assert_eq!(unix_seconds(&shown), unix_s, "{shown}");
    }
    let nanos = 951_868_799 * SECOND_NS + 50_000_000;
    assert_eq!(
        Dialect::Iso.show(face, nanos),
        "2000-02-29T23:59:59.050000000Z"
    );
    let whole = Face { digits: 0, ..face };
    assert_eq!(Dialect::Iso.show(whole, nanos), "2000-02-29T23:59:59Z");
}

#[test]
fn a_date_rounded_to_the_nearest_is_ahead_in_the_second_half() {
    let face = Face {
        rounding: Rounding::Nearest,
        ..Face::MICROSECONDS
    };
    let show = |ms: i64| Dialect::HttpDate.show(face, 784_111_777 * SECOND_NS + ms * 1_000_000);
    assert!(show(499).contains(":37 ") && show(500).contains(":38 "));
}

#[test]
fn nobody_upgrades_but_webntp() {
    for dialect in Dialect::ALL {
        let fake = start(dialect);
        let upgraded = WebSocketClient::upgrade(&fake, WebSocketConfig::default());
        assert_eq!(upgraded.is_ok(), dialect == Dialect::WebNtp, "{dialect:?}");
    }
}

#[test]
fn a_cut_inside_the_stamp_is_inside_the_header_where_the_stamp_is() {
    for (dialect, name) in [
        (Dialect::HttpsTime, "X-HTTPSTIME: "),
        (Dialect::XTime, "X-Time: "),
        (Dialect::HttpDate, "Date: "),
    ] {
        let fake = FakeUpstream::start(Setup {
            path: Path {
                cuts: vec![Cut {
                    at: Place::InsideStamp,
                    gap: Delay::Fixed(PATIENCE),
                }],
                ..Path::direct()
            },
            ..setup(dialect)
        });
        let mut client = HttpClient::connect(&fake);
        let (method, target) = question(dialect, "1");
        client.send(method, &target).unwrap();
        client.fill().unwrap();
        let first = String::from_utf8(client.unread.clone()).unwrap();
        let stamp = &fake.ledger()[0].stamp;
        let half = format!("\r\n{name}{}", &stamp[..stamp.len() / 2]);
        assert!(first.ends_with(&half), "{first:?}");
    }
}

#[test]
fn a_head_that_goes_ahead_ends_before_the_stamp_in_it() {
    for (dialect, end) in [
        (Dialect::Nict, "\r\n\r\n"),
        (Dialect::Text, "\r\n\r\n"),
        (Dialect::HttpsTime, "\r\nX-HTTPSTIME: "),
        (Dialect::XTime, "\r\nX-Time: "),
        (Dialect::HttpDate, "\r\nDate: "),
    ] {
        let fake = FakeUpstream::start(Setup {
            http: HttpShape {
                head_first: Some(Delay::Fixed(PATIENCE)),
                ..HttpShape::plain()
            },
            ..setup(dialect)
        });
        let mut client = HttpClient::connect(&fake);
        let (method, target) = question(dialect, "1");
        client.send(method, &target).unwrap();
        client.fill().unwrap();
        let ahead = String::from_utf8_lossy(&client.unread).into_owned();
        if dialect == Dialect::HttpsTime {
            assert!(ahead.starts_with("HTTP/1.1 204 "), "{ahead:?}");
        }
        assert!(ahead.ends_with(end), "{ahead:?}");
        assert_eq!(fake.served(), 0);
    }
}

#[test]
fn every_dialect_ends_a_connection_after_its_requests_announced_or_not() {
    for dialect in Dialect::ALL {
        for announced in [true, false] {
            let keep_alive = KeepAlive {
                requests: 2,
                announced,
            };
            let fake = FakeUpstream::start(Setup {
                http: HttpShape {
                    keep_alive: Some(keep_alive),
                    ..HttpShape::plain()
                },
                ..setup(dialect)
            });
            let mut client = HttpClient::connect(&fake);
            let first = ask(&mut client, dialect, "1").unwrap();
            let second = ask(&mut client, dialect, "2").unwrap();
            assert_eq!(first.header("connection"), None);
            assert_eq!(second.header("connection"), announced.then_some("close"));
            assert_eq!(client.fill().unwrap(), 0);
        }
    }
}

#[test]
fn an_idle_connection_ends_under_tls_with_its_alert() {
    let authority = crate::fake::Authority::new();
    let fake = FakeUpstream::start(Setup {
        tls: Some(Tls::of(&authority)),
        http: HttpShape {
            idle: Some(Duration::from_millis(50)),
            ..HttpShape::plain()
        },
        ..setup(Dialect::HttpsTime)
    });
    // Without its alert this would be an error, not an end. The client may be too slow for a request meanwhile.
    assert_eq!(HttpClient::connect(&fake).fill().unwrap(), 0);
}

#[test]
fn the_ledger_has_the_requests_with_their_headers() {
    for dialect in Dialect::ALL {
        let fake = start(dialect);
        let exchange = ask_once(&fake);
        let served = fake.ledger().pop().unwrap();
        let request = served.request.expect("it was no frame");
        let (method, target) = question(dialect, "1.250");
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            (method, path)
        );
        assert_eq!((request.query.as_str(), served.it.as_str()), (query, query));
        assert_eq!(request.header("host"), Some("fake.test"));
        assert_eq!(stamps(dialect, &exchange), [served.stamp]);
    }
    let fake = FakeUpstream::start(setup(Dialect::WebNtp));
    WebSocketClient::connect(&fake).exchange("1").unwrap();
    assert_eq!(fake.ledger()[0].request, None);
}

#[test]
fn the_same_clock_is_shown_in_every_dialect() {
    let clock = KnownClock::sample().ahead_by(-3_600 * SECOND_NS);
    for dialect in Dialect::ALL {
        let fake = FakeUpstream::start(Setup {
            clock,
            ..setup(dialect)
        });
        ask_once(&fake);
        let served = fake.ledger().pop().unwrap();
        let stamped = served.stamped_raw_ns.unwrap();
        let shown = dialect.show(Face::MICROSECONDS, stamped + clock.theta(stamped));
        assert_eq!(served.stamp, shown);
    }
}
