//! What is packaged besides the Debian package: the completions, as bash takes them; the Dockerfile, as far as it can be held to the
//! truth without Docker: what it copies is there, what it starts is understood.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::host::process::{Process, output};

const DOCKERFILE: &str = include_str!("../../packaging/Dockerfile");
const IGNORED: &str = include_str!("../../.dockerignore");
const LIMIT: Duration = Duration::from_secs(30);

/// The arguments of all instructions of this name.
fn instructions(name: &str) -> Vec<&'static str> {
    DOCKERFILE
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .collect()
}

/// The words of a JSON list of plain strings.
fn words(list: &str) -> Vec<&str> {
    let inner = list.trim_start_matches('[').trim_end_matches(']');
    inner
        .split(", ")
        .map(|word| word.trim_matches('"'))
        .collect()
}

#[test]
fn all_that_the_images_are_built_from_is_there_and_is_sent_to_docker() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copied: Vec<&str> = instructions("COPY")
        .into_iter()
        .filter(|line| !line.starts_with("--from=build"))
        .flat_map(|line| {
            line.rsplit_once(' ')
                .expect("it has a place to go")
                .0
                .split(' ')
        })
        .collect();
    assert!(copied.contains(&"Cargo.lock"), "{copied:?}");
    for path in copied {
        assert!(root.join(path).exists(), "{path}");
        let top = path.split('/').next().expect("split gives something");
        assert!(
            IGNORED.lines().any(|line| line == format!("!{top}")),
            "{path} is ignored"
        );
    }
    let built: Vec<&str> = instructions("COPY --from=build").into_iter().collect();
    assert_eq!(
        built,
        [
            "/source/target/release/webntpd /usr/bin/",
            "/source/target/release/webntp /usr/bin/"
        ]
    );
}

#[test]
fn the_server_is_the_last_stage_and_its_command_line_serves() {
    let stages = instructions("FROM");
    assert!(
        stages
            .last()
            .is_some_and(|stage| stage.ends_with(" AS server")),
        "{stages:?}"
    );
    assert_eq!(
        instructions("ENTRYPOINT"),
        [r#"["/usr/bin/webntpd"]"#, r#"["/usr/bin/webntp"]"#]
    );
    let command = words(instructions("CMD").last().expect("the server has one"));
    let port = format!(":{}", instructions("EXPOSE").concat());
    assert!(command.contains(&port.as_str()), "{command:?}");
    // The same on a port that is surely free.
    let arguments = command
        .iter()
        .map(|word| word.replace(&port, "127.0.0.1:0"));
    let mut server = Process::start(Command::new(env!("CARGO_BIN_EXE_webntp")).args(arguments));
    server.wait_line("127.0.0.1:", LIMIT);
    server.assert_running();
}

#[test]
fn a_shell_that_has_read_the_completions_completes_commands_and_options() {
    for (program, typed, found) in [
        ("webntp", "ser", "serve"),
        ("webntp", "--sam", "--samples"),
        ("webntpd", "--che", "--check"),
    ] {
        let tool = env!("CARGO_BIN_EXE_webntp");
        let script = format!(
            r#"eval "$({tool} completions --for {program} bash)"
            COMP_WORDS=({program} {typed}) COMP_CWORD=1 COMP_LINE='{program} {typed}'
            "$(complete -p {program} | sed 's/.*-F \([^ ]*\) .*/\1/')" {program} {typed} {program}
            printf '%s\n' "${{COMPREPLY[@]}}""#
        );
        let said = output(Command::new("bash").args(["-c", &script]), LIMIT);
        assert_eq!(said, Ok(format!("{found}\n")), "{program} {typed}");
        for shell in ["zsh", "fish"] {
            let mut command = Command::new(tool);
            command.args(["completions", "--for", program, shell]);
            let script = output(&mut command, LIMIT).expect("it is printed");
            assert!(script.contains(program) && script.contains(found.trim_start_matches('-')));
        }
    }
}
