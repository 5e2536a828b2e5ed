//! The provider's own client through the gateway: it works, and none of its ways of deleting
//! deletes anything that was there.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    clippy::print_stderr,
    reason = "tests fail by panicking"
)]

mod stage;

use std::path::{Path, PathBuf};

use killick_testkit::gateway::AgentSession;
use killick_testkit::practice::ids;
use killick_testkit::railway_cli::{
    CASES, ClientRoute, ClientSetup, ClientToken, CommandCase, CommandKind, Place, Trace, binary,
};
use stage::Stage;

/// Looks that send the values of the provider's own variables back to it: a password among them
/// counts as a credential that the gateway did not issue.
const REFUSED_LOOKS: &[&str] = &["preview of a configuration"];

/// Changes that the pack holds for a grace period: a service without its volume starts empty.
const PARKED_CHANGES: &[&str] = &["detach a volume"];

/// Returns the client with the session's placeholder, or says why the test is skipped.
fn client(stage: &Stage, agent: &AgentSession) -> Option<ClientSetup> {
    let route = ClientRoute {
        proxy_url: agent.proxy_url(),
        ca_file: agent.ca_file(),
        token: ClientToken::Account(agent.surrogate.clone()),
    };
    ClientSetup::prepare(stage.dir.path(), route).unwrap()
}

fn installed() -> bool {
    if binary().is_some() {
        return true;
    }
    eprintln!("SKIPPED: the provider's client is not installed; run scripts/railway-client.sh");
    false
}

struct Outcome {
    stage: Stage,
    succeeded: bool,
    said: String,
}

async fn play(case: &CommandCase) -> Outcome {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let output = client(&stage, &agent).unwrap().run(case).await.unwrap();
    let said = format!(
        "{}: {}{}",
        case.name,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Outcome { stage, succeeded: output.status.success(), said }
}

/// Says whether a look is one that the shipped policies keep from a staging session: secrets of
/// production.
fn reveals_production(case: &CommandCase) -> bool {
    case.place == Place::Production && case.root_field.contains("variables")
}

/// Says whether the gateway had a copy made of what was overwritten, and before that.
fn can_be_undone(stage: &Stage, case: &CommandCase) -> bool {
    let Trace::Overwritten(volume, instance) = case.trace else { return false };
    let seen = stage.mutations();
    let first = |field: &str| seen.iter().position(|it| it.asked_for(field));
    let copied = first("mutation.volumeInstanceBackupCreate");
    let in_order = copied.is_some() && copied < first(case.root_field);
    let data = stage.world.data_dir(volume, instance);
    let copies = copies_of(&stage.world.volume_dir(volume), ids::FILE_IN_NO_BACKUP);
    in_order && copies.iter().any(|copy| !copy.starts_with(&data))
}

/// Says whether the record tells of a call that was stopped, asked for or parked. A refusal may
/// become readable a moment after its answer.
async fn is_on_record(stage: &Stage) -> bool {
    for _ in 0..20 {
        let record = stage.gateway.done(&["log", "export"]).await.unwrap();
        let kinds = ["\"refusal\"", "\"pending\"", "\"request\""];
        if kinds.iter().any(|kind| record.contains(kind)) {
            return true;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    false
}

fn copies_of(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(copies_of(&path, name));
        } else if path.ends_with(name) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn what_only_looks_works() {
    if !installed() {
        return;
    }
    let mut failures = Vec::new();
    for case in CASES.iter().filter(|it| it.kind == CommandKind::Inspect) {
        let played = play(case).await;
        if REFUSED_LOOKS.contains(&case.name) {
            // The day it passes, the list must be shorter.
            assert!(played.said.contains("foreign-credential"), "{}", played.said);
        } else if reveals_production(case) {
            assert!(!played.succeeded, "{}", played.said);
            assert_eq!(played.stage.count(case.root_field), 0, "{}", played.said);
        } else if !played.succeeded {
            failures.push(played.said);
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn what_changes_staging_works() {
    if !installed() {
        return;
    }
    let mut failures = Vec::new();
    let changes = CASES.iter().filter(|it| it.kind == CommandKind::Change);
    for case in changes {
        let played = play(case).await;
        let done = case.trace.is_in(&played.stage.world);
        if PARKED_CHANGES.contains(&case.name) {
            assert!(!done && played.said.contains("killick: pending"), "{}", played.said);
            continue;
        }
        match case.place {
            Place::Staging if !played.succeeded || (case.trace != Trace::Nothing && !done) => {
                failures.push(played.said);
            }
            Place::Production if done => failures.push(format!("DONE {}", played.said)),
            Place::Staging | Place::Production | Place::Beyond => {}
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn no_way_of_deleting_deletes() {
    if !installed() {
        return;
    }
    let mut failures = Vec::new();
    for case in CASES.iter().filter(|it| it.kind == CommandKind::Delete) {
        let played = play(case).await;
        let sent = played.stage.count(case.root_field);
        let changed = case.trace.is_in(&played.stage.world);
        if (sent > 0 || changed) && !can_be_undone(&played.stage, case) {
            failures.push(format!("SENT {sent}, DONE {changed} {}", played.said));
        }
        // Stopped, or made survivable: in both cases the client was told, and it is on the record.
        if !is_on_record(&played.stage).await {
            failures.push(format!("SILENT {}", played.said));
        }
        assert!(played.stage.production_is_whole(), "{}", played.said);
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}
