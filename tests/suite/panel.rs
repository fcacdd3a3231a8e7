//! A panel of sources of every kind, some of which lie: the liars are named, and what is published stays right.
//!
//! * [`served`]: fake upstreams, the real daemon, the real ntpsec
//! * [`simulated`]: the engine on a virtual clock, for lies that take hours

mod served;
mod simulated;
