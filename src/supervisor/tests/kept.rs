//! What an earlier run kept, in a supervisor that starts.

use super::*;
use crate::engine::time::Rate;
use crate::sys::state::{self, KnownRate};

#[tokio::test]
async fn what_an_earlier_run_kept_is_used_and_replaced() {
    let name = format!("webntpd-supervisor-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).expect("a directory");
    // Nothing that a machine of flesh and blood has: it cannot come from the exchanges.
    let kept = KnownRate {
        rate: Rate::from_ppm(300),
        error: Rate::from_ppm(1),
        boot: state::boot_id(),
    };
    let before = state::State {
        time: Utc::from_secs(1_800_000_000),
        rate: Some(kept),
    };
    state::write(&directory, &before).expect("it is ours");

    let world = World::default();
    // However many come before the first cycle ends, they do not refute it.
    world.stage.lock().unwrap().late = Span::from_millis(200);
    let mut config = config(&["a"]);
    config.state.directory = Some(directory.clone());
    let supervisor = Supervisor::start(config, world.clone(), Box::new(world.clone()))
        .expect("nothing is in the way");
    let (commands, receiver) = mpsc::channel(1);
    let mut status = supervisor.status();
    let task = tokio::spawn(supervisor.run(receiver));
    let decided = |status: &Status| status.snapshot.outcome.ok();
    let found = in_time(status.wait_for(|status| decided(status).is_some())).await;
    let decision = decided(&found.expect("it runs")).expect("it is one");
    assert!(
        (decision.rate.as_ppb() - 300_000).abs() < 50_000,
        "{decision:?}"
    );
    commands.send(Command::Stop).await.expect("it runs");
    in_time(task).await.expect("it ends by itself");

    let come = world.stage.lock().unwrap().come.clone();
    assert_eq!(come.len(), 2, "at the start and with the first decision");
    assert_eq!(come[0], before.time);
    let after = state::read(&directory)
        .expect("it is whole")
        .expect("it is there");
    assert!(after.time >= come[1]);
    std::fs::remove_dir_all(directory).expect("it is ours");
}
