//! The real ntpsec, with one SHM reference clock.
//!
//! In: the unit it reads, how often. Out: what `ntpq` says of that clock.
//! Not: it disciplines nothing (`disable ntp`), and it runs only inside a [`super::sandbox`].

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::deadline::poll;
use super::process::{Process, output};
use super::{daemon, sandbox};

/// ntpq itself gives up after 10 s.
const ANSWER: Duration = Duration::from_secs(15);

pub(crate) struct Ntpsec {
    pub(crate) process: Process,
}

/// A line of `ntpq -p`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Peer {
    /// `*` chosen, `+` survivor, `x` falseticker, ` ` not considered.
    pub(crate) tally: char,
    /// `SHM(2)` for unit 2.
    pub(crate) remote: String,
    pub(crate) refid: String,
    pub(crate) stratum: u8,
    /// Interval between polls, s.
    pub(crate) poll_s: u32,
    /// The last eight polls; the newest is the lowest bit.
    pub(crate) reach: u8,
    pub(crate) delay_ms: f64,
    /// Positive: the local clock is behind.
    pub(crate) offset_ms: f64,
    pub(crate) jitter_ms: f64,
}

impl Ntpsec {
    /// Starts ntpd, which reads SHM `unit` every 2^`poll_exponent` s (at best every 2 s) and keeps its files in `dir`.
    pub(crate) fn start(unit: u8, poll_exponent: u8, dir: &Path) -> Self {
        let clock = format!(
            "refclock shm unit {unit} refid WEB minpoll {poll_exponent} maxpoll {poll_exponent} noselect flag4 1\n"
        );
        Self::with_clock(&clock, dir)
    }

    /// Starts ntpd with these lines of configuration, each ended, that name its clock.
    pub(crate) fn with_clock(clock: &str, dir: &Path) -> Self {
        assert!(sandbox::inside(), "ntpd runs only in a sandbox");
        fs::create_dir_all(dir).expect("the sandbox is root");
        let config = dir.join("ntp.conf");
        // Without `restrict` ntpd answers no query.
        let text = format!(
            "{clock}\
             disable ntp\n\
             driftfile {dir}/drift\n\
             statsdir {dir}/\n\
             statistics peerstats\n\
             filegen peerstats file peerstats type none\n\
             restrict 127.0.0.1\n",
            dir = dir.display()
        );
        fs::write(&config, text).expect("the directory is ours");
        let mut command = daemon("ntpd");
        command
            .args(["-n", "-l", "/dev/stderr", "-I", "lo", "-c"])
            .arg(config)
            .arg("-p")
            .arg(dir.join("ntpd.pid"));
        Self {
            process: Process::start(&mut command),
        }
    }

    /// What it says of its clocks now; nothing while it does not answer yet.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        self.query(&["-p"])
            .lines()
            .filter_map(Peer::parse)
            .collect()
    }

    /// Waits until one of its clocks is as wished.
    pub(crate) fn wait_peer(&mut self, limit: Duration, wished: impl Fn(&Peer) -> bool) -> Peer {
        let mut last = Vec::new();
        let found = poll(limit, || {
            self.process.assert_running();
            last = self.peers();
            last.iter().find(|peer| wished(peer)).cloned()
        });
        found.unwrap_or_else(|| {
            panic!("ntpsec did not come to it in {limit:?}; its clocks are {last:#?}")
        })
    }

    /// What `ntpq` answers, for instance to `["-c", "as", "-c", "rv &1", "-c", "cv &1"]`; the reason if it fails.
    pub(crate) fn query(&self, arguments: &[&str]) -> String {
        let mut command = daemon("ntpq");
        output(command.arg("-n").args(arguments).arg("127.0.0.1"), ANSWER)
            .unwrap_or_else(|failure| failure)
    }
}

impl Peer {
    /// `*SHM(2)  .WEB.  0 l  3  8  7  0.0000  12.3450  0.0000`; nothing for a heading or a failure.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let tally = line.chars().next()?;
        let columns: Vec<&str> = line.get(tally.len_utf8()..)?.split_whitespace().collect();
        let [
            remote,
            refid,
            stratum,
            _kind,
            _when,
            poll,
            reach,
            delay,
            offset,
            jitter,
        ] = columns[..]
        else {
            return None;
        };
        Some(Self {
            tally,
            remote: remote.to_owned(),
            refid: refid.to_owned(),
            stratum: stratum.parse().ok()?,
            poll_s: poll.parse().ok()?,
            reach: u8::from_str_radix(reach, 8).ok()?,
            delay_ms: delay.parse().ok()?,
            offset_ms: offset.parse().ok()?,
            jitter_ms: jitter.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_ntpq_is_read_and_its_heading_is_not() {
        let line = "*SHM(2)    .WEB.   0 l    3    8  377   0.0000 -12.3450   0.0100";
        let peer = Peer {
            tally: '*',
            remote: "SHM(2)".to_owned(),
            refid: ".WEB.".to_owned(),
            stratum: 0,
            poll_s: 8,
            reach: 0o377,
            delay_ms: 0.0,
            offset_ms: -12.345,
            jitter_ms: 0.01,
        };
        assert_eq!(Peer::parse(line), Some(peer));
        assert_eq!(
            Peer::parse("     remote    refid   st t when poll reach   delay   offset   jitter"),
            None
        );
        assert_eq!(
            Peer::parse("======================================================"),
            None
        );
        assert_eq!(Peer::parse(""), None);
    }
}
