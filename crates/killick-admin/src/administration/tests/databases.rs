//! Databases: whose they are, what they are called, how they go.

use killick_model::UpstreamName;

use super::*;
use crate::protocol::SessionOpened;

async fn opened(stage: &Stage, ask: SessionAsk) -> SessionOpened {
    let reply = stage.ask(Command::SessionOpen(ask), Some(PASSPHRASE)).await.unwrap();
    let Reply::SessionOpened(opened) = reply else { panic!("{reply:?}") };
    *opened
}

fn named(all: &[(UpstreamName, Secret)]) -> Vec<&str> {
    all.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn a_session_is_given_the_databases_of_its_environment_and_others_by_name_alone() {
    let stage = Stage::open().await;
    for (database, environment) in [("archive", "production"), ("second", "staging")] {
        let ask = DatabaseAsk { environment: name(environment), ..database_ask(database) };
        stage.ask(Command::DatabaseAdd(Box::new(ask)), Some(PASSPHRASE)).await.unwrap();
    }
    let plain = opened(&stage, session_ask("staging", false)).await;
    assert_eq!(named(&plain.databases), ["main", "second"]);
    assert!(plain.databases_elsewhere.is_empty());
    let scope = Scope {
        upstreams: Some([name("archive"), name("second")].into_iter().collect()),
        ..Scope::full()
    };
    let by_name = opened(&stage, SessionAsk { scope, ..session_ask("staging", false) }).await;
    assert_eq!(named(&by_name.databases), ["second"]);
    assert_eq!(named(&by_name.databases_elsewhere), ["archive"]);
    let production = opened(&stage, session_ask("production", false)).await;
    assert_eq!(named(&production.databases), ["archive"]);
}

#[tokio::test]
async fn a_name_is_a_databases_or_an_upstreams_and_never_both() {
    let stage = Stage::open().await;
    let add = |it| Command::DatabaseAdd(Box::new(it));
    let as_upstream = stage.ask(add(database_ask("api")), Some(PASSPHRASE)).await.unwrap_err();
    assert_eq!(as_upstream.code, AdminCode::Exists);
    let replacing = DatabaseAsk { replace: true, ..database_ask("api") };
    assert_eq!(
        stage.ask(add(replacing), Some(PASSPHRASE)).await.unwrap_err().code,
        AdminCode::Exists
    );
    for replace in [false, true] {
        let ask = UpstreamAsk { replace, ..upstream_ask("main") };
        let error = stage.ask(Command::UpstreamAdd(ask), Some(PASSPHRASE)).await.unwrap_err();
        assert_eq!(error.code, AdminCode::Exists);
    }
    assert!(stage.store.upstreams().unwrap().iter().all(|it| it.name != name("main")));
    let again = stage.ask(add(database_ask("main")), Some(PASSPHRASE)).await.unwrap_err();
    assert_eq!(again.code, AdminCode::Exists);
    let replaced = DatabaseAsk { replace: true, user: "other".into(), ..database_ask("main") };
    stage.ask(add(replaced), Some(PASSPHRASE)).await.unwrap();
    assert_eq!(stage.store.databases().unwrap()[0].user, "other");
}

#[tokio::test]
async fn a_database_can_be_removed_again_when_the_vault_failed_the_first_time() {
    let stage = Stage::open().await;
    let add = Command::DatabaseAdd(Box::new(database_ask("second")));
    stage.ask(add, Some(PASSPHRASE)).await.unwrap();
    let remove = || Command::DatabaseRemove { name: name("second") };
    let there = |stage: &Stage| {
        let row = stage.store.databases().unwrap().iter().any(|it| it.name == name("second"));
        let kept = stage.vault.kept.lock();
        (row, kept.iter().any(|(info, _)| info.name.as_str() == "database.second"))
    };
    stage.vault.removes_nothing.store(true, Ordering::SeqCst);
    let error = stage.ask(remove(), Some(PASSPHRASE)).await.unwrap_err();
    assert_eq!(error.code, AdminCode::StoreUnavailable);
    assert_eq!(there(&stage), (true, true), "the row went and the password stayed");
    stage.vault.removes_nothing.store(false, Ordering::SeqCst);
    stage.ask(remove(), Some(PASSPHRASE)).await.unwrap();
    assert_eq!(there(&stage), (false, false));
    // One whose password is gone already can still be removed.
    assert!(stage.ask(remove(), Some(PASSPHRASE)).await.is_err());
    let main = Command::DatabaseRemove { name: name("main") };
    stage.ask(main, Some(PASSPHRASE)).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_a_database_is_refused_before_anything_is_kept() {
    let stage = Stage::open().await;
    let long = "x".repeat(256);
    let wrong: Vec<DatabaseAsk> = vec![
        DatabaseAsk { host: String::new(), ..database_ask("second") },
        DatabaseAsk { user: "a\nb".into(), ..database_ask("second") },
        DatabaseAsk { database: long, ..database_ask("second") },
        DatabaseAsk { role: Some(String::new()), ..database_ask("second") },
        DatabaseAsk { read_role: Some("a\0b".into()), ..database_ask("second") },
    ];
    for ask in wrong {
        let before = stage.state();
        let add = Command::DatabaseAdd(Box::new(ask));
        let error = stage.ask(add, Some(PASSPHRASE)).await.unwrap_err();
        assert_eq!(error.code, AdminCode::Invalid);
        assert_eq!(stage.state(), before);
    }
    let ask = PrepareAsk { role: Some("agents".into()), ..PrepareAsk::default() };
    let prepare = Command::DatabasePrepare { name: name("main"), ask: ask.clone() };
    let Reply::DatabasePrepared(prepared) = stage.ask(prepare, None).await.unwrap() else {
        panic!("no preparation")
    };
    assert_eq!(prepared.sql, "-- for main of local:alice");
    let nobody = Command::DatabasePrepare { name: name("nobody"), ask };
    assert_eq!(stage.ask(nobody, None).await.unwrap_err().code, AdminCode::Missing);
}
