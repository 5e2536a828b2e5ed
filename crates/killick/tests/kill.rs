//! Power cuts under load: afterwards the record can be proved, and the provider never saw a call
//! that is not a read and not on the record.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    clippy::string_slice,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail by panicking and print what they measured"
)]

mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use killick_testkit::gateway::AgentSession;
use killick_testkit::practice::{SeenRequest, ids};
use stage::{HOST, Stage, read_volumes, upsert};

/// Cuts when nobody says otherwise; `make kill-test` says 100.
const KILLS_DEFAULT: u64 = 12;
/// Connections that work at the same time.
const CONNECTIONS: u64 = 4;
/// The longest that the load may run between two cuts.
const LOAD_MILLIS_MAX: u64 = 220;

fn kills() -> u64 {
    std::env::var("KILLICK_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(KILLS_DEFAULT)
}

/// Numbers that look random and come again in the next run.
fn scattered(seed: u64) -> u64 {
    let mut it = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    it ^= it >> 31;
    it = it.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    it ^ (it >> 29)
}

/// Reads and writes until it is told to stop, through cuts and restarts.
async fn work(agent: AgentSession, number: u64, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>) {
    let mut step = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut connection) = agent.connect(HOST).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            step += 1;
            let body = if step.is_multiple_of(3) {
                read_volumes()
            } else {
                upsert(ids::STAGING, &format!("KILL_{number}_{step}"), "x")
            };
            let sent = connection.send(agent.request(&body).unwrap());
            match tokio::time::timeout(Duration::from_secs(3), sent).await {
                Ok(Ok(answer)) if answer.passed() => {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Ok(_) | Err(_)) | Err(_) => break,
            }
        }
    }
}

/// The name of the variable that a write sets.
fn variable_of(request: &SeenRequest) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(&request.body).ok()?;
    let variables = body.get("variables")?.to_string();
    let at = variables.find("KILL_")?;
    let name: String =
        variables[at..].chars().take_while(|it| it.is_ascii_alphanumeric() || *it == '_').collect();
    Some(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_leaves_before_it_is_on_the_record_wherever_the_power_is_cut() {
    let began = Instant::now();
    let mut stage = Stage::open().await;
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let agent = stage.gateway.session("staging").await.unwrap();
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let work = work(agent.clone(), number, Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(work)
        })
        .collect();
    let kills = kills();
    for kill in 0..kills {
        let wait = scattered(kill + 1) % LOAD_MILLIS_MAX;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        stage.gateway.kill().await.unwrap();
        stage.gateway.up().await.unwrap();
    }
    // The last stretch is not cut short, so that the load surely wrote something.
    let deadline = Instant::now() + Duration::from_secs(20);
    while stage.mutations().len() < 20 {
        assert!(Instant::now() < deadline, "the load does not get through");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }

    let recorded = digests_of_writes(&stage).await;
    let seen = stage.mutations();
    let mut names = BTreeSet::new();
    for request in &seen {
        let name = variable_of(request).unwrap_or_else(|| panic!("{request:#?}"));
        assert!(names.insert(name.clone()), "{name} came twice");
    }
    // Every write has a name of its own, so every one has a digest of its own.
    assert!(
        recorded.len() >= names.len(),
        "the provider saw {} writes, {} are on the record",
        names.len(),
        recorded.len()
    );
    stage.gateway.stop().await.unwrap();
    let verified = stage.gateway.verify().await.unwrap();
    assert_eq!(verified.code(), 0, "{verified:#?}");
    eprintln!(
        "{kills} cuts in {:.1} s; {} calls were answered, the provider saw {} writes, {} are on \
         the record",
        began.elapsed().as_secs_f64(),
        answered.load(Ordering::Relaxed),
        seen.len(),
        recorded.len()
    );
}

/// Returns the digests of the writes that were permitted.
async fn digests_of_writes(stage: &Stage) -> BTreeSet<String> {
    let record = stage.gateway.record().await.unwrap();
    record
        .iter()
        .filter(|it| it["entry"]["kind"] == "call" && it["entry"]["effect"] == "write")
        .map(|it| it["details"]["digest"].as_str().unwrap_or_else(|| panic!("{it}")).to_owned())
        .collect()
}
