//! The root fields that only read.

use serde_json::{Value, json};

use super::access::{Principal, TOKENS};
use super::extras;
use super::relations::{all, domains, one};
use super::seed::{self, ids};
use super::state::{Row, State, text};

/// Answers one root field of a query.
pub(super) fn resolve(
    state: &State,
    principal: &Principal,
    field: &str,
    arguments: &Row,
) -> Result<Value, String> {
    let id = text(arguments, "id");
    let here = [
        ("serviceId", text(arguments, "serviceId")),
        ("environmentId", text(arguments, "environmentId")),
    ];
    if let Some(answer) = extras::query(state, field, arguments) {
        return answer;
    }
    match field {
        "me" => Ok(seed::user()),
        "projectToken" => project_token(principal),
        "apiToken" => Ok(json!({"workspaces": all(state, "Workspace", &[])})),
        "apiTokens" => Ok(tokens(state, false, "")),
        "projectTokens" => Ok(tokens(state, true, text(arguments, "projectId"))),
        "twoFactorInfo" => Ok(json!({"isVerified": false, "hasRecoveryCodes": false})),
        "externalWorkspaces"
        | "projectFavorites"
        | "githubRepos"
        | "egressGateways"
        | "privateNetworks"
        | "buildLogs"
        | "httpLogs"
        | "auditLogs"
        | "events"
        | "projectMembers"
        | "metrics"
        | "usage"
        | "estimatedUsage"
        | "volumeInstanceBackupScheduleList"
        | "bucketS3Credentials" => Ok(json!([])),
        "workspace" => found(state, "Workspace", text(arguments, "workspaceId")),
        "projects" => Ok(projects(state, arguments)),
        "project" => found(state, "Project", id),
        "environments" => {
            Ok(all(state, "Environment", &[("projectId", text(arguments, "projectId"))]))
        }
        "environment" => found(state, "Environment", id),
        "environmentStagedChanges" => {
            let environment = text(arguments, "environmentId");
            state.found("Environment", environment)?;
            Ok(super::environment_patch::staged(state, environment))
        }
        "environmentPatch" => found(state, "EnvironmentPatch", id),
        "environmentPatches" => Ok(all(state, "EnvironmentPatch", &[here[1]])),
        "environmentLogs" | "deploymentLogs" => Ok(logs()),
        "service" => found(state, "Service", id),
        "serviceInstance" => one_where(state, "ServiceInstance", &here),
        "deployment" => found(state, "Deployment", id),
        "deployments" => Ok(deployments(state, arguments)),
        "domains" => {
            Ok(domains(state, text(arguments, "serviceId"), text(arguments, "environmentId")))
        }
        "customDomain" => found(state, "CustomDomain", id),
        "customDomainAvailable" | "serviceDomainAvailable" => {
            Ok(json!({"available": true, "message": "Domain is available"}))
        }
        "variables" | "variablesForServiceDeployment" => Ok(variables(state, arguments)),
        "volumeInstance" => found(state, "VolumeInstance", id),
        "adminVolumeInstancesForVolume" => Err("Not Authorized".to_owned()),
        "volumeInstanceBackupList" => backups(state, text(arguments, "volumeInstanceId")),
        "workflowStatus" => Ok(json!({"status": "Complete", "error": null})),
        "regions" => Ok(json!([{
            "name": "us-west2", "region": "us-west2", "country": "US",
            "location": "US West (California)",
        }])),
        "serviceInstanceIsUpdatable" => Ok(json!(true)),
        "bucketInstanceDetails" => Ok(json!({"sizeBytes": "1024", "objectCount": "1"})),
        _ => Err(format!("not simulated: {field}")),
    }
}

fn found(state: &State, kind: &str, id: &str) -> Result<Value, String> {
    state.found(kind, id).cloned().map(Value::Object)
}

fn one_where(state: &State, kind: &str, wanted: &[(&str, &str)]) -> Result<Value, String> {
    let found = state.rows_where(kind, wanted).into_iter().next();
    found.cloned().map(Value::Object).ok_or_else(|| format!("{kind} not found"))
}

fn project_token(principal: &Principal) -> Result<Value, String> {
    match principal {
        Principal::Project { token, project, environment } => Ok(json!({
            "id": token, "name": token, "displayToken": "****",
            "projectId": project, "environmentId": environment,
        })),
        Principal::Account { .. } | Principal::Nobody | Principal::Unknown => {
            Err("Project Token not found".to_owned())
        }
    }
}

fn tokens(state: &State, of_project: bool, project: &str) -> Value {
    state
        .rows(TOKENS)
        .filter(|row| {
            let scope = text(row, "projectId");
            if of_project { scope == project } else { scope.is_empty() }
        })
        .map(|row| {
            json!({
                "id": text(row, "tokenId"), "name": text(row, "name"), "displayToken": "****",
                "projectId": text(row, "projectId"),
                "environmentId": text(row, "environmentId"), "workspaceId": null,
            })
        })
        .collect()
}

fn projects(state: &State, arguments: &Row) -> Value {
    match text(arguments, "workspaceId") {
        "" => all(state, "Project", &[]),
        workspace => all(state, "Project", &[("workspaceId", workspace)]),
    }
}

fn deployments(state: &State, arguments: &Row) -> Value {
    let input = arguments.get("input").and_then(Value::as_object).cloned().unwrap_or_default();
    let wanted: Vec<(&str, &str)> = ["projectId", "environmentId", "serviceId"]
        .into_iter()
        .map(|key| (key, text(&input, key)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let newest_first = state.rows_where("Deployment", &wanted).into_iter().rev();
    newest_first.cloned().map(Value::Object).collect()
}

fn variables(state: &State, arguments: &Row) -> Value {
    let environment = text(arguments, "environmentId");
    let mut values = Row::new();
    for scope in ["", text(arguments, "serviceId")] {
        for row in state.rows_where("Variable", &[("environmentId", environment)]) {
            if text(row, "serviceId") == scope {
                values.insert(text(row, "name").to_owned(), json!(text(row, "_value")));
            }
        }
    }
    Value::Object(values)
}

fn backups(state: &State, instance: &str) -> Result<Value, String> {
    state.found("VolumeInstance", instance)?;
    Ok(all(state, "VolumeInstanceBackup", &[("_volumeInstanceId", instance)]))
}

fn logs() -> Value {
    json!([{
        "timestamp": seed::MADE_AT, "message": "listening on 0.0.0.0:8080", "severity": "info",
        "attributes": [{"key": "level", "value": "info"}],
    }])
}

/// Returns the workspace that objects are made in when a request names none.
pub(super) fn default_workspace(state: &State) -> Value {
    one(state, "Workspace", ids::WORKSPACE)
}
