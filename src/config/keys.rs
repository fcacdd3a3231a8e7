//! The keys of the file: what each takes, in which range, and what holds without it.
//!
//! The reader refuses by this table, its messages quote it, and a test holds the shipped file against it.

#![cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "ranges and defaults in words are for the test of the shipped file"
    )
)]

use super::checked::{AddressFamily, Level, Protocol};
use super::endpoint;
use super::listen;
use super::word;
use crate::engine::time::Span;
use crate::protocol::stamp::Rounding;

/// A key and what it takes.
pub(super) struct Key<T> {
    pub(super) name: &'static str,
    pub(super) takes: T,
    pub(super) without: Without,
}

/// What holds when a key is not given.
#[derive(Clone, Copy)]
pub(super) enum Without {
    /// Nothing: it must be given. With an example.
    Required(&'static str),
    /// This value, as the file would have it.
    Is(&'static str),
    /// Something that depends on others: in words, and an example of what may be given.
    Depends(&'static str, &'static str),
}

/// A length of time and how people write it.
pub(super) type Limit = (Span, &'static str);

/// A length of time in a range.
pub(super) struct Length {
    pub(super) low: Limit,
    pub(super) high: Limit,
}

/// A correction in a range, both ways.
pub(super) struct Correction {
    pub(super) low: Limit,
    pub(super) high: Limit,
}

/// A whole number in a range.
pub(super) struct Whole {
    pub(super) low: i64,
    pub(super) high: i64,
}

/// `true` or `false`.
pub(super) struct Switch;

/// One of a few words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

/// Who may use a segment.
pub(super) struct Mode;

/// A path from the root on, of a thing of this kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AbsolutePath {
    Directory,
    File,
    Socket,
}

/// Where to listen.
pub(super) struct Address;

/// A text; which ones will do, in words.
pub(super) struct Text(pub(super) &'static str);

/// What a key takes, in the words of the shipped file.
pub(super) trait Range {
    fn words(&self) -> String;
}

impl Range for Length {
    fn words(&self) -> String {
        format!("{} to {}", self.low.1, self.high.1)
    }
}

impl Range for Correction {
    fn words(&self) -> String {
        format!("{} to {}", self.low.1, self.high.1)
    }
}

impl Range for Whole {
    fn words(&self) -> String {
        format!("{} to {}", self.low, self.high)
    }
}

impl Range for Switch {
    fn words(&self) -> String {
        "true or false".to_owned()
    }
}

impl<T> Range for Choice<T> {
    fn words(&self) -> String {
        let names = self.list();
        match names.rsplit_once(", ") {
            Some((others, last)) => format!("{others} or {last}"),
            None => names,
        }
    }
}

impl<T> Choice<T> {
    /// `"a", "b", "c"`
    pub(super) fn list(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|(name, _)| format!("{name:?}")).collect();
        names.join(", ")
    }
}

impl Range for Mode {
    fn words(&self) -> String {
        "0600 to 0666".to_owned()
    }
}

impl AbsolutePath {
    /// Most bytes that it may have: `PATH_MAX` and `sun_path` count a zero at the end (limits.h(0p), unix(7)).
    pub(super) const fn longest(self) -> usize {
        match self {
            Self::Directory | Self::File => 4_095,
            Self::Socket => 107,
        }
    }
}

impl Range for AbsolutePath {
    fn words(&self) -> String {
        match self {
            Self::Directory | Self::File => "an absolute path".to_owned(),
            Self::Socket => format!("an absolute path of at most {} bytes", self.longest()),
        }
    }
}

impl Range for Address {
    fn words(&self) -> String {
        listen::RANGE.to_owned()
    }
}

impl Range for Text {
    fn words(&self) -> String {
        self.0.to_owned()
    }
}

/// Any key, whatever it takes.
pub(super) trait AnyKey: Sync {
    fn name(&self) -> &'static str;
    fn without(&self) -> Without;
    fn range(&self) -> String;
}

impl<T: Range + Sync> AnyKey for Key<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn without(&self) -> Without {
        self.without
    }

    fn range(&self) -> String {
        self.takes.words()
    }
}

impl<T> Key<T> {
    /// How to write it.
    pub(super) fn example(&self) -> String {
        let (Without::Required(value) | Without::Is(value) | Without::Depends(_, value)) =
            self.without;
        format!("{} = {value}", self.name)
    }
}

/// A kind of table: where it stands, and what it may hold.
pub(super) struct Kind {
    /// How the file begins one; nothing for the top.
    pub(super) header: &'static str,
    /// Where a stray key of this table should go.
    pub(super) place: &'static str,
    pub(super) keys: &'static [&'static dyn AnyKey],
    /// The tables below it.
    pub(super) tables: &'static [&'static str],
}

impl Kind {
    /// All names that may stand in it.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        let keys = self.keys.iter().map(|key| key.name());
        keys.chain(self.tables.iter().copied())
    }
}

pub(super) static KINDS: [&Kind; 10] = [
    &TOP, &SHM, &SOCK, &SELECT, &LEAP, &LOG, &STATE, &CONTROL, &METRICS, &SOURCE,
];

pub(super) static TOP: Kind = Kind {
    header: "",
    place: "to the top of the file, above the first [table]",
    keys: &[&CYCLE],
    tables: &[
        "shm", "sock", "select", "leap", "log", "state", "control", "metrics", "source",
    ],
};
pub(super) static SHM: Kind = Kind {
    header: "[shm]",
    place: "to [shm]",
    keys: &[&ENABLE, &UNIT, &MODE, &OWNER_CHECK],
    tables: &[],
};
pub(super) static SOCK: Kind = Kind {
    header: "[[sock]]",
    place: "to a [[sock]]",
    keys: &[&PATH],
    tables: &[],
};
pub(super) static SELECT: Kind = Kind {
    header: "[select]",
    place: "to [select]",
    keys: &[&MIN_AGREEING, &MAX_BOUND],
    tables: &[],
};
pub(super) static LEAP: Kind = Kind {
    header: "[leap]",
    place: "to [leap]",
    keys: &[&LEAP_LIST, &LEAP_URL],
    tables: &[],
};
pub(super) static LOG: Kind = Kind {
    header: "[log]",
    place: "to [log]",
    keys: &[&LEVEL, &MEASUREMENTS],
    tables: &[],
};
pub(super) static STATE: Kind = Kind {
    header: "[state]",
    place: "to [state]",
    keys: &[&DIRECTORY],
    tables: &[],
};
pub(super) static CONTROL: Kind = Kind {
    header: "[control]",
    place: "to [control]",
    keys: &[&CONTROL_PATH, &CONTROL_MODE],
    tables: &[],
};
pub(super) static METRICS: Kind = Kind {
    header: "[metrics]",
    place: "to [metrics]",
    keys: &[&METRICS_LISTEN],
    tables: &[],
};
pub(super) static SOURCE: Kind = Kind {
    header: "[[source]]",
    place: "to a [[source]]",
    keys: &[
        &NAME,
        &URL,
        &PROTOCOL,
        &POLL,
        &MIN_POLL,
        &MAX_POLL,
        &BURST,
        &OPERATOR,
        &PREFER,
        &NOSELECT,
        &OFFSET,
        &ROUNDING,
        &TIMEOUT,
        &CA_FILE,
        &ADDRESS_FAMILY,
    ],
    tables: &[],
};

/// The floor of one second is courtesy to the servers.
const POLLS: Length = Length {
    low: (Span::from_secs(1), "1s"),
    high: (Span::from_secs(1_024), "1024s"),
};

pub(super) static CYCLE: Key<Length> = Key {
    name: "cycle",
    takes: POLLS,
    without: Without::Is("\"16s\""),
};

pub(super) static ENABLE: Key<Switch> = Key {
    name: "enable",
    takes: Switch,
    without: Without::Is("true"),
};
pub(super) static UNIT: Key<Whole> = Key {
    name: "unit",
    takes: Whole { low: 0, high: 255 },
    without: Without::Is("2"),
};
pub(super) static MODE: Key<Mode> = Key {
    name: "mode",
    takes: Mode,
    without: Without::Depends(
        "\"0666\" for units from 2 up, \"0600\" for 0 and 1",
        "\"0666\"",
    ),
};
pub(super) static OWNER_CHECK: Key<Switch> = Key {
    name: "owner-check",
    takes: Switch,
    without: Without::Is("true"),
};

pub(super) static PATH: Key<AbsolutePath> = Key {
    name: "path",
    takes: AbsolutePath::Socket,
    without: Without::Required("\"/run/chrony.webntpd.sock\""),
};

pub(super) static MIN_AGREEING: Key<Whole> = Key {
    name: "min-agreeing",
    takes: Whole { low: 1, high: 64 },
    without: Without::Depends("1 with one or two operators, else 2", "2"),
};
pub(super) static MAX_BOUND: Key<Length> = Key {
    name: "max-bound",
    takes: Length {
        low: (Span::from_millis(1), "1ms"),
        high: (Span::from_secs(10), "10s"),
    },
    without: Without::Is("\"1500ms\""),
};

pub(super) static LEAP_LIST: Key<AbsolutePath> = Key {
    name: "list",
    takes: AbsolutePath::File,
    without: Without::Depends(
        "/usr/share/zoneinfo/leap-seconds.list, if it is there",
        "\"/usr/share/zoneinfo/leap-seconds.list\"",
    ),
};
pub(super) static LEAP_URL: Key<Text> = Key {
    name: "url",
    takes: Text("https"),
    without: Without::Depends(
        "nowhere",
        "\"https://data.iana.org/time-zones/tzdb/leap-seconds.list\"",
    ),
};

pub(super) static LEVEL: Key<Choice<Level>> = Key {
    name: "level",
    takes: Choice(&[
        ("off", Level::Off),
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
        ("trace", Level::Trace),
    ]),
    without: Without::Is("\"info\""),
};

pub(super) static MEASUREMENTS: Key<AbsolutePath> = Key {
    name: "measurements",
    takes: AbsolutePath::File,
    without: Without::Depends("nowhere", "\"/var/log/webntpd/measurements.jsonl\""),
};

pub(super) static DIRECTORY: Key<AbsolutePath> = Key {
    name: "directory",
    takes: AbsolutePath::Directory,
    without: Without::Is("\"/var/lib/webntpd\""),
};
pub(super) static CONTROL_PATH: Key<AbsolutePath> = Key {
    name: "path",
    takes: AbsolutePath::Socket,
    without: Without::Is("\"/run/webntpd/control.sock\""),
};
pub(super) static CONTROL_MODE: Key<Mode> = Key {
    name: "mode",
    takes: Mode,
    without: Without::Is("\"0666\""),
};

pub(super) static METRICS_LISTEN: Key<Address> = Key {
    name: "listen",
    takes: Address,
    without: Without::Depends("nowhere", "\"127.0.0.1:9975\""),
};

pub(super) static NAME: Key<Text> = Key {
    name: "name",
    takes: Text(word::NAME_RANGE),
    without: Without::Required("\"tokyo\""),
};
pub(super) static URL: Key<Text> = Key {
    name: "url",
    takes: Text(endpoint::RANGE),
    without: Without::Required("\"https://example.com/json\""),
};
pub(super) static PROTOCOL: Key<Choice<Protocol>> = Key {
    name: "protocol",
    takes: Choice(&[
        ("webntp", Protocol::WebNtp),
        ("nict", Protocol::Nict),
        ("htptime", Protocol::HtpTime),
        ("https-time", Protocol::HttpsTime),
        ("x-time", Protocol::XTime),
        ("text", Protocol::Text),
        ("http-date", Protocol::HttpDate),
        ("ntp", Protocol::Ntp),
    ]),
    without: Without::Depends("found out from the url and the first replies", "\"webntp\""),
};
pub(super) static POLL: Key<Length> = Key {
    name: "poll",
    takes: POLLS,
    without: Without::Depends("min-poll and max-poll", "\"16s\""),
};
pub(super) static MIN_POLL: Key<Length> = Key {
    name: "min-poll",
    takes: POLLS,
    without: Without::Depends("cycle, or max-poll if that is shorter", "\"16s\""),
};
pub(super) static MAX_POLL: Key<Length> = Key {
    name: "max-poll",
    takes: POLLS,
    without: Without::Depends("64s, or min-poll if that is longer", "\"64s\""),
};
pub(super) static BURST: Key<Switch> = Key {
    name: "burst",
    takes: Switch,
    without: Without::Is("true"),
};
pub(super) static OPERATOR: Key<Text> = Key {
    name: "operator",
    takes: Text(word::OPERATOR_RANGE),
    without: Without::Depends("the host of the url", "\"example\""),
};
pub(super) static PREFER: Key<Switch> = Key {
    name: "prefer",
    takes: Switch,
    without: Without::Is("false"),
};
pub(super) static NOSELECT: Key<Switch> = Key {
    name: "noselect",
    takes: Switch,
    without: Without::Is("false"),
};
pub(super) static OFFSET: Key<Correction> = Key {
    name: "offset",
    takes: Correction {
        low: (Span::from_secs(-60), "-60s"),
        high: (Span::from_secs(60), "60s"),
    },
    without: Without::Is("\"0s\""),
};
pub(super) static ROUNDING: Key<Choice<Rounding>> = Key {
    name: "rounding",
    takes: Choice(&[
        ("truncates", Rounding::Truncates),
        ("rounds", Rounding::Rounds),
        ("unknown", Rounding::Unknown),
    ]),
    without: Without::Is("\"unknown\""),
};
pub(super) static TIMEOUT: Key<Length> = Key {
    name: "timeout",
    takes: Length {
        low: (Span::from_millis(100), "100ms"),
        high: (Span::from_secs(60), "60s"),
    },
    without: Without::Is("\"5s\""),
};
pub(super) static CA_FILE: Key<Text> = Key {
    name: "ca-file",
    takes: Text("an absolute path"),
    without: Without::Depends(
        "the certificates of the system only",
        "\"/etc/ssl/example-ca.pem\"",
    ),
};
pub(super) static ADDRESS_FAMILY: Key<Choice<AddressFamily>> = Key {
    name: "address-family",
    takes: Choice(&[
        ("any", AddressFamily::Any),
        ("ipv4", AddressFamily::Ipv4),
        ("ipv6", AddressFamily::Ipv6),
    ]),
    without: Without::Is("\"any\""),
};
