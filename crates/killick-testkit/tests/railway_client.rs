//! The real client against the world, with nothing in between: every command of the table works,
//! and every deletion deletes. What a gateway stops is measured against this.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and say why they were skipped"
)]

use std::path::Path;

use killick_testkit::connect_router::{ConnectRouter, PROVIDER_HOSTS};
use killick_testkit::practice::{PracticeOptions, PracticeWorld};
use killick_testkit::railway_cli::{
    CASES, ClientRoute, ClientSetup, ClientToken, CommandKind, Trace,
};

struct Direct {
    world: PracticeWorld,
    router: ConnectRouter,
    client: ClientSetup,
}

/// Starts everything, or says why the test is skipped.
async fn direct(dir: &Path, token: fn(&PracticeWorld) -> ClientToken) -> Option<Direct> {
    direct_with(PracticeOptions::in_dir(dir.join("disk")), dir, token).await
}

async fn direct_with(
    options: PracticeOptions,
    dir: &Path,
    token: fn(&PracticeWorld) -> ClientToken,
) -> Option<Direct> {
    let world = PracticeWorld::start(options).await.unwrap();
    let router = ConnectRouter::start(&PROVIDER_HOSTS, world.addr).await.unwrap();
    let ca_file = dir.join("ca.pem");
    std::fs::write(&ca_file, &world.ca_pem).unwrap();
    let route = ClientRoute { proxy_url: router.url(), ca_file, token: token(&world) };
    let Some(client) = ClientSetup::prepare(dir, route).unwrap() else {
        eprintln!("skipped: the client is not installed, run scripts/railway-client.sh");
        return None;
    };
    Some(Direct { world, router, client })
}

fn account(world: &PracticeWorld) -> ClientToken {
    ClientToken::Account(world.account_token.clone())
}

fn project(world: &PracticeWorld) -> ClientToken {
    ClientToken::Project(world.project_token.clone())
}

#[tokio::test]
async fn every_command_does_what_the_table_says() {
    for case in CASES {
        let dir = tempfile::tempdir().unwrap();
        let Some(direct) = direct(dir.path(), account).await else { return };
        assert!(!case.trace.is_in(&direct.world), "{}: the trace is there before", case.name);
        let output = direct.client.run(case).await.unwrap();
        let said = format!(
            "{}: {}{}",
            case.name,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{said}");
        let seen = direct.world.requests();
        assert!(seen.iter().any(|request| request.asked_for(case.root_field)), "{said}");
        let expected = case.trace != Trace::Nothing;
        assert_eq!(case.trace.is_in(&direct.world), expected, "{said}");
        if case.kind == CommandKind::Inspect {
            let effects = seen.iter().flat_map(|request| &request.root_fields).filter(|field| {
                field.starts_with("mutation.") && field.as_str() != case.root_field
            });
            assert_eq!(effects.count(), 0, "{said}");
        }
    }
}

#[test]
fn a_deletion_that_leaves_no_trace_is_not_in_the_table() {
    for case in CASES {
        let silent = case.kind == CommandKind::Delete && case.trace == Trace::Nothing;
        assert!(!silent, "{}", case.name);
    }
}

#[tokio::test]
async fn the_telemetry_is_sent_only_when_it_is_not_switched_off() {
    let dir = tempfile::tempdir().unwrap();
    let Some(direct) = direct(dir.path(), account).await else { return };
    let tracked = |world: &PracticeWorld| {
        world.requests().iter().any(|request| request.asked_for("mutation.cliEventTrack"))
    };
    assert!(direct.client.run_with(&["whoami"], "").await.unwrap().status.success());
    assert!(!tracked(&direct.world));
    let loud = direct.client.clone().with_telemetry();
    assert!(loud.run_with(&["whoami"], "").await.unwrap().status.success());
    assert!(tracked(&direct.world));
    let elsewhere = |target: &String| !target.starts_with("CONNECT backboard.railway.com:");
    assert_eq!(direct.router.targets().iter().filter(|target| elsewhere(target)).count(), 0);
}

#[tokio::test]
async fn a_project_token_stays_in_its_environment() {
    let dir = tempfile::tempdir().unwrap();
    let Some(direct) = direct(dir.path(), project).await else { return };
    let run = |args: &'static [&'static str]| direct.client.run_with(args, "");
    assert!(run(&["volume", "list"]).await.unwrap().status.success());
    let deleted = run(&["down", "-s", "api", "-e", "production", "-y"]).await.unwrap();
    assert!(!deleted.status.success());
    let requests = direct.world.requests();
    assert!(requests.iter().all(|request| request.header("authorization").is_none()));
    assert!(requests.iter().all(|request| request.header("project-access-token").is_some()));
}

#[tokio::test]
async fn a_refusal_is_printed_as_it_is_and_refused_telemetry_breaks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = PracticeOptions::in_dir(dir.path().join("disk"));
    options.refused = vec!["mutation.volumeDelete".into(), "mutation.cliEventTrack".into()];
    let Some(direct) = direct_with(options, dir.path(), account).await else { return };
    let client = direct.client.clone().with_telemetry();
    assert!(client.run_with(&["volume", "list"], "").await.unwrap().status.success());
    assert!(direct.world.requests().iter().any(|seen| seen.asked_for("mutation.cliEventTrack")));
    let args = ["volume", "delete", "-v", "pg-data-staging", "-y", "--json"];
    let refused = client.run_with(&args, "").await.unwrap();
    assert!(!refused.status.success());
    let said = [refused.stdout, refused.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("refused on purpose (practice-refusal)"), "{said}");
}

#[tokio::test]
async fn the_words_not_authorized_become_the_clients_own_advice() {
    let dir = tempfile::tempdir().unwrap();
    let Some(direct) = direct(dir.path(), project).await else { return };
    let refused = direct.client.run_with(&["whoami"], "").await.unwrap();
    assert!(!refused.status.success());
    let said = [refused.stdout, refused.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("RAILWAY_TOKEN is valid"), "{said}");
}
