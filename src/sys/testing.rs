//! Waiting with a limit, for the tests of the library.
//!
//! In: what is waited for. Out: that it came; or the end of the test, instead of one that hangs. The limit is far beyond what a busy
//! machine needs.

use std::time::Duration;

/// Nothing that comes at all takes so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What `awaited` gives.
pub(crate) async fn in_time<T>(awaited: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(LIMIT, awaited).await;
    waited.expect("what is waited for comes in time")
}

/// Looks until there is what is `wanted`: what another thread does, of which nobody is told.
pub(crate) async fn until(wanted: impl Fn() -> bool) {
    in_time(async {
        while !wanted() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
