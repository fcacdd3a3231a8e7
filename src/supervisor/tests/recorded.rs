//! What a supervisor records, in more files than one.

use super::leap_second::{MIDNIGHT, list, replayed};
use super::*;
use crate::engine::leap::Leap;
use crate::engine::time::Rate;
use crate::supervisor::replay::Decided;
use crate::sys::state::{self, KnownRate};

/// Sources of which the last does not say what it speaks, and decides nothing; those of the second time are others.
fn sources(again: bool) -> Config {
    let mut config = config(&["a", "b", "c"]);
    for source in &mut config.sources[..2] {
        source.burst = !again;
    }
    config.sources[2].protocol = None;
    config.sources[2].noselect = true;
    config
}

#[tokio::test]
async fn a_file_that_begins_after_another_was_renamed_replays_by_itself_and_behind_it() {
    replays_by_itself_and_behind_the_first("renamed", true).await;
}

#[tokio::test]
async fn a_file_that_begins_since_another_is_configured_replays_by_itself_and_behind_the_first() {
    replays_by_itself_and_behind_the_first("moved", false).await;
}

async fn replays_by_itself_and_behind_the_first(name: &str, is_renamed: bool) {
    let name = format!("webntpd-recorded-{name}-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).expect("a directory");
    let (path, first) = (directory.join("log"), directory.join("first"));
    // The decisions lean on a rate that no exchange shows, and warn by a list.
    let kept = state::State {
        time: Utc::from_secs(1_700_000_000),
        rate: Some(KnownRate {
            rate: Rate::from_ppm(300),
            error: Rate::from_ppm(1),
            boot: state::boot_id(),
        }),
    };
    state::write(&directory, &kept).expect("it is ours");
    let known = list(38);
    let (told, found) = watch::channel(Arc::clone(&known));
    told.send_replace(known);
    let world = World::default();
    {
        let mut stage = world.stage.lock().unwrap();
        stage.servers_ahead = MIDNIGHT - Span::from_secs(40_000) - SystemClocks.read().pair.system;
        stage.leap_seconds = Some(found);
    }
    let configured = |again| {
        let mut config = sources(again);
        let is_first = !is_renamed && !again;
        config.log.measurements = Some(if is_first { &first } else { &path }.clone());
        config.state.directory = Some(directory.clone());
        config
    };
    let supervisor = Supervisor::start(configured(false), world.clone(), Box::new(world.clone()))
        .expect("nothing is in the way");
    let (commands, receiver) = mpsc::channel(1);
    let mut running = Running {
        world: world.clone(),
        commands,
        status: supervisor.status(),
        task: tokio::spawn(supervisor.run(receiver)),
    };
    running.wait(|status| reach(status, "c") & 1 == 1).await;
    let warns = |status: &Status| {
        let decision = status.snapshot.outcome.ok();
        decision.is_some_and(|decision| decision.leap == Leap::Insert)
    };
    running.wait(warns).await;

    if is_renamed {
        std::fs::rename(&path, &first).expect("it is ours");
    }
    running.stage().reload = Some(Ok(configured(true)));
    let reload = running.commands.send(Command::Reload).await;
    reload.expect("it runs");
    // All sources that count began without history.
    let decided = || {
        let statuses = world.statuses().into_iter();
        let since = statuses.filter(|status| status.ledger.reloads == 1);
        let line = |status: Status| {
            let decided = Decided::of(&status.snapshot)?.to_string();
            Some((status.snapshot.at, decided))
        };
        since.filter_map(line).collect::<Vec<_>>()
    };
    until(|| decided().len() >= 6).await;
    running.stop().await;

    let text = std::fs::read_to_string(&path).expect("it was begun");
    let begin = text.lines().next().expect("it is not empty");
    assert!(begin.starts_with("{\"event\":\"continued\""), "{text}");
    let decided = decided();
    assert!(decided[0].1.contains("\"leap\":\"insert\""), "{decided:?}");
    assert_eq!(replayed(&configured(true), &path), decided);
    let both = std::fs::read_to_string(&first).expect("it was begun") + &text;
    std::fs::write(&first, both).expect("it is ours");
    let all = replayed(&configured(true), &first);
    assert!(
        all.len() > decided.len() && all.ends_with(&decided),
        "{all:?}"
    );
    std::fs::remove_dir_all(directory).expect("it is ours");
}
