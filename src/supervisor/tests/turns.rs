//! The pollers ask when the engine has decided that they are to.

use super::*;

const SECOND: Span = Span::from_secs(1);

/// For how many cycles requests are counted.
const COUNTED: u64 = 8;

fn is_asked_in_every_second_cycle(status: &Status) -> bool {
    let mut sources = status.snapshot.sources.iter();
    sources.all(|source| source.poll == SECOND.times(2)) && status.snapshot.outcome.is_ok()
}

#[tokio::test]
async fn who_is_to_be_asked_more_rarely_is() {
    let world = World::default();
    let mut running = Running::start(&["a", "b"], &world);
    let mut config = config(&["a", "b"]);
    config.cycle = SECOND;
    for source in &mut config.sources {
        source.min_poll = SECOND;
        source.max_poll = SECOND.times(2);
    }
    running.reload(Ok(config)).await;
    // Two take turns once they are calm; a busy machine may upset them again.
    loop {
        running.wait(is_asked_in_every_second_cycle).await;
        let before = running.stage().asked.clone();
        let mut is_calm = true;
        for _ in 0..COUNTED {
            is_calm &= is_asked_in_every_second_cycle(&running.next().await);
        }
        if is_calm {
            for name in ["a", "b"] {
                let asked = running.stage().asked[name] - before[name];
                assert!(asked as u64 <= COUNTED / 2 + 1, "{name}: {asked}");
            }
            break;
        }
    }
    running.stop().await;
}
