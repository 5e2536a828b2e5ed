//! Holding a pack against the provider's schema.

use apollo_compiler::Node;
use apollo_compiler::ast::{FieldDefinition, OperationType};

use super::{Pack, Root};

/// Returns the schema's definition of a root field.
pub(super) fn root_field<'pack>(
    pack: &'pack Pack,
    root: Root,
    name: &str,
) -> Option<&'pack Node<FieldDefinition>> {
    let schema = pack.graphql.as_ref()?.schema.as_ref()?;
    let type_name = schema.root_operation(operation_type(root))?;
    schema.type_field(type_name, name).ok().map(|field| &field.node)
}

pub(super) const fn operation_type(root: Root) -> OperationType {
    match root {
        Root::Query => OperationType::Query,
        Root::Mutation => OperationType::Mutation,
        Root::Subscription => OperationType::Subscription,
    }
}
