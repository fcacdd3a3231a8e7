//! webntp(1) and webntpd(8) say what the command lines do.

use super::daemon::{self, DEFAULT_CONFIG};
use super::{Exit, tool};
use crate::status::rig;
use crate::sys::signals::Signal;
use crate::sys::{log, notify};
use clap::{Arg, ArgAction, Command};

const TOOL: &str = include_str!("../../packaging/man/webntp.1");
const DAEMON: &str = include_str!("../../packaging/man/webntpd.8");

/// The part of the manual that is about a command of `webntp`; without a name, what comes before them.
fn part(command: Option<&str>) -> String {
    let parts = TOOL.split("\n.Ss ").map(|part| {
        let end = part.find("\n.Sh THE REPORT").unwrap_or(part.len());
        &part[..end]
    });
    let is_about = |part: &&str| {
        let heading = part.lines().next().unwrap_or_default();
        let mut named = heading.split(", ").map(|name| name.strip_prefix("webntp "));
        command.is_none_or(|command| named.any(|name| name == Some(command)))
    };
    let mut found = parts.into_iter().filter(is_about);
    found
        .next()
        .unwrap_or_else(|| panic!("webntp(1) has no part about {command:?}"))
        .to_owned()
}

fn is_an_option(arg: &Arg) -> bool {
    !arg.is_hide_set() && !arg.is_positional()
}

/// What `part` says of the option with this head.
fn entry<'a>(part: &'a str, head: &str) -> &'a str {
    let (_, entry) = part.split_once(head).expect("the head is out of it");
    let ends = ["\n.It ", "\n.El", "\n.Ss", "\n.Sh"];
    let end = ends.iter().filter_map(|end| entry.find(end)).min();
    &entry[..end.unwrap_or(entry.len())]
}

/// Whether `text` has `word`, and not only as a part of another.
fn has_word(text: &str, word: &str) -> bool {
    let mut words = text.split(|c: char| c.is_whitespace() || ",;:()".contains(c));
    words.any(|found| found.trim_end_matches('.') == word)
}

/// Fails unless `part` has an item for each option of `command`, with its values and its default.
fn assert_tells(part: &str, command: &Command) {
    for arg in command.get_arguments().filter(|arg| is_an_option(arg)) {
        // Said once for all commands.
        if matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::Version
        ) {
            continue;
        }
        let long = arg.get_long().expect("every option has a long name");
        let heads = || part.lines().filter(|line| line.starts_with(".It Fl"));
        let head = heads().find(|head| head.split(' ').any(|word| word == format!("-{long}")));
        let name = command.get_name();
        let head = head.unwrap_or_else(|| panic!("{name}: --{long} has no entry"));
        let entry = entry(part, head);
        if let Some(short) = arg.get_short() {
            assert!(
                head.starts_with(&format!(".It Fl {short} ,")),
                "{name}: -{short} is missing in {head:?}"
            );
        }
        let takes_a_value = arg.get_action().takes_values();
        assert_eq!(head.contains(" Ar "), takes_a_value, "{name}: {head}");
        for value in arg.get_possible_values().iter().filter(|_| takes_a_value) {
            assert!(
                has_word(entry, value.get_name()),
                "{name} --{long}: {:?} is missing",
                value.get_name()
            );
        }
        for value in arg.get_default_values().iter().filter(|_| takes_a_value) {
            let value = value.to_str().expect("a plain word");
            assert!(
                has_word(entry, value),
                "{name} --{long}: its default {value:?} is missing"
            );
        }
    }
}

#[test]
fn every_option_of_the_tool_stands_in_its_manual() {
    let mut tool = tool::command();
    tool.build();
    assert_tells(&part(None), &tool);
    for command in tool.get_subcommands() {
        let name = command.get_name();
        assert!(
            TOOL.contains(&format!("\n.Nm\n.Cm {name}\n")),
            "{name} is missing in the synopsis"
        );
        if name != "help" {
            assert_tells(&part(Some(name)), command);
        }
    }
}

#[test]
fn options_that_exclude_each_other_stand_so_in_the_synopsis() {
    let mut tool = tool::command();
    tool.build();
    let (synopsis, _) = TOOL.split_once("\n.Sh DESCRIPTION").expect("it is there");
    for command in tool.get_subcommands() {
        let name = command.get_name();
        let head = format!("\n.Nm\n.Cm {name}\n");
        let (_, lines) = synopsis.split_once(&head).expect("every command has one");
        let lines = lines.split("\n.Nm").next().unwrap_or_default();
        let options = command.get_arguments().filter(|arg| is_an_option(arg));
        for arg in options {
            for other in command.get_arg_conflicts_with(arg) {
                // The others of a pair stand in the same line.
                let flags = [arg, other].map(|arg| arg.get_long().map(|long| format!("-{long}")));
                let [Some(one), Some(other)] = flags else {
                    continue;
                };
                let is_shown = lines.lines().any(|line| {
                    line.contains(" | ") && has_word(line, &one) && has_word(line, &other)
                });
                assert!(is_shown, "{name}: {one} or {other}");
            }
        }
    }
}

#[test]
fn every_option_of_the_daemon_stands_in_its_manual() {
    let mut command = daemon::command();
    command.build();
    assert_tells(DAEMON, &command);
}

#[test]
fn every_member_of_the_report_stands_in_the_manual() {
    let status = rig::status();
    let report = crate::status::report::Report::new(&status, status.clock.raw);
    let json = serde_json::to_value(report).expect("plain data");
    let (_, section) = TOOL.split_once("\n.Sh THE REPORT").expect("it is there");
    let told: Vec<&str> = section
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let mut left = vec![&json];
    while let Some(value) = left.pop() {
        match value {
            serde_json::Value::Array(items) => left.extend(items),
            serde_json::Value::Object(members) => {
                for (name, value) in members {
                    assert!(told.contains(&name.as_str()), "{name} is missing");
                    left.push(value);
                }
            }
            _ => {}
        }
    }
}

/// Whether `manual` has an item with this word in its head.
fn has_item(manual: &str, word: &str) -> bool {
    let mut heads = manual.lines().filter_map(|line| line.strip_prefix(".It "));
    heads.any(|head| has_word(head, word))
}

#[test]
fn every_exit_code_stands_in_the_manuals_and_no_other() {
    let stops = Signal::ENDING.map(|signal| signal.exit_code().to_string());
    let numbers = |exits: &[Exit]| exits.iter().map(|exit| exit.number().to_string()).collect();
    let tool: Vec<String> = numbers(&Exit::OF_TOOL);
    let daemon: Vec<String> = numbers(&Exit::OF_DAEMON);
    let daemon = [daemon, stops.to_vec()].concat();
    for (manual, codes) in [(TOOL, tool), (DAEMON, daemon)] {
        let (_, section) = manual
            .split_once("\n.Sh EXIT STATUS\n")
            .expect("it is there");
        let section = section.split("\n.Sh ").next().unwrap_or_default();
        let heads = section.lines().filter_map(|line| line.strip_prefix(".It "));
        let told: Vec<&str> = heads.flat_map(|head| head.split(" , ")).collect();
        assert_eq!(told, codes);
    }
}

#[test]
fn every_signal_variable_and_file_stands_in_the_manual_of_the_daemon() {
    let default = crate::config::parse("", "f").expect("an empty file is good");
    let control = default.control.expect("there is one by default").path;
    let state = default.state.directory.expect("there is one by default");
    let files = [control.to_str(), state.to_str(), Some(DEFAULT_CONFIG)];
    let files = files.map(|file| file.expect("a plain name").to_owned());
    let mut words = files.to_vec();
    words.extend(Signal::ALL.iter().map(ToString::to_string));
    words.extend(notify::VARIABLES.map(str::to_owned));
    words.push(log::VARIABLE.to_owned());
    for word in words {
        assert!(has_item(DAEMON, &word), "webntpd(8): {word}");
    }
    for file in [&files[0], &files[2]] {
        assert!(has_item(TOOL, file), "webntp(1): {file}");
    }
}
