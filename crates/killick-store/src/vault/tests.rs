use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use killick_gate::ids::token_hash;
use killick_gate::ports::Store as _;
use killick_model::admin::Injection;
use rusqlite::Connection;

use super::*;
use crate::database::OpenError;
use crate::keys::FileKey;
use crate::store_contract::samples::{NOW, agent, request, session};

mod sealing;

/// A marked secret; nothing but a lease may ever show it.
const CANARY: &str = "canary-7f3a91c2+/?secret";

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> (Self, SqliteStore, SealedVault) {
        let folder = tempfile::tempdir().unwrap();
        FileKey::create(&folder.path().join("master.key")).unwrap();
        let world = Self { folder };
        let (store, vault) = world.open();
        store.agent_add(&agent("deploy")).unwrap();
        for (at, id) in ["s-1", "s-2"].into_iter().enumerate() {
            let token = token_hash(format!("token-{at}").as_bytes());
            store.session_add(&session(id, "deploy"), &token).unwrap();
        }
        (world, store, vault)
    }

    fn key(&self, name: &str) -> Arc<dyn KeyProvider> {
        Arc::new(FileKey::at(&self.folder.path().join(name)))
    }

    fn open(&self) -> (SqliteStore, SealedVault) {
        let store = self.try_open("master.key").unwrap();
        let vault = SealedVault::of(&store);
        (store, vault)
    }

    fn try_open(&self, key: &str) -> Result<SqliteStore, OpenError> {
        SqliteStore::open(&self.state(), self.key(key))
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    fn raw(&self) -> Connection {
        Connection::open(self.state().join("killick.db")).unwrap()
    }
}

fn id(raw: &str) -> SessionId {
    SessionId::parse(raw).unwrap()
}

fn at(name: &str) -> UpstreamName {
    UpstreamName::parse(name).unwrap()
}

fn info(name: &str, upstream: &str) -> CredentialInfo {
    CredentialInfo {
        name: CredentialName::parse(name).unwrap(),
        upstream: at(upstream),
        path_prefix: String::new(),
        injection: Injection::Bearer,
        surrogate: "uuid".into(),
        own: false,
        added: UnixMillis(NOW),
        rotated: None,
    }
}

fn secret(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.as_bytes().to_vec())
}

fn seen(vault: &SealedVault, session: &str, value: &str) {
    let call = CallId::parse("c-1").unwrap();
    let mark = vault.fingerprint(value.as_bytes());
    vault.remember_foreign(mark, &id(session), "authorization", &call, UnixMillis(NOW)).unwrap();
}

#[test]
fn a_surrogate_is_issued_for_its_own_session_alone() {
    let (world, _, vault) = World::new();
    vault.credential_put(&info("harbour", "harbour"), secret(CANARY)).unwrap();
    let minted = vault.mint_surrogates(&id("s-1")).unwrap();
    let value = minted.first().unwrap().value.as_bytes().to_vec();
    let issued = Recognised::Issued {
        credential: CredentialName::parse("harbour").unwrap(),
        upstream: at("harbour"),
    };
    assert_eq!(vault.recognise(&id("s-1"), &value), issued);
    assert_eq!(vault.recognise(&id("s-2"), &value), Recognised::IssuedElsewhere);
    let almost: Vec<u8> = value.iter().rev().copied().collect();
    assert_eq!(vault.recognise(&id("s-1"), &almost), Recognised::Unknown);
    assert_eq!(vault.recognise(&id("s-1"), b""), Recognised::Unknown);
    let (_, reopened) = world.open();
    assert_eq!(reopened.recognise(&id("s-1"), &value), issued);
}

#[test]
fn a_surrogate_does_not_follow_its_credential_to_another_upstream_nor_outlive_it() {
    let (_world, _, vault) = World::new();
    vault.credential_put(&info("token", "harbour"), secret(CANARY)).unwrap();
    let first = vault.mint_surrogates(&id("s-1")).unwrap().remove(0).value;
    vault.credential_put(&info("token", "harbour"), secret("the next value")).unwrap();
    assert!(matches!(vault.recognise(&id("s-1"), first.as_bytes()), Recognised::Issued { .. }));
    vault.credential_put(&info("token", "evil"), secret("the next value")).unwrap();
    assert_eq!(vault.recognise(&id("s-1"), first.as_bytes()), Recognised::Unknown);
    let second = vault.mint_surrogates(&id("s-1")).unwrap().remove(0).value;
    vault.credential_remove(&info("token", "evil").name).unwrap();
    assert_eq!(vault.recognise(&id("s-1"), second.as_bytes()), Recognised::Unknown);
    assert!(vault.mint_surrogates(&id("s-1")).unwrap().is_empty());
}

#[test]
fn no_surrogate_for_a_closed_or_unknown_session_nor_for_an_own_login_nor_a_databases_password() {
    let (_world, store, vault) = World::new();
    vault.credential_put(&info("harbour", "harbour"), secret(CANARY)).unwrap();
    let own = CredentialInfo { own: true, ..info("model", "model") };
    vault.credential_put(&own, secret("own-login-value")).unwrap();
    let database =
        CredentialInfo { injection: Injection::Password, ..info("database.main", "main") };
    vault.credential_put(&database, secret("a-database-password")).unwrap();
    assert_eq!(vault.mint_surrogates(&id("s-1")).unwrap().len(), 1);
    assert!(vault.mint_surrogates(&id("s-none")).is_err());
    store.session_close(&id("s-2"), UnixMillis(NOW)).unwrap();
    assert!(vault.mint_surrogates(&id("s-2")).is_err());
    assert!(vault.remember_derived(&id("s-2"), "harbour.example", b"cookie").is_err());
}

#[test]
fn minting_again_and_again_keeps_the_newest_few() {
    let (_world, _, vault) = World::new();
    vault.credential_put(&info("harbour", "harbour"), secret(CANARY)).unwrap();
    let minted: Vec<_> = (0..=SURROGATES_PER_CREDENTIAL_MAX)
        .map(|_| vault.mint_surrogates(&id("s-1")).unwrap().remove(0).value)
        .collect();
    let kinds = minted.iter().map(|value| vault.recognise(&id("s-1"), value.as_bytes()));
    let good = kinds.map(|kind| matches!(kind, Recognised::Issued { .. })).collect::<Vec<_>>();
    assert_eq!(good, [false, true, true, true, true]);
}

#[test]
fn every_class_of_credential_is_told_apart() {
    let (_world, _, vault) = World::new();
    vault.credential_put(&info("harbour", "harbour"), secret(CANARY)).unwrap();
    let own = CredentialInfo { own: true, ..info("model", "model") };
    vault.credential_put(&own, secret("own-login-value")).unwrap();
    vault.remember_derived(&id("s-1"), "harbour.example", b"cookie-value").unwrap();
    seen(&vault, "s-1", "stray-token");
    let of = |session: &str, value: &str| vault.recognise(&id(session), value.as_bytes());
    assert_eq!(of("s-1", "token-0"), Recognised::SessionToken);
    assert_eq!(of("s-1", "token-1"), Recognised::OtherSessionToken);
    assert_eq!(of("s-1", CANARY), Recognised::KnownForeign);
    assert_eq!(of("s-1", "own-login-value"), Recognised::Own { upstream: at("model") });
    assert_eq!(of("s-1", "cookie-value"), Recognised::Derived { host: "harbour.example".into() });
    assert_eq!(of("s-2", "cookie-value"), Recognised::Unknown);
    assert_eq!(of("s-2", "stray-token"), Recognised::KnownForeign);
    assert_eq!(of("s-1", "anything"), Recognised::Unknown);
    assert!(vault.is_known(CANARY.as_bytes()) && vault.is_known(b"stray-token"));
    assert!(!vault.is_known(b"own-login-value") && !vault.is_known(b"cookie-value"));
}

#[test]
fn an_upstream_that_hands_back_a_stray_token_or_a_stored_value_launders_neither() {
    let (_world, _, vault) = World::new();
    vault.credential_put(&info("harbour", "harbour"), secret(CANARY)).unwrap();
    seen(&vault, "s-1", "stray-token");
    for value in ["stray-token", CANARY] {
        vault.remember_derived(&id("s-1"), "echo.example", value.as_bytes()).unwrap();
        assert_eq!(vault.recognise(&id("s-1"), value.as_bytes()), Recognised::KnownForeign);
    }
}

#[test]
fn a_value_stored_as_own_and_as_kept_is_kept() {
    let (_world, _, vault) = World::new();
    for (name, own) in [("a", true), ("b", false), ("c", true)] {
        let info = CredentialInfo { own, ..info(name, name) };
        vault.credential_put(&info, secret(CANARY)).unwrap();
    }
    assert_eq!(vault.recognise(&id("s-1"), CANARY.as_bytes()), Recognised::KnownForeign);
}

#[test]
fn derived_values_of_a_session_are_bounded_oldest_out() {
    let (world, _, vault) = World::new();
    for at in 0..=DERIVED_PER_SESSION_MAX {
        vault.remember_derived(&id("s-1"), "host.example", format!("v{at}").as_bytes()).unwrap();
    }
    for vault in [vault, world.open().1] {
        assert_eq!(vault.recognise(&id("s-1"), b"v0"), Recognised::Unknown);
        assert!(matches!(vault.recognise(&id("s-1"), b"v1"), Recognised::Derived { .. }));
        assert!(matches!(vault.recognise(&id("s-1"), b"v256"), Recognised::Derived { .. }));
    }
}

#[test]
fn one_session_cannot_flush_what_others_were_seen_with() {
    let (world, _, vault) = World::new();
    seen(&vault, "s-1", "stray-token");
    let max = i64::try_from(FOREIGN_PER_SESSION_MAX).unwrap();
    world
        .raw()
        .execute(
            "WITH RECURSIVE n(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < ?1)
             INSERT INTO foreign_seen SELECT randomblob(32), 's-2', '', 'c-1', 0 FROM n",
            [max],
        )
        .unwrap();
    let (_, vault) = world.open();
    seen(&vault, "s-2", "one more");
    assert!(vault.is_known(b"stray-token") && vault.is_known(b"one more"));
    let kept: i64 = world
        .raw()
        .query_row("SELECT count(*) FROM foreign_seen WHERE session = 's-2'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, max);
}

#[test]
fn foreign_fingerprints_are_bounded_oldest_out() {
    let (world, _, vault) = World::new();
    seen(&vault, "s-1", "the oldest");
    let max = i64::try_from(FOREIGN_MAX).unwrap();
    world
        .raw()
        .execute(
            "WITH RECURSIVE n(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < ?1)
             INSERT INTO foreign_seen SELECT randomblob(32), 'f-' || at, '', 'c-1', 0 FROM n",
            [max - 1],
        )
        .unwrap();
    let (_, vault) = world.open();
    assert!(vault.is_known(b"the oldest"));
    seen(&vault, "s-2", "the newest");
    for vault in [vault, world.open().1] {
        assert!(!vault.is_known(b"the oldest"));
        assert!(vault.is_known(b"the newest"));
    }
}

#[test]
fn the_longest_prefix_by_whole_segments_is_bound() {
    let (_world, _, vault) = World::new();
    for (name, prefix) in [("root", "/"), ("api", "/api"), ("deep", "/api/v2/")] {
        let info = CredentialInfo { path_prefix: prefix.into(), ..info(name, "host") };
        vault.credential_put(&info, secret(&format!("value-{name}"))).unwrap();
    }
    for (path, name) in [
        ("/", "root"),
        ("/apix", "root"),
        ("/api", "api"),
        ("/api/v1", "api"),
        ("/api/v2", "deep"),
        ("/api/v2/x?y=/", "deep"),
        ("/api/v22", "api"),
    ] {
        let lease = vault.lend_value(&at("host"), path).unwrap();
        assert_eq!(lease.info.name.as_str(), name, "{path}");
        assert_eq!(lease.value.as_slice(), format!("value-{name}").as_bytes());
        assert_eq!(vault.bound(&at("host"), path).unwrap().name.as_str(), name);
    }
    assert!(matches!(vault.lend_value(&at("other"), "/"), Err(VaultError::NotBound(_))));
}

#[test]
fn nothing_is_bound_outside_its_prefix_and_an_own_login_nowhere() {
    let (_world, _, vault) = World::new();
    let api = CredentialInfo { path_prefix: "/api".into(), ..info("api", "host") };
    vault.credential_put(&api, secret(CANARY)).unwrap();
    let own = CredentialInfo { own: true, ..info("own", "host") };
    vault.credential_put(&own, secret("own-login-value")).unwrap();
    assert_eq!(vault.bound(&at("host"), "/apix"), None);
    assert!(vault.lend_value(&at("host"), "/").is_err());
    let twin = CredentialInfo { path_prefix: "/api/".into(), ..info("twin", "host") };
    assert!(vault.credential_put(&twin, secret("value-twin")).is_err(), "which one would it be?");
}

#[test]
fn values_that_cannot_be_guarded_or_injected_are_refused_and_the_former_stays() {
    let (_world, _, vault) = World::new();
    let bearer = info("harbour", "harbour");
    vault.credential_put(&bearer, secret(CANARY)).unwrap();
    let basic = CredentialInfo { injection: Injection::Basic, ..bearer.clone() };
    let shaped = |shape: &str| CredentialInfo { surrogate: shape.into(), ..bearer.clone() };
    let prefixed = CredentialInfo { path_prefix: "api".into(), ..bearer.clone() };
    for (info, value) in [
        (&bearer, "short"),
        (&bearer, "line\r\nX-Header: break"),
        (&bearer, "zero\0byte"),
        (&basic, "no-colon-in-it"),
        (&basic, "long-user-name:pw"),
        (&shaped("hex:4"), "long enough"),
        (&prefixed, "long enough"),
        (&bearer, &"x".repeat(CREDENTIAL_BYTES_MAX + 1)),
    ] {
        let error = vault.credential_put(info, secret(value)).unwrap_err();
        assert!(!error.to_string().contains(value));
    }
    assert_eq!(vault.lend_value(&at("harbour"), "/").unwrap().value.as_slice(), CANARY.as_bytes());
}

#[test]
fn a_basic_password_is_known_alone_and_with_its_user() {
    let (_world, _, vault) = World::new();
    let basic = CredentialInfo { injection: Injection::Basic, ..info("db", "db") };
    vault.credential_put(&basic, secret("alice:pass:word-1")).unwrap();
    for value in ["alice:pass:word-1", "pass:word-1"] {
        assert_eq!(vault.recognise(&id("s-1"), value.as_bytes()), Recognised::KnownForeign);
    }
    assert_eq!(vault.recognise(&id("s-1"), b"alice"), Recognised::Unknown);
    assert!(vault.leaks(b"user=bob pass=pass:word-1"));
    assert!(!vault.leaks(b"alice: good morning"));
    let surrogate = vault.mint_surrogates(&id("s-1")).unwrap().remove(0).value;
    assert!(!surrogate.contains(':'));
}

#[test]
fn a_value_is_found_in_every_spelling_and_at_every_alignment() {
    let (_world, _, vault) = World::new();
    let own = CredentialInfo { own: true, ..info("own", "model") };
    vault.credential_put(&own, secret("own-login-value")).unwrap();
    assert!(!vault.leaks(CANARY.as_bytes()), "nothing is kept yet");
    vault.credential_put(&info("harbour", "harbour"), secret(CANARY)).unwrap();
    let escaped =
        |escape: fn(u8) -> String| CANARY.bytes().map(escape).collect::<Vec<_>>().concat();
    let hex = escaped(|byte| format!("{byte:02x}"));
    let percent = escaped(|byte| format!("%{byte:02X}"));
    let json = escaped(|byte| format!("\\u{byte:04x}"));
    let mixed = CANARY.replace('/', "%2f").replace("c2", "%632");
    let mut spellings = vec![
        CANARY.to_owned(),
        hex.to_uppercase(),
        hex,
        percent,
        json,
        mixed,
        CANARY.replace('/', "\\/"),
    ];
    for before in ["", "a", "ab", "abc", "user:", "x-token:"] {
        for after in ["", "z", "zy", "zyx"] {
            let whole = format!("{before}{CANARY}{after}");
            spellings.push(STANDARD.encode(&whole));
            spellings.push(URL_SAFE_NO_PAD.encode(&whole));
        }
    }
    for spelling in spellings {
        assert!(vault.leaks(spelling.as_bytes()), "{spelling}");
        assert!(vault.leaks(format!("{{\"a\": \"{spelling}\"}}").as_bytes()), "{spelling}");
    }
    let cut = CANARY.split_at(CANARY.len() - 1).0;
    for harmless in ["", "%", "%4", "\\", "\\u00", "canary", cut, "own-login-value"] {
        assert!(!vault.leaks(harmless.as_bytes()), "{harmless}");
    }
    vault.credential_remove(&info("harbour", "harbour").name).unwrap();
    assert!(!vault.leaks(CANARY.as_bytes()));
}

#[test]
fn recognising_while_others_write_never_misses_a_surrogate() {
    let (_world, _, vault) = World::new();
    vault.credential_put(&info("harbour", "harbour"), secret(CANARY)).unwrap();
    let surrogate = vault.mint_surrogates(&id("s-1")).unwrap().remove(0).value;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for at in 0..40 {
                vault.mint_surrogates(&id("s-2")).unwrap();
                seen(&vault, "s-2", &format!("stray-{at}"));
            }
        });
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let kind = vault.recognise(&id("s-1"), surrogate.as_bytes());
                    assert!(matches!(kind, Recognised::Issued { .. }));
                }
            });
        }
    });
    assert!((0..40).all(|at| vault.is_known(format!("stray-{at}").as_bytes())));
}
