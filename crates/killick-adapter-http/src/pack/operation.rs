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
    pub arg: ArgRef,
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
    /// Further arguments that name objects.
    pub objects: Vec<ObjectRule>,
    /// Further places of secrets in the answer.
    pub answer_secrets: Vec<String>,
    /// What makes the worse call survivable.
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
    /// The argument is given and not null.
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

/// Where an argument stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgRef {
    /// At a path.
    Path(ArgPath),
    /// In a text made of several (`{owner}/{repo}`).
    Template(Vec<TemplatePiece>),
}

/// One piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePiece {
    /// This text.
    Literal(String),
    /// The value of an argument.
    Named(ArgPath),
}

impl ArgRef {
    /// Parses a path, or a template when the text has braces.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        if !raw.contains('{') {
            return ArgPath::parse(raw).map(Self::Path);
        }
        let mut pieces = Vec::new();
        let mut rest = raw;
        while let Some((literal, after)) = rest.split_once('{') {
            if !literal.is_empty() {
                pieces.push(TemplatePiece::Literal(literal.to_owned()));
            }
            let (name, after) = after.split_once('}')?;
            pieces.push(TemplatePiece::Named(ArgPath::parse(name)?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(TemplatePiece::Literal(rest.to_owned()));
        }
        (!raw.replace('{', "").is_empty()).then_some(Self::Template(pieces))
    }

    /// Returns the paths that it reads.
    pub fn paths(&self) -> impl Iterator<Item = &ArgPath> {
        let (path, pieces) = match self {
            Self::Path(path) => (Some(path), [].as_slice()),
            Self::Template(pieces) => (None, pieces.as_slice()),
        };
        path.into_iter().chain(pieces.iter().filter_map(|piece| match piece {
            TemplatePiece::Named(path) => Some(path),
            TemplatePiece::Literal(_) => None,
        }))
    }
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
            let lists = segment.matches("[*]").count();
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
    /// One segment or more, by name; the last one only.
    Rest(String),
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
        let mut segments = Vec::new();
        for segment in path.split('/') {
            let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let parsed = match inner {
                Some(name) => match name.strip_suffix('*') {
                    Some(name) => RestSegment::Rest(name.to_owned()),
                    None => RestSegment::Named(name.to_owned()),
                },
                None if !segment.contains(['{', '}', '?', '#']) => {
                    RestSegment::Literal(segment.to_owned())
                }
                None => return None,
            };
            if matches!(segments.last(), Some(RestSegment::Rest(_))) {
                return None;
            }
            if let RestSegment::Named(name) | RestSegment::Rest(name) = &parsed
                && ArgPath::parse(name).is_none_or(|path| path.steps().len() != 1)
            {
                return None;
            }
            segments.push(parsed);
        }
        good_method.then(|| Self { text: raw.to_owned(), method: method.to_owned(), segments })
    }

    /// Returns the named segments of a request path that fits, in order.
    #[must_use]
    pub fn matches(&self, method: &str, path: &str) -> Option<Vec<(String, String)>> {
        if method != self.method {
            return None;
        }
        let mut given = path.strip_prefix('/')?.split('/');
        let mut named = Vec::new();
        for segment in &self.segments {
            let text = given.next()?;
            match segment {
                RestSegment::Literal(literal) if literal == text => {}
                RestSegment::Named(name) if !text.is_empty() => {
                    named.push((name.clone(), text.to_owned()));
                }
                RestSegment::Rest(name) if !text.is_empty() => {
                    let rest: Vec<&str> = std::iter::once(text).chain(given.by_ref()).collect();
                    named.push((name.clone(), rest.join("/")));
                }
                RestSegment::Literal(_) | RestSegment::Named(_) | RestSegment::Rest(_) => {
                    return None;
                }
            }
        }
        given.next().is_none().then_some(named)
    }

    /// Returns how literal it is; of several patterns that fit, the most literal one counts.
    #[must_use]
    pub fn exactness(&self) -> (usize, usize) {
        let count = |wanted: fn(&RestSegment) -> bool| {
            self.segments.iter().filter(|segment| wanted(segment)).count()
        };
        (
            count(|segment| matches!(segment, RestSegment::Literal(_))),
            count(|segment| matches!(segment, RestSegment::Named(_))),
        )
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
        let rest = RestPattern::parse("GET /a/{b*}").unwrap();
        assert_eq!(rest.matches("GET", "/a/x/y"), Some(vec![("b".into(), "x/y".into())]));
        assert_eq!(rest.matches("GET", "/a"), None);
        assert!(RestPattern::parse("GET /{a*}/b").is_none());
    }
}
