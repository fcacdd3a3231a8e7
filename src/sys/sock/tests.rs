use super::*;
use crate::engine::time::Utc;
use proptest::prelude::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};

const MESSAGE: Message = Message {
    receive: Utc::from_nanos(1_790_557_227_123_456_789),
    offset: Span::from_nanos(-25_000_001),
    leap: Leap::Delete,
};

/// A directory of the test's own; gone with it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("webntpd-sock-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn reader(&self, name: &str) -> UnixDatagram {
        let reader = UnixDatagram::bind(self.path(name)).expect("a new socket");
        reader.set_nonblocking(true).expect("it may");
        reader
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The same from a message and from a look; of a refusal, what comes behind the path.
fn outcome(path: &Path) -> Result<Listener, String> {
    let mut sender = Sender::new(path.to_owned());
    let sent = sender.send(&MESSAGE).map_err(|error| error.to_string());
    let probed = sender.probe().map_err(|error| error.to_string());
    let probed = probed.map_err(|text| text.replace("connect fails", "sendto fails"));
    assert_eq!(sent, probed, "a look tells what a message meets");
    sent.map_err(|text| {
        let place = format!("sock {}: ", path.display());
        text.strip_prefix(&place)
            .expect("begins with the path")
            .to_owned()
    })
}

fn received(reader: &UnixDatagram) -> Option<Vec<u8>> {
    let mut buffer = [0; 100];
    let length = reader.recv(&mut buffer).ok()?;
    Some(buffer[..length].to_vec())
}

#[test]
fn every_byte_of_a_message_is_where_chronyd_looks_for_it() {
    let bytes = MESSAGE.bytes();
    let mut expected = Vec::new();
    expected.extend(1_790_557_227_i64.to_ne_bytes());
    expected.extend(123_456_i64.to_ne_bytes());
    expected.extend((-0.025_000_001_f64).to_ne_bytes());
    expected.extend(0_i32.to_ne_bytes());
    expected.extend(2_i32.to_ne_bytes());
    expected.extend([0; 4]);
    expected.extend(0x534f_434b_i32.to_ne_bytes());
    assert_eq!(bytes.as_slice(), expected);
}

#[cfg(target_endian = "little")]
#[test]
fn a_message_is_one_that_ntpd_rs_accepts() {
    let bytes = MESSAGE.bytes();
    assert_eq!(bytes.len(), 40);
    let offset = f64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes"));
    assert_eq!(offset, -0.025_000_001);
    assert_eq!(bytes[24..28], [0; 4], "the pulse");
    assert_eq!(bytes[28..32], [2, 0, 0, 0], "the leap second");
    assert_eq!(&bytes[36..], b"KCOS");
}

#[test]
fn a_leap_second_has_the_number_that_ntp_gives_it() {
    for (leap, number) in [(Leap::None, 0), (Leap::Insert, 1), (Leap::Delete, 2)] {
        let bytes = Message { leap, ..MESSAGE }.bytes();
        assert_eq!(bytes[28..32], i32::to_ne_bytes(number));
    }
}

proptest! {
    /// chronyd and ntpd-rs take the offset as it is; the stamp only says when.
    #[test]
    fn a_reader_gets_the_offset_to_the_nanosecond_and_no_stamp_of_the_future(
        receive in 0..4_102_444_800_000_000_000_i64,
        offset in -4_000_000_000_000_000_i64..4_000_000_000_000_000,
    ) {
        let message = Message {
            receive: Utc::from_nanos(receive),
            offset: Span::from_nanos(offset),
            leap: Leap::None,
        };
        let bytes = message.bytes();
        let word = |at: usize| -> [u8; 8] { bytes[at..at + 8].try_into().expect("eight bytes") };
        let (seconds, micros) = (i64::from_ne_bytes(word(0)), i64::from_ne_bytes(word(8)));
        prop_assert!((0..1_000_000).contains(&micros));
        let lost = receive - (seconds * 1_000_000_000 + micros * 1_000);
        prop_assert!((0..1_000).contains(&lost));
        let read = f64::from_ne_bytes(word(16));
        prop_assert!((read * 1e9 - offset as f64).abs() < 1.0);
    }
}

#[test]
fn a_message_reaches_whoever_has_the_path_by_then() {
    let place = Place::new();
    let path = place.path("web.sock");
    let mut sender = Sender::new(path.clone());
    assert_eq!(sender.send(&MESSAGE), Ok(Listener::Absent), "before it");
    let first = place.reader("web.sock");
    assert_eq!(sender.send(&MESSAGE), Ok(Listener::Bound));
    assert_eq!(received(&first), Some(MESSAGE.bytes().to_vec()));
    drop(first);
    assert_eq!(sender.send(&MESSAGE), Ok(Listener::Absent), "as if killed");
    fs::remove_file(&path).expect("it is left behind");
    assert_eq!(sender.send(&MESSAGE), Ok(Listener::Absent), "as if stopped");
    let second = place.reader("web.sock");
    assert_eq!(sender.send(&MESSAGE), Ok(Listener::Bound));
    assert_eq!(received(&second), Some(MESSAGE.bytes().to_vec()));
}

#[test]
fn a_look_leaves_nothing_in_the_socket() {
    let place = Place::new();
    let reader = place.reader("web.sock");
    let sender = Sender::new(place.path("web.sock"));
    assert_eq!(sender.probe(), Ok(Listener::Bound));
    assert_eq!(received(&reader), None);
}

#[test]
fn a_symbolic_link_to_the_socket_will_do() {
    let place = Place::new();
    let reader = place.reader("web.sock");
    symlink("web.sock", place.path("link")).expect("a new link");
    assert_eq!(outcome(&place.path("link")), Ok(Listener::Bound));
    assert!(received(&reader).is_some());
}

#[test]
fn a_path_without_its_directory_is_nobody_there() {
    let place = Place::new();
    assert_eq!(
        outcome(&place.path("chrony/web.sock")),
        Ok(Listener::Absent)
    );
}

#[test]
fn what_is_no_datagram_socket_is_named() {
    let place = Place::new();
    fs::write(place.path("file"), "").expect("a new file");
    fs::create_dir(place.path("directory")).expect("a new one");
    symlink("file", place.path("to-file")).expect("a new link");
    symlink("nothing", place.path("to-nothing")).expect("a new link");
    let _stream = UnixListener::bind(place.path("stream")).expect("a new socket");
    for (name, what) in [
        ("file", "is a regular file"),
        ("directory", "is a directory"),
        ("to-file", "is a symbolic link to a regular file"),
        ("to-nothing", "is a symbolic link that leads nowhere"),
        ("stream", "is a socket of another type"),
    ] {
        let expected = format!(
            "the path {what}, not a datagram socket; remove it and restart the daemon that is to read, \
             or name the path in its configuration"
        );
        assert_eq!(outcome(&place.path(name)), Err(expected));
    }
    assert_eq!(
        outcome(&place.path("file/web.sock")),
        Err("sendto fails: Not a directory (os error 20); \
             name the path that the other daemon's configuration has"
            .to_owned())
    );
}

#[test]
fn a_reader_that_hangs_is_named_and_blocks_nobody() {
    let place = Place::new();
    let reader = place.reader("web.sock");
    let mut sender = Sender::new(place.path("web.sock"));
    let full = SockError::Full {
        path: place.path("web.sock"),
    };
    // net.unix.max_dgram_qlen, and the size of the buffer, set the limit.
    let refused = (0..100_000).find_map(|_| sender.send(&MESSAGE).err());
    assert_eq!(refused, Some(full.clone()));
    assert_eq!(
        full.to_string(),
        format!(
            "sock {}: the daemon that has the socket does not read it, its queue is full; see whether it hangs",
            place.path("web.sock").display()
        )
    );
    while received(&reader).is_some() {}
    assert_eq!(sender.send(&MESSAGE), Ok(Listener::Bound));
}

#[test]
fn a_refusal_names_the_socket_us_and_the_drop_in() {
    let path = PathBuf::from("/run/chrony.webntpd.sock");
    let facts = Facts {
        owner: 0,
        group: 0,
        mode: 0o755,
    };
    let denied = SockError::Denied {
        path: path.clone(),
        user: 990,
        socket: facts,
    };
    assert_eq!(
        denied.to_string(),
        "sock /run/chrony.webntpd.sock: uid 990 may not send to the socket (owner uid 0, gid 0, mode 0755); \
         let the group webntpd write to it: \
         install /usr/share/doc/webntpd/examples/chrony-sock.conf as a drop-in of chrony.service and restart that"
    );
    let closed = SockError::OutOfReach {
        path: "/run/chrony/web.sock".into(),
        user: 990,
        directory: "/run/chrony".into(),
        facts: Facts {
            owner: 102,
            mode: 0o700,
            ..facts
        },
    };
    assert_eq!(
        closed.to_string(),
        "sock /run/chrony/web.sock: uid 990 may not enter /run/chrony (owner uid 102, gid 0, mode 0700); \
         let it, or use a path in a directory that is open to all, like /run/chrony.webntpd.sock"
    );
}

/// Root may do anything, so this shows nothing when it runs the tests; the suite has the same with users.
#[test]
fn what_is_closed_to_us_is_told_apart() {
    if nix::unistd::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let _reader = place.reader("web.sock");
    let close = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    close(&place.path("web.sock"), 0o555);
    let mut sender = Sender::new(place.path("web.sock"));
    assert!(matches!(
        sender.send(&MESSAGE),
        Err(SockError::Denied { socket, .. }) if socket.mode == 0o555
    ));
    close(&place.0, 0o600);
    let refused = sender.send(&MESSAGE);
    close(&place.0, 0o700);
    assert!(matches!(
        refused,
        Err(SockError::OutOfReach { directory, .. }) if directory == place.0
    ));
}
