//! Policy files as they come, and what is wrong with them.

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

/// One file of policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySource {
    /// The file's name, without folders (`default.cedar`).
    pub name: String,
    /// What it holds.
    pub text: String,
}

impl PolicySource {
    /// The most bytes of one file.
    pub const TEXT_BYTES_MAX: usize = 4 << 20;
    /// The most bytes of a file's name.
    pub const NAME_BYTES_MAX: usize = 100;

    /// Returns the policies that Killick ships.
    #[must_use]
    pub fn shipped() -> Self {
        Self {
            name: "default.cedar".into(),
            text: include_str!("../../../policies/default.cedar").into(),
        }
    }
}

/// What is wrong with a policy file. Nothing is loaded while there is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyProblem {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when the problem is the file as a whole.
    pub line: usize,
    /// The character in the line, from 1; 0 when the problem is the file as a whole.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it, when that is known.
    pub help: Option<String>,
}

impl PolicyProblem {
    /// Returns a problem at a byte of the file's text.
    pub(crate) fn at(source: &PolicySource, offset: usize, message: impl Into<String>) -> Self {
        let before = source.text.get(..offset).unwrap_or(&source.text);
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        Self {
            file: source.name.clone(),
            line: before.matches('\n').count().saturating_add(1),
            column: before
                .get(line_start..)
                .map_or(0, |line| line.chars().count())
                .saturating_add(1),
            message: message.into(),
            help: None,
        }
    }

    /// Returns a problem of the file as a whole.
    pub(crate) fn of_file(name: &str, message: impl Into<String>) -> Self {
        Self { file: name.to_owned(), line: 0, column: 0, message: message.into(), help: None }
    }

    /// Returns the problem with a way to mend it.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// Returns the digest over all policy texts and the schema they are read with, in hex. The order in
/// which the files come does not matter, as it does not matter for an answer.
pub(crate) fn version_of(sources: &[PolicySource], schema: &str) -> String {
    let mut sorted: Vec<&PolicySource> = sources.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hash = Sha256::new();
    hash.update(b"killick-policies/1\n");
    let mut framed = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    framed(schema.as_bytes());
    for source in sorted {
        framed(source.name.as_bytes());
        framed(source.text.as_bytes());
    }
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, text: &str) -> PolicySource {
        PolicySource { name: name.into(), text: text.into() }
    }

    #[test]
    fn a_problem_points_at_line_and_character() {
        let source = source("a.cedar", "é\nüb c");
        let problem = PolicyProblem::at(&source, 6, "here");
        assert_eq!(problem.to_string(), "a.cedar:2:3: here");
        assert_eq!(PolicyProblem::at(&source, 999, "past the end").line, 2);
    }

    #[test]
    fn the_version_changes_with_every_byte_and_not_with_the_order_of_files() {
        let (a, b) = (source("a", "x"), source("b", "y"));
        let one = version_of(&[a.clone(), b.clone()], "s");
        assert_eq!(one, version_of(&[b.clone(), a.clone()], "s"));
        assert_eq!(one.len(), 64);
        assert_ne!(one, version_of(&[source("a", "xb"), source("", "y")], "s"));
        assert_ne!(one, version_of(&[a.clone(), source("b", "z")], "s"));
        assert_ne!(one, version_of(&[a], "s"));
    }
}
