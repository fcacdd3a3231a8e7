//! Work on a disk that may hang, as one behind a network does.
//!
//! In: work that blocks. Out: what it gives, or word that it hangs. A thread that hangs cannot be called off: it is left behind, and
//! nothing else is begun here before it comes back, so that they do not become ever more.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Longest wait for a list to be read or written.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where one piece of work at a time is done.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    free: Arc<Semaphore>,
    patience: Duration,
}

/// Work that does not come to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {} s; does its disk hang?", .0.as_secs_f64())]
pub(super) struct Hangs(Duration);

impl Default for Disk {
    fn default() -> Self {
        Self::with_patience(PATIENCE)
    }
}

impl Disk {
    fn with_patience(patience: Duration) -> Self {
        Self {
            free: Arc::new(Semaphore::new(1)),
            patience,
        }
    }

    /// Does what blocks elsewhere, unless what was begun before still hangs. A panic in it is the caller's.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Hangs> {
        let work = async {
            // It is never closed.
            let free = Arc::clone(&self.free).acquire_owned().await.ok()?;
            let done = spawn_blocking(move || {
                let done = work();
                drop(free);
                done
            });
            match done.await.map_err(tokio::task::JoinError::try_into_panic) {
                Ok(done) => Some(done),
                Err(Ok(cause)) => resume_unwind(cause),
                // All ends.
                Err(Err(_)) => None,
            }
        };
        let done = timeout(self.patience, work).await;
        done.ok().flatten().ok_or(Hangs(self.patience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_that_hangs_is_told_and_never_begun_a_second_time_until_it_comes_back() {
        let disk = Disk::with_patience(Duration::from_millis(50));
        let (sender, receiver) = mpsc::channel::<()>();
        let hangs = Err(Hangs(disk.patience));
        let hanging = disk.run(move || assert!(receiver.recv().is_err()));
        assert_eq!(hanging.await, hangs);
        let again = disk.run(|| panic!("it is begun"));
        assert_eq!(again.await, hangs);
        drop(sender);
        let disk = Disk {
            patience: PATIENCE,
            ..disk
        };
        assert_eq!(disk.run(|| 7).await, Ok(7));
    }

    #[test]
    fn a_disk_that_hangs_is_told_with_the_time() {
        let told = "no answer within 10 s; does its disk hang?";
        assert_eq!(Hangs(PATIENCE).to_string(), told);
    }
}
