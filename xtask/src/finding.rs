//! What a check found.

use std::fmt;

/// One breach of a rule: where it is and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A file, `file:line`, or a package.
    pub(crate) place: String,
    /// What is wrong, and what to do instead.
    pub(crate) what: String,
}

impl Finding {
    /// Makes a finding at a place.
    pub(crate) fn at(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }

    /// Makes a finding at a line of a file.
    pub(crate) fn at_line(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self::at(format!("{path}:{line}"), what)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
