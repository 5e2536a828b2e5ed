//! Parsing a document and choosing the operation that will run.

use std::collections::{BTreeSet, HashMap};

use apollo_compiler::Node;
use apollo_compiler::ast::{
    Definition, DirectiveList, Document, Field, FragmentDefinition, OperationDefinition,
    OperationType, Selection, Value,
};
use apollo_compiler::parser::Parser;

use super::reading::Element;
use super::variables::{self, Bindings};
use crate::judge::argument::Arg;
use crate::pack::Root;

/// How deep a document may nest.
const RECURSION_MAX: usize = 120;
/// The most tokens of a document.
const TOKENS_MAX: usize = 30_000;
/// The most fragments of a document; they nest, and each level costs stack.
const FRAGMENTS_MAX: usize = 200;
/// The most root fields that are collected.
const ROOT_FIELDS_MAX: usize = 512;

/// The operation that will run, with all that it needs.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The operation.
    pub(crate) operation: Node<OperationDefinition>,
    /// The fragments that it reaches, in order of first use.
    pub(crate) fragments: Vec<Node<FragmentDefinition>>,
    /// Its kind.
    pub(crate) root: Root,
    /// The root fields that may run.
    pub(crate) fields: Vec<RootField>,
}

/// A root field that may run.
#[derive(Clone, Debug)]
pub(crate) struct RootField {
    /// Its name in the schema.
    pub(crate) name: String,
    /// Its key in the answer.
    pub(crate) response_key: String,
    /// Its arguments, as far as they are known.
    pub(crate) arguments: Arg,
    /// The field itself.
    pub(crate) node: Node<Field>,
}

/// Why no operation could be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentError {
    /// Not GraphQL, too deep or too long.
    #[error("the document is not GraphQL, or nests too deep, or is too long")]
    Syntax,
    /// It holds definitions that are not executable.
    #[error("the document defines types")]
    NotExecutable,
    /// No operation, or several and none is named.
    #[error("several operations and no operationName, or none at all")]
    Unchosen,
    /// The named operation is not there.
    #[error("the document has no operation of that name")]
    NoSuchOperation,
    /// Two operations or fragments share a name.
    #[error("a name is defined twice")]
    DefinedTwice,
    /// A fragment is missing, or reaches itself.
    #[error("a fragment is missing or reaches itself")]
    Fragment,
    /// More root fields or fragments than are judged.
    #[error("more root fields or fragments than are judged")]
    TooMany,
}

/// Returns whether the text is an executable document.
pub(super) fn parses(text: &str) -> bool {
    parse(text).is_ok_and(|document| {
        document.definitions.iter().any(|definition| definition.as_operation_definition().is_some())
    })
}

pub(super) fn parse(text: &str) -> Result<Document, DocumentError> {
    // A byte order mark is ignorable in GraphQL.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Parser::new()
        .recursion_limit(RECURSION_MAX)
        .token_limit(TOKENS_MAX)
        .parse_ast(text, "document.graphql")
        .map_err(|_| DocumentError::Syntax)
}

/// Chooses the operation and collects its root fields.
pub(crate) fn choose(element: &Element) -> Result<Chosen, DocumentError> {
    let document = parse(&element.text)?;
    let mut operations: Vec<&Node<OperationDefinition>> = Vec::new();
    let mut fragments: HashMap<&str, &Node<FragmentDefinition>> = HashMap::new();
    for definition in &document.definitions {
        if let Some(operation) = definition.as_operation_definition() {
            let twice = operations.iter().any(|other| other.name == operation.name);
            if twice {
                return Err(DocumentError::DefinedTwice);
            }
            operations.push(operation);
        } else if let Some(fragment) = definition.as_fragment_definition() {
            if fragments.insert(fragment.name.as_str(), fragment).is_some() {
                return Err(DocumentError::DefinedTwice);
            }
        } else {
            debug_assert!(!matches!(definition, Definition::OperationDefinition(_)));
            return Err(DocumentError::NotExecutable);
        }
    }
    if fragments.len() > FRAGMENTS_MAX {
        return Err(DocumentError::TooMany);
    }
    let operation = match (element.operation_name.as_deref(), operations.as_slice()) {
        (None, [only]) => *only,
        (None, _) => return Err(DocumentError::Unchosen),
        (Some(name), all) => all
            .iter()
            .find(|operation| operation.name.as_ref().is_some_and(|known| known == name))
            .ok_or(DocumentError::NoSuchOperation)?,
    };
    let reached = reach(operation, &fragments)?;
    let bindings = Bindings::new(operation, &element.variables, element.files);
    let mut collector = Collector {
        fragments: &fragments,
        bindings: &bindings,
        seen: BTreeSet::new(),
        fields: Vec::new(),
    };
    collector.collect(&operation.selection_set)?;
    Ok(Chosen {
        operation: operation.clone(),
        fragments: reached,
        root: match operation.operation_type {
            OperationType::Query => Root::Query,
            OperationType::Mutation => Root::Mutation,
            OperationType::Subscription => Root::Subscription,
        },
        fields: collector.fields,
    })
}

// Every fragment once, in order of first use; a cycle is an error wherever it stands.
fn reach(
    operation: &Node<OperationDefinition>,
    fragments: &HashMap<&str, &Node<FragmentDefinition>>,
) -> Result<Vec<Node<FragmentDefinition>>, DocumentError> {
    let mut reached = Vec::new();
    let mut done = BTreeSet::new();
    let mut names = Vec::new();
    spreads(&operation.selection_set, &mut names);
    names.reverse();
    // (name, whether its own spreads were visited already)
    let mut stack: Vec<(String, bool)> = names.into_iter().map(|name| (name, false)).collect();
    let mut open: BTreeSet<String> = BTreeSet::new();
    while let Some((name, left)) = stack.pop() {
        if left {
            open.remove(&name);
            done.insert(name);
            continue;
        }
        if done.contains(&name) {
            continue;
        }
        if !open.insert(name.clone()) {
            return Err(DocumentError::Fragment);
        }
        let fragment = fragments.get(name.as_str()).ok_or(DocumentError::Fragment)?;
        reached.push((*fragment).clone());
        let mut inner = Vec::new();
        spreads(&fragment.selection_set, &mut inner);
        stack.push((name, true));
        stack.extend(inner.into_iter().rev().map(|name| (name, false)));
    }
    Ok(reached)
}

// The parser bounds how deep this goes.
fn spreads(selections: &[Selection], names: &mut Vec<String>) {
    for selection in selections {
        match selection {
            Selection::Field(field) => spreads(&field.selection_set, names),
            Selection::InlineFragment(inline) => spreads(&inline.selection_set, names),
            Selection::FragmentSpread(spread) => names.push(spread.fragment_name.to_string()),
        }
    }
}

struct Collector<'a> {
    fragments: &'a HashMap<&'a str, &'a Node<FragmentDefinition>>,
    bindings: &'a Bindings,
    seen: BTreeSet<String>,
    fields: Vec<RootField>,
}

impl Collector<'_> {
    // Type conditions are not looked at: a field behind a condition that does not hold is judged too.
    fn collect(&mut self, selections: &[Selection]) -> Result<(), DocumentError> {
        for selection in selections {
            match selection {
                Selection::Field(field) if self.may_run(&field.directives) => self.field(field)?,
                Selection::InlineFragment(inline) if self.may_run(&inline.directives) => {
                    self.collect(&inline.selection_set)?;
                }
                Selection::FragmentSpread(spread) if self.may_run(&spread.directives) => {
                    if self.seen.insert(spread.fragment_name.to_string()) {
                        let fragment = self
                            .fragments
                            .get(spread.fragment_name.as_str())
                            .ok_or(DocumentError::Fragment)?;
                        self.collect(&fragment.selection_set)?;
                    }
                }
                Selection::Field(_)
                | Selection::InlineFragment(_)
                | Selection::FragmentSpread(_) => {}
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Node<Field>) -> Result<(), DocumentError> {
        if self.fields.len() >= ROOT_FIELDS_MAX {
            return Err(DocumentError::TooMany);
        }
        let arguments = field
            .arguments
            .iter()
            .filter_map(|argument| {
                let value = variables::arg(&argument.value, self.bindings)?;
                Some((argument.name.to_string(), value))
            })
            .collect();
        self.fields.push(RootField {
            name: field.name.to_string(),
            response_key: field.response_name().to_string(),
            arguments: Arg::Object(arguments),
            node: field.clone(),
        });
        Ok(())
    }

    // Only a value that is known keeps a selection from running.
    fn may_run(&self, directives: &DirectiveList) -> bool {
        directives.iter().all(|directive| {
            let stops = match directive.name.as_str() {
                "skip" => true,
                "include" => false,
                _ => return true,
            };
            let condition = directive.arguments.iter().find(|argument| argument.name == "if");
            let Some(condition) = condition else { return true };
            let value = match &*condition.value {
                Value::Boolean(value) => Some(*value),
                Value::Variable(name) => self.bindings.boolean(name),
                Value::Null
                | Value::Enum(_)
                | Value::String(_)
                | Value::Float(_)
                | Value::Int(_)
                | Value::List(_)
                | Value::Object(_) => None,
            };
            value != Some(stops)
        })
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
