//! One operation of a provider: its effect, and what its arguments make of it.

use std::fmt;

use killick_model::{BackupsFate, Effect, Facet, Recovery};

/// What an operation does, before its arguments are looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The effect.
    pub effect: Effect,
    /// Whether no inverse call brings it back.
    pub irreversible: bool,
    /// Whether the object's own backups go with it.
    pub backups: BackupsFate,
    /// Which arguments name objects. Empty: it acts on the account.
    pub objects: Vec<ObjectRule>,
    /// What makes it worse.
    pub whens: Vec<When>,
    /// What it makes.
    pub creates: Option<CreatesRule>,
    /// Where secrets stand in the answer, as JSONPath into the field's value.
    pub answer_secrets: Vec<String>,
    /// What makes it survivable.
    pub recovery: Recovery,
    /// Why, in one sentence.
    pub why: String,
}

/// An argument that names an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRule {
    /// The kind of object.
    pub kind: String,
    /// The argument.
    pub arg: ArgPath,
    /// The object that says in which environment it is meant.
    pub within: Option<Box<ObjectRule>>,
}

/// Where the id of a new object stands in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatesRule {
    /// The kind of the new object.
    pub kind: String,
    /// JSONPath into the field's value.
    pub at: String,
}

/// A rule that makes a judgement worse when its condition holds.
#[derive(Clone, Debug, PartialEq)]
pub struct When {
    /// Below which argument it looks.
    pub arg: ArgPath,
    /// What it looks for.
    pub condition: Condition,
    /// The effect to be joined with the operation's.
    pub effect: Option<Effect>,
    /// Facets to be added.
    pub facets: Vec<Facet>,
    /// Whether it makes the call irreversible.
    pub irreversible: bool,
    /// What becomes of backups.
    pub backups: Option<BackupsFate>,
    /// What makes the worse call survivable; the operation's own recovery no longer counts.
    pub recovery: Recovery,
    /// Why.
    pub why: String,
}

/// What a [`When`] looks for. A value that cannot be known fits every condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The value is this one.
    Equals(serde_json::Value),
    /// The value is one of these.
    In(Vec<serde_json::Value>),
    /// The argument is given.
    Present,
    /// The argument is not given, or null.
    Absent,
    /// A list, an object or a text that is not empty.
    NotEmpty,
    /// A key at any depth, with this value when there is one.
    DeepKey {
        /// The key.
        key: String,
        /// Its value.
        equals: Option<serde_json::Value>,
    },
    /// A null at any depth.
    DeepNull,
}

/// One step of an [`ArgPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgStep {
    /// A key.
    Key(String),
    /// Every element of a list.
    Each,
}

/// A dotted path into the arguments of an operation: `input.ids[*]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgPath(Vec<ArgStep>);

impl ArgPath {
    /// The most steps of a path.
    pub const STEPS_MAX: usize = 16;

    /// Parses a path.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let mut steps = Vec::new();
        for segment in raw.split('.') {
            let name = segment.trim_end_matches("[*]");
            let good = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
            if !good {
                return None;
            }
            steps.push(ArgStep::Key(name.to_owned()));
            let lists = segment.len().saturating_sub(name.len()) / "[*]".len();
            steps.extend(std::iter::repeat_n(ArgStep::Each, lists));
        }
        (steps.len() <= Self::STEPS_MAX).then_some(Self(steps))
    }

    /// Returns the steps.
    #[must_use]
    pub fn steps(&self) -> &[ArgStep] {
        &self.0
    }
}

impl fmt::Display for ArgPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                ArgStep::Key(name) if at == 0 => f.write_str(name)?,
                ArgStep::Key(name) => write!(f, ".{name}")?,
                ArgStep::Each => f.write_str("[*]")?,
            }
        }
        Ok(())
    }
}

/// One segment of a REST path in a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestSegment {
    /// Exactly this text.
    Literal(String),
    /// Any one segment, by name.
    Named(String),
}

/// A method and a path with named segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestPattern {
    /// As written in the pack.
    pub text: String,
    /// The method.
    pub method: String,
    /// The segments.
    pub segments: Vec<RestSegment>,
}

impl RestPattern {
    /// Parses `METHOD /path/{id}`.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let (method, path) = raw.split_once(' ')?;
        let good_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
        let path = path.strip_prefix('/')?;
        let segments = path
            .split('/')
            .map(|segment| {
                match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                    Some(name) if !name.is_empty() => Some(RestSegment::Named(name.to_owned())),
                    None if !segment.contains(['{', '}', '?', '#']) => {
                        Some(RestSegment::Literal(segment.to_owned()))
                    }
                    Some(_) | None => None,
                }
            })
            .collect::<Option<Vec<_>>>()?;
        good_method.then(|| Self { text: raw.to_owned(), method: method.to_owned(), segments })
    }

    /// Returns the named segments of a request path that fits, in order.
    #[must_use]
    pub fn matches(&self, method: &str, path: &str) -> Option<Vec<(String, String)>> {
        if method != self.method {
            return None;
        }
        let given: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        if given.len() != self.segments.len() {
            return None;
        }
        let mut named = Vec::new();
        for (segment, text) in self.segments.iter().zip(given) {
            match segment {
                RestSegment::Literal(literal) if literal == text => {}
                RestSegment::Named(name) if !text.is_empty() => {
                    named.push((name.clone(), text.to_owned()));
                }
                RestSegment::Literal(_) | RestSegment::Named(_) => return None,
            }
        }
        Some(named)
    }

    /// Returns how many segments are exact; of several patterns that fit, the most exact one counts.
    #[must_use]
    pub fn exactness(&self) -> usize {
        self.segments.iter().filter(|segment| matches!(segment, RestSegment::Literal(_))).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_one_is_refused() {
        for bad in ["", ".", "a.", "a..b", "[*]", "a[0]", "a b", "a[*]b"] {
            assert!(ArgPath::parse(bad).is_none(), "{bad}");
        }
        for good in ["id", "input.ids[*]", "input.a[*].b"] {
            assert_eq!(ArgPath::parse(good).unwrap().to_string(), good);
        }
    }

    #[test]
    fn a_rest_pattern_matches_whole_segments_only() {
        let pattern = RestPattern::parse("DELETE /repos/{owner}/{repo}").unwrap();
        assert_eq!(
            pattern.matches("DELETE", "/repos/acme/prod"),
            Some(vec![("owner".into(), "acme".into()), ("repo".into(), "prod".into())])
        );
        for (method, path) in [
            ("delete", "/repos/acme/prod"),
            ("DELETE", "/repos/acme/prod/"),
            ("DELETE", "/repos//prod"),
            ("DELETE", "/REPOS/acme/prod"),
            ("DELETE", "/repos/acme"),
        ] {
            assert_eq!(pattern.matches(method, path), None, "{method} {path}");
        }
    }
}
