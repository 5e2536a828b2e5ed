//! Stopping an agent: at once, on open connections too; and what a session can never exceed.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and print what they measured"
)]

mod stage;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use killick_testkit::gateway::{AGENT, AgentSession, Streaming};
use killick_testkit::practice::ids;
use serde_json::json;
use stage::{HOST, Stage, delete_staging_volume, ended, passed, read_volumes, refused, upsert};

const CUT_MAX: Duration = Duration::from_secs(1);

async fn stream(agent: &AgentSession) -> (killick_testkit::gateway::Connection, Streaming) {
    let mut connection = agent.connect(HOST).await.unwrap();
    let request = Request::get("/slow-stream").body(Full::default()).unwrap();
    let mut stream = connection.stream(request).await.unwrap();
    assert_eq!(stream.status, 200);
    assert!(stream.piece().await.is_some(), "the stream does not flow");
    (connection, stream)
}

/// Runs a command and measures from its end how long the stream still flows.
async fn cut_by(stage: &Stage, streaming: &mut Streaming, args: &[&str]) -> Duration {
    let done = async {
        stage.gateway.done(args).await.unwrap();
        Instant::now()
    };
    let ended = async {
        while streaming.piece().await.is_some() {}
        Instant::now()
    };
    let (done, ended) = tokio::join!(done, tokio::time::timeout(Duration::from_secs(20), ended));
    ended.expect("the stream flows on").saturating_duration_since(done)
}

#[tokio::test]
async fn a_freeze_closes_open_connections_and_only_a_proof_thaws() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let (_connection, mut streaming) = stream(&agent).await;
    let after = cut_by(&stage, &mut streaming, &["agent", "freeze", AGENT]).await;
    eprintln!("the stream ended {} ms after the freeze was answered", after.as_millis());
    assert!(after < CUT_MAX, "{after:?}");

    let request = || agent.request(&read_volumes()).unwrap();
    refused(&agent.send(HOST, request()).await.unwrap(), "frozen");
    let unproved = stage.gateway.cli_without_proof(&["agent", "thaw", AGENT]).await.unwrap();
    assert_ne!(unproved.code(), 0, "{unproved:#?}");
    let wrong =
        stage.gateway.cli_with("a-guess-at-it", &["agent", "thaw", AGENT], "").await.unwrap();
    assert_eq!(wrong.code(), 3, "{wrong:#?}");
    refused(&agent.send(HOST, request()).await.unwrap(), "frozen");
    stage.gateway.done(&["agent", "thaw", AGENT]).await.unwrap();
    passed(&agent.send(HOST, request()).await.unwrap());
}

#[tokio::test]
async fn a_frozen_agent_stays_frozen_over_a_power_cut() {
    let mut stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let said = stage.gateway.cli_without_proof(&["agent", "freeze", AGENT]).await.unwrap();
    assert_eq!(said.code(), 0, "stopping needed a proof: {said:#?}");
    stage.gateway.kill().await.unwrap();
    stage.gateway.up().await.unwrap();
    refused(&agent.send(HOST, agent.request(&read_volumes()).unwrap()).await.unwrap(), "frozen");
}

#[tokio::test]
async fn an_idle_connection_of_a_frozen_agent_is_closed_too() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let mut connection = agent.connect(HOST).await.unwrap();
    passed(&connection.send(agent.request(&read_volumes()).unwrap()).await.unwrap());
    let seen = stage.world.requests().len();
    stage.gateway.done(&["agent", "freeze", AGENT]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = connection.send(agent.request(&read_volumes()).unwrap()).await;
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(stage.world.requests().len(), seen);
}

#[tokio::test]
async fn closing_a_session_closes_its_connections_and_no_others() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let other = stage.gateway.session("staging").await.unwrap();
    let (_connection, mut streaming) = stream(&agent).await;
    let (_other_connection, mut others) = stream(&other).await;
    let after = cut_by(&stage, &mut streaming, &["session", "close", &agent.id]).await;
    assert!(after < CUT_MAX, "{after:?}");
    assert!(others.piece().await.is_some());
    let request = || agent.request(&read_volumes()).unwrap();
    ended(&agent.send(HOST, request()).await.unwrap());
    let request = other.request(&read_volumes()).unwrap();
    passed(&other.send(HOST, request).await.unwrap());
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session_with(AGENT, "staging", &["--ttl", "2s"]).await.unwrap();
    passed(&agent.send(HOST, agent.request(&read_volumes()).unwrap()).await.unwrap());
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    let answer = agent.send(HOST, agent.request(&read_volumes()).unwrap()).await.unwrap();
    refused(&answer, "session-ended");
}

/// Asks the gateway for a narrower session, as an agent does for its sub-agent.
async fn narrow(
    stage: &Stage,
    agent: &AgentSession,
    wish: &serde_json::Value,
) -> serde_json::Value {
    let url = format!("http://{}/killick/v1/session", stage.gateway.addr());
    let token = format!("killick-session: {}", agent.token);
    let output = tokio::process::Command::new("curl")
        .args(["-sS", "--noproxy", "*", "-X", "POST", &url, "-H", &token])
        .args(["-H", "content-type: application/json", "-d", &wish.to_string()])
        .output()
        .await
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_narrower_session_never_exceeds_the_one_it_comes_from() {
    let stage = Stage::with_grace("1s").await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let opened = narrow(&stage, &agent, &json!({"effects": ["read"], "task": "look"})).await;
    let token = opened["token"].as_str().unwrap_or_else(|| panic!("{opened}"));
    let surrogate = opened["placeholders"][0]["value"].as_str().unwrap();
    let sub = agent.with(token, surrogate);
    passed(&sub.send(HOST, sub.request(&read_volumes()).unwrap()).await.unwrap());
    for call in [upsert(ids::STAGING, "LOG_LEVEL", "debug"), delete_staging_volume()] {
        let answer = sub.send(HOST, sub.request(&call).unwrap()).await.unwrap();
        refused(&answer, "out-of-scope");
    }
    // It asks for more than it has, below itself: it does not get it.
    let wider = narrow(&stage, &sub, &json!({"effects": ["read", "write", "destroy"]})).await;
    if let Some(token) = wider["token"].as_str() {
        let surrogate = wider["placeholders"][0]["value"].as_str().unwrap();
        let sub = agent.with(token, surrogate);
        let call = upsert(ids::STAGING, "LOG_LEVEL", "debug");
        refused(&sub.send(HOST, sub.request(&call).unwrap()).await.unwrap(), "out-of-scope");
    } else {
        assert_eq!(wider["code"], "out-of-scope", "{wider}");
    }
    assert!(stage.mutations().is_empty());
    // The placeholder of the session above is no good in the one below, nor the other way round.
    let mixed = sub.with(&sub.token, &agent.surrogate);
    let answer = mixed.send(HOST, mixed.request(&read_volumes()).unwrap()).await.unwrap();
    refused(&answer, "misplaced-surrogate");
    // The record shows the whole chain, and the end of the session above is the end of it.
    stage.gateway.done(&["session", "close", &agent.id]).await.unwrap();
    let answer = sub.send(HOST, sub.request(&read_volumes()).unwrap()).await.unwrap();
    ended(&answer);
}

#[tokio::test]
async fn a_session_without_destroy_destroys_nothing() {
    let stage = Stage::with_grace("1s").await;
    let more = ["--effects", "read,write"];
    let agent = stage.gateway.session_with(AGENT, "staging", &more).await.unwrap();
    let call = upsert(ids::STAGING, "LOG_LEVEL", "debug");
    passed(&agent.send(HOST, agent.request(&call).unwrap()).await.unwrap());
    let body = Full::new(Bytes::from(delete_staging_volume()));
    let request = Request::post("/graphql/v2").body(body).unwrap();
    refused(&agent.send(HOST, request).await.unwrap(), "out-of-scope");
    assert_eq!(stage.count("mutation.volumeDelete"), 0);
}
