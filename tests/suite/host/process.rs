//! A program that runs beside the test.
//!
//! In: a [`Command`]. Out: its lines as they come, its end.
//! Not: no process outlives its guard; it is killed by its own id, and its log printed if the test fails.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::deadline::{Deadline, poll};

pub(crate) struct Process {
    name: String,
    child: Child,
    log: Arc<Log>,
    /// How many lines [`Process::wait_line`] has gone past.
    seen: usize,
}

impl Process {
    /// Starts the program without standard input.
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let log = Arc::new(Log::default());
        log.collect(Stream::Out, child.stdout.take().expect("it is piped"));
        log.collect(Stream::Err, child.stderr.take().expect("it is piped"));
        Self {
            name,
            child,
            log,
            seen: 0,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("Linux ids fit"))
    }

    /// The next line, of either stream, that contains `pattern`, after the one that the last call found.
    pub(crate) fn wait_line(&mut self, pattern: &str, limit: Duration) -> String {
        let deadline = Deadline::after(limit);
        let mut lines = self.log.lines();
        loop {
            let fresh = &lines.texts[self.seen..];
            if let Some(at) = fresh.iter().position(|(_, text)| text.contains(pattern)) {
                let found = fresh[at].1.clone();
                self.seen += at + 1;
                return found;
            }
            let remaining = deadline.remaining();
            let ended = lines.open == 0;
            if ended || remaining.is_zero() {
                drop(lines);
                let why = if ended { "it ended" } else { "time is up" };
                panic!("{} never said {pattern:?}: {why}", self.name);
            }
            lines = self.log.wait(lines, remaining);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal)
            .unwrap_or_else(|error| panic!("{signal} for {}: {error}", self.name));
    }

    /// Waits for its end, and for all that it had to say.
    pub(crate) fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        let Some(status) = poll(limit, || child.try_wait().expect("it is our child")) else {
            panic!("{} still runs after {limit:?}", self.name);
        };
        self.log.wait_closed();
        status
    }

    /// Fails the test when a program that was to run on has ended.
    pub(crate) fn assert_running(&mut self) {
        let status = self.child.try_wait().expect("it is our child");
        assert!(status.is_none(), "{} ended early: {status:?}", self.name);
    }

    /// All that it has said so far.
    pub(crate) fn log(&self) -> String {
        join(self.log.lines().texts.iter().map(|(_, text)| text))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either fails only when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of {}:\n{}---", self.name, self.log());
        }
    }
}

/// Runs a program to its end: what it wrote to standard output, or all that it said if it failed.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String, String> {
    let mut process = Process::start(command);
    let status = process.wait_exit(limit);
    if !status.success() {
        return Err(format!("{}: {status}\n{}", process.name, process.log()));
    }
    let lines = process.log.lines();
    Ok(join(
        lines
            .texts
            .iter()
            .filter(|(stream, _)| *stream == Stream::Out)
            .map(|(_, text)| text),
    ))
}

fn join<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Stream {
    Out,
    Err,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    texts: Vec<(Stream, String)>,
    /// Streams that may still bring something.
    open: usize,
}

impl Log {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, lines: MutexGuard<'a, Lines>, limit: Duration) -> MutexGuard<'a, Lines> {
        self.changed
            .wait_timeout(lines, limit)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// A daemon's orphans may hold its streams open; the limit is for them. It is long: on a busy machine those who read may be late,
    /// and what they have not read yet is missing in the log.
    fn wait_closed(&self) {
        let deadline = Deadline::after(Duration::from_secs(10));
        let mut lines = self.lines();
        while lines.open > 0 && !deadline.remaining().is_zero() {
            lines = self.wait(lines, deadline.remaining());
        }
    }

    fn collect(self: &Arc<Self>, stream: Stream, source: impl Read + Send + 'static) {
        self.lines().open += 1;
        let log = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line).into_owned();
                log.lines().texts.push((stream, text));
                log.changed.notify_all();
            }
            log.lines().open -= 1;
            log.changed.notify_all();
        });
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn bash(script: &str) -> Process {
        Process::start(Command::new("bash").args(["-c", script]))
    }

    #[test]
    fn lines_are_found_one_after_the_other() {
        let mut process = bash("echo one; echo two; echo one more; exec sleep 100");
        assert_eq!(process.wait_line("one", SOON), "one");
        assert_eq!(process.wait_line("one", SOON), "one more");
        assert_eq!(process.log(), "one\ntwo\none more\n");
        process.assert_running();
    }

    #[test]
    fn standard_error_is_read_as_well() {
        bash("echo one >&2; exec sleep 100").wait_line("one", SOON);
    }

    #[test]
    #[should_panic(expected = "never said \"two\": it ended")]
    fn waiting_for_a_line_stops_at_the_end_of_the_program() {
        bash("echo one").wait_line("two", SOON);
    }

    #[test]
    fn a_signal_reaches_the_program_and_its_exit_code_comes_back() {
        let mut process = bash("trap 'kill $!; exit 7' TERM; sleep 100 & echo ready; wait");
        process.wait_line("ready", SOON);
        process.signal(Signal::SIGTERM);
        assert_eq!(process.wait_exit(SOON).code(), Some(7));
    }

    #[test]
    #[should_panic(expected = "still runs after")]
    fn a_program_that_outlives_its_limit_fails_the_test() {
        bash("exec sleep 100").wait_exit(Duration::from_millis(1));
    }

    #[test]
    fn no_program_outlives_its_guard() {
        let process = bash("exec sleep 100");
        let pid = process.pid();
        drop(process);
        assert_eq!(kill(pid, None), Err(Errno::ESRCH));
    }

    #[test]
    fn output_is_standard_output_alone_or_all_when_the_program_fails() {
        let run = |script| output(Command::new("bash").args(["-c", script]), SOON);
        assert_eq!(run("echo text; echo noise >&2"), Ok("text\n".to_owned()));
        assert!(run("echo reason >&2; exit 3").is_err_and(|said| said.contains("reason")));
    }
}
