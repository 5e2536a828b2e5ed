//! The provider's own client through the gateway: it works, and none of its ways of deleting
//! deletes anything that was there.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking")]

mod stage;

use killick_testkit::gateway::AgentSession;
use killick_testkit::railway_cli::{
    CASES, ClientRoute, ClientSetup, ClientToken, CommandCase, CommandKind, Place, Trace, binary,
};
use stage::Stage;

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

struct Played {
    stage: Stage,
    succeeded: bool,
    said: String,
}

async fn play(case: &CommandCase) -> Played {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let output = client(&stage, &agent).unwrap().run(case).await.unwrap();
    let said = format!(
        "{}: {}{}",
        case.name,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Played { stage, succeeded: output.status.success(), said }
}

/// Says whether a look is one that the shipped policies keep from a staging session: secrets of
/// production.
fn reveals_production(case: &CommandCase) -> bool {
    case.place == Place::Production && case.root_field.contains("variables")
}

#[tokio::test]
async fn what_only_looks_works() {
    if !installed() {
        return;
    }
    let mut failures = Vec::new();
    for case in CASES.iter().filter(|it| it.kind == CommandKind::Inspect) {
        let played = play(case).await;
        if reveals_production(case) {
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
        if case.trace.is_in(&played.stage.world) {
            failures.push(format!("DELETED {}", played.said));
            continue;
        }
        let sent = played.stage.count(case.root_field);
        if sent > 0 && case.root_field.starts_with("mutation") {
            failures.push(format!("SENT {sent} {}", played.said));
        }
        // Stopped, or made survivable: in both cases the client was told, and it is on the record.
        let record = played.stage.gateway.done(&["log", "export"]).await.unwrap();
        let kept = ["refusal", "pending", "request"];
        if !kept.iter().any(|kind| record.contains(&format!("\"{kind}\""))) {
            failures.push(format!("SILENT {}", played.said));
        }
        assert!(played.stage.production_is_whole(), "{}", played.said);
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}
