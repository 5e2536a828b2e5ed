use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use killick_gate::ports::{Store, StoreError};
use killick_model::UnixMillis;
use killick_model::request::RequestState;
use rusqlite::Connection;

use super::SqliteStore;
use crate::database::OpenError;
use crate::keys::{FileKey, KeyProvider};
use crate::store_contract;
use crate::store_contract::samples::{
    NOW, agent, answer, grant, object, pending, request, session,
};

fn key(folder: &Path) -> Arc<dyn KeyProvider> {
    let path = folder.join("master.key");
    Arc::new(if path.exists() { FileKey::at(&path) } else { FileKey::create(&path).unwrap() })
}

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(&folder.join("state"), key(folder)).unwrap()
}

fn raw(folder: &Path) -> Connection {
    Connection::open(folder.join("state/killick.db")).unwrap()
}

#[test]
fn it_keeps_the_contract_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::cell::Cell::new(0);
    store_contract::run(|| {
        made.set(made.get() + 1);
        let state = folder.path().join(format!("state-{}", made.get()));
        Box::new(SqliteStore::open(&state, key(folder.path())).unwrap())
    });
}

#[test]
fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (asked, parked) =
        (request("r-1", "s-1", "deploy", b"a"), pending("p-1", "s-1", "deploy", b"b"));
    let live = session("s-1", "deploy");
    {
        let store = open(folder.path());
        store.agent_add(&agent("deploy")).unwrap();
        store.session_add(&live, &[7; 32]).unwrap();
        store.request_open(&asked, b"one").unwrap();
        store.pending_add(&parked, b"two").unwrap();
        store.created_add(&live.principal.session, &object("volume", "v1")).unwrap();
    }
    let store = open(folder.path());
    assert_eq!(store.sessions().unwrap(), [(live.clone(), [7; 32])]);
    assert_eq!(store.request(&asked.id).unwrap(), asked);
    assert_eq!(store.request_canonical(&asked.id).unwrap().as_slice(), b"one");
    assert_eq!(store.pending_canonical(&parked.id).unwrap().as_slice(), b"two");
    assert!(store.created_by(&live.principal.session, &object("volume", "v1")).unwrap());
}

#[test]
fn directory_and_files_are_for_their_owner_alone_even_when_they_were_not() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(state.join("killick.db"), b"").unwrap();
    let store = open(folder.path());
    store.setting_put("a", "b").unwrap();
    assert_eq!(std::fs::metadata(&state).unwrap().mode() & 0o7777, 0o700);
    let mut seen = 0;
    for file in std::fs::read_dir(&state).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600, "{:?}", file.path());
        seen += 1;
    }
    assert!(seen >= 2, "the database and its log");
}

#[test]
fn a_link_in_the_place_of_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(folder.path().join("elsewhere"), b"").unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), state.join("killick.db")).unwrap();
    let opened = SqliteStore::open(&state, key(folder.path()));
    assert!(matches!(opened, Err(OpenError::Directory { .. })));
}

#[test]
fn a_later_schema_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    raw(folder.path()).execute("UPDATE schema_version SET version = 999", []).unwrap();
    let opened = SqliteStore::open(&folder.path().join("state"), key(folder.path()));
    assert_eq!(opened.unwrap_err(), OpenError::Newer { found: 999, known: 2 });
    let version: i64 = raw(folder.path())
        .query_row("SELECT version FROM schema_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 999);
}

#[test]
fn an_emptied_version_table_is_damage_and_no_fresh_store() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    raw(folder.path()).execute("DELETE FROM schema_version", []).unwrap();
    let opened = SqliteStore::open(&folder.path().join("state"), key(folder.path()));
    assert!(matches!(opened, Err(OpenError::Failed(_))));
}

#[test]
fn another_master_key_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let other = FileKey::create(&folder.path().join("other.key")).unwrap();
    let opened = SqliteStore::open(&folder.path().join("state"), Arc::new(other));
    assert_eq!(opened.unwrap_err(), OpenError::Sealed);
}

#[test]
fn a_lost_key_row_is_never_replaced_over_sealed_rows() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).request_open(&request("r-1", "s-1", "deploy", b"a"), b"x").unwrap();
    raw(folder.path()).execute("DELETE FROM keys", []).unwrap();
    let opened = SqliteStore::open(&folder.path().join("state"), key(folder.path()));
    assert_eq!(opened.unwrap_err(), OpenError::KeyLost);
}

#[test]
fn a_canonical_form_moved_to_another_request_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (one, two) = (request("r-1", "s-1", "deploy", b"a"), request("r-2", "s-1", "deploy", b"b"));
    store.request_open(&one, b"harmless").unwrap();
    store.request_open(&two, b"destroys").unwrap();
    raw(folder.path())
        .execute(
            "UPDATE requests SET canonical = (SELECT canonical FROM requests WHERE id = 'r-2')
             WHERE id = 'r-1'",
            [],
        )
        .unwrap();
    assert!(matches!(store.request_canonical(&one.id), Err(StoreError::Failed(_))));
    assert_eq!(store.request_canonical(&two.id).unwrap().as_slice(), b"destroys");
}

#[test]
fn the_oldest_created_object_is_forgotten_at_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.agent_add(&agent("deploy")).unwrap();
    let live = session("s-1", "deploy");
    store.session_add(&live, &[7; 32]).unwrap();
    let id = &live.principal.session;
    let max = i64::try_from(crate::limits::CREATED_PER_SESSION_MAX).unwrap();
    store.created_add(id, &object("volume", "first")).unwrap();
    raw(folder.path())
        .execute(
            "WITH RECURSIVE n(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < ?1)
             INSERT INTO created SELECT 's-1', 'filler ' || at FROM n",
            [max - 1],
        )
        .unwrap();
    assert!(store.created_by(id, &object("volume", "first")).unwrap());
    store.created_add(id, &object("volume", "last")).unwrap();
    assert!(!store.created_by(id, &object("volume", "first")).unwrap());
    assert!(store.created_by(id, &object("volume", "last")).unwrap());
}

#[test]
fn a_full_house_of_sessions_forgets_those_that_ended_and_no_live_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.agent_add(&agent("deploy")).unwrap();
    store.session_add(&session("s-old", "deploy"), &[7; 32]).unwrap();
    let max = i64::try_from(crate::limits::SESSIONS_MAX).unwrap();
    raw(folder.path())
        .execute(
            "WITH RECURSIVE n(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < ?1)
             INSERT INTO sessions SELECT 'f-' || at, randomblob(32), ?2, ?3, NULL, '' FROM n",
            [max - 1, i64::try_from(NOW).unwrap(), i64::MAX],
        )
        .unwrap();
    let next = session("s-next", "deploy");
    assert!(matches!(store.session_add(&next, &[8; 32]), Err(StoreError::Budget { .. })));
    store.session_close(&session("s-old", "deploy").principal.session, UnixMillis(NOW)).unwrap();
    store.session_add(&next, &[8; 32]).unwrap();
    let count: i64 = raw(folder.path())
        .query_row("SELECT count(*) FROM sessions WHERE id = 's-old'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 0);
}

const VICTIM: &str = "KILLICK_STORE_TEST_VICTIM";

/// Runs only as the child of the test below: spends until it is killed.
#[test]
fn victim_that_spends_until_it_is_killed() {
    let Some(folder) = std::env::var_os(VICTIM) else { return };
    let store = open(Path::new(&folder));
    let mut out = std::io::stdout().lock();
    for at in 0.. {
        let id = crate::store_contract::samples::request_id(&format!("r-{at}"));
        let (approved, spent) = (RequestState::Approved, RequestState::Spent);
        if store.request_move(&id, approved, spent, None, None, false).unwrap() {
            writeln!(out, "\nspent {id}").unwrap();
        }
        if store.grant_spend("g-1", UnixMillis(NOW)).unwrap() {
            writeln!(out, "\nused").unwrap();
        }
        out.flush().unwrap();
    }
}

#[test]
fn what_a_killed_process_spent_stays_spent() {
    const USES: u32 = 1_000;
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(folder.path());
        store.grant_add(&grant("g-1", USES)).unwrap();
        for at in 0..20 {
            let name = format!("r-{at}");
            let asked = request(&name, "s-1", "deploy", name.as_bytes());
            store.request_open(&asked, b"x").unwrap();
            let (open, approved) = (RequestState::Open, RequestState::Approved);
            store.request_move(&asked.id, open, approved, Some(&answer()), None, false).unwrap();
        }
    }
    let mut child = std::process::Command::new("/proc/self/exe")
        .args(["--exact", "sqlite::tests::victim_that_spends_until_it_is_killed", "--nocapture"])
        .env(VICTIM, folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut spent, mut used) = (Vec::new(), 0);
    while spent.len() < 10 {
        let line = lines.next().unwrap().unwrap();
        if let Some(id) = line.strip_prefix("spent ") {
            spent.push(id.to_owned());
        }
        used += u32::from(line == "used");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.map_while(Result::ok) {
        used += u32::from(line == "used");
        spent.extend(line.strip_prefix("spent ").map(str::to_owned));
    }
    let store = open(folder.path());
    for id in spent {
        let id = crate::store_contract::samples::request_id(&id);
        assert_eq!(store.request(&id).unwrap().state, RequestState::Spent);
        let (approved, spent) = (RequestState::Approved, RequestState::Spent);
        assert!(!store.request_move(&id, approved, spent, None, None, false).unwrap());
    }
    let left = store.grants().unwrap().first().unwrap().left;
    assert!(left <= USES - used, "{left} left after {used} uses were told");
}
