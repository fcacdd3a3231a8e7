//! The real chronyd, with one reference clock.
//!
//! In: the clock's driver and its parameter, or the wish that it serve. Out: what `chronyc` says of that clock, packets.
//! Not: it disciplines nothing (`-x`, and `noselect`), and runs only inside a [`super::sandbox`].

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::deadline::poll;
use super::process::{Process, output};
use super::{daemon, sandbox};

const ANSWER: Duration = Duration::from_secs(15);

pub(crate) struct Chronyd {
    pub(crate) process: Process,
    socket: PathBuf,
}

/// A line of `chronyc -c sources`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Source {
    /// `#` for a reference clock.
    pub(crate) mode: char,
    /// `*` chosen, `+` survivor, `x` falseticker, `?` not considered.
    pub(crate) state: char,
    /// The refid.
    pub(crate) name: String,
    pub(crate) stratum: u8,
    /// log2 of the interval between polls.
    pub(crate) poll: i8,
    /// The last eight polls; the newest is the lowest bit.
    pub(crate) reach: u8,
    /// Age of the newest sample, s; `None` before the first.
    pub(crate) last_rx_s: Option<u32>,
    /// chronyc's sign: positive when the local clock is ahead.
    measured_s: f64,
    pub(crate) error_s: f64,
}

impl Chronyd {
    /// Starts chronyd, which reads `clock` (`SHM 2:perm=0666`, `SOCK /run/web.sock`) every second and keeps its files
    /// in `dir`.
    pub(crate) fn start(clock: &str, dir: &Path) -> Self {
        let clock = format!(
            "refclock {clock} refid WEB poll 0 filter 1 delay 0.020 precision 1e-3 noselect\n"
        );
        Self::with_clock(&clock, dir)
    }

    /// Starts chronyd without any source, which serves the time of this machine at the usual port to the machine itself.
    pub(crate) fn serving(dir: &Path) -> Self {
        Self::with_lines("local stratum 5\nallow\n", 123, dir)
    }

    /// Starts chronyd with these lines of configuration, each ended, that name its clock.
    pub(crate) fn with_clock(clock: &str, dir: &Path) -> Self {
        Self::with_lines(clock, 0, dir)
    }

    fn with_lines(lines: &str, port: u16, dir: &Path) -> Self {
        assert!(sandbox::inside(), "chronyd runs only in a sandbox");
        // chronyd opens no command socket in a directory that others can enter.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .expect("the sandbox is root");
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).expect("the directory is ours");
        let socket = dir.join("chronyd.sock");
        let config = dir.join("chrony.conf");
        let text = format!(
            "{lines}\
             port {port}\n\
             cmdport 0\n\
             bindcmdaddress {socket}\n\
             pidfile {dir}/chronyd.pid\n\
             logdir {dir}\n\
             log refclocks\n",
            socket = socket.display(),
            dir = dir.display()
        );
        fs::write(&config, text).expect("the directory is ours");
        let mut command = daemon("chronyd");
        command.args(["-x", "-d", "-u", "root", "-f"]).arg(config);
        Self {
            process: Process::start(&mut command),
            socket,
        }
    }

    /// What it says of its clocks now; nothing while it does not answer yet.
    pub(crate) fn sources(&self) -> Vec<Source> {
        self.query(&["-c", "sources"])
            .lines()
            .filter_map(Source::parse)
            .collect()
    }

    /// Waits until one of its clocks is as wished.
    pub(crate) fn wait_source(
        &mut self,
        limit: Duration,
        wished: impl Fn(&Source) -> bool,
    ) -> Source {
        let mut last = Vec::new();
        let found = poll(limit, || {
            self.process.assert_running();
            last = self.sources();
            last.iter().find(|source| wished(source)).cloned()
        });
        found.unwrap_or_else(|| {
            panic!("chronyd did not come to it in {limit:?}; its clocks are {last:#?}")
        })
    }

    /// What `chronyc` answers, for instance to `["selectdata"]`; the reason if it fails.
    pub(crate) fn query(&self, arguments: &[&str]) -> String {
        let mut command = daemon("chronyc");
        output(
            command
                .arg("-n")
                .arg("-h")
                .arg(&self.socket)
                .args(arguments),
            ANSWER,
        )
        .unwrap_or_else(|failure| failure)
    }
}

impl Source {
    /// Positive: the local clock is behind, as in the shared memory and in ntpq. chronyc shows the opposite.
    pub(crate) fn offset_ms(&self) -> f64 {
        -1e3 * self.measured_s
    }

    /// `#,?,WEB,0,0,377,1,-0.012345000,-0.012345000,0.011000000`; nothing for a failure.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let columns: Vec<&str> = line.split(',').collect();
        let [
            mode,
            state,
            name,
            stratum,
            poll,
            reach,
            last_rx,
            _adjusted,
            measured,
            error,
        ] = columns[..]
        else {
            return None;
        };
        Some(Self {
            mode: mode.parse().ok()?,
            state: state.parse().ok()?,
            name: name.to_owned(),
            stratum: stratum.parse().ok()?,
            poll: poll.parse().ok()?,
            reach: u8::from_str_radix(reach, 8).ok()?,
            last_rx_s: Some(last_rx.parse().ok()?).filter(|age| *age != u32::MAX),
            measured_s: measured.parse().ok()?,
            error_s: error.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_chronyc_is_read() {
        let line = "#,?,WEB,0,0,377,1,-0.012345000,-0.012345000,0.011000000";
        let source = Source {
            mode: '#',
            state: '?',
            name: "WEB".to_owned(),
            stratum: 0,
            poll: 0,
            reach: 0o377,
            last_rx_s: Some(1),
            measured_s: -0.012345,
            error_s: 0.011,
        };
        assert_eq!(Source::parse(line), Some(source));
    }

    #[test]
    fn a_source_without_samples_has_no_age() {
        let source = Source::parse("#,?,WEB,0,0,0,4294967295,0.000000000,0.000000000,0.000000000");
        assert_eq!(source.and_then(|source| source.last_rx_s), None);
    }

    #[test]
    fn a_failure_of_chronyc_is_no_source() {
        assert_eq!(Source::parse("506 Cannot talk to daemon"), None);
    }
}
