//! The life of one run of the server, from listening to the end of its last connection.
//!
//! In: sockets to keep an eye on. Out: pauses that end when the run does. Not: threads; the acceptor has them.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Connections open at once; more are closed unheard.
const MOST_CONNECTIONS: usize = 64;

/// Shared by all threads of one run.
#[derive(Debug, Default)]
pub(crate) struct Life {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ended: bool,
    sockets: HashMap<usize, TcpStream>,
}

impl Life {
    /// Takes a connection in, so that it ends with the run; false if there is no more room or no more life.
    pub(crate) fn admit(&self, number: usize, socket: &TcpStream) -> bool {
        let mut state = self.lock();
        let room = !state.ended && state.sockets.len() < MOST_CONNECTIONS;
        match (room, socket.try_clone()) {
            (true, Ok(socket)) => state.sockets.insert(number, socket).is_none(),
            _ => false,
        }
    }

    /// Forgets a connection that has ended by itself.
    pub(crate) fn forget(&self, number: usize) {
        self.lock().sockets.remove(&number);
    }

    /// Ends the run: every pause and every read or write on an admitted socket returns.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        for socket in state.sockets.values() {
            // A socket that is gone already is as good as closed.
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.ended.notify_all();
    }

    /// Waits so long, or until the run ends, which is an error.
    pub(crate) fn pause(&self, duration: Duration) -> io::Result<()> {
        if duration.is_zero() {
            return Ok(());
        }
        let (state, _) = self
            .ended
            .wait_timeout_while(self.lock(), duration, |state| !state.ended)
            .expect("nobody panics while holding the state");
        if state.ended {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nobody panics while holding the state")
    }
}
