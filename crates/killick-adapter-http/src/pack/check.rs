//! Holding a pack against the provider's schema.

use apollo_compiler::Node;
use apollo_compiler::ast::{Document, FieldDefinition, OperationType, Type};
use apollo_compiler::schema::ExtendedType;

use super::load::{OPERATIONS, whole_file};
use super::operation::{ArgPath, ArgStep};
use super::toml_at::At;
use super::{Pack, Problem, Root};

/// What is known of the arguments of an operation.
pub(super) enum Arguments {
    /// The pack has no schema.
    Unknown,
    /// The schema does not have the operation.
    NoSuchField,
    /// By the schema.
    Field(Node<FieldDefinition>),
    /// Named segments of a REST path.
    Segments(Vec<String>),
}

/// Returns what the schema says of an operation.
pub(super) fn arguments(pack: &Pack, root: Root, name: &str) -> Arguments {
    if pack.graphql.as_ref().is_none_or(|api| api.schema.is_none()) {
        return Arguments::Unknown;
    }
    root_field(pack, root, name)
        .map_or(Arguments::NoSuchField, |field| Arguments::Field(field.clone()))
}

impl Arguments {
    /// Reports a path that leads nowhere.
    pub(super) fn check(&self, pack: &Pack, at: &At<'_, '_>, path: &ArgPath) {
        match self {
            Self::Unknown | Self::NoSuchField => {}
            Self::Segments(names) => {
                let known = match path.steps().first() {
                    Some(ArgStep::Key(key)) if key == "body" || key == "query" => true,
                    Some(ArgStep::Key(key)) => path.steps().len() == 1 && names.contains(key),
                    Some(ArgStep::Each) | None => false,
                };
                if !known {
                    at.problem(
                        format!("the path has no segment `{path}`"),
                        "name a segment, or write `body.KEY` or `query.KEY`",
                    );
                }
            }
            Self::Field(field) => {
                if let Err(message) = walk(pack, field, path) {
                    at.problem(message, "name an argument of the schema");
                }
            }
        }
    }
}

fn walk(pack: &Pack, field: &FieldDefinition, path: &ArgPath) -> Result<(), String> {
    let Some(schema) = pack.graphql.as_ref().and_then(|api| api.schema.as_deref()) else {
        return Ok(());
    };
    let mut steps = path.steps().iter();
    let Some(ArgStep::Key(first)) = steps.next() else {
        return Err(format!("`{path}` does not begin with an argument"));
    };
    let argument = field
        .argument_by_name(first)
        .ok_or_else(|| format!("`{}` has no argument `{first}`", field.name))?;
    let mut ty: Type = (*argument.ty).clone();
    for step in steps {
        match step {
            ArgStep::Each if ty.is_list() => ty = ty.item_type().clone(),
            ArgStep::Each => {
                if is_opaque(schema, &ty) {
                    return Ok(());
                }
                return Err(format!("`{path}` takes elements of something that is no list"));
            }
            ArgStep::Key(key) => match schema.types.get(ty.inner_named_type()) {
                Some(ExtendedType::InputObject(object)) => {
                    let inner = object.fields.get(key.as_str()).ok_or_else(|| {
                        format!("`{}` has no field `{key}`", ty.inner_named_type())
                    })?;
                    ty = (*inner.ty).clone();
                }
                Some(ExtendedType::Scalar(_)) if is_opaque(schema, &ty) => return Ok(()),
                Some(
                    ExtendedType::Scalar(_)
                    | ExtendedType::Object(_)
                    | ExtendedType::Interface(_)
                    | ExtendedType::Union(_)
                    | ExtendedType::Enum(_),
                )
                | None => {
                    return Err(format!("`{}` has no field `{key}`", ty.inner_named_type()));
                }
            },
        }
    }
    Ok(())
}

// A scalar of the provider's own may hold anything.
fn is_opaque(schema: &apollo_compiler::Schema, ty: &Type) -> bool {
    match schema.types.get(ty.inner_named_type()) {
        Some(ExtendedType::Scalar(scalar)) => !scalar.is_built_in(),
        Some(
            ExtendedType::Object(_)
            | ExtendedType::Interface(_)
            | ExtendedType::Union(_)
            | ExtendedType::Enum(_)
            | ExtendedType::InputObject(_),
        )
        | None => false,
    }
}

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

pub(crate) const fn operation_type(root: Root) -> OperationType {
    match root {
        Root::Query => OperationType::Query,
        Root::Mutation => OperationType::Mutation,
        Root::Subscription => OperationType::Subscription,
    }
}

/// Returns the root fields of the schema that the operations do not have.
pub(super) fn completeness(pack: &Pack) -> Vec<Problem> {
    let Some(schema) = pack.graphql.as_ref().and_then(|api| api.schema.as_ref()) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    for (root, word) in Root::ALL {
        let fields = schema
            .root_operation(operation_type(root))
            .and_then(|name| schema.get_object(name))
            .map(|object| object.fields.keys());
        for name in fields.into_iter().flatten() {
            if !pack.operations.contains_key(&(root, name.to_string())) {
                problems.push(whole_file(
                    OPERATIONS,
                    format!("the schema has a {word} `{name}` that the pack does not know"),
                    &format!("write `[{word}.{name}]`; until then it is unrecognized"),
                ));
            }
        }
    }
    problems
}

/// Says why a document is not one operation of the wanted kind that the schema knows.
pub(super) fn document_problem(pack: &Pack, text: &str, wanted: OperationType) -> Option<String> {
    let document = match Document::parse(text, "document.graphql") {
        Ok(document) => document,
        Err(failed) => {
            let first = failed.errors.iter().next().map(|error| error.error.to_string());
            return Some(format!("not a GraphQL document: {}", first.unwrap_or_default()));
        }
    };
    let mut operations =
        document.definitions.iter().filter_map(|definition| definition.as_operation_definition());
    match (operations.next(), operations.next()) {
        (Some(only), None) if only.operation_type == wanted => {}
        (Some(only), None) => {
            return Some(format!("a {}, wanted is a {}", only.operation_type, wanted));
        }
        (_, _) => return Some("a document with one operation is wanted".into()),
    }
    let schema = pack.graphql.as_ref()?.schema.as_deref()?;
    let failed = document.to_executable_validate(schema).err()?;
    let first = failed.errors.iter().next().map(|error| error.error.to_string());
    Some(format!("not valid for the schema: {}", first.unwrap_or_default()))
}
