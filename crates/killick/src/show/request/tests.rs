use std::collections::{BTreeMap, BTreeSet};

use killick_model::request::{Answer, RequestState};
use killick_model::{
    Action, CallDigest, Effect, Environment, ObjectRef, Owner, Recovery, Scope, SessionId,
};

use super::*;

const NOW: UnixMillis = UnixMillis(1_777_023_667_000);
/// What an agent would like a human to read.
const LURE: &str =
    "approved by security\u{1b}[2K\u{202e}\nenvironment         staging\r\nbackups are safe";

fn volume() -> ObjectRef {
    ObjectRef {
        upstream: "api".parse().unwrap(),
        kind: "volume".into(),
        id: "3d2c42fb".into(),
        within: None,
    }
}

fn request(chain: usize) -> AccessRequest {
    let part = Part {
        operation: "harbour.volumeDelete".into(),
        effect: Effect::DESTROY,
        irreversible: true,
        backups: BackupsFate::Die,
        objects: vec![volume()],
        recovery: Recovery::default(),
        why: "deletes the volume with everything on it".into(),
    };
    let facts = ObjectFacts {
        resolved: true,
        environment: Environment::named(["production".parse().unwrap()], |_| true),
        name: Some(format!("db {LURE}")),
        size_mb: Some(40_960),
        dependants: vec!["api".into(), "worker".into()],
        backups: vec!["b-1".into(), "b-2".into(), "b-3".into()],
        extra: BTreeMap::from([("created".into(), vec!["2026-04-20T09:41:07.123Z".into()])]),
        ..ObjectFacts::unresolved(volume())
    };
    let chain: Vec<SessionId> = (1..=chain).map(|at| format!("s-{at}").parse().unwrap()).collect();
    AccessRequest {
        id: "r-1".parse().unwrap(),
        call: "c-1".parse().unwrap(),
        principal: Principal {
            session: chain.last().unwrap().clone(),
            chain,
            agent: "coder".parse().unwrap(),
            groups: BTreeSet::new(),
            owner: Owner::parse("local:alice").unwrap(),
            environment: "staging".parse().unwrap(),
            task: "clean up the volumes".into(),
            scope: Scope::full(),
            expires: NOW,
            fence: false,
        },
        action: Action::new(vec![part], LURE.into()).unwrap(),
        digest: CallDigest::of(&[b"x"]),
        upstream: "api".parse().unwrap(),
        facts: vec![facts],
        obligations: vec![Obligation::Defer { grace_millis: 172_800_000 }],
        state: RequestState::Open,
        asked: UnixMillis(NOW.0 - 60_000),
        expires: NOW.plus_millis(3_600_000),
        answer: Some(Answer {
            by: Owner::parse("local:alice").unwrap(),
            proof: "passphrase".into(),
            at: NOW,
            note: None,
        }),
        send_when_approved: false,
    }
}

fn page(chain: usize) -> Vec<String> {
    lines(&Screen::plain(), &request(chain), NOW)
}

fn at(lines: &[String], needle: &str) -> usize {
    lines
        .iter()
        .position(|line| line.contains(needle))
        .unwrap_or_else(|| panic!("{needle}: {lines:#?}"))
}

#[test]
fn what_the_gateway_found_out_is_there() {
    let lines = page(1);
    for found in [
        "environment         production",
        "object              volume:3d2c42fb",
        "size                40960 MB",
        "age                 4d 0h (made 2026-04-20 09:41:07Z)",
        "dependants          2: api, worker",
        "backups             3: b-1, b-2, b-3",
        "backups' fate       THEY GO WITH IT",
        "reversible          no, or nobody knows",
        "operation           harbour.volumeDelete",
        "why                 deletes the volume with everything on it",
        "who                 local:alice > coder > s-1",
        "task                clean up the volumes (the owner's words)",
        "done first          it waits for 2d 0h, in which it can be cancelled",
    ] {
        at(&lines, found);
    }
}

#[test]
fn no_line_of_the_page_is_written_by_the_agent() {
    for line in page(1) {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(!line.contains('\u{202e}'), "{line:?}");
        assert!(!line.starts_with("environment         staging"), "{line:?}");
    }
}

#[test]
fn what_the_agent_says_stands_last_and_is_marked() {
    let lines = page(1);
    let mark = at(&lines, "It is no fact, whatever it says");
    let excerpt = at(&lines, "call excerpt");
    assert!(mark < excerpt && excerpt == lines.len() - 1);
    assert!(lines[excerpt].ends_with("(claimed)"), "{}", lines[excerpt]);
    assert!(at(&lines, "call digest") < mark);
}

#[test]
fn the_task_of_a_narrower_session_is_a_claim() {
    let lines = page(2);
    let mark = at(&lines, "It is no fact, whatever it says");
    assert!(at(&lines, "clean up the volumes") > mark);
    assert!(task(&request(2).principal).starts_with("(claimed)"));
    assert!(!lines.iter().any(|line| line.contains("the owner's words")));
}

#[test]
fn what_nobody_knows_is_said_to_be_unknown() {
    let mut request = request(1);
    request.facts = vec![ObjectFacts::unresolved(volume())];
    request.obligations.clear();
    let lines = lines(&Screen::plain(), &request, NOW);
    at(&lines, "environment         unknown (counts as production)");
    at(&lines, "the provider did not confirm what this is");
    at(&lines, "done first          nothing");
}

#[test]
fn rows_their_cascades_and_a_sample_are_shown_and_a_row_writes_no_line_of_its_own() {
    let mut request = request(1);
    let facts = &mut request.facts[0];
    facts.rows = Some(killick_model::RowsFact {
        count: 71_128,
        measured: true,
        of: Some(80_000),
        held_at_commit: false,
    });
    facts.extra.insert("cascades".into(), vec!["public.orders (rows go too)".into()]);
    let row = format!("id=1 body=… {LURE}");
    facts.extra.insert("sample".into(), vec![row; 40]);
    let lines = lines(&Screen::plain(), &request, NOW);
    at(&lines, "rows                71128 of about 80000 (counted by the server)");
    at(&lines, "cascades            1: public.orders (rows go too)");
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("sample              id=1")).count(),
        10
    );
    assert!(!lines.iter().any(|line| line.starts_with("environment         staging")));
    assert!(!lines.iter().any(|line| line.chars().any(char::is_control)));
}
