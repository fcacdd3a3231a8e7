//! HTTP: which request gets which answer.

use super::{Client, assert_truth, header, running, running_with, stamp};
use webntpd::engine::time::{Span, Utc};
use webntpd::protocol::decimal::DecimalSeconds;
use webntpd::server::{Limits, ServerClock};
use webntpd::sys::clock::system_now;

#[tokio::test]
async fn get_on_any_path_answers_json_that_tells_the_truth() {
    let server = running(Limits::default()).await;
    let mut client = Client::of(&server).await;
    for (path, it) in [
        ("/", "0"),
        ("/json", "0"),
        ("/?1489217288.328757", "1489217288.328757"),
        ("/any/where?7", "7"),
        ("/.well-known/time?7", "7"),
        ("/?", "0"),
        ("/?t=7", "0"),
        ("/?7&8", "0"),
        ("/?%37", "0"),
        ("/?-7", "0"),
        ("/?1e9", "0"),
    ] {
        assert_truth(Span::ZERO, async {
            stamp(&client.get(path).await, "h", it)
        })
        .await;
    }
}

#[tokio::test]
async fn a_reply_may_be_read_by_any_page_and_kept_by_none() {
    let server = running(Limits::default()).await;
    let mut client = Client::of(&server).await;
    client
        .send("GET / HTTP/1.1\r\nHost: h\r\nOrigin: https://evil.example\r\n\r\n")
        .await;
    let (head, _) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(header(&head, "content-type"), Some("application/json"));
    assert_eq!(header(&head, "cache-control"), Some("no-store"));
    assert_eq!(header(&head, "access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_server_that_is_wrong_is_wrong_by_its_offset_everywhere() {
    let offset = Span::from_secs(86_400);
    let server = running_with(ServerClock { offset }, Limits::default()).await;
    let mut client = Client::of(&server).await;
    assert_truth(offset, async { stamp(&client.get("/").await, "h", "0") }).await;
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (head, _) = client.response().await;
    let ahead = |seconds: i64| (system_now() + Span::from_secs(seconds)).to_parts().0;
    let told = header(&head, "x-httpstime").expect("HEAD is stamped");
    let told: i64 = told
        .split_once('.')
        .expect("a fraction")
        .0
        .parse()
        .expect("seconds");
    assert!((ahead(86_399)..=ahead(86_400)).contains(&told), "{head}");
    let date = jiff::fmt::rfc2822::parse(header(&head, "date").expect("a date")).expect("RFC 9110");
    assert!(
        (ahead(86_398)..=ahead(86_400)).contains(&date.timestamp().as_second()),
        "{head}"
    );
}

#[tokio::test]
async fn head_tells_the_time_in_a_header() {
    let server = running(Limits::default()).await;
    let mut client = Client::of(&server).await;
    for (path, status) in [
        ("/.well-known/time", "204"),
        ("/", "200"),
        ("/json?7", "200"),
    ] {
        assert_truth(Span::ZERO, async {
            client
                .send(&format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n"))
                .await;
            let (head, _) = client.response().await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            let told = header(&head, "x-httpstime").expect("HEAD is stamped");
            DecimalSeconds::parse(told.as_bytes())
                .expect("decimal seconds")
                .instant
        })
        .await;
    }
}

#[tokio::test]
async fn another_method_is_refused_and_told_which_there_are() {
    let server = running(Limits::default()).await;
    for request in [
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let (head, _) = Client::of(&server)
            .await
            .send(request)
            .await
            .response()
            .await;
        assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
        assert_eq!(header(&head, "allow"), Some("GET, HEAD"));
    }
}

#[tokio::test]
async fn whatever_the_host_says_the_reply_is_json() {
    let server = running(Limits::default()).await;
    for (request, id) in [
        ("GET / HTTP/1.1\r\n\r\n", ""),
        ("GET / HTTP/1.0\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", ""),
        (
            "GET / HTTP/1.1\r\nHost: a\"b\\c\td\r\n\r\n",
            r#"a\"b\\c\u0009d"#,
        ),
        ("GET / HTTP/1.1\r\nHost: é\r\n\r\n", "é"),
        ("GET http://uri:1/ HTTP/1.1\r\nHost: h\r\n\r\n", "uri:1"),
    ] {
        let (head, body) = Client::of(&server)
            .await
            .send(request)
            .await
            .response()
            .await;
        assert!(head.contains(" 200 OK\r\n"), "{head}");
        stamp(&body, id, "0");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(9000));
    let (_, body) = Client::of(&server).await.send(&long).await.response().await;
    stamp(&body, &"x".repeat(255), "0");
    // Bytes that HTTP does not allow never reach the reply.
    let evil = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
    let (head, _) = Client::of(&server).await.send(evil).await.response().await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}

#[tokio::test]
async fn requests_in_one_segment_are_all_answered_in_their_order() {
    let server = running(Limits::default()).await;
    let mut client = Client::of(&server).await;
    let requests: String = (1..=50)
        .map(|n| format!("GET /?{n} HTTP/1.1\r\nHost: h\r\n\r\n"))
        .collect();
    client.send(&requests).await;
    let mut last = Utc::from_nanos(0);
    for n in 1..=50 {
        let stamp = stamp(&client.response().await.1, "h", &n.to_string());
        assert!(last <= stamp);
        last = stamp;
    }
}
