//! webntpd: correct time where UDP port 123 is closed.
//!
//! The way of a sample:
//!
//! ```text
//! config ─▶ app ─▶ supervisor ─▶ poller (one per source) ─▶ net ─▶ protocol ─▶ engine ─▶ Decision ─▶ output: SHM, SOCK
//!                                                                                   └▶ Snapshot ─▶ status, log
//! ```
//!
//! Three ideas carry it. Every reply is an interval: one exchange proves that universal time minus local clock lies between
//! two numbers, no more and no less ([`engine::exchange`]). Everything is measured on CLOCK_MONOTONIC_RAW, which nobody
//! steers ([`sys::clock`]). Bound and estimate are two things: what must be true, and the best guess inside it.
//!
//! | layer | may import |
//! |---|---|
//! | [`engine::time`] | std only |
//! | [`engine`], [`protocol`] | `engine::time`, themselves |
//! | [`config`], [`sys`] | the pure layers' types; not each other |
//! | [`net`], [`output`], [`server`], [`status`] | all above, never each other |
//! | [`leap_seconds`] | the pure layers, `sys`, `net` |
//! | [`poller`], [`supervisor`] | all above |
//! | [`app`], [`cli`], the binaries | everything |
//!
//! Safety: all `unsafe` code is in one file, the System V shared memory of [`sys`], which nothing safe offers. No `unwrap`; an
//! `expect` states why it holds. What peers send is bounded before it is looked at and escaped before it is shown.

pub mod app;
pub mod cli;
pub mod config;
pub mod engine;
pub mod leap_seconds;
pub mod net;
pub mod output;
pub mod poller;
pub mod protocol;
pub mod server;
pub mod status;
pub mod supervisor;
pub mod sys;
