//! Changes to projects, environments, services and their deployments.

use serde_json::{Value, json};

use super::state::{Row, State, new_id, some_text, text};
use super::{calendar, queries};

/// Carries out a root field that makes or changes, or returns `None` when it is not one.
pub(super) fn resolve(
    state: &mut State,
    field: &str,
    arguments: &Row,
    input: &Row,
) -> Option<Result<Value, String>> {
    let id = text(arguments, "id");
    let service = text(arguments, "serviceId");
    let environment = text(arguments, "environmentId");
    Some(match field {
        "projectCreate" => project_create(state, input),
        "projectUpdate" => patch_row(state, "Project", id, input),
        "environmentCreate" => environment_create(state, input),
        "environmentRename" => patch_row(state, "Environment", id, input),
        "serviceCreate" => service_create(state, input),
        "serviceUpdate" => patch_row(state, "Service", id, input),
        "serviceConnect" | "serviceDisconnect" => {
            state.found("Service", id).cloned().map(Value::Object)
        }
        "serviceInstanceUpdate" => {
            let mut scope = vec![("serviceId", service)];
            scope.extend(some_text(arguments, "environmentId").map(|at| ("environmentId", at)));
            for instance in state.ids_where("ServiceInstance", &scope) {
                let patched = patch_row(state, "ServiceInstance", &instance, input);
                debug_assert!(patched.is_ok(), "the instance was listed");
            }
            Ok(json!(true))
        }
        "serviceInstanceRedeploy" | "serviceInstanceDeploy" => {
            deploy(state, service, environment).map(|_| json!(true))
        }
        "serviceInstanceDeployV2" => deploy(state, service, environment).map(|made| json!(made)),
        "deploymentRedeploy" | "deploymentRollback" => redeploy(state, id, field),
        "deploymentRestart" => state.found("Deployment", id).map(|_| json!(true)),
        "customDomainUpdate" => {
            patch_row(state, "CustomDomain", id, arguments).map(|_| json!(true))
        }
        "serviceDomainUpdate" => {
            patch_row(state, "ServiceDomain", text(input, "serviceDomainId"), input)
                .map(|_| json!(true))
        }
        "bucketCreate" => bucket_create(state, input),
        "bucketUpdate" => patch_row(state, "Bucket", id, input),
        _ => return None,
    })
}

/// Overwrites the fields of a row that an input gives, and returns the row.
fn patch_row(state: &mut State, kind: &str, id: &str, input: &Row) -> Result<Value, String> {
    let row = state.found_mut(kind, id)?;
    for (field, value) in input.iter().filter(|(field, _)| field.as_str() != "id") {
        row.insert(field.clone(), value.clone());
    }
    row.insert("updatedAt".to_owned(), json!(calendar::now()));
    Ok(Value::Object(row.clone()))
}

fn project_create(state: &mut State, input: &Row) -> Result<Value, String> {
    let workspace = queries::default_workspace(state);
    let default_id = workspace.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let workspace = some_text(input, "workspaceId").unwrap_or(&default_id);
    state.found("Workspace", workspace)?;
    let id = new_id();
    let environment = new_id();
    let name = some_text(input, "name").unwrap_or("unnamed");
    let row = project_row(&id, name, workspace, &environment);
    state.put("Project", row.clone());
    let name = some_text(input, "defaultEnvironmentName").unwrap_or("production");
    state.put("Environment", environment_row(&environment, name, &id));
    Ok(row)
}

/// Makes the row of a project.
pub(super) fn project_row(id: &str, name: &str, workspace: &str, base: &str) -> Value {
    json!({
        "id": id, "name": name, "workspaceId": workspace, "description": null, "deletedAt": null,
        "baseEnvironmentId": base, "primaryEnvironmentId": base, "isPublic": false,
        "createdAt": calendar::now(), "updatedAt": calendar::now(),
    })
}

/// Makes the row of an environment.
pub(super) fn environment_row(id: &str, name: &str, project: &str) -> Value {
    json!({
        "id": id, "name": name, "projectId": project, "isEphemeral": false, "deletedAt": null,
        "unmergedChangesCount": 0, "meta": null,
        "createdAt": calendar::now(), "updatedAt": calendar::now(),
    })
}

fn environment_create(state: &mut State, input: &Row) -> Result<Value, String> {
    let project = text(input, "projectId");
    state.found("Project", project)?;
    let id = new_id();
    let mut row = environment_row(&id, text(input, "name"), project);
    if let (Some(source), Some(fields)) =
        (some_text(input, "sourceEnvironmentId"), row.as_object_mut())
    {
        state.found("Environment", source)?;
        fields.insert("sourceEnvironmentId".to_owned(), json!(source));
        copy_environment(state, source, &id)?;
    }
    state.put("Environment", row.clone());
    Ok(row)
}

/// Copies services and variables, not volumes, into an environment.
fn copy_environment(state: &mut State, source: &str, target: &str) -> Result<(), String> {
    for kind in ["ServiceInstance", "Variable"] {
        for id in state.ids_where(kind, &[("environmentId", source)]) {
            let mut row = state.found(kind, &id)?.clone();
            row.insert("id".to_owned(), json!(new_id()));
            row.insert("environmentId".to_owned(), json!(target));
            state.put(kind, Value::Object(row));
        }
    }
    Ok(())
}

fn service_create(state: &mut State, input: &Row) -> Result<Value, String> {
    let project = text(input, "projectId");
    state.found("Project", project)?;
    let id = new_id();
    let generated = format!("service-{}", id.split('-').next().unwrap_or_default());
    let name = some_text(input, "name").unwrap_or(&generated);
    let row = service_row(&id, name, project);
    state.put("Service", row.clone());
    let environments = match some_text(input, "environmentId") {
        Some(environment) => vec![environment.to_owned()],
        None => state.ids_where("Environment", &[("projectId", project)]),
    };
    for environment in environments {
        state.put(
            "ServiceInstance",
            service_instance_row(&new_id(), &id, &environment, "example/fleet"),
        );
        deploy(state, &id, &environment)?;
    }
    Ok(row)
}

/// Makes the row of a service.
pub(super) fn service_row(id: &str, name: &str, project: &str) -> Value {
    json!({
        "id": id, "name": name, "projectId": project, "icon": null, "deletedAt": null,
        "createdAt": calendar::now(), "updatedAt": calendar::now(),
    })
}

/// Makes the row of a service's instance in one environment, made from an image when its source
/// has a tag, else from a repository.
pub(super) fn service_instance_row(
    id: &str,
    service: &str,
    environment: &str,
    source: &str,
) -> Value {
    let (image, repo) =
        if source.contains(':') { (Some(source), None) } else { (None, Some(source)) };
    json!({
        "id": id, "serviceId": service, "environmentId": environment, "numReplicas": 1,
        "source": {"image": image, "repo": repo}, "deletedAt": null,
        "startCommand": null, "region": "us-west2", "isUpdatable": true,
        "createdAt": calendar::now(), "updatedAt": calendar::now(),
    })
}

/// Deploys a service in an environment and returns the deployment's id.
pub(super) fn deploy(
    state: &mut State,
    service: &str,
    environment: &str,
) -> Result<String, String> {
    let here = [("serviceId", service), ("environmentId", environment)];
    if state.ids_where("ServiceInstance", &here).is_empty() {
        return Err("ServiceInstance not found".to_owned());
    }
    let project = text(state.found("Service", service)?, "projectId").to_owned();
    for previous in state.ids_where("Deployment", &here) {
        if let Some(row) = state.row_mut("Deployment", &previous) {
            row.insert("status".to_owned(), json!("REMOVED"));
        }
    }
    let id = new_id();
    state.put("Deployment", deployment_row(&id, &project, service, environment));
    Ok(id)
}

/// Makes the row of a deployment that runs.
pub(super) fn deployment_row(id: &str, project: &str, service: &str, environment: &str) -> Value {
    json!({
        "id": id, "projectId": project, "serviceId": service, "environmentId": environment,
        "status": "SUCCESS", "canRedeploy": true, "canRollback": true, "deploymentStopped": false,
        "meta": {"repo": "example/fleet", "branch": "main"}, "snapshotId": null, "staticUrl": null,
        "url": null, "sockets": [],
        "createdAt": calendar::now(), "updatedAt": calendar::now(),
        "statusUpdatedAt": calendar::now(),
    })
}

fn redeploy(state: &mut State, deployment: &str, field: &str) -> Result<Value, String> {
    let row = state.found("Deployment", deployment)?;
    let (service, environment) =
        (text(row, "serviceId").to_owned(), text(row, "environmentId").to_owned());
    let made = deploy(state, &service, &environment)?;
    if field == "deploymentRollback" {
        return Ok(json!(true));
    }
    state.found("Deployment", &made).cloned().map(Value::Object)
}

fn bucket_create(state: &mut State, input: &Row) -> Result<Value, String> {
    let project = text(input, "projectId");
    state.found("Project", project)?;
    let id = new_id();
    let name = some_text(input, "name").unwrap_or("bucket");
    let row = bucket_row(&id, name, project);
    state.put("Bucket", row.clone());
    Ok(row)
}

/// Makes the row of a bucket.
pub(super) fn bucket_row(id: &str, name: &str, project: &str) -> Value {
    json!({
        "id": id, "name": name, "projectId": project, "groupId": null,
        "createdAt": calendar::now(), "updatedAt": calendar::now(),
    })
}
