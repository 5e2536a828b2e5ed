//! The record holds after a mixed run, and no secret lies anywhere in plain.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod stage;

use std::path::{Path, PathBuf};

use killick_testkit::gateway::{AGENT, PASSPHRASE};
use killick_testkit::practice::ids;
use stage::{
    HOST, Stage, delete_staging_volume, delete_volume, passed, pending_in, read_volumes, refused,
    upsert,
};

/// An argument of a call: it belongs in the encrypted details, if anywhere.
const LITERAL: &str = "canary-argument-93b1f7";

fn all_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_files(&path, into);
        } else if path.is_file() {
            into.push(path);
        }
    }
}

fn holds(bytes: &[u8], canary: &str) -> bool {
    bytes.windows(canary.len()).any(|window| window == canary.as_bytes())
}

#[tokio::test]
async fn a_mixed_run_can_be_proved_and_leaves_no_secret_in_plain() {
    let mut stage = Stage::with_grace("1s").await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let send = async |body: &str| agent.send(HOST, agent.request(body).unwrap()).await.unwrap();
    passed(&send(&read_volumes()).await);
    passed(&send(&upsert(ids::STAGING, "CANARY", LITERAL)).await);
    refused(&send(&upsert(ids::PRODUCTION, "CANARY", LITERAL)).await, "cross-environment");
    refused(&send(&delete_volume(ids::VOLUME_PRODUCTION)).await, "cross-environment");
    let mut stray = agent.request(&read_volumes()).unwrap();
    let value = format!("Bearer {}", stage.world.stray_token);
    stray.headers_mut().insert("authorization", value.parse().unwrap());
    refused(&agent.send(HOST, stray).await.unwrap(), "foreign-credential");
    let parked = send(&delete_staging_volume()).await;
    refused(&parked, "pending");
    pending_in(&stage.gateway, &parked.found("pending"), "sent").await;
    let wrong = stage.gateway.cli_with("canary-wrong-guess", &["agent", "thaw", AGENT], "").await;
    assert_eq!(wrong.unwrap().code(), 3);
    stage.gateway.done(&["agent", "freeze", AGENT]).await.unwrap();
    refused(&send(&read_volumes()).await, "frozen");

    let record = stage.gateway.record().await.unwrap();
    for kind in ["start", "session", "call", "refusal", "pending", "standing"] {
        let there = record.iter().any(|it| it["entry"]["kind"] == kind);
        assert!(there, "no entry of kind {kind}: {record:#?}");
    }
    stage.gateway.stop().await.unwrap();
    let verified = stage.gateway.verify().await.unwrap();
    assert_eq!(verified.code(), 0, "{verified:#?}");

    let mut files = Vec::new();
    all_files(stage.gateway.home(), &mut files);
    files.push(stage.dir.path().join("gateway.log"));
    let canaries = [
        ("the account's token", stage.world.account_token.as_str()),
        ("the stray token", stage.world.stray_token.as_str()),
        ("the placeholder", agent.surrogate.as_str()),
        ("the session's token", agent.token.as_str()),
        ("the passphrase", PASSPHRASE),
        ("a wrong passphrase", "canary-wrong-guess"),
        ("an argument", LITERAL),
    ];
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        for (what, canary) in canaries {
            assert!(!holds(&bytes, canary), "{what} stands in {}", file.display());
        }
    }
}

#[tokio::test]
async fn a_changed_byte_anywhere_in_the_record_is_found() {
    let mut stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    passed(&agent.send(HOST, agent.request(&read_volumes()).unwrap()).await.unwrap());
    stage.gateway.stop().await.unwrap();
    assert_eq!(stage.gateway.verify().await.unwrap().code(), 0);
    let mut files = Vec::new();
    all_files(&stage.gateway.home().join("record"), &mut files);
    let entries = files.iter().find(|it| it.to_str().unwrap().contains("entries"));
    let file = entries.unwrap_or_else(|| panic!("no bundle of entries in {files:?}"));
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let verified = stage.gateway.verify().await.unwrap();
    assert_ne!(verified.code(), 0, "{verified:#?}");
}

#[tokio::test]
async fn every_call_that_was_sent_stands_on_the_record_with_its_credential_by_name() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let request = agent.request(&upsert(ids::STAGING, "LOG_LEVEL", "debug")).unwrap();
    passed(&agent.send(HOST, request).await.unwrap());
    let record = stage.gateway.record().await.unwrap();
    let call = record
        .iter()
        .rev()
        .find(|it| it["entry"]["kind"] == "call" && it["entry"]["effect"] == "write");
    let call = call.unwrap_or_else(|| panic!("{record:#?}"));
    assert_eq!(call["entry"]["agent"], AGENT);
    assert_eq!(call["entry"]["session"], agent.id.as_str());
    let whole = call.to_string();
    assert!(whole.contains("railway-account") && whole.contains("staging"), "{whole}");
}
