use std::collections::BTreeMap;

use super::*;

fn args() -> InitArgs {
    InitArgs { listen: "127.0.0.1:7070".parse().unwrap(), rotate_ca: false }
}

/// Every file with its mode; contents but for the database, which its engine touches on opening.
fn files(root: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let mode = std::fs::metadata(&path).unwrap().mode() & 0o7777;
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        found.insert(path.file_name().unwrap().to_string_lossy().into_owned(), (mode, bytes));
    }
    found
}

#[test]
fn a_second_run_changes_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(Some(&folder.path().join("home"))).unwrap();
    let (made, fresh) = establish(&home, &args(), None).unwrap();
    assert!(made.changed);
    assert!(fresh.is_some());
    let before = files(home.root());
    let (made, fresh) = establish(&home, &args(), None).unwrap();
    assert!(!made.changed, "{made:?}");
    assert!(fresh.is_none(), "the passphrase is shown once");
    assert_eq!(files(home.root()), before);
}

#[test]
fn what_is_secret_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(Some(&folder.path().join("home"))).unwrap();
    establish(&home, &args(), None).unwrap();
    let files = files(home.root());
    assert_eq!(std::fs::metadata(home.root()).unwrap().mode() & 0o7777, 0o700);
    for name in
        ["master.key", "ca.key", "record.key", "details.key", "recovery.key", "killick.toml"]
    {
        assert_eq!(files[name].0, 0o600, "{name}");
    }
    assert_eq!(files["store"].0, 0o700);
    let public = String::from_utf8(files["record.pub"].1.clone()).unwrap();
    assert!(killick_tlog::VerifyingKey::parse(public.trim()).is_ok());
    assert!(Config::load(&home.config()).is_ok());
}

#[test]
fn a_lost_key_is_not_made_anew_under_what_it_seals() {
    for lost in ["master.key", "ca.key"] {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(Some(&folder.path().join("home"))).unwrap();
        establish(&home, &args(), None).unwrap();
        std::fs::remove_file(home.root().join(lost)).unwrap();
        assert!(establish(&home, &args(), None).is_err(), "{lost}");
        assert!(!home.root().join(lost).exists(), "{lost}");
    }
}

#[test]
fn a_rotated_authority_is_another_one_and_clients_trust_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(Some(&folder.path().join("home"))).unwrap();
    establish(&home, &args(), None).unwrap();
    let before = std::fs::read_to_string(home.ca()).unwrap();
    establish(&home, &InitArgs { rotate_ca: true, ..args() }, None).unwrap();
    let after = std::fs::read_to_string(home.ca()).unwrap();
    assert_ne!(before, after);
    let bundle = std::fs::read_to_string(home.ca_bundle()).unwrap();
    assert!(bundle.contains(after.trim()) && !bundle.contains(before.trim()));
    let (made, _) = establish(&home, &args(), None).unwrap();
    assert!(!made.changed);
}

#[test]
fn a_directory_that_others_may_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("home");
    std::fs::create_dir(&root).unwrap();
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).unwrap();
    let home = Home::at(Some(&root)).unwrap();
    assert!(establish(&home, &args(), None).is_err());
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
}

#[test]
fn the_passphrase_that_was_given_is_the_one_that_counts() {
    use killick_gate::ports::ApproverProof as _;
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(Some(&folder.path().join("home"))).unwrap();
    let given = Zeroizing::new("correct horse battery".to_owned());
    let (_, fresh) = establish(&home, &args(), Some(given.clone())).unwrap();
    assert!(fresh.is_none());
    let store =
        SqliteStore::open(&home.store(), Arc::new(FileKey::at(&home.master_key()))).unwrap();
    let proof = Passphrase::of(&store, Arc::new(SystemClock::start()));
    assert!(proof.check(&given).is_ok());
}

#[test]
fn a_generated_passphrase_is_four_groups_of_letters_and_never_the_same() {
    let (one, other) = (generate().unwrap(), generate().unwrap());
    assert_ne!(one.as_str(), other.as_str());
    let groups: Vec<&str> = one.split('-').collect();
    assert_eq!(groups.len(), GROUPS);
    assert!(groups.iter().all(|group| group.len() == GROUP_LETTERS));
    assert!(one.bytes().all(|b| b == b'-' || LETTERS.contains(&b)));
}
