//! The rows of the inspector's queries, as the server writes them.

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct About {
    pub(super) version: u32,
    pub(super) database: String,
    pub(super) role: String,
    pub(super) superuser: Option<bool>,
    pub(super) path: Vec<String>,
    pub(super) temporary: Option<String>,
}
#[derive(Deserialize)]
pub(super) struct RelationRow {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) persistence: String,
    pub(super) owner: String,
    pub(super) tuples: f64,
    pub(super) bytes: u64,
    pub(super) rls: bool,
    pub(super) forced: bool,
    pub(super) definition: Option<String>,
}
#[derive(Deserialize)]
pub(super) struct ColumnRow {
    pub(super) relation: u32,
    pub(super) name: String,
    pub(super) number: i16,
    pub(super) r#type: u32,
    pub(super) type_text: String,
    pub(super) not_null: bool,
    pub(super) generated: String,
    pub(super) identity: String,
    pub(super) default: Option<String>,
}
#[expect(clippy::struct_excessive_bools, reason = "the columns of the server's catalogue")]
#[derive(Deserialize)]
pub(super) struct IndexRow {
    pub(super) relation: u32,
    pub(super) is_primary: bool,
    pub(super) is_unique: bool,
    pub(super) columns: Option<Vec<String>>,
    pub(super) width: usize,
    pub(super) partial: bool,
    pub(super) deferrable: bool,
    pub(super) expressions: String,
}
#[derive(Deserialize)]
pub(super) struct TriggerRow {
    pub(super) relation: u32,
    pub(super) name: String,
    pub(super) function: u32,
    pub(super) r#type: i32,
    pub(super) enabled: String,
    pub(super) deferrable: bool,
    pub(super) columns: Option<Vec<String>>,
}
#[derive(Deserialize)]
pub(super) struct RuleRow {
    pub(super) relation: u32,
    pub(super) name: String,
    pub(super) event: String,
    pub(super) instead: bool,
    pub(super) definition: String,
}
#[derive(Deserialize)]
pub(super) struct KeyRow {
    pub(super) name: String,
    pub(super) child: u32,
    pub(super) parent: u32,
    pub(super) child_columns: Vec<String>,
    pub(super) parent_columns: Vec<String>,
    pub(super) on_delete: String,
    pub(super) on_update: String,
    pub(super) deferrable: bool,
}
#[derive(Deserialize)]
pub(super) struct CheckRow {
    pub(super) relation: u32,
    pub(super) r#type: u32,
    pub(super) expression: Option<String>,
}
#[derive(Deserialize)]
pub(super) struct PolicyRow {
    pub(super) relation: u32,
    pub(super) name: String,
    pub(super) using: Option<String>,
    pub(super) check: Option<String>,
}
#[derive(Deserialize)]
pub(super) struct InheritRow {
    pub(super) child: u32,
    pub(super) parent: u32,
}
#[derive(Deserialize)]
pub(super) struct PublicationRow {
    pub(super) relation: u32,
    pub(super) name: String,
}
#[derive(Deserialize)]
pub(super) struct FunctionRow {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) arguments: Vec<u32>,
    pub(super) defaults: usize,
    pub(super) variadic: bool,
    pub(super) returns: u32,
    pub(super) kind: String,
    pub(super) volatility: String,
    pub(super) language: String,
    pub(super) definer: bool,
    pub(super) owner: String,
    pub(super) extension: Option<String>,
    pub(super) body: Option<String>,
    pub(super) definition: Option<String>,
    pub(super) settings: Option<Vec<String>>,
    pub(super) argument_names: Option<Vec<String>>,
}
#[derive(Deserialize)]
pub(super) struct AggregateRow {
    pub(super) aggregate: u32,
    pub(super) parts: Vec<u32>,
}
#[derive(Deserialize)]
pub(super) struct OperatorRow {
    pub(super) name: String,
    pub(super) schema: String,
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) function: u32,
}
#[derive(Deserialize)]
pub(super) struct TypeRow {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) base: u32,
    pub(super) input: u32,
    pub(super) output: u32,
    pub(super) extension: Option<String>,
}
#[derive(Deserialize)]
pub(super) struct CastRow {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) function: u32,
}
#[derive(Deserialize)]
pub(super) struct RoleRow {
    pub(super) name: String,
    pub(super) superuser: bool,
}
#[derive(Deserialize)]
pub(super) struct EventRow {
    pub(super) function: u32,
    pub(super) event: String,
}
#[derive(Deserialize)]
pub(super) struct SchemaRow {
    pub(super) name: String,
    pub(super) owner: String,
}
