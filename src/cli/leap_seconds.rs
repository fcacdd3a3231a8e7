//! Where a server's leap seconds come from: what is built in, a file, and a place on the web if one is named.
//!
//! In: a path and a URL, both of which may be missing. Out: a channel with the [`LeapSeconds`] to tell, which
//! are replaced whenever the web has better ones; those are kept in the file. Nothing is fetched that was
//! not asked for, and nothing that comes later is worse than what is there: a list from the web that is
//! broken, or older, changes nothing.

use crate::engine::time::{Span, Utc};
use crate::net::Tls;
use crate::protocol::leap_seconds::{BrokenList, LeapSeconds};
use crate::sys::clock::{raw_now, sleep_until, system_now};
use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use reqwest::redirect;
use rustls::ClientConfig;
use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::watch;
use tracing::{debug, info, warn};
use url::Url;

/// Where the reference keeps its list.
const DEFAULT_PATH: &str = "leap-seconds.list";

/// Longest list that is read (bytes). The longest there is has some 10 KiB, most of it comments.
const MAX_LENGTH: usize = 256 * 1024;

/// A list that is older than this is fetched anew even if it has not expired: leap seconds are announced
/// half a year ahead.
const MAX_AGE: Span = Span::from_secs(30 * 86_400);

/// How often it is looked whether a list is due.
const CHECK: Span = Span::from_secs(86_400);

/// How long after a list could not be fetched.
const RETRY: Span = Span::from_secs(3_600);

/// From the beginning of a fetch to its end.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 5;

const AGENT: &str = concat!("webntpd/", env!("CARGO_PKG_VERSION"));

/// Why a server has no leap seconds to begin with.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeapSecondsError {
    /// The file is there, but cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },
    /// The file is no list.
    #[error("{}: {cause}; mend it, take it away, or name another one with --leap-second-path", path.display())]
    Broken { path: PathBuf, cause: BrokenList },
    /// The file is much too long for a list.
    #[error("{}: more than 256 KiB; is it leap-seconds.list?", path.display())]
    TooLong { path: PathBuf },
    /// The URL is none that can be fetched.
    #[error("{url:?} is no place to fetch leap-seconds.list from: {why}")]
    Url { url: String, why: String },
    /// There is nothing to verify certificates with.
    #[error(transparent)]
    Roots(#[from] crate::net::Error),
    /// The client cannot be made.
    #[error("cannot prepare to fetch leap-seconds.list: {0}")]
    Client(#[from] reqwest::Error),
}

/// Keeps the leap seconds of a server.
#[derive(Debug)]
pub(super) struct Keeper {
    path: Option<PathBuf>,
    web: Option<Web>,
    told: watch::Sender<Arc<LeapSeconds>>,
    /// When what is told was written or fetched; none when it is what is built in.
    fetched: Option<Utc>,
}

#[derive(Debug)]
struct Web {
    url: Url,
    client: reqwest::Client,
}

impl Keeper {
    /// Reads the file, if there is one. An empty path or URL is none.
    ///
    /// A file that is missing is no error: whoever names a URL may not have it yet.
    pub(super) fn new(path: Option<&Path>, url: Option<&str>) -> Result<Self, LeapSecondsError> {
        let web = match url {
            None | Some("") => None,
            Some(url) => Some(Web::new(url)?),
        };
        let named = path.is_some();
        let path = path.unwrap_or(Path::new(DEFAULT_PATH));
        let mut keeper = Self {
            path: Some(path.to_owned()).filter(|path| !path.as_os_str().is_empty()),
            web,
            told: watch::Sender::new(Arc::new(LeapSeconds::built_in())),
            fetched: None,
        };
        if let Some(path) = keeper.path.clone() {
            match read(&path)? {
                Some((list, written)) => keeper.begin_with(list, written, &path),
                None if named && keeper.web.is_none() => warn!(
                    "{}: no such file; telling the leap seconds up to 2017, which are built in",
                    path.display()
                ),
                None => {}
            }
        }
        Ok(keeper)
    }

    /// What is to be told.
    pub(super) fn told(&self) -> watch::Receiver<Arc<LeapSeconds>> {
        self.told.subscribe()
    }

    fn begin_with(&mut self, list: LeapSeconds, written: Utc, path: &Path) {
        let shown = path.display();
        if list.last() < LeapSeconds::built_in().last() {
            warn!("{shown}: older than this program, and not used");
            return;
        }
        if let Some(expired) = list.expires().filter(|expires| *expires <= system_now()) {
            info!(
                "{shown}: expired on {}; no leap second after that is known",
                date(expired)
            );
        }
        self.told.send_replace(Arc::new(list));
        self.fetched = Some(written);
    }

    /// Fetches the list whenever it is due, for ever.
    pub(super) async fn run(mut self) -> Infallible {
        let Some(web) = self.web.take() else {
            return std::future::pending().await;
        };
        let mut trouble = None;
        loop {
            let mut pause = CHECK;
            if self.is_due(system_now()) {
                match self.renew(&web).await {
                    Ok(()) => trouble = None,
                    Err(error) => {
                        let told = format!("{}: {error:#}", web.url);
                        if trouble.as_ref() == Some(&told) {
                            debug!("{told}");
                        } else {
                            warn!(
                                "{told}; keeping the leap seconds that are known, trying again every hour"
                            );
                        }
                        trouble = Some(told);
                        pause = RETRY;
                    }
                }
            }
            sleep_until(raw_now() + pause).await;
        }
    }

    fn is_due(&self, now: Utc) -> bool {
        let expires = self.told.borrow().expires();
        self.fetched
            .is_none_or(|fetched| (now - fetched).abs() > MAX_AGE)
            || expires.is_some_and(|expires| expires <= now)
    }

    async fn renew(&mut self, web: &Web) -> anyhow::Result<()> {
        let bytes = web.fetch().await?;
        let list = LeapSeconds::parse(&bytes)?;
        ensure!(
            list.last() >= LeapSeconds::built_in().last(),
            "the list there is older than this program"
        );
        let known = self.told.borrow().updated();
        ensure!(
            list.updated() >= known,
            "the list there is older than the one known"
        );
        if let Some(path) = &self.path
            && let Err(error) = replace(path, &bytes)
        {
            warn!("cannot keep the list in {}: {error}", path.display());
        }
        info!(
            "{}: fetched, the last leap second in it is that before {}",
            web.url,
            date(list.last())
        );
        self.told.send_replace(Arc::new(list));
        self.fetched = Some(system_now());
        Ok(())
    }
}

impl Web {
    fn new(text: &str) -> Result<Self, LeapSecondsError> {
        let wrong = |why: String| LeapSecondsError::Url {
            url: text.to_owned(),
            why,
        };
        let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("only http and https are understood".to_owned()));
        }
        let tls: ClientConfig = Arc::unwrap_or_clone(Tls::new(Vec::new()).config()?);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(FETCH_TIMEOUT)
            .redirect(redirect::Policy::custom(redirected))
            .user_agent(AGENT)
            .build()?;
        Ok(Self { url, client })
    }

    async fn fetch(&self) -> anyhow::Result<Vec<u8>> {
        let request = self.client.get(self.url.clone());
        // The URL is told anyway.
        let response = request.send().await.map_err(reqwest::Error::without_url);
        let mut response = response.context("cannot fetch leap-seconds.list")?;
        let status = response.status();
        ensure!(
            status.is_success(),
            "cannot fetch leap-seconds.list: {status}"
        );
        let mut bytes = Vec::new();
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(reqwest::Error::without_url)
            .context("the list broke off")?
        {
            if bytes.len() + piece.len() > MAX_LENGTH {
                bail!("more than 256 KiB; is it leap-seconds.list?");
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

/// A redirect is followed, but never out of TLS: nothing else vouches for the list.
fn redirected(attempt: redirect::Attempt<'_>) -> redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("too many redirects");
    }
    let from = attempt.previous().last();
    if from.is_some_and(|from| from.scheme() == "https") && attempt.url().scheme() != "https" {
        return attempt.error("redirected from https to something else");
    }
    attempt.follow()
}

/// The list in a file and when it was written; nothing if there is no such file.
fn read(path: &Path) -> Result<Option<(LeapSeconds, Utc)>, LeapSecondsError> {
    let failed = |cause| LeapSecondsError::Read {
        path: path.to_owned(),
        cause,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let written = file.metadata().and_then(|data| data.modified());
    let since_1970 = written.map_err(failed)?.duration_since(UNIX_EPOCH);
    let written = Utc::from_nanos(0) + since_1970.map_or(Span::ZERO, Span::from);
    let mut bytes = Vec::new();
    file.take(MAX_LENGTH as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_LENGTH {
        return Err(LeapSecondsError::TooLong {
            path: path.to_owned(),
        });
    }
    let list = LeapSeconds::parse(&bytes).map_err(|cause| LeapSecondsError::Broken {
        path: path.to_owned(),
        cause,
    })?;
    Ok(Some((list, written)))
}

/// Writes a file such that whoever opens it finds all of the old or all of the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It may never have come to be.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// The day of an instant.
fn date(instant: Utc) -> String {
    match Timestamp::from_second(instant.to_parts().0) {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%d").to_string(),
        Err(_) => format!("{instant:?}"),
    }
}
