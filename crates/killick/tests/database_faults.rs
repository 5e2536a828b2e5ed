//! What lasts at a database and what is on the record, when something is cut off: the network at any message, the
//! server, the gateway, the agent.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking and print what they measured"
)]

mod faults;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use faults::load::Work;
use faults::{Faults, Run, STEPS, compare, lasting, load, script};
use killick_testkit::postgres::{Chaos, Client, Cut, Direction};

/// Cuts of each kind when nobody says otherwise; `make fault-test` cuts at every message.
const CUTS_DEFAULT: u64 = 16;

fn cuts() -> u64 {
    std::env::var("KILLICK_CUTS").ok().and_then(|it| it.parse().ok()).unwrap_or(CUTS_DEFAULT)
}

/// Kills of each kind when nobody says otherwise; `make fault-test` says 100.
const KILLS_DEFAULT: u64 = 8;
/// The longest that the load may run between two kills.
const LOAD_MILLIS_MAX: u64 = 600;
/// Agents that work at the same time.
const AGENTS: usize = 3;

fn kills() -> u64 {
    std::env::var("KILLICK_FAULT_KILLS")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or(KILLS_DEFAULT)
}

/// Rests for a time that looks random and comes again in the next run.
async fn rest(seed: u64) {
    let mut it = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    it ^= it >> 31;
    it = it.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    it ^= it >> 29;
    tokio::time::sleep(Duration::from_millis(it % LOAD_MILLIS_MAX)).await;
}

/// Waits until the agents got so many more rows through, so that a test surely had a load.
async fn get_through(done: &load::Done, rows: usize) {
    let (deadline, from) = (Instant::now() + Duration::from_mins(1), done.told());
    while done.told() < from + rows {
        assert!(Instant::now() < deadline, "the load does not get through");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Which piece of network breaks.
#[derive(Clone, Copy, Debug)]
enum Place {
    BeforeGateway,
    BehindGateway,
}

impl Place {
    fn chaos(self, stage: &Faults) -> &Chaos {
        match self {
            Self::BeforeGateway => &stage.before,
            Self::BehindGateway => &stage.behind,
        }
    }
}

/// Runs the script once with a cut, and sees what lasts.
async fn run(stage: &Faults, place: Place, cut: Cut) -> (Run, bool) {
    let mut direct = stage.direct();
    Faults::fill(&mut direct);
    let (session, url) = stage.session().await;
    let what = format!("{place:?} {cut:?}");
    let chaos = place.chaos(stage);
    chaos.arm(cut);
    let mut told = BTreeSet::new();
    // That it breaks is the point; what was told before counts.
    let broken = script(&stage.through(&url), &mut told);
    let fired = chaos.heal();
    Faults::wait_until_quiet(&mut direct);
    // An agent has only so many sessions.
    stage.gateway.done(&["session", "close", &session]).await.unwrap();
    let lasting = lasting(&mut direct, &what);
    let what = format!("{what} ({broken:?})");
    (Run { session, what, told, lasting }, fired)
}

/// Cuts at every message of a direction, or at a sample of them, and compares.
async fn cut_everywhere(place: Place, direction: Direction) {
    let stage = Faults::open().await;
    let uncut = Cut { direction, after: u64::MAX, torn: false };
    let (whole, _) = run(&stage, place, uncut).await;
    assert_eq!(whole.told.len(), STEPS.len(), "the script does not run: {whole:#?}");
    let messages = place.chaos(&stage).passed(direction);
    let step = messages.div_ceil(cuts()).max(1);
    let mut runs = vec![whole];
    for at in (0..messages).step_by(usize::try_from(step).unwrap()) {
        // In a sample, half of the cuts tear a message; else every message is dropped once and torn once.
        let odd = !(at / step).is_multiple_of(2);
        let kinds = if step > 1 { vec![odd] } else { vec![false, true] };
        for torn in kinds {
            let (one, fired) = run(&stage, place, Cut { direction, after: at, torn }).await;
            assert!(fired || one.told.len() == STEPS.len(), "{one:#?}");
            runs.push(one);
        }
    }
    // The gateway serves on as if nothing had been.
    let (after, _) = run(&stage, place, uncut).await;
    assert_eq!(after.told.len(), STEPS.len(), "{after:#?}");
    runs.push(after);
    let record = stage.gateway.record().await.unwrap();
    compare(&record, &runs, true);
    let points = stage.open_promised_points(&record).await;
    let verified = stage.gateway.verify().await.unwrap();
    assert_eq!(verified.code(), 0, "{verified:#?}");
    let lasting: usize = runs.iter().map(|it| it.lasting.len()).sum();
    let untold: usize = runs.iter().map(|it| it.lasting.difference(&it.told).count()).sum();
    eprintln!(
        "{place:?}, {direction:?}: {} runs over {messages} messages, {lasting} steps last, {untold} of them untold, \
         {points} recovery points open",
        runs.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_on_the_way_to_the_server_leaves_no_change_without_its_record() {
    cut_everywhere(Place::BehindGateway, Direction::Forth).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_on_the_way_back_from_the_server_leaves_no_change_without_its_record() {
    cut_everywhere(Place::BehindGateway, Direction::Back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_on_the_way_to_the_gateway_leaves_no_change_without_its_record() {
    cut_everywhere(Place::BeforeGateway, Direction::Forth).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_on_the_way_back_to_the_agent_leaves_no_change_without_its_record() {
    cut_everywhere(Place::BeforeGateway, Direction::Back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_killed_under_load_leaves_no_change_without_its_record() {
    let mut stage = Faults::open().await;
    let (done, threads) = load::start(AGENTS, Work::Add);
    for kill in 0..kills() {
        done.lead_to(Some(stage.session().await.1));
        get_through(&done, 1).await;
        rest(kill).await;
        done.lead_to(None);
        stage.gateway.kill().await.unwrap();
        stage.gateway.up().await.unwrap();
    }
    done.lead_to(Some(stage.session().await.1));
    get_through(&done, 20).await;
    let figures = load::finish(&stage, &done, threads, Work::Add).await;
    assert_eq!(stage.gateway.verify().await.unwrap().code(), 0);
    eprintln!("{} kills of the gateway: {figures}", kills());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_killed_while_rows_are_removed_loses_no_way_back() {
    let mut stage = Faults::open().await;
    let (done, threads) = load::start(AGENTS, Work::Remove);
    for kill in 0..kills() {
        done.lead_to(Some(stage.session().await.1));
        get_through(&done, 1).await;
        rest(kill).await;
        done.lead_to(None);
        stage.gateway.kill().await.unwrap();
        stage.gateway.up().await.unwrap();
    }
    done.lead_to(Some(stage.session().await.1));
    get_through(&done, 5).await;
    let figures = load::finish(&stage, &done, threads, Work::Remove).await;
    assert_eq!(stage.gateway.verify().await.unwrap().code(), 0);
    eprintln!("{} kills of the gateway: {figures}", kills());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_load_leaves_no_change_without_its_record() {
    let stage = Faults::open().await;
    let (done, threads) = load::start(AGENTS, Work::Add);
    done.lead_to(Some(stage.session().await.1));
    for kill in 0..kills() {
        get_through(&done, 1).await;
        rest(kill).await;
        stage.server.kill();
        stage.server.restart();
    }
    get_through(&done, 20).await;
    let figures = load::finish(&stage, &done, threads, Work::Add).await;
    assert_eq!(stage.gateway.verify().await.unwrap().code(), 0);
    eprintln!("{} kills of the server: {figures}", kills());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_vanish_under_load_leave_no_change_without_its_record() {
    let stage = Faults::open().await;
    let (done, threads) = load::start(AGENTS, Work::Add);
    let (_, url) = stage.session().await;
    done.lead_to(Some(stage.through(&url)));
    for kill in 0..kills() {
        get_through(&done, 1).await;
        rest(kill).await;
        stage.before.cut_all();
    }
    get_through(&done, 20).await;
    let figures = load::finish(&stage, &done, threads, Work::Add).await;
    assert_eq!(stage.gateway.verify().await.unwrap().code(), 0);
    eprintln!("{} cuts of all agents: {figures}", kills());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_psql_leaves_no_change_without_its_record() {
    let stage = Faults::open().await;
    let (done, threads) = load::start(0, Work::Add);
    let (_, url) = stage.session().await;
    let mut direct = stage.direct();
    let rows = |direct: &mut Client| direct.query("SELECT count(*) FROM load").unwrap().value();
    let lines: Vec<String> = (1_000_000..1_020_000)
        .map(|id| format!("BEGIN; INSERT INTO load SELECT {id} AS mark_{id}_ ON CONFLICT DO NOTHING; COMMIT;\n"))
        .collect();
    let script = lines.concat();
    let file = stage.dir.path().join("script.sql");
    std::fs::write(&file, script).unwrap();
    let file = file.display().to_string();
    for kill in 0..kills() {
        let mut psql = Command::new("psql")
            .args(["-X", "-q", "-f", &file, &url])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It is killed in the middle of its work, not while it logs in.
        let deadline = Instant::now() + Duration::from_secs(30);
        let before = rows(&mut direct);
        while rows(&mut direct) == before {
            assert!(Instant::now() < deadline, "psql does not get through");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        rest(kill).await;
        psql.kill().unwrap();
        psql.wait().unwrap();
    }
    let figures = load::finish(&stage, &done, threads, Work::Add).await;
    eprintln!("{} kills of psql: {figures}", kills());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_whose_commit_nobody_saw_confirmed_are_counted_all_the_same() {
    /// Rows of one step; the policy lets a hundred pass at once, and some more in all.
    const STEP: u64 = 100;
    let stage = Faults::open().await;
    let mut direct = stage.direct();
    for at in 0..20_u64 {
        let (_, url) = stage.session().await;
        let mut client = Client::connect(&url).unwrap();
        let from = at * STEP;
        let delete = format!("DELETE FROM heap WHERE id > {from} AND id <= {}", from + STEP);
        client.query("BEGIN").unwrap();
        client.query(&delete).unwrap();
        if at.is_multiple_of(2) {
            // The server commits, and its answer is lost.
            stage.behind.arm(Cut { direction: Direction::Back, after: 0, torn: false });
            let _lost = client.query("COMMIT");
            let _broke = stage.behind.heal();
        } else {
            // The agent does not wait for the answer.
            client.send(b'Q', b"COMMIT\0").unwrap();
        }
        drop(client);
        Faults::wait_until_quiet(&mut direct);
    }
    let left: u64 = direct.query("SELECT count(*) FROM heap").unwrap().value().parse().unwrap();
    let gone = 3_000 - left;
    eprintln!("{gone} rows went before it stopped");
    assert!((100..=1_000).contains(&gone), "{gone} rows went before it stopped");
}
