//! What objects hold that their rows do not: other objects, and what is measured.

use serde_json::{Value, json};

use super::state::{Row, State, some_text, text};

/// Bytes in the megabyte of the provider's sizes.
const MEGABYTE_BYTES: f64 = 1_000_000.0;

/// Returns a field that leads from one object to others, or `None` when the world knows of none.
pub(super) fn resolve(state: &State, kind: &str, row: &Row, field: &str) -> Option<Value> {
    let id = text(row, "id");
    match (kind, field) {
        ("User", "workspaces") => Some(all(state, "Workspace", &[])),
        ("User", "projects") => Some(all(state, "Project", &[])),
        ("Workspace", "projects") => Some(all(state, "Project", &[("workspaceId", id)])),
        ("Workspace", "projectCount") => Some(json!(state.rows("Project").count())),
        ("Project", _) => project(state, id, row, field),
        ("Environment", _) => environment(state, id, row, field),
        ("Service", "serviceInstances") => {
            Some(all(state, "ServiceInstance", &[("serviceId", id)]))
        }
        ("Service", "deployments") => Some(all(state, "Deployment", &[("serviceId", id)])),
        ("ServiceInstance", _) => service_instance(state, row, field),
        ("Deployment", "instances") => Some(deployment_instances(row)),
        ("Volume", "volumeInstances") => Some(all(state, "VolumeInstance", &[("volumeId", id)])),
        ("VolumeInstance", "currentSizeMB") => {
            Some(json!(size_mb(state.disk.size_bytes(text(row, "volumeId"), id))))
        }
        ("VolumeInstance", "volume") => Some(one(state, "Volume", text(row, "volumeId"))),
        ("VolumeInstanceBackup", "usedMB" | "referencedMB") => Some(json!(backup_mb(state, row))),
        ("CustomDomain", "status") => Some(domain_status(row)),
        _ => owner(state, row, field),
    }
}

/// Returns the project, environment or service that a row names by id.
fn owner(state: &State, row: &Row, field: &str) -> Option<Value> {
    let (kind, key) = match field {
        "project" => ("Project", "projectId"),
        "environment" => ("Environment", "environmentId"),
        "service" => ("Service", "serviceId"),
        "workspace" => ("Workspace", "workspaceId"),
        _ => return None,
    };
    Some(one(state, kind, some_text(row, key)?))
}

fn project(state: &State, id: &str, row: &Row, field: &str) -> Option<Value> {
    let mine = [("projectId", id)];
    match field {
        "environments" => Some(all(state, "Environment", &mine)),
        "services" => Some(all(state, "Service", &mine)),
        "volumes" => Some(all(state, "Volume", &mine)),
        "buckets" => Some(all(state, "Bucket", &mine)),
        "deployments" => Some(all(state, "Deployment", &mine)),
        "baseEnvironment" => Some(one(state, "Environment", text(row, "baseEnvironmentId"))),
        "subscriptionType" => Some(json!("pro")),
        _ => owner(state, row, field),
    }
}

fn environment(state: &State, id: &str, row: &Row, field: &str) -> Option<Value> {
    let here = [("environmentId", id)];
    match field {
        "serviceInstances" => Some(all(state, "ServiceInstance", &here)),
        "volumeInstances" => Some(all(state, "VolumeInstance", &here)),
        "deployments" => Some(all(state, "Deployment", &here)),
        "variables" => Some(all(state, "Variable", &here)),
        "canAccess" => Some(json!(true)),
        "config" => Some(super::environment_patch::config(state, id)),
        "configEtag" => Some(json!("etag-1")),
        "sourceEnvironment" => Some(one(state, "Environment", text(row, "sourceEnvironmentId"))),
        _ => None,
    }
}

fn service_instance(state: &State, row: &Row, field: &str) -> Option<Value> {
    let (service, environment) = (text(row, "serviceId"), text(row, "environmentId"));
    let here = [("serviceId", service), ("environmentId", environment)];
    match field {
        "serviceName" => {
            Some(json!(state.row("Service", service).map_or("", |found| text(found, "name"))))
        }
        "latestDeployment" => Some(latest_deployment(state, service, environment)),
        "activeDeployments" => {
            let active = state
                .rows_where("Deployment", &here)
                .into_iter()
                .filter(|row| text(row, "status") == "SUCCESS");
            Some(active.cloned().map(Value::Object).collect())
        }
        "domains" => Some(domains(state, service, environment)),
        "builder" => Some(json!("RAILPACK")),
        "restartPolicyType" => Some(json!("ON_FAILURE")),
        _ => owner(state, row, field),
    }
}

/// Returns a service's domains in one environment.
pub(super) fn domains(state: &State, service: &str, environment: &str) -> Value {
    let here = [("serviceId", service), ("environmentId", environment)];
    json!({
        "serviceDomains": all(state, "ServiceDomain", &here),
        "customDomains": all(state, "CustomDomain", &here),
    })
}

/// Returns a service's newest deployment in one environment.
pub(super) fn latest_deployment(state: &State, service: &str, environment: &str) -> Value {
    let here = [("serviceId", service), ("environmentId", environment)];
    let newest = state.rows_where("Deployment", &here).into_iter().next_back();
    newest.cloned().map_or(Value::Null, Value::Object)
}

fn deployment_instances(row: &Row) -> Value {
    let running = text(row, "status") == "SUCCESS";
    let instance = json!({"id": format!("{}-1", text(row, "id")), "status": "RUNNING"});
    if running { json!([instance]) } else { json!([]) }
}

fn domain_status(row: &Row) -> Value {
    json!({
        "certificateStatus": "CERTIFICATE_STATUS_TYPE_VALID",
        "certificates": [],
        "verified": true,
        "dnsRecords": [{
            "hostlabel": text(row, "domain"), "fqdn": text(row, "domain"),
            "recordType": "DNS_RECORD_TYPE_CNAME", "requiredValue": "practice.up.railway.app",
            "currentValue": "practice.up.railway.app", "status": "DNS_RECORD_STATUS_PROPAGATED",
            "zone": "example.com", "purpose": "DNS_RECORD_PURPOSE_TRAFFIC_ROUTE",
        }],
    })
}

fn backup_mb(state: &State, row: &Row) -> i64 {
    let instance = text(row, "_volumeInstanceId");
    let volume = state.row("VolumeInstance", instance).map_or("", |found| text(found, "volumeId"));
    #[expect(clippy::cast_possible_truncation, reason = "practice backups are a few megabytes")]
    let whole =
        size_mb(state.disk.backup_size_bytes(volume, instance, text(row, "id"))).ceil() as i64;
    whole
}

#[expect(clippy::cast_precision_loss, reason = "practice volumes are a few megabytes")]
fn size_mb(bytes: u64) -> f64 {
    bytes as f64 / MEGABYTE_BYTES
}

/// Returns one row as a value, null when it is not there.
pub(super) fn one(state: &State, kind: &str, id: &str) -> Value {
    state.row(kind, id).cloned().map_or(Value::Null, Value::Object)
}

/// Returns rows as a list.
pub(super) fn all(state: &State, kind: &str, wanted: &[(&str, &str)]) -> Value {
    state.rows_where(kind, wanted).into_iter().cloned().map(Value::Object).collect()
}
