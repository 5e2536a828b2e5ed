//! A human's yes: asked for, bound to what was found, spent once.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod stage;

use std::time::Duration;

use killick_testkit::gateway::{AGENT, AgentSession, Answer};
use killick_testkit::practice::ids;
use serde_json::{Value, json};
use stage::{
    HOST, Stage, delete_staging_volume, delete_volume, options, passed, pending_in, read_volumes,
    refused, until, upsert,
};

/// A call that the shipped policies let a human approve: secrets of production are read.
fn secrets_of(environment: &str, service: &str) -> String {
    json!({
        "query": "query($p: String!, $e: String!, $s: String!) { \
                  variables(projectId: $p, environmentId: $e, serviceId: $s) }",
        "variables": {"p": ids::PROJECT, "e": environment, "s": service},
    })
    .to_string()
}

async fn send(agent: &AgentSession, body: &str) -> Answer {
    agent.send(HOST, agent.request(body).unwrap()).await.unwrap()
}

/// A production session that policy lets write, and destroy with a human and a way back.
async fn production() -> (Stage, AgentSession) {
    let mut options = options().with_grace("2s");
    options.production_waiver = true;
    let stage = Stage::with(options).await;
    let agent = stage.gateway.session("production").await.unwrap();
    (stage, agent)
}

async fn ask(agent: &AgentSession, body: &str) -> String {
    let answer = send(agent, body).await;
    refused(&answer, "approval-needed");
    answer.found("request")
}

#[tokio::test]
async fn an_approved_call_passes_once_and_the_next_one_asks_anew() {
    let (stage, agent) = production().await;
    let call = secrets_of(ids::PRODUCTION, ids::SERVICE_API);
    let request = ask(&agent, &call).await;
    // Asked again before anybody answered: the same request, not a second one.
    assert_eq!(ask(&agent, &call).await, request);
    assert_eq!(stage.count("query.variables"), 0);
    let shown = stage.gateway.done(&["request", "show", &request]).await.unwrap();
    assert!(shown.contains("production") && shown.contains(AGENT), "{shown}");
    stage.gateway.done(&["request", "approve", &request]).await.unwrap();
    let answer = send(&agent, &call).await;
    passed(&answer);
    assert!(answer.body.contains("DATABASE_URL"), "{answer:?}");
    let second = ask(&agent, &call).await;
    assert_ne!(second, request);
    assert_eq!(stage.count("query.variables"), 1);
}

#[tokio::test]
async fn another_argument_alias_or_environment_is_another_call() {
    let (stage, agent) = production().await;
    let call = secrets_of(ids::PRODUCTION, ids::SERVICE_API);
    let request = ask(&agent, &call).await;
    stage.gateway.done(&["request", "approve", &request]).await.unwrap();
    ask(&agent, &secrets_of(ids::PRODUCTION, ids::SERVICE_DATABASE)).await;
    ask(&agent, &call.replace("variables(projectId", "v: variables(projectId")).await;
    ask(&agent, &secrets_of(ids::PRODUCTION, ids::SERVICE_SCRATCH)).await;
    // Another session of the same agent is somebody else.
    let other = stage.gateway.session("production").await.unwrap();
    let asked = ask(&other, &call).await;
    assert_ne!(asked, request);
    assert_eq!(stage.count("query.variables"), 0);
    passed(&send(&agent, &call).await);
}

#[tokio::test]
async fn an_approval_does_not_outlive_what_it_was_given_for() {
    let (stage, agent) = production().await;
    let request = ask(&agent, &delete_volume(ids::VOLUME_PRODUCTION)).await;
    stage.gateway.done(&["request", "approve", &request]).await.unwrap();
    // A backup goes, behind the gateway's back.
    change_world(&stage, &format!(
        "mutation {{ volumeInstanceBackupDelete(volumeInstanceId: \"{}\", volumeInstanceBackupId: \"{}\") {{ workflowId }} }}",
        ids::VOLUME_INSTANCE_PRODUCTION, ids::BACKUP_PRODUCTION
    )).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    refused(&send(&agent, &delete_volume(ids::VOLUME_PRODUCTION)).await, "approval-stale");
    assert_eq!(stage.count("mutation.volumeDelete"), 0);
}

/// Changes the world directly, with the provider's own credential.
async fn change_world(stage: &Stage, query: &str) {
    let url = format!("http://{}/graphql/v2", stage.world.plain_addr);
    let token = format!("authorization: Bearer {}", stage.world.account_token);
    let body = json!({"query": query}).to_string();
    let output = tokio::process::Command::new("curl")
        .args(["-sS", "--noproxy", "*", &url, "-H", "content-type: application/json"])
        .args(["-H", &token, "-d", &body])
        .output()
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answer["errors"].is_null(), "{answer}");
}

#[tokio::test]
async fn in_production_a_deletion_takes_a_human_and_a_grace_period() {
    let (stage, agent) = production().await;
    let call = delete_volume(ids::VOLUME_PRODUCTION);
    let request = ask(&agent, &call).await;
    stage.gateway.done(&["request", "approve", &request]).await.unwrap();
    let parked = send(&agent, &call).await;
    refused(&parked, "pending");
    assert_eq!(parked.status, 202);
    assert!(stage.production_is_whole());
    pending_in(&stage.gateway, &parked.found("pending"), "sent").await;
    assert_eq!(stage.count("mutation.volumeDelete"), 1);
}

#[tokio::test]
async fn the_gateway_can_send_the_approved_call_itself_once() {
    let (stage, agent) = production().await;
    let call = secrets_of(ids::PRODUCTION, ids::SERVICE_API);
    let request = ask(&agent, &call).await;
    stage.gateway.done(&["request", "approve", "--send", &request]).await.unwrap();
    until("sent by the gateway", || stage.count("query.variables") == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.count("query.variables"), 1);
    // It is spent: the agent's own call asks anew.
    assert_ne!(ask(&agent, &call).await, request);
}

#[tokio::test]
async fn a_denied_call_stays_denied_until_it_is_asked_anew() {
    let (stage, agent) = production().await;
    let call = secrets_of(ids::PRODUCTION, ids::SERVICE_API);
    let request = ask(&agent, &call).await;
    stage.gateway.done(&["request", "deny", &request]).await.unwrap();
    let said = stage.gateway.cli(&["request", "approve", &request]).await.unwrap();
    assert_ne!(said.code(), 0, "a denied request was approved");
    let answer = send(&agent, &call).await;
    assert!(["approval-needed", "approval-denied"].contains(&answer.code()), "{answer:#?}");
    assert_eq!(stage.count("query.variables"), 0);
}

#[tokio::test]
async fn without_the_passphrase_nobody_approves() {
    let (stage, agent) = production().await;
    let call = secrets_of(ids::PRODUCTION, ids::SERVICE_API);
    let request = ask(&agent, &call).await;
    let approve = ["request", "approve", &request];
    let wrong = stage.gateway.cli_with("not-the-passphrase", &approve, "").await.unwrap();
    assert_eq!(wrong.code(), 3, "{wrong:#?}");
    let none = stage.gateway.cli_without_proof(&approve).await.unwrap();
    assert_ne!(none.code(), 0, "{none:#?}");
    ask(&agent, &call).await;
    assert_eq!(stage.count("query.variables"), 0);
    let record = stage.gateway.done(&["log", "export"]).await.unwrap();
    assert!(record.contains("unproved"), "a wrong passphrase is not on the record");
    assert!(!record.contains("not-the-passphrase"));
}

#[tokio::test]
async fn an_agent_is_not_let_in_at_the_administration_socket() {
    let (stage, agent) = production().await;
    let socket = stage.gateway.home().join("run/admin.sock");
    let socket = socket.to_str().unwrap();
    let status = r#"{"command":{"status":{}}}"#;
    let session = format!("killick-session: {}", agent.token);
    let proxy = format!("proxy-authorization: Bearer {}", agent.token);
    let inside = json!({"command": {"status": {}}, "proof": agent.token}).to_string();
    for (header, body) in [(&session, status), (&proxy, status), (&"x: y".to_owned(), &inside)] {
        let output = tokio::process::Command::new("curl")
            .args(["-sS", "--unix-socket", socket, "http://killick/v1/command"])
            .args(["-H", header, "-d", body])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("not-admitted"), "{header}: {said}");
    }
    // And the agents' door has no way in: what is not declared does not exist there.
    let output =
        agent.curl(&["-X", "POST", "http://killick/v1/command", "-d", status]).await.unwrap();
    assert!(output.stdout.contains("undeclared-upstream"), "{output:#?}");
}

#[tokio::test]
async fn an_agent_has_a_budget_of_open_requests() {
    let (stage, agent) = production().await;
    for number in 0..5 {
        let call = secrets_of(ids::PRODUCTION, ids::SERVICE_API);
        ask(
            &agent,
            &call.replace("variables(projectId", &format!("v{number}: variables(projectId")),
        )
        .await;
    }
    let call = secrets_of(ids::PRODUCTION, ids::SERVICE_DATABASE);
    refused(&send(&agent, &call).await, "request-budget");
    let open = stage.gateway.json(&["request", "list"]).await.unwrap();
    assert_eq!(open.as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_client_may_wait_for_the_answer_on_its_open_connection() {
    let (stage, agent) = production().await;
    let call = secrets_of(ids::PRODUCTION, ids::SERVICE_API);
    let mut request = agent.request(&call).unwrap();
    request.headers_mut().insert("prefer", "wait=15".parse().unwrap());
    let waiting = agent.send(HOST, request);
    let approving = async {
        let began = std::time::Instant::now();
        loop {
            let open = stage.gateway.json(&["request", "list"]).await.unwrap();
            if let Some(id) = open[0]["id"].as_str() {
                return stage.gateway.done(&["request", "approve", id]).await.unwrap();
            }
            assert!(began.elapsed() < Duration::from_secs(10), "nothing was asked");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (answer, _approved) = tokio::join!(waiting, approving);
    passed(&answer.unwrap());
    // And nobody answers this one: the wait ends, and the refusal says what it waits for.
    let mut request = agent.request(&call).unwrap();
    request.headers_mut().insert("prefer", "wait=1".parse().unwrap());
    let answer = agent.send(HOST, request).await.unwrap();
    refused(&answer, "approval-needed");
}

#[tokio::test]
async fn without_a_fence_production_is_read_only() {
    let stage = Stage::with_grace("1s").await;
    let agent = stage.gateway.session("production").await.unwrap();
    passed(&send(&agent, &read_volumes()).await);
    for call in
        [upsert(ids::PRODUCTION, "LOG_LEVEL", "debug"), delete_volume(ids::VOLUME_PRODUCTION)]
    {
        refused(&send(&agent, &call).await, "forbidden");
    }
    // Nor does a production session reach into staging.
    refused(&send(&agent, &delete_staging_volume()).await, "cross-environment");
    assert!(stage.mutations().is_empty());
}

#[tokio::test]
async fn a_freeze_after_the_approval_wins() {
    let (stage, agent) = production().await;
    let call = secrets_of(ids::PRODUCTION, ids::SERVICE_API);
    let request = ask(&agent, &call).await;
    stage.gateway.done(&["request", "approve", &request]).await.unwrap();
    stage.gateway.done(&["agent", "freeze", AGENT]).await.unwrap();
    refused(&send(&agent, &call).await, "frozen");
    assert_eq!(stage.count("query.variables"), 0);
}
