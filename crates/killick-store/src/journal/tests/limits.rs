//! Limits: of one agent, of the queue, of time, of sizes.

use super::*;
use crate::journal::sim::SimFs;

#[test]
fn an_agents_noise_is_refused_while_its_freeze_is_recorded() {
    let fs = SimFs::default();
    run(async {
        let few = JournalOptions { entries_per_minute_max: 3, ..options() };
        let journal = Journal::open_on(Arc::new(fs), few).unwrap();
        for _ in 0..3 {
            journal.append(entry("c", "s"), Durability::Bounded).await.unwrap();
        }
        for is_first_expected in [true, false] {
            let refused = journal.append(entry("c", "s"), Durability::Durable).await;
            assert!(matches!(refused, Err(JournalError::Quota { is_first, per_minute_max: 3, .. })
                    if is_first == is_first_expected));
        }
        let mut freeze = NewEntry::new(Kind::Freeze);
        freeze.header.agent = Some("bot".into());
        journal.append(freeze, Durability::Durable).await.unwrap();
        let mut other = entry("c", "s-2");
        other.header.agent = Some("another".into());
        journal.append(other, Durability::Durable).await.unwrap();
        assert_eq!(journal.len(), 5);
    });
}

#[test]
fn reservations_are_given_back_when_they_are_dropped() {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs), options()).unwrap();
        for _ in 0..100 {
            let held: Vec<_> = (0..8).map(|_| journal.reserve().unwrap()).collect();
            assert!(journal.reserve().is_err());
            drop(held);
        }
    });
}

#[test]
fn a_hostile_text_is_recorded_and_harmless() {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        let mut new = entry("c", "s");
        new.header.action = Some("x\n{\"kind\":\"approval\"}\u{1b}[2J".repeat(100));
        new.header.policies = vec![String::new(); 500];
        let appended = journal.append(new, Durability::Durable).await.unwrap();
        let stored = journal.read(appended.index).unwrap();
        let action = stored.entry.header.action.unwrap();
        assert!(!action.contains(char::is_control));
        journal.close().await;
        assert!(verified(&fs.files()).is_sound());
    });
}

#[test]
fn details_too_long_are_refused_not_cut() {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs), options()).unwrap();
        let mut new = entry("c", "s");
        new.details = Some(serde_json::json!("x".repeat(details::DETAILS_BYTES_MAX)));
        let refused = journal.append(new, Durability::Durable).await;
        assert!(matches!(refused, Err(JournalError::DetailsTooLong { .. })));
        assert!(journal.is_empty());
    });
}

#[test]
fn many_callers_at_once_are_all_recorded_in_groups() {
    let (sim, stall) = (SimFs::default(), Arc::new(Mutex::new(())));
    let fs = Stalled { fs: sim.clone(), stall: Arc::clone(&stall) };
    run(async {
        let checkpoint_interval = Duration::from_hours(1);
        let seldom = JournalOptions { checkpoint_interval, ..options() };
        let journal = Journal::open_on(Arc::new(fs), seldom).unwrap();
        journal.append(entry("first", "s"), Durability::Durable).await.unwrap();
        journal.publish().await.unwrap();
        let stalled = stall.lock();
        let before = sim.operations();
        let tasks: Vec<_> = (1..=1_000_u32)
            .map(|number| {
                let journal = journal.clone();
                let new = entry(&format!("c-{number}"), "s");
                tokio::spawn(async move { journal.append(new, Durability::Durable).await })
            })
            .collect();
        while journal.inner.shared.queue.queued_entries() < 1_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(stalled);
        let mut places = std::collections::BTreeSet::new();
        for task in tasks {
            places.insert(task.await.unwrap().unwrap().index);
        }
        assert_eq!(places, (1..=1_000).collect());
        let operations = sim.operations() - before;
        assert!(operations < 50, "entries share their syncs: {operations}");
        journal.close().await;
        let report = verified(&sim.files());
        assert!(report.is_sound(), "{report}");
        assert_eq!(report.log.warnings.total(), 0, "times go with the order");
    });
}

#[test]
fn entries_that_cannot_be_published_are_not_taken_for_ever_while_outcomes_are() {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs), options()).unwrap();
        journal.append(entry("c", "s"), Durability::Durable).await.unwrap();
        let queue = &journal.inner.shared.queue;
        let reservation = journal.reserve().unwrap();
        // The publisher takes it back as soon as it succeeds: it is kept from that.
        let still = journal.inner.shared.publish.hold_still();
        queue.set_unpublished(Some("no such folder".into()));
        for durability in [Durability::Durable, Durability::Bounded] {
            let refused = journal.append(entry("c", "s"), durability).await;
            assert!(matches!(refused, Err(JournalError::Unpublished(_))));
        }
        assert!(matches!(journal.reserve(), Err(JournalError::Unpublished(_))));
        reservation.settle(NewEntry::new(Kind::Outcome)).unwrap();
        drop(still);
        journal.publish().await.unwrap();
        for _ in 0..1_000 {
            if journal.append(entry("c", "s"), Durability::Durable).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(journal.len(), 3);
    });
}

#[test]
fn a_journal_that_could_record_nothing_is_not_opened() {
    let fs = SimFs::default();
    run(async {
        Journal::open_on(Arc::new(fs.clone()), options()).unwrap().close().await;
        let no_name = JournalOptions { tenant: "a\nb".into(), ..options() };
        let refused = Journal::open_on(Arc::new(fs.clone()), no_name);
        assert!(matches!(refused, Err(JournalError::Entry(_))));
        let wrong_key = JournalOptions { master_key: Zeroizing::new([1; 32]), ..options() };
        let refused = Journal::open_on(Arc::new(fs), wrong_key);
        assert!(matches!(refused, Err(JournalError::Key)));
    });
}

/// A disk whose syncs take as long as they are told to.
struct Stalled {
    fs: SimFs,
    stall: Arc<Mutex<()>>,
}

struct StalledFile {
    file: Box<dyn JournalFile>,
    stall: Arc<Mutex<()>>,
}

impl JournalFile for StalledFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_at(offset, bytes)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        drop(self.stall.lock());
        self.file.sync()
    }

    fn set_aside(&mut self, offset: u64, len_bytes: u64) -> std::io::Result<()> {
        self.file.set_aside(offset, len_bytes)
    }
}

impl JournalFs for Stalled {
    fn lock(&self, path: &str) -> std::io::Result<Option<Box<dyn Send + Sync>>> {
        self.fs.lock(path)
    }

    fn open(&self, path: &str) -> std::io::Result<Option<Box<dyn JournalFile>>> {
        self.fs.open(path)
    }

    fn create(&self, path: &str) -> std::io::Result<Box<dyn JournalFile>> {
        let file = self.fs.create(path)?;
        Ok(Box::new(StalledFile { file, stall: Arc::clone(&self.stall) }))
    }

    fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        self.fs.read(path)
    }

    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        self.fs.rename(from, to)
    }

    fn remove(&self, path: &str) -> std::io::Result<()> {
        self.fs.remove(path)
    }

    fn create_folder(&self, path: &str) -> std::io::Result<()> {
        self.fs.create_folder(path)
    }

    fn list(&self, folder: &str) -> std::io::Result<Vec<String>> {
        self.fs.list(folder)
    }

    fn sync_folder(&self, path: &str) -> std::io::Result<()> {
        self.fs.sync_folder(path)
    }
}

#[test]
fn a_disk_that_does_not_answer_refuses_within_the_time_given() {
    let stall = Arc::new(Mutex::new(()));
    let fs = Stalled { fs: SimFs::default(), stall: Arc::clone(&stall) };
    run(async {
        let wait = Duration::from_millis(100);
        let journal =
            Journal::open_on(Arc::new(fs), JournalOptions { durable_wait_max: wait, ..options() })
                .unwrap();
        // The key of the session is made before the disk stalls.
        while journal.append(entry("first", "s"), Durability::Durable).await.is_err() {}
        let stalled = stall.lock();
        let begun = std::time::Instant::now();
        let refused = journal.append(entry("slow", "s"), Durability::Durable).await;
        assert!(matches!(refused, Err(JournalError::Slow { wait_ms: 100 })));
        let refused = journal.append(entry("other", "no key yet"), Durability::Bounded).await;
        assert!(matches!(refused, Err(JournalError::Slow { .. })));
        assert!(begun.elapsed() < Duration::from_secs(20));
        drop(stalled);
        journal.close().await;
    });
}
