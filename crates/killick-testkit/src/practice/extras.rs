//! What else the provider keeps, simple enough to be listed and deleted in one way.

use serde_json::{Value, json};

use super::relations::all;
use super::seed::{MADE_AT, ids};
use super::state::{Row, State, some_text, text};

/// Fills the world with one of each.
pub(super) fn plant(state: &mut State) {
    for (environment, suffix, port) in
        [(ids::PRODUCTION, "prod", 40_001), (ids::STAGING, "staging", 40_002)]
    {
        state.put(
            "TCPProxy",
            json!({
                "id": format!("tp-{suffix}"), "environmentId": environment,
                "serviceId": ids::SERVICE_DATABASE, "domain": "proxy.example.net",
                "proxyPort": port, "applicationPort": 5432, "syncStatus": "ACTIVE",
            }),
        );
        state.put("_BucketInstance", json!({
            "id": format!("bki-{suffix}"), "bucketId": ids::BUCKET, "environmentId": environment,
        }));
    }
    state.put(
        "Sandbox",
        json!({
            "id": ids::SANDBOX, "environmentId": ids::STAGING, "status": "RUNNING", "domains": [],
            "region": "us-west2", "networkIsolation": "PRIVATE", "createdAt": MADE_AT,
        }),
    );
    state.put("SandboxCheckpoint", json!({
        "id": ids::CHECKPOINT, "environmentId": ids::STAGING, "key": "clean", "createdAt": MADE_AT,
    }));
    state.put(
        "CloudAgent",
        json!({
            "id": ids::CLOUD_AGENT, "name": "builder", "projectId": ids::PROJECT,
            "environmentId": ids::STAGING, "status": "RUNNING", "createdAt": MADE_AT,
        }),
    );
    state.put(
        "Template",
        json!({
            "id": ids::TEMPLATE, "code": "fleet", "name": "Fleet", "status": "UNPUBLISHED",
            "workspaceId": ids::WORKSPACE, "createdAt": MADE_AT, "updatedAt": MADE_AT,
        }),
    );
    state.put(
        "SshPublicKey",
        json!({
            "id": ids::SSH_KEY, "name": "laptop", "fingerprint": "SHA256:practice",
            "publicKey": "ssh-ed25519 practice", "createdAt": MADE_AT, "updatedAt": MADE_AT,
        }),
    );
    let owner = format!("project:{}", ids::PROJECT);
    state.put(
        "Signal",
        json!({
            "id": ids::FLAG, "name": "checkout", "owner": owner, "type": "bool", "default": true,
            "rules": [], "version": 1, "writableBy": [], "createdAt": MADE_AT, "updatedAt": MADE_AT,
        }),
    );
}

/// Answers a root field that lists, or returns `None` when it is not one.
pub(super) fn query(state: &State, field: &str, arguments: &Row) -> Option<Result<Value, String>> {
    let id = text(arguments, "id");
    let here = [("environmentId", text(arguments, "environmentId"))];
    Some(Ok(match field {
        "tcpProxies" => {
            let service = ("serviceId", text(arguments, "serviceId"));
            all(state, "TCPProxy", &[here[0], service])
        }
        "sandboxes" => all(state, "Sandbox", &here),
        "sandbox" => super::relations::one(state, "Sandbox", id),
        "sandboxCheckpoints" => all(state, "SandboxCheckpoint", &here),
        "cloudAgents" => all(state, "CloudAgent", &here),
        "cloudAgent" => super::relations::one(state, "CloudAgent", id),
        "myCloudAgents" => all(state, "CloudAgent", &[]),
        "workspaceTemplates" => all(state, "Template", &[]),
        "template" => return Some(template(state, arguments)),
        "sshPublicKeys" => all(state, "SshPublicKey", &[]),
        "gitHubSshKeys" => json!([]),
        "signals" => all(state, "Signal", &[("owner", text(arguments, "owner"))]),
        _ => return None,
    }))
}

fn template(state: &State, arguments: &Row) -> Result<Value, String> {
    let key = if some_text(arguments, "id").is_some() { "id" } else { "code" };
    let found = state.rows_where("Template", &[(key, text(arguments, key))]);
    let found = found.first().ok_or("Template not found")?;
    Ok(Value::Object((*found).clone()))
}

/// Carries out a root field that deletes, or returns `None` when it is not one.
pub(super) fn resolve(
    state: &mut State,
    field: &str,
    arguments: &Row,
    input: &Row,
) -> Option<Result<Value, String>> {
    let kind = match field {
        "tcpProxyDelete" => "TCPProxy",
        "sandboxCheckpointDelete" => "SandboxCheckpoint",
        "cloudAgentDelete" => "CloudAgent",
        "templateDelete" => "Template",
        "sshPublicKeyDelete" => "SshPublicKey",
        "sandboxDestroy" => {
            let id = text(arguments, "id");
            let gone = state.found("Sandbox", id).cloned().map(Value::Object);
            state.remove("Sandbox", id);
            return Some(gone);
        }
        "signalDelete" => return Some(delete_flag(state, input)),
        _ => return None,
    };
    let removed = state.remove(kind, text(arguments, "id"));
    Some(if removed { Ok(json!(true)) } else { Err(format!("{kind} not found")) })
}

fn delete_flag(state: &mut State, input: &Row) -> Result<Value, String> {
    let wanted = [("owner", text(input, "owner")), ("name", text(input, "name"))];
    let found = state.rows_where("Signal", &wanted).first().map(|row| (*row).clone());
    let found = found.ok_or("Signal not found")?;
    state.remove("Signal", text(&found, "id"));
    Ok(Value::Object(found))
}
