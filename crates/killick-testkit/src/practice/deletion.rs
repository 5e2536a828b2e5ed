//! Every way to destroy: what is deleted here is gone, from memory and from disk.

use serde_json::{Value, json};

use super::state::{Row, State, some_text, text};
use super::{access, calendar};

/// Carries out a root field that deletes, or returns `None` when it is not one.
pub(super) fn resolve(
    state: &mut State,
    field: &str,
    arguments: &Row,
) -> Option<Result<Value, String>> {
    let id = text(arguments, "id");
    let answer = match field {
        "volumeDelete" => delete_volume(state, text(arguments, "volumeId")),
        "serviceDelete" => delete_service(state, id, some_text(arguments, "environmentId")),
        "environmentDelete" => delete_environment(state, id),
        "projectDelete" | "projectScheduleDeleteForce" => delete_project(state, id),
        "projectScheduleDelete" => schedule_project(state, id, json!(calendar::now())),
        "projectScheduleDeleteCancel" => schedule_project(state, id, Value::Null),
        "workspaceDelete" => delete_workspace(state, id),
        "customDomainDelete" => remove(state, "CustomDomain", id),
        "serviceDomainDelete" => remove(state, "ServiceDomain", id),
        "deploymentRemove" | "deploymentStop" => stop_deployment(state, id),
        _ => return None,
    };
    Some(answer.map(|()| json!(true)))
}

fn remove(state: &mut State, kind: &str, id: &str) -> Result<(), String> {
    if state.remove(kind, id) { Ok(()) } else { Err(format!("{kind} not found")) }
}

/// Deletes a volume everywhere: all instances, all data, and the backups that live on it.
pub(super) fn delete_volume(state: &mut State, volume: &str) -> Result<(), String> {
    state.found("Volume", volume)?;
    for instance in state.ids_where("VolumeInstance", &[("volumeId", volume)]) {
        delete_volume_instance(state, &instance)?;
    }
    state.disk.delete_volume(volume).map_err(|failed| failed.to_string())?;
    state.remove("Volume", volume);
    Ok(())
}

/// Deletes one instance of a volume; the last one takes the volume with it.
pub(super) fn delete_volume_instance(state: &mut State, instance: &str) -> Result<(), String> {
    let volume = text(state.found("VolumeInstance", instance)?, "volumeId").to_owned();
    state.disk.delete_instance(&volume, instance).map_err(|failed| failed.to_string())?;
    state.remove_where("VolumeInstanceBackup", &[("_volumeInstanceId", instance)]);
    state.remove("VolumeInstance", instance);
    if state.ids_where("VolumeInstance", &[("volumeId", &volume)]).is_empty() {
        state.disk.delete_volume(&volume).map_err(|failed| failed.to_string())?;
        state.remove("Volume", &volume);
    }
    Ok(())
}

/// Deletes a service in one environment, or everywhere. Its volumes stay, attached to nothing.
pub(super) fn delete_service(
    state: &mut State,
    service: &str,
    environment: Option<&str>,
) -> Result<(), String> {
    state.found("Service", service)?;
    let mut scope = vec![("serviceId", service)];
    scope.extend(environment.map(|environment| ("environmentId", environment)));
    for instance in state.ids_where("VolumeInstance", &scope) {
        if let Some(row) = state.row_mut("VolumeInstance", &instance) {
            row.insert("serviceId".to_owned(), Value::Null);
        }
    }
    for kind in ["Deployment", "Variable", "ServiceDomain", "CustomDomain", "ServiceInstance"] {
        state.remove_where(kind, &scope);
    }
    if state.ids_where("ServiceInstance", &[("serviceId", service)]).is_empty() {
        state.remove("Service", service);
    }
    Ok(())
}

fn delete_environment(state: &mut State, environment: &str) -> Result<(), String> {
    let project = text(state.found("Environment", environment)?, "projectId").to_owned();
    let here = [("environmentId", environment)];
    for instance in state.ids_where("VolumeInstance", &here) {
        delete_volume_instance(state, &instance)?;
    }
    for kind in ["Deployment", "Variable", "ServiceDomain", "CustomDomain", "ServiceInstance"] {
        state.remove_where(kind, &here);
    }
    for service in state.ids_where("Service", &[("projectId", &project)]) {
        if state.ids_where("ServiceInstance", &[("serviceId", &service)]).is_empty() {
            state.remove("Service", &service);
        }
    }
    state.remove_where(access::TOKENS, &here);
    state.remove("Environment", environment);
    Ok(())
}

fn delete_project(state: &mut State, project: &str) -> Result<(), String> {
    state.found("Project", project)?;
    let mine = [("projectId", project)];
    for environment in state.ids_where("Environment", &mine) {
        delete_environment(state, &environment)?;
    }
    for volume in state.ids_where("Volume", &mine) {
        delete_volume(state, &volume)?;
    }
    state.remove_where("Service", &mine);
    state.remove_where("Bucket", &mine);
    state.remove("Project", project);
    Ok(())
}

fn delete_workspace(state: &mut State, workspace: &str) -> Result<(), String> {
    state.found("Workspace", workspace)?;
    for project in state.ids_where("Project", &[("workspaceId", workspace)]) {
        delete_project(state, &project)?;
    }
    remove(state, "Workspace", workspace)
}

/// Marks a project as going to be deleted, or as staying after all.
fn schedule_project(state: &mut State, project: &str, at: Value) -> Result<(), String> {
    state.found_mut("Project", project)?.insert("deletedAt".to_owned(), at);
    Ok(())
}

fn stop_deployment(state: &mut State, deployment: &str) -> Result<(), String> {
    let row = state.found_mut("Deployment", deployment)?;
    row.insert("status".to_owned(), json!("REMOVED"));
    row.insert("deploymentStopped".to_owned(), json!(true));
    row.insert("canRedeploy".to_owned(), json!(false));
    Ok(())
}
