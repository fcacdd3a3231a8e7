//! The lines for another daemon's configuration, as they can be appended to its file.
//!
//! In: [`Facts`]. Out: text; all that is no directive is a comment, and each directive has its reasons above it.

use super::Daemon;
use super::facts::Facts;
use super::numbers::{LEAST_BOUND, Seconds, delay, least_distance, poll, precision, readable};
use crate::engine::time::Span;
use crate::status::table::Length;
use crate::status::words::roughly;
use crate::sys::EXAMPLES;
use std::path::Path;

/// Where a socket for chronyd is, as long as nobody says otherwise. Debian's AppArmor profile lets it be nowhere else.
const USUAL_SOCK: &str = "/run/chrony.webntpd.sock";

/// The first unit whose segment is for everyone; 0 and 1 are root's.
const FIRST_PUBLIC_UNIT: u8 = 2;

/// chronyd passes over sources that may be off by more than 3 s, unless `maxdistance` says otherwise. What it adds itself needs room.
const CHRONY_REACH: Span = Span::from_millis(2_500);

/// ntpd passes over servers that may be off by more than 1.5 s, and takes `mindist` for the least that each may be off.
const HIGHEST_MINDIST: Span = Span::from_secs(1);

/// A poll interval, log2 s, from which on it takes a long while until anything is selected.
const SLOW_POLL: u8 = 9;

/// The servers do not tell theirs.
const STRATUM: &str = "stratum 2";
const STRATUM_WHY: &str = "behind it is a server on the web. With 0, which is usual for a clock, this machine would tell \
     others that it is stratum 1. Web servers do not say theirs; 2 is an honest guess";

const REFID_WHY: &str = "its name in ntpq -p and chronyc sources, up to four letters";

/// Why there are no lines to print.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoLines {
    /// Only chronyd reads sockets.
    #[error(
        "webntpd writes no shared memory, and this daemon reads nothing else; remove `enable = false` from [shm]"
    )]
    NoSegment,
    /// The other daemon takes the space for the end of the path.
    #[error(
        "chronyd cannot be told of {0:?}: it has a space or an invisible character; name another path in [[sock]]"
    )]
    Space(String),
}

/// All lines for `daemon`; with `sock`, for a socket even where none is configured.
pub(super) fn lines(daemon: Daemon, facts: &Facts, sock: bool) -> Result<String, NoLines> {
    let mut text = Text::default();
    match daemon {
        Daemon::Chrony => chrony(&mut text, facts, sock)?,
        Daemon::Ntpsec => ntpsec(&mut text, facts)?,
        Daemon::Ntp => ntp(&mut text, facts)?,
    }
    Ok(text.0)
}

fn chrony(text: &mut Text, facts: &Facts, sock: bool) -> Result<(), NoLines> {
    begin(
        text,
        facts,
        "webntp setup chrony: for chrony.conf, or a file of its own in /etc/chrony/conf.d. Restart chronyd afterwards.",
    );
    let poll = poll(facts.cycle);
    let source = match (facts.sock(), facts.unit) {
        (Some(path), unit) => {
            if path
                .to_string_lossy()
                .contains(|letter: char| letter.is_whitespace() || letter.is_control())
            {
                return Err(NoLines::Space(path.display().to_string()));
            }
            if let Some(unit) = unit {
                text.say(&format!(
                    "Samples are written to SHM({unit}) as well. Do not name both here: chronyd would take one clock for two."
                ));
            }
            sock_source(text, path)
        }
        (None, unit) if sock || unit.is_none() => {
            text.say("webntpd sends to no socket yet: add to its configuration the two lines");
            text.copy(&["[[sock]]", &format!("path = \"{USUAL_SOCK}\"")]);
            if unit.is_some() {
                text.say("and, if chronyd is the only daemon that reads, switch the segment off:");
                text.copy(&["[shm]", "enable = false"]);
            }
            sock_source(text, Path::new(USUAL_SOCK))
        }
        (None, Some(unit)) => {
            say_one_reader(text);
            shm_source(text, unit, facts.is_public)
        }
        (None, None) => return Err(NoLines::NoSegment),
    };
    let delay = delay(facts.bound);
    let mut options = vec![
        "refid WEB".to_owned(),
        STRATUM.to_owned(),
        format!("poll {poll}"),
        "filter 2".to_owned(),
        format!("delay {}", Seconds(delay)),
    ];
    text.item("refid WEB", REFID_WHY);
    text.item(STRATUM, STRATUM_WHY);
    text.item(
        &options[2],
        &format!(
            "every {} s: at least two samples in each, there is one every {} (cycle). Selected after three polls, {}",
            1_u32 << poll,
            roughly(facts.cycle),
            roughly(Span::from_secs(3 << poll))
        ),
    );
    text.item(
        "filter 2",
        "the last two samples make one; chronyd up to 4.6 takes no poll that has fewer than this",
    );
    text.item(
        &options[4],
        &format!(
            "half of it is the greatest error that chronyd reckons with: {}. Without it, chronyd believes neither this nor a server that says otherwise",
            reckoned("twice ", facts)
        ),
    );
    if let Some(jitter) = facts.jitter {
        let option = format!("precision {}", Seconds(precision(jitter)));
        text.item(
            &option,
            &format!(
                "how much samples scatter: jitter {}, rounded up",
                Length(jitter)
            ),
        );
        options.push(option);
    }
    text.say(
        "chronyc sources shows it with *, or with - beside servers that know better: believed, and not needed. x means that it is not believed.",
    );
    text.line(&format!("{source} {}", options.join(" ")));
    if delay.half() > CHRONY_REACH {
        let distance = Seconds(readable(delay.half() + CHRONY_REACH.half()));
        text.say(
            "Sources that may be off by more than 3 s are never selected, unless this says so. It holds for all of them.",
        );
        text.line(&format!("maxdistance {distance}"));
    }
    Ok(())
}

fn sock_source(text: &mut Text, path: &Path) -> String {
    let source = format!("refclock SOCK {}", path.display());
    text.item(
        &source,
        &format!(
            "chronyd makes the socket, for root alone: install {EXAMPLES}/chrony-sock.conf as a drop-in of \
             chrony.service, so that webntpd may send to it"
        ),
    );
    source
}

fn shm_source(text: &mut Text, unit: u8, is_public: bool) -> String {
    let (perm, why) = if is_public {
        (
            ":perm=0666",
            "; perm lets webntpd write even if chronyd is the one that makes it",
        )
    } else {
        ("", "")
    };
    let source = format!("refclock SHM {unit}{perm}");
    text.item(&source, &format!("the segment that webntpd writes{why}"));
    source
}

fn ntpsec(text: &mut Text, facts: &Facts) -> Result<(), NoLines> {
    let unit = facts.unit.ok_or(NoLines::NoSegment)?;
    begin(
        text,
        facts,
        "webntp setup ntpsec: for /etc/ntpsec/ntp.conf. Restart ntpd afterwards.",
    );
    say_one_reader(text);
    let source = format!("refclock shm unit {unit}");
    text.item(
        &source,
        &format!("the segment that webntpd writes; ntpq calls it SHM({unit})"),
    );
    text.item("refid WEB", REFID_WHY);
    text.item(STRATUM, STRATUM_WHY);
    let polls = ntpd_polls(text, facts);
    text.say(&format!(
        "Nothing says how far off it may be, now ± {}: each sample does (its precision), and ntpsec reckons with it. \
         So it needs no tos mindist. It takes any offset; flag1 1 would have it refuse more than 4 h (or time2). Classic ntpd has flag1 the other way round.",
        Length(facts.bound)
    ));
    text.line(&format!("{source} refid WEB {STRATUM} {polls}"));
    Ok(())
}

fn ntp(text: &mut Text, facts: &Facts) -> Result<(), NoLines> {
    let unit = facts.unit.ok_or(NoLines::NoSegment)?;
    begin(
        text,
        facts,
        "webntp setup ntp: for /etc/ntp.conf of classic ntpd, 4.2.8. Restart ntpd afterwards.",
    );
    say_one_reader(text);
    let clock = format!("127.127.28.{unit}");
    text.item(
        &format!("server {clock}"),
        &format!("the segment that webntpd writes, unit {unit}"),
    );
    let polls = ntpd_polls(text, facts);
    text.line(&format!("server {clock} {polls}"));
    text.item("refid WEB", REFID_WHY);
    text.item(STRATUM, STRATUM_WHY);
    text.say(
        "Without flag1, ntpd refuses a sample that is off by more than 4 h (or time2); flag1 1 takes any. ntpsec has it the other way round.",
    );
    text.line(&format!("fudge {clock} refid WEB {STRATUM}"));
    let distance = least_distance(facts.bound);
    let tos = format!("tos mindist {}", Seconds(distance));
    text.item(
        &tos,
        &format!(
            "the least error that ntpd reckons with, since it does not heed what a sample says of its own; {}. It holds for \
             all servers: one that is wrong by less than this is not found out",
            reckoned("", facts)
        ),
    );
    // Taken as it is, that would do more harm to the others than good to us.
    if facts.jitter.is_none() {
        text.say("Nothing has been observed, so it is not in force:");
        text.say(&tos);
    } else if distance > HIGHEST_MINDIST {
        text.say("It is not in force: ntpd would take no server any more, 1.5 s is the most that one may be off.");
        text.say(&tos);
    } else {
        text.line(&tos);
    }
    Ok(())
}

/// `minpoll 5 maxpoll 5`, explained.
fn ntpd_polls(text: &mut Text, facts: &Facts) -> String {
    let poll = poll(facts.cycle);
    let polls = format!("minpoll {poll} maxpoll {poll}");
    text.item(
        &polls,
        &format!(
            "every {} s: at least two samples in each, there is one every {} (cycle)",
            1_u32 << poll,
            roughly(facts.cycle)
        ),
    );
    polls
}

/// What stands above all lines.
fn begin(text: &mut Text, facts: &Facts, head: &str) {
    text.say(head);
    for sentence in &facts.origin {
        text.say(sentence);
    }
    if let Some(unit) = facts.unit.filter(|unit| *unit < FIRST_PUBLIC_UNIT) {
        text.say(&format!(
            "SHM({unit}) is root's own by custom: whoever makes the segment first as root makes it for root alone, and webntpd, \
             which is not root, may not write it. Take unit 2 or above ([shm] unit), or see {EXAMPLES}/units-0-and-1.conf."
        ));
    }
    if poll(facts.cycle) >= SLOW_POLL {
        text.say(&format!(
            "A sample every {} is rare for a reference clock: a lower cycle lets the daemon notice sooner what is wrong.",
            roughly(facts.cycle)
        ));
    }
}

/// What a segment asks of its readers; a socket has one by itself.
fn say_one_reader(text: &mut Text) {
    text.say("One reader a unit: two daemons on one take each other's samples away. Each needs a webntpd, and a unit, of its own.");
}

/// `twice the bound, ± 8.100 ms, and a quarter more`
fn reckoned(times: &str, facts: &Facts) -> String {
    let kind = if facts.jitter.is_some() {
        "the bound that was observed"
    } else {
        "the bound that is assumed"
    };
    let bound = Length(facts.bound);
    let taken = if facts.bound < LEAST_BOUND {
        format!(", taken as ± {}", Length(LEAST_BOUND))
    } else {
        String::new()
    };
    format!("{times}{kind}, ± {bound}{taken}, and a quarter more, rounded up")
}

impl Facts {
    /// The socket that chronyd most probably has.
    fn sock(&self) -> Option<&Path> {
        let chronys = |path: &&std::path::PathBuf| path.to_string_lossy().contains("chrony");
        let sock = self.socks.iter().find(chronys);
        sock.or(self.socks.first()).map(std::path::PathBuf::as_path)
    }
}

/// What is being written.
#[derive(Default)]
struct Text(String);

/// Longest line of a comment, in characters.
const WIDTH: usize = 100;

impl Text {
    /// A comment.
    fn say(&mut self, words: &str) {
        self.wrap("#", "#", words);
    }

    /// Why an option of the next line is as it is.
    fn item(&mut self, option: &str, why: &str) {
        self.wrap(&format!("#   {option}:"), "#      ", why);
    }

    /// Lines for another file, each of its own, behind the mark of a comment.
    fn copy(&mut self, lines: &[&str]) {
        for line in lines {
            self.line(&format!("#     {line}"));
        }
    }

    /// A line that the daemon reads.
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// Words, none of which can end the comment: a control character in a report is as good as a space.
    fn wrap(&mut self, first: &str, others: &str, words: &str) {
        let mut line = first.to_owned();
        let is_end = |letter: char| letter.is_whitespace() || letter.is_control();
        let mut words = words.split(is_end).filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            let mut word = word.to_owned();
            // A length stays in one piece.
            for more in words.by_ref().take(if word == "±" { 2 } else { 0 }) {
                word.push(' ');
                word.push_str(more);
            }
            if line.chars().count() + 1 + word.chars().count() > WIDTH && line != others {
                self.line(&line);
                others.clone_into(&mut line);
            }
            line.push(' ');
            line.push_str(&word);
        }
        self.line(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// As README.md has it: a sample every 16 s to unit 2, and a bound that makes `delay 0.05`.
    fn facts() -> Facts {
        Facts {
            cycle: Span::from_secs(16),
            unit: Some(2),
            is_public: true,
            socks: Vec::new(),
            bound: Span::from_millis(20),
            jitter: Some(Span::from_micros(81)),
            origin: vec!["From a test.".into()],
        }
    }

    fn directives(daemon: Daemon, facts: &Facts) -> Vec<String> {
        let text = lines(daemon, facts, false).expect("there are lines");
        let directives = text.lines().filter(|line| !line.starts_with('#'));
        directives.map(str::to_owned).collect()
    }

    #[test]
    fn a_bound_below_the_least_is_told_with_what_it_is_taken_as() {
        let mut facts = facts();
        assert_eq!(
            reckoned("twice ", &facts),
            "twice the bound that was observed, ± 20.000 ms, and a quarter more, rounded up"
        );
        facts.bound = Span::from_nanos(84_190);
        assert_eq!(
            reckoned("", &facts),
            "the bound that was observed, ± 84.190 us, taken as ± 500.000 us, and a quarter more, rounded up"
        );
    }

    #[test]
    fn each_daemon_gets_its_own_lines() {
        assert_eq!(
            directives(Daemon::Chrony, &facts()),
            [
                "refclock SHM 2:perm=0666 refid WEB stratum 2 poll 5 filter 2 delay 0.05 precision 0.0001"
            ]
        );
        assert_eq!(
            directives(Daemon::Ntpsec, &facts()),
            ["refclock shm unit 2 refid WEB stratum 2 minpoll 5 maxpoll 5"]
        );
        assert_eq!(
            directives(Daemon::Ntp, &facts()),
            [
                "server 127.127.28.2 minpoll 5 maxpoll 5",
                "fudge 127.127.28.2 refid WEB stratum 2",
                "tos mindist 0.03",
            ]
        );
    }

    #[test]
    fn they_agree_with_those_of_the_readme() {
        let readme = include_str!("../../../README.md");
        for (daemon, begin) in [
            (Daemon::Chrony, "    refclock SHM "),
            (Daemon::Ntpsec, "    refclock shm "),
            (Daemon::Ntp, "    server 127.127.28."),
            (Daemon::Ntp, "    fudge 127.127.28."),
        ] {
            let line = readme.lines().find(|line| line.starts_with(begin));
            let line = line.unwrap_or_else(|| panic!("README.md has no {begin:?}"));
            let value = |text: &str, option: &str| {
                let mut words = text.split_whitespace();
                words.find(|word| *word == option)?;
                // Whether it says so or not, the segment is made for all.
                let value = words.next()?;
                Some(value.trim_end_matches(":perm=0666").to_owned())
            };
            let ours = directives(daemon, &facts());
            let ours = ours.iter().find(|ours| ours.starts_with(begin.trim()));
            let ours = ours.unwrap_or_else(|| panic!("no {begin:?} of ours"));
            for option in [
                "SHM",
                "unit",
                "server",
                "fudge",
                "refid",
                "stratum",
                "poll",
                "filter",
                "delay",
                "precision",
                "minpoll",
                "maxpoll",
            ] {
                if let Some(told) = value(line, option) {
                    assert_eq!(value(ours, option), Some(told), "{option} of {line}");
                }
            }
        }
    }

    #[test]
    fn an_assumed_bound_makes_no_other_server_suffer() {
        let assumed = Facts {
            bound: Span::from_millis(1_500),
            jitter: None,
            ..facts()
        };
        let ntp = directives(Daemon::Ntp, &assumed);
        assert!(ntp.iter().all(|line| !line.starts_with("tos")), "{ntp:?}");
        let chrony = directives(Daemon::Chrony, &assumed).join("\n");
        assert!(chrony.ends_with("filter 2 delay 4"), "{chrony}");
        // What was observed may be too wide for ntpd as well.
        let wide = Facts {
            bound: Span::from_secs(1),
            ..facts()
        };
        let ntp = directives(Daemon::Ntp, &wide);
        assert!(ntp.iter().all(|line| !line.starts_with("tos")), "{ntp:?}");
    }

    #[test]
    fn a_bound_beyond_what_chronyd_selects_raises_that_too() {
        let wide = Facts {
            bound: Span::from_secs(10),
            ..facts()
        };
        let lines = directives(Daemon::Chrony, &wide);
        assert!(lines[0].contains(" delay 30 "), "{lines:?}");
        assert_eq!(lines[1], "maxdistance 20");
    }

    #[test]
    fn a_socket_goes_before_the_segment_and_never_beside_it() {
        let socks = ["/run/rs.sock", "/run/chrony.w.sock"].map(PathBuf::from);
        let both = Facts {
            socks: socks.into(),
            ..facts()
        };
        let lines = directives(Daemon::Chrony, &both);
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].starts_with("refclock SOCK /run/chrony.w.sock refid WEB "),
            "{lines:?}"
        );
        let asked = super::lines(Daemon::Chrony, &facts(), true).expect("there are lines");
        assert!(
            asked.contains("\nrefclock SOCK /run/chrony.webntpd.sock "),
            "{asked}"
        );
        let copied = "\n#     [[sock]]\n#     path = \"/run/chrony.webntpd.sock\"\n";
        assert!(asked.contains(copied), "{asked}");
        assert!(
            asked.contains("\n#     [shm]\n#     enable = false\n"),
            "{asked}"
        );
        assert!(!asked.contains("One reader a unit"), "{asked}");
        let of_segment = super::lines(Daemon::Chrony, &facts(), false).expect("there are lines");
        assert!(of_segment.contains("One reader a unit"), "{of_segment}");
    }

    #[test]
    fn what_a_daemon_cannot_read_is_no_line() {
        let no_segment = Facts {
            unit: None,
            socks: vec!["/run/a b".into()],
            ..facts()
        };
        for daemon in [Daemon::Ntpsec, Daemon::Ntp] {
            assert_eq!(lines(daemon, &no_segment, false), Err(NoLines::NoSegment));
        }
        let space = lines(Daemon::Chrony, &no_segment, false);
        assert!(matches!(space, Err(NoLines::Space(_))), "{space:?}");
    }

    #[test]
    fn units_of_root_alone_are_said_to_be() {
        for (unit, is_said) in [(0, true), (1, true), (2, false)] {
            let facts = Facts {
                unit: Some(unit),
                is_public: unit > 1,
                ..facts()
            };
            for daemon in [Daemon::Chrony, Daemon::Ntpsec, Daemon::Ntp] {
                let text = lines(daemon, &facts, false).expect("there are lines");
                assert_eq!(text.contains("root's own"), is_said, "{text}");
            }
            let chrony = directives(Daemon::Chrony, &facts).join("\n");
            assert_eq!(chrony.contains("perm"), !is_said, "{chrony}");
        }
    }

    #[test]
    fn nothing_that_was_reported_can_become_a_line() {
        let hostile = Facts {
            origin: vec!["why\nserver evil\u{b}\r\nserver more".into()],
            ..facts()
        };
        for daemon in [Daemon::Chrony, Daemon::Ntpsec, Daemon::Ntp] {
            let text = lines(daemon, &hostile, false).expect("there are lines");
            assert!(!text.contains("\nserver evil"), "{text}");
            assert_eq!(directives(daemon, &hostile), directives(daemon, &facts()));
        }
    }

    #[test]
    fn every_option_has_its_reason_above_it() {
        for daemon in [Daemon::Chrony, Daemon::Ntpsec, Daemon::Ntp] {
            let text = lines(daemon, &facts(), false).expect("there are lines");
            for line in directives(daemon, &facts()) {
                // What stands behind the name of the clock: pairs of a name and a value.
                let words: Vec<_> = line.split_whitespace().rev().collect();
                for pair in words.chunks_exact(2) {
                    let option = format!("{} {}", pair[1], pair[0]);
                    let is_explained = text
                        .lines()
                        .any(|line| line.starts_with("#   ") && line.contains(&option));
                    assert!(is_explained, "{option} in\n{text}");
                    if pair[1] == "refid" {
                        break;
                    }
                }
            }
            assert!(
                text.lines().all(|line| line.chars().count() <= 120),
                "{text}"
            );
        }
    }
}
