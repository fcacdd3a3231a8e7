//! Hands the metrics out over HTTP/1.1: GET and HEAD of `/metrics`, and a word at `/` on where they are.
//!
//! In: addresses, and the status as it changes. Out: one reply for each connection, to at most [`CONNECTIONS`] at a time, each of
//! which has [`PATIENCE`] from its beginning to its end; the others wait for their turn. What a request has for a body is not
//! read. Nothing that a client does reaches the rest of the daemon, nor the log.

use super::exposition;
use crate::status::Status;
use crate::status::door::Door;
use crate::sys::clock::pair_now;
use crate::sys::listen;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::ready;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};

/// Clients that are served at a time.
const CONNECTIONS: usize = 8;

/// How long a client may take, from the connection to the last byte of the reply.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// After a failure to accept (no file descriptor is left), the next try.
const PAUSE: Duration = Duration::from_millis(200);

const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Why no metrics can be served.
#[derive(Debug, thiserror::Error)]
#[error("no metrics at {address}: {}", listen::why(cause))]
pub struct BindError {
    /// Where they were to be.
    address: SocketAddr,
    /// What the system says.
    cause: io::Error,
}

impl BindError {
    /// Whether somebody, perhaps we ourselves, listens there already.
    pub fn is_taken(&self) -> bool {
        self.cause.kind() == ErrorKind::AddrInUse
    }
}

/// Serves as long as it lives; when it is dropped, its address is free at once.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    door: Door<TcpListener>,
    task: AbortHandle,
}

impl MetricsServer {
    /// Serves at the first of `addresses` that this machine has. Must be called inside a tokio runtime.
    pub fn start(
        addresses: &[SocketAddr],
        status: watch::Receiver<Status>,
    ) -> Result<Self, BindError> {
        let bound = listen::bind(addresses).and_then(|listener| {
            let address = listener.local_addr()?;
            Ok((address, TcpListener::from_std(listener)?))
        });
        let (address, listener) = bound.map_err(|cause| BindError {
            address: *addresses.first().unwrap_or(&([0; 4], 0).into()),
            cause,
        })?;
        let door = Door::new(listener);
        let task = tokio::spawn(serve(door.clone(), status)).abort_handle();
        Ok(Self {
            address,
            door,
            task,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.task.abort();
        self.door.close();
    }
}

async fn serve(door: Door<TcpListener>, status: watch::Receiver<Status>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this task, and its tasks with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = door.accept(TcpListener::poll_accept).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let status = status.clone();
        connections.spawn(async move {
            // Whoever is slow, went away or speaks no HTTP has had his chance.
            let _ = tokio::time::timeout(PATIENCE, reply(stream, status)).await;
            drop(place);
        });
    }
}

/// One request, one reply, and the connection ends: to open another one is little work every quarter of a minute.
async fn reply(stream: TcpStream, status: watch::Receiver<Status>) -> Result<(), hyper::Error> {
    let service = service_fn(|request: Request<Incoming>| {
        ready(Ok::<_, Infallible>(answer(&request, &status)))
    });
    http1::Builder::new()
        .auto_date_header(false)
        .header_read_timeout(None)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, status: &watch::Receiver<Status>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET or HEAD only\n");
        let allowed = HeaderValue::from_static("GET, HEAD");
        refusal.headers_mut().insert(ALLOW, allowed);
        return refusal;
    }
    match request.uri().path() {
        "/metrics" => {
            let text = exposition(&status.borrow(), pair_now());
            page(StatusCode::OK, METRICS, text)
        }
        "/" => page(
            StatusCode::OK,
            PLAIN,
            "webntpd: the metrics are at /metrics\n",
        ),
        _ => page(
            StatusCode::NOT_FOUND,
            PLAIN,
            "the metrics are at /metrics\n",
        ),
    }
}

fn page(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::rig;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const ANY: &str = "127.0.0.1:0";

    fn start(address: &str) -> Result<MetricsServer, BindError> {
        let address = address.parse().expect("an address");
        MetricsServer::start(&[address], watch::channel(rig::status()).1)
    }

    async fn connect(server: &MetricsServer) -> TcpStream {
        let stream = TcpStream::connect(server.local_addr()).await;
        stream.expect("it listens")
    }

    async fn asked(server: &MetricsServer, request: &str) -> String {
        let mut stream = connect(server).await;
        let request = format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.expect("it ends");
        reply
    }

    #[tokio::test]
    async fn the_metrics_are_where_prometheus_looks_and_the_root_says_so() {
        let server = start(ANY).expect("a free port");
        let metrics = asked(&server, "GET /metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
        assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
        assert!(metrics.contains("\nwebntpd_source_falseticker{source=\"liar\"} 1\n"));
        let head = asked(&server, "HEAD /metrics").await;
        assert!(
            head.contains("content-length: ") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        assert!(asked(&server, "GET /").await.ends_with("at /metrics\n"));
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        let server = start(ANY).expect("a free port");
        for (request, status) in [
            ("GET /metric", "404 Not Found"),
            ("POST /metrics", "405 Method Not Allowed"),
            ("DELETE /", "405 Method Not Allowed"),
            ("nonsense", "400 Bad Request"),
        ] {
            let reply = asked(&server, request).await;
            assert!(
                reply.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                "{reply}"
            );
            assert!(!reply.contains("webntpd_"), "{reply}");
        }
        assert!(
            asked(&server, "PUT /")
                .await
                .contains("allow: GET, HEAD\r\n")
        );
    }

    #[tokio::test]
    async fn a_head_that_never_ends_is_refused() {
        let server = start(ANY).expect("a free port");
        let mut stream = connect(&server).await;
        let request = format!("GET /metrics HTTP/1.1\r\nx: {}", "x".repeat(2 * MAX_HEAD));
        // It may have hung up before all of it was sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        assert!(!String::from_utf8_lossy(&reply).contains(" 200 "));
        assert!(asked(&server, "GET /").await.contains(" 200 "));
    }

    #[tokio::test]
    async fn whoever_sends_nothing_keeps_the_ninth_waiting_only_so_long() {
        let server = start(ANY).expect("a free port");
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS {
            idle.push(connect(&server).await);
        }
        assert!(asked(&server, "GET /metrics").await.contains(" 200 OK"));
        for mut stream in idle {
            assert_eq!(stream.read(&mut [0]).await.expect("hung up"), 0);
        }
    }

    #[tokio::test]
    async fn an_address_is_free_again_as_soon_as_its_server_is_dropped() {
        let server = start(ANY).expect("a free port");
        let address = server.local_addr().to_string();
        let taken = start(&address).expect_err("it is taken");
        assert!(taken.is_taken());
        assert_eq!(
            taken.to_string(),
            format!(
                "no metrics at {address}: Address already in use; another program listens there: stop it or take another port"
            )
        );
        drop(server);
        start(&address).expect("it is free");
    }
}
