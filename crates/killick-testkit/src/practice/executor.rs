//! Runs an operation of the schema over rows of JSON: every object is a row, and what a row does
//! not hold is looked up as a relation.

use std::cell::RefCell;

use apollo_compiler::ast::{OperationType, Type};
use apollo_compiler::resolvers::{Execution, FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::access::{self, Principal};
use super::journal::ExecutedField;
use super::state::{Row, State};
use super::{mutations, queries, relations};

/// Runs one operation of a validated document. Returns the response and what was resolved.
pub(super) fn execute(
    schema: &Valid<Schema>,
    document: &Valid<ExecutableDocument>,
    operation_name: Option<&str>,
    variables: &JsonMap,
    state: &Mutex<State>,
    principal: &Principal,
) -> (Value, Vec<ExecutedField>) {
    let scene = Scene { state, principal, executed: RefCell::new(Vec::new()) };
    let answer = run(schema, document, operation_name, variables, &scene);
    (answer, scene.executed.into_inner())
}

fn run(
    schema: &Valid<Schema>,
    document: &Valid<ExecutableDocument>,
    operation_name: Option<&str>,
    variables: &JsonMap,
    scene: &Scene<'_>,
) -> Value {
    let refused = |message: String| json!({"errors": [{"message": message}]});
    let operation = match document.operations.get(operation_name) {
        Ok(operation) => operation,
        Err(failed) => return refused(failed.message().to_string()),
    };
    let root = match operation.operation_type {
        OperationType::Query => Root { scene, kind: RootKind::Query },
        OperationType::Mutation => Root { scene, kind: RootKind::Mutation },
        OperationType::Subscription => {
            return refused("subscriptions are not served over HTTP".to_owned());
        }
    };
    let execution = Execution::new(schema, document)
        .operation(operation)
        .raw_variable_values(variables)
        .enable_schema_introspection(true);
    match execution.execute_sync(&root) {
        Ok(response) => {
            let mut answer = serde_json::to_value(&response).unwrap_or(Value::Null);
            if let Some(answer) = answer.as_object_mut()
                && response.data.is_none()
            {
                answer.insert("data".to_owned(), Value::Null);
            }
            in_own_words(&mut answer);
            answer
        }
        Err(failed) => refused(failed.message().to_string()),
    }
}

/// Takes the parser library's prefix off the messages: clients compare the provider's words.
fn in_own_words(answer: &mut Value) {
    let errors = answer.get_mut("errors").and_then(Value::as_array_mut);
    for message in errors.into_iter().flatten().filter_map(|error| error.get_mut("message")) {
        if let Some(own) = message.as_str().and_then(|text| text.strip_prefix("resolver error: ")) {
            *message = json!(own);
        }
    }
}

struct Scene<'a> {
    state: &'a Mutex<State>,
    principal: &'a Principal,
    executed: RefCell<Vec<ExecutedField>>,
}

#[derive(Clone, Copy)]
enum RootKind {
    Query,
    Mutation,
}

struct Root<'a> {
    scene: &'a Scene<'a>,
    kind: RootKind,
}

impl Root<'_> {
    fn resolve_root(&self, field: &str, arguments: &Row) -> Result<Value, String> {
        let mut state = self.scene.state.lock();
        access::check(&state, self.scene.principal, field, arguments)?;
        match self.kind {
            RootKind::Query => queries::resolve(&state, self.scene.principal, field, arguments),
            RootKind::Mutation => mutations::resolve(&mut state, field, arguments),
        }
    }
}

impl ObjectValue for Root<'_> {
    fn type_name(&self) -> &str {
        match self.kind {
            RootKind::Query => "Query",
            RootKind::Mutation => "Mutation",
        }
    }

    fn resolve_field<'a>(
        &'a self,
        info: &'a ResolveInfo<'a>,
    ) -> Result<ResolvedValue<'a>, FieldError> {
        let arguments = plain(info.arguments());
        let answer = self.resolve_root(info.field_name(), &arguments);
        let kind = match self.kind {
            RootKind::Query => "query",
            RootKind::Mutation => "mutation",
        };
        self.scene.executed.borrow_mut().push(ExecutedField {
            field: format!("{kind}.{}", info.field_name()),
            arguments: Value::Object(arguments),
            failed: answer.is_err(),
        });
        shape(self.scene, answer.map_err(field_error)?, info)
    }
}

/// Any object but a root.
struct RowObject<'a> {
    scene: &'a Scene<'a>,
    type_name: String,
    row: Row,
}

impl ObjectValue for RowObject<'_> {
    fn type_name(&self) -> &str {
        &self.type_name
    }

    fn resolve_field<'a>(
        &'a self,
        info: &'a ResolveInfo<'a>,
    ) -> Result<ResolvedValue<'a>, FieldError> {
        let field = info.field_name();
        let value = match self.row.get(field) {
            Some(value) => Some(value.clone()),
            None => relations::resolve(&self.scene.state.lock(), &self.type_name, &self.row, field),
        };
        let value = match value {
            Some(value) => value,
            None => plausible(info)
                .ok_or_else(|| field_error(format!("not simulated: {}.{field}", self.type_name)))?,
        };
        shape(self.scene, value, info)
    }
}

fn field_error(message: String) -> FieldError {
    FieldError { message }
}

/// Returns a value for a field that the world keeps nothing for, where an empty one is honest.
fn plausible(info: &ResolveInfo<'_>) -> Option<Value> {
    let ty = &info.field_definition().ty;
    if !ty.is_non_null() {
        return Some(Value::Null);
    }
    if ty.is_list() || ty.inner_named_type().ends_with("Connection") {
        return Some(json!([]));
    }
    match ty.inner_named_type().as_str() {
        "Boolean" => Some(json!(false)),
        "Int" | "Float" => Some(json!(0)),
        "JSON" => Some(json!({})),
        "DateTime" => Some(json!(super::seed::MADE_AT)),
        _ => None,
    }
}

fn shape<'a>(
    scene: &'a Scene<'a>,
    value: Value,
    info: &'a ResolveInfo<'a>,
) -> Result<ResolvedValue<'a>, FieldError> {
    let ty = &info.field_definition().ty;
    let value = if ty.inner_named_type().ends_with("Connection") && value.is_array() {
        connection(value, info.arguments())
    } else {
        value
    };
    shape_as(scene, value, ty, info.schema())
}

fn shape_as<'a>(
    scene: &'a Scene<'a>,
    value: Value,
    ty: &Type,
    schema: &Valid<Schema>,
) -> Result<ResolvedValue<'a>, FieldError> {
    if value.is_null() {
        return Ok(ResolvedValue::null());
    }
    if ty.is_list() {
        let Value::Array(items) = value else {
            return Err(field_error("not simulated: a list of another shape".to_owned()));
        };
        let items: Vec<_> =
            items.into_iter().map(|item| shape_as(scene, item, ty.item_type(), schema)).collect();
        return Ok(ResolvedValue::List(Box::new(items.into_iter())));
    }
    let named = ty.inner_named_type();
    match (schema.types.get(named), value) {
        (Some(ExtendedType::Object(_)), Value::Object(row)) => {
            Ok(ResolvedValue::object(RowObject { scene, type_name: named.to_string(), row }))
        }
        (Some(ExtendedType::Interface(_) | ExtendedType::Union(_)), Value::Object(row)) => {
            let type_name = super::state::text(&row, "__typename").to_owned();
            Ok(ResolvedValue::object(RowObject { scene, type_name, row }))
        }
        (Some(ExtendedType::Scalar(_) | ExtendedType::Enum(_)), value) => {
            Ok(ResolvedValue::Leaf(JsonValue::from(value)))
        }
        _ => Err(field_error(format!("not simulated: a value of type {named}"))),
    }
}

/// Wraps a list as a page of a connection; a cursor is a position.
fn connection(nodes: Value, arguments: &JsonMap) -> Value {
    let Value::Array(nodes) = nodes else { return Value::Null };
    let number = |name: &str| {
        arguments.get(name).and_then(JsonValue::as_u64).and_then(|n| usize::try_from(n).ok())
    };
    let after = arguments.get("after").and_then(JsonValue::as_str).and_then(|at| at.parse().ok());
    let start = after.map_or(0, |at: usize| at.saturating_add(1)).min(nodes.len());
    let count = number("first").unwrap_or(nodes.len());
    let end = start.saturating_add(count).min(nodes.len());
    let has_next_page = end < nodes.len();
    let edges: Vec<Value> = nodes
        .into_iter()
        .enumerate()
        .skip(start)
        .take(end.saturating_sub(start))
        .map(|(at, node)| json!({"node": node, "cursor": at.to_string()}))
        .collect();
    let cursor = |edge: Option<&Value>| edge.and_then(|edge| edge.get("cursor")).cloned();
    let page_info = json!({
        "hasNextPage": has_next_page,
        "hasPreviousPage": start > 0,
        "startCursor": cursor(edges.first()),
        "endCursor": cursor(edges.last()),
    });
    json!({"edges": edges, "pageInfo": page_info})
}

/// Turns the parser library's JSON into the world's.
fn plain(arguments: &JsonMap) -> Row {
    match serde_json::to_value(arguments) {
        Ok(Value::Object(row)) => row,
        Ok(_) | Err(_) => Map::new(),
    }
}
