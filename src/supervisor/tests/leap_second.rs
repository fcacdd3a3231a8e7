//! A leap second, from a list to the outputs, at its time.

use super::*;
use crate::engine::leap::Leap;
use crate::supervisor::replay::{Decided, Replay};
use sha1::{Digest, Sha1};
use std::fmt::Write as _;

/// 2035-07-01, before which a second is inserted by the list.
const MIDNIGHT: Utc = Utc::from_secs(2_066_860_800);

/// A list that is good until later in that year.
fn list() -> Arc<LeapSeconds> {
    let numbers = "3992284800 4291574400 3644697600 36 3692217600 37 4275849600 38";
    let sum = Sha1::digest(numbers.replace(' ', ""));
    let mut hash = String::new();
    for word in sum.chunks(4) {
        hash += " ";
        word.iter()
            .for_each(|byte| write!(hash, "{byte:02x}").expect("a string takes all"));
    }
    let text = format!(
        "#$ 3992284800\n#@ 4291574400\n3644697600 36\n3692217600 37\n4275849600 38\n#h{hash}\n"
    );
    Arc::new(LeapSeconds::parse(text.as_bytes()).expect("it is well made"))
}

fn replayed(config: &Config, path: &std::path::Path) -> Vec<String> {
    let mut replay = Replay::new(config, false);
    let mut lines = Vec::new();
    let mut show = |snapshot: &crate::engine::snapshot::Snapshot| {
        lines.extend(Decided::of(snapshot).map(|decided| decided.to_string()));
    };
    let log = std::fs::read_to_string(path).expect("it was recorded");
    for line in log.lines() {
        replay
            .take(line.as_bytes(), &mut show)
            .expect("a good line");
    }
    replay.finish(&mut show);
    lines
}

#[tokio::test]
async fn an_inserted_second_is_announced_and_passed_in_silence_and_the_offset_follows() {
    let name = format!("webntpd-leap-second-{}.jsonl", std::process::id());
    let path = std::env::temp_dir().join(name);
    let (told, found) = watch::channel(Arc::new(LeapSeconds::built_in()));
    let world = World::default();
    let ahead = (MIDNIGHT - Span::from_millis(2_500)) - SystemClocks.read().pair.system;
    {
        let mut stage = world.stage.lock().unwrap();
        stage.servers_ahead = ahead;
        stage.midnight = Some(MIDNIGHT);
        stage.leap_seconds = Some(found);
    }
    let mut config = config(&["a", "b", "c"]);
    config.log.measurements = Some(path.clone());
    let supervisor = Supervisor::start(config.clone(), world.clone(), Box::new(world.clone()))
        .expect("nothing is in the way");
    told.send_replace(list());
    let (commands, receiver) = mpsc::channel(1);
    let mut status = supervisor.status();
    let task = tokio::spawn(supervisor.run(receiver));
    let shift = Span::from_secs(1);
    let mut decided = Vec::new();
    loop {
        status.changed().await.expect("it runs");
        decided.extend(Decided::of(&status.borrow_and_update().snapshot).map(|d| d.to_string()));
        let samples = world.recorder.samples();
        let follows = |sample: &&Sample| (sample.offset() - ahead + shift).abs() < shift.half();
        if samples.iter().filter(follows).count() > 4 {
            break;
        }
    }
    commands.send(Command::Stop).await.expect("it runs");
    task.await.expect("it ends by itself");

    let is_near = |time: Utc| MIDNIGHT - shift < time && time < MIDNIGHT + shift + shift;
    let asked = world.stage.lock().unwrap().asked_at.clone();
    assert!(asked.iter().all(|time| !is_near(*time)), "{asked:?}");
    let samples = world.recorder.samples();
    for sample in &samples {
        // By a clock that has no leap second.
        let time = sample.receive + ahead;
        assert!(!is_near(time), "{sample:?}");
        let expected = if time < MIDNIGHT {
            ahead
        } else {
            ahead - shift
        };
        assert!(
            (sample.offset() - expected).abs() <= sample.bound,
            "{sample:?}"
        );
        assert!(sample.leap == Leap::None || time < MIDNIGHT, "{sample:?}");
    }
    assert!(samples.iter().any(|sample| sample.leap == Leap::Insert));

    let replayed = replayed(&config, &path);
    assert!(
        decided.iter().all(|line| replayed.contains(line)),
        "{decided:#?} {replayed:#?}"
    );
    std::fs::remove_file(path).expect("it is ours");
}
