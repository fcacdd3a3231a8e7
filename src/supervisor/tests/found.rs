//! Sources whose protocol is found out while the supervisor runs.

use super::*;
use crate::engine::SourceId;

/// Sources of which the second does not say what it speaks.
fn unnamed(names: &[&str]) -> Config {
    let mut config = config(names);
    config.sources[1].protocol = None;
    config
}

#[tokio::test]
async fn what_is_found_counts_as_if_it_had_been_configured() {
    let world = World::default();
    let start = |config| Supervisor::start(config, world.clone(), Box::new(world.clone()));
    let mut supervisor = start(unnamed(&["a", "b"])).expect("nothing is in the way");
    let id = supervisor.roster.ids().nth(1).expect("two sources");
    let found = |source| Found {
        source,
        kind: Kind::HttpDate,
        server: Box::new(world.answering("b")),
        at: raw_now(),
    };
    assert!(!supervisor.roster.settings()[1].coarse);
    supervisor.settle(found(id));
    let settings = supervisor.roster.settings();
    assert_eq!((settings[0].coarse, settings[1].coarse), (false, true));
    assert_eq!(supervisor.ledger.sources[1].protocol, Some(Kind::HttpDate));
    // NTP is told by the scheme; but whatever is found keeps its manners.
    let ntp = Found {
        kind: Kind::Ntp,
        ..found(id)
    };
    supervisor.settle(ntp);
    let poll = supervisor.roster.settings()[1].poll;
    assert_eq!(poll, Kind::Ntp.least_poll());
    // A source that went while it was asked.
    let before = supervisor.roster.settings();
    supervisor.settle(found(SourceId(77)));
    assert_eq!(supervisor.roster.settings(), before);
}

#[tokio::test]
async fn what_is_found_holds_over_a_reload_and_a_panic_and_a_changed_source_is_asked_anew() {
    let world = World::default();
    let kinds = |world: &World| world.stage.lock().unwrap().kinds["b"].clone();
    let told = Arc::new(Notify::new());
    world.stage.lock().unwrap().told = Some(Arc::clone(&told));
    let mut running = Running::start(&["a"], &world);
    running.reload(Ok(unnamed(&["a", "b"]))).await;
    assert_eq!(running.next().await.ledger.sources[1].protocol, None);
    told.notify_one();
    let status = running.wait(|status| reach(status, "b") & 1 == 1).await;
    let spoken = status.ledger.sources[1].protocol;
    assert_eq!(spoken, Some(Kind::WebNtp));

    running.reload(Ok(unnamed(&["a", "b", "c"]))).await;
    let after = running.next().await;
    assert_eq!(after.ledger.sources[1].protocol, spoken);
    assert_eq!(kinds(&world), [None], "it goes on");

    running.stage().manners.insert("b".into(), Manner::Panics);
    running
        .wait(|status| status.ledger.sources[1].restarts > 0)
        .await;
    running.stage().manners.clear();
    let samples = after.ledger.sources[1].samples;
    running
        .wait(|status| status.ledger.sources[1].samples > samples + 1)
        .await;
    assert_eq!(kinds(&world).last(), Some(&spoken), "it is known by now");

    let mut changed = unnamed(&["a", "b"]);
    changed.sources[1].burst = false;
    running.reload(Ok(changed)).await;
    assert_eq!(kinds(&world).last(), Some(&None), "it may speak anything");
    running.stop().await;
}

#[tokio::test]
async fn a_source_goes_on_when_what_was_found_is_named_and_begins_anew_when_another_kind_is() {
    let world = World::default();
    let built = |world: &World| world.stage.lock().unwrap().built["b"];
    let mut running = Running::start(&["a"], &world);
    running.reload(Ok(unnamed(&["a", "b"]))).await;
    let found = running.wait(|status| reach(status, "b") & 1 == 1).await;
    let naming = |kind| {
        let mut named = unnamed(&["a", "b"]);
        named.sources[1].protocol = Some(kind);
        named
    };
    // The second reload finds it configured so.
    for _ in 0..2 {
        running.reload(Ok(naming(Kind::WebNtp))).await;
        let after = running.next().await;
        assert_eq!(built(&world), 1, "its connection is kept");
        assert!(after.ledger.sources[1].samples >= found.ledger.sources[1].samples);
        assert_eq!(after.ledger.sources[1].protocol, Some(Kind::WebNtp));
        let reading = |status: &Status| status.snapshot.sources[1].reading.is_some();
        assert!(reading(&found) && reading(&after), "and so is its history");
    }
    running.reload(Ok(naming(Kind::XTime))).await;
    assert_eq!(built(&world), 2, "that is not what it speaks");
    running.stop().await;
}
