//! The paths that a Rust source names: `crate::`, `super::`, `self::`, other crates, groups of `use`.
//!
//! In: a source and the module it is. Out: each path from the root of the crate, with its line. A small
//! tokenizer, no parser: comments and strings are left out, macros that make paths out of pieces go
//! unseen.

/// A path in the code: from `crate`, or from whatever its first name is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) line: usize,
    pub(super) path: Vec<String>,
    /// It stands in a module called `tests`.
    pub(super) tests: bool,
}

/// Every path of a file whose module is `module`, with `super` and `self` resolved.
pub(super) fn imports(source: &str, module: &[String]) -> Vec<Import> {
    let tokens = tokens(source);
    let text = |at: usize| {
        tokens
            .get(at)
            .map_or("", |token: &Token| token.text.as_str())
    };
    let mut found = Vec::new();
    // Modules inside the file, each with the number of braces that are open around its content.
    let mut inner: Vec<(String, usize)> = Vec::new();
    let mut braces = 0;
    let mut at = 0;
    while at < tokens.len() {
        match text(at) {
            "mod" if text(at + 2) == "{" => {
                braces += 1;
                inner.push((text(at + 1).to_owned(), braces));
                at += 3;
            }
            "{" => {
                braces += 1;
                at += 1;
            }
            "}" => {
                inner.pop_if(|(_, depth)| *depth == braces);
                braces = braces.saturating_sub(1);
                at += 1;
            }
            first
                if is_name(first)
                    && (text(at + 1) == "::" || text(at.wrapping_sub(1)) == "use") =>
            {
                let inner = inner.iter().map(|(name, _)| name);
                let here: Vec<String> = module.iter().chain(inner).cloned().collect();
                let tests = here.iter().any(|name| name == "tests");
                let mut paths = Vec::new();
                at = tree(&tokens, at, &[], &mut paths);
                found.extend(paths.into_iter().map(|(line, path)| Import {
                    line,
                    path: resolved(&path, &here),
                    tests,
                }));
            }
            _ => at += 1,
        }
    }
    found
}

/// Reads one path, or tree of paths, that begins at token `at`; gives the token after it.
fn tree(
    tokens: &[Token],
    mut at: usize,
    before: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut path = before.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.line);
    if text(at) == "::" {
        at += 1;
    }
    loop {
        match text(at) {
            "{" => {
                at += 1;
                while !["}", ""].contains(&text(at)) {
                    at = tree(tokens, at, &path, found);
                    if text(at) == "as" {
                        at += 2;
                    }
                    if text(at) == "," {
                        at += 1;
                    } else if text(at) != "}" {
                        // Not the tree of a `use`: no path of Rust goes on like this.
                        return at.max(1);
                    }
                }
                return at + 1;
            }
            name if is_name(name) || name == "*" => {
                path.push(name.to_owned());
                at += 1;
            }
            // Generic arguments (`Vec::<u8>::new`): what stands in them is read as paths of its own.
            _ => break,
        }
        if text(at) != "::" {
            break;
        }
        at += 1;
    }
    found.push((line, path));
    at
}

fn resolved(path: &[String], here: &[String]) -> Vec<String> {
    let mut base = match path[0].as_str() {
        "crate" | "webntpd" => Vec::new(),
        "self" | "super" => here.to_vec(),
        _ => return path.to_vec(),
    };
    for name in path {
        match name.as_str() {
            "crate" | "webntpd" | "self" => {}
            "super" => {
                base.pop();
            }
            _ => base.push(name.clone()),
        }
    }
    base.insert(0, "crate".to_owned());
    base
}

#[derive(Debug)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) text: String,
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single signs; comments, strings, characters, lifetimes and numbers are left out.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = literal(rest) {
            length
        } else {
            let name = |c: char| c.is_alphanumeric() || c == '_';
            let length = if rest.starts_with("::") {
                2
            } else if name(first) {
                rest.find(|c| !name(c)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() && !first.is_ascii_digit() {
                let line = 1 + source[..source.len() - rest.len()].matches('\n').count();
                let text = rest[..length].to_owned();
                tokens.push(Token { line, text });
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}

/// Length of a comment that may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Length of the string, character or lifetime at the beginning of `text`, if there is one.
fn literal(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        text.starts_with(prefix) && text[prefix.len()..].starts_with(['"', '#', '\''])
    })?;
    let after = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = after.len() - after.trim_start_matches('#').len();
        let body = after[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = body.find(&end).map_or(body.len(), |at| at + end.len());
        return Some(prefix.len() + hashes + 1 + length);
    }
    let quote = after.chars().next().filter(|&c| c == '"' || c == '\'')?;
    let mut inside = after[1..].char_indices();
    // 'a is a lifetime, 'a' a character.
    if quote == '\'' && !after[1..].starts_with('\\') && after[1..].chars().nth(1) != Some('\'') {
        return Some(prefix.len() + 1);
    }
    while let Some((at, c)) = inside.next() {
        if c == '\\' {
            inside.next();
        } else if c == quote {
            return Some(prefix.len() + 1 + at + 1);
        }
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::module_of;

    fn found(file: &str, source: &str) -> Vec<String> {
        let paths = imports(source, &module_of(file)).into_iter();
        paths.map(|import| import.path.join("::")).collect()
    }

    #[test]
    fn groups_are_taken_apart() {
        assert_eq!(
            found(
                "src/net/mod.rs",
                "use crate::{a::b, c::{self, D as E, *}, f};\nuse std::fmt;"
            ),
            [
                "crate::a::b",
                "crate::c",
                "crate::c::D",
                "crate::c::*",
                "crate::f",
                "std::fmt"
            ]
        );
    }

    #[test]
    fn super_is_followed_through_files_and_modules_within() {
        assert_eq!(
            found("src/net/tls.rs", "use super::x::Y;"),
            ["crate::net::x::Y"]
        );
        assert_eq!(found("src/net/mod.rs", "use super::sys;"), ["crate::sys"]);
        assert_eq!(
            found(
                "src/net/tls.rs",
                "mod tests { use super::*; mod more { use super::super::super::dns; } } use super::after;"
            ),
            ["crate::net::tls::*", "crate::net::dns", "crate::net::after"]
        );
        assert_eq!(
            found("src/net/tls.rs", "use self::a; fn f() { self::b(); }"),
            ["crate::net::tls::a", "crate::net::tls::b"]
        );
    }

    #[test]
    fn paths_in_code_count_as_well() {
        let code = "fn f(x: &crate::a::B) -> Vec<super::C> { if x == crate::d::E { ::g::h(); i::<crate::j::K>::l() } }";
        assert_eq!(
            found("src/net/mod.rs", code),
            [
                "crate::a::B",
                "crate::C",
                "crate::d::E",
                "g::h",
                "i",
                "crate::j::K"
            ]
        );
        assert_eq!(
            found(
                "src/net/mod.rs",
                "use crate::a::b; #[tokio::test] fn f() { m::n!(crate::o::P) }"
            )
            .len(),
            4
        );
    }

    #[test]
    fn comments_and_strings_do_not_count() {
        let code = r####"
            //! crate::a
            /// [crate::b]
            /* crate::c /* nested */ crate::d */
            const S: (&str, char, &[u8]) = ("crate::e \" crate::f", '"', b"crate::g");
            const R: &str = r#"crate::h " crate::i"#; const C: char = '\''; const Q: char = '"';
            fn f<'a>(x: &'a crate::found::J) { "crate::k" }
        "####;
        assert_eq!(found("src/net/mod.rs", code), ["crate::found::J"]);
    }
}
