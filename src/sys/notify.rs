//! Words to the service manager (`sd_notify(3)`): ready, stopping, what we do, that we are alive.
//!
//! Without `NOTIFY_SOCKET` in the environment nothing is sent. The environment is never changed: to
//! unset a variable races with every thread that reads one, so children inherit it and must not speak.
//!
//! A word that cannot be delivered is logged and forgotten: the service manager draws its own
//! conclusions from silence.

use crate::engine::time::Span;
use sd_notify::NotifyState;
use std::time::Duration;

/// What is read of the environment.
#[cfg(test)]
pub(crate) const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Longest `STATUS=` text sent, in bytes.
const MAX_STATUS: usize = 512;

/// Says that the start is complete, or that a reload is.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Says that the configuration is being read again. [`ready`] must follow.
pub fn reloading() {
    // Type=notify-reload wants to know when (CLOCK_MONOTONIC, µs): systemd ≥ 253.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Says that the program is about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// One line for people, shown by `systemctl status`. Cut at 512 bytes; control characters become blanks,
/// as each line of the message would be a word of its own (`MAINPID=…`).
pub fn status(text: &str) {
    let line: String = text
        .char_indices()
        .take_while(|(at, c)| at + c.len_utf8() <= MAX_STATUS)
        .map(|(_, c)| if c.is_control() { ' ' } else { c })
        .collect();
    tell(&[NotifyState::Status(&line)]);
}

/// Says that the program is alive. To be sent well within [`watchdog_interval`].
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// After how long a silence the service manager kills us; none if it does not watch, or watches
/// another process (`WATCHDOG_USEC`, `WATCHDOG_PID`).
pub fn watchdog_interval() -> Option<Span> {
    sd_notify::watchdog_enabled()
        .filter(|&interval| interval > Duration::ZERO)
        .map(Span::from)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("cannot notify the service manager: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::os::unix::net::UnixDatagram;
    use std::process::{Command, Output};

    /// Set in the process that is to speak.
    const CHILD: &str = "WEBNTPD_TEST_CHILD";

    /// Runs `child_says_everything` in a process of its own: the environment is the process's.
    fn child(environment: &[(&str, &str)]) -> Output {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sys::notify::tests::child_says_everything"])
            .args(["--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .env_remove(VARIABLES[0])
            .env_remove(VARIABLES[1])
            .env_remove(VARIABLES[2])
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output
    }

    /// What the other tests look at from outside; by itself it would speak to whoever runs the tests.
    #[test]
    fn child_says_everything() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        ready();
        status("3 of 4\nMAINPID=1\r\tagree");
        status(&"é".repeat(600));
        alive();
        stopping();
        println!("interval: {:?}", watchdog_interval());
    }

    #[test]
    fn every_word_is_one_datagram_and_status_is_one_line() {
        let directory = std::env::temp_dir().join(format!("webntpd-notify-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let output = child(&[
            ("NOTIFY_SOCKET", path.to_str().unwrap()),
            ("WATCHDOG_USEC", "60000000"),
        ]);
        std::fs::remove_dir_all(&directory).unwrap();

        socket.set_nonblocking(true).unwrap();
        let mut said = Vec::new();
        let mut datagram = [0; 2048];
        loop {
            match socket.recv(&mut datagram) {
                Ok(length) => said.push(String::from_utf8(datagram[..length].to_vec()).unwrap()),
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        let long = format!("STATUS={}\n", "é".repeat(256));
        assert_eq!(
            said,
            [
                "READY=1\n",
                "STATUS=3 of 4 MAINPID=1  agree\n",
                &long,
                "WATCHDOG=1\n",
                "STOPPING=1\n"
            ]
        );
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            printed.contains("interval: Some(Span(60.000000000))"),
            "{printed}"
        );
    }

    #[test]
    fn without_a_service_manager_nothing_is_said_and_nobody_watches() {
        let printed = child(&[]).stdout;
        assert!(String::from_utf8_lossy(&printed).contains("interval: None"));
    }

    #[test]
    fn a_watchdog_for_another_process_is_not_ours() {
        let printed = child(&[("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", "1")]).stdout;
        assert!(String::from_utf8_lossy(&printed).contains("interval: None"));
    }

    #[test]
    fn a_socket_that_is_gone_harms_nobody() {
        child(&[("NOTIFY_SOCKET", "/nonexistent/notify")]);
    }
}
