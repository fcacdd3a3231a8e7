//! The test host: where no clock can be touched.
//!
//! * [`sandbox`]: a test's body inside namespaces of its own
//! * [`process`]: a program that runs beside the test, its log, its end
//! * [`deadline`]: waiting for an event, not for a guessed time

pub(crate) mod deadline;
pub(crate) mod process;
pub(crate) mod sandbox;
