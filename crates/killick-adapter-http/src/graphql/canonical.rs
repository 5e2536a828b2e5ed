//! The one document that is sent, and what people are shown of it.

use apollo_compiler::Node;
use apollo_compiler::ast::{Argument, Definition, Document, OperationDefinition, Selection, Value};

use super::document::{Chosen, parse};
use super::variables::resolved;
use crate::body::Json;

/// The most bytes of an excerpt.
const EXCERPT_BYTES_MAX: usize = 2000;

/// One operation, ready to be sent.
#[derive(Debug)]
pub(crate) struct Canonical {
    /// `{query, operationName, variables}`.
    pub(crate) body: Json,
    /// The document without the operation's name and defaults, and the variables with them: what the
    /// digest covers.
    pub(crate) meaning: String,
    /// The document alone.
    pub(crate) text: String,
}

/// Writes the chosen operation and its fragments anew. `None` when the text does not read back as
/// what was judged; such a document is not sent.
pub(crate) fn canonical(chosen: &Chosen, given: &[(String, Json)]) -> Option<Canonical> {
    let text = write(chosen, (*chosen.operation).clone());
    if !reads_back(&text, chosen) {
        return None;
    }
    let mut bare = (*chosen.operation).clone();
    bare.name = None;
    for variable in &mut bare.variables {
        variable.make_mut().default_value = None;
    }
    let meaning =
        format!("{}\n{}", write(chosen, bare), resolved(&chosen.operation, given).encode());
    let mut fields = vec![("query".to_owned(), Json::String(text.clone()))];
    if let Some(name) = &chosen.operation.name {
        fields.push(("operationName".to_owned(), Json::String(name.to_string())));
    }
    let defined: Vec<(String, Json)> = given
        .iter()
        .filter(|(name, _)| chosen.operation.variables.iter().any(|v| v.name == name.as_str()))
        .cloned()
        .collect();
    if !defined.is_empty() {
        fields.push(("variables".to_owned(), Json::Object(defined)));
    }
    Some(Canonical { body: Json::Object(fields), meaning, text })
}

fn write(chosen: &Chosen, operation: OperationDefinition) -> String {
    let mut document = Document::new();
    document.definitions.push(Definition::OperationDefinition(Node::new(operation)));
    for fragment in &chosen.fragments {
        document.definitions.push(Definition::FragmentDefinition(fragment.clone()));
    }
    document.serialize().no_indent().to_string()
}

fn reads_back(text: &str, chosen: &Chosen) -> bool {
    let Ok(document) = parse(text) else { return false };
    let mut definitions = document.definitions.iter();
    let operation = definitions.next().and_then(Definition::as_operation_definition);
    operation.is_some_and(|operation| **operation == *chosen.operation)
        && document.definitions.len() == chosen.fragments.len().saturating_add(1)
        && definitions.zip(&chosen.fragments).all(|(read, fragment)| {
            read.as_fragment_definition().is_some_and(|f| **f == **fragment)
        })
}

/// Returns the operation with every literal masked but the ids of objects.
pub(crate) fn excerpt(chosen: &Chosen, ids: &[&str]) -> String {
    let mut operation = (*chosen.operation).clone();
    mask_selections(&mut operation.selection_set, ids);
    for variable in &mut operation.variables {
        if let Some(default) = &mut variable.make_mut().default_value {
            mask(default.make_mut(), ids);
        }
    }
    let mut document = Document::new();
    document.definitions.push(Definition::OperationDefinition(Node::new(operation)));
    for fragment in &chosen.fragments {
        let mut fragment = (**fragment).clone();
        mask_selections(&mut fragment.selection_set, ids);
        document.definitions.push(Definition::FragmentDefinition(Node::new(fragment)));
    }
    shorten(document.serialize().no_indent().to_string())
}

pub(crate) fn shorten(mut text: String) -> String {
    if text.len() > EXCERPT_BYTES_MAX {
        let mut end = EXCERPT_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

fn mask_selections(selections: &mut [Selection], ids: &[&str]) {
    for selection in selections {
        match selection {
            Selection::Field(field) => {
                let field = field.make_mut();
                mask_arguments(&mut field.arguments, ids);
                mask_selections(&mut field.selection_set, ids);
            }
            Selection::InlineFragment(inline) => {
                mask_selections(&mut inline.make_mut().selection_set, ids);
            }
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn mask_arguments(arguments: &mut [Node<Argument>], ids: &[&str]) {
    for argument in arguments {
        mask(argument.make_mut().value.make_mut(), ids);
    }
}

fn mask(value: &mut Value, ids: &[&str]) {
    let kept = |text: &str| ids.contains(&text);
    match value {
        Value::String(text) if !kept(text) => *value = Value::String("…".into()),
        Value::Int(number) if !kept(number.as_str()) => *value = Value::String("…".into()),
        Value::Float(_) => *value = Value::String("…".into()),
        Value::List(items) => items.iter_mut().for_each(|item| mask(item.make_mut(), ids)),
        Value::Object(fields) => {
            for (_, value) in fields {
                mask(value.make_mut(), ids);
            }
        }
        Value::Null
        | Value::Enum(_)
        | Value::Variable(_)
        | Value::String(_)
        | Value::Int(_)
        | Value::Boolean(_) => {}
    }
}
