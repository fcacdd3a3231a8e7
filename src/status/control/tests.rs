//! The control socket, from both ends.

use super::*;
use crate::engine::time::{Raw, Span};
use crate::status::rig;
use std::io::Write as _;
use std::os::unix::net::UnixListener as Plain;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// A directory of its own for each test, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let place = std::env::temp_dir().join(format!("webntpd-{test}-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        Self(place)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(path: &Path, mode: u32) -> Result<ControlSocket, BindError> {
    ControlSocket::start(path, mode, None, watch::channel(rig::status()).1)
}

fn serving(path: &Path) -> (watch::Sender<Status>, ControlSocket) {
    let (status, receiver) = watch::channel(rig::status());
    let socket = ControlSocket::start(path, 0o600, None, receiver);
    (status, socket.expect("nothing is in the way"))
}

/// Far away: what is tested ends by itself.
fn later() -> Raw {
    raw_now() + Span::from_secs(3_600)
}

async fn asked(path: PathBuf) -> Result<(Report, String), AskError> {
    ask(&path, later()).await
}

fn mode(path: &Path) -> u32 {
    let found = fs::symlink_metadata(path).expect("it is there");
    found.permissions().mode() & 0o777
}

#[tokio::test]
async fn whoever_asks_is_told_what_the_status_says_in_one_line_of_json() {
    let place = Place::new("told");
    let (status, _socket) = serving(&place.socket());
    let (report, line) = asked(place.socket()).await.unwrap();
    assert_eq!(line.matches('\n').count(), 1);
    let expected = Report::new(&status.borrow(), raw_now());
    assert_eq!(report.sources.len(), 4);
    assert_eq!(report.summary, expected.summary);
    assert_eq!(report.sources[2].tally, "falseticker");
    assert!(!line.contains("secret"), "{line}");
    status.send_modify(|status| status.ledger.reloads = 7);
    assert_eq!(asked(place.socket()).await.unwrap().0.reloads, 7);
}

#[tokio::test]
async fn the_socket_has_its_mode_and_goes_with_the_daemon() {
    let place = Place::new("mode");
    for wanted in [0o600, 0o660, 0o666] {
        let socket = start(&place.socket(), wanted).unwrap();
        assert_eq!(mode(&place.socket()), wanted);
        assert_eq!(
            fs::read_dir(&place.0).unwrap().count(),
            1,
            "no other name is left"
        );
        drop(socket);
        assert!(fs::symlink_metadata(place.socket()).is_err());
    }
}

#[tokio::test]
async fn what_a_daemon_left_behind_is_replaced_and_what_is_another_s_is_not() {
    let place = Place::new("replaced");
    drop(Plain::bind(place.socket()).unwrap());
    let first = start(&place.socket(), 0o600).expect("nobody listens there");
    let taken = start(&place.socket(), 0o600);
    assert!(matches!(taken, Err(BindError::Taken(_))), "{taken:?}");
    // A socket that was put in its place is not removed.
    fs::remove_file(place.socket()).unwrap();
    let other = Plain::bind(place.socket()).unwrap();
    drop(first);
    assert!(fs::symlink_metadata(place.socket()).is_ok());
    drop(other);

    fs::remove_file(place.socket()).unwrap();
    fs::write(place.socket(), "precious").unwrap();
    let occupied = start(&place.socket(), 0o600);
    assert!(matches!(occupied, Err(BindError::NotASocket(_))));
    assert_eq!(fs::read(place.socket()).unwrap(), b"precious");

    let nowhere = start(&place.0.join("no/control.sock"), 0o600);
    assert!(
        matches!(nowhere, Err(BindError::NoDirectory(_))),
        "{nowhere:?}"
    );
}

#[tokio::test]
async fn readers_beyond_the_eighth_wait_and_one_that_does_not_read_is_left_alone() {
    let place = Place::new("readers");
    let (status, _socket) = serving(&place.socket());
    // More than a socket's buffers hold.
    status.send_modify(|status| status.ledger.sources[0].url = "x".repeat(3 << 20));
    let mut idle = Vec::new();
    for _ in 0..READERS {
        let mut reader = UnixStream::connect(place.socket()).await.unwrap();
        // Its turn has come.
        reader.read_exact(&mut [0]).await.unwrap();
        idle.push(reader);
    }
    status.send_modify(|status| status.ledger.sources[0].url = "short".into());
    let (report, _) = asked(place.socket()).await.expect("it had its turn");
    assert_eq!(report.sources[0].url, "short");
    let mut cut_off = 0;
    for mut reader in idle {
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).await.expect("it ends");
        cut_off += u32::from(rest.len() < 3 << 20);
    }
    assert!(cut_off > 0, "whose turn was it?");
}

#[tokio::test]
async fn one_that_is_ours_is_replaced_in_its_place_and_goes_on_if_the_new_one_cannot_be() {
    let place = Place::new("moved");
    let (status, first) = serving(&place.socket());
    let start = |path: &Path, mode, before: &ControlSocket| {
        ControlSocket::start(path, mode, Some(before), status.subscribe())
    };
    let second = start(&place.socket(), 0o666, &first).expect("what is there is ours");
    drop(first);
    assert_eq!(mode(&place.socket()), 0o666);
    asked(place.socket()).await.expect("the new one answers");

    let elsewhere = place.0.join("other.sock");
    let stranger = Plain::bind(&elsewhere).unwrap();
    let taken = start(&elsewhere, 0o600, &second);
    assert!(matches!(taken, Err(BindError::Taken(_))), "{taken:?}");
    asked(place.socket()).await.expect("the old one goes on");
    drop(stranger);
    let third = start(&elsewhere, 0o600, &second).expect("nobody listens there");
    drop(second);
    assert!(fs::symlink_metadata(place.socket()).is_err());
    asked(elsewhere.clone()).await.expect("it has moved");
    drop(third);
    assert!(fs::symlink_metadata(elsewhere).is_err());
}

#[tokio::test]
async fn a_socket_is_free_as_soon_as_it_is_dropped() {
    let place = Place::new("free");
    let socket = start(&place.socket(), 0o600).unwrap();
    // Nobody removes what it leaves, and no other task has had a turn.
    let kept = place.0.join("kept.sock");
    fs::hard_link(place.socket(), &kept).unwrap();
    drop(socket);
    start(&kept, 0o600).expect("nobody listens there");
}

#[tokio::test]
async fn the_longest_path_that_may_be_configured_is_bound() {
    let place = Place::new("long");
    for name in [1, 30] {
        let directory = LONGEST - name - 1;
        let rest = directory - place.0.as_os_str().len() - 1;
        let directory = place.0.join("d".repeat(rest));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("s".repeat(name));
        assert_eq!(path.as_os_str().len(), LONGEST);
        let socket = start(&path, 0o640).expect("nothing is in the way");
        assert_eq!(mode(&path), 0o640);
        asked(path.clone()).await.expect("it answers");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        drop(socket);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }
}

#[test]
fn only_what_surely_nobody_has_is_replaced() {
    let judged = |errno: i32, directory_is_ours| {
        let error = Err(io::Error::from_raw_os_error(errno));
        judge(Path::new("/run/w/c"), error, directory_is_ours)
    };
    for free in [libc::ECONNREFUSED, libc::ENOENT] {
        assert!(judged(free, false).is_ok());
    }
    // Root's, left behind where the service is to make its own.
    assert!(judged(libc::EACCES, true).is_ok());
    let closed = judged(libc::EACCES, false);
    assert!(matches!(closed, Err(BindError::Closed(_))), "{closed:?}");
    let taken = judged(libc::EPROTOTYPE, true);
    assert!(matches!(taken, Err(BindError::Taken(_))), "{taken:?}");
    let taken = judge(Path::new("/run/w/c"), Ok(()), true);
    assert!(matches!(taken, Err(BindError::Taken(_))), "{taken:?}");
    let other = judged(libc::EMFILE, true);
    assert!(matches!(other, Err(BindError::System { .. })), "{other:?}");
}

#[tokio::test]
async fn a_datagram_socket_that_somebody_has_is_not_replaced() {
    let place = Place::new("datagram");
    let _chronyd = UnixDatagram::bind(place.socket()).unwrap();
    let taken = start(&place.socket(), 0o600);
    assert!(matches!(taken, Err(BindError::Taken(_))), "{taken:?}");
}

/// Asks with little patience; the test hangs if it is not kept.
async fn asked_in_vain(path: &Path) {
    let answer = ask(path, raw_now() + Span::from_millis(50)).await;
    let why = answer.expect_err("nobody answers").to_string();
    assert!(why.ends_with("it does not answer"), "{why}");
}

#[tokio::test]
async fn one_that_accepts_and_says_nothing_is_asked_no_longer_than_it_may_take() {
    let place = Place::new("mute");
    let mute = UnixListener::bind(place.socket()).unwrap();
    let accepted = tokio::spawn(async move { mute.accept().await });
    asked_in_vain(&place.socket()).await;
    drop(accepted);
}

#[tokio::test]
async fn one_that_dribbles_is_asked_no_longer_than_it_may_take() {
    let place = Place::new("dribbles");
    let slow = UnixListener::bind(place.socket()).unwrap();
    let dribbling = tokio::spawn(async move {
        let (mut asker, _) = slow.accept().await.unwrap();
        while asker.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    asked_in_vain(&place.socket()).await;
    dribbling.await.expect("the asker has gone");
}

#[tokio::test]
async fn one_whose_queue_is_full_is_asked_no_longer_than_it_may_take_and_answers_when_there_is_room()
 {
    let place = Place::new("full");
    let socket = Plain::bind(place.socket()).unwrap();
    let mut waiting = Vec::new();
    loop {
        match UnixStream::connect(place.socket()).await {
            Ok(stream) => waiting.push(stream),
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    asked_in_vain(&place.socket()).await;
    let path = place.socket();
    let asking = tokio::spawn(async move { ask(&path, later()).await });
    drop(waiting);
    let line = line(&rig::status());
    let answering = std::thread::spawn(move || {
        while let Ok((mut asker, _)) = socket.accept() {
            if asker.write_all(&line).is_ok() {
                break;
            }
        }
    });
    asking.await.unwrap().expect("it has come through");
    answering.join().unwrap();
}

#[tokio::test]
async fn an_error_says_who_is_missing() {
    let place = Place::new("missing");
    let text = |error: Result<(Report, String), AskError>| error.unwrap_err().to_string();
    let none = text(asked(place.socket()).await);
    assert!(none.contains("is it running "), "{none}");
    drop(Plain::bind(place.socket()).unwrap());
    assert_eq!(text(asked(place.socket()).await), none, "left behind");
    fs::remove_file(place.socket()).unwrap();
    let stranger = Plain::bind(place.socket()).unwrap();
    let answer = std::thread::spawn(move || {
        stranger.accept().unwrap().0.write_all(b"hello").unwrap();
    });
    let strange = text(asked(place.socket()).await);
    assert!(strange.contains("is not webntpd"), "{strange}");
    answer.join().unwrap();
}
