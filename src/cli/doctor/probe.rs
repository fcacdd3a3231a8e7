//! Another program, asked for a few lines.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(6);

/// More than is of use.
const LIMIT: u64 = 64 << 10;

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// All that it wrote, errors too.
    Lines(String),
    /// There is no such program on PATH.
    Missing,
    /// It did not end in time, or did not start, in words.
    Nothing(String),
}

/// Runs `program`, for some seconds at the most.
pub(super) fn ask(program: &str, arguments: &[&str]) -> Said {
    run(program, arguments, PATIENCE).unwrap_or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Said::Missing,
        _ => Said::Nothing(format!("{program}: {error}")),
    })
}

fn run(program: &str, arguments: &[&str], patience: Duration) -> io::Result<Said> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn()?;
    // It holds our ends of the pipe.
    drop(command);
    let (sender, said) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before a failure is all there is.
        let _ = reader.take(LIMIT).read_to_end(&mut bytes);
        // Whoever asked may have given up.
        let _ = sender.send(bytes);
    });
    let said = said.recv_timeout(patience);
    // It has ended by itself, or shall.
    let _ = child.kill();
    child.wait()?;
    Ok(match said {
        Ok(bytes) => Said::Lines(String::from_utf8_lossy(&bytes).into_owned()),
        Err(_) => Said::Nothing(format!(
            "{program} gave no answer within {} s",
            patience.as_secs()
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bash(script: &str, patience: Duration) -> Said {
        run("bash", &["-c", script], patience).unwrap()
    }

    #[test]
    fn a_program_says_what_it_writes_on_both_streams_and_no_more_than_the_limit() {
        // However loaded the machine is: it ends by itself.
        let ample = Duration::from_secs(60);
        let both = bash("echo a; echo b >&2", ample);
        assert_eq!(both, Said::Lines("a\nb\n".into()));
        let Said::Lines(much) = run("yes", &[], ample).unwrap() else {
            panic!("it writes");
        };
        assert_eq!(much.len() as u64, LIMIT);
    }

    #[test]
    fn one_that_hangs_is_given_up_and_one_that_is_missing_is_told() {
        let short = Duration::from_millis(50);
        assert!(matches!(bash("exec sleep 100", short), Said::Nothing(_)));
        assert_eq!(ask("no-such-program-of-webntpd", &[]), Said::Missing);
    }
}
