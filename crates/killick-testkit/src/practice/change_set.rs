//! A whole configuration applied at once: whatever the file does not name is deleted.

use serde_json::{Value, json};

use super::environment_patch::delete_bucket;
use super::state::{Row, State, new_id, text};
use super::{deletion, mutations};

/// Carries out a root field on change sets, or returns `None` when it is not one.
pub(super) fn resolve(
    state: &mut State,
    field: &str,
    arguments: &Row,
) -> Option<Result<Value, String>> {
    let changes = arguments.get("input").cloned().unwrap_or(Value::Null);
    match field {
        "environmentPreviewChangeSet" => {
            Some(Ok(json!({"changeSet": changes, "diagnostics": [], "effects": []})))
        }
        "environmentApplyChangeSet" => {
            Some(apply(state, text(arguments, "environmentId"), &changes))
        }
        _ => None,
    }
}

fn apply(state: &mut State, environment: &str, change_set: &Value) -> Result<Value, String> {
    state.found("Environment", environment)?;
    let changes = change_set.get("changes").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut applied = Vec::new();
    for change in &changes {
        apply_one(state, environment, change)?;
        let part = |name: &str| change.get(name).cloned().unwrap_or(Value::Null);
        applied.push(json!({
            "kind": part("kind"), "path": part("path"), "summary": part("summary"),
            "status": "applied", "outputs": {},
        }));
    }
    Ok(json!({
        "id": new_id(), "status": "applied", "deploymentId": null, "stagedPatchId": null,
        "diagnostics": [], "changes": applied,
    }))
}

fn apply_one(state: &mut State, environment: &str, change: &Value) -> Result<(), String> {
    let part = |name: &str| change.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = part("address").rsplit(['.', ':', '/']).next().unwrap_or_default();
    let named =
        |state: &State, kind: &str| state.ids_where(kind, &[("name", name)]).into_iter().next();
    match part("kind") {
        "resource.delete" => {
            if let Some(service) = named(state, "Service") {
                deletion::delete_service(state, &service, Some(environment))?;
            } else if let Some(bucket) = named(state, "Bucket") {
                delete_bucket(state, &bucket, environment);
            }
            Ok(())
        }
        "variable.delete" => {
            let service = named(state, "Service").unwrap_or_default();
            mutations::remove_variable(state, environment, &service, part("variable"));
            Ok(())
        }
        other => Err(format!("not simulated: a change of kind {other}")),
    }
}
