//! A place on the web that has a list of leap seconds.

use super::file::MAX_LENGTH;
use crate::net::Tls;
use anyhow::{Context, bail, ensure};
use reqwest::redirect;
use rustls::ClientConfig;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// From the beginning of a fetch to its end.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 5;

const AGENT: &str = concat!("webntpd/", env!("CARGO_PKG_VERSION"));

/// Why nothing can be fetched from a place.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The URL is none that can be fetched.
    #[error("{url:?} is no place to fetch leap-seconds.list from: {why}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is nothing to verify certificates with.
    #[error(transparent)]
    Roots(#[from] crate::net::Error),
    /// The client cannot be made.
    #[error("cannot prepare to fetch leap-seconds.list: {0}")]
    Client(#[from] reqwest::Error),
}

/// Where to fetch a list, by http or https.
#[derive(Clone, Debug)]
pub struct Web {
    url: Url,
    client: reqwest::Client,
}

/// Without its query, which may be a secret.
impl fmt::Display for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(&self.url).fmt(f)
    }
}

/// What may be told of a URL: all but its query, which may be a secret.
pub fn shown(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url
}

impl Web {
    /// A place, and how to speak TLS to it.
    pub fn new(text: &str, tls: &Tls) -> Result<Self, WebError> {
        let wrong = |why: String| WebError::Url {
            url: text.to_owned(),
            why,
        };
        let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("only http and https are understood".to_owned()));
        }
        let tls: ClientConfig = Arc::unwrap_or_clone(tls.config()?);
        let client = reqwest::Client::builder();
        // A proxy that the environment names knows nothing of the servers of tests.
        #[cfg(test)]
        let client = client.no_proxy();
        let client = client
            .tls_backend_preconfigured(tls)
            .timeout(FETCH_TIMEOUT)
            .redirect(redirect::Policy::custom(redirected))
            // It would tell a host that we are redirected to the query.
            .referer(false)
            .user_agent(AGENT)
            .build()?;
        Ok(Self { url, client })
    }

    /// What is there, whatever it is, if it is not too long.
    pub(super) async fn fetch(&self) -> anyhow::Result<Vec<u8>> {
        let request = self.client.get(self.url.clone());
        // What may be told of the URL is told anyway.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::in_time;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Gives one response; the head of the request.
    async fn answer(listener: &TcpListener, response: &str) -> String {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.expect("a whole head"));
        }
        let sent = stream.write_all(response.as_bytes()).await;
        sent.expect("somebody reads it");
        String::from_utf8(request).expect("text")
    }

    #[tokio::test]
    async fn the_query_is_told_to_the_place_itself_and_to_nobody_it_leads_to() {
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (place, other) = (bind().await.expect("free"), bind().await.expect("free"));
        let [url, elsewhere] =
            [&place, &other].map(|it| format!("http://{}/list", it.local_addr().expect("bound")));
        let moved =
            format!("HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlist";
        let secret = format!("{url}?key=secret");
        let web = Web::new(&secret, &Tls::new(Vec::new())).expect("a good URL");
        assert_eq!(web.to_string(), url);
        let (fetched, asked, led) = in_time(async {
            tokio::join!(web.fetch(), answer(&place, &moved), answer(&other, whole))
        })
        .await;
        assert_eq!(fetched.expect("it is there"), b"list");
        assert!(asked.contains("/list?key=secret"), "{asked}");
        assert!(!led.contains("secret"), "{led}");
    }
}
