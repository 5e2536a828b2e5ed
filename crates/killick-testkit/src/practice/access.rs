//! Who asks, and what the provider lets them do.

use serde_json::Value;

use super::state::{Row, State, new_id, text};

/// The table of tokens that work.
pub(super) const TOKENS: &str = "_Token";

/// Whom a request's credential stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Principal {
    /// The account: every workspace, every project, every environment.
    Account { token: String },
    /// One environment of one project.
    Project { token: String, project: String, environment: String },
    /// No credential at all.
    Nobody,
    /// A credential that the provider does not know.
    Unknown,
}

impl Principal {
    /// Returns the name under which the journal knows the principal.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Account { token } | Self::Project { token, .. } => token,
            Self::Nobody => "none",
            Self::Unknown => "unknown",
        }
    }
}

/// Makes a token work.
pub(super) fn admit(state: &mut State, secret: &str, name: &str, scope: Option<(&str, &str)>) {
    let (project, environment) = scope.unwrap_or_default();
    state.put(
        TOKENS,
        serde_json::json!({
            "id": secret, "tokenId": new_id(), "name": name,
            "projectId": project, "environmentId": environment,
        }),
    );
}

/// Looks a credential up, wherever in the request it stood: a permissive provider takes any token
/// in any of its headers.
pub(super) fn authenticate(state: &State, credential: Option<&str>) -> Principal {
    let Some(secret) = credential else { return Principal::Nobody };
    let Some(row) = state.row(TOKENS, secret) else { return Principal::Unknown };
    let token = text(row, "name").to_owned();
    match text(row, "projectId") {
        "" => Principal::Account { token },
        project => Principal::Project {
            token,
            project: project.to_owned(),
            environment: text(row, "environmentId").to_owned(),
        },
    }
}

/// Root fields that the provider answers for anyone.
const PUBLIC: [&str; 8] = [
    "template",
    "templates",
    "templateSearch",
    "templatesCount",
    "publicStats",
    "platformStatus",
    "cliEventTrack",
    "regions",
];

/// Root fields that need the account, whatever they name.
const ACCOUNT_ONLY: [&str; 19] = [
    "me",
    "projects",
    "externalWorkspaces",
    "projectFavorites",
    "workspace",
    "apiTokens",
    "apiTokenCreate",
    "apiTokenDelete",
    "projectTokens",
    "projectTokenCreate",
    "projectTokenDelete",
    "projectCreate",
    "projectDelete",
    "projectScheduleDelete",
    "projectScheduleDeleteForce",
    "projectScheduleDeleteCancel",
    "environmentCreate",
    "environmentDelete",
    "serviceCreate",
];

/// Says "Not Authorized" as the provider does.
pub(super) fn check(
    state: &State,
    principal: &Principal,
    field: &str,
    arguments: &Row,
) -> Result<(), String> {
    let refused = || Err("Not Authorized".to_owned());
    match principal {
        Principal::Account { .. } => Ok(()),
        Principal::Nobody | Principal::Unknown => {
            if PUBLIC.contains(&field) {
                Ok(())
            } else {
                refused()
            }
        }
        Principal::Project { environment, .. } => {
            if ACCOUNT_ONLY.contains(&field) {
                return refused();
            }
            let mut named = Vec::new();
            environments_named(state, &Value::Object(arguments.clone()), "", &mut named);
            if named.iter().all(|found| found == environment) { Ok(()) } else { refused() }
        }
    }
}

/// Collects the environments of everything that a call's arguments name.
fn environments_named(state: &State, value: &Value, key: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                environments_named(state, value, name, into);
            }
        }
        Value::Array(items) => {
            for item in items {
                environments_named(state, item, key, into);
            }
        }
        Value::String(id) => match key {
            "environmentId" => into.push(id.clone()),
            "volumeId" => {
                for instance in state.rows_where("VolumeInstance", &[("volumeId", id)]) {
                    into.push(text(instance, "environmentId").to_owned());
                }
            }
            "id" | "volumeInstanceId" | "deploymentId" => {
                into.extend(environment_of(state, id));
            }
            _ => {}
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn environment_of(state: &State, id: &str) -> Option<String> {
    if state.row("Environment", id).is_some() {
        return Some(id.to_owned());
    }
    ["Deployment", "VolumeInstance", "ServiceDomain", "CustomDomain", "ServiceInstance"]
        .iter()
        .find_map(|kind| state.row(kind, id))
        .map(|row| text(row, "environmentId").to_owned())
}
