//! What is packaged besides the Debian package: the completions, as bash takes them; the Dockerfile, as far as it can be held to the
//! truth without Docker: what it copies is there, what it starts is understood.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::host::process::{Process, output};
use crate::notices;

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
        let mut above = Path::new(path).ancestors();
        let is_sent = above.any(|path| {
            let line = format!("!{}", path.display());
            IGNORED.lines().any(|sent| sent == line)
        });
        assert!(is_sent, "{path} is ignored");
    }
    let built: Vec<&str> = instructions("COPY --from=build").into_iter().collect();
    assert_eq!(
        built,
        [
            "/source/third-party-notices /usr/share/doc/webntpd/",
            "/source/target/release/webntpd /source/target/release/webntp /usr/bin/",
            "/source/target/release/webntp /usr/bin/"
        ]
    );
}

#[test]
fn what_is_copied_before_the_build_is_enough_for_cargo_and_for_the_notices() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bare = std::env::temp_dir().join(format!("webntpd-image-{}", std::process::id()));
    fs::create_dir(&bare).expect("it is new");
    let build = DOCKERFILE.split("\nFROM ").nth(1).expect("it has stages");
    let copies = build.lines().filter_map(|line| line.strip_prefix("COPY "));
    for line in copies {
        let (from, to) = line.rsplit_once(' ').expect("it has a place to go");
        let to = bare.join(to);
        fs::create_dir_all(to.parent().expect("it is below ours")).expect("it is ours");
        let mut copy = Command::new("cp");
        copy.arg("-r")
            .args(from.split(' ').map(|path| root.join(path)));
        assert_eq!(output(copy.arg(to), LIMIT), Ok(String::new()));
    }
    let mut metadata = Command::new(env!("CARGO"));
    metadata
        .args(["metadata", "--locked", "--offline", "--no-deps"])
        .args(["--format-version", "1"])
        .current_dir(&bare);
    let said = output(&mut metadata, LIMIT).expect("cargo takes the manifest");
    for program in ["webntp", "webntpd"] {
        let target = format!(r#""kind":["bin"],"crate_types":["bin"],"name":"{program}""#);
        assert!(said.contains(&target), "{program} is not built: {said}");
    }
    assert_eq!(notices::of(&bare), notices::of(root));
    fs::remove_dir_all(&bare).expect("it is ours");
}

#[test]
fn the_daemon_s_image_has_the_tool_and_a_place_for_the_socket_that_it_asks() {
    assert!(DOCKERFILE.contains("install -d -o 65532 -g 65532 /run/webntpd\n"));
    assert!(DOCKERFILE.contains(" --read-only --tmpfs /run/webntpd:uid=65532,"));
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
