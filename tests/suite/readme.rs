//! What README.md and the shipped configuration tell people to write, as the real programs take it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::fake::{FakeUpstream, OsClock, Setup};
use crate::host::chronyd::Chronyd;
use crate::host::ntpsec::Ntpsec;
use crate::host::process::{Process, output};
use crate::host::segment::Entry;
use crate::host::{deadline, sandbox, webntpd};

const README: &str = include_str!("../../README.md");
const SHIPPED: &str = include_str!("../../config/webntpd.toml");

/// The unit that the daemons are told to read.
const UNIT: u8 = 2;
const LIMIT: Duration = Duration::from_secs(60);

/// What stands in the first indented block after `words`, which come after the heading of the daemons.
fn snippet(words: &str) -> String {
    let daemons = after(README, "The lines for the other daemon are");
    let mut lines = after(daemons, words).lines().skip(1);
    let begin = lines.find(|line| line.starts_with("    "));
    let rest = lines.map_while(|line| line.strip_prefix("    "));
    let begin = begin.map(str::trim_start).expect("there is such a block");
    [begin]
        .into_iter()
        .chain(rest)
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// The example of a source.
fn toml() -> &'static str {
    let (block, _) = after(README, "```toml\n")
        .split_once("```")
        .expect("the block ends");
    block
}

fn after(text: &'static str, words: &str) -> &'static str {
    let (_, rest) = text
        .split_once(words)
        .unwrap_or_else(|| panic!("README.md does not say {words:?}"));
    rest
}

/// The program under test, feeding, with the server that it asks.
struct Feed {
    _fake: FakeUpstream<OsClock>,
    webntpd: Process,
}

impl Feed {
    fn start() -> Self {
        let fake = FakeUpstream::start(Setup::with_clock(OsClock {
            offset_ns: 25_000_000,
        }));
        let urls = [fake.url("http", "/json")];
        let text = webntpd::configuration(UNIT, &urls);
        let mut webntpd = webntpd::start(Path::new("/run/webntpd"), &text);
        webntpd.wait_line("publishing: ", LIMIT);
        Self {
            _fake: fake,
            webntpd,
        }
    }

    /// Waits until both sides hold the segment, and the feeding one has noticed.
    fn wait_attached(&mut self) {
        let attached = deadline::poll(LIMIT, || {
            Entry::of(UNIT).filter(|entry| entry.attached == 2)
        });
        assert!(attached.is_some(), "{:?}", Entry::all());
        self.webntpd.wait_line("SHM(2): a daemon ", LIMIT);
    }
}

fn ntpsec_takes(snippet: &str) {
    let mut feed = Feed::start();
    let mut ntpsec = Ntpsec::with_clock(snippet, Path::new("/run/ntpsec"));
    let peer = ntpsec.wait_peer(LIMIT, |peer| peer.remote == "SHM(2)");
    // Every other sample of one every 16 s, as README.md says.
    assert_eq!((peer.refid.as_str(), peer.poll_s), (".WEB.", 32));
    feed.wait_attached();
    ntpsec.process.assert_running();
    // It goes on without the lines that it does not understand.
    let log = ntpsec.process.log();
    assert!(!log.contains("syntax error"), "{log}");
}

#[test]
fn ntpsec_takes_its_snippet() {
    sandbox::run(|| ntpsec_takes(&snippet("for **ntpsec**")));
}

#[test]
fn ntpsec_takes_the_snippet_of_ntpd_as_well() {
    sandbox::run(|| {
        let snippet = snippet("for **ntpd**");
        assert!(snippet.contains("\nfudge 127.127.28.2 "), "{snippet}");
        ntpsec_takes(&snippet);
    });
}

#[test]
fn chronyd_takes_its_snippet() {
    sandbox::run(|| {
        let mut feed = Feed::start();
        let mut chronyd =
            Chronyd::with_clock(&snippet("for **chronyd**"), Path::new("/run/chrony"));
        let source = chronyd.wait_source(LIMIT, |source| source.name == "WEB");
        assert_eq!((source.mode, source.poll), ('#', 5));
        feed.wait_attached();
        chronyd.process.assert_running();
    });
}

#[test]
fn the_example_of_a_source_is_good_alone_and_in_the_shipped_file() {
    sandbox::run(|| {
        let path = Path::new("/run/webntpd.toml");
        let check = |text: &str| {
            fs::write(path, text).expect("the sandbox has a /run of its own");
            let mut command = webntpd::command();
            output(command.arg("--check").arg("--config").arg(path), LIMIT)
        };
        for text in [toml().to_owned(), format!("{SHIPPED}\n{}", toml())] {
            let said = check(&text).unwrap_or_else(|problems| panic!("{problems}"));
            assert!(
                said.starts_with("/run/webntpd.toml: good, 1 source"),
                "{said}"
            );
        }
        // As it is shipped it lacks what nobody else can know, and nothing else.
        let said = check(SHIPPED).expect_err("it has no source");
        let (status, problems) = said.split_once('\n').expect("a line and more");
        assert!(status.ends_with(": exit status: 78"), "{said}");
        assert!(
            problems.starts_with("/run/webntpd.toml: no [[source]] is configured; "),
            "{said}"
        );
        assert_eq!(problems.lines().count(), 1, "{said}");
    });
}
