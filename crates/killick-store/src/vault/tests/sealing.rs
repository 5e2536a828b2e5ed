//! What lies on the disk: bound to its place, sealed anew by a rotation, never in the clear.

use std::path::Path;

use super::*;

#[test]
fn swapped_rows_do_not_open() {
    let (world, store, vault) = World::new();
    vault.credential_put(&info("staging", "staging"), secret("value-staging")).unwrap();
    vault.credential_put(&info("production", "production"), secret("value-production")).unwrap();
    drop((store, vault));
    let raw = world.raw();
    let value = |name: &str| -> Vec<u8> {
        let sql = "SELECT value FROM credentials WHERE name = ?1";
        raw.query_row(sql, [name], |row| row.get(0)).unwrap()
    };
    let put = |name: &str, value: &[u8]| {
        let sql = "UPDATE credentials SET value = ?2 WHERE name = ?1";
        raw.execute(sql, (name, value)).unwrap();
    };
    let (staging, production) = (value("staging"), value("production"));
    put("staging", &production);
    put("production", &staging);
    assert!(matches!(world.try_open("master.key"), Err(OpenError::Failed(_))));
    put("staging", &staging);
    put("production", &production);
    assert!(world.try_open("master.key").is_ok());
}

#[test]
fn a_row_that_claims_another_name_does_not_open() {
    let (world, store, vault) = World::new();
    vault.credential_put(&info("staging", "staging"), secret("value-staging")).unwrap();
    drop((store, vault));
    world
        .raw()
        .execute(
            "UPDATE credentials SET row = replace(row, '\"name\":\"staging\"', '\"name\":\"x\"')",
            [],
        )
        .unwrap();
    assert!(world.try_open("master.key").is_err());
}

#[test]
fn rotation_seals_everything_anew_and_changes_no_answer() {
    let (world, store, vault) = World::new();
    vault.credential_put(&info("harbour", "harbour"), secret(CANARY)).unwrap();
    let asked = request("r-1", "s-1", "deploy", b"a");
    store.request_open(&asked, b"canonical").unwrap();
    seen(&vault, "s-1", "stray-token");
    let surrogate = vault.mint_surrogates(&id("s-1")).unwrap().remove(0).value;
    let sealed = || -> Vec<Vec<u8>> {
        let raw = world.raw();
        let mut statement = raw
            .prepare(
                "SELECT value FROM credentials UNION ALL SELECT canonical FROM requests
                 UNION ALL SELECT sealed FROM keys",
            )
            .unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let before = sealed();
    vault.rotate_key().unwrap();
    let after = sealed();
    assert_eq!(before.len(), 4);
    assert!(before.iter().all(|one| !after.contains(one)));
    for _ in 0..2 {
        let (store, vault) = world.open();
        let lease = vault.lend_value(&at("harbour"), "/").unwrap();
        assert_eq!(lease.value.as_slice(), CANARY.as_bytes());
        assert_eq!(store.request_canonical(&asked.id).unwrap().as_slice(), b"canonical");
        assert!(vault.is_known(b"stray-token"));
        let kind = vault.recognise(&id("s-1"), surrogate.as_bytes());
        assert!(matches!(kind, Recognised::Issued { .. }));
    }
    store.request_open(&request("r-2", "s-1", "deploy", b"b"), b"later").unwrap();
    assert_eq!(store.request_canonical(&asked.id).unwrap().as_slice(), b"canonical");
}

#[test]
fn a_rotation_that_meets_a_changed_row_changes_nothing() {
    let (world, store, vault) = World::new();
    vault.credential_put(&info("harbour", "harbour"), secret(CANARY)).unwrap();
    store.request_open(&request("r-1", "s-1", "deploy", b"a"), b"canonical").unwrap();
    let good: Vec<u8> =
        world.raw().query_row("SELECT canonical FROM requests", [], |row| row.get(0)).unwrap();
    world.raw().execute("UPDATE requests SET canonical = x'00'", []).unwrap();
    assert!(vault.rotate_key().is_err());
    world.raw().execute("UPDATE requests SET canonical = ?1", [good]).unwrap();
    let (store, vault) = world.open();
    let first = crate::store_contract::samples::request_id("r-1");
    assert_eq!(store.request_canonical(&first).unwrap().as_slice(), b"canonical");
    assert_eq!(vault.lend_value(&at("harbour"), "/").unwrap().value.as_slice(), CANARY.as_bytes());
}

#[test]
fn after_a_master_rotation_the_former_master_key_opens_nothing() {
    let (world, store, vault) = World::new();
    vault.credential_put(&info("harbour", "harbour"), secret(CANARY)).unwrap();
    assert!(vault.rotate_master(world.key("not-there.key")).is_err());
    FileKey::create(&world.folder.path().join("next.key")).unwrap();
    vault.rotate_master(world.key("next.key")).unwrap();
    vault.rotate_key().unwrap();
    drop((store, vault));
    assert_eq!(world.try_open("master.key").unwrap_err(), OpenError::Sealed);
    let vault = SealedVault::of(&world.try_open("next.key").unwrap());
    assert_eq!(vault.lend_value(&at("harbour"), "/").unwrap().value.as_slice(), CANARY.as_bytes());
}

#[test]
fn a_data_rotation_under_a_swapped_key_file_is_refused() {
    let (world, _, vault) = World::new();
    vault.credential_put(&info("harbour", "harbour"), secret(CANARY)).unwrap();
    let path = world.folder.path().join("master.key");
    let former = std::fs::read(&path).unwrap();
    std::fs::write(&path, (0..32).collect::<Vec<u8>>()).unwrap();
    assert!(vault.rotate_key().is_err());
    std::fs::write(&path, former).unwrap();
    world.try_open("master.key").unwrap();
}

/// Every file under a folder, as bytes.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn the_canary_is_in_no_file_no_error_and_no_debug_text() {
    let (world, store, vault) = World::new();
    let bearer = info("harbour", "harbour");
    vault.credential_put(&bearer, secret(CANARY)).unwrap();
    seen(&vault, "s-1", CANARY);
    vault.remember_derived(&id("s-1"), "host.example", CANARY.as_bytes()).unwrap();
    store.request_open(&request("r-1", "s-1", "deploy", b"a"), CANARY.as_bytes()).unwrap();
    let surrogate = vault.mint_surrogates(&id("s-1")).unwrap().remove(0);
    vault.rotate_key().unwrap();
    let mut texts = files(&world.state());
    let shown = format!(
        "{vault:?} {store:?} {:?} {:?} {:?}",
        vault.credentials(),
        vault.recognise(&id("s-1"), CANARY.as_bytes()),
        vault.fingerprint(CANARY.as_bytes()),
    );
    texts.push(shown.into_bytes());
    let broken = CredentialInfo { surrogate: "jwt".into(), ..bearer.clone() };
    for result in [
        vault.credential_put(&broken, secret(CANARY)),
        vault.credential_put(&bearer, secret(&format!("{CANARY}\r\n"))),
        vault.credential_put(&info("twin", "harbour"), secret(CANARY)),
        vault.remember_derived(&id("s-none"), "host.example", CANARY.as_bytes()),
    ] {
        let error = result.unwrap_err();
        texts.push(format!("{error} {error:?}").into_bytes());
    }
    world.raw().execute("UPDATE credentials SET value = x'01'", []).unwrap();
    let error = vault.credential_remove(&CredentialName::parse("none").unwrap()).unwrap_err();
    texts.push(format!("{error} {error:?}").into_bytes());
    let error = world.try_open("master.key").unwrap_err();
    texts.push(format!("{error} {error:?}").into_bytes());
    let plain = surrogate.value.as_bytes();
    for text in texts {
        assert!(!vault.leaks(&text), "{}", String::from_utf8_lossy(&text));
        assert!(!text.windows(plain.len()).any(|window| window == plain), "a surrogate in clear");
    }
}
