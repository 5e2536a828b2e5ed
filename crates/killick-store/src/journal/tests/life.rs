//! A journal that nothing goes wrong with: written, read, published, opened again.

use super::*;
use crate::journal::sim::SimFs;

#[test]
fn entries_come_back_in_order_across_bundles_and_openings() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let mut expected = 0_u64;
        for _ in 0..3 {
            let journal = Journal::open(folder.path(), options()).unwrap();
            assert_eq!(journal.len(), expected);
            for _ in 0..300 {
                let new = entry(&format!("c-{expected}"), &format!("s-{}", expected % 3));
                let durability = if expected.is_multiple_of(50) {
                    Durability::Durable
                } else {
                    Durability::Bounded
                };
                let appended = journal.append(new, durability).await.unwrap();
                assert_eq!(appended.index, expected);
                expected += 1;
            }
            journal.append(entry("last", "s-0"), Durability::Durable).await.unwrap();
            expected += 1;
            journal.close().await;
            let report = verify_folder(folder.path());
            assert!(report.is_sound(), "{report}");
            assert_eq!(report.log.signed_size(), expected);
            assert_eq!(report.unsigned_entries, 0);
        }
        let journal = Journal::open(folder.path(), options()).unwrap();
        let all: Vec<_> = journal.iter_from(0).map(Result::unwrap).collect();
        assert_eq!(all.len() as u64, expected);
        for (index, stored) in (0_u64..).zip(&all) {
            assert_eq!(stored.index, index);
            let call = stored.entry.header.call.clone().unwrap();
            assert_eq!(stored.details, Details::Known(serde_json::json!({ "of": call })));
        }
        assert_eq!(journal.read(700).unwrap(), all[700]);
        assert_eq!(journal.tail(2).unwrap(), all[all.len() - 2..]);
        assert_eq!(journal.find_call("c-7").unwrap(), [all[7].clone()]);
        assert_eq!(journal.find_call("last").unwrap().len(), 3);
        assert!(matches!(journal.read(expected), Err(JournalError::NoSuchEntry { .. })));
    });
}

fn verify_folder(folder: &Path) -> JournalReport {
    let keys = [signing_key(1).public().clone()];
    let files = DirectoryFiles::new(folder);
    verify(&files, Against { keys: &keys, origin: Some(ORIGIN), published: &[] })
}

#[test]
fn the_head_lets_go_of_what_is_in_full_bundles() {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        for number in 0..2_500 {
            journal.append(entry(&format!("c-{number}"), "s"), Durability::Bounded).await.unwrap();
        }
        journal.append(entry("end", "s"), Durability::Durable).await.unwrap();
        journal.publish().await.unwrap();
        // The head is begun anew by the writer, which a durable append behind it waits for.
        journal.append(entry("end", "s"), Durability::Durable).await.unwrap();
        journal.close().await;
        let files = fs.files();
        let head = frame::parse(&files["head"]).unwrap();
        assert!(head.start >= 1_024, "{}", head.start);
        assert!(verified(&files).is_sound());
    });
}

#[test]
fn subscribers_get_entries_once_they_are_durable() {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs), options()).unwrap();
        let mut live = journal.subscribe();
        for number in 0..5 {
            journal.append(entry(&format!("c-{number}"), "s"), Durability::Durable).await.unwrap();
        }
        for number in 0..5 {
            let logged = live.recv().await.unwrap();
            assert_eq!(logged.index, number);
            assert_eq!(logged.decode().unwrap().header.call, Some(format!("c-{number}")));
        }
    });
}

#[test]
fn a_bounded_entry_is_durable_within_its_bound() {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        journal.append(entry("first", "s"), Durability::Durable).await.unwrap();
        journal.append(entry("c", "s"), Durability::Bounded).await.unwrap();
        // Far above the bound, for a machine that does other things.
        for _ in 0..400 {
            if journal.len() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let found = fs.cut(|_| 0);
        assert_eq!(frame::parse(&found.files()["head"]).unwrap().frames.len(), 2);
    });
}

#[test]
fn an_erased_session_is_gone_and_every_proof_stays() {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        for number in 0..600 {
            let session = if number % 2 == 0 { "s-even" } else { "s-odd" };
            let new = entry(&format!("c-{number}"), session);
            journal.append(new, Durability::Bounded).await.unwrap();
        }
        journal.append(entry("end", "s-odd"), Durability::Durable).await.unwrap();
        let published = journal.publish().await.unwrap();
        assert_eq!(published, 601);
        journal.erase_session("s-even").unwrap();
        for index in [0, 2, 598] {
            assert_eq!(journal.read(index).unwrap().details, Details::Erased);
        }
        for index in [1, 3, 599] {
            assert!(matches!(journal.read(index).unwrap().details, Details::Known(_)));
        }
        journal.close().await;
        let report = verified(&fs.files());
        assert!(report.is_sound(), "{report}");
        fs.remove("details/000").unwrap();
        assert!(verified(&fs.files()).is_sound());
        let journal = Journal::open_on(Arc::new(fs), options()).unwrap();
        assert_eq!(journal.read(1).unwrap().details, Details::Erased);
        assert!(matches!(journal.read(599).unwrap().details, Details::Known(_)));
    });
}

#[test]
fn no_details_lie_in_clear_on_the_disk() {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        for number in 0..300 {
            let mut new = entry(&format!("c-{number}"), "s");
            new.details = Some(serde_json::json!({ "task": "marked-canary-text" }));
            journal.append(new, Durability::Bounded).await.unwrap();
        }
        journal.close().await;
    });
    for (path, bytes) in fs.files() {
        assert!(!bytes.windows(13).any(|window| window == b"marked-canary"), "{path}");
    }
}

#[test]
fn a_second_holder_is_refused_until_the_first_lets_go() {
    let fs = SimFs::default();
    run(async {
        let first = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        let second = Journal::open_on(Arc::new(fs.clone()), options());
        assert!(matches!(second, Err(JournalError::Locked)));
        first.close().await;
        let refused = first.append(entry("c", "s"), Durability::Durable).await;
        assert!(matches!(refused, Err(JournalError::Closed)));
        let third = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        drop(third);
        assert!(Journal::open_on(Arc::new(fs), options()).is_ok());
    });
}

#[test]
fn a_rotated_signing_key_goes_on_with_the_log() {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        journal.append(entry("c-1", "s"), Durability::Durable).await.unwrap();
        journal.close().await;
        let rotated = || JournalOptions { signing_key: signing_key(2), ..options() };
        let refused = Journal::open_on(Arc::new(fs.clone()), rotated());
        assert!(matches!(refused, Err(JournalError::Corrupt(_))));
        let earlier_keys = vec![signing_key(1).public().clone()];
        let rotated = JournalOptions { earlier_keys, ..rotated() };
        let journal = Journal::open_on(Arc::new(fs.clone()), rotated).unwrap();
        journal.append(entry("c-2", "s"), Durability::Durable).await.unwrap();
        journal.close().await;
        let keys = [signing_key(2).public().clone()];
        let against = Against { keys: &keys, origin: Some(ORIGIN), published: &[] };
        assert!(verify(&fs.files(), against).is_sound());
    });
}

struct Kept(Mutex<Vec<(u64, String)>>);

impl CheckpointSink for Kept {
    fn name(&self) -> &'static str {
        "kept"
    }

    fn publish(&self, note: &str, size: u64) -> std::io::Result<()> {
        self.0.lock().push((size, note.to_owned()));
        Ok(())
    }
}

#[test]
fn what_left_the_machine_finds_a_rollback_of_all_that_is_on_it() {
    let fs = SimFs::default();
    let kept = Arc::new(Kept(Mutex::new(Vec::new())));
    let elsewhere = tempfile::tempdir().unwrap();
    let directory = || {
        let keys = vec![signing_key(1).public().clone()];
        Arc::new(DirectorySink::new(elsewhere.path(), keys)) as Arc<dyn CheckpointSink>
    };
    run(async {
        let with_sinks = || JournalOptions {
            sinks: vec![Arc::clone(&kept) as Arc<dyn CheckpointSink>, directory()],
            ..options()
        };
        let journal = Journal::open_on(Arc::new(fs.clone()), with_sinks()).unwrap();
        for number in 0..10 {
            journal.append(entry(&format!("c-{number}"), "s"), Durability::Durable).await.unwrap();
        }
        journal.close().await;
        let before = fs.files();
        let journal = Journal::open_on(Arc::new(fs.clone()), with_sinks()).unwrap();
        journal.append(entry("c-10", "s"), Durability::Durable).await.unwrap();
        journal.close().await;
        let (size, note) = kept.0.lock().last().cloned().unwrap();
        assert_eq!(size, 11);
        let note = note.into_bytes();
        assert_eq!(std::fs::read(elsewhere.path().join("checkpoint")).unwrap(), note);
        assert!(verified_against(&fs.files(), std::slice::from_ref(&note)).is_sound());
        assert!(verified(&before).is_sound(), "a rollback is consistent in itself");
        assert!(!verified_against(&before, &[note]).is_sound());

        let rolled_back = SimFs::holding(&before);
        let only_directory = JournalOptions { sinks: vec![directory()], ..options() };
        let journal = Journal::open_on(Arc::new(rolled_back), only_directory).unwrap();
        journal.append(NewEntry::new(Kind::Start), Durability::Durable).await.unwrap();
        journal.publish().await.unwrap();
        journal.append(NewEntry::new(Kind::Start), Durability::Durable).await.unwrap();
        journal.close().await;
        let health = journal.health();
        assert_eq!(health.sinks.len(), 1);
    });
}

#[test]
fn a_directory_that_keeps_more_than_the_record_has_refuses_and_says_so() {
    let elsewhere = tempfile::tempdir().unwrap();
    let keys = vec![signing_key(1).public().clone()];
    let sink = DirectorySink::new(elsewhere.path(), keys);
    let note = |size: u64| {
        let root = killick_tlog::Hash::of_empty_tree();
        let checkpoint = killick_tlog::Checkpoint::new(ORIGIN, size, root).unwrap();
        checkpoint.sign(&[&signing_key(1)]).unwrap()
    };
    sink.publish(&note(5), 5).unwrap();
    let refused = sink.publish(&note(4), 4).unwrap_err();
    assert!(refused.to_string().contains("rolled back"));
    sink.publish(&note(6), 6).unwrap();
}

#[test]
fn an_open_journal_verifies_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let journal = Journal::open(folder.path(), options()).unwrap();
        let writing = journal.clone();
        let writer = tokio::spawn(async move {
            for number in 0..2_000 {
                let new = entry(&format!("c-{number}"), "s");
                writing.append(new, Durability::Bounded).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..5 {
            let open = journal.clone();
            let report = tokio::task::spawn_blocking(move || {
                let keys = [signing_key(1).public().clone()];
                open.verify(Against { keys: &keys, origin: Some(ORIGIN), published: &[] })
            })
            .await
            .unwrap();
            assert!(report.is_sound(), "{report}");
        }
        writer.await.unwrap();
    });
}

#[test]
fn a_draft_of_the_gate_becomes_an_entry_with_all_it_says() {
    use killick_gate::ports::Record;
    use killick_model::record::{Draft, Kind as DraftKind};

    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs), options()).unwrap();
        let record: &dyn Record = &journal;
        let mut draft = Draft::new(DraftKind::Approval);
        draft.by = Some("local:alice".into());
        draft.verdict = Some("permit".into());
        draft.objects = Some(2);
        let draft = draft.with_details(serde_json::json!({ "reason": "asked" }));
        let receipt = record.append(draft, Durability::Durable).await.unwrap();
        let reservation = record.reserve().unwrap();
        let mut outcome = Draft::new(DraftKind::Outcome);
        outcome.outcome = Some("unknown".into());
        reservation.settle(outcome);
        journal.close().await;
        let stored = journal.read(receipt.index).unwrap();
        let header = &stored.entry.header;
        assert_eq!((header.kind, header.objects), (Kind::Approval, Some(2)));
        assert_eq!(header.by.as_deref(), Some("local:alice"));
        assert_eq!(stored.details, Details::Known(serde_json::json!({ "reason": "asked" })));
        let stored = journal.read(receipt.index + 1).unwrap();
        assert_eq!(stored.entry.header.outcome.as_deref(), Some("unknown"));
        assert_eq!(stored.details, Details::Absent);
    });
}
