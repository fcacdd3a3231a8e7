//! A leap second, from a list to the outputs, at its time.

use super::*;
use crate::engine::leap::Leap;
use crate::engine::snapshot::Snapshot;
use crate::supervisor::replay::{Decided, Replay};
use sha1::{Digest, Sha1};
use std::fmt::Write as _;

/// 2035-07-01.
pub(super) const MIDNIGHT: Utc = Utc::from_secs(2_066_860_800);

const SECOND: Span = Span::from_secs(1);

/// So long before a leap second a test begins: it must have been warned of when the silence comes, on a busy machine too.
const LEAD: Span = Span::from_secs(10);

/// A list that is good until later in that year, with a leap second before [`MIDNIGHT`] and this many from then on.
pub(super) fn list(tai_utc: i32) -> Arc<LeapSeconds> {
    let numbers = format!("3992284800 4291574400 3644697600 36 3692217600 37 4275849600 {tai_utc}");
    let sum = Sha1::digest(numbers.replace(' ', ""));
    let mut hash = String::new();
    for word in sum.chunks(4) {
        hash += " ";
        word.iter()
            .for_each(|byte| write!(hash, "{byte:02x}").expect("a string takes all"));
    }
    let text = format!(
        "#$ 3992284800\n#@ 4291574400\n3644697600 36\n3692217600 37\n4275849600 {tai_utc}\n#h{hash}\n"
    );
    Arc::new(LeapSeconds::parse(text.as_bytes()).expect("it is well made"))
}

/// The decisions of a replay, and when they were made; what the servers speak was told in time.
pub(super) fn replayed(config: &Config, path: &std::path::Path) -> Vec<(Raw, String)> {
    let mut replay = Replay::new(config, false);
    let mut lines = Vec::new();
    let mut show = |snapshot: &Snapshot| {
        lines.extend(Decided::of(snapshot).map(|decided| (snapshot.at, decided.to_string())));
    };
    let log = std::fs::read_to_string(path).expect("it was recorded");
    for line in log.lines() {
        replay
            .take(line.as_bytes(), &mut show)
            .expect("a good line");
    }
    replay.finish(&mut show);
    assert!(replay.untold().is_empty());
    lines
}

#[tokio::test]
async fn an_inserted_second_is_announced_and_passed_in_silence_and_the_offset_follows() {
    passes(Leap::Insert, 38, MIDNIGHT, SECOND, -SECOND).await;
}

#[tokio::test]
async fn a_second_that_is_left_out_is_announced_and_passed_in_silence_and_the_offset_follows() {
    passes(Leap::Delete, 36, MIDNIGHT - SECOND, Span::ZERO, SECOND).await;
}

/// A leap second of the list that begins at `edge` by clocks that do not know it, is so long, and changes the offset so.
async fn passes(leap: Leap, tai_utc: i32, edge: Utc, length: Span, shift: Span) {
    let name = format!("webntpd-leap-{}-{}.jsonl", leap.name(), std::process::id());
    let path = std::env::temp_dir().join(name);
    let (told, found) = watch::channel(Arc::new(LeapSeconds::built_in()));
    let world = World::default();
    let ahead = (edge - LEAD) - SystemClocks.read().pair.system;
    {
        let mut stage = world.stage.lock().unwrap();
        stage.servers_ahead = ahead;
        stage.leap = Some((edge, shift));
        stage.leap_seconds = Some(found);
    }
    let mut config = config(&["a", "b", "c"]);
    config.log.measurements = Some(path.clone());
    let supervisor = Supervisor::start(config.clone(), world.clone(), Box::new(world.clone()))
        .expect("nothing is in the way");
    told.send_replace(list(tai_utc));
    let (commands, receiver) = mpsc::channel(1);
    let task = tokio::spawn(supervisor.run(receiver));
    let follows = |sample: &&Sample| (sample.offset() - ahead - shift).abs() < SECOND.half();
    until(|| world.recorder.samples().iter().filter(follows).count() > 4).await;
    commands.send(Command::Stop).await.expect("it runs");
    in_time(task).await.expect("it ends by itself");
    let mut decided = Vec::new();
    let mut withheld = Vec::new();
    for Status { snapshot, .. } in world.statuses() {
        decided.extend(Decided::of(&snapshot).map(|decided| (snapshot.at, decided.to_string())));
        if snapshot.outcome == Err(NoDecision::LeapSecond) {
            withheld.push(snapshot.at);
        }
    }

    let is_near = |time: Utc| edge - SECOND < time && time < edge + length + SECOND;
    let asked = world.stage.lock().unwrap().asked_at.clone();
    assert!(asked.iter().all(|time| !is_near(*time)), "{asked:?}");
    let samples = world.recorder.samples();
    for sample in &samples {
        // By a clock that has no leap second.
        let time = sample.receive + ahead;
        assert!(!is_near(time), "{sample:?}");
        let expected = if time < edge { ahead } else { ahead + shift };
        assert!(
            (sample.offset() - expected).abs() <= sample.bound,
            "{sample:?}"
        );
        assert!(sample.leap == Leap::None || time < edge, "{sample:?}");
    }
    assert!(samples.iter().any(|sample| sample.leap == leap));

    // A cycle that ended in time may have been withheld, since it came too near to be published.
    let mut replayed = replayed(&config, &path);
    replayed.retain(|(at, _)| !withheld.contains(at));
    assert_eq!(decided, replayed);
    std::fs::remove_file(path).expect("it is ours");
}
