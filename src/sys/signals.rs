//! Signals as events that a task can wait for.
//!
//! In: which signals to catch. Out: one [`Signal`] after the other, in no order but "as it came"; the
//! same signal twice before anybody looked is one. What a signal *means* is not decided here.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::UnixStream;

/// A signal that somebody sends to a daemon on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: the service manager, `kill`.
    Terminate,
    /// SIGHUP: read the configuration again.
    Hangup,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
        })
    }
}

impl Signal {
    /// All that a program may wait for.
    pub const ALL: [Self; 3] = [Self::Interrupt, Self::Terminate, Self::Hangup];

    /// All that end a program.
    pub const ENDING: [Self; 2] = [Self::Interrupt, Self::Terminate];

    /// With what a program ends that it ends at once, as shells have it.
    pub fn exit_code(self) -> i32 {
        128 + self.number()
    }

    fn number(self) -> i32 {
        match self {
            Self::Interrupt => SIGINT,
            Self::Terminate => SIGTERM,
            Self::Hangup => SIGHUP,
        }
    }
}

/// Signals caught from the moment when this was made.
///
/// When it is dropped they are caught no longer, but do not get their default action back either: a
/// program makes one of these and keeps it to its end.
#[derive(Debug)]
pub struct Signals {
    caught: Vec<Caught>,
    /// Readable when a flag may have been raised. What is read from it means nothing: a full pipe drops
    /// bytes, a flag loses nothing.
    wake: UnixStream,
}

#[derive(Debug)]
struct Caught {
    signal: Signal,
    raised: Arc<AtomicBool>,
    actions: Vec<SigId>,
}

impl Signals {
    /// Catches `signals` from now on. Must be called inside a tokio runtime with IO.
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        let (wake, waker) = StdUnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut caught = Self {
            caught: Vec::with_capacity(signals.len()),
            wake: UnixStream::from_std(wake)?,
        };
        for &signal in signals {
            let raised = Arc::new(AtomicBool::new(false));
            // Actions run in the order of their registration: the flag must be up before the wake-up.
            let flag = flag::register(signal.number(), Arc::clone(&raised))?;
            let wake = waker.try_clone().and_then(|waker| {
                low_level::pipe::register(signal.number(), waker).inspect_err(|_| {
                    low_level::unregister(flag);
                })
            })?;
            caught.caught.push(Caught {
                signal,
                raised,
                actions: vec![flag, wake],
            });
        }
        Ok(caught)
    }

    /// From now on the second signal that ends a program ends it at once, with the shells' exit code (128 + its number), even
    /// if nobody looks at signals any more.
    pub fn end_at_the_second(&mut self) -> io::Result<()> {
        let ending = Arc::new(AtomicBool::new(false));
        for caught in &mut self.caught {
            if Signal::ENDING.contains(&caught.signal) {
                let number = caught.signal.number();
                // In this order: the first signal raises the flag, the second one finds it raised.
                let code = caught.signal.exit_code();
                let exit = flag::register_conditional_shutdown(number, code, Arc::clone(&ending))?;
                caught.actions.push(exit);
                caught
                    .actions
                    .push(flag::register(number, Arc::clone(&ending))?);
            }
        }
        Ok(())
    }

    /// Waits for the next signal. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Signal {
        loop {
            let raised = |caught: &&Caught| caught.raised.swap(false, Ordering::SeqCst);
            if let Some(caught) = self.caught.iter().find(raised) {
                return caught.signal;
            }
            self.woken().await;
        }
    }

    async fn woken(&self) {
        loop {
            // The other end lives in the signal handler as long as we do, so neither an error nor an end
            // of file can be told apart from "no signal will ever come".
            if self.wake.readable().await.is_err() {
                return std::future::pending().await;
            }
            match self.wake.try_read(&mut [0; 64]) {
                Ok(0) => return std::future::pending().await,
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return std::future::pending().await,
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for action in self.caught.iter().flat_map(|caught| &caught.actions) {
            low_level::unregister(*action);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use nix::sys::signal::{Signal as Number, kill, raise};
    use nix::unistd::Pid;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    /// One test for all: signals belong to the process, and tests share it.
    /// Set in the process that is to be ended.
    const CHILD: &str = "WEBNTPD_TEST_CHILD";

    /// What the next test ends from outside: a program that never looks at its signals.
    #[tokio::test]
    async fn child_never_looks() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let mut signals = Signals::new(&Signal::ENDING).expect("handlers can be installed");
        signals
            .end_at_the_second()
            .expect("handlers can be installed");
        println!("caught");
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn the_second_signal_ends_a_program_that_does_not_look() {
        let mut child = Command::new(std::env::current_exe().expect("it has a path"))
            .args([
                "--exact",
                "sys::signals::tests::child_never_looks",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = output.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("caught")));
        let pid = Pid::from_raw(child.id().cast_signed());
        kill(pid, Number::SIGINT).expect("it runs");
        // Two signals of one kind may become one: it is the other kind that ends it.
        kill(pid, Number::SIGTERM).expect("it runs, or the first has ended it");
        let code = child.wait().expect("it ends").code();
        assert!(matches!(code, Some(143 | 130)), "{code:?}");
    }

    #[tokio::test]
    async fn a_signal_arrives_by_its_name_once_and_survives_a_dropped_wait() {
        let mut signals = Signals::new(&Signal::ALL).expect("handlers can be installed");
        for (number, signal) in [
            (Number::SIGHUP, Signal::Hangup),
            (Number::SIGTERM, Signal::Terminate),
            (Number::SIGINT, Signal::Interrupt),
        ] {
            raise(number).unwrap();
            assert_eq!(signals.next().await, signal);
        }
        for _ in 0..1000 {
            raise(Number::SIGHUP).unwrap();
        }
        assert_eq!(signals.next().await, Signal::Hangup);
        assert_eq!(signals.next().now_or_never(), None);
        raise(Number::SIGHUP).unwrap();
        assert_eq!(signals.next().await, Signal::Hangup);
    }
}
