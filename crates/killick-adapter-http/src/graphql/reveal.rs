//! Selections whose answer holds secrets, wherever they stand.

use std::collections::BTreeSet;

use apollo_compiler::Node;
use apollo_compiler::Schema;
use apollo_compiler::ast::{FragmentDefinition, Selection};
use apollo_compiler::schema::ExtendedType;

use super::document::{Chosen, RootField};
use crate::pack::GraphqlApi;

/// Returns where secrets stand below a root field, as JSONPath into its value.
pub(crate) fn revealing(api: &GraphqlApi, chosen: &Chosen, field: &RootField) -> Vec<String> {
    if api.reveals.is_empty() {
        return Vec::new();
    }
    let schema = api.schema.as_deref();
    let root = schema.and_then(|schema| {
        let operation = crate::pack::operation_type(chosen.root);
        schema.root_operation(operation).map(ToString::to_string)
    });
    let mut walk = Walk {
        api,
        schema,
        fragments: &chosen.fragments,
        seen: BTreeSet::new(),
        found: BTreeSet::new(),
    };
    if walk.is_secret(root.as_deref(), field.name.as_str()) {
        walk.found.insert("$".to_owned());
    }
    let below = root.as_deref().and_then(|root| walk.type_below(root, &field.name));
    walk.selections(&field.node.selection_set, below.as_deref());
    walk.found.into_iter().collect()
}

struct Walk<'a> {
    api: &'a GraphqlApi,
    schema: Option<&'a apollo_compiler::validation::Valid<Schema>>,
    fragments: &'a [Node<FragmentDefinition>],
    seen: BTreeSet<(String, Option<String>)>,
    found: BTreeSet<String>,
}

impl Walk<'_> {
    fn selections(&mut self, selections: &[Selection], within: Option<&str>) {
        for selection in selections {
            match selection {
                Selection::Field(field) => {
                    if self.is_secret(within, &field.name) {
                        self.found.insert(format!("$..['{}']", field.response_name()));
                    }
                    let below = within.and_then(|within| self.type_below(within, &field.name));
                    self.selections(&field.selection_set, below.as_deref());
                }
                Selection::InlineFragment(inline) => {
                    let condition = inline.type_condition.as_ref().map(ToString::to_string);
                    self.selections(&inline.selection_set, condition.as_deref().or(within));
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name.as_str();
                    let Some(fragment) =
                        self.fragments.iter().find(|fragment| fragment.name == name).cloned()
                    else {
                        continue;
                    };
                    let condition = fragment.type_condition.to_string();
                    if self.seen.insert((name.to_owned(), Some(condition.clone()))) {
                        self.selections(&fragment.selection_set, Some(&condition));
                    }
                }
            }
        }
    }

    // A type that is not known could be any type.
    fn is_secret(&self, within: Option<&str>, field: &str) -> bool {
        self.api.reveals.iter().any(|(owner, name)| {
            name == field
                && match (within, self.schema) {
                    _ if owner == "*" => true,
                    (Some(within), Some(schema)) => {
                        owner == within || is_abstract_over(schema, within, owner)
                    }
                    (None, _) | (_, None) => true,
                }
        })
    }

    fn type_below(&self, within: &str, field: &str) -> Option<String> {
        let definition = self.schema?.type_field(within, field).ok()?;
        Some(definition.ty.inner_named_type().to_string())
    }
}

fn is_abstract_over(schema: &Schema, within: &str, owner: &str) -> bool {
    match schema.types.get(within) {
        Some(ExtendedType::Interface(_)) => match schema.types.get(owner) {
            Some(ExtendedType::Object(object)) => {
                object.implements_interfaces.iter().any(|name| name.as_str() == within)
            }
            Some(ExtendedType::Interface(interface)) => {
                interface.implements_interfaces.iter().any(|name| name.as_str() == within)
            }
            Some(
                ExtendedType::Scalar(_)
                | ExtendedType::Union(_)
                | ExtendedType::Enum(_)
                | ExtendedType::InputObject(_),
            )
            | None => false,
        },
        // Fields stand on objects only; a type that the schema does not know could be any.
        Some(
            ExtendedType::Scalar(_)
            | ExtendedType::Object(_)
            | ExtendedType::Union(_)
            | ExtendedType::Enum(_)
            | ExtendedType::InputObject(_),
        ) => false,
        None => true,
    }
}
