//! What is listened on, shared by the task that accepts and by whoever may end that at once.
//!
//! A task that is aborted ends only when the runtime comes to it; what it listens on can be taken from it before. This neither
//! binds nor serves.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// A listener that can be taken away. Clones are the same door.
#[derive(Debug)]
pub(super) struct Door<L>(Arc<Mutex<Option<L>>>);

impl<L> Clone for Door<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L> Door<L> {
    /// An open one.
    pub(super) fn new(listener: L) -> Self {
        Self(Arc::new(Mutex::new(Some(listener))))
    }

    /// Lets go of the listener.
    pub(super) fn close(&self) {
        drop(self.listener().take());
    }

    /// The next connection, as `poll` gets it from the listener; none comes any more when the door is closed.
    pub(super) async fn accept<S>(
        &self,
        poll: impl Fn(&L, &mut Context<'_>) -> Poll<io::Result<S>>,
    ) -> io::Result<S> {
        poll_fn(|context| match self.listener().as_ref() {
            Some(listener) => poll(listener, context),
            None => Poll::Pending,
        })
        .await
    }

    fn listener(&self) -> MutexGuard<'_, Option<L>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
