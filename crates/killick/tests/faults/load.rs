//! Agents at work while something is killed: every row that they add has a mark of its own, which the statement
//! carries as a name, so that it shows on the record where literals are masked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use killick_testkit::postgres::Client;
use parking_lot::Mutex;
use serde_json::Value;

use super::Faults;

/// The table of rows; in place before the agents begin.
pub const TABLE: &str = "CREATE TABLE load (id bigint PRIMARY KEY)";
/// How long an agent rests before it comes back.
const REST: Duration = Duration::from_millis(5);

/// What agents did.
#[derive(Debug, Default)]
pub struct Done {
    /// Rows that they were told of as lasting.
    told: Mutex<BTreeSet<u64>>,
    next: AtomicU64,
    stop: AtomicBool,
    /// Where the gateway is, as long as it is there.
    url: Mutex<Option<String>>,
}

impl Done {
    pub fn lead_to(&self, url: Option<String>) {
        *self.url.lock() = url;
    }

    pub fn told(&self) -> usize {
        self.told.lock().len()
    }
}

/// What agents do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Rows are added to an empty table.
    Add,
    /// The rows of `heap` are removed, one by one.
    Remove,
}

/// Starts agents that work until they are told to stop, through every cut.
pub fn start(agents: usize, work: Work) -> (Arc<Done>, Vec<JoinHandle<()>>) {
    let done = Arc::new(Done::default());
    let step = match work {
        Work::Add => add,
        Work::Remove => remove,
    };
    let work = |_| {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            while !done.stop.load(Ordering::Relaxed) {
                let url = done.url.lock().clone();
                let client = url.and_then(|url| Client::connect(&url).ok());
                if let Some(mut client) = client {
                    while !done.stop.load(Ordering::Relaxed) && step(&mut client, &done).is_ok() {
                        std::hint::spin_loop();
                    }
                }
                std::thread::sleep(REST);
            }
        })
    };
    let threads = (0..agents).map(work).collect();
    (done, threads)
}

/// Adds one row, or two that stand and fall together, in one of the ways there are.
fn add(client: &mut Client, done: &Done) -> std::io::Result<()> {
    let id = done.next.fetch_add(2, Ordering::Relaxed);
    let insert = |id: u64| format!("INSERT INTO load SELECT {id} AS mark_{id}_");
    let (answer, ids) = match id / 2 % 3 {
        0 => (client.query(&insert(id))?, vec![id]),
        1 => {
            client.query("BEGIN")?;
            client.query(&insert(id))?;
            client.query(&insert(id + 1))?;
            (client.query("COMMIT")?, vec![id, id + 1])
        }
        _ => {
            let answer = client.series(&[
                ("BEGIN", &[]),
                (&insert(id), &[]),
                (&insert(id + 1), &[]),
                ("COMMIT", &[]),
            ])?;
            (answer, vec![id, id + 1])
        }
    };
    let rolled_back = answer.tags.last().is_some_and(|tag| tag == "ROLLBACK");
    if answer.went_well() && !rolled_back {
        done.told.lock().extend(ids);
    }
    Ok(())
}

/// Removes one row, by itself or in a transaction.
fn remove(client: &mut Client, done: &Done) -> std::io::Result<()> {
    let id = done.next.fetch_add(1, Ordering::Relaxed) + 1;
    let delete = format!("DELETE FROM heap AS mark_{id}_ WHERE mark_{id}_.id = {id}");
    let answer = if id.is_multiple_of(2) {
        client.query(&delete)?
    } else {
        client.query("BEGIN")?;
        client.query(&delete)?;
        client.query("COMMIT")?
    };
    let rolled_back = answer.tags.last().is_some_and(|tag| tag == "ROLLBACK");
    if answer.went_well() && !rolled_back {
        done.told.lock().insert(id);
    }
    Ok(())
}

/// Stops the agents and compares: what they were told of lasts, and what lasts is on the record.
pub async fn finish(
    stage: &Faults,
    done: &Done,
    threads: Vec<JoinHandle<()>>,
    work: Work,
) -> String {
    done.stop.store(true, Ordering::Relaxed);
    done.lead_to(None);
    for thread in threads {
        thread.join().unwrap();
    }
    let mut direct = stage.direct();
    Faults::wait_until_quiet(&mut direct);
    let changed = match work {
        Work::Add => "SELECT id FROM load",
        Work::Remove => "SELECT id FROM generate_series(1, 3000) id EXCEPT SELECT id FROM heap",
    };
    let rows = direct.query(changed).unwrap().rows;
    let lasting: BTreeSet<u64> =
        rows.iter().map(|row| row[0].as_deref().unwrap().parse().unwrap()).collect();
    let told = done.told.lock().clone();
    let lost: Vec<&u64> = told.difference(&lasting).collect();
    assert!(lost.is_empty(), "confirmed and not so: {lost:?}");
    let record = stage.gateway.record().await.unwrap();
    let (said, committed) = marks(&record);
    let silent: Vec<&u64> = lasting.difference(&said).collect();
    assert!(silent.is_empty(), "lasting and not on the record: {silent:?}");
    let untrue: Vec<&u64> = committed.difference(&lasting).collect();
    assert!(untrue.is_empty(), "on the record as committed and not so: {untrue:?}");
    let points = stage.open_promised_points(&record).await;
    format!(
        "{points} recovery points open, {} rows last, {} were confirmed, {} are on the record",
        lasting.len(),
        told.len(),
        said.len()
    )
}

/// Marks of statements that were permitted, and of transactions whose COMMIT is said to have gone well.
fn marks(record: &[Value]) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let mut said = BTreeSet::new();
    let mut ending = std::collections::BTreeMap::new();
    let mut committed = BTreeSet::new();
    for line in record {
        let (entry, details) = (&line["entry"], &line["details"]);
        let call = entry["call"].as_str().unwrap_or_default();
        match entry["kind"].as_str() {
            Some("call") => {
                let excerpt = details["excerpt"].as_str().unwrap_or_default();
                let found = excerpt.split("mark_").skip(1);
                let found: BTreeSet<u64> = found
                    .filter_map(|it| it.split('_').next().and_then(|it| it.parse().ok()))
                    .collect();
                said.extend(&found);
                if details["tables"].is_array() {
                    ending.insert(call.to_owned(), found);
                }
            }
            Some("outcome") if details["kind"] == "answered" && details["failed"] == false => {
                committed.extend(ending.remove(call).unwrap_or_default());
            }
            _ => {}
        }
    }
    (said, committed)
}
