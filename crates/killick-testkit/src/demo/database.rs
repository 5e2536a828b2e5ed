//! Act 3: a migration that resets and a clean-up that takes too much, at a real PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context as _, ensure};

use serde_json::Value;

use super::narrator::Narrator;
use crate::gateway::{AGENT, Gateway, GatewayOptions};
use crate::postgres::{Server, psql};

/// The clean-up of the incident: one client's rows, of which there are as many as there were.
const CLEAN_UP: &str = "DELETE FROM messages WHERE client = 'CC-00023'";
/// What an object-relational mapper sends when it is told to reset.
const RESET: &str = "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public";
/// Rows of that client.
const ROWS: u32 = 71_128;

const TABLES: &str = "CREATE TABLE clients (code text PRIMARY KEY, name text); \
    CREATE TABLE messages (id int PRIMARY KEY, client text REFERENCES clients, body text, sent timestamptz); \
    CREATE TABLE bills (id int PRIMARY KEY, message int REFERENCES messages ON DELETE CASCADE, cents int); \
    INSERT INTO clients SELECT 'CC-000' || g, 'client ' || g FROM generate_series(20, 29) g; \
    INSERT INTO messages SELECT g, CASE WHEN g <= 71128 THEN 'CC-00023' ELSE 'CC-00024' END, md5(g::text), \
      timestamptz '2026-04-01' + g * interval '1 minute' FROM generate_series(1, 90000) g; \
    INSERT INTO bills SELECT g, g, g % 900 FROM generate_series(1, 500) g; ANALYZE;";

const CHECKSUM: &str = "SELECT md5(string_agg(t, ',' ORDER BY t)) FROM (SELECT 'c' || c::text t FROM clients c \
    UNION ALL SELECT 'm' || m::text FROM messages m UNION ALL SELECT 'b' || b::text FROM bills b) it";

struct Act<'a> {
    narrator: &'a Narrator,
    server: Server,
    gateway: Gateway,
    url: String,
    before: String,
}

pub(super) async fn play(narrator: &Narrator, dir: &Path, binary: PathBuf) -> anyhow::Result<()> {
    let server = Server::start();
    for sql in ["CREATE USER app PASSWORD 'real-password-9'", "CREATE DATABASE shop OWNER app"] {
        let _ = server.sql("postgres", sql);
    }
    let loaded = psql(&server.url("shop"), &["-c", "SET ROLE app", "-c", TABLES]);
    ensure!(loaded.status.success(), "the tables cannot be made: {loaded:?}");
    // Production, and a sandbox around the agent is vouched for: this act is about the database.
    let options = GatewayOptions { production_waiver: true, ..GatewayOptions::of(binary) };
    let mut gateway = Gateway::init(dir, options, None).await?;
    gateway.up().await?;
    gateway.done(&["agent", "add", AGENT]).await?;
    let url =
        format!("postgres://app:real-password-9@127.0.0.1:{}/shop?sslmode=disable", server.port());
    let add = ["database", "add", "shop", "--url", &url, "--environment", "production"];
    gateway.done(&[&add[..], &["--private-address"]].concat()).await?;
    let open = ["session", "open", "--agent", AGENT, "--environment", "production"];
    let opened = gateway.json(&[&open[..], &["--task", "remove test rows"]].concat()).await?;
    let url = text_at(&opened, "/environment/DATABASE_URL").context("no address")?;
    let before = server.sql("shop", CHECKSUM);
    narrator.say("The agent has a DATABASE_URL whose password is its session's token.")?;
    let act = Act { narrator, server, gateway, url, before };
    act.held_forced_undone("1. It removes test rows, and means the wrong client.", CLEAN_UP)
        .await?;
    act.held_forced_undone("2. It tells its migration tool to start over.", RESET).await?;
    let said = act.gateway.verify().await?;
    ensure!(said.status.success(), "the record cannot be proved: {said:#?}");
    Ok(())
}

impl Act<'_> {
    /// A statement is held with exact numbers, forced through with an approval, and undone.
    async fn held_forced_undone(&self, what: &str, sql: &str) -> anyhow::Result<()> {
        self.narrator.say(what)?;
        self.narrator.command(&format!("psql \"$DATABASE_URL\" -c \"{sql}\""))?;
        let held = self.say(sql);
        ensure!(!held.status.success(), "it passed: {sql}");
        let words = String::from_utf8_lossy(&held.stderr).into_owned();
        self.narrator.shown(&words)?;
        ensure!(self.checksum() == self.before, "something was destroyed");
        if sql == CLEAN_UP {
            self.counted().await?;
        }
        self.narrator.good("Held. Every row is there; no lock waits for the human.")?;
        self.forced(sql).await?;
        ensure!(self.checksum() != self.before, "an approval did not let it through: {sql}");
        self.narrator.bad("A tired human said yes, and it went through.")?;
        self.undone().await
    }

    async fn counted(&self) -> anyhow::Result<()> {
        let requests = self.gateway.json(&["request", "list"]).await?;
        let facts = requests.pointer("/0/facts").and_then(Value::as_array).context("no facts")?;
        let counted: Vec<u64> =
            facts.iter().filter_map(|it| it.pointer("/rows/count")?.as_u64()).collect();
        ensure!(counted.contains(&u64::from(ROWS)), "not the exact number: {counted:?}");
        ensure!(
            counted.contains(&500),
            "the rows that go by the foreign key are missing: {counted:?}"
        );
        self.narrator
            .good(&format!("Counted at the server: {ROWS} messages, and 500 bills with them."))?;
        Ok(())
    }

    async fn forced(&self, sql: &str) -> anyhow::Result<()> {
        for _ in 0..4 {
            let requests = self.gateway.json(&["request", "list"]).await?;
            if let Some(id) = text_at(&requests, "/0/id") {
                self.narrator.command(&format!("killick request approve {id}"))?;
                self.gateway.done(&["request", "approve", &id]).await?;
            }
            if self.say(sql).status.success() {
                return Ok(());
            }
        }
        let last = self.say(sql);
        anyhow::bail!("{sql}: {}", String::from_utf8_lossy(&last.stderr))
    }

    async fn undone(&self) -> anyhow::Result<()> {
        let record = self.gateway.record().await?;
        let ended = record.iter().rev().find(|it| it.pointer("/details/undo").is_some());
        let index =
            ended.and_then(|it| it.get("index")?.as_u64()).context("no transaction has ended")?;
        let index = index.to_string();
        self.narrator.command(&format!("killick undo {index}"))?;
        let shown = self.gateway.done(&["undo", &index]).await?;
        let first: Vec<&str> = shown.lines().take(8).collect();
        self.narrator.shown(&first.join("\n"))?;
        ensure!(self.checksum() == self.before, "the rows are not as they were: {shown}");
        self.narrator.good("Undone: the checksum over every row of every table is what it was.")?;
        Ok(())
    }

    fn say(&self, sql: &str) -> Output {
        psql(&self.url, &["-v", "ON_ERROR_STOP=1", "-c", sql])
    }

    fn checksum(&self) -> String {
        let output = psql(&self.server.url("shop"), &["-c", CHECKSUM]);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
            .into_owned()
            .trim()
            .to_owned()
    }
}

fn text_at(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_owned)
}
