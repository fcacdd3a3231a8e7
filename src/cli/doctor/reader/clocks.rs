//! The reference clocks in the configuration of an ntpd or a chronyd.
//!
//! In: a file, and those that it includes. Out: each clock that samples of ours could come by. All else is passed over.

use crate::config::Output;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// More than any configuration.
const LARGEST: u64 = 256 << 10;

/// Files that are read at the most, with all that include each other.
const FILES: usize = 64;

/// A reference clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Clock {
    pub(in super::super) output: Output,
    /// What it is called, where that is said.
    pub(in super::super) refid: Option<String>,
}

/// The clocks of `file` and of what it includes. Fails only if `file` itself cannot be read.
pub(super) fn read(file: &Path) -> io::Result<Vec<Clock>> {
    let mut text = content(file)?;
    let mut seen = BTreeSet::from([file.to_owned()]);
    let mut next = included(&text);
    // As ntpsec has it, beside its file.
    next.extend(listed(&file.with_file_name("ntp.d"), "conf"));
    while let Some(file) = next.pop() {
        if seen.len() < FILES
            && seen.insert(file.clone())
            && let Ok(more) = content(&file)
        {
            next.extend(included(&more));
            text.push('\n');
            text.push_str(&more);
        }
    }
    Ok(parse(&text))
}

fn content(file: &Path) -> io::Result<String> {
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a text includes: `include` and `confdir` of chrony, `includefile` of ntpd.
fn included(text: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("include" | "includefile") => {
                let path = Path::new(words.next().unwrap_or_default().trim_matches('"'));
                let all = path
                    .file_name()
                    .and_then(|name| name.to_str()?.strip_prefix("*."));
                match (all, path.parent()) {
                    (Some(extension), Some(directory)) => {
                        files.extend(listed(directory, extension))
                    }
                    _ if path.is_dir() => files.extend(listed(path, "conf")),
                    _ => files.push(path.to_owned()),
                }
            }
            Some("confdir") => {
                files.extend(words.flat_map(|directory| listed(Path::new(directory), "conf")))
            }
            _ => {}
        }
    }
    files
}

/// The first files of a directory whose names end so.
fn listed(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .take(FILES)
        .collect()
}

/// The clocks of a text.
pub(super) fn parse(text: &str) -> Vec<Clock> {
    let mut clocks: Vec<Clock> = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        if line.starts_with(['#', '!', ';', '%']) {
            continue;
        }
        let words: Vec<&str> = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let &[first, second, ref rest @ ..] = &words[..] else {
            continue;
        };
        let refid = rest
            .iter()
            .position(|word| word.eq_ignore_ascii_case("refid"))
            .and_then(|at| rest.get(at + 1))
            .map(|refid| (*refid).to_owned());
        if first.eq_ignore_ascii_case("fudge") {
            let of = classic_unit(second).map(Output::of_unit);
            let clock = clocks
                .iter_mut()
                .find(|clock| Some(&clock.output) == of.as_ref());
            if let Some(clock) = clock {
                clock.refid = refid.or(clock.refid.take());
            }
            continue;
        }
        if let Some(output) = output(first, second, rest) {
            clocks.push(Clock { output, refid });
        }
    }
    clocks
}

fn output(first: &str, second: &str, rest: &[&str]) -> Option<Output> {
    let plain = |word: &&str| word.split(':').next().unwrap_or_default().to_owned();
    match first.to_ascii_lowercase().as_str() {
        "server" => classic_unit(second).map(Output::of_unit),
        "refclock" if second.eq_ignore_ascii_case("shm") => match rest {
            // ntpsec's: `refclock shm unit 2`, with unit 0 if none is named.
            [] => Some(Output::of_unit(0)),
            _ => {
                let named = rest
                    .iter()
                    .position(|word| word.eq_ignore_ascii_case("unit"));
                let unit = rest.get(named.map_or(0, |at| at + 1))?;
                // Without the word it is chrony's: `refclock SHM 2:perm=0666`.
                plain(unit)
                    .parse()
                    .ok()
                    .map(Output::of_unit)
                    .or((named.is_none()).then_some(Output::of_unit(0)))
            }
        },
        "refclock" if second.eq_ignore_ascii_case("sock") => {
            Some(Output::of_path(rest.first().map(plain)?))
        }
        _ => None,
    }
}

/// The unit of the classic ntpd's `127.127.28.2`.
fn classic_unit(address: &str) -> Option<u8> {
    address.strip_prefix("127.127.28.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shm(unit: u8, refid: Option<&str>) -> Clock {
        Clock {
            output: Output::of_unit(unit),
            refid: refid.map(str::to_owned),
        }
    }

    #[test]
    fn a_clock_is_found_however_its_daemon_writes_it() {
        for (text, clock) in [
            (
                "refclock shm unit 2 refid WEB minpoll 4",
                shm(2, Some("WEB")),
            ),
            ("refclock shm refid WEB unit 3", shm(3, Some("WEB"))),
            ("refclock shm refid WEB", shm(0, Some("WEB"))),
            (
                "  refclock SHM 2:perm=0666 refid WEB # ours",
                shm(2, Some("WEB")),
            ),
            ("refclock SHM 5", shm(5, None)),
            (
                "server 127.127.28.2 mode 1\nfudge 127.127.28.2 refid WEB",
                shm(2, Some("WEB")),
            ),
        ] {
            assert_eq!(parse(text), [clock], "{text}");
        }
        let sock = parse("refclock SOCK /run/chrony.webntpd.sock:perm=0660 refid WEB");
        assert_eq!(sock[0].output, Output::of_path("/run/chrony.webntpd.sock"));
    }

    #[test]
    fn what_is_commented_out_or_another_clock_is_passed_over() {
        for text in [
            "#refclock shm unit 2",
            "! refclock SHM 2",
            "server 127.127.20.2",
            "server ntp.example iburst",
            "refclock PPS /dev/pps0",
            "refclock",
            "refclock shm unit 300",
            "refclock shm unit",
        ] {
            assert_eq!(parse(text), [], "{text}");
        }
    }

    #[test]
    fn what_is_included_is_read_once_however_it_is_included() {
        let dir = std::env::temp_dir().join(format!("webntp-doctor-{}", std::process::id()));
        let more = dir.join("conf.d");
        fs::create_dir_all(&more).unwrap();
        let file = dir.join("chrony.conf");
        let shown = more.display();
        fs::write(
            &file,
            format!(
                "confdir {shown}\ninclude {shown}/*.conf\ninclude {}\n",
                file.display()
            ),
        )
        .unwrap();
        fs::write(more.join("web.conf"), "refclock SHM 2 refid WEB\n").unwrap();
        fs::write(more.join("web.bak"), "refclock SHM 3\n").unwrap();
        assert_eq!(read(&file).unwrap(), [shm(2, Some("WEB"))]);
        fs::remove_dir_all(&dir).unwrap();
        assert!(read(&file).is_err());
    }
}
