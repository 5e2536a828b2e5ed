//! Arguments of an operation, as far as their values are known.

use serde_json::Value as Literal;

use crate::body::Json;
use crate::pack::{ArgPath, ArgRef, ArgStep, Condition, TemplatePiece};

/// The value of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arg {
    /// Nobody can say what it is.
    Unknown,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, a text or a name of an enum, as written.
    Scalar(String),
    /// A list.
    List(Vec<Arg>),
    /// An object.
    Object(Vec<(String, Arg)>),
}

static UNKNOWN: Arg = Arg::Unknown;

/// Levels of texts inside texts that are looked into.
const TEXT_LEVELS_MAX: usize = 3;

impl From<&Json> for Arg {
    fn from(value: &Json) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(text) | Json::String(text) => Self::Scalar(text.clone()),
            Json::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Json::Object(fields) => Self::Object(
                fields.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect(),
            ),
        }
    }
}

impl Arg {
    /// Returns whether a condition below `path` holds, or may hold.
    pub(crate) fn fits(&self, path: &ArgPath, condition: &Condition) -> bool {
        let found = self.select(path);
        match condition {
            Condition::Absent => {
                found.is_empty()
                    || found.iter().any(|arg| matches!(arg, Self::Null | Self::Unknown))
            }
            Condition::Present => found.iter().any(|arg| !matches!(arg, Self::Null)),
            Condition::Equals(wanted) => found.iter().any(|arg| arg.may_equal(wanted)),
            Condition::In(wanted) => {
                found.iter().any(|arg| wanted.iter().any(|one| arg.may_equal(one)))
            }
            Condition::NotEmpty => found.iter().any(|arg| match arg {
                Self::Unknown | Self::Bool(_) => true,
                Self::Null => false,
                Self::Scalar(text) => !text.is_empty(),
                Self::List(items) => !items.is_empty(),
                Self::Object(fields) => !fields.is_empty(),
            }),
            Condition::DeepKey { key, equals } => {
                found.iter().any(|arg| arg.holds_key(key, equals.as_ref(), TEXT_LEVELS_MAX))
            }
            Condition::DeepNull => found.iter().any(|arg| arg.holds_null(TEXT_LEVELS_MAX)),
        }
    }

    /// Returns the values that an argument has; those of a template that cannot be filled are unknown.
    pub(crate) fn values(&self, place: &ArgRef) -> Vec<Self> {
        match place {
            ArgRef::Path(path) => self.select(path).into_iter().cloned().collect(),
            ArgRef::Template(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        TemplatePiece::Literal(literal) => text.push_str(literal),
                        TemplatePiece::Named(path) => match self.select(path).as_slice() {
                            [Self::Scalar(value)] => text.push_str(value),
                            _ => return vec![Self::Unknown],
                        },
                    }
                }
                vec![Self::Scalar(text)]
            }
        }
    }

    /// Returns the values that a path leads to; an unknown value on the way is one of them.
    pub(crate) fn select(&self, path: &ArgPath) -> Vec<&Self> {
        let mut found = vec![self];
        for step in path.steps() {
            found = found.into_iter().flat_map(|arg| arg.step(step)).collect();
        }
        found
    }

    fn step(&self, step: &ArgStep) -> Vec<&Self> {
        match (step, self) {
            // Whatever stands below an unknown value is unknown; and a single value stands for a list
            // of one, as GraphQL coerces it.
            (_, Self::Unknown)
            | (ArgStep::Each, Self::Bool(_) | Self::Scalar(_) | Self::Object(_)) => vec![self],
            (ArgStep::Key(key), Self::Object(fields)) => {
                fields.iter().filter(|(name, _)| name == key).map(|(_, arg)| arg).collect()
            }
            (ArgStep::Each, Self::List(items)) => items.iter().collect(),
            // A text that is read as its content by some servers.
            (ArgStep::Key(_), Self::Scalar(text)) if text.trim_start().starts_with(['{', '[']) => {
                vec![&UNKNOWN]
            }
            (ArgStep::Key(_), Self::List(items)) => {
                items.iter().flat_map(|item| item.step(step)).collect()
            }
            (ArgStep::Each | ArgStep::Key(_), Self::Null)
            | (ArgStep::Key(_), Self::Bool(_) | Self::Scalar(_)) => Vec::new(),
        }
    }

    fn may_equal(&self, wanted: &Literal) -> bool {
        match (self, wanted) {
            (Self::Unknown, _) | (Self::Null, Literal::Null) => true,
            (Self::Bool(value), Literal::Bool(wanted)) => value == wanted,
            (Self::Scalar(text), Literal::Bool(wanted)) => {
                text.eq_ignore_ascii_case(if *wanted { "true" } else { "false" })
                    || text == if *wanted { "1" } else { "0" }
            }
            (Self::Bool(value), Literal::String(wanted)) => value.to_string() == *wanted,
            (Self::Scalar(text), Literal::String(wanted)) => text.eq_ignore_ascii_case(wanted),
            (Self::Scalar(text), Literal::Number(wanted)) => {
                let same = text.parse::<f64>().ok().zip(wanted.as_f64());
                same.is_some_and(|(a, b)| (a - b).abs() < f64::EPSILON)
                    || *text == wanted.to_string()
            }
            (Self::List(items), _) => items.iter().any(|item| item.may_equal(wanted)),
            (
                Self::Null | Self::Bool(_) | Self::Scalar(_) | Self::Object(_),
                Literal::Null
                | Literal::Bool(_)
                | Literal::Number(_)
                | Literal::String(_)
                | Literal::Array(_)
                | Literal::Object(_),
            ) => false,
        }
    }

    fn holds_key(&self, key: &str, equals: Option<&Literal>, levels: usize) -> bool {
        match self {
            Self::Unknown => true,
            Self::Null | Self::Bool(_) => false,
            Self::Scalar(text) => {
                inner(text, levels).is_some_and(|(arg, left)| arg.holds_key(key, equals, left))
            }
            Self::List(items) => items.iter().any(|item| item.holds_key(key, equals, levels)),
            Self::Object(fields) => fields.iter().any(|(name, arg)| {
                (name.eq_ignore_ascii_case(key)
                    && equals.is_none_or(|wanted| arg.may_equal(wanted)))
                    || arg.holds_key(key, equals, levels)
            }),
        }
    }

    fn holds_null(&self, levels: usize) -> bool {
        match self {
            Self::Unknown | Self::Null => true,
            Self::Bool(_) => false,
            Self::Scalar(text) => {
                inner(text, levels).is_some_and(|(arg, left)| arg.holds_null(left))
            }
            Self::List(items) => items.iter().any(|item| item.holds_null(levels)),
            Self::Object(fields) => fields.iter().any(|(_, arg)| arg.holds_null(levels)),
        }
    }
}

// A scalar of JSON is sent as a text by some clients, and read as its content by some servers.
fn inner(text: &str, levels: usize) -> Option<(Arg, usize)> {
    let left = levels.checked_sub(1)?;
    if !text.trim_start().starts_with(['{', '[', '"']) {
        return None;
    }
    Some((Json::parse(text).map_or(Arg::Unknown, |value| Arg::from(&value)), left))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arg(json: &str) -> Arg {
        Arg::from(&Json::parse(json).unwrap())
    }

    fn fits(json: &str, path: &str, condition: &Condition) -> bool {
        arg(json).fits(&ArgPath::parse(path).unwrap(), condition)
    }

    #[test]
    fn a_key_is_found_however_it_is_wrapped() {
        let deleted =
            Condition::DeepKey { key: "isDeleted".into(), equals: Some(Literal::Bool(true)) };
        for json in [
            r#"{"p":{"a":{"b":[{"isDeleted":true}]}}}"#,
            r#"{"p":{"isdeleted":true}}"#,
            r#"{"p":{"isDeleted":"true"}}"#,
            r#"{"p":{"isDeleted":1}}"#,
            r#"{"p":"{\"isDeleted\":true}"}"#,
            r#"{"p":"\"{\\\"isDeleted\\\":true}\""}"#,
            r#"{"p":"{\"broken"}"#,
        ] {
            assert!(fits(json, "p", &deleted), "{json}");
        }
        assert!(!fits(r#"{"p":{"isDeleted":false}}"#, "p", &deleted));
        assert!(!fits(r#"{"p":{"note":"isDeleted"}}"#, "p", &deleted));
    }

    #[test]
    fn an_unknown_value_fits_every_condition_that_looks_at_it() {
        let unknown = Arg::Object(vec![("a".into(), Arg::Unknown)]);
        for condition in [
            Condition::Equals(Literal::Bool(true)),
            Condition::In(vec![Literal::from("x")]),
            Condition::Present,
            Condition::Absent,
            Condition::NotEmpty,
            Condition::DeepKey { key: "k".into(), equals: None },
            Condition::DeepNull,
        ] {
            assert!(
                unknown.fits(&ArgPath::parse("a.b[*].c").unwrap(), &condition),
                "{condition:?}"
            );
        }
    }

    #[test]
    fn null_counts_as_absent_and_a_single_value_as_a_list_of_one() {
        assert!(fits(r#"{"a":null}"#, "a", &Condition::Absent));
        assert!(fits("{}", "a.b", &Condition::Absent));
        assert!(fits(r#"{"a":"{\"b\":true}"}"#, "a.b", &Condition::Equals(Literal::Bool(true))));
        assert!(!fits(r#"{"a":1}"#, "a", &Condition::Absent));
        assert_eq!(arg(r#"{"ids":"x"}"#).select(&ArgPath::parse("ids[*]").unwrap()).len(), 1);
        assert!(fits(r#"{"state":["DELETED"]}"#, "state", &Condition::Equals("DELETED".into())));
    }
}
