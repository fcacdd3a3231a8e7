//! go-webntp's command line, put into the usual form.
//!
//! In: arguments as Go's `flag` package takes them (`-serve :8080`, `-serve=:8080`, `--serve :8080`, `-p=1`,
//! `-allow-cross-origin=false`). Out: the same for clap, in which serving is a command of its own:
//! `serve :8080`. What is of no concern to go-webntp stays as it is; nothing is refused here.

use std::ffi::{OsStr, OsString};

/// The option that became a command.
const SERVE: &str = "serve";

/// Options that take a value: their name there and here.
const VALUED: [(&str, &str); 4] = [
    ("p", "samples"),
    ("shm", "shm"),
    ("leap-second-path", "leap-second-path"),
    ("leap-second-url", "leap-second-url"),
];

/// Options that are there or not.
const FLAGS: [&str; 3] = ["allow-cross-origin", "help", "version"];

/// Rewrites a whole command line, the program's name included.
pub(super) fn usual(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut usual: Vec<OsString> = arguments.next().into_iter().collect();
    let commands_at = usual.len();
    let mut command = Vec::new();
    while let Some(argument) = arguments.next() {
        let Some(option) = Flag::read(&argument) else {
            usual.push(argument);
            continue;
        };
        if option.name.is_empty() {
            // `--`: what follows is no option, whatever it looks like.
            usual.push(argument);
            usual.extend(arguments);
            break;
        }
        if option.name == SERVE {
            command = vec![SERVE.into()];
            command.extend(option.value.map(Into::into).or_else(|| arguments.next()));
        } else if let Some((_, name)) = VALUED.iter().find(|(name, _)| *name == option.name) {
            // In one piece: Go takes for the value whatever comes next, even if it looks like an option.
            let mut whole = OsString::from(format!("--{name}"));
            if let Some(value) = option.value.map(Into::into).or_else(|| arguments.next()) {
                whole.push("=");
                whole.push(value);
            }
            usual.push(whole);
        } else if let Some(name) = FLAGS.iter().find(|name| **name == option.name) {
            match option.value.map(truth) {
                None | Some(Some(true)) => usual.push(format!("--{name}").into()),
                Some(Some(false)) => {}
                Some(None) => usual.push(argument),
            }
        } else {
            usual.push(argument);
        }
    }
    usual.splice(commands_at..commands_at, command);
    usual
}

/// One argument that begins as an option does.
struct Flag<'a> {
    /// Without hyphens; empty for `--` itself.
    name: &'a str,
    /// What stands behind `=`.
    value: Option<&'a str>,
}

impl<'a> Flag<'a> {
    fn read(argument: &'a OsStr) -> Option<Self> {
        let text = argument.to_str()?.strip_prefix('-')?;
        let text = match text.strip_prefix('-') {
            Some(text) => text,
            // Standard input, by custom.
            None if text.is_empty() => return None,
            None => text,
        };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        Some(Self { name, value })
    }
}

/// What Go's `strconv.ParseBool` takes for true and for false.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rewritten(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        let usual: Vec<String> = usual(words)
            .into_iter()
            .map(|word| word.into_string().expect("text"))
            .collect();
        usual.join(" ")
    }

    #[test]
    fn the_lines_of_the_references_readme_are_understood() {
        for (line, usual) in [
            ("webntp http://a/ ws://b/", "webntp http://a/ ws://b/"),
            ("webntp -p 4 http://a/", "webntp --samples=4 http://a/"),
            (
                "webntp -p 1 -shm 2 http://a/ http://b/",
                "webntp --samples=1 --shm=2 http://a/ http://b/",
            ),
            ("webntp -serve :8080", "webntp serve :8080"),
            (
                "webntp -serve :8080 -allow-cross-origin -leap-second-path F -leap-second-url http://u/",
                "webntp serve :8080 --allow-cross-origin --leap-second-path=F --leap-second-url=http://u/",
            ),
            ("webntp -version", "webntp --version"),
            ("webntp -help", "webntp --help"),
        ] {
            assert_eq!(rewritten(line), usual);
        }
    }

    #[test]
    fn one_hyphen_or_two_and_an_equals_sign_or_none_are_the_same() {
        for line in [
            "webntp -serve :8080 -leap-second-path F",
            "webntp --serve :8080 --leap-second-path F",
            "webntp -serve=:8080 -leap-second-path=F",
            "webntp --serve=:8080 --leap-second-path=F",
            "webntp -leap-second-path F -serve :8080",
        ] {
            assert_eq!(rewritten(line), "webntp serve :8080 --leap-second-path=F");
        }
        for line in ["webntp -p=4 x", "webntp --p 4 x", "webntp --p=4 x"] {
            assert_eq!(rewritten(line), "webntp --samples=4 x");
        }
    }

    #[test]
    fn a_flag_may_say_whether_it_is_meant() {
        for (line, usual) in [
            (
                "webntp -allow-cross-origin=true",
                "webntp --allow-cross-origin",
            ),
            (
                "webntp -allow-cross-origin=T",
                "webntp --allow-cross-origin",
            ),
            ("webntp --allow-cross-origin=0", "webntp"),
            (
                "webntp -allow-cross-origin=perhaps",
                "webntp -allow-cross-origin=perhaps",
            ),
        ] {
            assert_eq!(rewritten(line), usual);
        }
    }

    #[test]
    fn a_value_is_never_taken_for_an_option() {
        assert_eq!(
            rewritten("webntp -leap-second-path -help -p -1 x"),
            "webntp --leap-second-path=-help --samples=-1 x"
        );
        assert_eq!(rewritten("webntp -p"), "webntp --samples");
        assert_eq!(rewritten("webntp -serve"), "webntp serve");
    }

    #[test]
    fn all_else_stays_as_it_is() {
        for line in [
            "webntp",
            "webntp serve :8080 --offset -1 --log-level off",
            "webntp serve --help",
            "webntp sources -v --watch 5 --socket /run/s",
            "webntp tracking --json --watch",
            "webntp waitsync --max-offset 100ms --timeout=60s",
            "webntp -h",
            "webntp -V",
            "webntp -p4 http://a/",
            "webntp -shmoo -",
            "webntp http://a/?-p -- -serve -p --help",
        ] {
            assert_eq!(rewritten(line), line);
        }
    }

    proptest! {
        #[test]
        fn no_arguments_panic(words in prop::collection::vec("(--?)?(serve|p|shm|help|x)?(=)?[a-z-]{0,3}", 0..6)) {
            let count = words.len();
            let usual = usual(words.into_iter().map(OsString::from));
            prop_assert!(usual.len() <= count + 1);
        }
    }
}
