//! What the service manager's watchdog sees when something hangs: a supervisor in a process of its own, watched from outside.

use super::*;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What is to hang in the process that a test watches.
const HANG: &str = "WEBNTPD_TEST_HANG";

/// An output that never comes back.
struct Abyss;

impl Sink for Abyss {
    fn publish(&mut self, _: &Sample) -> Result<crate::output::Published, SinkError> {
        println!("blocked");
        loop {
            std::thread::park();
        }
    }
}

struct HangingWorld(World);

impl super::super::World for HangingWorld {
    fn server(&mut self, source: &Source) -> anyhow::Result<Box<dyn Ask>> {
        self.0.server(source)
    }

    fn output(&mut self, _: &Output) -> (Box<dyn Sink>, Result<(), SinkError>) {
        (Box::new(Abyss), Ok(()))
    }

    fn reload(&mut self) -> Result<Config, String> {
        self.0.reload()
    }
}

/// What the next tests watch from outside, as the service manager does: a supervisor of which something hangs.
#[tokio::test]
async fn child_hangs() {
    let world = World::default();
    let clocks = Box::new(world.clone());
    let (_commands, receiver) = mpsc::channel(1);
    match std::env::var(HANG).as_deref() {
        Ok("loop") => {
            let hanging = HangingWorld(world);
            let supervisor =
                Supervisor::start(config(&["a"]), hanging, clocks).expect("nothing is in the way");
            supervisor.run(receiver).await;
        }
        Ok("poller") => {
            world
                .stage
                .lock()
                .unwrap()
                .manners
                .insert("b".into(), Manner::Hangs);
            supervisor(&["a", "b"], &world).run(receiver).await;
        }
        _ => {}
    }
}

/// A child of which something hangs, and the socket on which it tells the service manager that it lives.
struct Watched {
    child: Child,
    directory: PathBuf,
    manager: UnixDatagram,
}

impl Watched {
    fn start(what: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("webntpd-hang-{what}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "supervisor::tests::watchdog::child_hangs",
                "--nocapture",
            ])
            .env(HANG, what)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "600000")
            .env_remove("WATCHDOG_PID")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            directory,
            manager,
        }
    }

    fn message(&self) -> std::io::Result<String> {
        let mut buffer = [0; 1024];
        let length = self.manager.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    fn wait(&self, wanted: &str) {
        while !self
            .message()
            .expect("the child speaks")
            .starts_with(wanted)
        {}
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn the_watchdog_is_not_fed_by_a_loop_that_hangs() {
    let mut watched = Watched::start("loop");
    watched.wait("WATCHDOG=1");
    let output = BufReader::new(watched.child.stdout.take().unwrap());
    assert!(
        output
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains("blocked"))
    );
    // What was sent before is here by now; three times the watchdog's interval brings nothing more.
    watched.manager.set_nonblocking(true).unwrap();
    while watched.message().is_ok() {}
    watched.manager.set_nonblocking(false).unwrap();
    watched
        .manager
        .set_read_timeout(Some(Duration::from_millis(1_800)))
        .unwrap();
    assert!(watched.message().is_err(), "a loop that hangs says nothing");
}

#[test]
fn the_watchdog_is_not_fed_while_a_poller_hangs_though_cycles_end() {
    let watched = Watched::start("poller");
    watched.wait("WATCHDOG=1");
    // Pings come as often as cycles while all is well.
    let mut cycles_without = 0;
    while cycles_without < 10 {
        let message = watched.message().expect("cycles end");
        if message.starts_with("WATCHDOG") {
            cycles_without = 0;
        } else if message.starts_with("STATUS") {
            cycles_without += 1;
        }
    }
}
