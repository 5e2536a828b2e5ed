//! A record that somebody changed: every change is found, and a damaged record is not gone on with.

use super::*;
use crate::journal::sim::SimFs;

/// Mutations tried over the whole directory, all of which must be found.
const MUTATIONS: u64 = 600;

fn files(entries: u32) -> BTreeMap<String, Vec<u8>> {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        for number in 0..entries {
            let mut new = entry(&format!("c-{number}"), &format!("s-{}", number % 2));
            if number % 3 == 0 {
                new.details = None;
            }
            journal.append(new, Durability::Bounded).await.unwrap();
        }
        journal.close().await;
    });
    let files = fs.files();
    assert!(verified(&files).is_sound());
    files
}

#[test]
fn every_mutation_of_any_byte_of_the_directory_is_found() {
    let sound = files(300);
    let paths: Vec<_> = sound.keys().collect();
    assert!(paths.iter().any(|path| path.starts_with("details/")));
    assert!(paths.iter().any(|path| path.starts_with("keys/")));
    for number in 0..MUTATIONS {
        let mut random = random(number);
        let path = paths[usize::try_from(random(paths.len() as u64)).unwrap()];
        let mut files = sound.clone();
        let bytes = files.get_mut(path).unwrap();
        let at = usize::try_from(random(bytes.len() as u64)).unwrap();
        bytes[at] ^= 1 << random(8);
        assert!(!verified(&files).is_sound(), "mutation {number}: byte {at} of {path}");
    }
}

#[test]
fn every_lost_or_cut_file_that_is_not_there_to_be_erased_is_found() {
    let sound = files(300);
    for path in sound.keys() {
        let may_be_erased = path.starts_with("details/") || path.starts_with("keys/");
        let mut files = sound.clone();
        files.remove(path);
        assert_eq!(verified(&files).is_sound(), may_be_erased, "{path} lost");
        let mut files = sound.clone();
        files.get_mut(path).unwrap().pop();
        assert!(!verified(&files).is_sound(), "{path} cut");
    }
}

#[test]
fn a_record_that_lost_signed_entries_is_not_gone_on_with() {
    let sound = files(300);
    let opened = |files: &BTreeMap<String, Vec<u8>>| {
        run(async { Journal::open_on(Arc::new(SimFs::holding(files)), options()).map(drop) })
    };
    assert!(opened(&sound).is_ok());
    for path in ["head", "checkpoint"] {
        let mut files = sound.clone();
        files.remove(path);
        let refused = opened(&files);
        // A head that holds the log from its first entry makes a lost checkpoint good again.
        let begins_the_log = frame::parse(&sound["head"]).unwrap().start == 0;
        assert_eq!(refused.is_ok(), path == "checkpoint" && begins_the_log, "{path} lost");
    }
    let head = &sound["head"];
    for cut in [0, 10, 40, head.len() / 2, head.len() - 1] {
        let mut files = sound.clone();
        files.get_mut("head").unwrap().truncate(cut);
        assert!(matches!(opened(&files), Err(JournalError::Corrupt(_))), "head cut to {cut}");
    }
    for at in (0..head.len()).step_by(97) {
        let mut files = sound.clone();
        files.get_mut("head").unwrap()[at] ^= 4;
        assert!(matches!(opened(&files), Err(JournalError::Corrupt(_))), "byte {at} of the head");
    }
    let mut older = sound.clone();
    older.insert("head".into(), files(200)["head"].clone());
    assert!(matches!(opened(&older), Err(JournalError::Corrupt(_))));
    let other = JournalOptions { origin: "log.example/other".into(), ..options() };
    let refused = Journal::open_on(Arc::new(SimFs::holding(&sound)), other);
    assert!(matches!(refused, Err(JournalError::Corrupt(_))));
}

#[test]
fn exchanged_details_do_not_open_for_another_entry() {
    let mut files = files(300);
    let bytes = files["details/000"].clone();
    let mut all: Vec<Vec<u8>> =
        publish::details_of(&bytes).unwrap().into_iter().map(<[u8]>::to_vec).collect();
    all.swap(1, 2);
    let mut body = Vec::new();
    for sealed in &all {
        body.extend_from_slice(&u32::try_from(sealed.len()).unwrap().to_be_bytes());
        body.extend_from_slice(sealed);
    }
    files.insert("details/000".into(), frame::with_check(&body));
    let fs = SimFs::holding(&files);
    run(async {
        let journal = Journal::open_on(Arc::new(fs), options()).unwrap();
        let in_memory = journal.inner.shared.tail.read().at(1).is_some();
        assert!(!in_memory, "entry 1 is read from its bundle");
        assert!(matches!(journal.read(1), Err(JournalError::Details)));
        assert!(journal.read(4).is_ok());
    });
}
