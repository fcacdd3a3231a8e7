//! What is to go on for ever, and is started anew if it panics.
//!
//! In: how to start it. Out: nothing, ever, but a line for each panic. What it had found out by then is lost, unless whoever starts it
//! hands it on.

use crate::engine::time::Span;
use crate::sys::clock::{raw_now, sleep_until};
use crate::sys::panic;
use std::convert::Infallible;
use tokio::task::JoinSet;
use tracing::error;

/// What panicked is started anew after this much, doubled with each further panic up to [`LONGEST_BACK_OFF`].
pub(super) const BACK_OFF: Span = Span::from_secs(1);
const LONGEST_BACK_OFF: Span = Span::from_secs(64);

/// Runs what `start` gives, called `name` in the log, and again after each panic, the first time after `back_off`. Ends with whoever
/// waits for it.
pub(super) async fn for_ever<F>(
    name: &str,
    back_off: Span,
    mut start: impl FnMut() -> F,
) -> Infallible
where
    F: Future<Output = Infallible> + Send + 'static,
{
    let mut panics: u32 = 0;
    loop {
        let mut task = JoinSet::new();
        task.spawn(start());
        let error = match task.join_next().await {
            Some(Ok(never)) => match never {},
            Some(Err(error)) => error,
            // There is one in it.
            None => continue,
        };
        let pause = back_off.times(1 << panics.min(16)).min(LONGEST_BACK_OFF);
        panics = panics.saturating_add(1);
        let cause = panic::words(error);
        error!("{name} panicked ({panics} times by now) and is started anew: {cause}");
        sleep_until(raw_now() + pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::log::testing::with_priority;
    use tokio::sync::watch;

    #[test]
    fn what_panics_is_told_and_started_anew_each_time() {
        let told = watch::Sender::new(0);
        let mut found = told.subscribe();
        let start = || {
            let told = told.clone();
            async move {
                told.send_modify(|starts| *starts += 1);
                let starts = *told.borrow();
                assert!(starts > 2, "start {starts}");
                std::future::pending().await
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        let lines = with_priority(|| {
            runtime.block_on(async {
                tokio::select! {
                    never = for_ever("it", Span::ZERO, start) => match never {},
                    found = found.wait_for(|starts| *starts == 3) => drop(found.expect("open")),
                }
            });
        });
        assert_eq!(
            lines,
            "<3>it panicked (1 times by now) and is started anew: start 1\n<3>it panicked (2 times by now) and is started anew: start 2\n"
        );
    }
}
