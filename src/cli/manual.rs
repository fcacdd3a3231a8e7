//! webntp(1) and webntpd(8) say what the command lines do.

use super::{daemon, tool};
use crate::status::rig;
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
                part.contains(value.get_name()),
                "{name} --{long}: {:?} is missing",
                value.get_name()
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

#[test]
fn exit_codes_signals_and_files_stand_in_the_manuals() {
    let items = [
        ".It 0\n",
        ".It 1\n",
        ".It 2\n",
        ".It 78\n",
        ".It 130 , 143\n",
    ];
    for item in items {
        assert!(DAEMON.contains(item), "webntpd(8): {item:?}");
    }
    for item in &items[..3] {
        assert!(TOOL.contains(item), "webntp(1): {item:?}");
    }
    for signal in ["SIGHUP", "SIGTERM", "SIGINT"] {
        assert!(DAEMON.contains(signal), "webntpd(8): {signal}");
    }
    let default = crate::config::parse("", "f").expect("an empty file is good");
    let control = default.control.expect("there is one by default").path;
    let state = default.state.directory.expect("there is one by default");
    for file in [control.to_str(), state.to_str(), Some("/etc/webntpd.toml")] {
        let file = file.expect("a plain name");
        assert!(
            DAEMON.contains(&format!(".It Pa {file}")),
            "webntpd(8): {file}"
        );
    }
}
