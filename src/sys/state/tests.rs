//! The file in every mishap.

use super::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proptest::prelude::*;
use std::process::{Command, Stdio};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("webntpd-state-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn state(second: i64) -> State {
    State {
        time: Plausible::release().not_before + crate::engine::time::Span::from_secs(second),
        rate: Some(KnownRate {
            rate: Rate::from_ppb(-12_345),
            error: Rate::from_ppb(1_500),
            boot: Some("0d4c6e1a-0000-4000-8000-1234567890ab".to_owned()),
        }),
    }
}

#[test]
fn what_was_written_is_read_and_everybody_may_read_it() {
    let directory = Directory::new("written");
    assert!(matches!(read(&directory.0), Ok(None)));
    for state in [
        state(0),
        State {
            rate: None,
            ..state(7)
        },
    ] {
        write(&directory.0, &state).unwrap();
        assert_eq!(read(&directory.0).unwrap(), Some(state));
    }
    let mode = fs::metadata(path(&directory.0))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(
        fs::read_dir(&directory.0).unwrap().count(),
        1,
        "nothing else is left"
    );
}

#[test]
fn a_file_that_lacks_its_end_or_was_changed_is_damaged() {
    let whole = text(&state(0));
    for length in 0..whole.len() {
        assert!(
            matches!(parse(&whole[..length]), Err(Unusable::Damaged)),
            "{length}"
        );
    }
    let changed = whole.replace("-12345000", "-12345001");
    assert_ne!(changed, whole);
    assert!(matches!(parse(&changed), Err(Unusable::Damaged)));
}

/// A file with these lines and the right check.
fn with(lines: &str) -> String {
    format!("{lines}check = {}\n", check(lines))
}

#[test]
fn unknown_keys_are_left_out_and_another_version_is_refused() {
    let time = state(0).time.as_nanos();
    let read = parse(&with(&format!(
        "version = 1\nmoon = full\n\ntime-ns = {time}\n"
    )));
    assert_eq!(
        read.unwrap(),
        State {
            rate: None,
            ..state(0)
        }
    );
    let read = parse(&with(&format!("version = 2\ntime-ns = {time}\n")));
    assert!(matches!(read, Err(Unusable::Version)));
}

#[test]
fn a_rate_that_no_oscillator_has_is_left_out_and_a_time_that_cannot_be_is_refused() {
    let time = state(0).time.as_nanos();
    for (rate, error, is_kept) in [
        (500_000_000, 1, true),
        (500_000_001, 1, false),
        (-500_000_001, 1, false),
        (i64::MIN, 1, false),
        (0, 0, false),
        (0, i64::MAX, false),
    ] {
        let lines =
            format!("version = 1\ntime-ns = {time}\nrate-ppt = {rate}\nrate-error-ppt = {error}\n");
        assert_eq!(
            parse(&with(&lines)).unwrap().rate.is_some(),
            is_kept,
            "{rate} {error}"
        );
    }
    for time in [
        "0",
        "-1",
        "9223372036854775807",
        "99999999999999999999",
        "soon",
        "",
    ] {
        let lines = format!("version = 1\ntime-ns = {time}\n");
        assert!(
            matches!(parse(&with(&lines)), Err(Unusable::Value("time"))),
            "{time}"
        );
    }
    assert!(matches!(
        parse(&with("version = 1\n")),
        Err(Unusable::Value("time"))
    ));
}

#[test]
fn what_is_no_file_of_ours_is_refused_and_not_waited_for() {
    let directory = Directory::new("other");
    let place = path(&directory.0);
    fs::write(&place, vec![b'#'; 5_000]).unwrap();
    assert!(matches!(read(&directory.0), Err(Unusable::TooLarge)));
    fs::write(&place, [0xff, 0xfe]).unwrap();
    assert!(matches!(read(&directory.0), Err(Unusable::Damaged)));
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    assert!(matches!(read(&directory.0), Err(Unusable::NotAFile)));
    assert!(write(&directory.0, &state(0)).is_err());
    fs::remove_dir(&place).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&place)
            .status()
            .unwrap()
            .success()
    );
    assert!(matches!(read(&directory.0), Err(Unusable::NotAFile)));
    write(&directory.0, &state(0)).unwrap();
    assert_eq!(read(&directory.0).unwrap(), Some(state(0)));
}

#[test]
fn a_directory_that_is_not_there_has_no_state_and_is_not_made() {
    let directory = Directory::new("none");
    let none = directory.0.join("none");
    assert!(matches!(read(&none), Ok(None)));
    assert_eq!(
        write(&none, &state(0)).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(!none.exists());
}

#[test]
fn a_link_in_the_place_of_the_new_file_is_not_followed() {
    let directory = Directory::new("link");
    let victim = directory.0.join("victim");
    fs::write(&victim, "mine").unwrap();
    std::os::unix::fs::symlink(&victim, directory.0.join(BESIDE)).unwrap();
    assert!(write(&directory.0, &state(0)).is_err());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
}

/// Set in the process that writes until it is killed.
const WRITER: &str = "WEBNTPD_STATE_WRITER";

/// The writer below; does nothing when it is run as a test.
#[test]
fn writes_on_and_on_where_it_is_told() {
    let Some(directory) = std::env::var_os(WRITER) else {
        return;
    };
    for second in 0.. {
        write(Path::new(&directory), &state(second)).unwrap();
    }
}

#[test]
fn a_writer_that_is_killed_at_any_moment_leaves_a_whole_file() {
    let directory = Directory::new("killed");
    let mut newest = None;
    for round in 0..25 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "sys::state::tests::writes_on_and_on_where_it_is_told",
            ])
            .env(WRITER, &directory.0)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // So many more are read, each of them whole; the last one may be at any step of the next.
        let mut read_since = 0;
        while read_since < 1 + round {
            let now = read(&directory.0).unwrap();
            read_since += usize::from(now != newest);
            newest = now;
            assert!(writer.try_wait().unwrap().is_none(), "it writes on");
        }
        kill(
            Pid::from_raw(writer.id().try_into().unwrap()),
            Signal::SIGKILL,
        )
        .unwrap();
        writer.wait().unwrap();
        newest = read(&directory.0).unwrap();
        assert!(newest.is_some());
    }
}

proptest! {
    #[test]
    fn no_text_panics(text: String, lines in "(version = 1\n)?(time-ns = -?[0-9]{0,21}\n)?(rate-ppt = .{0,5}\n)?") {
        let _ = parse(&text);
        let _ = parse(&with(&lines));
    }

    #[test]
    fn every_state_reads_back(second in 0i64..2_000_000_000, ppt in -500_000_000i64..=500_000_000, error in 1i64..=500_000_000) {
        let known = KnownRate { rate: Rate::from_ppt(ppt), error: Rate::from_ppt(error), boot: None };
        let state = State { rate: Some(known), ..state(second) };
        prop_assert_eq!(parse(&text(&state)).unwrap(), state);
    }
}
