//! Finding out what a web server speaks, where nobody has said so.
//!
//! In: the replies to four questions at the most. Out: the next question, a [`Kind`], or why nothing is settled. A kind is settled
//! only by a good reply to the very request that this kind sends, so what is found can be measured; and by a second, later one where
//! a reply does not name its question, for a number that merely stands there looks like a time as well. It goes from the finest kinds
//! to the coarsest, and on to the next question only when a real answer has ruled the present one out: whatever may pass (no answer,
//! a server that is busy, a cache, a portal, a redirect, a stamp that cannot be) settles nothing, and all begins anew.
//!
//! It asks nobody and measures nothing.

use crate::engine::time::{Span, Utc};
use crate::protocol::header::Fields;
use crate::protocol::kind::{Kind, Reading};
use crate::protocol::plausible::Plausible;
use crate::protocol::refusal::{Refusal, is_html};
use crate::protocol::request::Request;
use crate::protocol::stamp::Rounding;

/// How long a server is left alone that has answered and told no time.
const NO_TIME_PAUSE: Span = Span::from_secs(600);

/// How far the search for a server's kind has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    question: Question,
    /// The URL itself was answered, and not with a time.
    has_page: bool,
    /// The kind that the last reply is a good one of, if it may as well be a number that stands still, and the time it told.
    first: Option<(Kind, Utc)>,
}

/// Why nothing is settled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// A reply that says nothing about the server, or nothing that lasts.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A page in clear text, or something else of no kind beside a `Date`: anybody on the way can put his own there, and portals do.
    #[error(
        "the reply proves nothing: in clear text anybody on the way may have said this, a captive portal as well; name its `protocol` if this is the right server"
    )]
    Page,
    /// A good reply of a kind, and then something else: the same time, none at all, or another kind's.
    #[error(
        "what it replies looks like a time, but does not go on: the second reply was no later time; correct its `url`, or name its `protocol`"
    )]
    Still,
    /// All questions were answered, none with a time.
    #[error("none of its replies is a time; correct its `url`, or name its `protocol`")]
    NoTime,
}

/// What is asked; each is the request of all the kinds that a reply to it may be of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Question {
    /// The URL with our time in its query.
    #[default]
    Echo,
    /// The URL.
    Plain,
    /// The well-known place of Time over HTTPS.
    WellKnown,
    /// The head of the URL.
    Head,
}

impl Question {
    /// The kinds whose request it is, the finest first. `nict` is not among them: `webntp` is understood wherever it is spoken.
    const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Echo => &[Kind::WebNtp],
            Self::Plain => &[Kind::HtpTime, Kind::XTime, Kind::Text],
            Self::WellKnown => &[Kind::HttpsTime],
            Self::Head => &[Kind::HttpDate],
        }
    }

    const fn next(self) -> Option<Self> {
        match self {
            Self::Echo => Some(Self::Plain),
            Self::Plain => Some(Self::WellKnown),
            Self::WellKnown => Some(Self::Head),
            Self::Head => None,
        }
    }

    /// Whether it is for what the URL stands for.
    const fn is_for_the_page(self) -> bool {
        matches!(self, Self::Echo | Self::Plain)
    }
}

impl Finding {
    /// The question to ask at `now` by our clock, see [`Kind::request`].
    pub fn request(&self, now: Utc, nonce: u64) -> Request {
        self.question.kinds()[0].request(now, nonce)
    }

    /// Takes in the answer to `request`, the fields and the body of a reply or why it is refused; `is_verified` if it came from a
    /// server that has shown its certificate. Gives the kind, or nothing as long as there is another question.
    pub fn answered(
        &mut self,
        request: &Request,
        answer: Result<(&Fields<'_>, &[u8]), Refusal>,
        is_verified: bool,
        plausible: &Plausible,
    ) -> Result<Option<Kind>, Undecided> {
        let judged = match answer {
            Ok((fields, body)) => {
                match could_be(self.question.kinds(), request, fields, body, plausible) {
                    _ if !is_verified && is_page(fields, body) => Err(Undecided::Page),
                    Ok(Some((Kind::HttpDate, _))) if !self.has_page => Err(Undecided::NoTime),
                    Ok(found) => Ok((found, true)),
                    Err(refusal) => Err(refusal.into()),
                }
            }
            Err(Refusal::Html) if !is_verified => Err(Undecided::Page),
            Err(Refusal::BodyTooLarge | Refusal::Html) if is_verified => Ok((None, true)),
            Err(refusal) if is_a_no(&refusal) => Ok((None, false)),
            // There is none at the well-known place that is for everybody.
            Err(refusal)
                if is_verified && self.question == Question::WellKnown && is_barred(&refusal) =>
            {
                Ok((None, false))
            }
            Err(refusal) => Err(refusal.into()),
        };
        let judged = judged.and_then(|(found, came)| self.go_on(found, came, is_verified));
        if judged.is_err() {
            *self = Self::default();
        }
        judged
    }

    /// What follows from the kind that a reply is a good one of and what it says, if any; `came` if it is a reply at all.
    fn go_on(
        &mut self,
        found: Option<(Kind, Reading)>,
        came: bool,
        is_verified: bool,
    ) -> Result<Option<Kind>, Undecided> {
        if let Some((kind, first)) = self.first {
            let goes_on =
                found.is_some_and(|(again, reading)| again == kind && time(&reading) > first);
            return goes_on.then_some(Some(kind)).ok_or(Undecided::Still);
        }
        match (found, self.question.next()) {
            // For a date no question is left; no page has one that stands still by itself.
            (Some((kind, reading)), next) if reading.echoes || next.is_none() => Ok(Some(kind)),
            (Some((kind, reading)), _) => {
                self.first = Some((kind, time(&reading)));
                Ok(None)
            }
            // Everybody on the way can send a date.
            (None, Some(Question::Head)) if !is_verified => Err(Undecided::Page),
            (None, Some(next)) => {
                self.has_page |= came && self.question.is_for_the_page();
                self.question = next;
                Ok(None)
            }
            (None, None) => Err(Undecided::NoTime),
        }
    }
}

impl Undecided {
    /// How long the server wants to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Span> {
        match self {
            Self::Refused(refusal) => refusal.retry_after(),
            Self::Page => None,
            Self::Still | Self::NoTime => Some(NO_TIME_PAUSE),
        }
    }
}

/// The time that a reply tells.
fn time(reading: &Reading) -> Utc {
    reading.server.departed_after
}

/// The first of `kinds` that a reply is a good one of, and what it says; none if it is plainly of none of them. Fails where it
/// may be a bad reply of one of them.
fn could_be(
    kinds: &[Kind],
    request: &Request,
    fields: &Fields<'_>,
    body: &[u8],
    plausible: &Plausible,
) -> Result<Option<(Kind, Reading)>, Refusal> {
    for kind in kinds {
        match kind.read(request, fields, body, Rounding::Unknown, plausible) {
            Ok(reading) => return Ok(Some((*kind, reading))),
            Err(refusal) if is_another_kinds(&refusal) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(None)
}

/// Whether a reply that is refused for this is not one of the kind at all, and none of the next request will be.
fn is_another_kinds(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::EmptyBody
            | Refusal::Html
            | Refusal::Malformed { .. }
            | Refusal::Trailing { .. }
            | Refusal::TooDeep
            | Refusal::Missing { .. }
            | Refusal::HeaderMissing { .. }
            | Refusal::PageInstead { .. }
            | Refusal::NoTime { .. }
    )
}

/// Whether a refusal is the server's own and lasting word that there is nothing of the kind (RFC 9110 §15.5, §15.6.2). Those who may
/// not or cannot just now (401, 403, 429, 5xx) have not said so.
fn is_a_no(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Status {
            code: 400 | 404 | 405 | 406 | 410 | 501,
            ..
        }
    )
}

/// Whether a place is for some only, or elsewhere.
fn is_barred(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Redirect { .. }
            | Refusal::Status {
                code: 401 | 403,
                ..
            }
    )
}

/// Whether a reply is a page for people, or the head of one.
fn is_page(fields: &Fields<'_>, body: &[u8]) -> bool {
    let says_so = |(name, value): &(&str, &[u8])| {
        let value = value.to_ascii_lowercase();
        name.eq_ignore_ascii_case("content-type")
            && (value.starts_with(b"text/html") || value.starts_with(b"application/xhtml"))
    };
    is_html(body) || fields.iter().any(says_so)
}

#[cfg(test)]
mod tests;
