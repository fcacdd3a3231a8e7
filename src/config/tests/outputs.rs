//! Where samples go: what may stand there, and what a person is told.

use super::*;

#[test]
fn samples_go_to_shm_2_unless_the_file_says_more_or_less() {
    for (text, outputs) in [
        ("", "SHM(2)"),
        ("[shm]\nenable = true\nunit = 0", "SHM(0)"),
        ("[[sock]]\npath = '/run/a'", "SHM(2) SOCK(/run/a)"),
        (
            "[shm]\nunit = 3\nenable = false\n[[sock]]\npath = '/run/a'\n[[sock]]\npath = '/run/b'",
            "SOCK(/run/a) SOCK(/run/b)",
        ),
    ] {
        let config = parse(text, "f").expect(text);
        let names: Vec<_> = config.outputs().iter().map(ToString::to_string).collect();
        assert_eq!(names.join(" "), outputs, "{text}");
    }
}

#[test]
fn nothing_to_publish_to_is_a_problem() {
    assert_eq!(
        problems("[shm]\nenable = false"),
        ["2: shm: enable = false leaves nothing to publish to; add a [[sock]] or enable shm"]
    );
    // The socket may stand on the line that cannot be read, and one that is wrong is reported as such.
    for text in [
        "[shm]\nenable = false\n[[sock\npath = '/a'",
        "[shm]\nenable = false\n[[sock]]",
    ] {
        let problems = problems(text);
        assert!(
            problems.iter().all(|problem| !problem.contains("publish")),
            "{problems:?}"
        );
    }
}

#[test]
fn a_path_that_no_socket_can_have_is_refused_with_its_line_and_a_remedy() {
    let long = format!("/{}", "ä".repeat(54));
    for (path, expected) in [
        (
            "''",
            "2: sock 1: path \"\" is not an absolute path; begin it with /".to_owned(),
        ),
        (
            "'run/a'",
            "2: sock 1: path \"run/a\" is not an absolute path; begin it with /".to_owned(),
        ),
        (
            "'/run/a/'",
            "2: sock 1: path \"/run/a/\" is a directory; name the socket in it".to_owned(),
        ),
        (
            "\"/run/a\\u0000\"",
            "2: sock 1: path \"/run/a\\0\" has a character that is not visible; write it without".to_owned(),
        ),
        (
            &format!("'{long}'"),
            "2: sock 1: path has 109 bytes, a socket's has at most 107; \
             use a shorter one, here and in the other daemon's configuration".to_owned(),
        ),
        (
            "7",
            "2: sock 1: path is an integer, not a string; write path = \"/run/chrony.webntpd.sock\"".to_owned(),
        ),
    ] {
        assert_eq!(problems(&format!("[[sock]]\npath = {path}")), [expected]);
    }
    let longest = format!("[[sock]]\npath = '/{}'", "a".repeat(106));
    assert_eq!(problems(&longest), [""; 0]);
}

#[test]
fn a_sock_without_a_path_is_refused() {
    assert_eq!(
        problems("[[sock]]\nunit = 2"),
        [
            "1: sock 1: path is missing; add path = \"/run/chrony.webntpd.sock\"",
            "2: sock 1: unknown key \"unit\"; move it to [shm]",
        ]
    );
    assert_eq!(
        problems("[sock]\npath = '/a'"),
        ["1: sock is a table, not an array of tables; write [[sock]]"]
    );
}

#[test]
fn two_socks_at_one_path_are_refused_however_it_is_written() {
    assert_eq!(
        problems(
            "[[sock]]\npath = '/run/a'\n[[sock]]\npath = '/run/b'\n[[sock]]\npath = '//run/./a'"
        ),
        ["6: sock 3: path is that of the sock on line 2 already; remove one of the two"]
    );
    assert_eq!(
        problems("sock = [{ path = '/a' }, { path = '/a' }]"),
        ["1: sock 2: path is that of the sock on line 1 already; remove one of the two"]
    );
}

#[test]
fn there_are_at_most_eight_socks() {
    let socks = |count| -> String {
        (0..count)
            .map(|k| format!("[[sock]]\npath = '/run/{k}'\n"))
            .collect()
    };
    assert_eq!(problems(&socks(8)), [""; 0]);
    assert_eq!(
        problems(&socks(9)),
        ["17: sock 9: there may be at most 8; remove those that nobody reads"]
    );
}
