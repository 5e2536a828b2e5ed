use std::collections::BTreeMap;

use super::*;
use crate::bundle;
use crate::entry::{Entry, Header, Kind};
use crate::note::SigningKey;
use crate::tile::{Content, TILE_WIDTH, Tile};
use crate::tree::{MemoryTree, Nodes as _};

type Files = BTreeMap<String, Vec<u8>>;

/// Mutations tried in the mutation test, all of which must be found.
const MUTATIONS: u64 = 2_000;
const ORIGIN: &str = "log.example/a";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[seed; 32]).unwrap()
}

fn entry(number: u64, word: &str) -> Vec<u8> {
    let mut header = Header::new(Kind::Call);
    header.call = Some(format!("c-{number}"));
    header.action = Some(word.to_owned());
    let (tenant, node) = ("t".into(), "n".into());
    let time_unix_ms = 1_000 + number;
    Entry { tenant, node, time_unix_ms, header, details_commitment: None }.encode().unwrap()
}

/// Writes a log of these entries as it stands after its checkpoint of `size`.
fn log(entries: &[Vec<u8>], signer: &SigningKey) -> Files {
    let mut tree = MemoryTree::default();
    for entry in entries {
        tree.append(Hash::of_leaf(entry));
    }
    let size = entries.len() as u64;
    let mut files = Files::new();
    for tile in Tile::between(0, size) {
        let mut bytes = Vec::new();
        let first = tile.index() * TILE_WIDTH;
        for at in first..first + tile.width() {
            match tile.content() {
                Content::Entries => bundle::push(&mut bytes, &entries[at as usize]).unwrap(),
                Content::Hashes { level } => {
                    let node = tree.node(u32::from(level) * 8, at).unwrap();
                    bytes.extend_from_slice(node.as_bytes());
                }
            }
        }
        files.insert(tile.path(), bytes);
    }
    let root = crate::proof::root_at(&tree, size).unwrap();
    let note = Checkpoint::new(ORIGIN, size, root).unwrap().sign(&[signer]).unwrap();
    files.insert(CHECKPOINT_FILE.into(), note.into_bytes());
    files
}

fn numbered(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|number| entry(number, "read")).collect()
}

fn report(files: &Files) -> Report {
    report_against(files, &[])
}

fn report_against(files: &Files, published: &[Vec<u8>]) -> Report {
    let keys = [key(1).public().clone()];
    verify(files, Against { keys: &keys, origin: Some(ORIGIN), published })
}

/// A small generator, so that a failing mutation can be run again from its number.
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

#[test]
fn an_untouched_log_of_any_size_is_sound() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 700] {
        let report = report(&log(&numbered(size), &key(1)));
        assert!(report.is_sound(), "{size}: {report}");
        assert_eq!((report.entries, report.signed_size()), (size, size));
    }
}

#[test]
fn every_mutation_of_any_byte_is_found() {
    let sound = log(&numbered(300), &key(1));
    let paths: Vec<_> = sound.keys().collect();
    for number in 0..MUTATIONS {
        let mut random = random(number);
        // Small files are as likely to be hit as large ones.
        let path = paths[random(paths.len() as u64) as usize];
        let mut files = sound.clone();
        let bytes = files.get_mut(path).unwrap();
        let at = random(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random(8);
        assert!(!report(&files).is_sound(), "mutation {number}: byte {at} of {path}");
    }
}

#[test]
fn every_bit_of_the_checkpoint_counts() {
    let sound = log(&numbered(3), &key(1));
    let note = &sound[CHECKPOINT_FILE];
    for at in 0..note.len() * 8 {
        let mut files = sound.clone();
        files.get_mut(CHECKPOINT_FILE).unwrap()[at / 8] ^= 1 << (at % 8);
        assert!(!report(&files).is_sound(), "bit {at}");
    }
}

#[test]
fn every_cut_and_every_lost_file_is_found() {
    let sound = log(&numbered(300), &key(1));
    for (path, bytes) in &sound {
        for keep in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            let mut files = sound.clone();
            files.get_mut(path).unwrap().truncate(keep);
            assert!(!report(&files).is_sound(), "{path} cut to {keep}");
        }
        let mut files = sound.clone();
        files.get_mut(path).unwrap().push(0);
        assert!(!report(&files).is_sound(), "{path} made longer");
        files.remove(path);
        assert!(!report(&files).is_sound(), "{path} lost");
    }
}

#[test]
fn a_dropped_swapped_replaced_or_added_entry_is_found_even_with_its_tiles_made_anew() {
    let sound = log(&numbered(300), &key(1));
    let note = sound[CHECKPOINT_FILE].clone();
    let forged = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut entries = numbered(300);
        change(&mut entries);
        let mut files = log(&entries, &key(9));
        files.insert(CHECKPOINT_FILE.into(), note.clone());
        report(&files)
    };
    assert!(forged(&|_| ()).is_sound());
    let dropped = forged(&|entries| drop(entries.remove(7)));
    assert!(dropped.problems.listed().contains(&Problem::EntriesMissing { from: 299, to: 300 }));
    let swapped = forged(&|entries| entries.swap(7, 8));
    assert_eq!(swapped.problems.listed(), [Problem::Root { size: 300 }]);
    assert_eq!(swapped.warnings.listed(), [Warning::TimeWentBack { index: 8, by_ms: 1 }]);
    let replaced = forged(&|entries| entries[299] = entry(299, "other"));
    assert_eq!(replaced.problems.listed(), [Problem::Root { size: 300 }]);
    let truncated = forged(&|entries| entries.truncate(256));
    assert!(!truncated.is_sound());
}

#[test]
fn a_checkpoint_of_another_key_or_another_log_is_found() {
    let report = report(&log(&numbered(3), &key(2)));
    assert!(matches!(report.problems.listed(), [Problem::Checkpoint(_)]));
    let keys = [key(1).public().clone()];
    let files = log(&numbered(3), &key(1));
    let report =
        verify(&files, Against { keys: &keys, origin: Some("log.example/b"), published: &[] });
    assert!(matches!(report.problems.listed(), [Problem::Origin { .. }]));
    let unchecked = verify(&files, Against { keys: &keys, origin: None, published: &[] });
    assert!(unchecked.is_sound());
}

#[test]
fn entries_past_the_checkpoint_are_counted_and_still_checked() {
    let mut files = log(&numbered(300), &key(1));
    let earlier = log(&numbered(290), &key(1));
    files.insert(CHECKPOINT_FILE.into(), earlier[CHECKPOINT_FILE].clone());
    let found = report(&files);
    assert!(found.is_sound(), "{found}");
    assert_eq!((found.entries, found.signed_size()), (300, 290));
    // A crash between two publications leaves tiles of both sizes.
    files.extend(earlier);
    assert!(report(&files).is_sound());
    files.get_mut("tile/entries/001.p/34").unwrap()[9] ^= 1;
    assert!(!report(&files).is_sound());
}

#[test]
fn a_file_that_belongs_to_no_log_is_found() {
    for path in ["tile/0/000.p/7", "tile/0/009", "tile/entries/005", "tile/3/000.p/1", "tile/x"] {
        let mut files = log(&numbered(300), &key(1));
        files.insert(path.into(), vec![0; 7 * 32]);
        assert!(!report(&files).is_sound(), "{path}");
    }
}

#[test]
fn an_entry_of_a_later_version_is_named_not_skipped() {
    let mut entries = numbered(3);
    entries[1] = b"killick-entry/2\n{}".to_vec();
    let report = report(&log(&entries, &key(1)));
    let why = EntryError::UnknownVersion { version: "2".into() };
    assert_eq!(report.problems.listed(), [Problem::Entry { index: 1, why }]);
}

#[test]
fn a_rollback_or_a_rewrite_of_the_whole_log_is_found_by_what_was_published() {
    let published = |size| vec![log(&numbered(size), &key(1))[CHECKPOINT_FILE].clone()];
    let rolled_back = log(&numbered(280), &key(1));
    assert!(report(&rolled_back).is_sound());
    let found = report_against(&rolled_back, &published(290));
    assert_eq!(found.problems.listed(), [Problem::RolledBack { published: 290, entries: 280 }]);
    for size in [0, 1, 255, 256, 280] {
        assert!(report_against(&rolled_back, &published(size)).is_sound(), "{size}");
    }
    let mut entries = numbered(280);
    entries[3] = entry(3, "other");
    let rewritten = log(&entries, &key(1));
    assert!(report(&rewritten).is_sound());
    let found = report_against(&rewritten, &published(270));
    assert_eq!(found.problems.listed(), [Problem::Forked { size: 270 }]);
    let foreign = log(&numbered(5), &key(2))[CHECKPOINT_FILE].clone();
    let found = report_against(&rolled_back, &[foreign]);
    assert!(matches!(found.problems.listed(), [Problem::Published(_)]));
}

#[test]
fn findings_past_the_limit_are_counted() {
    let entries = vec![b"nothing".to_vec(); FINDINGS_LISTED_MAX + 5];
    let report = report(&log(&entries, &key(1)));
    assert_eq!(report.problems.listed().len(), FINDINGS_LISTED_MAX);
    assert_eq!(report.problems.total(), FINDINGS_LISTED_MAX as u64 + 5);
}
