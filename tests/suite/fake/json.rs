//! The JSON of a reply, in the manners that servers have.
//!
//! In: the names of the members; the echo and the stamps, as text. Out: the body, and where its first stamp stands. Not: numbers; digits go through
//! as they are.

use std::ops::Range;

/// Members that no client asked for: a string, a number, and a nest of decoys.
pub(crate) const STRANGERS: &[(&str, &str)] = &[
    ("note", r#""not \"st\":1.5} but \u007b a string\\""#),
    ("version", "2.50"),
    (
        "more",
        r#"{"st":1.0,"it":[1,{"time":null}],"leap":false,"}":"{"}"#,
    ),
];

/// How the echo is formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    /// As it came.
    AsSent,
    /// Without zeros at the end of the fraction, as who prints the shortest form does.
    TrailingZerosDropped,
    /// With three more digits.
    ThreeZerosMore,
}

/// The order of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// `id it st time leap next step`.
    AsDocumented,
    /// The same, backwards.
    Backwards,
    /// The first stamp comes last.
    StampLast,
}

/// The manners of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonShape {
    /// How `it` is formatted.
    pub(crate) echo: Echo,
    /// The order of the members.
    pub(crate) order: Order,
    /// Blanks, tabs and line ends between the tokens.
    pub(crate) spaced: bool,
    /// Members that come before the known ones, as names and JSON values; see [`STRANGERS`].
    pub(crate) strangers: &'static [(&'static str, &'static str)],
    /// TAI−UTC before `next`, seconds.
    pub(crate) leap: i64,
    /// The next, else the last, leap second, Unix seconds.
    pub(crate) next: i64,
    /// Its sign.
    pub(crate) step: i64,
}

impl JsonShape {
    /// A plain server with today's list of leap seconds.
    pub(crate) fn plain() -> Self {
        Self {
            echo: Echo::AsSent,
            order: Order::AsDocumented,
            spaced: false,
            strangers: &[],
            leap: 36,
            next: 1_483_228_800,
            step: 1,
        }
    }

    /// The echo of what came, 0 of nothing. None if what came is no number.
    pub(crate) fn echo(&self, it: &str) -> Option<String> {
        if it.is_empty() {
            return Some("0".to_owned());
        }
        let (whole, fraction) = it.split_once('.').unwrap_or((it, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || it.len() > 40 || !digits(whole) || !digits(fraction) {
            return None;
        }
        Some(match self.echo {
            Echo::AsSent => it.to_owned(),
            Echo::TrailingZerosDropped if fraction.is_empty() => whole.to_owned(),
            Echo::TrailingZerosDropped => {
                let kept = it.trim_end_matches('0').trim_end_matches('.');
                kept.to_owned()
            }
            Echo::ThreeZerosMore => format!("{whole}.{fraction}000"),
        })
    }

    /// The body: these members, each stamp as often as there are stamps.
    pub(crate) fn render(&self, names: &[&str], id: &str, it: &str, stamps: &[String]) -> Body {
        let quoted = format!("\"{id}\"");
        let (leap, next, step) = (
            self.leap.to_string(),
            self.next.to_string(),
            self.step.to_string(),
        );
        let mut members: Vec<(&str, &str)> = Vec::new();
        for name in names {
            let value = match *name {
                "id" => quoted.as_str(),
                "it" => it,
                "leap" => &leap,
                "next" => &next,
                "step" => &step,
                _ => {
                    members.extend(stamps.iter().map(|stamp| (*name, stamp.as_str())));
                    continue;
                }
            };
            members.push((name, value));
        }
        match self.order {
            Order::AsDocumented => {}
            Order::Backwards => members.reverse(),
            Order::StampLast => {
                if let Some(first) = members.iter().position(is_stamp) {
                    members[first..].rotate_left(1);
                }
            }
        }
        let (gap, end) = if self.spaced {
            (" \t", "\r\n")
        } else {
            ("", "")
        };
        let mut body = Body {
            text: format!("{{{end}"),
            stamp: None,
        };
        let known = self.strangers.len();
        for (nth, member) in self.strangers.iter().chain(&members).enumerate() {
            let (name, value) = member;
            let comma = if nth == 0 { "" } else { "," };
            body.text
                .push_str(&format!("{comma}{end}{gap}\"{name}\"{gap}:{gap}"));
            let start = body.text.len();
            body.text.push_str(value);
            if nth >= known && is_stamp(member) {
                body.stamp.get_or_insert(start..body.text.len());
            }
        }
        body.text.push_str(&format!("{end}}}{end}"));
        body
    }
}

fn is_stamp((name, _): &(&str, &str)) -> bool {
    matches!(*name, "st" | "time")
}

/// A body, and where its first stamp stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Body {
    /// All of it.
    pub(crate) text: String,
    /// From the first to the last digit of the first stamp.
    pub(crate) stamp: Option<Range<usize>>,
}
