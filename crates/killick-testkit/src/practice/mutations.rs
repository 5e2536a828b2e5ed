//! The root fields that change something: every one of them really does.

use serde_json::{Value, json};

use super::access::{self, TOKENS};
use super::state::{Row, State, new_id, some_text, text};
use super::{calendar, change_set, changes, deletion, environment_patch, extras, volumes};

/// Carries out one root field of a mutation.
pub(super) fn resolve(state: &mut State, field: &str, arguments: &Row) -> Result<Value, String> {
    let id = text(arguments, "id");
    let empty = Row::new();
    let input = arguments.get("input").and_then(Value::as_object).unwrap_or(&empty);
    if let Some(answer) = deletion::resolve(state, field, arguments) {
        return answer;
    }
    if let Some(answer) = volumes::resolve(state, field, arguments, input) {
        return answer;
    }
    if let Some(answer) = environment_patch::resolve(state, field, arguments, input) {
        return answer;
    }
    if let Some(answer) = extras::resolve(state, field, arguments, input) {
        return answer;
    }
    if let Some(answer) = change_set::resolve(state, field, arguments) {
        return answer;
    }
    if let Some(answer) = changes::resolve(state, field, arguments, input) {
        return answer;
    }
    match field {
        "cliEventTrack" | "cliAuthEventTrack" | "setupAgentEventTrack" => Ok(json!(true)),
        "apiTokenCreate" => Ok(mint(state, text(input, "name"), None)),
        "projectTokenCreate" => {
            state.found("Project", text(input, "projectId"))?;
            state.found("Environment", text(input, "environmentId"))?;
            let scope = (text(input, "projectId"), text(input, "environmentId"));
            Ok(mint(state, text(input, "name"), Some(scope)))
        }
        "apiTokenDelete" | "projectTokenDelete" => {
            let secrets = state.ids_where(TOKENS, &[("tokenId", id)]);
            let secret = secrets.first().ok_or("Token not found")?;
            Ok(json!(state.remove(TOKENS, secret)))
        }
        "variableUpsert" => {
            let (name, value) = (text(input, "name"), text(input, "value"));
            upsert_variable(state, input, name, value);
            Ok(json!(true))
        }
        "variableCollectionUpsert" => variable_collection_upsert(state, input),
        "variableDelete" => variable_delete(state, input),
        "customDomainCreate" => domain_create(state, input, "CustomDomain"),
        "serviceDomainCreate" => domain_create(state, input, "ServiceDomain"),
        _ => Err(format!("not simulated: {field}")),
    }
}

fn mint(state: &mut State, name: &str, scope: Option<(&str, &str)>) -> Value {
    let secret = new_id();
    access::admit(state, &secret, name, scope);
    json!(secret)
}

/// Sets one variable of the scope that a call's input names.
pub(super) fn upsert_variable(state: &mut State, scope: &Row, name: &str, value: &str) {
    let (environment, service) = (text(scope, "environmentId"), text(scope, "serviceId"));
    remove_variable(state, environment, service, name);
    state.put(
        "Variable",
        json!({
            "id": new_id(), "name": name, "_value": value, "environmentId": environment,
            "serviceId": service, "isSealed": false, "references": [],
            "createdAt": calendar::now(), "updatedAt": calendar::now(),
        }),
    );
}

/// Removes one variable of a scope.
pub(super) fn remove_variable(state: &mut State, environment: &str, service: &str, name: &str) {
    let wanted = [("environmentId", environment), ("serviceId", service), ("name", name)];
    state.remove_where("Variable", &wanted);
}

fn variable_collection_upsert(state: &mut State, input: &Row) -> Result<Value, String> {
    state.found("Environment", text(input, "environmentId"))?;
    if input.get("replace").and_then(Value::as_bool).unwrap_or(false) {
        let scope = [
            ("environmentId", text(input, "environmentId")),
            ("serviceId", text(input, "serviceId")),
        ];
        state.remove_where("Variable", &scope);
    }
    let variables = input.get("variables").and_then(Value::as_object).cloned();
    for (name, value) in variables.unwrap_or_default() {
        upsert_variable(state, input, &name, value.as_str().unwrap_or_default());
    }
    if !input.get("skipDeploys").and_then(Value::as_bool).unwrap_or(false)
        && let Some(service) = some_text(input, "serviceId")
    {
        changes::deploy(state, service, text(input, "environmentId"))?;
    }
    Ok(json!(true))
}

fn variable_delete(state: &mut State, input: &Row) -> Result<Value, String> {
    let (environment, service) = (text(input, "environmentId"), text(input, "serviceId"));
    state.found("Environment", environment)?;
    remove_variable(state, environment, service, text(input, "name"));
    Ok(json!(true))
}

fn domain_create(state: &mut State, input: &Row, kind: &'static str) -> Result<Value, String> {
    let (service, environment) = (text(input, "serviceId"), text(input, "environmentId"));
    let project = text(state.found("Service", service)?, "projectId").to_owned();
    state.found("Environment", environment)?;
    let id = new_id();
    let name = text(state.found("Service", service)?, "name").to_owned();
    let generated = format!("{name}-{}.up.railway.app", id.split('-').next().unwrap_or_default());
    let domain = some_text(input, "domain").unwrap_or(&generated);
    if state.rows(kind).any(|row| text(row, "domain") == domain) {
        return Err("Domain is not available".to_owned());
    }
    let row = json!({
        "id": id, "domain": domain, "suffix": "up.railway.app", "environmentId": environment,
        "serviceId": service, "projectId": project, "targetPort": input.get("targetPort"),
        "syncStatus": "ACTIVE", "createdAt": calendar::now(), "updatedAt": calendar::now(),
    });
    state.put(kind, row.clone());
    Ok(row)
}
