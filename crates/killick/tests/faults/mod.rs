//! A script of everything that can change a database, and the comparison of what lasts with what is on the record.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "every test file takes what it needs, and fails by panicking"
)]

pub mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use killick_testkit::gateway::{Gateway, GatewayOptions};
use killick_testkit::postgres::{Chaos, Client, Server};
use serde_json::Value;
use tempfile::TempDir;

/// How long the server may take to be done with connections that were cut.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(30);

/// One table for each step of the script, so that what lasts tells which steps do.
const TABLES: &str = "
    CREATE TABLE single (id int PRIMARY KEY, v text);
    CREATE TABLE pair (id int PRIMARY KEY, v text);
    CREATE TABLE copied (id int PRIMARY KEY, v text);
    CREATE TABLE bound (id int PRIMARY KEY, v text);
    CREATE TABLE series (id int PRIMARY KEY, v text);
    CREATE TABLE several (id int PRIMARY KEY, v text);
    CREATE TABLE heap (id int PRIMARY KEY);
    INSERT INTO heap SELECT generate_series(1, 3000);
    ANALYZE heap;";

/// The state that every run of the script begins in.
const FILL: &str = "TRUNCATE single, pair, copied, bound, series, several;
    INSERT INTO single VALUES (1, 'old'), (2, 'old');
    INSERT INTO pair VALUES (1, 'old'), (2, 'old');
    INSERT INTO bound VALUES (1, 'old'), (2, 'old');
    INSERT INTO series VALUES (1, 'old'), (2, 'old');
    INSERT INTO several VALUES (1, 'old'), (2, 'old');";

/// The steps of the script; each changes its own table as a whole or not at all.
pub const STEPS: [&str; 6] = ["single", "pair", "copied", "bound", "series", "several"];

/// What a table is before and after its step.
fn before_and_after(step: &str) -> (&'static str, &'static str) {
    match step {
        "single" => ("1=old,2=old", "2=old"),
        "pair" | "series" => ("1=old,2=old", "1=new"),
        "copied" => ("", "1=a,2=b,3=c"),
        "bound" => ("1=old,2=old", "1=new,2=old"),
        "several" => ("1=old,2=old", "2=old,3=new"),
        other => panic!("no step {other}"),
    }
}

/// Rows that the record must tell of for a step: inserted, updated, deleted.
fn rows_told(step: &str) -> [u64; 3] {
    match step {
        "single" => [0, 0, 1],
        "pair" | "series" => [0, 1, 1],
        "copied" => [3, 0, 0],
        "bound" => [0, 1, 0],
        "several" => [1, 0, 1],
        other => panic!("no step {other}"),
    }
}

/// Runs one step; whether the agent was told that it lasts.
fn run_step(client: &mut Client, step: &str) -> io::Result<bool> {
    let answer = match step {
        "single" => client.query("DELETE FROM single WHERE id = 1")?,
        "pair" => {
            for text in
                ["BEGIN", "UPDATE pair SET v = 'new' WHERE id = 1", "DELETE FROM pair WHERE id = 2"]
            {
                client.query(text)?;
            }
            client.query("COMMIT")?
        }
        "copied" => client.copy("COPY copied FROM STDIN", &["1\ta\n", "2\tb\n3\tc\n"])?,
        "bound" => {
            client.prepare("change", "UPDATE bound SET v = $1 WHERE id = 1")?;
            client.execute("change", &["new"])?
        }
        "series" => client.series(&[
            ("BEGIN", &[]),
            ("UPDATE series SET v = $1 WHERE id = 1", &["new"]),
            ("DELETE FROM series WHERE id = 2", &[]),
            ("COMMIT", &[]),
        ])?,
        "several" => client
            .query("INSERT INTO several VALUES (3, 'new'); DELETE FROM several WHERE id = 1")?,
        other => panic!("no step {other}"),
    };
    let rolled_back = answer.tags.iter().any(|tag| tag == "ROLLBACK");
    Ok(answer.went_well() && answer.status == b'I' && !rolled_back)
}

/// What one run of the script came to.
#[derive(Debug)]
pub struct Run {
    /// The session that ran it.
    pub session: String,
    /// What was broken, for a failing test's words.
    pub what: String,
    /// Steps that the agent was told of as done.
    pub told: BTreeSet<&'static str>,
    /// Steps that last.
    pub lasting: BTreeSet<&'static str>,
}

/// Runs the script until it is through or the connection is gone.
pub fn script(url: &str, told: &mut BTreeSet<&'static str>) -> io::Result<()> {
    let mut client = Client::connect(url)?;
    for step in STEPS {
        if run_step(&mut client, step)? {
            told.insert(step);
        }
    }
    Ok(())
}

/// A server, a piece of network, a gateway, and another piece of network before that.
pub struct Faults {
    pub server: Server,
    /// Between the gateway and the server.
    pub behind: Chaos,
    /// Between the agent and the gateway.
    pub before: Chaos,
    pub gateway: Gateway,
    pub dir: TempDir,
    environment: &'static str,
}

impl Faults {
    pub async fn open() -> Self {
        Self::with("staging", None).await
    }

    /// With agents in another environment, and recovery points in another place.
    pub async fn with(environment: &'static str, place: Option<&Path>) -> Self {
        let server = Server::start();
        let _ = server.sql("postgres", "CREATE USER app PASSWORD 'app-password-7'");
        let _ = server.sql("postgres", "CREATE DATABASE shop OWNER app");
        let _ = server.sql("shop", &format!("SET ROLE app; {TABLES} {}", load::TABLE));
        let behind = Chaos::before(server.port()).unwrap();
        let dir = TempDir::new().unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_killick"));
        let options = GatewayOptions { production_waiver: true, ..GatewayOptions::of(binary) };
        let mut gateway = Gateway::init(dir.path(), options, None).await.unwrap();
        if let Some(place) = place {
            let file = gateway.home().join("killick.toml");
            let text = std::fs::read_to_string(&file).unwrap();
            let line = format!("[recovery]\nplace = \"file://{}\"", place.display());
            assert!(text.contains("[recovery]"), "{text}");
            std::fs::write(&file, text.replacen("[recovery]", &line, 1)).unwrap();
        }
        gateway.up().await.unwrap();
        gateway.done(&["agent", "add", "coder"]).await.unwrap();
        let url = format!(
            "postgres://app:app-password-7@127.0.0.1:{}/shop?sslmode=disable",
            behind.port()
        );
        let place = ["--environment", environment, "--private-address"];
        gateway
            .done(&[&["database", "add", "shop", "--url", &url][..], &place].concat())
            .await
            .unwrap();
        let before = Chaos::before(1).unwrap();
        let mut all = Self { server, behind, before, gateway, dir, environment };
        let (_, url) = all.session().await;
        all.lead_before(&url);
        all
    }

    /// Leads the agent's piece of network to where the gateway listens.
    fn lead_before(&mut self, url: &str) {
        self.before.lead_to(port_of(url));
    }

    /// Opens a session; its id and its address.
    pub async fn session(&self) -> (String, String) {
        let base = ["session", "open", "--agent", "coder", "--environment", self.environment];
        let opened =
            self.gateway.json(&[&base[..], &["--task", "tidy up"]].concat()).await.unwrap();
        let url = opened["environment"]["DATABASE_URL"].as_str().unwrap().to_owned();
        let id = url.split("//").nth(1).unwrap().split(':').next().unwrap().to_owned();
        (id, url)
    }

    /// Returns an address with the agent's piece of network in place of the gateway.
    pub fn through(&self, url: &str) -> String {
        url.replace(&format!(":{}/", port_of(url)), &format!(":{}/", self.before.port()))
    }

    /// Returns a connection around everything.
    pub fn direct(&self) -> Client {
        Client::connect(&self.server.url("shop")).unwrap()
    }

    /// Puts the tables back to where the script begins.
    pub fn fill(direct: &mut Client) {
        let answer = direct.query(FILL).unwrap();
        assert!(answer.went_well(), "{answer:?}");
    }

    /// Waits until the server has no connection of the gateway's left, so that nothing is still on its way.
    pub fn wait_until_quiet(direct: &mut Client) {
        let deadline = Instant::now() + QUIET_WAIT_MAX;
        loop {
            // The gateway's own connection waits for what comes next.
            let left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'
                AND NOT (application_name = 'killick' AND state = 'idle')";
            if direct.query(left).unwrap().value() == "0" {
                return;
            }
            assert!(Instant::now() < deadline, "the server does not let go of what was cut");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Faults {
    /// Opens every recovery point that the record promises, as an undo would, and returns how many there are.
    pub async fn open_promised_points(&self, record: &[Value]) -> usize {
        let promised = record.iter().filter(|line| line["details"]["undo"]["available"] == true);
        let mut opened = 0;
        for line in promised {
            let point = line["details"]["undo"]["point"].as_str().unwrap();
            // What the plan says of rows that somebody edited since is another matter.
            let said = self.gateway.cli(&["point", "show", point, "--json"]).await.unwrap();
            assert!(
                said.status.success(),
                "the promised point does not open: {said:?} of {line:#}"
            );
            opened += 1;
        }
        opened
    }
}

/// Returns the steps that last; a step that was done in part fails the test.
pub fn lasting(direct: &mut Client, what: &str) -> BTreeSet<&'static str> {
    let mut lasting = BTreeSet::new();
    for step in STEPS {
        let sql =
            format!("SELECT coalesce(string_agg(id || '=' || v, ',' ORDER BY id), '') FROM {step}");
        let found = direct.query(&sql).unwrap().value();
        let (before, after) = before_and_after(step);
        if found == after {
            lasting.insert(step);
        } else {
            assert_eq!(found, before, "{what}: `{step}` is done in part");
        }
    }
    lasting
}

pub fn port_of(url: &str) -> u16 {
    let place = url.rsplit('@').next().unwrap().split('/').next().unwrap();
    place.rsplit(':').next().unwrap().parse().unwrap()
}

/// What the record says of one session's commits.
#[derive(Debug, Default)]
struct Told {
    /// Rows by table and commit's call, and the call's outcome.
    commits: Vec<(String, BTreeMap<String, [u64; 3]>)>,
    /// Outcomes by call: a word, and `failed` behind it where the server said so.
    outcomes: BTreeMap<String, String>,
    /// Excerpts of what was permitted.
    said: Vec<String>,
}

/// Compares what lasts with what the record says, for every run. `whole` says whether the gateway lived on: one
/// that was killed may have lost the entry of a COMMIT whose sync ran beside the server's, never a statement's.
pub fn compare(record: &[Value], runs: &[Run], whole: bool) {
    let by_session = by_session(record);
    let nothing = Told::default();
    for run in runs {
        let what = &run.what;
        let told = by_session.get(&run.session).unwrap_or(&nothing);
        for step in &run.told {
            assert!(run.lasting.contains(step), "{what}: `{step}` was confirmed and is not there");
        }
        for step in &run.lasting {
            let table = format!("public.{step}");
            let spoken = told.said.iter().any(|it| it.contains(step));
            assert!(spoken, "{what}: `{step}` lasts and no statement is on the record: {told:#?}");
            let rows = rows_told(step);
            let commit = told.commits.iter().find(|(_, tables)| tables.get(&table) == Some(&rows));
            if let Some((call, _)) = commit {
                let outcome = told.outcomes.get(call).map_or("", String::as_str);
                assert!(
                    !matches!(outcome, "answered failed" | "not-sent"),
                    "{what}: `{step}` lasts and the record says {outcome}"
                );
            } else {
                assert!(
                    !whole,
                    "{what}: `{step}` lasts and no COMMIT of it is on the record: {told:#?}"
                );
            }
        }
        for (call, tables) in &told.commits {
            let outcome = told.outcomes.get(call).map_or("", String::as_str);
            for step in STEPS {
                if tables.contains_key(&format!("public.{step}")) && outcome == "answered" {
                    assert!(
                        run.lasting.contains(step),
                        "{what}: the record says that `{step}` lasts"
                    );
                }
            }
        }
    }
}

fn by_session(record: &[Value]) -> BTreeMap<String, Told> {
    let mut all: BTreeMap<String, Told> = BTreeMap::new();
    let mut whose: BTreeMap<String, String> = BTreeMap::new();
    for line in record {
        let (entry, details) = (&line["entry"], &line["details"]);
        let call = entry["call"].as_str().unwrap_or_default().to_owned();
        match entry["kind"].as_str() {
            Some("call") => {
                let session = entry["session"].as_str().unwrap_or_default().to_owned();
                whose.insert(call.clone(), session.clone());
                let told = all.entry(session).or_default();
                told.said.push(details["excerpt"].as_str().unwrap_or_default().to_owned());
                if let Some(tables) = details["tables"].as_array() {
                    let rows = tables.iter().map(|it| {
                        let of = |name: &str| it[name].as_u64().unwrap_or_default();
                        let table = it["table"].as_str().unwrap_or_default().to_owned();
                        (table, [of("inserted"), of("updated"), of("deleted")])
                    });
                    told.commits.push((call, rows.collect()));
                }
            }
            Some("outcome") => {
                let mut word = entry["outcome"].as_str().unwrap_or_default().to_owned();
                if details["failed"] == true {
                    word.push_str(" failed");
                }
                if let Some(session) = whose.get(&call) {
                    all.entry(session.clone()).or_default().outcomes.insert(call, word);
                }
            }
            _ => {}
        }
    }
    all
}
