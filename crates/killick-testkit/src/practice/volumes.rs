//! Volumes and their backups.

use serde_json::{Value, json};

use super::state::{Row, State, new_id, some_text, text};
use super::{calendar, changes, deletion};

/// Size that a volume is made with, in the provider's megabytes.
const VOLUME_SIZE_MB: u32 = 5_000;

/// Carries out a root field on volumes, or returns `None` when it is not one.
pub(super) fn resolve(
    state: &mut State,
    field: &str,
    arguments: &Row,
    input: &Row,
) -> Option<Result<Value, String>> {
    let instance = text(arguments, "volumeInstanceId");
    let backup = text(arguments, "volumeInstanceBackupId");
    Some(match field {
        "volumeCreate" => create(state, input),
        "volumeUpdate" => rename(state, text(arguments, "volumeId"), input),
        "volumeInstanceUpdate" => update_instances(state, arguments, input),
        "volumeInstanceBackupCreate" => {
            back_up(state, instance, some_text(arguments, "name")).map(|()| workflow())
        }
        "volumeInstanceBackupDelete" => delete_backup(state, instance, backup).map(|()| workflow()),
        "volumeInstanceBackupLock" => lock_backup(state, instance, backup).map(|()| json!(true)),
        "volumeInstanceBackupRestore" => {
            restore(state, instance, backup, arguments).map(|()| workflow())
        }
        "volumeInstancePITRRestore" => {
            restore_elsewhere(state, instance, arguments).map(|()| workflow())
        }
        "volumeInstanceBackupScheduleUpdate" => {
            state.found("VolumeInstance", instance).map(|_| json!(true))
        }
        _ => return None,
    })
}

fn workflow() -> Value {
    json!({"workflowId": new_id()})
}

fn create(state: &mut State, input: &Row) -> Result<Value, String> {
    let project = text(input, "projectId");
    state.found("Project", project)?;
    let volume = new_id();
    let name = format!("volume-{}", volume.split('-').next().unwrap_or_default());
    let row = json!({
        "id": volume, "name": name, "projectId": project, "createdAt": calendar::now(),
    });
    state.put("Volume", row.clone());
    let environments = match some_text(input, "environmentId") {
        Some(environment) => vec![environment.to_owned()],
        None => state.ids_where("Environment", &[("projectId", project)]),
    };
    for environment in environments {
        state.found("Environment", &environment)?;
        let service = some_text(input, "serviceId");
        add_instance(state, &volume, &environment, service, text(input, "mountPath"))?;
    }
    Ok(row)
}

fn add_instance(
    state: &mut State,
    volume: &str,
    environment: &str,
    service: Option<&str>,
    mount_path: &str,
) -> Result<(), String> {
    let id = new_id();
    state.disk.create(volume, &id).map_err(|failed| failed.to_string())?;
    let row = instance_row(&id, volume, environment, service, mount_path, VOLUME_SIZE_MB);
    state.put("VolumeInstance", row);
    Ok(())
}

/// Makes the row of a volume's instance.
pub(super) fn instance_row(
    id: &str,
    volume: &str,
    environment: &str,
    service: Option<&str>,
    mount_path: &str,
    size_mb: u32,
) -> Value {
    json!({
        "id": id, "volumeId": volume, "environmentId": environment, "serviceId": service,
        "mountPath": mount_path, "sizeMB": size_mb, "state": "READY", "region": "us-west2",
        "createdAt": calendar::now(), "deletedAt": null, "isPendingDeletion": false,
        "externalId": id,
    })
}

fn rename(state: &mut State, volume: &str, input: &Row) -> Result<Value, String> {
    let row = state.found_mut("Volume", volume)?;
    if let Some(name) = some_text(input, "name") {
        row.insert("name".to_owned(), json!(name));
    }
    Ok(Value::Object(row.clone()))
}

/// Updates a volume's instances: one environment's, or all of them when none is named.
fn update_instances(state: &mut State, arguments: &Row, input: &Row) -> Result<Value, String> {
    let volume = text(arguments, "volumeId");
    state.found("Volume", volume)?;
    let mut scope = vec![("volumeId", volume)];
    scope.extend(some_text(arguments, "environmentId").map(|found| ("environmentId", found)));
    let instances = state.ids_where("VolumeInstance", &scope);
    if instances.is_empty() {
        return Err("VolumeInstance not found".to_owned());
    }
    let wanted_state = some_text(input, "state");
    for instance in instances {
        if matches!(wanted_state, Some("DELETED" | "DELETING")) {
            deletion::delete_volume_instance(state, &instance)?;
            continue;
        }
        let row = state.found_mut("VolumeInstance", &instance)?;
        for field in ["mountPath", "serviceId", "state"] {
            if let Some(value) = input.get(field) {
                row.insert(field.to_owned(), value.clone());
            }
        }
    }
    Ok(json!(true))
}

fn volume_of(state: &State, instance: &str) -> Result<String, String> {
    Ok(text(state.found("VolumeInstance", instance)?, "volumeId").to_owned())
}

fn back_up(state: &mut State, instance: &str, name: Option<&str>) -> Result<(), String> {
    let volume = volume_of(state, instance)?;
    let id = new_id();
    state.disk.back_up(&volume, instance, &id).map_err(|failed| failed.to_string())?;
    let row = backup_row(&id, instance, name.unwrap_or("Manual backup"), &calendar::now());
    state.put("VolumeInstanceBackup", row);
    Ok(())
}

/// Makes the row of a backup.
pub(super) fn backup_row(id: &str, instance: &str, name: &str, made_at: &str) -> Value {
    json!({
        "id": id, "name": name, "createdAt": made_at, "expiresAt": null, "externalId": id,
        "creatorId": null, "scheduleId": null, "volumeInstanceSizeMB": VOLUME_SIZE_MB,
        "_volumeInstanceId": instance, "_locked": false,
    })
}

/// Returns a backup's row if it is one of the instance's.
fn own_backup<'a>(
    state: &'a mut State,
    instance: &str,
    backup: &str,
) -> Result<&'a mut Row, String> {
    let row = state.found_mut("VolumeInstanceBackup", backup)?;
    if text(row, "_volumeInstanceId") == instance {
        Ok(row)
    } else {
        Err("VolumeInstanceBackup not found".to_owned())
    }
}

fn lock_backup(state: &mut State, instance: &str, backup: &str) -> Result<(), String> {
    own_backup(state, instance, backup)?.insert("_locked".to_owned(), json!(true));
    Ok(())
}

/// Deletes a backup. A lock keeps it from expiring, not from this.
fn delete_backup(state: &mut State, instance: &str, backup: &str) -> Result<(), String> {
    let volume = volume_of(state, instance)?;
    own_backup(state, instance, backup)?;
    let deleted = state.disk.delete_backup(&volume, instance, backup);
    deleted.map_err(|failed| failed.to_string())?;
    state.remove("VolumeInstanceBackup", backup);
    Ok(())
}

fn restore(state: &mut State, instance: &str, backup: &str, arguments: &Row) -> Result<(), String> {
    let volume = volume_of(state, instance)?;
    own_backup(state, instance, backup)?;
    let restored = state.disk.restore(&volume, instance, backup);
    restored.map_err(|failed| failed.to_string())?;
    let environment = text(state.found("VolumeInstance", instance)?, "environmentId").to_owned();
    let wiped = arguments.get("wipeServiceIds").and_then(Value::as_array).cloned();
    for service in wiped.unwrap_or_default().iter().filter_map(Value::as_str) {
        let scope = [("serviceId", service), ("environmentId", environment.as_str())];
        for other in state.ids_where("VolumeInstance", &scope) {
            let volume = volume_of(state, &other)?;
            state.disk.wipe(&volume, &other).map_err(|failed| failed.to_string())?;
        }
    }
    Ok(())
}

/// Restores into a service of its own, which touches nothing that is there.
fn restore_elsewhere(state: &mut State, instance: &str, arguments: &Row) -> Result<(), String> {
    let row = state.found("VolumeInstance", instance)?.clone();
    let source = text(&row, "serviceId");
    let project = text(state.found("Service", source)?, "projectId").to_owned();
    let service = new_id();
    let name = some_text(arguments, "newServiceName").unwrap_or("restored");
    state.put("Service", changes::service_row(&service, name, &project));
    let environment = text(&row, "environmentId");
    let made_from = "ghcr.io/railwayapp-templates/postgres-ssl:16";
    let made = changes::service_instance_row(&new_id(), &service, environment, made_from);
    state.put("ServiceInstance", made);
    changes::deploy(state, &service, environment).map(|_| ())
}
