//! Calls that wait for the end of their grace period.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod stage;

use std::time::Duration;

use killick_testkit::gateway::{AGENT, AgentSession};
use killick_testkit::practice::ids;
use stage::{HOST, Stage, delete_staging_volume, passed, pending_in, read_volumes, refused};

/// Sends the deletion of staging's volume and returns the id under which it is parked.
async fn park(agent: &AgentSession) -> String {
    let request = agent.request(&delete_staging_volume()).unwrap();
    let answer = agent.send(HOST, request).await.unwrap();
    refused(&answer, "pending");
    assert_eq!(answer.status, 202, "{answer:#?}");
    answer.found("pending")
}

async fn look(agent: &AgentSession) {
    passed(&agent.send(HOST, agent.request(&read_volumes()).unwrap()).await.unwrap());
}

#[tokio::test]
async fn a_deletion_waits_is_sent_once_and_says_so() {
    let stage = Stage::with_grace("2s").await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let id = park(&agent).await;
    // Sent again it is the same call, not a second one.
    assert_eq!(park(&agent).await, id);
    look(&agent).await;
    assert!(stage.staging_volume_exists());
    pending_in(&stage.gateway, &id, "sent").await;
    assert_eq!(stage.count("mutation.volumeDelete"), 1);
    assert!(!stage.staging_volume_exists());
    assert!(stage.production_is_whole());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.count("mutation.volumeDelete"), 1);
}

#[tokio::test]
async fn a_cancelled_call_is_never_sent() {
    let stage = Stage::with_grace("2s").await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let id = park(&agent).await;
    // Stopping needs no passphrase.
    let said = stage.gateway.cli_without_proof(&["pending", "cancel", &id]).await.unwrap();
    assert_eq!(said.code(), 0, "{said:#?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    pending_in(&stage.gateway, &id, "cancelled").await;
    assert_eq!(stage.count("mutation.volumeDelete"), 0);
    assert!(stage.staging_volume_exists());
    let again = stage.gateway.cli_without_proof(&["pending", "cancel", &id]).await.unwrap();
    assert_ne!(again.code(), 0, "{again:#?}");
}

#[tokio::test]
async fn a_restart_in_between_changes_nothing() {
    let mut stage = Stage::with_grace("3s").await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let id = park(&agent).await;
    stage.gateway.stop().await.unwrap();
    stage.gateway.up().await.unwrap();
    assert!(stage.staging_volume_exists());
    look(&agent).await;
    pending_in(&stage.gateway, &id, "sent").await;
    assert_eq!(stage.count("mutation.volumeDelete"), 1);
}

#[tokio::test]
async fn a_power_cut_in_between_changes_nothing() {
    let mut stage = Stage::with_grace("3s").await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let id = park(&agent).await;
    stage.gateway.kill().await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(stage.staging_volume_exists());
    stage.gateway.up().await.unwrap();
    pending_in(&stage.gateway, &id, "sent").await;
    assert_eq!(stage.count("mutation.volumeDelete"), 1);
    let verified = stage.gateway.verify().await.unwrap();
    assert_eq!(verified.code(), 0, "{verified:#?}");
}

#[tokio::test]
async fn a_power_cut_around_the_sending_never_sends_twice() {
    // Wherever the cut falls, the call goes out once at most, and its state is an honest one.
    for millis in [900, 1_000, 1_100, 1_200, 1_300] {
        let mut stage = Stage::with_grace("1s").await;
        let agent = stage.gateway.session("staging").await.unwrap();
        let id = park(&agent).await;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        stage.gateway.kill().await.unwrap();
        stage.gateway.up().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let all = stage.gateway.json(&["pending", "list", "--all"]).await.unwrap();
        let state = all.as_array().unwrap().iter().find(|it| it["id"] == id.as_str()).unwrap();
        let state = state["state"].as_str().unwrap();
        let sent = stage.count("mutation.volumeDelete");
        assert!(sent <= 1, "sent {sent} times");
        assert!(["sent", "unknown"].contains(&state), "{state} after a cut at {millis} ms");
        assert!(state != "sent" || sent == 1, "said to be sent, and was not");
    }
}

#[tokio::test]
async fn a_freeze_in_between_wins() {
    let stage = Stage::with_grace("2s").await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let id = park(&agent).await;
    stage.gateway.done(&["agent", "freeze", AGENT]).await.unwrap();
    pending_in(&stage.gateway, &id, "refused").await;
    assert_eq!(stage.count("mutation.volumeDelete"), 0);
    // Nor is it sent when the agent may go on.
    stage.gateway.done(&["agent", "thaw", AGENT]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.count("mutation.volumeDelete"), 0);
}

#[tokio::test]
async fn a_freeze_and_a_restart_in_between_win() {
    let mut stage = Stage::with_grace("3s").await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let id = park(&agent).await;
    stage.gateway.done(&["agent", "freeze", AGENT]).await.unwrap();
    stage.gateway.kill().await.unwrap();
    stage.gateway.up().await.unwrap();
    pending_in(&stage.gateway, &id, "refused").await;
    assert_eq!(stage.count("mutation.volumeDelete"), 0);
}

#[tokio::test]
async fn a_closed_session_and_a_restart_in_between_win() {
    let mut stage = Stage::with_grace("3s").await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let id = park(&agent).await;
    stage.gateway.done(&["session", "close", &agent.id]).await.unwrap();
    stage.gateway.kill().await.unwrap();
    stage.gateway.up().await.unwrap();
    pending_in(&stage.gateway, &id, "refused").await;
    assert_eq!(stage.count("mutation.volumeDelete"), 0);
}

#[tokio::test]
async fn a_policy_that_changed_in_between_wins() {
    let stage = Stage::with_grace("2s").await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let id = park(&agent).await;
    let rule = stage.dir.path().join("never.cedar");
    std::fs::write(
        &rule,
        "@id(\"never\") forbid (principal, action in Killick::Action::\"destroy\", resource);\n",
    )
    .unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/default.cedar");
    stage.gateway.done(&["policy", "set", shipped, rule.to_str().unwrap()]).await.unwrap();
    pending_in(&stage.gateway, &id, "refused").await;
    assert_eq!(stage.count("mutation.volumeDelete"), 0);
    assert!(stage.world.object("Volume", ids::VOLUME_STAGING).is_some());
}
