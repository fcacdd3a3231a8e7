//! A server of which nobody has said what it speaks: first that is found out, then it is an [`Upstream`] like any other.
//!
//! In: where it is, and how it is asked but for the kind. Out: a [`Kind`], later exchanges. One question is asked at a time; when the
//! next one is due is not decided here. Replies are judged by [`finding`](crate::protocol::finding).

use super::upstream::Cause;
use super::{Ask, FindingOut, Trouble, Upstream, UpstreamSettings};
use crate::engine::exchange::Exchange;
use crate::engine::source::{Aftermath, Failure, Fault, LEAST_APART};
use crate::engine::time::Span;
use crate::net::{Error, Target, Tls, nonce};
use crate::protocol::finding::Finding;
use crate::protocol::kind::Kind;
use crate::protocol::plausible::Plausible;
use crate::protocol::request::Request;
use crate::sys::clock::{raw_now, sleep_until, system_now};
use std::pin::Pin;
use std::sync::Arc;

/// A server and what is known of its kind.
pub struct Finder {
    upstream: Upstream,
    finding: Finding,
    kind: Option<Kind>,
}

impl Finder {
    /// A server that is not connected yet; the kind that stands in `settings` means nothing.
    pub fn new(target: Target, tls: Arc<Tls>, settings: UpstreamSettings) -> Self {
        Self {
            upstream: Upstream::new(target, tls, settings),
            finding: Finding::default(),
            kind: None,
        }
    }

    /// Asks all questions, a second apart, until it is known what the server speaks or one of them fails.
    pub async fn settle(mut self) -> Result<(Kind, Upstream), Trouble> {
        let mut has_retried = false;
        loop {
            match self.question().await {
                Ok(Some(kind)) => return Ok((kind, self.upstream)),
                Ok(None) => has_retried = false,
                // As servers do that close after each reply, or after two.
                Err(trouble) if trouble.is_of_the_connection() && !has_retried => {
                    has_retried = true;
                    self.upstream.close();
                    continue;
                }
                Err(trouble) => return Err(trouble),
            }
            sleep_until(raw_now() + LEAST_APART).await;
        }
    }

    /// Asks the next question.
    async fn question(&mut self) -> Result<Option<Kind>, Trouble> {
        let result = self.ask().await;
        match result {
            Ok(kind) => {
                if let Some(kind) = kind {
                    self.upstream.speaks(kind);
                    self.kind = Some(kind);
                }
                Ok(kind)
            }
            Err(cause) => Err(self.upstream.trouble(cause)),
        }
    }

    async fn ask(&mut self) -> Result<Option<Kind>, Cause> {
        let nonce = nonce().map_err(Cause::Unasked)?;
        let request: Request = self.finding.request(system_now(), nonce);
        let answer = match self.upstream.question(&request).await {
            Ok(answer) => Ok(answer),
            Err(Error::Refused(refusal) | Error::Moved { refusal, .. }) => Err(refusal),
            Err(error) => {
                // A kept connection that was closed says nothing; what else fails breaks the chain of answers.
                if !matches!(error, Error::Closed) {
                    self.finding = Finding::default();
                }
                return Err(Cause::Unasked(error));
            }
        };
        let fields = answer
            .as_ref()
            .map(|answer| (answer.fields(), &answer.body));
        let reply = match &fields {
            Ok((fields, body)) => Ok((&fields[..], &body[..])),
            Err(refusal) => Err((*refusal).clone()),
        };
        self.finding
            .answered(
                &request,
                reply,
                self.upstream.is_verified(),
                &Plausible::release(),
            )
            .map_err(Cause::Undecided)
    }
}

impl Ask for Finder {
    fn exchange(&mut self) -> Pin<Box<dyn Future<Output = Result<Exchange, Failure>> + Send + '_>> {
        match self.kind {
            Some(_) => Ask::exchange(&mut self.upstream),
            None => Box::pin(std::future::ready(Err(Failure {
                fault: Fault::Local,
                reason: "its protocol is still to be found out".to_owned(),
                connection: Aftermath::Usable,
                retry_after: None,
            }))),
        }
    }

    fn find_out(&mut self) -> Option<FindingOut<'_>> {
        if self.kind.is_some() {
            return None;
        }
        Some(Box::pin(async {
            self.question().await.map_err(Trouble::into_failure)
        }))
    }

    fn close(&mut self) {
        self.upstream.close();
    }

    fn limit(&self) -> Span {
        self.upstream.limit()
    }
}
