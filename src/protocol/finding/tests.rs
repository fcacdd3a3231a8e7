//! What settles a kind, and what does not.

use super::*;
use crate::protocol::excerpt::Excerpt;
use crate::protocol::request::{Method, Resource};
use proptest::prelude::*;

const NOW: Utc = Utc::from_nanos(1_893_456_000_328_757_999);
const STAMP: &str = "1893456001.285965";
const DATE: (&str, &[u8]) = ("Date", b"Tue, 01 Jan 2030 00:00:01 GMT");
const HTML: (&str, &[u8]) = ("Content-Type", b"text/html; charset=utf-8");

const VERIFIED: bool = true;
const IN_CLEAR: bool = false;

/// A reply, or why there is none.
#[derive(Clone)]
enum Reply {
    Came(Vec<(&'static str, Vec<u8>)>, String),
    Refused(Refusal),
}

fn came(fields: &[(&'static str, &[u8])], body: &str) -> Reply {
    let fields = fields.iter().map(|(name, value)| (*name, value.to_vec()));
    Reply::Came(fields.collect(), body.to_owned())
}

fn text(body: &str) -> Reply {
    came(&[], body)
}

fn status(code: u16) -> Reply {
    Reply::Refused(Refusal::Status {
        code,
        retry_after: None,
    })
}

fn page() -> Reply {
    came(&[HTML, DATE], "<html></html>")
}

/// Asks the next question, of a server that answers all of them alike.
fn ask(finding: &mut Finding, reply: &Reply, verified: bool) -> Result<Option<Kind>, Undecided> {
    let request = finding.request(NOW, 7);
    let it = request.resource.addition().unwrap_or("0").to_owned();
    let (fields, body) = match reply {
        Reply::Came(fields, body) => (fields, body.replace("IT", &it)),
        Reply::Refused(refusal) => {
            let refused = Err(refusal.clone());
            return finding.answered(&request, refused, verified, &Plausible::release());
        }
    };
    let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, &v[..])).collect();
    let answer = Ok((&fields[..], body.as_bytes()));
    finding.answered(&request, answer, verified, &Plausible::release())
}

/// The same reply so many seconds later.
fn later(reply: &Reply, seconds: usize) -> Reply {
    let go_on = |text: &str| {
        let second = 1 + seconds;
        text.replace("1893456001", &format!("{}", 1_893_456_000 + second))
            .replace("00:00:01", &format!("00:00:{second:02}"))
    };
    match reply {
        Reply::Came(fields, body) => {
            let fields = fields.iter().map(|(name, value)| {
                let value = go_on(&String::from_utf8_lossy(value));
                (*name, value.into_bytes())
            });
            Reply::Came(fields.collect(), go_on(body))
        }
        refused @ Reply::Refused(_) => refused.clone(),
    }
}

/// Asks all questions a second apart until something comes of it, each answered by the next of `replies`, the last one by all that
/// follow.
fn find(replies: &[Reply], verified: bool) -> Result<Kind, Undecided> {
    let mut finding = Finding::default();
    for nth in 0..4 {
        let reply = later(&replies[nth.min(replies.len() - 1)], nth);
        if let Some(kind) = ask(&mut finding, &reply, verified)? {
            return Ok(kind);
        }
    }
    panic!("there are four questions at the most");
}

#[test]
fn each_kind_is_settled_by_a_good_reply_to_its_own_request() {
    let json = format!(r#"{{"id":"h","it":IT,"st":{STAMP},"time":{STAMP}}}"#);
    let nict = r#"{"id":"h","it":IT,"st":1893456001.285}"#;
    for (replies, kind) in [
        (vec![text(&json)], Kind::WebNtp),
        (vec![text(nict)], Kind::WebNtp),
        (
            vec![text(&format!(r#"{{"id":"h","time":{STAMP}}}"#))],
            Kind::HtpTime,
        ),
        (vec![came(&[("X-Time", b"1893456001285")], "")], Kind::XTime),
        (vec![text(&format!("{STAMP}\n"))], Kind::Text),
        (vec![text("2030-01-01T00:00:01.5Z\n")], Kind::Text),
        (vec![text(&format!("a=b\nts={STAMP}\n"))], Kind::Text),
        (
            vec![
                status(405),
                status(405),
                came(&[("X-HTTPSTIME", STAMP.as_bytes())], ""),
            ],
            Kind::HttpsTime,
        ),
    ] {
        for verified in [VERIFIED, IN_CLEAR] {
            assert_eq!(find(&replies, verified), Ok(kind), "{verified}");
        }
    }
}

#[test]
fn a_number_that_stands_still_is_no_time() {
    let no = || status(405);
    let stamp = || text(STAMP);
    let well_known = || came(&[("X-HTTPSTIME", STAMP.as_bytes())], "");
    for (before, first) in [
        (vec![no()], stamp()),
        (vec![text("hello")], text("1893456001")),
        (vec![no()], came(&[("X-Time", b"1893456001285")], "")),
        (vec![no()], text(&format!(r#"{{"id":"h","time":{STAMP}}}"#))),
        (vec![no(), no()], well_known()),
        // An echo of nothing names no question.
        (
            vec![],
            text(&format!(r#"{{"id":"h","it":0,"st":{STAMP}}}"#)),
        ),
    ] {
        let asked = || {
            let mut finding = Finding::default();
            for reply in before.iter().chain([&first]) {
                assert_eq!(ask(&mut finding, reply, VERIFIED), Ok(None));
            }
            finding
        };
        let mut finding = asked();
        assert!(ask(&mut finding, &later(&first, 1), VERIFIED).is_ok_and(|kind| kind.is_some()));
        let busy = status(503);
        for (second, is_still) in [
            (&first, true),
            (&text("hello"), true),
            (&status(404), true),
            (&busy, false),
        ] {
            let mut finding = asked();
            let undecided = ask(&mut finding, second, VERIFIED).expect_err("not later");
            assert_eq!(undecided == Undecided::Still, is_still, "{undecided}");
            // Which is so of a page as well as of a time that stands still.
            let says_so = undecided.to_string().contains("reply was no later time;");
            assert_eq!(says_so, is_still, "{undecided}");
            assert_eq!(finding, Finding::default());
        }
    }
    // Another kind, however late, is no second reply of the first.
    let mut finding = Finding::default();
    for reply in [no(), stamp()] {
        assert_eq!(ask(&mut finding, &reply, VERIFIED), Ok(None));
    }
    let other = came(&[("X-Time", b"1893456002285")], "");
    assert_eq!(ask(&mut finding, &other, VERIFIED), Err(Undecided::Still));
    assert_eq!(Undecided::Still.retry_after(), Some(NO_TIME_PAUSE));
}

#[test]
fn what_is_asked_is_what_the_kinds_themselves_ask() {
    let mut finding = Finding::default();
    let mut asked = Vec::new();
    for reply in [text("hello"), text("hello"), status(404)] {
        asked.push(finding.request(NOW, 7));
        assert_eq!(ask(&mut finding, &reply, VERIFIED), Ok(None));
    }
    asked.push(finding.request(NOW, 7));
    let own = [Kind::WebNtp, Kind::Text, Kind::HttpsTime, Kind::HttpDate];
    assert_eq!(asked, own.map(|kind| kind.request(NOW, 7)));
    assert_eq!(asked[0].method, Method::Get);
    assert_eq!(asked[2].resource, Resource::Path("/.well-known/time"));
    for question in [
        Question::Echo,
        Question::Plain,
        Question::WellKnown,
        Question::Head,
    ] {
        for kind in question.kinds() {
            let request = question.kinds()[0].request(NOW, 7);
            assert_eq!(kind.request(NOW, 7), request, "{kind:?}");
        }
    }
}

#[test]
fn a_page_in_clear_text_is_a_portals_until_told_otherwise() {
    assert_eq!(find(&[page()], IN_CLEAR), Err(Undecided::Page));
    assert_eq!(find(&[text(" <p>hi")], IN_CLEAR), Err(Undecided::Page));
    let large = Reply::Refused(Refusal::Html);
    assert_eq!(find(&[large], IN_CLEAR), Err(Undecided::Page));
    // Also if it is none for people: portals may say "please log in", and have a date as good as any.
    for well_known in [text("hello"), status(404)] {
        let dated = came(&[DATE], "");
        let replies = [text("hello"), text("hello"), well_known, dated];
        assert_eq!(find(&replies, IN_CLEAR), Err(Undecided::Page));
        assert_eq!(find(&replies, VERIFIED), Ok(Kind::HttpDate));
    }
    // Also if something in it looks like a time.
    let timely = came(&[HTML, ("X-Time", b"1893456001285")], STAMP);
    assert_eq!(find(&[timely], IN_CLEAR), Err(Undecided::Page));
    // So the reason calls none of them a page, and none without a time.
    let reason = Undecided::Page.to_string();
    assert!(
        reason.starts_with("the reply proves nothing: in clear text anybody on the way")
            && !reason.contains("page")
            && reason.contains("a captive portal")
            && reason.ends_with("name its `protocol` if this is the right server"),
        "{reason}"
    );
}

#[test]
fn a_page_from_a_server_that_was_verified_is_its_own() {
    let html = Reply::Refused(Refusal::Html);
    let large = Reply::Refused(Refusal::BodyTooLarge);
    for first in [page(), html, large.clone()] {
        let replies = [first.clone(), first, status(404), came(&[HTML, DATE], "")];
        assert_eq!(find(&replies, VERIFIED), Ok(Kind::HttpDate));
    }
    let refused = Undecided::Refused(Refusal::BodyTooLarge);
    assert_eq!(find(&[large], IN_CLEAR), Err(refused));
}

#[test]
fn a_well_known_place_that_is_barred_tells_no_time_if_its_server_was_verified() {
    let moved = Reply::Refused(Refusal::Redirect {
        code: 302,
        location: Excerpt::of(b"/login"),
    });
    for barred in [moved, status(401), status(403)] {
        let replies = [text("hello"), text("hello"), barred, came(&[DATE], "")];
        assert_eq!(find(&replies, VERIFIED), Ok(Kind::HttpDate));
        let found = find(&replies, IN_CLEAR);
        assert!(matches!(found, Err(Undecided::Refused(_))), "{found:?}");
    }
}

#[test]
fn what_may_pass_settles_nothing_and_all_begins_anew() {
    let cached = Refusal::Aged {
        age: Excerpt::of(b"7"),
    };
    let moved = Refusal::Redirect {
        code: 302,
        location: Excerpt::of(b"https://other/"),
    };
    let coded = Refusal::Coded {
        coding: Excerpt::of(b"gzip"),
    };
    let mut passing = vec![
        cached,
        Refusal::CacheHit,
        moved,
        coded,
        Refusal::HeadTooLarge,
    ];
    passing.extend(
        [401, 403, 407, 429, 500, 502, 503].map(|code| Refusal::Status {
            code,
            retry_after: None,
        }),
    );
    for refusal in passing {
        for before in [0, 1, 2, 3] {
            if before == 2 && is_barred(&refusal) {
                continue;
            }
            let mut finding = Finding::default();
            for reply in &[text("hello"), text("hello"), status(404)][..before] {
                assert_eq!(ask(&mut finding, reply, VERIFIED), Ok(None));
            }
            let refused = ask(&mut finding, &Reply::Refused(refusal.clone()), VERIFIED);
            assert_eq!(refused, Err(refusal.clone().into()), "{before}");
            assert_eq!(finding, Finding::default());
        }
    }
}

#[test]
fn a_bad_reply_of_a_kind_is_not_taken_for_one_of_a_coarser_kind() {
    for body in [
        // A number rounded up without carry, one with an exponent, an echo of another request, another year, two stamps.
        r#"{"it":IT,"st":1893456001.1000000}"#,
        r#"{"it":IT,"st":1.8e9}"#,
        r#"{"it":1700000000.5,"st":1893456001.285965}"#,
        r#"{"it":IT,"st":1489224472.995564}"#,
        r#"{"it":IT,"st":9893456001.285965}"#,
        r#"{"it":IT,"st":1893456001.285965,"st":1893456001.285965}"#,
        r#"{"it":IT,"st":1893456001.285965,"time":1893459001.285965}"#,
        r#"{"time":"now"}"#,
        "1489224472.995564",
        "1893456001.285965 s",
        "a=b\nts=now\n",
    ] {
        let found = find(&[came(&[DATE], body)], VERIFIED);
        assert!(matches!(found, Err(Undecided::Refused(_))), "{body}");
    }
    for field in [
        ("X-Time", &b"noon"[..]),
        ("X-HTTPSTIME", b"1489224472.995564"),
    ] {
        let found = find(&[came(&[DATE, field], "")], VERIFIED);
        assert!(matches!(found, Err(Undecided::Refused(_))), "{field:?}");
    }
}

#[test]
fn a_date_counts_only_where_the_url_itself_was_answered_and_told_no_time() {
    let dated = came(&[DATE], "");
    // A server that is just starting has nothing to show, and then a page all at once.
    let starting = [status(404), status(404), status(404), dated.clone()];
    assert_eq!(find(&starting, VERIFIED), Err(Undecided::NoTime));
    let there = [status(404), text("hello"), status(404), dated.clone()];
    assert_eq!(find(&there, VERIFIED), Ok(Kind::HttpDate));
    let refused = [text("hello"), text("hello"), status(503), dated];
    assert!(matches!(
        find(&refused, VERIFIED),
        Err(Undecided::Refused(_))
    ));
    let undated = [text("hello"), text("hello"), status(404), text("")];
    assert_eq!(find(&undated, VERIFIED), Err(Undecided::NoTime));
    let absurd: (&str, &[u8]) = ("Date", b"Sun, 06 Nov 1994 08:49:37 GMT");
    let absurd = [
        text("hello"),
        text("hello"),
        status(404),
        came(&[absurd], ""),
    ];
    assert!(matches!(
        find(&absurd, VERIFIED),
        Err(Undecided::Refused(Refusal::BeforeRelease { .. }))
    ));
}

#[test]
fn the_pause_that_a_server_asks_for_is_known() {
    let pause = Some(Span::from_secs(120));
    let busy = Reply::Refused(Refusal::Status {
        code: 503,
        retry_after: pause,
    });
    let undecided = find(&[busy], VERIFIED).expect_err("busy");
    assert_eq!(undecided.retry_after(), pause);
    assert_eq!(Undecided::NoTime.retry_after(), Some(NO_TIME_PAUSE));
}

proptest! {
    #[test]
    fn no_reply_panics_and_four_questions_are_the_most(
        replies in prop::collection::vec(
            ("(Date|X-HTTPSTIME|X-Time|Content-Type|.{0,5})", any::<Vec<u8>>(), any::<String>(), any::<u16>(), any::<bool>()),
            4,
        ),
        verified: bool,
    ) {
        let mut finding = Finding::default();
        for (name, value, body, code, is_refused) in &replies {
            let request = finding.request(NOW, 7);
            let fields = [(name.as_str(), &value[..])];
            let refusal = Refusal::Status { code: *code, retry_after: None };
            let answer = if *is_refused { Err(refusal) } else { Ok((&fields[..], body.as_bytes())) };
            match finding.answered(&request, answer, verified, &Plausible::release()) {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return Ok(()),
            }
        }
        prop_assert!(false, "a fifth question");
    }
}
