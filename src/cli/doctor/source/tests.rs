use super::super::link::State;
use super::*;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use url::Url;

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 443);

fn source() -> Source {
    let url = Url::parse("https://tokyo.example/json").unwrap();
    Source::new("tokyo", url, Span::from_secs(16))
}

const SAMPLE: Sample = Sample {
    offset: Span::from_millis(25),
    bound: Span::from_millis(8),
    delay: Span::from_millis(16),
};

fn good() -> Visit {
    Visit {
        survey: Survey {
            addresses: Ok(vec![PEER]),
            peer: Some(Ok(PEER)),
            certificate_days: Some(Ok(60)),
        },
        found: None,
        sample: Some(Ok(SAMPLE)),
    }
}

fn with_certificate(result: Result<i64, Error>) -> Visit {
    let mut visit = good();
    visit.sample = result.is_ok().then_some(Ok(SAMPLE));
    visit.survey.certificate_days = Some(result);
    visit
}

fn bad(fault: CertificateFault) -> Visit {
    let host = "tokyo.example".into();
    with_certificate(Err(Error::Certificate { host, fault }))
}

/// The first link that is not as it should be.
fn first(visit: &Visit, clock: Option<&Wrong>) -> Link {
    let links = visit.judge(&source(), clock);
    assert_eq!(links.len(), 4, "{links:?}");
    let odd = links.into_iter().find(|link| link.state != State::Ok);
    odd.expect("something is wrong")
}

fn assert_first(visit: &Visit, name: &str, remedy: &str) {
    let link = first(visit, None);
    assert_eq!((link.name.as_str(), link.state), (name, State::Fault));
    assert!(
        link.remedy
            .as_ref()
            .is_some_and(|text| text.contains(remedy)),
        "{link:?}"
    );
}

#[test]
fn a_source_that_answers_is_fine_from_name_to_sample() {
    let links = good().judge(&source(), None);
    assert!(
        links.iter().all(|link| link.state == State::Ok),
        "{links:?}"
    );
    assert_eq!(links[0].text, "tokyo.example is 127.0.0.1");
    assert_eq!(
        links[3].text,
        "offset +25.000 ms ± 8.000 ms, delay 16.000 ms"
    );
}

#[test]
fn a_name_that_cannot_be_looked_up_is_a_fault_and_the_rest_is_not_looked_at() {
    let lookup = |error| Visit {
        survey: Survey {
            addresses: Err(error),
            peer: None,
            certificate_days: None,
        },
        found: None,
        sample: None,
    };
    let host = || "tokyo.example".to_owned();
    let unknown = lookup(Error::Lookup {
        host: host(),
        cause: io::Error::other("no such name"),
    });
    assert_first(&unknown, "name of tokyo", "getent ahosts tokyo.example");
    let states: Vec<_> = unknown
        .judge(&source(), None)
        .iter()
        .map(|link| link.state)
        .collect();
    assert_eq!(
        states,
        [State::Fault, State::Skipped, State::Skipped, State::Skipped]
    );
    let excluded = lookup(Error::ExcludedAddress {
        host: host(),
        address: PEER.ip(),
    });
    assert_first(&excluded, "name of tokyo", "address-family");
    let silent = lookup(Error::Deadline {
        phase: Phase::Lookup,
        limit: PATIENCE,
    });
    assert_first(&silent, "name of tokyo", "resolv.conf");
}

#[test]
fn a_connection_that_is_refused_is_told_apart_from_one_that_is_swallowed() {
    let connect = |error| Visit {
        survey: Survey {
            peer: Some(Err(error)),
            certificate_days: None,
            ..good().survey
        },
        found: None,
        sample: None,
    };
    let refused = |kind: ErrorKind| {
        connect(Error::Connect {
            address: PEER,
            cause: kind.into(),
        })
    };
    assert_first(
        &refused(ErrorKind::ConnectionRefused),
        "connection of tokyo",
        "right port",
    );
    assert_first(
        &refused(ErrorKind::NetworkUnreachable),
        "connection of tokyo",
        "ip route",
    );
    let swallowed = connect(Error::Deadline {
        phase: Phase::Connect,
        limit: PATIENCE,
    });
    assert_first(&swallowed, "connection of tokyo", "firewall");
}

#[test]
fn a_bad_certificate_is_told_with_what_to_do_about_its_fault() {
    for (fault, remedy) in [
        (CertificateFault::Expired, "must renew it"),
        (CertificateFault::NotYetValid, "date -u -s"),
        (CertificateFault::WrongName, "captive portal"),
        (CertificateFault::UnknownIssuer, "`ca-file`"),
    ] {
        assert_first(&bad(fault), "certificate of tokyo", remedy);
    }
    let cause = rustls::Error::General("none".into());
    assert_first(
        &with_certificate(Err(Error::Roots { cause })),
        "certificate of tokyo",
        "ca-certificates",
    );
    assert_first(
        &with_certificate(Err(Error::HungUp)),
        "certificate of tokyo",
        "not TLS",
    );
}

#[test]
fn a_certificate_out_of_its_time_is_the_clocks_fault_where_the_clock_is_known_to_be_wrong() {
    let clock = Wrong {
        how: "the system clock is 20 years behind".into(),
        remedy: "set it once by hand".into(),
    };
    let link = first(&bad(CertificateFault::NotYetValid), Some(&clock));
    assert!(
        link.text.ends_with("; the system clock is 20 years behind"),
        "{link:?}"
    );
    assert_eq!(link.remedy.as_deref(), Some("set it once by hand"));
    let link = first(&bad(CertificateFault::WrongName), Some(&clock));
    assert!(!link.text.contains("years"), "{link:?}");
}

#[test]
fn a_certificate_that_ends_within_14_days_is_noted() {
    for (days, state) in [
        (0, State::Note),
        (13, State::Note),
        (14, State::Ok),
        (90, State::Ok),
    ] {
        assert_eq!(certificate("c".into(), days).state, state, "{days}");
    }
    assert!(certificate("c".into(), 2).text.contains("within 3 days"));
}

#[test]
fn a_refused_sample_is_told_in_words_and_a_page_leads_to_the_portal() {
    let page = missed(Refusal::Html);
    assert_first(&page, "sample of tokyo", "log in there");
    assert!(first(&page, None).text.contains("captive portal"));
    assert_first(&missed(Refusal::EmptyBody), "sample of tokyo", "`url`");
}

fn missed(refusal: Refusal) -> Visit {
    Visit {
        sample: Some(Err(Missed {
            why: Why::of(Some(&refusal)),
            reason: refusal.to_string(),
        })),
        ..good()
    }
}

/// What to do about a refusal by a server at this URL, whose protocol is given, or is found out.
fn advice(refusal: Refusal, url: &str, given: Option<Protocol>, found: Option<Protocol>) -> String {
    let mut source = Source::new("tokyo", Url::parse(url).unwrap(), Span::from_secs(16));
    source.protocol = given.or(source.protocol);
    let visit = Visit {
        found,
        ..missed(refusal)
    };
    let links = visit.judge(&source, None);
    let sample = links.iter().find(|link| link.name == "sample of tokyo");
    let remedy = sample.and_then(|link| link.remedy.clone());
    remedy.expect("it is a fault")
}

#[test]
fn the_tool_is_named_only_for_kinds_that_it_speaks() {
    let url = "https://tokyo.example/json";
    for kind in Protocol::OVER_HTTP {
        let is_spoken = matches!(kind, Protocol::WebNtp | Protocol::Nict);
        for (given, found) in [(Some(kind), None), (None, Some(kind))] {
            let advice = advice(Refusal::EmptyBody, url, given, found);
            assert_eq!(advice.contains("`webntp URL`"), is_spoken, "{kind:?}");
        }
    }
    for (url, is_spoken) in [(url, false), ("wss://a/", true), ("ntp://a", true)] {
        let advice = advice(Refusal::EmptyBody, url, None, None);
        assert_eq!(advice.contains("`webntp URL`"), is_spoken, "{url}");
    }
}

#[test]
fn a_protocol_is_doubted_only_where_one_is_given() {
    let text = Some(Protocol::Text);
    for refusal in [Refusal::EmptyBody, Refusal::Html] {
        for (url, given, found, is_doubted) in [
            ("https://a/", text, None, true),
            ("https://a/", None, text, false),
            ("https://a/", None, None, false),
            ("wss://a/", None, None, false),
        ] {
            let advice = advice(refusal.clone(), url, given, found);
            assert_eq!(advice.contains("`protocol`"), is_doubted, "{url}: {advice}");
            assert!(advice.contains("`url`"), "{advice}");
        }
    }
}

#[test]
fn a_server_that_is_busy_is_no_reason_to_correct_the_configuration() {
    let status = |code| Refusal::Status {
        code,
        retry_after: None,
    };
    for (code, is_busy) in [(429, true), (503, true), (404, false), (500, false)] {
        let advice = advice(status(code), "https://a/", Some(Protocol::Text), None);
        assert_eq!(advice.contains("`url`"), !is_busy, "{code}: {advice}");
        assert_eq!(advice.contains("`protocol`"), !is_busy, "{code}: {advice}");
    }
}

#[test]
fn clear_text_is_noted_of_a_source_that_is_reached() {
    let url = Url::parse("http://tokyo.example/").unwrap();
    let source = Source::new("tokyo", url, Span::from_secs(16));
    let mut visit = good();
    visit.survey.certificate_days = None;
    let links = visit.judge(&source, None);
    assert!(links[2].text.contains("clear text"), "{links:?}");
    assert_eq!(links[2].state, State::Note);
    visit.survey.peer = Some(Err(Error::HungUp));
    visit.sample = None;
    let links = visit.judge(&source, None);
    assert_eq!(links[2].state, State::Skipped, "{links:?}");
}

#[test]
fn an_address_needs_no_line_of_a_look_up() {
    let url = Url::parse("https://127.0.0.1/").unwrap();
    let source = Source::new("tokyo", url, Span::from_secs(16));
    let links = good().judge(&source, None);
    assert_eq!(links[0].name, "connection of tokyo", "{links:?}");
}
