//! One server: how it is asked, and what its replies prove.
//!
//! In: a [`Target`] and [`UpstreamSettings`]. Out: an [`Exchange`] for each question, or [`Trouble`]. It
//! keeps the connection between exchanges, follows redirects when it connects, and decides nothing about
//! when to ask.

use crate::engine::exchange::{Exchange, Impossible};
use crate::engine::leap;
use crate::engine::source::{Aftermath, Failure, Fault, MAX_RETRY_AFTER};
use crate::engine::time::Span;
use crate::net::{Answer, Connection, Deadlines, Error, Target, Tls, nonce};
use crate::poller::Ask;
use crate::protocol::finding::Undecided;
use crate::protocol::kind::Kind;
use crate::protocol::plausible::Plausible;
use crate::protocol::refusal::Refusal;
use crate::protocol::request::{Request, Resource};
use crate::protocol::stamp::Rounding;
use crate::sys::clock::system_now;
use std::pin::Pin;
use std::sync::Arc;

/// Redirects that are followed at the most, one after the other.
const HOP_LIMIT: usize = 3;

/// How a server is asked and understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// What it speaks (default `webntp`).
    pub kind: Kind,
    /// What it does with the digits behind the last one that it writes (default: not known).
    pub rounding: Rounding,
    /// Known correction: true time = what the server states + `offset`. Positive for a server that is
    /// known to be behind (default 0 s). It moves the bounds, so a wrong one makes them wrong.
    pub offset: Span,
    /// How long each phase of an exchange may take (default 5 s each).
    pub deadlines: Deadlines,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            kind: Kind::default(),
            rounding: Rounding::default(),
            offset: Span::ZERO,
            deadlines: Deadlines::default(),
        }
    }
}

/// A server and the connection kept to it.
pub struct Upstream {
    target: Target,
    tls: Arc<Tls>,
    settings: UpstreamSettings,
    connection: Option<Connection>,
    /// Where redirects led when the connection was opened.
    goal: Option<Target>,
}

/// Why an exchange with an upstream gave nothing.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Trouble {
    error: Cause,
    /// What is left of the connection.
    connection: Aftermath,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error(transparent)]
    Net(Error),
    #[error(transparent)]
    Refused(Refusal),
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// The reply does not tell what the server speaks.
    #[error("{0}; its protocol is still to be found out")]
    Undecided(Undecided),
    /// No reply came that could have told what the server speaks.
    #[error("{0}; its protocol is still to be found out")]
    Unasked(Error),
}

impl Upstream {
    /// An upstream that is not connected yet.
    pub fn new(target: Target, tls: Arc<Tls>, settings: UpstreamSettings) -> Self {
        Self {
            target,
            tls,
            settings,
            connection: None,
            goal: None,
        }
    }

    /// Runs one exchange, on the kept connection or a new one; a handshake is never part of what is measured.
    pub async fn exchange(&mut self) -> Result<Exchange, Trouble> {
        let measured = self.measure().await;
        measured.map_err(|error| self.trouble(error))
    }

    pub(super) fn trouble(&self, error: Cause) -> Trouble {
        let connection = match (&error, &self.connection) {
            (Cause::Net(Error::Closed) | Cause::Unasked(Error::Closed), _) => Aftermath::Stale,
            // Followed only when connecting: the next exchange does.
            (
                Cause::Refused(Refusal::Redirect { .. } | Refusal::Elsewhere { .. })
                | Cause::Undecided(Undecided::Refused(Refusal::Redirect { .. })),
                _,
            ) => Aftermath::Broken,
            (_, Some(connection)) if connection.is_open() => Aftermath::Usable,
            _ => Aftermath::Broken,
        };
        Trouble { error, connection }
    }

    /// Drops the connection, if there is one.
    pub fn close(&mut self) {
        self.connection = None;
    }

    async fn measure(&mut self) -> Result<Exchange, Cause> {
        let UpstreamSettings {
            kind,
            rounding,
            offset,
            ..
        } = self.settings;
        let refused = |refusal| Cause::Refused(kind.judge(refusal));
        let (request, answer) = self.ask().await.map_err(|error| match error {
            Error::Refused(refusal) | Error::Moved { refusal, .. } => refused(refusal),
            error => Cause::Net(error),
        })?;
        let reading = kind
            .read(
                &request,
                &answer.fields(),
                &answer.body,
                rounding,
                &Plausible::release(),
            )
            .map_err(refused)?;
        if answer.may_greet && !reading.echoes {
            return Err(refused(Refusal::Unsolicited));
        }
        let arrived_before = reading.server.arrived_before + offset;
        let departed_after = reading.server.departed_after + offset;
        Ok(Exchange::new(
            answer.sent,
            answer.received(reading.place),
            arrived_before,
            departed_after,
            reading
                .leap
                .map(|notice| (notice.next, notice.step))
                .or(reading.warning.map(|warning| (warning.next, warning.step)))
                .map(|(next, step)| leap::announced(next, step, departed_after)),
        )?)
    }

    /// Asks where the redirects lead that a new connection meets with; from then on, until the connection
    /// ends, there. In clear text a reply that does not name its question could be anybody's: then they lead to no other host.
    async fn ask(&mut self) -> Result<(Request, Answer), Error> {
        if self.connection.is_none() {
            self.goal = None;
        }
        for _ in 0..HOP_LIMIT {
            match self.ask_once().await {
                Err(Error::Moved { goal, refusal }) => {
                    if !self.settings.kind.echoes() && self.is_elsewhere_in_clear_text(&goal) {
                        return Err(refusal.not_followed().into());
                    }
                    self.connection = None;
                    self.goal = Some(*goal);
                }
                other => return other,
            }
        }
        self.ask_once().await
    }

    fn is_elsewhere_in_clear_text(&self, goal: &Target) -> bool {
        goal.url().scheme() == "http" && !self.is_on_the_host(goal)
    }

    fn is_on_the_host(&self, goal: &Target) -> bool {
        goal.url().host_str() == self.target.url().host_str()
    }

    async fn ask_once(&mut self) -> Result<(Request, Answer), Error> {
        let UpstreamSettings {
            kind, deadlines, ..
        } = self.settings;
        let connection = self.connected().await?;
        let request = kind.request(system_now(), nonce()?);
        let answer = connection.exchange(&request, &deadlines).await?;
        Ok((request, answer))
    }

    /// What the server answers to `request`, which measures nothing. Redirects are followed as when measuring, but to no other host:
    /// whoever answers there may speak anything. Where a place of its own leads to says nothing of the URL.
    pub(super) async fn question(&mut self, request: &Request) -> Result<Answer, Error> {
        if self.connection.is_none() {
            self.goal = None;
        }
        let deadlines = self.settings.deadlines;
        for _ in 0..HOP_LIMIT {
            let answer = self.connected().await?.exchange(request, &deadlines).await;
            match answer {
                Err(Error::Moved { goal, .. })
                    if self.is_on_the_host(&goal)
                        && !matches!(request.resource, Resource::Path(_)) =>
                {
                    self.connection = None;
                    self.goal = Some(*goal);
                }
                other => return other,
            }
        }
        self.connected().await?.exchange(request, &deadlines).await
    }

    /// Whether who answers has shown a certificate.
    pub(super) fn is_verified(&self) -> bool {
        self.goal.as_ref().unwrap_or(&self.target).url().scheme() == "https"
    }

    /// Exchanges are of this kind from now on.
    pub(super) fn speaks(&mut self, kind: Kind) {
        self.settings.kind = kind;
    }

    /// The kept connection, or a new one.
    async fn connected(&mut self) -> Result<&mut Connection, Error> {
        Ok(match &mut self.connection {
            Some(kept) => kept,
            none => {
                let target = self.goal.as_ref().unwrap_or(&self.target);
                let deadlines = &self.settings.deadlines;
                none.insert(Connection::open(target, &self.tls, deadlines).await?)
            }
        })
    }
}

impl Ask for Upstream {
    fn exchange(&mut self) -> Pin<Box<dyn Future<Output = Result<Exchange, Failure>> + Send + '_>> {
        Box::pin(async {
            Upstream::exchange(self)
                .await
                .map_err(Trouble::into_failure)
        })
    }

    fn close(&mut self) {
        Upstream::close(self);
    }

    fn limit(&self) -> Span {
        let hops = HOP_LIMIT as i64 + 1;
        self.settings.deadlines.total().times(hops)
    }
}

impl Trouble {
    /// Whether the server had closed the kept connection before it was asked: a new one is worth a try at once.
    pub fn is_of_the_connection(&self) -> bool {
        self.connection == Aftermath::Stale
    }

    /// Why the reply is not used, if one came.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.error {
            Cause::Refused(refusal) | Cause::Undecided(Undecided::Refused(refusal)) => {
                Some(refusal)
            }
            // What it was taken for.
            Cause::Undecided(Undecided::Page) => Some(&Refusal::Html),
            Cause::Net(_)
            | Cause::Impossible(_)
            | Cause::Undecided(Undecided::Still | Undecided::NoTime)
            | Cause::Unasked(_) => None,
        }
    }

    /// What the source's machine must know of it.
    pub fn into_failure(self) -> Failure {
        let asked = match &self.error {
            Cause::Refused(refusal) => refusal.retry_after(),
            Cause::Undecided(undecided) => undecided.retry_after(),
            Cause::Net(_) | Cause::Impossible(_) | Cause::Unasked(_) => None,
        };
        // A captive portal may name any.
        let retry_after = asked.map(|pause| pause.min(MAX_RETRY_AFTER));
        let fault = match &self.error {
            Cause::Net(error) | Cause::Unasked(error) => error.fault(),
            Cause::Refused(_) | Cause::Impossible(_) | Cause::Undecided(_) => Fault::Server,
        };
        Failure {
            fault,
            reason: self.to_string(),
            connection: self.connection,
            retry_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::{Theta, Utc};
    use crate::protocol::decimal::Fixed;
    use crate::sys::clock::raw_now;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use url::Url;

    /// A server's clock on this machine: by definition right.
    #[derive(Clone, Copy)]
    struct Truth(Theta);

    impl Truth {
        /// A clock that shows 2030 and some `millis` now.
        fn at(millis: i64) -> Self {
            let now = Utc::from_secs(1_893_456_000) + Span::from_millis(millis);
            Self(now - raw_now())
        }

        fn now(self) -> Utc {
            raw_now() + self.0
        }

        fn holds(self, exchange: &Exchange) -> bool {
            exchange.lower() <= self.0 && self.0 <= exchange.upper()
        }
    }

    /// Answers each request on each connection with what `reply` makes of its first line; gives the URL,
    /// and the first lines.
    async fn serve(
        reply: impl Fn(&str) -> String + Clone + Send + 'static,
    ) -> (Url, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/json", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (reply, sender) = (reply.clone(), sender.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while let Ok(byte) = stream.read_u8().await {
                        head.push(byte);
                        if head.ends_with(b"\r\n\r\n") {
                            let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
                            let line = text.lines().next().unwrap().to_owned();
                            let text = reply(&line);
                            let _ = sender.send(line);
                            stream.write_all(text.as_bytes()).await.unwrap();
                        }
                    }
                });
            }
        });
        (Url::parse(&url).unwrap(), requests)
    }

    /// A reply of `kind` to a request with this first line, by the clock `truth`.
    fn told(kind: Kind, line: &str, now: Utc) -> String {
        let stamp = |digits| {
            let instant = now;
            Fixed { instant, digits }.to_string()
        };
        let it = line.split([' ', '?']).nth(2).unwrap_or_default();
        let body = match kind {
            Kind::WebNtp => format!(r#"{{"it":{it},"st":{0},"time":{0}}}"#, stamp(6)),
            Kind::Nict => format!(r#"{{"it":{it},"st":{}}}"#, stamp(3)),
            Kind::HtpTime => format!(r#"{{"time":{}}}"#, stamp(6)),
            Kind::HttpsTime => {
                return format!(
                    "HTTP/1.1 204 No Content\r\nX-Httpstime: {}\r\n\r\n",
                    stamp(6)
                );
            }
            Kind::XTime => {
                let millis = stamp(3).replace('.', "");
                return format!("HTTP/1.1 204 No Content\r\nX-Time: {millis}\r\n\r\n");
            }
            Kind::Ntp => unreachable!("that is not spoken over HTTP"),
            Kind::Text => format!("a=b\nts={}\n", stamp(6)),
            Kind::HttpDate => {
                let (seconds, _) = now.to_parts();
                let (minute, second) = (seconds / 60 % 60, seconds % 60);
                let date = format!("Tue, 01 Jan 2030 00:{minute:02}:{second:02} GMT");
                return format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 7\r\n\r\n");
            }
        };
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    fn upstream(url: Url, settings: UpstreamSettings) -> Upstream {
        Upstream::new(
            Target::new(url).unwrap(),
            Arc::new(Tls::new(Vec::new())),
            settings,
        )
    }

    fn speaking(kind: Kind) -> UpstreamSettings {
        UpstreamSettings {
            kind,
            ..UpstreamSettings::default()
        }
    }

    #[tokio::test]
    async fn the_truth_is_never_outside_in_any_kind() {
        for kind in Kind::OVER_HTTP {
            // All over the second, for the kinds with coarse stamps.
            for millis in (0..1_000).step_by(90) {
                let truth = Truth::at(60_000 + millis);
                let (url, _) = serve(move |line| told(kind, line, truth.now())).await;
                for rounding in [Rounding::Truncates, Rounding::Unknown] {
                    let settings = UpstreamSettings {
                        rounding,
                        ..speaking(kind)
                    };
                    let mut upstream = upstream(url.clone(), settings);
                    for _ in 0..3 {
                        let exchange = upstream.exchange().await.unwrap();
                        assert!(truth.holds(&exchange), "{kind:?} {millis} {exchange:?}");
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn each_kind_asks_for_what_is_its_own() {
        for (kind, method, path, digits) in [
            (Kind::WebNtp, "GET", "/json?", 6),
            (Kind::Nict, "GET", "/json?", 3),
            (Kind::HtpTime, "GET", "/json", 0),
            (Kind::HttpsTime, "HEAD", "/.well-known/time", 0),
            (Kind::XTime, "GET", "/json", 0),
            (Kind::Text, "GET", "/json", 0),
            (Kind::HttpDate, "HEAD", "/json?", 6),
        ] {
            let truth = Truth::at(60_000);
            let (url, mut requests) = serve(move |line| told(kind, line, truth.now())).await;
            upstream(url, speaking(kind)).exchange().await.unwrap();
            let line = requests.recv().await.unwrap();
            let [asked, resource, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            let sent = resource.strip_prefix(path).expect(resource);
            let written = sent.split_once('.').map_or(0, |(_, digits)| digits.len());
            assert_eq!((asked, written), (method, digits), "{line}");
        }
    }

    #[tokio::test]
    async fn the_known_correction_is_added_to_what_the_server_says() {
        let offset = Span::from_secs(5);
        for kind in Kind::OVER_HTTP {
            let truth = Truth::at(60_000);
            let (url, _) = serve(move |line| told(kind, line, truth.now() - offset)).await;
            let corrected = UpstreamSettings {
                offset,
                ..speaking(kind)
            };
            let exchange = upstream(url.clone(), corrected).exchange().await.unwrap();
            assert!(truth.holds(&exchange), "{kind:?} {exchange:?}");
            // Both bounds move: what the server's stamps leave open is no wider than without.
            let open = exchange.delay() - (exchange.received() - exchange.sent());
            assert!(open <= Span::from_millis(1_520), "{kind:?} {open:?}");
            let exchange = upstream(url, speaking(kind)).exchange().await.unwrap();
            assert!(!truth.holds(&exchange), "{kind:?} {exchange:?}");
        }
    }

    #[tokio::test]
    async fn an_unwilling_server_is_left_alone_for_long() {
        let (url, _) = serve(|_| "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n".into()).await;
        for (kind, pause) in [
            (Kind::HttpsTime, Some(Span::from_secs(3_600))),
            (Kind::HttpDate, None),
        ] {
            let mut upstream = upstream(url.clone(), speaking(kind));
            let failure = upstream.exchange().await.unwrap_err().into_failure();
            assert_eq!(failure.retry_after, pause);
            assert_eq!(failure.connection, Aftermath::Usable);
            assert!(failure.reason.starts_with("status 405"), "{failure:?}");
        }
    }

    fn moved(to: &str) -> String {
        format!("HTTP/1.1 301 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
    }

    #[tokio::test]
    async fn redirects_are_followed_when_connecting_and_never_measured() {
        for kind in Kind::OVER_HTTP {
            let truth = Truth::at(60_000);
            let (goal, mut measured) = serve(move |line| told(kind, line, truth.now())).await;
            // Like a server that has moved: the query goes along.
            let (url, mut asked) = serve(move |line| {
                let resource = line.split(' ').nth(1).unwrap();
                moved(goal.join(resource).unwrap().as_str())
            })
            .await;
            let mut upstream = upstream(url, speaking(kind));
            for _ in 0..2 {
                for _ in 0..2 {
                    let exchange = upstream.exchange().await.unwrap();
                    assert!(truth.holds(&exchange), "{kind:?} {exchange:?}");
                }
                upstream.close();
            }
            drop(upstream);
            asked.close();
            measured.close();
            let mut count = (0, 0);
            while asked.recv().await.is_some() {
                count.0 += 1;
            }
            while measured.recv().await.is_some() {
                count.1 += 1;
            }
            assert_eq!(count, (2, 4), "once a connection: {kind:?}");
        }
    }

    #[tokio::test]
    async fn in_clear_text_only_a_reply_that_names_its_question_is_taken_from_another_host() {
        for kind in Kind::OVER_HTTP {
            let truth = Truth::at(60_000);
            let (goal, mut asked) = serve(move |line| told(kind, line, truth.now())).await;
            let elsewhere = format!("http://localhost:{}/json", goal.port().unwrap());
            let (url, _) = serve(move |_| moved(&elsewhere)).await;
            let mut upstream = upstream(url, speaking(kind));
            let exchange = upstream.exchange().await;
            asked.close();
            if matches!(kind, Kind::WebNtp | Kind::Nict) {
                assert!(truth.holds(&exchange.unwrap()), "{kind:?}");
                continue;
            }
            let failure = exchange.unwrap_err().into_failure();
            let reason = &failure.reason;
            assert!(
                reason.contains("in clear text to another host, \"http://localhost:")
                    && reason.ends_with("configure that URL if it is the right one"),
                "{kind:?} {reason}"
            );
            // It may be gone with the next connection, as a portal is after a log-in.
            assert_eq!(failure.connection, Aftermath::Broken);
            assert!(asked.recv().await.is_none(), "{kind:?} asked a stranger");
        }
    }

    #[test]
    fn elsewhere_a_certificate_vouches_for_the_redirect() {
        let upstream = upstream(Url::parse("http://a/json").unwrap(), speaking(Kind::XTime));
        let is_refused = |url: &str| {
            let goal = Target::new(Url::parse(url).unwrap()).unwrap();
            upstream.is_elsewhere_in_clear_text(&goal)
        };
        assert!(is_refused("http://b/json"));
        assert!(!is_refused("https://b/json"));
        assert!(!is_refused("http://a:81/"));
    }

    #[tokio::test]
    async fn redirects_without_end_are_followed_three_times() {
        let (url, mut requests) = serve(|_| moved("/json")).await;
        let mut upstream = upstream(url, speaking(Kind::WebNtp));
        let failure = upstream.exchange().await.unwrap_err().into_failure();
        assert!(failure.reason.starts_with("redirected"), "{failure:?}");
        assert_eq!(failure.connection, Aftermath::Broken);
        requests.close();
        let mut count = 0i64;
        while requests.recv().await.is_some() {
            count += 1;
        }
        assert_eq!(count, 1 + HOP_LIMIT as i64);
        let each = Deadlines::default().total();
        assert_eq!(upstream.limit(), each.times(count), "time for each of them");
    }

    #[tokio::test]
    async fn after_a_goal_that_cannot_be_asked_the_url_is_asked_again() {
        let (gone, listener) = {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            (listener.local_addr().unwrap(), listener)
        };
        drop(listener);
        let (url, mut requests) = serve(move |_| moved(&format!("http://{gone}/"))).await;
        let mut upstream = upstream(url, speaking(Kind::HttpDate));
        for _ in 0..2 {
            let failure = upstream.exchange().await.unwrap_err().into_failure();
            assert!(failure.reason.contains("cannot connect"), "{failure:?}");
            requests.recv().await.unwrap();
        }
    }
}
