//! Starting, stopping, starting again, and waiting.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use super::client::{HttpClient, PATIENCE, WebSocketClient};
use crate::fake::{Authority, Delay, FakeUpstream, Fault, Path, Setup, Tls};

#[test]
fn stop_closes_every_connection_and_refuses_new_ones() {
    let fake = FakeUpstream::start(Setup::honest());
    let mut idle = HttpClient::connect(&fake);
    let mut busy = HttpClient::connect(&fake);
    let mut socket = WebSocketClient::connect(&fake);
    idle.exchange("1").unwrap();
    socket.exchange("2").unwrap();
    fake.set_fault(Some(Fault::StallBeforeHeaders));
    busy.send("GET", "/json?3").unwrap();
    assert!(fake.wait_served(3, PATIENCE));

    fake.stop();
    assert_eq!(fake.counts().open, 0);
    assert_eq!(idle.fill().unwrap(), 0);
    assert_eq!(busy.fill().unwrap(), 0);
    socket.read().unwrap_err();
    let refused = TcpStream::connect(fake.addr()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn stop_does_not_wait_for_delays() {
    let hour = Delay::Fixed(Duration::from_secs(3600));
    let fake = FakeUpstream::start(Setup {
        path: Path::between(hour, hour),
        ..Setup::honest()
    });
    let mut client = HttpClient::connect(&fake);
    client.send("GET", "/json?1").unwrap();
    assert!(fake.wait(|counts| counts.open == 1, PATIENCE));
    drop(fake);
    // Its end may come with a reset: whether the request was read by then is open.
    assert_eq!(client.fill().unwrap_or_default(), 0);
}

#[test]
fn it_comes_back_at_the_same_port_with_its_book_open() {
    let authority = Authority::new();
    let fake = FakeUpstream::start(Setup {
        tls: Some(Tls::of(&authority)),
        ..Setup::honest()
    });
    let addr = fake.addr();
    HttpClient::connect(&fake).exchange("1").unwrap();
    fake.restart_at_same_port();
    assert_eq!(fake.addr(), addr);
    HttpClient::connect(&fake).exchange("2").unwrap();
    let asked: Vec<_> = fake
        .ledger()
        .into_iter()
        .map(|served| (served.connection, served.it))
        .collect();
    assert_eq!(asked, [(0, "1".to_owned()), (1, "2".to_owned())]);
}

#[test]
fn waiting_ends_in_vain_when_nothing_comes() {
    let fake = FakeUpstream::start(Setup::honest());
    assert!(!fake.wait_served(1, Duration::from_millis(1)));
}

#[test]
fn more_connections_than_are_allowed_are_closed_unheard() {
    let fake = FakeUpstream::start(Setup::honest());
    let _taken: Vec<_> = (0..64)
        .map(|_| {
            let mut client = HttpClient::connect(&fake);
            client.exchange("1").unwrap();
            client
        })
        .collect();
    let mut last = HttpClient::connect(&fake);
    assert_eq!(last.fill().unwrap(), 0);
}

#[test]
fn the_ca_can_be_written_for_programs_that_read_files() {
    let directory = std::env::temp_dir().join(format!("fake-ca-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let authority = Authority::new();
    let path = authority.write_ca(&directory);
    assert_eq!(std::fs::read_to_string(path).unwrap(), authority.ca_pem());
    std::fs::remove_dir_all(directory).unwrap();
}
