//! What a log says and what does not stand in it.

use super::*;
use crate::config;
use crate::engine::leap::Leap;
use std::fmt::Write as _;

const SECOND: i64 = 1_000_000_000;

/// True UTC minus raw clock, ns.
const THETA: i64 = 1_795_000_000 * SECOND;

fn configuration(names: &[&str]) -> Config {
    let mut text = "cycle = \"16s\"\n".to_owned();
    for name in names {
        write!(
            text,
            "[[source]]\nname = \"{name}\"\nurl = \"http://{name}/\"\npoll = \"16s\"\n"
        )
        .expect("a string takes all");
    }
    config::parse(&text, "f").expect("it is good")
}

/// A reply that came at this time, by a server that is ahead by this much; 20 ms on the way.
fn reply_of(source: &str, received: i64, ahead: i64) -> String {
    let sent = received - 20_000_000;
    let stamp = received - 10_000_000 + THETA + ahead;
    format!(
        "{{\"source\":\"{source}\",\"sent\":{sent},\"arrived_before\":{stamp},\"departed_after\":{stamp},\"received\":{received},\
         \"leap\":null}}\n"
    )
}

fn reply(source: &str, second: i64) -> String {
    reply_of(source, second * SECOND, 0)
}

fn event(name: &str, second: i64) -> String {
    format!(
        "{{\"event\":\"{name}\",\"raw\":{},\"boot\":\"one\",\"why\":\"suspend\"}}\n",
        second * SECOND
    )
}

/// The ends of cycles that are shown.
fn shown(config: &Config, shows_all: bool, log: &str) -> Vec<Snapshot> {
    let mut replay = Replay::new(config, shows_all);
    let mut shown = Vec::new();
    let mut show = |snapshot: &Snapshot| shown.push(snapshot.clone());
    for line in log.lines() {
        replay.take(line.as_bytes(), &mut show).expect(line);
    }
    replay.finish(&mut show);
    shown
}

fn decided(config: &Config, shows_all: bool, log: &str) -> Vec<String> {
    let shown = shown(config, shows_all, log);
    let decided = shown.iter().filter_map(Decided::of);
    let lines = decided.map(|decided| serde_json::to_string(&decided));
    lines.map(|line| line.expect("plain data")).collect()
}

/// The seconds of the cycles with a decision.
fn seconds(log: &str) -> Vec<i64> {
    let shown = shown(&configuration(&["a", "b", "c"]), false, log);
    let decided = shown.iter().filter(|snapshot| snapshot.outcome.is_ok());
    decided
        .map(|snapshot| snapshot.at.as_nanos() / SECOND)
        .collect()
}

#[test]
fn a_cycle_uses_what_was_received_by_its_end() {
    assert_eq!(seconds(&[reply("a", 31), reply("b", 32)].concat()), [32]);
    assert_eq!(seconds(&[reply("a", 33), reply("b", 33)].concat()), [48]);
    let log = [reply("a", 20), reply("b", 20), reply("a", 33)].concat();
    assert_eq!(seconds(&log), [32, 48]);
}

#[test]
fn a_line_of_output_has_the_members_in_order() {
    let config = configuration(&["b", "a", "liar"]);
    let log = [
        reply("b", 20),
        reply("a", 20),
        reply_of("liar", 20 * SECOND, SECOND),
    ]
    .concat();
    let lines = decided(&config, false, &log);
    assert_eq!(lines.len(), 1);
    let value: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!(value["at"], 32 * SECOND);
    assert_eq!(value["offset"], THETA);
    assert!(value["lo"].as_i64() <= Some(THETA - 10_000_000));
    assert!(value["hi"].as_i64() >= Some(THETA + 10_000_000));
    assert_eq!(value["leap"], "none");
    assert_eq!(value["survivors"], serde_json::json!(["a", "b"]));
    assert_eq!(value["falsetickers"], serde_json::json!(["liar"]));
    assert_eq!(value["rate_ppb"], 0);
    assert!(lines[0].starts_with("{\"at\":32000000000,\"offset\":1795000000000000000,\"lo\":"));
    assert!(lines[0].ends_with(
        "\"leap\":\"none\",\"survivors\":[\"a\",\"b\"],\"falsetickers\":[\"liar\"],\"rate_ppb\":0}"
    ));
}

#[test]
fn what_was_found_to_speak_whole_seconds_outvotes_nobody() {
    let config = |more: &str| {
        let mut text = "cycle = \"16s\"\n".to_owned();
        for (name, more) in [("a", more), ("b", more), ("c", "protocol = \"webntp\"")] {
            write!(
                text,
                "[[source]]\nname = \"{name}\"\nurl = \"http://{name}/\"\n{more}\n"
            )
            .expect("a string takes all");
        }
        config::parse(&text, "f").expect("it is good")
    };
    let off = SECOND / 4;
    let replies = reply_of("a", 20 * SECOND, off) + &reply_of("b", 21 * SECOND, off);
    let replies = replies + &reply("c", 22);
    let found = |kind: &str| {
        let told = |name: &str| {
            format!(
                "{{\"event\":\"protocol\",\"raw\":{},\"source\":\"{name}\",\"protocol\":\"{kind}\"}}\n",
                19 * SECOND
            )
        };
        event("start", 5) + &told("a") + &told("b") + &told("stranger") + &replies
    };
    let untold = |config: &Config, log: &str| {
        let mut replay = Replay::new(config, false);
        for line in log.lines() {
            replay.take(line.as_bytes(), &mut |_| {}).expect(line);
        }
        replay.untold().join(" ")
    };
    let liars = |config: &Config, log: &str| {
        let shown = shown(config, false, log);
        let decided = shown.iter().find_map(Decided::of).expect("a decision");
        decided.falsetickers.join(" ")
    };
    assert_eq!(liars(&config(""), &found("http-date")), "");
    assert_eq!(liars(&config(""), &found("webntp")), "c");
    // A log of a time when all spoke webntp that named nothing, and a configuration that names it.
    assert_eq!(liars(&config(""), &replies), "c");
    let named = config("protocol = \"webntp\"");
    assert_eq!(liars(&named, &found("http-date")), "c");
    assert_eq!(untold(&config(""), &found("http-date")), "");
    assert_eq!(untold(&config(""), &replies), "a b");
    let too_late = replies.clone() + &found("http-date");
    assert_eq!(untold(&config(""), &too_late), "a b");
    assert_eq!(untold(&named, &replies), "");
}

#[test]
fn a_file_that_goes_on_after_another_one_of_the_same_boot_loses_nothing() {
    let begin = [event("start", 5), reply("a", 20), reply("b", 20)].concat();
    let next = [event("continued", 34), reply("c", 40)].concat();
    assert_eq!(seconds(&[&*begin, &*next].concat()), [32, 48]);
    // By itself, or after one of another boot, it has only what stands in it.
    assert!(seconds(&next).is_empty());
    let other = next.replace("one", "two");
    assert_eq!(seconds(&[&*begin, &*other].concat()), [32]);
    assert_eq!(seconds(&(next.clone() + &reply("a", 41))), [48]);
    // What was written before anybody noticed that the file had been emptied.
    let headless = reply("a", 20) + &reply("b", 20);
    assert_eq!(seconds(&(headless + &next)), [32, 48]);
}

#[test]
fn a_rate_that_nobody_can_have_found_breaks_no_estimate() {
    let config = configuration(&["a"]);
    for rate in [i64::MAX, i64::MIN, 0] {
        for sigma in [i64::MIN, -1, 0, 1, i64::MAX] {
            let mut replay = Replay::new(&config, false);
            let line = format!(
                "{{\"event\":\"rate\",\"raw\":5,\"rate_ppt\":{rate},\"sigma_ppt\":{sigma}}}"
            );
            let taken = replay.take(line.as_bytes(), &mut |_| {});
            assert_eq!(taken.is_ok(), sigma > 0, "{line}");
            for second in (20..2_000).step_by(16) {
                let reply = reply("a", second);
                replay.take(reply.as_bytes(), &mut |_| {}).expect("good");
            }
        }
    }
}

#[test]
fn the_configured_offset_is_added() {
    let mut config = configuration(&["a"]);
    config.sources[0].offset = Span::from_secs(-3);
    let log = reply_of("a", 20 * SECOND, 3 * SECOND);
    let shown = shown(&config, false, &log);
    let decision = shown[0].outcome.as_ref().expect("one source will do");
    assert_eq!(decision.theta.as_nanos(), THETA);
}

/// Some hours with outages of all lengths, and of single sources.
fn patchy() -> String {
    let mut log = event("start", 5);
    let mut second = 7;
    for round in 0..300 {
        for (k, name) in ["a", "b", "c"].iter().enumerate() {
            if round % (7 + 4 * k as i64) != 3 {
                // The path wavers, and c is now and then a liar.
                let wavers = (round * 7_919 + k as i64 * 104_729) % 4_000_000;
                let lie = if k == 2 && round % 50 > 30 { SECOND } else { 0 };
                let received = (second + k as i64) * SECOND + wavers;
                log += &reply_of(name, received, wavers / 2 + lie);
            }
        }
        second += match round % 40 {
            11 => 50,
            23 => 90,
            37 => 5_000,
            _ => 16,
        };
    }
    log
}

#[test]
fn cycles_that_are_left_out_change_no_decision() {
    let config = configuration(&["a", "b", "c"]);
    let log = patchy();
    let lines = decided(&config, false, &log);
    assert!(lines.len() > 200, "{}", lines.len());
    assert_eq!(lines, decided(&config, true, &log));
    assert!(shown(&config, false, &log).len() < shown(&config, true, &log).len());
}

#[test]
fn a_hole_of_a_year_is_passed_at_once_and_every_cycle_shown_if_wanted() {
    let config = configuration(&["a"]);
    let year = 365 * 86_400;
    let log = [reply("a", 20), reply("a", 20 + year)].concat();
    let told = shown(&config, false, &log);
    assert_eq!(told.iter().filter(|cycle| cycle.outcome.is_ok()).count(), 2);
    assert!(told.len() < 20, "{}", told.len());
    let day = [reply("a", 20), reply("a", 20 + 86_400)].concat();
    assert_eq!(shown(&config, true, &day).len(), 86_400 / 16 + 1);
}

#[test]
fn another_boot_begins_anew_and_the_same_does_not() {
    let begin = [event("start", 5), reply("a", 20), reply("b", 20)].concat();
    let again = [event("start", 30), reply("c", 40)].concat();
    // Two of the three must agree.
    assert_eq!(seconds(&[&*begin, &*again].concat()), [32, 48]);
    let other = again.replace("one", "two");
    assert_eq!(seconds(&[&*begin, &*other].concat()), [32]);
    // Its clock began anew, too.
    let earlier = event("start", 1).replace("one", "two") + &reply("a", 3) + &reply("b", 3);
    assert_eq!(seconds(&[begin, earlier].concat()), [32, 16]);
}

#[test]
fn a_reset_takes_all_history_and_what_began_before_it() {
    let begin = [
        reply("a", 20),
        reply("b", 20),
        reply("a", 33),
        event("reset", 34),
    ]
    .concat();
    assert_eq!(seconds(&(begin.clone() + &reply("b", 36))), [32]);
    let agreed = [reply("a", 36), reply("b", 36)].concat();
    assert_eq!(seconds(&(begin.clone() + &agreed)), [32, 48]);
    let before = reply_of("a", 34 * SECOND + 10_000_000, 0) + &reply("b", 36);
    assert_eq!(seconds(&(begin + &before)), [32]);
    // It is found when the cycle is due.
    let at_the_end = [reply("a", 20), reply("b", 20), event("reset", 32)].concat();
    assert!(seconds(&at_the_end).is_empty());
}

#[test]
fn a_reload_goes_on_but_for_sources_that_began_anew() {
    let begin = [reply("a", 20), reply("b", 20)].concat();
    let later = reply("c", 40);
    let reload = event("reload", 33);
    assert_eq!(seconds(&[&*begin, &*reload, &*later].concat()), [32, 48]);
    let anew = reload.replace("\"boot\":\"one\"", "\"anew\":[\"a\",\"b\",\"new\"]");
    assert_eq!(seconds(&[&*begin, &*anew, &*later].concat()), [32]);
}

/// Replies of three servers every 16 s, whose clocks go from the last day of 2016 to the first of 2017 at 995 s, with a second
/// between the days, and a list that says so or does not.
fn new_year(list: &str) -> String {
    let mut log = event("start", 900) + list;
    for second in (904..1_100).step_by(16) {
        let leapt = if second < 995 { 0 } else { -SECOND };
        for (k, name) in ["a", "b", "c"].iter().enumerate() {
            let midnight = 1_483_228_800 * SECOND - THETA - 995 * SECOND;
            log += &reply_of(name, (second + k as i64) * SECOND, midnight + leapt);
        }
    }
    log
}

#[test]
fn a_leap_second_passes_as_it_did_for_the_daemon() {
    let config = configuration(&["a", "b", "c"]);
    let list = "{\"event\":\"leap-list\",\"raw\":901000000000,\"last\":1483228800000000000,\"step\":1,\"expires\":1483300000000000000}\n";
    let all = shown(&config, true, &new_year(list));
    let theta = 1_483_228_800 * SECOND - 995 * SECOND;
    for snapshot in &all {
        let (leap, expected) = if snapshot.at.as_nanos() < 995 * SECOND {
            (Leap::Insert, theta)
        } else {
            (Leap::None, theta - SECOND)
        };
        let decision = snapshot.outcome.expect("no cycle is lost");
        assert_eq!(decision.leap, leap, "{decision:?}");
        let apart = decision.theta.as_nanos() - expected;
        assert!(apart.abs() < SECOND / 100, "{decision:?}");
    }
    assert_eq!(all.len(), 13);
    // Also where nobody was heard around it.
    let log = new_year(list);
    let is_far = |line: &&str| {
        let known = Item::read(line.as_bytes()).expect("a good line");
        !matches!(known, Item::Exchange(_, exchange) if (960..1_060).contains(&(exchange.received().as_nanos() / SECOND)))
    };
    let holed: String = log.split_inclusive('\n').filter(is_far).collect();
    for log in [log, holed] {
        let lines = decided(&config, false, &log);
        assert_eq!(lines, decided(&config, true, &log));
        assert!(lines.len() > 5, "{lines:?}");
    }
    // Who is not told must find it out.
    let untold = shown(&config, true, &new_year(""));
    let stepped =
        |snapshot: &&Snapshot| matches!(snapshot.outcome, Err(NoDecision::Stepped { .. }));
    assert_eq!(untold.iter().filter(stepped).count(), 1);
    let gone = list.to_owned() + "{\"event\":\"leap-list\",\"raw\":930000000000}\n";
    let taken_back = shown(&config, true, &new_year(&gone));
    assert_eq!(taken_back.iter().filter(stepped).count(), 1);
}

#[test]
fn a_cycle_that_had_ended_had_not_seen_what_follows() {
    let begin = reply("a", 20);
    let late = [reply("b", 31), reply("c", 40)].concat();
    assert_eq!(seconds(&[&*begin, &*late].concat()), [32, 48]);
    assert_eq!(
        seconds(&[&*begin, &*event("cycle", 32), &*late].concat()),
        [48]
    );
}

#[test]
fn a_cycle_that_ended_late_had_seen_what_came_until_then() {
    let replies = [reply("a", 20), reply("b", 20), reply("c", 70)].concat();
    assert_eq!(seconds(&replies), [32, 80]);
    let late = event("start", 5) + &event("late", 66) + &replies;
    assert_eq!(seconds(&late), [64, 80]);
    let both = event("start", 5) + &event("late", 66) + &reply("a", 20) + &reply("b", 65);
    assert_eq!(
        seconds(&both),
        [80],
        "b is not of the cycle that ended at 64 s"
    );
}

#[test]
fn after_its_end_the_daemon_decides_nothing() {
    let begin = [event("start", 5), reply("a", 20), reply("b", 20)].concat();
    assert_eq!(seconds(&(begin.clone() + &event("stop", 31))), [0i64; 0]);
    assert_eq!(seconds(&(begin.clone() + &event("stop", 33))), [32]);
    let again = event("stop", 31) + &event("start", 40) + &reply("c", 50);
    assert_eq!(seconds(&(begin + &again)), [48, 64]);
}

#[test]
fn sources_that_are_not_configured_are_passed_over_and_told() {
    let config = configuration(&["a"]);
    let mut replay = Replay::new(&config, false);
    for line in [
        reply("z", 20),
        reply("y", 21),
        reply("z", 22),
        reply("a", 23),
    ] {
        replay.take(line.as_bytes(), &mut |_| {}).expect("good");
    }
    let strangers = replay.strangers().expect("some");
    assert_eq!(strangers.exchanges, 3);
    assert_eq!(Vec::from_iter(strangers.names), ["y", "z"]);
}

#[test]
fn no_times_however_absurd_break_it() {
    let config = configuration(&["a"]);
    let mut replay = Replay::new(&config, false);
    let times = [i64::MAX, i64::MIN, 0, i64::MIN + 1, i64::MAX - 1];
    for name in [
        "start",
        "continued",
        "leap-list",
        "reset",
        "reload",
        "cycle",
        "late",
        "rate",
        "stop",
    ] {
        for raw in times {
            let sigma = raw.saturating_abs().max(1);
            let line = format!(
                "{{\"event\":\"{name}\",\"raw\":{raw},\"boot\":\"{raw}\",\"rate_ppt\":{raw},\"sigma_ppt\":{sigma},\
                 \"last\":{raw},\"step\":1,\"expires\":{raw}}}"
            );
            replay.take(line.as_bytes(), &mut |_| {}).expect("good");
        }
        for received in times {
            let sent = received.saturating_sub(7);
            let line = format!(
                "{{\"source\":\"a\",\"sent\":{sent},\"arrived_before\":{received},\"departed_after\":{received},\"received\":{received}}}"
            );
            let _ = replay.take(line.as_bytes(), &mut |_| {});
        }
    }
    replay.finish(&mut |_| {});
}

/// The first line that is bad, counted from one, and what is said of it.
fn bad(log: &str) -> Option<(usize, String)> {
    let config = configuration(&["a", "b", "c"]);
    let mut replay = Replay::new(&config, false);
    let taken = log
        .lines()
        .map(|line| replay.take(line.as_bytes(), &mut |_| {}));
    let mut numbered = (1..).zip(taken);
    numbered.find_map(|(number, taken)| Some((number, taken.err()?.to_string())))
}

#[test]
fn an_older_file_behind_a_newer_one_is_a_bad_line() {
    let older = event("start", 5) + &event("reset", 5).replace("suspend", "start");
    let older = older + &reply("a", 20) + &reply("b", 20);
    let newer = event("continued", 500) + &reply("c", 510);
    assert_eq!(bad(&(older.clone() + &newer)), None);
    let told =
        |by| format!("{by} s earlier than a line above it; put older files before newer ones");
    assert_eq!(bad(&(newer.clone() + &older)), Some((3, told(505))));
    // As it is where more than one file was begun in the midst.
    let between = event("continued", 100) + &reply("a", 110);
    assert_eq!(bad(&(newer.clone() + &between)), Some((3, told(410))));
    // One that was cut off in front; and it does not matter whose replies they are.
    assert_eq!(
        bad(&(newer.clone() + &reply("z", 20))),
        Some((3, told(490)))
    );
    let strange = reply("z", 510) + &reply("a", 20);
    assert_eq!(bad(&strange), Some((2, told(490))));
    // What was looked at late, another boot, and boots that have no names.
    assert_eq!(bad(&(newer.clone() + &reply("a", 450))), None);
    let other = older.replace("one", "two");
    assert_eq!(bad(&(newer.clone() + &other)), None);
    let [newer, older] = [newer, older].map(|log| log.replace("\"one\"", "\"\""));
    assert_eq!(bad(&(newer + &older)), None);
}

#[test]
fn all_cycles_in_which_there_was_a_daemon_are_counted_also_those_left_out() {
    let config = configuration(&["a", "b", "c"]);
    let counted = |shows_all, log: &str| {
        let (mut replay, mut shown) = (Replay::new(&config, shows_all), 0);
        for line in log.lines() {
            replay
                .take(line.as_bytes(), &mut |_| shown += 1)
                .expect(line);
        }
        replay.finish(&mut |_| shown += 1);
        (replay.cycles(), shown)
    };
    let run = |boot: &str, begin: i64| {
        let start = event("start", begin) + &event("reset", begin).replace("suspend", "start");
        let replies = [20, 20_000, 21_000].map(|second| reply("a", begin + second));
        let silent = event("cycle", begin + 30_000) + &event("late", begin + 40_003);
        let silent = silent + &event("cycle", begin + 59_990);
        let late = event("late", begin + 60_003) + &reply("b", begin + 60_001);
        let late = silent + &late + &event("stop", begin + 90_000);
        let log = start + &replies.concat() + &late;
        log.replace("one", boot)
    };
    // It did not run for a long time; the clock of the other boot is as far as it will.
    let log = patchy() + &run("one", 200_000) + &run("two", 400_000) + &reply("c", 490_020);
    let (all, shown) = counted(true, &log);
    assert_eq!(all, shown);
    let (some, fewer) = counted(false, &log);
    assert_eq!(some, all);
    assert!(fewer < shown, "{fewer} of {shown}");
}
