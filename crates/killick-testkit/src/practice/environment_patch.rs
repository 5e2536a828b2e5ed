//! An environment as one document, and patches to it: the quiet way to delete.

use serde_json::{Value, json};

use super::state::{Row, State, new_id, text};
use super::{calendar, deletion, mutations};

/// Carries out a root field that patches an environment, or returns `None` when it is not one.
pub(super) fn resolve(
    state: &mut State,
    field: &str,
    arguments: &Row,
    input: &Row,
) -> Option<Result<Value, String>> {
    let environment = text(arguments, "environmentId");
    Some(match field {
        "environmentStageChanges" => stage(state, environment, input),
        "environmentPatchCommit" => {
            let patch = arguments.get("patch").and_then(Value::as_object).cloned();
            commit(state, environment, &patch.unwrap_or_default())
        }
        "environmentPatchCommitStaged" => {
            let patch = staged(state, environment);
            let patch = patch.get("patch").and_then(Value::as_object).cloned();
            let answer = commit(state, environment, &patch.unwrap_or_default());
            state.remove_where("EnvironmentPatch", &[("environmentId", environment)]);
            answer
        }
        _ => return None,
    })
}

/// Returns an environment's staged patch, an empty one when nothing is staged.
pub(super) fn staged(state: &State, environment: &str) -> Value {
    match state.rows_where("EnvironmentPatch", &[("environmentId", environment)]).first() {
        Some(row) => Value::Object((*row).clone()),
        None => patch_row(&format!("staged-{environment}"), environment, &json!({})),
    }
}

fn patch_row(id: &str, environment: &str, patch: &Value) -> Value {
    json!({
        "id": id, "environmentId": environment, "status": "STAGED", "patch": patch,
        "message": null, "createdAt": calendar::now(), "updatedAt": calendar::now(),
    })
}

fn stage(state: &mut State, environment: &str, patch: &Row) -> Result<Value, String> {
    let row = state.found_mut("Environment", environment)?;
    row.insert("unmergedChangesCount".to_owned(), json!(1));
    state.remove_where("EnvironmentPatch", &[("environmentId", environment)]);
    let row = patch_row(&new_id(), environment, &Value::Object(patch.clone()));
    state.put("EnvironmentPatch", row.clone());
    Ok(row)
}

fn commit(state: &mut State, environment: &str, patch: &Row) -> Result<Value, String> {
    state
        .found_mut("Environment", environment)?
        .insert("unmergedChangesCount".to_owned(), json!(0));
    let section = |name: &str| patch.get(name).and_then(Value::as_object).cloned();
    for (service, change) in section("services").unwrap_or_default() {
        if deletes(&change) {
            deletion::delete_service(state, &service, Some(environment))?;
            continue;
        }
        let scope = json!({"environmentId": environment, "serviceId": service});
        apply_variables(state, &scope, change.get("variables"));
    }
    let scope = json!({"environmentId": environment});
    apply_variables(state, &scope, patch.get("sharedVariables"));
    for (volume, change) in section("volumes").unwrap_or_default() {
        if deletes(&change) {
            let here = [("volumeId", volume.as_str()), ("environmentId", environment)];
            for instance in state.ids_where("VolumeInstance", &here) {
                deletion::delete_volume_instance(state, &instance)?;
            }
        }
    }
    for (bucket, change) in section("buckets").unwrap_or_default() {
        if deletes(&change) {
            delete_bucket(state, &bucket, environment);
        } else {
            state.put(
                "_BucketInstance",
                json!({"id": new_id(), "bucketId": bucket, "environmentId": environment}),
            );
        }
    }
    Ok(json!(new_id()))
}

/// Deletes a bucket in one environment; the last one takes the bucket with it.
pub(super) fn delete_bucket(state: &mut State, bucket: &str, environment: &str) {
    let here = [("bucketId", bucket), ("environmentId", environment)];
    state.remove_where("_BucketInstance", &here);
    if state.ids_where("_BucketInstance", &[("bucketId", bucket)]).is_empty() {
        state.remove("Bucket", bucket);
    }
}

/// A section that is null, or marked, is deleted.
fn deletes(change: &Value) -> bool {
    change.is_null() || change.get("isDeleted").and_then(Value::as_bool).unwrap_or(false)
}

fn apply_variables(state: &mut State, scope: &Value, variables: Option<&Value>) {
    let (Some(scope), Some(variables)) = (scope.as_object(), variables.and_then(Value::as_object))
    else {
        return;
    };
    for (name, change) in variables {
        let (environment, service) = (text(scope, "environmentId"), text(scope, "serviceId"));
        match change.get("value").and_then(Value::as_str) {
            Some(value) => mutations::upsert_variable(state, scope, name, value),
            None if deletes(change) => {
                mutations::remove_variable(state, environment, service, name);
            }
            None => {}
        }
    }
}

/// Returns an environment as the provider's one document.
pub(super) fn config(state: &State, environment: &str) -> Value {
    let here = [("environmentId", environment)];
    let mut services = Row::new();
    for instance in state.rows_where("ServiceInstance", &here) {
        let service = text(instance, "serviceId");
        services.insert(
            service.to_owned(),
            json!({
                "variables": variables(state, environment, service), "deploy": {},
                "source": instance.get("source"),
            }),
        );
    }
    let mut volumes = Row::new();
    for instance in state.rows_where("VolumeInstance", &here) {
        volumes.insert(
            text(instance, "volumeId").to_owned(),
            json!({"sizeMB": instance.get("sizeMB"), "region": instance.get("region")}),
        );
    }
    let mut buckets = Row::new();
    for instance in state.rows_where("_BucketInstance", &here) {
        buckets.insert(text(instance, "bucketId").to_owned(), json!({"region": "sjc"}));
    }
    json!({
        "services": services, "volumes": volumes, "buckets": buckets,
        "sharedVariables": variables(state, environment, ""),
    })
}

fn variables(state: &State, environment: &str, service: &str) -> Value {
    let mut found = Row::new();
    for row in state.rows_where("Variable", &[("environmentId", environment)]) {
        if text(row, "serviceId") == service {
            found.insert(text(row, "name").to_owned(), json!({"value": text(row, "_value")}));
        }
    }
    Value::Object(found)
}
