//! What a session made itself it may delete without a question.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod stage;

use killick_testkit::gateway::AgentSession;
use killick_testkit::practice::ids;
use serde_json::json;
use stage::{HOST, Stage, delete_volume, passed, refused};

async fn make_volume(agent: &AgentSession, environment: &str) -> String {
    let body = json!({
        "query": "mutation($i: VolumeCreateInput!) { made: volumeCreate(input: $i) { id name } }",
        "variables": {"i": {
            "projectId": ids::PROJECT, "environmentId": environment,
            "serviceId": ids::SERVICE_SCRATCH, "mountPath": "/scratch",
        }},
    });
    let answer = agent.send(HOST, agent.request(&body.to_string()).unwrap()).await.unwrap();
    passed(&answer);
    answer.json()["data"]["made"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_deletes_the_volume_that_it_made() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let volume = make_volume(&agent, ids::STAGING).await;
    let request = agent.request(&delete_volume(&volume)).unwrap();
    passed(&agent.send(HOST, request).await.unwrap());
    assert!(stage.world.object("Volume", &volume).is_none());
    assert_eq!(stage.count("mutation.volumeDelete"), 1);
}

#[tokio::test]
async fn another_session_of_the_same_agent_does_not() {
    let stage = Stage::open().await;
    let maker = stage.gateway.session("staging").await.unwrap();
    let volume = make_volume(&maker, ids::STAGING).await;
    let other = stage.gateway.session("staging").await.unwrap();
    let request = other.request(&delete_volume(&volume)).unwrap();
    refused(&other.send(HOST, request).await.unwrap(), "pending");
    assert!(stage.world.object("Volume", &volume).is_some());
}

#[tokio::test]
async fn what_the_agent_only_says_that_it_made_is_not_its_own() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    // An id in the answer to a read, under the very name that a creation would have.
    let body = json!({"query": format!(
        "query {{ made: project(id: \"{}\") {{ volumes {{ edges {{ node {{ id }} }} }} }} }}",
        ids::PROJECT
    )});
    passed(&agent.send(HOST, agent.request(&body.to_string()).unwrap()).await.unwrap());
    let request = agent.request(&delete_volume(ids::VOLUME_STAGING)).unwrap();
    refused(&agent.send(HOST, request).await.unwrap(), "pending");
    assert!(stage.staging_volume_exists());
}

#[tokio::test]
async fn the_making_is_remembered_over_a_power_cut() {
    let mut stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let volume = make_volume(&agent, ids::STAGING).await;
    stage.gateway.kill().await.unwrap();
    stage.gateway.up().await.unwrap();
    let request = agent.request(&delete_volume(&volume)).unwrap();
    passed(&agent.send(HOST, request).await.unwrap());
    assert!(stage.world.object("Volume", &volume).is_none());
}
