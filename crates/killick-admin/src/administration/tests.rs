use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use killick_gate::ports::Store as _;
use killick_model::admin::Standing;
use killick_model::readiness::PrepareAsk;
use killick_model::request::{PendingState, RequestState};
use killick_model::{EffectWord, PendingId, RequestId, Scope, SessionId, Tier};

use super::*;
use crate::proof::Proof;
use crate::protocol::{CredentialAsk, DatabaseAsk, KeyKind, PolicyText, SessionAsk, UpstreamAsk};
use crate::stage::{NOW, PASSPHRASE, Stage, name};

mod databases;

fn session_ask(environment: &str, fence: bool) -> SessionAsk {
    SessionAsk {
        agent: name("coder"),
        environment: name(environment),
        task: "fix the login".into(),
        ttl_millis: 3_600_000,
        scope: Scope::full(),
        fence,
    }
}

fn upstream_ask(upstream: &str) -> UpstreamAsk {
    UpstreamAsk {
        name: name(upstream),
        pack: None,
        hosts: vec!["other.example".into()],
        port: None,
        tls: true,
        declared: Some(Tier::Shared),
        model_provider: false,
        dial: None,
        writes_by_method: false,
        private_address: false,
        replace: false,
    }
}

fn database_ask(database: &str) -> DatabaseAsk {
    DatabaseAsk {
        name: name(database),
        host: "db.example".into(),
        port: 5432,
        database: "shop".into(),
        user: "app".into(),
        password: Secret::new("a-database-password".into()),
        tls: killick_model::database::DatabaseTls::Verify,
        private_address: false,
        environment: name("staging"),
        role: Some("agents".into()),
        read_role: None,
        lives_on: None,
        limits: killick_model::database::DatabaseLimits::default(),
        replace: false,
    }
}

fn credential_ask(credential: &str) -> CredentialAsk {
    CredentialAsk {
        name: name(credential),
        upstream: name("api"),
        value: Secret::new("a-real-credential".into()),
        path_prefix: "/".into(),
        injection: None,
        surrogate: None,
        own: false,
    }
}

fn shipped_and(more: &str) -> Vec<PolicyText> {
    let shipped = PolicyText::from(killick_policy::PolicySource::shipped());
    vec![shipped, PolicyText { name: "own.cedar".into(), text: more.into() }]
}

/// Every command, each in a form that works on the stage, with what it takes.
#[expect(clippy::too_many_lines, reason = "one line for each command")]
fn every_command(session: &SessionId) -> Vec<(Command, Proof)> {
    use Proof::{Needed, NotNeededNarrows, NotNeededOutsideProduction, NotNeededReads};
    let call = killick_model::CallId::parse("c-1").unwrap();
    vec![
        (Command::Status {}, NotNeededReads),
        (Command::AgentAdd { name: name("second"), owner: None, groups: BTreeSet::new() }, Needed),
        (Command::AgentList {}, NotNeededReads),
        (Command::AgentFreeze { name: name("coder"), reason: None }, NotNeededNarrows),
        (Command::AgentThaw { name: name("stopped") }, Needed),
        (Command::AgentRemove { name: name("coder") }, Needed),
        (Command::SessionOpen(session_ask("staging", false)), NotNeededOutsideProduction),
        (Command::SessionOpen(session_ask("staging", true)), Needed),
        (Command::SessionOpen(session_ask("production", false)), Needed),
        (Command::SessionOpen(session_ask("anything-else", false)), Needed),
        (Command::SessionList { all: true }, NotNeededReads),
        (Command::SessionClose { session: session.clone() }, NotNeededNarrows),
        (Command::PointList { database: None }, NotNeededReads),
        (Command::PointShow { id: name("k-1") }, NotNeededReads),
        (Command::PointRemove { id: name("k-1") }, Needed),
        (Command::SnapshotBegin { database: name("main") }, NotNeededNarrows),
        (Command::RehearseBegin { database: name("main"), assertions: None }, Needed),
        (
            Command::RestoreBegin {
                database: name("main"),
                point: name("k-1"),
                into: "main_before".into(),
            },
            Needed,
        ),
        (Command::WorkShow { database: name("main") }, NotNeededReads),
        (Command::RehearsalList {}, NotNeededReads),
        (Command::UpstreamAdd(upstream_ask("second")), Needed),
        (Command::DatabaseAdd(Box::new(database_ask("second"))), Needed),
        (Command::DatabaseList {}, NotNeededReads),
        (
            Command::DatabasePrepare { name: name("main"), ask: PrepareAsk::default() },
            NotNeededReads,
        ),
        (Command::DatabaseCatalogue { name: name("main") }, NotNeededReads),
        (Command::DatabaseRemove { name: name("main") }, Needed),
        (Command::UpstreamList {}, NotNeededReads),
        (Command::UpstreamRemove { name: name("api") }, Needed),
        (Command::CredentialAdd(credential_ask("second")), Needed),
        (Command::CredentialList {}, NotNeededReads),
        (
            Command::CredentialRotate {
                name: name("deploy"),
                value: Secret::new("another-credential".into()),
            },
            Needed,
        ),
        (Command::CredentialRemove { name: name("deploy") }, Needed),
        (Command::RequestList { all: true }, NotNeededReads),
        (Command::RequestShow { id: name("r-1") }, NotNeededReads),
        (Command::RequestApprove { id: name("r-1"), send: false, note: None }, Needed),
        (Command::RequestDeny { id: name("r-1"), note: None }, NotNeededNarrows),
        (
            Command::GrantAdd {
                session: session.clone(),
                effect: EffectWord::Write,
                objects: Vec::new(),
                count: 40,
                ttl_millis: 60_000,
            },
            Needed,
        ),
        (Command::GrantList {}, NotNeededReads),
        (Command::GrantRemove { id: "g-1".into() }, NotNeededNarrows),
        (
            Command::BreakGlassOpen {
                agent: name("coder"),
                reason: "the database is down".into(),
                ttl_millis: 60_000,
            },
            Needed,
        ),
        (Command::BreakGlassList {}, NotNeededReads),
        (Command::BreakGlassEnd { agent: name("stopped") }, NotNeededNarrows),
        (Command::PendingList { all: true }, NotNeededReads),
        (Command::PendingCancel { id: name("p-1") }, NotNeededNarrows),
        (Command::PolicyShow {}, NotNeededReads),
        (Command::PolicyCheck { sources: shipped_and("") }, NotNeededReads),
        (
            Command::PolicySet { sources: shipped_and("forbid(principal, action, resource);") },
            Needed,
        ),
        (Command::RecordRead { from: 0, max: 10 }, NotNeededReads),
        (Command::RecordTail { max: 10 }, NotNeededReads),
        (Command::RecordFind { call }, NotNeededReads),
        (Command::CheckpointPublish {}, NotNeededNarrows),
        (Command::KeyRotate { key: KeyKind::Store }, Needed),
        (Command::KeyRotate { key: KeyKind::Record }, Needed),
        (Command::KeyRotate { key: KeyKind::Recovery }, Needed),
        (Command::PassphraseChange { next: Secret::new("the-next-passphrase".into()) }, Needed),
        (Command::PackList {}, NotNeededReads),
        (Command::PackDrift { name: "harbour".into() }, NotNeededReads),
    ]
}

/// How many commands there are beside `explain`, which the stage's adapters do not know.
const COMMANDS: usize = 52;

async fn nth(at: usize) -> (Stage, Command, Proof) {
    let stage = Stage::open().await;
    let (command, proof) = every_command(&stage.session).swap_remove(at);
    (stage, command, proof)
}

async fn count() -> usize {
    let stage = Stage::open().await;
    let all = every_command(&stage.session);
    let words: BTreeSet<&str> = all.iter().map(|(command, _)| command.word()).collect();
    assert_eq!(words.len(), COMMANDS, "a command is not in the table");
    all.len()
}

#[tokio::test]
async fn what_widens_needs_a_proof_and_nothing_else_does() {
    for at in 0..count().await {
        let (stage, command, expected) = nth(at).await;
        let word = command.word();
        assert_eq!(proof::of(&command), expected, "{word}");
        let before = stage.state();
        let answered = stage.ask(command, None).await;
        if expected.is_needed() {
            assert_eq!(answered.unwrap_err().code, AdminCode::ProofNeeded, "{word}");
            assert_eq!(stage.state(), before, "{word} changed something without a proof");
        } else {
            assert!(answered.is_ok(), "{word}: {answered:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_proof_changes_nothing_and_is_on_the_record() {
    for at in 0..count().await {
        let (stage, command, expected) = nth(at).await;
        if !expected.is_needed() {
            continue;
        }
        let word = command.word();
        let before = stage.state();
        let error = stage.ask(command, Some("a-wrong-passphrase")).await.unwrap_err();
        assert_eq!(error.code, AdminCode::ProofRefused, "{word}");
        assert!(!error.to_string().contains("a-wrong-passphrase"));
        assert_eq!(stage.state(), before, "{word} changed something with a wrong proof");
        let entries = stage.record.entries.lock();
        assert_eq!(entries.len(), 1, "{word}");
        assert_eq!(entries[0].verdict.as_deref(), Some("unproved"), "{word}");
        assert_eq!(entries[0].operation.as_deref(), Some(word));
    }
}

#[tokio::test]
async fn with_a_proof_every_command_is_done_and_every_change_is_recorded_with_who_did_it() {
    for at in 0..count().await {
        let (stage, command, expected) = nth(at).await;
        let word = command.word();
        let before = stage.state();
        let answered = stage.ask(command, Some(PASSPHRASE)).await;
        assert!(answered.is_ok(), "{word}: {answered:?}");
        let entries = stage.record.entries.lock();
        match expected {
            Proof::NotNeededReads => {
                assert_eq!(stage.state(), before, "{word} is no reading");
                assert!(entries.is_empty(), "{word}");
            }
            Proof::Needed | Proof::NotNeededNarrows | Proof::NotNeededOutsideProduction => {
                assert_ne!(stage.state(), before, "{word} did nothing");
                assert_eq!(entries.len(), 1, "{word}: {entries:?}");
                assert_eq!(entries[0].by.as_deref(), Some("local:alice"), "{word}");
            }
        }
    }
}

#[tokio::test]
async fn what_the_record_cannot_take_is_not_done() {
    for at in 0..count().await {
        let (stage, command, expected) = nth(at).await;
        let word = command.word();
        if expected == Proof::NotNeededReads || matches!(word, "agent freeze" | "session close") {
            continue;
        }
        stage.record.fails.store(true, Ordering::SeqCst);
        let before = stage.state();
        let error = stage.ask(command, Some(PASSPHRASE)).await.unwrap_err();
        assert_eq!(error.code, AdminCode::RecordUnavailable, "{word}: {error:?}");
        assert_eq!(stage.state(), before, "{word} took effect without the record");
    }
}

#[tokio::test]
async fn a_stop_takes_effect_even_when_the_record_cannot_take_it_and_says_so() {
    let stage = Stage::open().await;
    stage.record.fails.store(true, Ordering::SeqCst);
    let live = stage.gate.sessions().by_id(&stage.session).unwrap();
    let freeze = Command::AgentFreeze { name: name("coder"), reason: None };
    let error = stage.ask(freeze, None).await.unwrap_err();
    assert!(error.message.contains("IS frozen"), "{error:?}");
    assert!(live.lifeline.check().is_err());
    assert!(stage.store.agents().unwrap().iter().all(|it| it.standing == Standing::Frozen));

    let stage = Stage::open().await;
    stage.record.fails.store(true, Ordering::SeqCst);
    let live = stage.gate.sessions().by_id(&stage.session).unwrap();
    let close = Command::SessionClose { session: stage.session.clone() };
    let error = stage.ask(close, None).await.unwrap_err();
    assert!(error.message.contains("IS closed"), "{error:?}");
    assert!(live.lifeline.check().is_err());
}

#[tokio::test]
async fn no_secret_stands_on_the_record_or_in_a_reply_but_the_one_that_hands_it_out() {
    for at in 0..count().await {
        let (stage, command, _) = nth(at).await;
        let word = command.word();
        let shown = format!("{command:?}");
        let answered = stage.ask(command, Some(PASSPHRASE)).await;
        let reply = serde_json::to_string(&answered.unwrap()).unwrap();
        let entries = serde_json::to_string(&*stage.record.entries.lock()).unwrap();
        for secret in [
            PASSPHRASE,
            "the-next-passphrase",
            "a-real-credential",
            "another-credential",
            "a-database-password",
            "ksess_",
        ] {
            assert!(!entries.contains(secret), "{word}: {secret} on the record");
            assert!(!shown.contains(secret), "{word}: {secret} in Debug");
            let handed_out = word == "session open" && secret == "ksess_";
            assert!(handed_out || !reply.contains(secret), "{word}: {secret} in the reply");
        }
    }
}

#[tokio::test]
async fn removing_an_agent_ends_its_sessions_at_once() {
    let stage = Stage::open().await;
    let live = stage.gate.sessions().by_id(&stage.session).unwrap();
    stage.ask(Command::AgentRemove { name: name("coder") }, Some(PASSPHRASE)).await.unwrap();
    assert!(live.lifeline.check().is_err());
    assert!(stage.gate.sessions().by_id(&stage.session).is_none());
}

#[tokio::test]
async fn a_session_is_not_left_behind_without_its_surrogates() {
    let stage = Stage::open().await;
    stage.vault.mints_nothing.store(true, Ordering::SeqCst);
    let before = stage.gate.sessions().len();
    let command = Command::SessionOpen(session_ask("staging", false));
    assert!(stage.ask(command, None).await.is_err());
    assert_eq!(stage.gate.sessions().len(), before);
    let open = stage.store.sessions().unwrap().iter().filter(|(it, _)| it.closed.is_none()).count();
    assert_eq!(open, 1);
}

#[tokio::test]
async fn an_opened_session_brings_what_its_clients_need() {
    let stage = Stage::open().await;
    let command = Command::SessionOpen(session_ask("staging", false));
    let Reply::SessionOpened(opened) = stage.ask(command, None).await.unwrap() else { panic!() };
    assert_eq!(opened.session.principal.owner.to_string(), "local:alice");
    assert_eq!(opened.surrogates[0].variables, ["HARBOUR_TOKEN"]);
    let token = opened.token.expose().as_bytes();
    let live = stage.gate.sessions().authenticate(token, NOW).unwrap();
    assert_eq!(live.principal.session, opened.session.principal.session);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_the_record() {
    let stage = Stage::open().await;
    let mut wrong: Vec<Command> = vec![
        Command::SessionOpen(SessionAsk {
            ttl_millis: 25 * 3_600_000,
            ..session_ask("dev", false)
        }),
        Command::SessionOpen(SessionAsk { task: " ".into(), ..session_ask("dev", false) }),
        Command::SessionOpen(SessionAsk { task: "a\u{202e}b".into(), ..session_ask("dev", false) }),
        Command::SessionOpen(SessionAsk { agent: name("nobody"), ..session_ask("dev", false) }),
        Command::SessionOpen(SessionAsk { agent: name("stopped"), ..session_ask("dev", false) }),
        Command::UpstreamAdd(UpstreamAsk { hosts: Vec::new(), ..upstream_ask("x") }),
        Command::UpstreamAdd(UpstreamAsk {
            hosts: vec!["*.x.example".into()],
            ..upstream_ask("x")
        }),
        Command::UpstreamAdd(UpstreamAsk { hosts: vec!["a/b".into()], ..upstream_ask("x") }),
        Command::UpstreamAdd(UpstreamAsk { dial: Some("localhost:1".into()), ..upstream_ask("x") }),
        Command::UpstreamAdd(UpstreamAsk { declared: Some(Tier::Other), ..upstream_ask("x") }),
        Command::UpstreamAdd(UpstreamAsk { pack: Some("none".into()), ..upstream_ask("x") }),
        Command::UpstreamAdd(upstream_ask("api")),
        Command::UpstreamAdd(UpstreamAsk {
            hosts: vec!["API.harbour.example".into()],
            ..upstream_ask("x")
        }),
        Command::CredentialAdd(credential_ask("deploy")),
        Command::CredentialAdd(CredentialAsk {
            value: Secret::new("two\nlines-of-it".into()),
            ..credential_ask("x")
        }),
        Command::CredentialAdd(CredentialAsk {
            value: Secret::new("short".into()),
            ..credential_ask("x")
        }),
        Command::CredentialAdd(CredentialAsk { upstream: name("none"), ..credential_ask("x") }),
        Command::CredentialAdd(CredentialAsk {
            path_prefix: "/a/../b".into(),
            ..credential_ask("x")
        }),
        Command::CredentialAdd(CredentialAsk {
            injection: Some("smuggle".into()),
            ..credential_ask("x")
        }),
        Command::BreakGlassOpen { agent: name("coder"), reason: "x".into(), ttl_millis: 1 },
        Command::BreakGlassOpen {
            agent: name("coder"),
            reason: "a good enough reason".into(),
            ttl_millis: 5 * 3_600_000,
        },
        Command::PolicySet { sources: shipped_and("permit(principal") },
        Command::PolicySet { sources: Vec::new() },
        Command::PolicySet { sources: shipped_and(&format!("// {}", "x".repeat(64 << 10))) },
    ];
    for effect in [EffectWord::Destroy, EffectWord::Unrecognized] {
        wrong.push(Command::GrantAdd {
            session: stage.session.clone(),
            effect,
            objects: Vec::new(),
            count: 1,
            ttl_millis: 1,
        });
    }
    let before = stage.state();
    for command in wrong {
        let shown = format!("{command:?}");
        let error = stage.ask(command, Some(PASSPHRASE)).await.expect_err(&shown);
        assert!(!error.next_step.is_empty(), "{shown}");
        assert!(stage.record.entries.lock().is_empty(), "{shown}");
        assert_eq!(stage.state(), before, "{shown}");
    }
}

#[tokio::test]
async fn a_request_is_answered_once_and_a_parked_call_is_cancelled_once() {
    let stage = Stage::open().await;
    let id = RequestId::parse("r-1").unwrap();
    let approve = Command::RequestApprove { id: id.clone(), send: true, note: None };
    let Reply::Request(request) = stage.ask(approve, Some(PASSPHRASE)).await.unwrap() else {
        panic!()
    };
    assert_eq!(request.state, RequestState::Approved);
    assert_eq!(request.answer.unwrap().proof, "passphrase");
    let deny = Command::RequestDeny { id, note: None };
    assert_eq!(stage.ask(deny, None).await.unwrap_err().code, AdminCode::Missing);
    let id = PendingId::parse("p-1").unwrap();
    stage.ask(Command::PendingCancel { id: id.clone() }, None).await.unwrap();
    assert_eq!(stage.store.pending(&id).unwrap().state, PendingState::Cancelled);
    assert!(stage.ask(Command::PendingCancel { id }, None).await.is_err());
}

#[tokio::test]
async fn a_grant_never_outlives_its_session() {
    let stage = Stage::open().await;
    let command = Command::GrantAdd {
        session: stage.session.clone(),
        effect: EffectWord::Write,
        objects: Vec::new(),
        count: 1,
        ttl_millis: 24 * 3_600_000,
    };
    let Reply::Grants(grants) = stage.ask(command, Some(PASSPHRASE)).await.unwrap() else {
        panic!()
    };
    assert_eq!(grants[0].expires, NOW.plus_millis(3_600_000));
}

#[tokio::test]
async fn a_pack_says_what_was_left_unsaid() {
    let stage = Stage::open().await;
    let ask = UpstreamAsk {
        pack: Some("harbour".into()),
        hosts: Vec::new(),
        replace: true,
        declared: None,
        ..upstream_ask("api")
    };
    stage.ask(Command::UpstreamAdd(ask), Some(PASSPHRASE)).await.unwrap();
    assert_eq!(stage.rest.upstreams.lock()[0].hosts, ["api.harbour.example"]);
    stage.ask(Command::CredentialAdd(credential_ask("second")), Some(PASSPHRASE)).await.unwrap();
    let kept = stage.vault.kept.lock();
    let (info, value) = kept.iter().find(|(it, _)| it.name.as_str() == "second").unwrap();
    assert_eq!(value.as_slice(), b"a-real-credential");
    assert_eq!(info.surrogate, "uuid");
    assert_eq!(info.injection, killick_model::admin::Injection::Header("x-harbour-key".into()));
}

#[tokio::test]
async fn the_former_passphrase_is_no_longer_good() {
    let stage = Stage::open().await;
    let change = || Command::PassphraseChange { next: Secret::new("the-next-passphrase".into()) };
    stage.ask(change(), Some(PASSPHRASE)).await.unwrap();
    assert_eq!(
        stage.ask(change(), Some(PASSPHRASE)).await.unwrap_err().code,
        AdminCode::ProofRefused
    );
    stage.ask(change(), Some("the-next-passphrase")).await.unwrap();
}
