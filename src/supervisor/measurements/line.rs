//! One line of the measurement log: an accepted exchange, or something else that the engine was told.
//!
//! In: a line of JSON. Out: an [`Item`], or why it is none; and the other way round. Integers are exact. Members and events that
//! nobody knows here are passed over. What follows from an item is not known here.

use crate::engine::estimate::Prior;
use crate::engine::exchange::{Exchange, Impossible};
use crate::engine::leap::{Leap, List};
use crate::engine::time::{Rate, Raw, Span, Utc};
use crate::protocol::kind;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An exchange with this source, before the source's configured `offset` is applied.
    Exchange(Cow<'a, str>, Exchange),
    /// A new start.
    Start {
        /// The id of this boot.
        boot: Cow<'a, str>,
        /// When.
        raw: Raw,
    },
    /// The file begins in the midst of a run: what the engine was told before stands in another file, or is lost.
    Continued {
        /// The id of this boot.
        boot: Cow<'a, str>,
        /// When.
        raw: Raw,
    },
    /// History was dropped, since all of it was measured before a break.
    Reset {
        /// When.
        raw: Raw,
        /// Which break, in a word; [`START`] where history did not come along with a start.
        why: Cow<'a, str>,
    },
    /// The configuration was read again.
    Reload {
        /// When.
        raw: Raw,
        /// The sources that began without history then.
        anew: Vec<Cow<'a, str>>,
    },
    /// Something is known of the oscillator from before.
    Rate {
        /// Since when.
        raw: Raw,
        /// What.
        prior: Prior,
    },
    /// What the server of a source speaks, which the configuration does not say, was found out, or known already.
    Protocol {
        /// When this was told.
        raw: Raw,
        /// The source's name.
        source: Cow<'a, str>,
        /// What its server speaks.
        kind: kind::Kind,
    },
    /// The list of leap seconds is another one from then on.
    LeapList {
        /// When.
        raw: Raw,
        /// Which, if there is one.
        list: Option<List>,
    },
    /// The cycles up to this one had ended before what follows was known, whenever it was received.
    Cycle {
        /// Its end.
        raw: Raw,
    },
    /// The cycle that was due next ended only now, with what was received by now.
    Late {
        /// When it ended.
        raw: Raw,
    },
    /// The daemon ended: no cycle after this did.
    Stop {
        /// When.
        raw: Raw,
    },
    /// An event that nobody knows here.
    Unknown,
}

/// Why history was dropped at a start in the same boot.
pub const START: &str = "start";

/// Why a line says nothing.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// It is no JSON object, or a member is missing or of another type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is a JSON object without a source and without an event.
    #[error("neither a source nor an event; is this a record of [log] measurements?")]
    Neither,
    /// A member that the event needs is not there.
    #[error("the event has no `{0}`")]
    Missing(&'static str),
    /// A member of the event that is a measure of doubt is zero or less.
    #[error("`{0}` is not above zero")]
    NotPositive(&'static str),
    /// It is this much earlier than a line above it, by the raw clock of one boot.
    #[error(
        "{} s earlier than a line above it; put older files before newer ones",
        .0.as_nanos() / 1_000_000_000
    )]
    Backwards(Span),
    /// Nothing stands in it.
    #[error("the line is empty")]
    Empty,
    /// The stamps cannot be one exchange.
    #[error("{0}")]
    Impossible(#[from] Impossible),
}

/// What servers say of leap seconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Warning {
    Insert,
    Delete,
    None,
}

/// An exchange, as it stands in the log.
#[derive(Serialize, Deserialize)]
struct Measured<'a> {
    #[serde(borrow)]
    source: Cow<'a, str>,
    sent: i64,
    arrived_before: i64,
    departed_after: i64,
    received: i64,
    #[serde(default)]
    leap: Option<Warning>,
    /// With one it is something else, whatever members it has in common.
    #[serde(default, skip_serializing)]
    event: Option<IgnoredAny>,
}

/// Anything else.
#[derive(Default, Serialize, Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    boot: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    why: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    anew: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_ppt: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sigma_ppt: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    protocol: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
}

/// Which of the two it is.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    source: Option<IgnoredAny>,
}

impl From<Leap> for Warning {
    fn from(leap: Leap) -> Self {
        match leap {
            Leap::None => Self::None,
            Leap::Insert => Self::Insert,
            Leap::Delete => Self::Delete,
        }
    }
}

impl From<Warning> for Leap {
    fn from(warning: Warning) -> Self {
        match warning {
            Warning::None => Self::None,
            Warning::Insert => Self::Insert,
            Warning::Delete => Self::Delete,
        }
    }
}

impl<'a> Item<'a> {
    /// Reads a line, with or without its end.
    pub fn read(line: &'a [u8]) -> Result<Self, BadLine> {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return Err(BadLine::Empty);
        }
        // Nearly all lines are exchanges. What else it is, and what is wrong, is found out when it is none.
        if let Ok(measured) = serde_json::from_slice::<Measured<'a>>(line)
            && measured.event.is_none()
        {
            return measured.item();
        }
        let kind: Kind<'a> = serde_json::from_slice(line)?;
        let Some(event) = kind.event else {
            return match kind.source {
                Some(_) => serde_json::from_slice::<Measured<'a>>(line)?.item(),
                None => Err(BadLine::Neither),
            };
        };
        match &*event {
            "start" | "continued" | "reset" | "reload" | "rate" | "protocol" | "leap-list"
            | "cycle" | "late" | "stop" => serde_json::from_slice::<Told<'a>>(line)?.item(),
            _ => Ok(Self::Unknown),
        }
    }

    /// The line, with its end; none for what is [`Unknown`](Self::Unknown).
    pub fn line(&self) -> Option<String> {
        let told = |event: &'static str, raw: &Raw| Told {
            event: event.into(),
            raw: Some(raw.as_nanos()),
            ..Told::default()
        };
        let told = match self {
            Self::Exchange(source, exchange) => {
                return ended(&Measured {
                    source: Cow::Borrowed(source),
                    sent: exchange.sent().as_nanos(),
                    arrived_before: exchange.arrived_before().as_nanos(),
                    departed_after: exchange.departed_after().as_nanos(),
                    received: exchange.received().as_nanos(),
                    leap: exchange.leap().map(Warning::from),
                    event: None,
                });
            }
            Self::Start { boot, raw } => Told {
                boot: Some(Cow::Borrowed(boot)),
                ..told("start", raw)
            },
            Self::Continued { boot, raw } => Told {
                boot: Some(Cow::Borrowed(boot)),
                ..told("continued", raw)
            },
            Self::Reset { raw, why } => Told {
                why: Some(Cow::Borrowed(why)),
                ..told("reset", raw)
            },
            Self::Reload { raw, anew } => Told {
                anew: anew.clone(),
                ..told("reload", raw)
            },
            Self::Rate { raw, prior } => Told {
                rate_ppt: Some(prior.rate.as_ppt()),
                sigma_ppt: Some(prior.sigma.as_ppt()),
                ..told("rate", raw)
            },
            Self::Protocol { raw, source, kind } => Told {
                source: Some(Cow::Borrowed(source)),
                protocol: Some(kind.name().into()),
                ..told("protocol", raw)
            },
            Self::LeapList { raw, list } => Told {
                last: list.map(|list| list.last.as_nanos()),
                step: list.map(|list| list.step),
                expires: list.map(|list| list.expires.as_nanos()),
                ..told("leap-list", raw)
            },
            Self::Cycle { raw } => told("cycle", raw),
            Self::Late { raw } => told("late", raw),
            Self::Stop { raw } => told("stop", raw),
            Self::Unknown => return None,
        };
        ended(&told)
    }
}

impl<'a> Measured<'a> {
    fn item(self) -> Result<Item<'a>, BadLine> {
        let exchange = Exchange::new(
            Raw::from_nanos(self.sent),
            Raw::from_nanos(self.received),
            Utc::from_nanos(self.arrived_before),
            Utc::from_nanos(self.departed_after),
            self.leap.map(Leap::from),
        )?;
        Ok(Item::Exchange(self.source, exchange))
    }
}

impl<'a> Told<'a> {
    fn item(self) -> Result<Item<'a>, BadLine> {
        let raw = Raw::from_nanos(self.raw.ok_or(BadLine::Missing("raw"))?);
        Ok(match &*self.event {
            "start" => {
                let boot = self.boot.ok_or(BadLine::Missing("boot"))?;
                Item::Start { boot, raw }
            }
            "continued" => {
                let boot = self.boot.ok_or(BadLine::Missing("boot"))?;
                Item::Continued { boot, raw }
            }
            "reset" => {
                let why = self.why.unwrap_or_default();
                Item::Reset { raw, why }
            }
            "reload" => Item::Reload {
                raw,
                anew: self.anew,
            },
            "rate" => {
                let rate = self.rate_ppt.ok_or(BadLine::Missing("rate_ppt"))?;
                let sigma = self.sigma_ppt.ok_or(BadLine::Missing("sigma_ppt"))?;
                if sigma <= 0 {
                    return Err(BadLine::NotPositive("sigma_ppt"));
                }
                let prior = Prior {
                    rate: Rate::from_ppt(rate),
                    sigma: Rate::from_ppt(sigma),
                };
                Item::Rate { raw, prior }
            }
            "protocol" => {
                let source = self.source.ok_or(BadLine::Missing("source"))?;
                let protocol = self.protocol.ok_or(BadLine::Missing("protocol"))?;
                // One that is not known here is for another version of this program.
                match kind::Kind::named(&protocol) {
                    Some(kind) => Item::Protocol { raw, source, kind },
                    None => Item::Unknown,
                }
            }
            "leap-list" => {
                let list = self.last.map(|last| {
                    Ok::<_, BadLine>(List {
                        last: Utc::from_nanos(last),
                        step: self.step.ok_or(BadLine::Missing("step"))?,
                        expires: self
                            .expires
                            .map(Utc::from_nanos)
                            .ok_or(BadLine::Missing("expires"))?,
                    })
                });
                let list = list.transpose()?;
                Item::LeapList { raw, list }
            }
            "cycle" => Item::Cycle { raw },
            "late" => Item::Late { raw },
            "stop" => Item::Stop { raw },
            _ => Item::Unknown,
        })
    }
}

fn ended(line: &impl Serialize) -> Option<String> {
    let mut line = serde_json::to_string(line).ok()?;
    line.push('\n');
    Some(line)
}

/// The exchange with its server's stamps moved; exact for every time that a server can name.
pub(crate) fn moved(exchange: &Exchange, by: Span) -> Result<Exchange, Impossible> {
    Exchange::new(
        exchange.sent(),
        exchange.received(),
        exchange.arrived_before() + by,
        exchange.departed_after() + by,
        exchange.leap(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = r#"{"source":"tokyo","sent":1194147238,"arrived_before":1795000001205186000,"departed_after":1795000001205185000,"received":1216814376,"leap":null}"#;

    fn read(line: &str) -> Result<Item<'_>, String> {
        Item::read(line.as_bytes()).map_err(|bad| bad.to_string())
    }

    #[test]
    fn a_line_is_written_as_it_was_read() {
        for line in [
            LINE,
            r#"{"event":"start","boot":"8c1a","raw":120000000}"#,
            r#"{"event":"continued","boot":"8c1a","raw":120000000}"#,
            r#"{"event":"reset","raw":7,"why":"suspend"}"#,
            r#"{"event":"reload","raw":-7}"#,
            r#"{"event":"reload","raw":7,"anew":["東京"]}"#,
            r#"{"event":"rate","raw":7,"rate_ppt":-31250000,"sigma_ppt":5}"#,
            r#"{"event":"protocol","raw":7,"source":"tokyo","protocol":"http-date"}"#,
            r#"{"event":"leap-list","raw":7,"last":1483228800000000000,"step":-1,"expires":-5}"#,
            r#"{"event":"leap-list","raw":7}"#,
            r#"{"event":"cycle","raw":7}"#,
            r#"{"event":"late","raw":7}"#,
            r#"{"event":"stop","raw":7}"#,
        ] {
            let item = read(line).expect(line);
            assert_eq!(item.line().as_deref(), Some(&*format!("{line}\n")));
        }
        for leap in ["insert", "delete", "none"] {
            let line = LINE.replace("null", &format!("{leap:?}"));
            assert_eq!(read(&line).expect("known").line(), Some(line + "\n"));
        }
    }

    #[test]
    fn integers_are_exact() {
        let Ok(Item::Exchange(source, exchange)) = read(LINE) else {
            panic!("an exchange");
        };
        assert_eq!(source, "tokyo");
        assert_eq!(exchange.sent().as_nanos(), 1_194_147_238);
        assert_eq!(
            exchange.arrived_before().as_nanos(),
            1_795_000_001_205_186_000
        );
        assert_eq!(
            exchange.departed_after().as_nanos(),
            1_795_000_001_205_185_000
        );
        assert_eq!(exchange.received().as_nanos(), 1_216_814_376);
    }

    #[test]
    fn what_nobody_knows_is_passed_over() {
        let more = LINE.replace(r#""sent""#, r#""temperature":[21.5],"sent""#);
        assert_eq!(read(&more), read(LINE));
        assert_eq!(
            read(r#"{"event":"eclipse","raw":"noon"}"#),
            Ok(Item::Unknown)
        );
        let refused = LINE.replace('{', r#"{"event":"refused","#);
        assert_eq!(read(&refused), Ok(Item::Unknown), "no reply that was used");
        assert_eq!(
            read(r#"{"event":"protocol","raw":7,"source":"tokyo","protocol":"sundial"}"#),
            Ok(Item::Unknown)
        );
        let less = LINE.replace(r#","leap":null"#, "");
        assert_eq!(read(&less), read(LINE));
    }

    #[test]
    fn a_bad_line_says_what_is_wrong() {
        for (line, what) in [
            ("", "the line is empty"),
            ("\r\n", "the line is empty"),
            ("[]", "column"),
            ("{}", "neither a source nor an event"),
            (r#"{"source":"tokyo"}"#, "missing field `sent`"),
            (&LINE[..90], "EOF"),
            (
                &LINE.replace("1194147238", "1194147238.0"),
                "floating point",
            ),
            (
                &LINE.replace("1194147238", "99999999999999999999"),
                "expected i64",
            ),
            (&LINE.replace("null", "\"perhaps\""), "unknown variant"),
            (&LINE.replace("1216814376", "1"), "received before"),
            (r#"{"event":"start","raw":1}"#, "no `boot`"),
            (r#"{"event":"reset"}"#, "no `raw`"),
            (r#"{"event":"protocol","raw":1}"#, "no `source`"),
            (
                r#"{"event":"protocol","raw":1,"source":"tokyo"}"#,
                "no `protocol`",
            ),
            (r#"{"event":"leap-list","raw":1,"last":1}"#, "no `step`"),
            (
                r#"{"event":"leap-list","raw":1,"last":1,"step":300}"#,
                "invalid value",
            ),
            (r#"{"event":"reset","raw":"1"}"#, "invalid type"),
            (
                r#"{"event":"rate","raw":1,"rate_ppt":0,"sigma_ppt":0}"#,
                "`sigma_ppt` is not above zero",
            ),
            (
                r#"{"event":"rate","raw":1,"rate_ppt":0,"sigma_ppt":-9223372036854775808}"#,
                "`sigma_ppt` is not above zero",
            ),
        ] {
            let told = read(line).expect_err(line);
            assert!(told.contains(what), "{line}: {told}");
        }
    }

    proptest! {
        #[test]
        fn an_offset_is_taken_off_and_put_on_again_exactly(
            sent in 0i64..1 << 60, took in 0i64..3_600_000_000_000, stamp in 0i64..4_000_000_000_000_000_000,
            within in 0i64..3_600_000_000_000, offset in -60_000_000_000i64..60_000_000_000,
        ) {
            let stamp = Utc::from_nanos(stamp);
            let exchange = Exchange::new(
                Raw::from_nanos(sent),
                Raw::from_nanos(sent + took),
                stamp,
                stamp + Span::from_nanos(within.min(took)),
                Some(Leap::Insert),
            ).expect("possible");
            let offset = Span::from_nanos(offset);
            let without = moved(&exchange, -offset).expect("possible");
            prop_assert_eq!(moved(&without, offset), Ok(exchange));
        }

        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Item::read(&line);
        }
    }
}
