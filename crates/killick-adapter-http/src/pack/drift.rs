//! What a live provider knows that its pack does not.

use super::{Pack, Root};

/// A difference between a live schema and a pack.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Drift {
    /// A root field that the pack does not know; it is judged unrecognized.
    UnknownOperation {
        /// `query`, `mutation` or `subscription`.
        root: String,
        /// The field.
        name: String,
    },
    /// An operation of the pack that the provider no longer has.
    Gone {
        /// `query`, `mutation` or `subscription`.
        root: String,
        /// The field.
        name: String,
    },
    /// An argument that the pack's schema does not have.
    UnknownArgument {
        /// `query`, `mutation` or `subscription`.
        root: String,
        /// The field.
        name: String,
        /// The argument.
        argument: String,
    },
}

/// The introspection query whose answer [`drift`] reads.
pub const INTROSPECTION: &str = "query { __schema { queryType { name } mutationType { name } \
     subscriptionType { name } types { name fields(includeDeprecated: true) { name args { name } } } } }";

/// Compares the answer of [`INTROSPECTION`] with a pack.
///
/// # Errors
/// The answer is not one of an introspection.
pub fn drift(pack: &Pack, answer: &serde_json::Value) -> Result<Vec<Drift>, String> {
    let schema = answer
        .pointer("/data/__schema")
        .or_else(|| answer.pointer("/__schema"))
        .ok_or("the answer has no `__schema`: the provider may refuse introspection")?;
    let types = schema
        .get("types")
        .and_then(serde_json::Value::as_array)
        .ok_or("the answer has no list of types")?;
    let mut found = Vec::new();
    for (root, word) in Root::ALL {
        let Some(type_name) =
            schema.pointer(&format!("/{word}Type/name")).and_then(serde_json::Value::as_str)
        else {
            continue;
        };
        let fields = types
            .iter()
            .find(|ty| ty.get("name").and_then(serde_json::Value::as_str) == Some(type_name))
            .and_then(|ty| ty.get("fields"))
            .and_then(serde_json::Value::as_array)
            .ok_or_else(|| format!("the answer does not describe the type `{type_name}`"))?;
        compare_root(pack, root, fields, &mut found);
    }
    Ok(found)
}

fn name_of(value: &serde_json::Value) -> Option<&str> {
    value.get("name").and_then(serde_json::Value::as_str)
}

fn compare_root(pack: &Pack, root: Root, fields: &[serde_json::Value], found: &mut Vec<Drift>) {
    let word = root.as_str().to_owned();
    for field in fields {
        let Some(name) = name_of(field) else { continue };
        if !pack.operations.contains_key(&(root, name.to_owned())) {
            found.push(Drift::UnknownOperation { root: word.clone(), name: name.to_owned() });
            continue;
        }
        let Some(known) = super::check::root_field(pack, root, name) else { continue };
        let arguments = field.get("args").and_then(serde_json::Value::as_array);
        for argument in arguments.into_iter().flatten().filter_map(name_of) {
            if known.argument_by_name(argument).is_none() {
                found.push(Drift::UnknownArgument {
                    root: word.clone(),
                    name: name.to_owned(),
                    argument: argument.to_owned(),
                });
            }
        }
    }
    for (_, name) in pack.operations.keys().filter(|(known, _)| *known == root) {
        if !fields.iter().any(|field| name_of(field) == Some(name)) {
            found.push(Drift::Gone { root: word.clone(), name: name.clone() });
        }
    }
}
