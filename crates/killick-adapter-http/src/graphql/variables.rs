//! Values of arguments through variables and their defaults.

use std::collections::BTreeMap;

use apollo_compiler::ast::{OperationDefinition, Value};

use crate::body::Json;
use crate::judge::argument::Arg;

/// What each variable of an operation stands for; `None` for one that is left out.
pub(super) struct Bindings(BTreeMap<String, Option<Arg>>);

impl Bindings {
    /// `files`: what holds a null may hold a file in its place.
    pub(super) fn new(
        operation: &OperationDefinition,
        given: &[(String, Json)],
        files: bool,
    ) -> Self {
        let mut bindings = BTreeMap::new();
        for variable in &operation.variables {
            let value = given.iter().find(|(name, _)| variable.name == name.as_str());
            let bound = match (value, &variable.default_value) {
                (Some((_, value)), _) if files && holds_null(value) => Some(Arg::Unknown),
                (Some((_, value)), _) => Some(Arg::from(value)),
                (None, Some(default)) => constant(default),
                // Required and not given: no server should run it, so nobody knows what it would do.
                (None, None) if variable.ty.is_non_null() => Some(Arg::Unknown),
                (None, None) => None,
            };
            bindings.insert(variable.name.to_string(), bound);
        }
        Self(bindings)
    }

    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        match self.0.get(name) {
            Some(Some(Arg::Bool(value))) => Some(*value),
            Some(
                Some(Arg::Unknown | Arg::Null | Arg::Scalar(_) | Arg::List(_) | Arg::Object(_))
                | None,
            )
            | None => None,
        }
    }
}

fn holds_null(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
        Json::Array(items) => items.iter().any(holds_null),
        Json::Object(fields) => fields.iter().any(|(_, value)| holds_null(value)),
    }
}

fn constant(value: &Value) -> Option<Arg> {
    arg(value, &Bindings(BTreeMap::new()))
}

/// Returns what a value stands for; `None` for a variable that is left out.
pub(super) fn arg(value: &Value, bindings: &Bindings) -> Option<Arg> {
    Some(match value {
        Value::Null => Arg::Null,
        Value::Enum(name) => Arg::Scalar(name.to_string()),
        Value::String(text) => Arg::Scalar(text.clone()),
        Value::Float(number) => Arg::Scalar(number.as_str().to_owned()),
        Value::Int(number) => Arg::Scalar(number.as_str().to_owned()),
        Value::Boolean(value) => Arg::Bool(*value),
        Value::Variable(name) => match bindings.0.get(name.as_str()) {
            Some(bound) => return bound.clone(),
            None => Arg::Unknown,
        },
        Value::List(items) => {
            Arg::List(items.iter().map(|item| arg(item, bindings).unwrap_or(Arg::Null)).collect())
        }
        Value::Object(fields) => Arg::Object(
            fields
                .iter()
                .filter_map(|(name, value)| Some((name.to_string(), arg(value, bindings)?)))
                .collect(),
        ),
    })
}

/// Returns the variables that the operation defines, with their values after defaults, sorted by
/// name: what the digest covers.
pub(crate) fn resolved(operation: &OperationDefinition, given: &[(String, Json)]) -> Json {
    let mut fields: Vec<(String, Json)> = Vec::new();
    for variable in &operation.variables {
        let value = given
            .iter()
            .find(|(name, _)| variable.name == name.as_str())
            .map(|(_, value)| sorted(value))
            .or_else(|| variable.default_value.as_deref().map(json));
        if let Some(value) = value {
            fields.push((variable.name.to_string(), value));
        }
    }
    sorted(&Json::Object(fields))
}

// The order of keys in an object means nothing.
fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(fields) => {
            let mut fields: Vec<_> =
                fields.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Json::Object(fields)
        }
        Json::Array(items) => Json::Array(items.iter().map(sorted).collect()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value.clone(),
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Enum(name) | Value::Variable(name) => Json::String(name.to_string()),
        Value::String(text) => Json::String(text.clone()),
        Value::Float(number) => Json::Number(number.as_str().to_owned()),
        Value::Int(number) => Json::Number(number.as_str().to_owned()),
        Value::Boolean(value) => Json::Bool(*value),
        Value::List(items) => Json::Array(items.iter().map(|item| json(item)).collect()),
        Value::Object(fields) => Json::Object(
            fields.iter().map(|(name, value)| (name.to_string(), json(value))).collect(),
        ),
    }
}
