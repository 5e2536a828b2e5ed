//! A gateway that is killed at any time: every entry it acknowledged is on the record, and the record verifies.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use killick_store::journal::{
    DirectoryFiles, Durability, Journal, JournalOptions, NewEntry, verify,
};
use killick_tlog::verify::Against;
use killick_tlog::{Kind, SigningKey};
use zeroize::Zeroizing;

/// How often the child is killed.
const KILLS: u32 = 30;
/// Tasks that append at the same time in the child.
const TASKS: u32 = 8;
/// The longest that a child may live, in milliseconds after its first acknowledgement.
const LIFE_MS_MAX: u64 = 120;

const DIRECTORY: &str = "KILLICK_TEST_JOURNAL_DIRECTORY";
const ROUND: &str = "KILLICK_TEST_JOURNAL_ROUND";
const ORIGIN: &str = "log.example/gw-1";

fn signing_key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[1; 32]).unwrap()
}

fn open(directory: &Path) -> Journal {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let clock = Arc::new(move || u64::try_from(now()).unwrap());
    let master = Zeroizing::new([2; 32]);
    let options = JournalOptions {
        checkpoint_interval: Duration::from_millis(10),
        durable_wait_max: Duration::from_mins(1),
        entries_per_minute_max: u32::MAX,
        ..JournalOptions::new("default", "gw-1", signing_key(), master, clock)
    };
    Journal::open(directory, options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_acknowledged_entry_survives_kill_minus_nine_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("journal");
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    for round in 0..KILLS {
        let mut child = start(&directory, round);
        let before = acknowledged.len();
        acknowledged.extend(kill_after_a_while(&mut child, round));
        assert!(acknowledged.len() > before, "round {round}: nothing was acknowledged");
        check(&directory, &acknowledged, round);
    }
}

/// Starts this test binary again, as the gateway that is going to be killed.
fn start(directory: &Path, round: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_appends_until_it_is_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets the child live for a time that differs from round to round; returns what it acknowledged.
fn kill_after_a_while(child: &mut Child, round: u32) -> Vec<(u64, String)> {
    let output = BufReader::new(child.stdout.take().unwrap());
    let (first, told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut acknowledged = Vec::new();
        for line in output.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            // A line that the kill cut short has no end mark.
            let Some(rest) = line.strip_prefix("ack ").and_then(|rest| rest.strip_suffix(" ."))
            else {
                continue;
            };
            let (index, call) = rest.split_once(' ').unwrap();
            acknowledged.push((index.parse().unwrap(), call.to_owned()));
            let _ = first.send(());
        }
        acknowledged
    });
    told.recv_timeout(Duration::from_mins(1)).unwrap();
    std::thread::sleep(Duration::from_millis(u64::from(round).wrapping_mul(37) % LIFE_MS_MAX));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn check(directory: &Path, acknowledged: &[(u64, String)], round: u32) {
    let keys = [signing_key().public().clone()];
    let against = Against { keys: &keys, origin: Some(ORIGIN), published: &[] };
    let found = verify(&DirectoryFiles::new(directory), against);
    assert!(found.is_sound(), "round {round}, as the kill left it: {found}");
    let journal = open(directory);
    for (index, call) in acknowledged {
        let stored = journal.read(*index).unwrap();
        assert_eq!(stored.entry.header.call.as_ref(), Some(call), "round {round}");
    }
    drop(journal);
    let found = verify(&DirectoryFiles::new(directory), against);
    assert!(found.is_sound(), "round {round}, opened again: {found}");
    assert_eq!(found.unsigned_entries, 0);
}

#[test]
fn the_child_appends_until_it_is_killed() {
    let (Ok(directory), Ok(round)) = (std::env::var(DIRECTORY), std::env::var(ROUND)) else {
        // Run as a test of its own, it has nothing to do.
        return;
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let journal = open(Path::new(&directory));
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(append(journal.clone(), format!("r{round}-t{task}"))))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn append(journal: Journal, name: String) {
    for number in 0_u32.. {
        let call = format!("{name}-{number}");
        let mut new = NewEntry::new(Kind::Call);
        new.header.call = Some(call.clone());
        new.header.session = Some(format!("s-{name}"));
        new.details = Some(serde_json::json!({ "of": call }));
        let durability = if number % 3 == 2 { Durability::Bounded } else { Durability::Durable };
        let appended = journal.append(new, durability).await.unwrap();
        if durability == Durability::Durable {
            let line = format!("ack {} {call} .\n", appended.index);
            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            std::io::stdout().lock().flush().unwrap();
        }
    }
}
