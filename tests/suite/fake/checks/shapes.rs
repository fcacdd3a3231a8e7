//! The manners of an honest server: all of them are allowed, and none of them changes what is said.

use std::time::Duration;

use tungstenite::Message;
use tungstenite::protocol::WebSocketConfig;

use super::client::{Exchange, HttpClient, PATIENCE, WebSocketClient};
use crate::fake::{
    Authority, Cut, Delay, Echo, FakeUpstream, Framing, HttpShape, JsonShape, KeepAlive, Order,
    Path, Place, STRANGERS, Setup, Tickets, Tls, WebSocketShape,
};

const GAP: Delay = Delay::micros(2_000);

fn one_http(setup: Setup) -> Exchange {
    let fake = FakeUpstream::start(setup);
    exchange_with(&fake)
}

/// Exchanges until the reply has come in two reads or more: where the client is slow they may merge in the kernel.
fn one_in_pieces(setup: Setup) -> Exchange {
    let fake = FakeUpstream::start(setup);
    (0..50)
        .map(|_| exchange_with(&fake))
        .find(|exchange| exchange.reads >= 2)
        .expect("a cut makes segments")
}

fn exchange_with(fake: &FakeUpstream) -> Exchange {
    let mut client = HttpClient::connect(fake);
    let exchange = client.exchange("1.50").expect("a whole reply");
    let last = fake.ledger().pop().expect("an entry");
    assert_eq!(exchange.member("st"), last.stamp);
    exchange
}

fn with_http(http: HttpShape) -> Setup {
    Setup {
        http,
        ..Setup::honest()
    }
}

fn with_json(json: JsonShape) -> Setup {
    Setup {
        json,
        ..Setup::honest()
    }
}

#[test]
fn a_plain_reply_is_the_documented_json() {
    let exchange = one_http(Setup::honest());
    let stamp = exchange.member("st");
    assert_eq!(
        exchange.body,
        format!(
            "{{\"id\":\"fake.test\",\"it\":1.50,\"st\":{stamp},\"time\":{stamp},\
             \"leap\":36,\"next\":1483228800,\"step\":1}}"
        )
    );
    assert_eq!(exchange.status(), 200);
    assert_eq!(
        exchange.header("content-type"),
        Some("application/json; charset=utf-8")
    );
}

#[test]
fn every_framing_carries_the_same_body() {
    for framing in [
        Framing::ContentLength,
        Framing::Chunked(1),
        Framing::Chunked(7),
        Framing::Chunked(usize::MAX),
        Framing::UntilClose,
    ] {
        for tls in [None, Some(Tls::of(&Authority::new()))] {
            let exchange = one_in_pieces(Setup {
                tls,
                path: Path {
                    cuts: vec![Cut {
                        at: Place::InsideStamp,
                        gap: GAP,
                    }],
                    ..Path::direct()
                },
                ..with_http(HttpShape {
                    framing,
                    ..HttpShape::plain()
                })
            });
            assert!(exchange.body.ends_with("\"step\":1}"), "{exchange:?}");
        }
    }
}

#[test]
fn every_cut_makes_a_segment_of_its_own() {
    for at in [
        Place::AfterHead,
        Place::InsideStamp,
        Place::BeforeLastBrace,
        Place::Byte(3),
    ] {
        let exchange = one_in_pieces(Setup {
            path: Path {
                cuts: vec![Cut { at, gap: GAP }],
                ..Path::direct()
            },
            ..Setup::honest()
        });
        assert_eq!(exchange.reads, 2, "{at:?}");
    }
}

#[test]
fn the_last_byte_of_a_tls_record_can_be_late() {
    one_in_pieces(Setup {
        tls: Some(Tls {
            tickets: Tickets::None,
            late_last_byte: Some(GAP),
            ..Tls::of(&Authority::new())
        }),
        ..Setup::honest()
    });
}

#[test]
fn tls_1_2_works_with_tickets_held_or_not() {
    for tickets in [
        Tickets::AtOnce,
        Tickets::None,
        Tickets::BeforeFirstReply(GAP),
    ] {
        one_http(Setup {
            tls: Some(Tls {
                tickets,
                only_tls12: true,
                ..Tls::of(&Authority::new())
            }),
            ..Setup::honest()
        });
    }
}

#[test]
fn headers_may_be_many_and_of_mixed_case_and_the_status_another_good_one() {
    let exchange = one_http(with_http(HttpShape {
        status: 203,
        headers: vec![("Server".to_owned(), "fake".to_owned())],
        mixed_case: true,
        ..HttpShape::plain()
    }));
    assert!(exchange.head.contains("\r\nsErVeR: fake"), "{exchange:?}");
    assert!(exchange.head.contains("\r\ncOnTeNt-lEnGtH: "));
    assert_eq!(exchange.status(), 203);
}

#[test]
fn a_connection_ends_after_its_requests_announced_or_not() {
    for announced in [true, false] {
        let keep_alive = KeepAlive {
            requests: 2,
            announced,
        };
        let fake = FakeUpstream::start(with_http(HttpShape {
            keep_alive: Some(keep_alive),
            ..HttpShape::plain()
        }));
        let mut client = HttpClient::connect(&fake);
        let first = client.exchange("1").unwrap();
        assert_eq!(first.header("connection"), None);
        let second = client.exchange("2").unwrap();
        assert_eq!(second.header("connection"), announced.then_some("close"));
        assert_eq!(client.fill().unwrap(), 0);
        assert!(fake.wait(|counts| counts.open == 0, PATIENCE));
    }
}

#[test]
fn an_idle_connection_ends() {
    let http = HttpShape {
        idle: Some(Duration::from_millis(250)),
        ..HttpShape::plain()
    };
    let fake = FakeUpstream::start(with_http(http));
    let mut client = HttpClient::connect(&fake);
    client.exchange("1").unwrap();
    assert_eq!(client.fill().unwrap(), 0);
    let mut socket = WebSocketClient::connect(&fake);
    socket.exchange("1").unwrap();
    socket.read().unwrap_err();
}

#[test]
fn members_come_in_any_order_with_blanks_and_strangers() {
    for order in [Order::AsDocumented, Order::Backwards, Order::StampLast] {
        for spaced in [false, true] {
            for strangers in [&[], STRANGERS] {
                let exchange = one_http(with_json(JsonShape {
                    order,
                    spaced,
                    strangers,
                    ..JsonShape::plain()
                }));
                assert_eq!(exchange.member("it"), "1.50");
                assert_eq!(exchange.member("time"), exchange.member("st"));
                assert_eq!(exchange.member("next"), "1483228800");
            }
        }
    }
}

#[test]
fn the_echo_keeps_its_value_in_every_format() {
    for (echo, sent, echoed) in [
        (Echo::AsSent, "1.50", "1.50"),
        (Echo::TrailingZerosDropped, "1.50", "1.5"),
        (Echo::TrailingZerosDropped, "10.00", "10"),
        (Echo::TrailingZerosDropped, "10", "10"),
        (Echo::ThreeZerosMore, "1.50", "1.50000"),
        (Echo::AsSent, "", "0"),
    ] {
        let fake = FakeUpstream::start(with_json(JsonShape {
            echo,
            ..JsonShape::plain()
        }));
        let exchange = HttpClient::connect(&fake).exchange(sent).unwrap();
        assert_eq!(exchange.member("it"), echoed);
    }
}

#[test]
fn a_question_that_is_no_number_gets_an_empty_body() {
    let fake = FakeUpstream::start(Setup::honest());
    let exchange = HttpClient::connect(&fake).exchange("now").unwrap();
    assert_eq!((exchange.status(), exchange.body.as_str()), (200, ""));
    let exchange = WebSocketClient::connect(&fake).exchange("-1").unwrap();
    assert_eq!(exchange.body, "");
}

#[test]
fn head_of_the_well_known_path_has_the_stamp_in_a_header() {
    let fake = FakeUpstream::start(Setup::honest());
    let mut client = HttpClient::connect(&fake);
    let exchange = client.request("HEAD", "/.well-known/time").unwrap();
    let stamp = fake.ledger()[0].stamp.clone();
    assert_eq!(exchange.status(), 204);
    assert_eq!(exchange.header("x-httpstime"), Some(stamp.as_str()));
    assert_eq!(client.request("HEAD", "/").unwrap().status(), 405);
}

#[test]
fn the_subprotocol_is_echoed_when_it_is_offered() {
    let fake = FakeUpstream::start(Setup::honest());
    let (_, upgraded) = WebSocketClient::upgrade(&fake, WebSocketConfig::default()).unwrap();
    let echoed = upgraded.headers().get("sec-websocket-protocol").unwrap();
    assert_eq!(echoed, "webntp.shogo82148.com");
}

#[test]
fn a_websocket_answers_pings_and_ends_after_its_replies() {
    let fake = FakeUpstream::start(Setup {
        websocket: WebSocketShape {
            replies: Some(2),
            ..WebSocketShape::plain()
        },
        ..Setup::honest()
    });
    let mut client = WebSocketClient::connect(&fake);
    client.socket.send(Message::Ping("yes?".into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("yes?".into()));
    client.exchange("1").unwrap();
    client.exchange("2").unwrap();
    assert!(matches!(client.read().unwrap(), Message::Close(Some(_))));
}

#[test]
fn a_websocket_ends_in_order_when_the_client_does() {
    let fake = FakeUpstream::start(Setup::honest());
    let mut client = WebSocketClient::connect(&fake);
    client.exchange("1").unwrap();
    client.socket.close(None).unwrap();
    assert!(matches!(client.read().unwrap(), Message::Close(_)));
    assert!(fake.wait(|counts| counts.open == 0, PATIENCE));
}

#[test]
fn a_websocket_takes_no_frame_above_its_limit_and_no_bytes() {
    for message in [Message::text("1".repeat(1025)), Message::Binary("1".into())] {
        let fake = FakeUpstream::start(Setup::honest());
        let mut client = WebSocketClient::connect(&fake);
        client.socket.send(message).unwrap();
        assert!(matches!(client.read().unwrap(), Message::Close(Some(_))));
        assert_eq!(fake.served(), 0);
    }
}
