//! A link of the chain, and what was found about it.
//!
//! In: findings, in the order in which the time travels. Out: lines for people, or an object for programs, and the verdict.

use crate::status::words::{count, plain};
use serde::{Serialize, Serializer};
use std::fmt;

/// How it is with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, or may; worth to be known.
    Note,
    /// It does not work.
    Fault,
    /// Not looked at.
    Skipped,
}

/// What was found about a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Link {
    /// Which link: `configuration`, `tls tokyo`.
    #[serde(serialize_with = "visible")]
    pub(super) name: String,
    pub(super) state: State,
    /// What was found.
    #[serde(serialize_with = "visible")]
    pub(super) text: String,
    /// What to do.
    #[serde(serialize_with = "visible_if_any")]
    pub(super) remedy: Option<String>,
    /// Of a fault: whether the time comes through all the same.
    #[serde(skip)]
    is_minor: bool,
}

impl Link {
    fn new(name: impl Into<String>, state: State, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state,
            text: text.into(),
            remedy: None,
            is_minor: false,
        }
    }

    pub(super) fn ok(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, State::Ok, text)
    }

    pub(super) fn note(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, State::Note, text)
    }

    pub(super) fn fault(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, State::Fault, text)
    }

    /// A link that cannot be judged, and why.
    pub(super) fn skipped(name: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::new(name, State::Skipped, format!("not looked at: {why}"))
    }

    /// And what to do.
    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// And that the time comes through all the same: there are others.
    pub(super) fn minor(mut self) -> Self {
        self.is_minor = true;
        self
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.state {
            State::Ok => "ok",
            State::Note => "note",
            State::Fault => "FAULT",
            State::Skipped => "-",
        };
        write!(f, "{mark:<5}  {}: {}", plain(&self.name), plain(&self.text))?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n       -> {}", plain(remedy)),
            None => Ok(()),
        }
    }
}

fn visible<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&plain(text))
}

fn visible_if_any<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => visible(text, serializer),
        None => serializer.serialize_none(),
    }
}

/// All links together.
#[derive(Debug, Serialize)]
pub(super) struct Diagnosis {
    /// How many links are at fault.
    faults: usize,
    verdict: String,
    links: Vec<Link>,
}

impl Diagnosis {
    pub(super) fn new(links: Vec<Link>) -> Self {
        let faulty = || links.iter().filter(|link| link.state == State::Fault);
        let faults = faulty().count();
        // Whatever keeps all time from the reader goes before a source that others stand in for.
        let first = faulty().find(|link| !link.is_minor);
        let verdict = match first.or_else(|| faulty().next()) {
            None => "all is well".to_owned(),
            Some(first) if faults == 1 => format!("1 fault: {}", first.name),
            Some(first) => {
                let faults = count(faults as u64, "fault");
                format!("{faults}; begin with: {}", first.name)
            }
        };
        Self {
            faults,
            verdict,
            links,
        }
    }

    pub(super) fn is_well(&self) -> bool {
        self.faults == 0
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for link in &self.links {
            writeln!(f, "{link}")?;
        }
        write!(f, "{}", plain(&self.verdict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_counts_the_faults_and_names_the_first() {
        let fault = |name| Link::fault(name, "broken").remedy("mend it");
        let verdict = |links: &[Link]| Diagnosis::new(links.to_vec()).verdict;
        let well = [
            Link::ok("a", "good"),
            Link::note("b", "odd"),
            Link::skipped("c", "no rights"),
        ];
        assert_eq!(verdict(&well), "all is well");
        assert!(Diagnosis::new(well.to_vec()).is_well());
        assert_eq!(verdict(&[well[0].clone(), fault("x")]), "1 fault: x");
        let two = [well[0].clone(), fault("x"), fault("y")];
        assert_eq!(verdict(&two), "2 faults; begin with: x");
        assert!(!Diagnosis::new(two.to_vec()).is_well());
        let minor = [fault("x").minor(), fault("y")];
        assert_eq!(verdict(&minor), "2 faults; begin with: y");
        assert_eq!(verdict(&minor[..1]), "1 fault: x");
    }

    #[test]
    fn a_link_has_a_mark_a_line_and_below_it_what_to_do() {
        let link = Link::fault("segment", "nobody has it").remedy("start a daemon");
        assert_eq!(
            link.to_string(),
            "FAULT  segment: nobody has it\n       -> start a daemon"
        );
        assert_eq!(
            Link::skipped("tls", "no network").to_string(),
            "-      tls: not looked at: no network"
        );
        assert_eq!(
            serde_json::to_string(&link).unwrap(),
            r#"{"name":"segment","state":"fault","text":"nobody has it","remedy":"start a daemon"}"#
        );
    }

    #[test]
    fn nobody_who_is_quoted_can_forge_a_line_or_move_the_cursor() {
        let link =
            Link::fault("a", "x\nok     b: fine\u{1b}[2J\u{202e}\u{61c}\u{200f}").remedy("y\r");
        let text = link.to_string();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            !text.contains(['\u{1b}', '\r', '\u{202e}', '\u{61c}', '\u{200f}']),
            "{text}"
        );
        assert!(!serde_json::to_string(&link).unwrap().contains("u001b"));
    }
}
