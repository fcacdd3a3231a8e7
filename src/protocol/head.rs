//! The head of an HTTP reply: was it made for us, just now, and in a form that we asked for?
//!
//! In: the status and the header fields. Out: nothing, or a refusal. It does not look at the body, nor for
//! the time.

use crate::engine::time::{Span, Utc};
use crate::protocol::date;
use crate::protocol::excerpt::Excerpt;
use crate::protocol::refusal::Refusal;

/// Refuses a reply whose status is not 2xx, that shows signs of a cache, or that is coded. That no sign
/// is there proves nothing: hence the echo of the request in the body.
pub fn check_head<'a>(
    status: u16,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<(), Refusal> {
    let mut location = None;
    let mut retry_after = None;
    let (mut retry_at, mut date): (Option<Utc>, Option<Utc>) = (None, None);
    let mut sign = None;
    for (name, value) in headers {
        let refusal = match name.to_ascii_lowercase().as_str() {
            "location" => {
                location = Some(Excerpt::of(value));
                None
            }
            "retry-after" => {
                retry_after = delta_seconds(value);
                retry_at = date::parse(value.trim_ascii()).ok();
                None
            }
            "date" => {
                date = date::parse(value.trim_ascii()).ok();
                None
            }
            "age" => Some(Refusal::Aged {
                age: Excerpt::of(value),
            }),
            "x-cache" if tells_of_a_hit(value) => Some(Refusal::CacheHit),
            "content-encoding" if !value.trim_ascii().eq_ignore_ascii_case(b"identity") => {
                Some(Refusal::Coded {
                    coding: Excerpt::of(value),
                })
            }
            _ => None,
        };
        sign = sign.or(refusal);
    }
    // RFC 9110 §10.2.3: seconds, or a date. Whoever needs the time from us has no clock to hold a date
    // against, but the server's own.
    if let (Some(at), Some(date)) = (retry_at, date) {
        retry_after = Some(at - date).filter(|pause| *pause > Span::ZERO);
    }
    match (status, location) {
        (200..=299, _) => sign.map_or(Ok(()), Err),
        (300..=399, Some(location)) => Err(Refusal::Redirect {
            code: status,
            location,
        }),
        _ => Err(Refusal::Status {
            code: status,
            retry_after,
        }),
    }
}

/// `Retry-After` in its form of whole seconds.
fn delta_seconds(value: &[u8]) -> Option<Span> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = digits.iter().fold(0i64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    Some(Span::from_secs(seconds))
}

/// Whether an `X-Cache` field has `HIT` or a word like `TCP_HIT` in it; the names of hosts that stand there, too, may contain
/// anything.
fn tells_of_a_hit(value: &[u8]) -> bool {
    let mut words = value.split(|byte| !(byte.is_ascii_alphanumeric() || b"_.-".contains(byte)));
    words.any(|word| {
        word.rsplit(|&byte| byte == b'_')
            .next()
            .is_some_and(|last| last.eq_ignore_ascii_case(b"hit"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, headers: &[(&'static str, &'static str)]) -> Result<(), Refusal> {
        check_head(status, headers.iter().map(|(n, v)| (*n, v.as_bytes())))
    }

    fn status(code: u16, retry_after: Option<i64>) -> Result<(), Refusal> {
        Err(Refusal::Status {
            code,
            retry_after: retry_after.map(Span::from_secs),
        })
    }

    #[test]
    fn an_ordinary_head_passes() {
        let headers = [
            ("Date", "x"),
            ("X-Cache", "Miss from cloudfront"),
            (
                "X-Cache",
                "MISS from white.example, MISS from architect-proxy:3128",
            ),
            ("Content-Encoding", "Identity"),
        ];
        assert_eq!(check(200, &headers), Ok(()));
        assert_eq!(check(204, &[]), Ok(()));
    }

    #[test]
    fn a_status_other_than_2xx_is_refused() {
        for code in [101, 304, 404, 500, 999] {
            assert_eq!(check(code, &[]), status(code, None));
        }
    }

    #[test]
    fn retry_after_is_kept_when_it_is_in_seconds() {
        let asked = |text| check(429, &[("Retry-After", text)]);
        assert_eq!(asked(" 120 "), status(429, Some(120)));
        assert_eq!(
            asked("99999999999999999999"),
            Err(Refusal::Status {
                code: 429,
                retry_after: Some(Span::MAX)
            })
        );
        for text in ["Fri, 31 Dec 1999 23:59:59 GMT", "-1", "", "1.5"] {
            assert_eq!(asked(text), status(429, None), "{text:?}");
        }
    }

    #[test]
    fn retry_after_as_a_date_is_held_against_the_servers_own() {
        let asked = |date, at| check(503, &[("Date", date), ("Retry-After", at)]);
        let (at, later) = (
            "Fri, 31 Dec 1999 23:59:29 GMT",
            "Fri, 31 Dec 1999 23:59:59 GMT",
        );
        assert_eq!(asked(at, later), status(503, Some(30)));
        assert_eq!(asked(later, at), status(503, None));
        assert_eq!(asked(at, "7"), status(503, Some(7)));
        assert_eq!(asked("now", later), status(503, None));
    }

    #[test]
    fn a_redirect_is_refused_with_its_goal() {
        assert_eq!(
            check(302, &[("location", "http://portal/")]),
            Err(Refusal::Redirect {
                code: 302,
                location: Excerpt::of(b"http://portal/")
            })
        );
    }

    #[test]
    fn a_reply_out_of_a_cache_is_refused() {
        assert_eq!(
            check(200, &[("AGE", "0")]),
            Err(Refusal::Aged {
                age: Excerpt::of(b"0")
            })
        );
        for value in ["HIT", "TCP_hit", "Hit from cloudfront", "MISS, HIT"] {
            assert_eq!(
                check(200, &[("x-cache", value)]),
                Err(Refusal::CacheHit),
                "{value}"
            );
        }
    }

    #[test]
    fn a_coding_that_was_not_asked_for_is_refused() {
        assert_eq!(
            check(200, &[("content-encoding", "gzip")]),
            Err(Refusal::Coded {
                coding: Excerpt::of(b"gzip")
            })
        );
    }
}
