//! The pollers ask when somebody has decided that they are to.

use super::*;
use crate::engine::poll::Turns;

#[tokio::test]
async fn who_is_to_be_asked_more_rarely_is() {
    let (reports, mut ends) = mpsc::channel(REPORTS);
    let mut world = World::default();
    let (findings, _) = mpsc::channel(1);
    let mut roster = Roster::new(reports, findings);
    let mut sources = config(&["a"]).sources;
    sources[0].min_poll = Span::from_secs(1);
    sources[0].burst = false;
    let plan = roster.plan(&sources, &mut world);
    roster.apply(plan.expect("it can be asked"), raw_now());
    let id = roster.ids().next().expect("it is there");
    roster.follow([(id, Turns::every(Span::from_secs(4)))].into_iter());
    let mut received = Vec::new();
    while received.len() < 3 {
        let end = in_time(ends.recv()).await.expect("it runs");
        if let Report::Sample(exchange) = end.report {
            received.push(exchange.received());
        }
    }
    // The first one came at once. The turns of the others are 4 s apart and not one as before: a busy machine may be late for the first
    // of them, by more than two seconds.
    let apart = received[2] - received[1];
    assert!(apart > Span::from_millis(1_500), "{apart:?}");
}
