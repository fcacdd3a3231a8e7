//! What a task that panicked had to say.

use tokio::task::JoinError;

/// The words of a panic, or else how the task ended.
pub fn words(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(cause) => cause
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| cause.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".into()),
        Err(error) => error.to_string(),
    }
}
