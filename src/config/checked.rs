//! The configuration as the program uses it: every value present, in range, and of its own type.
//!
//! Defaults are given here, by the constructors, so that a configuration that no file made has them too.

use super::authority::CaFileError;
use super::leap::{self, Leap};
use super::outputs::{self, Sock};
use super::problem::{Fault, Report};
use super::raw;
use super::sources;
use crate::engine::time::Span;
pub use crate::protocol::kind::Kind as Protocol;
use crate::protocol::stamp::Rounding;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use url::Url;

/// Everything that the file says, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `cycle`: how often the sources are judged and a sample is published (1 s to 1024 s, default 16 s).
    pub cycle: Span,
    /// `[shm]`
    pub shm: Shm,
    /// Each `[[sock]]` in the order of the file, paths unique (0 to 8).
    pub socks: Vec<Sock>,
    /// `[select]`
    pub select: Select,
    /// `[leap]`
    pub leap: Leap,
    /// `[log]`
    pub log: Log,
    /// `[control]`; none for a daemon that nobody shall ask.
    pub control: Option<Control>,
    /// `[state]`
    pub state: State,
    /// `[metrics]`; none where nobody shall scrape.
    pub metrics: Option<Metrics>,
    /// Each `[[source]]` in the order of the file, names unique. May be empty: whether that will do is for
    /// the caller to say.
    pub sources: Vec<Source>,
}

/// `[shm]`: the NTP shared memory segment to write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shm {
    /// `enable`: whether it is written at all (default true).
    pub enable: bool,
    /// `unit`: its key is 0x4e545030 + unit, its name in ntpd 127.127.28.unit (0 to 255, default 2).
    pub unit: u8,
    /// `mode`: the permission bits that it gets if it is made here (0600 to 0666, default 0666 from unit 2
    /// up, 0600 below). One that is there is used as it is.
    pub mode: u32,
    /// `owner-check`: whether only a segment is used whose owner and maker are root or our own user
    /// (default true). Others may put into theirs what they like.
    pub owner_check: bool,
}

/// `[select]`: when the sources are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// `min-agreeing`: how many operators must agree (1 to 64, no more than those that vote; without it, 1
    /// with one or two operators, else 2).
    pub min_agreeing: Option<usize>,
    /// `max-bound`: greatest half-width of a bound that is believed or published (1 ms to 10 s, default
    /// 1500 ms).
    pub max_bound: Span,
}

/// `[log]`: what is told, and what is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `level`: the least important kind of message that is told (default info).
    pub level: Level,
    /// `measurements`: the file to which every accepted exchange is added, for `webntp replay` (an absolute path; default none).
    pub measurements: Option<PathBuf>,
}

/// `[control]`: the socket on which `webntp sources` and others ask how things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// `path`: where it is (absolute; default /run/webntpd/control.sock). One that is missing there is made, its directory is not.
    pub path: PathBuf,
    /// `mode`: who may ask (0600 to 0666, default 0666). Whoever asks learns, and changes nothing.
    pub mode: u32,
}

/// `[state]`: what is kept from one run to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// `directory`: where (an absolute path, default /var/lib/webntpd; it need not exist). `None` for nowhere, which no file
    /// can say.
    pub directory: Option<PathBuf>,
}

/// `[metrics]`: numbers for Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `listen`: where, by preference; one that does not exist on this machine leads on to the next (at least one, no port is 0).
    pub listen: Vec<SocketAddr>,
}

impl Metrics {
    /// The port, the same at all addresses.
    pub fn port(&self) -> Option<u16> {
        self.listen.first().map(SocketAddr::port)
    }
}

/// `[[source]]`: a server to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `name`: what people call it (1 to 32 visible characters, unique).
    pub name: String,
    /// `url`: where it is (http, https, ws, wss or ntp; no user, password, fragment). No other source has the
    /// same `url` and `address-family`, unless both name a `protocol` and not the same.
    pub url: Url,
    /// `protocol`: what it speaks (default what the scheme of `url` tells). None where that is to be found out, over HTTP.
    pub protocol: Option<Protocol>,
    /// `min-poll`: shortest time between two exchanges, which is the usual one at first and whenever something
    /// has changed (1 s to 1024 s, default `cycle`, or `max-poll` if that is shorter). The floor of one second
    /// is courtesy to the server.
    pub min_poll: Span,
    /// `max-poll`: longest time between two exchanges, reached while all is as expected and other sources fill
    /// the cycles between, and while the server fails (`min-poll` to 1024 s, default 64 s, or `min-poll` if that
    /// is longer). `poll` sets both, which makes a fixed poll.
    pub max_poll: Span,
    /// `burst`: whether it is asked a few times in a row at the start and after a break (default true).
    pub burst: bool,
    /// `operator`: who runs it, in lower case; all sources of one operator have one vote (1 to 253 visible
    /// characters, default the host of `url`).
    pub operator: String,
    /// `prefer`: whether its estimate replaces those of the others while it survives (default false; not
    /// with `noselect`).
    pub prefer: bool,
    /// `noselect`: whether it is only measured (default false).
    pub noselect: bool,
    /// `offset`: what must be added to the server's time to make it right, by what is known of the server
    /// (−60 s to 60 s, default 0).
    pub offset: Span,
    /// `rounding`: what the server does with the digits behind its last one (default unknown).
    pub rounding: Rounding,
    /// `timeout`: longest duration of each phase of an exchange (100 ms to 60 s, default 5 s).
    pub timeout: Span,
    /// `ca-file`: certificates to trust besides the system's, in PEM form (an absolute path; only for
    /// https and wss).
    pub ca_file: Option<PathBuf>,
    /// `address-family`: which addresses of the host are tried (default any).
    pub address_family: AddressFamily,
}

/// Which addresses of a host are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum AddressFamily {
    /// `any`: in the order of the resolver.
    #[default]
    Any,
    /// `ipv4`
    Ipv4,
    /// `ipv6`
    Ipv6,
}

/// The least important kind of message that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Level {
    /// `off`: nothing.
    Off,
    /// `error`: why the daemon ends.
    Error,
    /// `warn`: what somebody should look after.
    Warn,
    /// `info`: changes of state.
    #[default]
    Info,
    /// `debug`: every exchange.
    Debug,
    /// `trace`: everything.
    Trace,
}

/// Longest time between two exchanges, unless the file says otherwise.
pub(super) const DEFAULT_MAX_POLL: Span = Span::from_secs(64);

/// The first unit that ntpd makes for everyone; 0 and 1 are root's.
const FIRST_PUBLIC_UNIT: u8 = 2;

impl Config {
    /// All defaults, and these sources.
    pub fn of(sources: Vec<Source>) -> Self {
        Self {
            cycle: Span::from_secs(16),
            shm: Shm::of_unit(FIRST_PUBLIC_UNIT),
            socks: Vec::new(),
            select: Select::default(),
            leap: Leap::default(),
            log: Log::default(),
            control: None,
            state: State::default(),
            metrics: None,
            sources,
        }
    }
}

impl Config {
    /// The tables beside the sources that are not alike, as the file calls them.
    pub fn differs_from(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("cycle", self.cycle != other.cycle),
            ("[shm]", self.shm != other.shm),
            ("[[sock]]", self.socks != other.socks),
            ("[select]", self.select != other.select),
            ("[leap]", self.leap != other.leap),
            (
                "[log] level (needs a restart)",
                self.log.level != other.log.level,
            ),
            (
                "[log] measurements",
                self.log.measurements != other.log.measurements,
            ),
            ("[state]", self.state != other.state),
            ("[control]", self.control != other.control),
            ("[metrics]", self.metrics != other.metrics),
        ];
        let names = differs.into_iter().filter(|(_, differs)| *differs);
        names.map(|(name, _)| name).collect()
    }
}

impl Shm {
    /// The defaults for a unit.
    pub fn of_unit(unit: u8) -> Self {
        Self {
            enable: true,
            unit,
            mode: if unit < FIRST_PUBLIC_UNIT {
                0o600
            } else {
                0o666
            },
            owner_check: true,
        }
    }
}

impl Default for Select {
    fn default() -> Self {
        Self {
            min_agreeing: None,
            max_bound: Span::from_millis(1_500),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: Level::Info,
            measurements: None,
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self {
            path: PathBuf::from("/run/webntpd/control.sock"),
            mode: 0o666,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            directory: Some(PathBuf::from("/var/lib/webntpd")),
        }
    }
}

impl Source {
    /// The defaults for a server that is polled every `poll`.
    pub fn new(name: &str, url: Url, poll: Span) -> Self {
        Self {
            name: name.to_owned(),
            protocol: Protocol::of_scheme(url.scheme()),
            min_poll: poll,
            max_poll: poll.max(DEFAULT_MAX_POLL),
            burst: true,
            operator: host_operator(&url),
            prefer: false,
            noselect: false,
            offset: Span::ZERO,
            rounding: Rounding::Unknown,
            timeout: Span::from_secs(5),
            ca_file: None,
            address_family: AddressFamily::Any,
            url,
        }
    }

    /// Whether it is asked over TLS.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.url.scheme(), "https" | "wss")
    }
}

/// Whoever runs a host runs all of it: two sources on one host are one witness.
fn host_operator(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    host.strip_suffix('.').unwrap_or(host).to_lowercase()
}

/// Whether a `ca-file` can be used.
pub(super) type CaFileCheck<'c> = &'c dyn Fn(&Path) -> Result<(), CaFileError>;

/// Checks what the file says. What is wrong goes to `report`, and the result is then of no use.
pub(super) fn config(
    file: &raw::File<'_>,
    ca_file_check: CaFileCheck<'_>,
    report: &mut Report,
) -> Config {
    let mut config = Config::of(Vec::new());
    if let Some(cycle) = &file.cycle {
        config.cycle = cycle.value;
    }
    config.shm = shm(&file.shm);
    config.socks = outputs::checked(file, report);
    if let Some(level) = &file.log.level {
        config.log.level = level.value;
    }
    config.log.measurements = file
        .log
        .measurements
        .as_ref()
        .map(|file| file.value.clone());
    config.control = Some(control(&file.control));
    if let Some(directory) = &file.state.directory {
        config.state.directory = Some(directory.value.clone());
    }
    config.metrics = file.metrics.listen.as_ref().map(|listen| Metrics {
        listen: listen.value.clone(),
    });
    config.sources = sources::checked(&file.sources, config.cycle, ca_file_check, report);
    if let Some(bound) = &file.select.max_bound {
        config.select.max_bound = bound.value;
    }
    config.leap = leap::checked(&file.leap, report);
    config.select.min_agreeing = min_agreeing(file, &config.sources, report);
    refuse_empty_cycles(file, &config, report);
    config
}

/// Some source must be asked in every cycle: readers expect a sample in each, and what several slower ones would bring together
/// is not there when one of them fails.
fn refuse_empty_cycles(file: &raw::File<'_>, config: &Config, report: &mut Report) {
    let mut voters = config.sources.iter().filter(|source| !source.noselect);
    // A source that could not be read may be the one; no source at all is for the caller to say.
    let is_known = config.sources.len() == file.sources.len() && !config.sources.is_empty();
    if !is_known || voters.any(|source| source.min_poll <= config.cycle) {
        return;
    }
    for raw in &file.sources {
        let faults = match &raw.noselect {
            Some(noselect) if noselect.value => {
                let fault = Fault::new("leaves nobody to believe, no source has a vote", "remove one noselect");
                Some(("noselect", noselect.offset, fault))
            }
            _ => [("poll", &raw.poll), ("min-poll", &raw.min_poll)].into_iter().find_map(|(key, at)| {
                let at = at.as_ref()?;
                let fault = Fault::new(
                    format!("{} is above cycle, and so is that of every source: some cycles would have no sample", at.written),
                    "lower it for one source at least, or raise cycle",
                );
                Some((key, at.offset, fault))
            }),
        };
        if let Some((key, offset, fault)) = faults {
            raw.table.add_about(key, offset, fault, report);
        }
    }
}

fn shm(raw: &raw::Shm) -> Shm {
    let unit = raw.unit.as_ref().map(|unit| u8::try_from(unit.value));
    let mut shm = match unit {
        Some(Ok(unit)) => Shm::of_unit(unit),
        // The range of the key is that of the type.
        Some(Err(_)) | None => Shm::of_unit(FIRST_PUBLIC_UNIT),
    };
    if let Some(enable) = &raw.enable {
        shm.enable = enable.value;
    }
    if let Some(mode) = &raw.mode {
        shm.mode = mode.value;
    }
    if let Some(owner_check) = &raw.owner_check {
        shm.owner_check = owner_check.value;
    }
    shm
}

fn control(raw: &raw::Control) -> Control {
    let mut control = Control::default();
    if let Some(path) = &raw.path {
        control.path = path.value.clone();
    }
    if let Some(mode) = &raw.mode {
        control.mode = mode.value;
    }
    control
}

fn min_agreeing(file: &raw::File<'_>, sources: &[Source], report: &mut Report) -> Option<usize> {
    let given = file.select.min_agreeing.as_ref()?;
    let needed = usize::try_from(given.value).ok()?;
    let table = file.select.table.as_ref()?;
    let voters: BTreeSet<_> = sources
        .iter()
        .filter(|source| !source.noselect)
        .map(|source| &source.operator)
        .collect();
    // A source that could not be read may be another's; no source at all is for the caller to say.
    let is_known = sources.len() == file.sources.len() && !sources.is_empty();
    let count = voters.len();
    if is_known && (1..needed).contains(&count) {
        let fault = Fault::new(
            format!("min-agreeing {needed} can never be reached, operators that vote: {count}"),
            format!("lower it to at most {count}, or add sources of other operators"),
        );
        table.add_missing(given.offset, fault, report);
    }
    Some(needed)
}
