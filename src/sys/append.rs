//! A file that grows by whole lines, written by a thread of its own.
//!
//! In: lines, and from time to time the word to open the file anew. Out: the file. A disk that hangs keeps nobody waiting: only so
//! many lines wait for it, the others are lost and counted. What cannot be written is said once; the next opening is another try.
//! What the lines mean is not known here.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::{info, warn};

/// Messages that may wait for the disk: the lines of a cycle, or one of their own.
const QUEUE: usize = 256;

/// Whoever may read it is for the umask and for the directory to say.
const MODE: u32 = 0o644;

/// A line that a crash has cut off is not longer.
const LONGEST_TAIL: u64 = 65_536;

enum Message {
    Lines(String),
    Reopen {
        /// What another file than before begins with.
        opening: String,
        /// How many lines had found no room when that was composed: it makes up for them.
        refused: u64,
    },
}

/// The near end: where lines are handed in.
pub struct Appender {
    path: PathBuf,
    sender: SyncSender<Message>,
    /// Lines that were not written since some last were.
    lost: Arc<AtomicU64>,
    /// Lines that found no room, ever.
    refused: Arc<AtomicU64>,
    hangs: AtomicBool,
    ended: oneshot::Receiver<()>,
}

/// The far end.
struct Writer {
    path: PathBuf,
    file: Option<File>,
    /// How long the file is, by what was found and written (bytes).
    length: u64,
    trouble: Option<ErrorKind>,
    lost: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    /// How many of those that found no room some opening makes up for that was written.
    made_up: u64,
}

impl Appender {
    /// Opens the file at `path`, or makes it. Fails only if there can be no thread.
    pub fn start(path: &Path) -> io::Result<Self> {
        let (sender, messages) = sync_channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let lost = Arc::new(AtomicU64::new(0));
        let refused = Arc::new(AtomicU64::new(0));
        let mut writer = Writer {
            path: path.to_owned(),
            file: None,
            length: 0,
            trouble: None,
            lost: Arc::clone(&lost),
            refused: Arc::clone(&refused),
            made_up: 0,
        };
        std::thread::Builder::new()
            .name("measurements".to_owned())
            .spawn(move || {
                writer.run(&messages);
                // Nobody waits any more when the daemon has ended.
                let _ = end.send(());
            })?;
        Ok(Self {
            path: path.to_owned(),
            sender,
            lost,
            refused,
            hangs: AtomicBool::new(false),
            ended,
        })
    }

    /// Where the lines go.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands in whole lines, each with its end.
    pub fn add(&self, lines: String) {
        let count = lines.lines().count() as u64;
        match self.sender.try_send(Message::Lines(lines)) {
            Ok(()) => self.hangs.store(false, Ordering::Relaxed),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(count, Ordering::Relaxed);
                self.refused.fetch_add(count, Ordering::Relaxed);
                if !self.hangs.swap(true, Ordering::Relaxed) {
                    warn!(
                        "{}: the disk hangs, measurements are lost",
                        self.path.display()
                    );
                }
            }
        }
    }

    /// Has the file opened anew, behind the lines that were handed in before: somebody may have renamed it, or made room. If it turns
    /// out to be another one, or was cut, or lines are missing in it, `opening` is written first: whole lines, too.
    pub fn reopen(&self, opening: String) {
        // If the disk hangs there is another time.
        let refused = self.refused.load(Ordering::Relaxed);
        let _ = self.sender.try_send(Message::Reopen { opening, refused });
    }

    /// Waits until all lines are written, but no longer than this.
    pub async fn close(self, limit: Duration) {
        let Self {
            path,
            sender,
            ended,
            ..
        } = self;
        drop(sender);
        if tokio::time::timeout(limit, ended).await.is_err() {
            warn!(
                "{}: the disk hangs, the last measurements may be lost",
                path.display()
            );
        }
    }
}

impl Writer {
    fn run(&mut self, messages: &Receiver<Message>) {
        self.reopen();
        while let Ok(message) = messages.recv() {
            match message {
                Message::Lines(lines) => self.write_all(&lines),
                Message::Reopen { opening, refused } => {
                    if !self.reopen() {
                        self.write_all(&opening);
                        // Those that were lost while it waited are for the next one.
                        self.made_up = refused;
                    }
                }
            }
        }
    }

    /// Whether the file is the one that was open before, with all that was handed in.
    fn reopen(&mut self) -> bool {
        let has_gap = self.refused.load(Ordering::Relaxed) > self.made_up;
        // Held open until the new one is: else that could have its number.
        let before = self.file.take();
        let file = match open(&self.path) {
            Ok(file) => file,
            Err(error) => {
                self.failed(&error);
                return false;
            }
        };
        let before = before.and_then(|before| before.metadata().ok());
        let after = file.metadata().ok();
        let length = after.as_ref().map_or(0, MetadataExt::size);
        let is_same = before.zip(after).is_some_and(|(before, after)| {
            let is_whole = !after.is_file() || length >= self.length;
            (before.dev(), before.ino()) == (after.dev(), after.ino()) && is_whole
        });
        self.length = length;
        self.file = Some(file);
        is_same && !has_gap
    }

    fn write_all(&mut self, lines: &str) {
        for line in lines.split_inclusive('\n') {
            self.write(line);
        }
    }

    fn write(&mut self, line: &str) {
        let written = match &mut self.file {
            Some(file) => write_whole(file, line.as_bytes()),
            None => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        if let Err(error) = written {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.file = None;
            self.failed(&error);
            return;
        }
        self.length += line.len() as u64;
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if self.trouble.take().is_some() || lost > 0 {
            let path = self.path.display();
            info!("measurements are recorded in {path} again, {lost} lines are missing");
        }
    }

    /// Says once what is wrong, until a line was written again.
    fn failed(&mut self, error: &io::Error) {
        if self.trouble.replace(error.kind()) != Some(error.kind()) {
            let path = self.path.display();
            warn!(
                "measurements are not recorded, trying again at the next reload and within the hour: {path}: {error}"
            );
        }
    }
}

/// Opens the file for whole lines: one that a crash has cut off goes.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(file);
    }
    let from = metadata.len().saturating_sub(LONGEST_TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    (&file).take(LONGEST_TAIL).read_to_end(&mut end)?;
    let whole = end.iter().rposition(|&byte| byte == b'\n');
    let whole = whole.map_or(0, |newline| newline + 1);
    match end.get(whole) {
        None => {}
        Some(b'{') if whole > 0 || from == 0 => file.set_len(from + whole as u64)?,
        // None of ours.
        Some(_) => file.write_all(b"\n")?,
    }
    Ok(file)
}

/// Writes a line at once, or nothing of it.
fn write_whole(file: &mut File, line: &[u8]) -> io::Result<()> {
    let written = loop {
        match file.write(line) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if written == line.len() {
        return Ok(());
    }
    // The disk is full: what of the line is there would spoil the next one.
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(written as u64))?;
    Err(ErrorKind::StorageFull.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::{LIMIT, until};
    use std::fs;

    /// A directory for one test, gone with it.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("webntpd-append-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a place for the test");
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("lines")
        }

        fn text(&self) -> String {
            fs::read_to_string(self.file()).expect("it is there")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    async fn write(place: &Place, lines: &str) {
        let appender = Appender::start(&place.file()).expect("a thread");
        appender.add(lines.to_owned());
        appender.close(LIMIT).await;
    }

    #[tokio::test]
    async fn lines_are_added_to_what_is_there() {
        let place = Place::new("added");
        write(&place, "one\n").await;
        write(&place, "two\nthree\n").await;
        assert_eq!(place.text(), "one\ntwo\nthree\n");
    }

    #[tokio::test]
    async fn a_line_that_a_crash_has_cut_off_goes_and_another_text_is_ended() {
        let place = Place::new("torn");
        for (before, after) in [
            ("{\"a\":1}\n{\"a\":", "{\"a\":1}\n{}\n"),
            ("{\"a\":", "{}\n"),
            ("words", "words\n{}\n"),
            ("", "{}\n"),
        ] {
            fs::write(place.file(), before).expect("it is ours");
            write(&place, "{}\n").await;
            assert_eq!(place.text(), after, "{before:?}");
        }
    }

    #[tokio::test]
    async fn a_file_in_which_lines_are_missing_is_opened_as_another_one_once() {
        let place = Place::new("gap");
        let appender = Appender::start(&place.file()).expect("a thread");
        appender.add("one\n".to_owned());
        appender.refused.store(3, Ordering::Relaxed);
        appender.reopen("opening\n".to_owned());
        appender.add("two\n".to_owned());
        appender.reopen("second opening\n".to_owned());
        appender.close(LIMIT).await;
        assert_eq!(place.text(), "one\nopening\ntwo\n");
    }

    #[tokio::test]
    async fn lines_that_are_lost_behind_an_opening_are_made_up_for_by_the_next_one() {
        let place = Place::new("second-gap");
        let appender = Appender::start(&place.file()).expect("a thread");
        appender.add("one\n".to_owned());
        appender.refused.store(3, Ordering::Relaxed);
        appender.reopen("opening\n".to_owned());
        // Whether that has been written by now or not.
        appender.refused.store(5, Ordering::Relaxed);
        appender.add("two\n".to_owned());
        for opening in ["second opening\n", "third opening\n"] {
            appender.reopen(opening.to_owned());
        }
        appender.close(LIMIT).await;
        assert_eq!(place.text(), "one\nopening\ntwo\nsecond opening\n");
    }

    #[tokio::test]
    async fn what_was_handed_in_before_the_file_was_opened_anew_is_in_the_renamed_one() {
        let place = Place::new("renamed");
        let appender = Appender::start(&place.file()).expect("a thread");
        let renamed = place.0.join("renamed");
        appender.add("one\n".to_owned());
        until(|| fs::read_to_string(place.file()).is_ok_and(|text| text == "one\n")).await;
        fs::rename(place.file(), &renamed).expect("it is ours");
        appender.add("two\n".to_owned());
        appender.reopen("opening\n".to_owned());
        appender.add("three\n".to_owned());
        // The same file needs none, wherever it is by now.
        appender.reopen("second opening\n".to_owned());
        appender.close(LIMIT).await;
        let renamed = fs::read_to_string(renamed).expect("it is there");
        assert_eq!(
            (renamed.as_str(), place.text().as_str()),
            ("one\ntwo\n", "opening\nthree\n")
        );
    }

    #[tokio::test]
    async fn a_file_that_was_cut_begins_anew() {
        let place = Place::new("cut");
        let appender = Appender::start(&place.file()).expect("a thread");
        appender.add("one\n".to_owned());
        until(|| fs::read_to_string(place.file()).is_ok_and(|text| text == "one\n")).await;
        // As logrotate has it where nobody opens the file anew.
        fs::write(place.file(), "").expect("it is ours");
        appender.reopen("opening\n".to_owned());
        appender.close(LIMIT).await;
        assert_eq!(place.text(), "opening\n");
    }

    #[tokio::test]
    async fn a_directory_that_comes_later_is_found_when_the_file_is_opened_anew() {
        let place = Place::new("later");
        let path = place.0.join("later/lines");
        let appender = Appender::start(&path).expect("a thread");
        appender.add("lost\n".to_owned());
        until(|| appender.lost.load(Ordering::Relaxed) > 0).await;
        fs::create_dir(place.0.join("later")).expect("it is ours");
        appender.reopen("opening\n".to_owned());
        appender.add("kept\n".to_owned());
        appender.close(LIMIT).await;
        let text = fs::read_to_string(path).expect("it is there");
        assert_eq!(text, "opening\nkept\n");
    }

    #[tokio::test]
    async fn a_file_that_hangs_keeps_nobody_waiting() {
        let place = Place::new("hangs");
        let path = place.0.join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("it is everywhere").success());
        // Ours fills it, and nobody empties it.
        let _reader = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .expect("a pipe");
        let appender = Appender::start(&path).expect("a thread");
        let line = format!("{}\n", "x".repeat(4_095));
        for _ in 0..10 * QUEUE {
            appender.add(line.clone());
        }
        assert!(appender.lost.load(Ordering::Relaxed) > 0);
        appender.close(Duration::ZERO).await;
    }
}
