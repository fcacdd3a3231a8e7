//! `webntpd --demo`: the whole chain on one machine, nothing configured, nothing left behind.
//!
//! A few WebNTP servers of its own on loopback addresses, one of them wrong by a second, are polled like any others; what
//! comes out is published to a shared memory unit that nobody else uses, and shown as a table after every cycle.

use super::daemon::commands;
use super::run_to_end;
use crate::app::Live;
use crate::config::{Config, Protocol, Shm, Source, State};
use crate::engine::time::Span;
use crate::output::ShmSink;
use crate::server::{Server, ServerClock};
use crate::status::report::Report;
use crate::status::{Status, table};
use crate::supervisor::{Command, Supervisor};
use crate::sys::clock::SystemClocks;
use crate::sys::shm::{self, Policy, Unit};
use crate::sys::signals::{Signal, Signals};
use anyhow::Context;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

const CYCLE: Span = Span::from_secs(2);
const POLL: Span = Span::from_secs(1);

/// Units above those that people use, tried from the first that is free.
const UNITS: std::ops::RangeInclusive<u8> = 128..=255;

/// A server of the demo: its name, the scheme that it is asked by, and how wrong its clock is.
const SERVERS: [(&str, &str, Span); 4] = [
    ("honest-http", "http", Span::ZERO),
    ("honest-ws", "ws", Span::ZERO),
    ("honest-too", "http", Span::ZERO),
    ("wrong-by-1s", "http", Span::from_secs(1)),
];

/// Runs until Ctrl-C.
pub(super) fn run() -> anyhow::Result<()> {
    run_to_end(async {
        // A terminal that is closed ends it as well.
        let signals = Signals::new(&[Signal::Interrupt, Signal::Terminate, Signal::Hangup]);
        let signals = signals.context("cannot catch signals")?;
        let mut servers = JoinSet::new();
        let sources = start_servers(&mut servers).await?;
        let unit = shm::free_unit(UNITS)
            .context("all shared memory units from 128 to 255 are taken; see ipcs -m")?;
        let _segment = OwnSegment(unit);
        let config = Config {
            cycle: CYCLE,
            shm: Shm::of_unit(unit.0),
            state: State { directory: None },
            ..Config::of(sources)
        };
        let supervisor = Supervisor::start(config, Live::new(None), Box::new(SystemClocks))?;
        introduce(unit).context("cannot print")?;
        let shown = show(supervisor.status());
        tokio::select! {
            () = supervisor.run(commands(signals, Command::Stop)) => Ok(()),
            result = shown => result,
        }
    })
}

/// The segment that the demo made for itself, and takes away again however it ends.
struct OwnSegment(Unit);

impl Drop for OwnSegment {
    fn drop(&mut self) {
        let mut shm = ShmSink::new(self.0, Policy::usual(self.0));
        // A segment that this process did not make is not removed.
        let _ = shm.attach();
        shm.remove();
    }
}

/// Starts the servers, each on an address of its own so that each counts as an operator of its own.
async fn start_servers(tasks: &mut JoinSet<()>) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for (k, (name, scheme, offset)) in SERVERS.into_iter().enumerate() {
        let host = Ipv4Addr::new(127, 0, 0, k as u8 + 1);
        let server = Server::bind(&[SocketAddr::from((host, 0))], ServerClock { offset })
            .await
            .with_context(|| format!("cannot listen on {host}"))?;
        let url = format!("{scheme}://{}/", server.local_addr());
        let url = Url::parse(&url).expect("an address makes a URL");
        sources.push(Source {
            protocol: Some(Protocol::WebNtp),
            ..Source::new(name, url, POLL)
        });
        tasks.spawn(server.run(std::future::pending()));
    }
    Ok(sources)
}

fn introduce(unit: Unit) -> std::io::Result<()> {
    writeln!(
        std::io::stdout(),
        "webntpd demo: four servers on this machine, one of them wrong by a second, published to SHM unit {} (ipcs -m: key {:#x}).\n\
         {}\nCtrl-C ends it and leaves nothing behind.\n",
        unit.0,
        unit.key(),
        table::LEGEND,
    )
}

/// Prints a table for every cycle until nobody reads it any more.
async fn show(mut status: watch::Receiver<Status>) -> anyhow::Result<()> {
    while status.changed().await.is_ok() {
        let report = {
            let status = status.borrow_and_update();
            Report::new(&status, status.clock.raw)
        };
        match writeln!(std::io::stdout(), "{}", report.table()) {
            // Nobody reads it any more.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot print the table")?,
        }
    }
    std::future::pending().await
}
