//! Each fault over WebSocket is on the wire what its name says.

use std::time::Duration;

use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message};

use super::client::{PATIENCE, WebSocketClient};
use crate::fake::{FakeUpstream, Fault, Setup};

/// An open WebSocket whose next replies have a fault.
fn open(fault: Fault) -> (FakeUpstream, WebSocketClient) {
    let fake = FakeUpstream::start(Setup::honest());
    let client = WebSocketClient::connect(&fake);
    fake.set_fault(Some(fault));
    (fake, client)
}

fn open_with_limit(fault: Fault, limit: usize) -> (FakeUpstream, WebSocketClient) {
    let fake = FakeUpstream::start(Setup {
        fault: Some(fault),
        ..Setup::honest()
    });
    let config = WebSocketConfig::default().max_frame_size(Some(limit));
    let (client, _) = WebSocketClient::upgrade(&fake, config).expect("an upgrade");
    (fake, client)
}

#[test]
fn a_fault_of_http_meets_the_upgrade_request() {
    for (fault, status) in [
        (Fault::Status(403), 403),
        (Fault::Redirect("ws://elsewhere.test/".to_owned()), 302),
        (Fault::RetryAfter(9), 503),
        (Fault::Html, 200),
    ] {
        let fake = FakeUpstream::start(Setup {
            fault: Some(fault),
            ..Setup::honest()
        });
        let refused = WebSocketClient::upgrade(&fake, WebSocketConfig::default());
        match *refused.unwrap_err() {
            Error::Http(reply) => assert_eq!(reply.status(), status),
            other => panic!("{other}"),
        }
        assert_eq!(fake.served(), 1);
    }
}

#[test]
fn faults_of_stamp_echo_and_tail_are_in_the_frame() {
    let body = |fault| open(fault).1.exchange("1.25").unwrap();
    assert_eq!(body(Fault::WrongIt).member("it"), "1.26");
    assert_eq!(body(Fault::ItZero).member("it"), "0");
    assert_eq!(body(Fault::NotANumber).member("st"), "NaN");
    assert!(body(Fault::NegativeStamp).member("st").starts_with("-1"));
    assert!(body(Fault::TrailingText).body.ends_with("} trailing"));
    assert_eq!(body(Fault::EmptyBody).body, "");
}

#[test]
fn a_reply_can_be_in_a_binary_frame() {
    let (_fake, mut client) = open(Fault::BinaryFrame);
    client.socket.send(Message::text("1")).unwrap();
    let Message::Binary(bytes) = client.read().unwrap() else {
        panic!("no binary frame");
    };
    assert!(bytes.starts_with(b"{\"id\":"));
}

#[test]
fn a_reply_can_come_before_any_request() {
    let fake = FakeUpstream::start(Setup {
        fault: Some(Fault::UnsolicitedReply),
        ..Setup::honest()
    });
    let mut client = WebSocketClient::connect(&fake);
    let Message::Text(text) = client.read().unwrap() else {
        panic!("no text frame");
    };
    assert!(text.contains("\"it\":0,"));
    assert_eq!(client.exchange("1").unwrap().member("it"), "1");
}

#[test]
fn two_replies_can_answer_one_frame() {
    let (_fake, mut client) = open(Fault::TwoReplies);
    let first = client.exchange("1").unwrap();
    assert_eq!(client.read().unwrap(), Message::text(first.body));
}

#[test]
fn a_frame_can_be_too_long_with_nothing_but_blanks() {
    let (_fake, mut client) = open(Fault::OversizeFrame);
    let exchange = client.exchange("1").unwrap();
    assert_eq!(exchange.body.len(), 4096);
    assert!(exchange.body.trim_end().ends_with('}'));
    let (_fake, mut client) = open_with_limit(Fault::OversizeFrame, 4095);
    let refused = *client.exchange("1").unwrap_err();
    assert!(matches!(refused, Error::Capacity(_)));
}

#[test]
fn a_message_can_be_too_long_though_none_of_its_frames_is() {
    let (_fake, mut client) = open_with_limit(Fault::FragmentedOversize, 512);
    assert_eq!(client.exchange("1").unwrap().body.len(), 4096);
}

#[test]
fn a_stall_comes_at_the_upgrade_or_in_place_of_the_next_reply() {
    let (fake, mut client) = open(Fault::StallBeforeHeaders);
    client.socket.send(Message::text("1")).unwrap();
    assert!(fake.wait_served(1, PATIENCE));
    assert_eq!(fake.ledger()[0].stamp, "");
    let mut other = super::client::HttpClient::connect(&fake);
    other
        .send("GET", "/ HTTP/1.1\r\nSec-WebSocket-Key: x\r\nX-Rest:")
        .unwrap();
    assert!(fake.wait_served(2, PATIENCE));
    fake.stop();
    client.read().unwrap_err();
    assert_eq!(other.fill().unwrap(), 0);
}

#[test]
fn a_connection_can_end_or_stall_inside_the_stamp_of_a_frame() {
    let (_fake, mut client) = open(Fault::CloseMidBody);
    client.exchange("1").unwrap_err();
    let (fake, mut client) = open(Fault::StallInBody);
    client.socket.send(Message::text("1")).unwrap();
    assert!(fake.wait_served(1, PATIENCE));
    assert_eq!(fake.counts().open, 1);
    fake.stop();
    client.read().unwrap_err();
}

#[test]
fn a_frame_can_come_byte_by_byte() {
    let gap = Duration::from_micros(100);
    let (_fake, mut client) = open(Fault::OneByteEvery(gap));
    let exchange = client.exchange("1").unwrap();
    let slow = i64::try_from(exchange.body.len()).unwrap() * 100_000;
    assert!(exchange.reads > 2 && exchange.received - exchange.sent >= slow);
}
