//! What every end-to-end test plays on: a practice world, and the real gateway before it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "every test file takes what it needs, and fails by panicking"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use killick_testkit::gateway::{Answer, Gateway, GatewayOptions};
use killick_testkit::practice::{PracticeOptions, PracticeWorld, SeenRequest, ids};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const HOST: &str = "backboard.railway.app";

pub struct Stage {
    pub dir: TempDir,
    pub world: PracticeWorld,
    pub gateway: Gateway,
}

impl Stage {
    pub async fn open() -> Self {
        Self::with(options()).await
    }

    /// With a grace period, so that a deferred call is sent while a test waits.
    pub async fn with_grace(grace: &str) -> Self {
        Self::with(options().with_grace(grace)).await
    }

    pub async fn with(options: GatewayOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut practice = PracticeOptions::in_dir(dir.path().join("disk"));
        practice.request_log = Some(dir.path().join("requests.jsonl"));
        let world = PracticeWorld::start(practice).await.unwrap();
        let gateway = Gateway::start(dir.path(), options, &world).await.unwrap();
        Self { dir, world, gateway }
    }

    /// Requests that would change something, in the order of their arrival.
    pub fn mutations(&self) -> Vec<SeenRequest> {
        let changes = |it: &SeenRequest| it.root_fields.iter().any(|at| at.starts_with("mutation"));
        self.world.requests().into_iter().filter(changes).collect()
    }

    pub fn count(&self, root_field: &str) -> usize {
        self.world.requests().iter().filter(|it| it.asked_for(root_field)).count()
    }

    /// Says whether production's data and backups are on the disk, every file of them.
    pub fn production_is_whole(&self) -> bool {
        files_in(&self.world.volume_dir(ids::VOLUME_PRODUCTION)) >= 4 + 3 + 3
    }

    pub fn staging_volume_exists(&self) -> bool {
        self.world.volume_dir(ids::VOLUME_STAGING).exists()
    }
}

pub fn options() -> GatewayOptions {
    GatewayOptions::of(env!("CARGO_BIN_EXE_killick"))
}

pub fn files_in(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .map(|entry| entry.unwrap())
        .map(|entry| if entry.file_type().unwrap().is_dir() { files_in(&entry.path()) } else { 1 })
        .sum()
}

/// A deletion of staging's volume: survivable by waiting.
pub fn delete_staging_volume() -> String {
    delete_volume(ids::VOLUME_STAGING)
}

pub fn delete_volume(volume: &str) -> String {
    json!({
        "query": "mutation($id: String!) { volumeDelete(volumeId: $id) }",
        "variables": {"id": volume},
    })
    .to_string()
}

/// A write in staging with a name of its own.
pub fn upsert(environment: &str, name: &str, value: &str) -> String {
    json!({
        "query": "mutation($i: VariableUpsertInput!) { variableUpsert(input: $i) }",
        "variables": {"i": {
            "projectId": ids::PROJECT, "environmentId": environment,
            "serviceId": ids::SERVICE_API, "name": name, "value": value,
        }},
    })
    .to_string()
}

pub fn read_volumes() -> String {
    json!({"query": format!(
        "query {{ project(id: \"{}\") {{ volumes {{ edges {{ node {{ id name }} }} }} }} }}",
        ids::PROJECT
    )})
    .to_string()
}

/// Asserts the code of a refusal and says what was answered instead.
#[track_caller]
pub fn refused(answer: &Answer, code: &str) {
    assert_eq!(answer.code(), code, "{answer:#?}");
}

/// Asserts that the session is over.
#[track_caller]
pub fn ended(answer: &Answer) {
    assert!(["session-ended", "no-session"].contains(&answer.code()), "{answer:#?}");
}

#[track_caller]
pub fn passed(answer: &Answer) {
    assert!(answer.passed(), "{answer:#?}");
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a parked call has a state, and returns it.
pub async fn pending_in(gateway: &Gateway, id: &str, state: &str) -> Value {
    let began = Instant::now();
    loop {
        let all = gateway.json(&["pending", "list", "--all"]).await.unwrap();
        let found = all.as_array().unwrap().iter().find(|it| it["id"] == id).cloned();
        let found = found.unwrap_or_else(|| panic!("{id} is not in {all}"));
        if found["state"] == state {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "never {state}: {found}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
