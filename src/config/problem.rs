//! What is wrong with a configuration file, said so that its writer can put it right.
//!
//! In: byte offsets into the text, and words. Out: [`Problems`], in the order of the file, one line
//! each. It judges nothing itself.

use std::collections::BTreeSet;
use std::fmt;

/// One thing wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line it stands on, counted from 1; none when the file as a whole is meant.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// How many problems are written out: more than that, and it is not a configuration file at all.
const SHOWN: usize = 50;

/// Everything that is wrong with one file, in the order of its lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    /// The problems one by one, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// The one problem of a file that could not even be read as a text.
    pub(super) fn single(file: &str, line: Option<usize>, what: String, remedy: &str) -> Self {
        Self {
            file: file.to_owned(),
            list: vec![Problem {
                line,
                what,
                remedy: remedy.to_owned(),
            }],
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().take(SHOWN).enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.file)?;
            if let Some(line) = problem.line {
                write!(f, "{line}:")?;
            }
            write!(f, " {}; {}", problem.what, problem.remedy)?;
        }
        match self.list.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(
                f,
                "\n{}: {more} more problems; is this the right file?",
                self.file
            ),
        }
    }
}

impl std::error::Error for Problems {}

/// What is wrong with one value and what to do, before it is known which value of which file it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// Collects the problems of one text while it is read.
#[derive(Debug)]
pub(super) struct Report {
    /// The offset at which each line but the first begins.
    line_starts: Vec<usize>,
    /// Lines on which the syntax is broken. What the parser made of them is guesswork.
    broken_lines: BTreeSet<usize>,
    /// Where the structure of the file is lost: what the parser made of the rest is guesswork too.
    lost_from: Option<usize>,
    found: Vec<(usize, Problem)>,
}

impl Report {
    pub(super) fn new(text: &str) -> Self {
        Self {
            line_starts: text.match_indices('\n').map(|(at, _)| at + 1).collect(),
            broken_lines: BTreeSet::new(),
            lost_from: None,
            found: Vec::new(),
        }
    }

    /// The line, from 1, that holds the byte at `offset`.
    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.line_starts.partition_point(|&start| start <= offset)
    }

    /// A line that is not TOML. Only the first fault of a line is kept: the others follow from it.
    /// Syntax faults must come in the order of the file, before all others.
    pub(super) fn add_syntax(&mut self, offset: usize, structural: bool, fault: Fault) {
        let line = self.line(offset);
        if self.lost_from.is_some() || self.broken_lines.contains(&line) {
            return;
        }
        self.push(offset, fault);
        self.broken_lines.insert(line);
        if structural {
            self.lost_from = Some(offset);
        }
    }

    /// Something wrong at `offset`, unless the syntax there is broken anyhow.
    pub(super) fn add(&mut self, offset: usize, fault: Fault) {
        let lost = self.lost_from.is_some_and(|from| offset >= from);
        if !lost && !self.broken_lines.contains(&self.line(offset)) {
            self.push(offset, fault);
        }
    }

    /// Something that should stand in the table that begins at `offset`, and does not. Kept only when
    /// every line could be read, else it may well stand on a broken one.
    pub(super) fn add_missing(&mut self, offset: usize, fault: Fault) {
        if self.broken_lines.is_empty() {
            self.push(offset, fault);
        }
    }

    /// `value` when nothing was wrong, else all that was.
    pub(super) fn conclude<T>(mut self, file: &str, value: T) -> Result<T, Problems> {
        if self.found.is_empty() {
            return Ok(value);
        }
        self.found.sort_by_key(|&(offset, _)| offset);
        Err(Problems {
            file: file.to_owned(),
            list: self.found.into_iter().map(|(_, problem)| problem).collect(),
        })
    }

    fn push(&mut self, offset: usize, fault: Fault) {
        let problem = Problem {
            line: Some(self.line(offset)),
            what: fault.what,
            remedy: fault.remedy,
        };
        self.found.push((offset, problem));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(what: &str) -> Fault {
        Fault::new(what, "mend it")
    }

    #[test]
    fn problems_come_in_the_order_of_the_file_one_a_line() {
        let mut report = Report::new("a\nb\nc");
        report.add(4, fault("third"));
        report.add(0, fault("first"));
        let problems = report.conclude("f.toml", ()).expect_err("two problems");
        assert_eq!(
            problems.to_string(),
            "f.toml:1: first; mend it\nf.toml:3: third; mend it"
        );
    }

    #[test]
    fn a_file_that_is_something_else_does_not_flood_the_screen() {
        for (count, shown, last) in [
            (50, 50, "f:50: wrong; mend it"),
            (1_000, 51, "f: 950 more problems; is this the right file?"),
        ] {
            let mut report = Report::new(&"\n".repeat(count));
            (0..count).for_each(|offset| report.add(offset, fault("wrong")));
            let problems = report.conclude("f", ()).expect_err("many problems");
            assert_eq!(problems.iter().count(), count);
            let text = problems.to_string();
            assert_eq!(
                (text.lines().count(), text.lines().last()),
                (shown, Some(last))
            );
        }
    }

    #[test]
    fn a_broken_line_has_one_problem_and_hides_what_may_follow_from_it() {
        let mut report = Report::new("a\nb\nc");
        report.add_syntax(2, false, fault("broken"));
        report.add_syntax(3, false, fault("broken again"));
        report.add(2, fault("odd value"));
        report.add_missing(0, fault("no b"));
        report.add(4, fault("other"));
        let problems = report.conclude("f", ()).expect_err("two problems");
        let what: Vec<_> = problems.iter().map(|problem| &*problem.what).collect();
        assert_eq!(what, ["broken", "other"]);
    }

    #[test]
    fn nothing_after_a_lost_structure_is_judged() {
        let mut report = Report::new("a\nb\nc");
        report.add_syntax(2, true, fault("lost"));
        report.add_syntax(4, false, fault("noise"));
        report.add(4, fault("noise"));
        report.add(0, fault("before"));
        let problems = report.conclude("f", ()).expect_err("two problems");
        let what: Vec<_> = problems.iter().map(|problem| &*problem.what).collect();
        assert_eq!(what, ["before", "lost"]);
    }
}
