//! A real PostgreSQL behind the gateway, and the real `psql` in front of it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use killick_testkit::gateway::{Gateway, GatewayOptions};
use killick_testkit::postgres::{Client, Server, psql};
use tempfile::TempDir;

struct Stage {
    server: Server,
    gateway: Gateway,
    _dir: TempDir,
}

const TABLES: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE, note text);
    CREATE TABLE messages (id int PRIMARY KEY, client int, body text);
    INSERT INTO customers SELECT g, 'c' || g FROM generate_series(1, 20) g;
    INSERT INTO orders SELECT g, 1 + g % 2, 'o' || g FROM generate_series(1, 24000) g;
    INSERT INTO messages SELECT g, g % 2, 'm' || g FROM generate_series(1, 90000) g;
    CREATE FUNCTION wipe() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN DELETE FROM messages WHERE id <= 12000; RETURN NEW; END $$;
    CREATE TABLE doorbell (id int PRIMARY KEY, rung int);
    INSERT INTO doorbell VALUES (1, 0);
    CREATE TRIGGER rings AFTER UPDATE ON doorbell FOR EACH ROW EXECUTE FUNCTION wipe();
    ANALYZE;";

impl Stage {
    async fn open(environment: &str) -> Self {
        let server = Server::start();
        let _ = server.sql("postgres", "CREATE USER app PASSWORD 'app-password-7'");
        let _ = server.sql("postgres", "CREATE DATABASE shop OWNER app");
        let url = server.url("shop");
        let loaded = psql(&url, &["-v", "ON_ERROR_STOP=1", "-c", "SET ROLE app", "-c", TABLES]);
        assert!(loaded.status.success(), "{loaded:?}");
        let dir = TempDir::new().unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_killick"));
        let mut gateway =
            Gateway::init(dir.path(), GatewayOptions::of(binary), None).await.unwrap();
        gateway.up().await.unwrap();
        gateway.done(&["agent", "add", "coder"]).await.unwrap();
        let url = format!(
            "postgres://app:app-password-7@127.0.0.1:{}/shop?sslmode=disable",
            server.port()
        );
        let place = ["--environment", environment, "--private-address"];
        gateway
            .done(&[&["database", "add", "shop", "--url", &url][..], &place].concat())
            .await
            .unwrap();
        Self { server, gateway, _dir: dir }
    }

    /// Opens a session and returns the address that it was given.
    async fn session(&self, environment: &str) -> String {
        let base = ["session", "open", "--agent", "coder", "--environment", environment];
        let opened =
            self.gateway.json(&[&base[..], &["--task", "tidy up"]].concat()).await.unwrap();
        opened["environment"]["DATABASE_URL"].as_str().unwrap().to_owned()
    }

    fn count(&self, table: &str) -> String {
        self.server.sql("shop", &format!("SELECT count(*) FROM {table}"))
    }
}

fn passes(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "it passed: {}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("killick "), "not by the gateway: {said}");
    said
}

fn said(url: &str, text: &str) -> Output {
    psql(url, &["-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=1", "-c", text])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_rows_pass_and_many_are_rolled_back_with_their_exact_number_until_a_human_says_yes() {
    let stage = Stage::open("staging").await;
    let url = stage.session("staging").await;
    assert_eq!(passes(&said(&url, "SELECT count(*) FROM messages")), "90000");
    passes(&said(&url, "UPDATE messages SET body = 'x' WHERE id = 7"));
    passes(&said(&url, "DELETE FROM messages WHERE id = 7"));
    assert_eq!(stage.count("messages"), "89999");

    // Statements of one text stand and fall together, as at the server itself.
    let half = said(&url, "INSERT INTO messages VALUES (90010100, 1, 'x'); SELECT 1 / 0");
    assert!(!half.status.success());
    assert_eq!(stage.count("messages"), "89999");

    let clean_up = "DELETE FROM messages WHERE client = 0";
    let why = refused(&said(&url, clean_up));
    assert!(why.contains("42501") && why.contains("rolled back"), "{why}");
    assert_eq!(stage.count("messages"), "89999");
    let requests = stage.gateway.json(&["request", "list"]).await.unwrap();
    let request = &requests[0];
    assert_eq!(request["facts"][1]["rows"]["count"], 45000, "{request:#}");
    assert_eq!(request["facts"][1]["rows"]["measured"], true);
    // A few of the rows are shown, and nothing of what stands in them but their keys.
    let sample: Vec<&str> = request["facts"][1]["extra"]["sample"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_str().unwrap())
        .collect();
    assert_eq!(sample.len(), 3, "{request:#}");
    for row in sample {
        assert!(
            row.starts_with("id ") && row.contains("body (") && !row.contains("body m"),
            "{row}"
        );
    }
    let id = request["id"].as_str().unwrap();
    assert!(why.contains(id), "{why}");
    stage.gateway.done(&["request", "approve", id]).await.unwrap();
    passes(&said(&url, clean_up));
    assert_eq!(stage.count("messages"), "44999");
    assert!(stage.gateway.verify().await.unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_does_not_cover_rows_that_came_later_or_another_statement() {
    let stage = Stage::open("staging").await;
    let url = stage.session("staging").await;
    refused(&said(&url, "DELETE FROM messages WHERE client = 0"));
    let requests = stage.gateway.json(&["request", "list"]).await.unwrap();
    stage.gateway.done(&["request", "approve", requests[0]["id"].as_str().unwrap()]).await.unwrap();
    refused(&said(&url, "DELETE FROM messages WHERE client = 0 OR true"));
    let _ = stage.server.sql("shop", "INSERT INTO messages VALUES (900101, 0, 'late')");
    refused(&said(&url, "DELETE FROM messages WHERE client = 0"));
    assert_eq!(stage.count("messages"), "90001");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_go_by_cascade_and_by_trigger_are_counted_before_commit() {
    let stage = Stage::open("staging").await;
    let url = stage.session("staging").await;
    // One row of text, 12,000 rows by the foreign key.
    refused(&said(&url, "DELETE FROM customers WHERE id = 1"));
    assert_eq!(stage.count("orders"), "24000");
    // One row by its key, 12,000 rows by a trigger.
    refused(&said(&url, "UPDATE doorbell SET rung = 1 WHERE id = 1"));
    refused(&said(&url, "BEGIN; UPDATE doorbell SET rung = 1 WHERE id = 1; COMMIT"));
    assert_eq!(stage.count("messages"), "90000");
    assert_eq!(stage.server.sql("shop", "SELECT rung FROM doorbell"), "0");
    passes(&said(&url, "DELETE FROM customers WHERE id = 20"));
    // Six thousand rows by their own statement and as many by the foreign key are twelve thousand, which take a human
    // even where they are kept.
    let more = "INSERT INTO customers VALUES (30, 'x'); \
        INSERT INTO orders SELECT 100000 + g, 30, 'n' FROM generate_series(1, 12000) g";
    let _ = stage.server.sql("shop", more);
    let both = "BEGIN; DELETE FROM orders WHERE id BETWEEN 100001 AND 106000; \
        DELETE FROM customers WHERE id = 30; COMMIT";
    refused(&said(&url, both));
    assert_eq!(stage.count("orders"), "36000");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_steps_of_fresh_sessions_add_up() {
    let stage = Stage::open("staging").await;
    let mut gone = 0;
    for step in 0..15 {
        let url = stage.session("staging").await;
        let from = step * 6_000;
        let text = format!("DELETE FROM messages WHERE id > {from} AND id <= {}", from + 6_000);
        if said(&url, &text).status.success() {
            gone += 6_000;
        }
    }
    assert!((6_000..=50_000).contains(&gone), "{gone} rows went before it stopped");
    assert_eq!(stage.count("messages"), (90_000 - gone).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_floods_the_servers_log_is_stopped_and_nothing_of_it_lasts() {
    let stage = Stage::open("staging").await;
    let port = stage.server.port();
    let direct = format!("postgres://app:app-password-7@127.0.0.1:{port}/shop?sslmode=disable");
    let base = ["database", "add", "shop", "--url", &direct, "--environment", "staging"];
    let more = ["--private-address", "--replace", "--wal-max", "1MB"];
    stage.gateway.done(&[&base[..], &more[..]].concat()).await.unwrap();
    let url = stage.session("staging").await;
    // Minutes of work, unless somebody stops it.
    let flood = "INSERT INTO messages SELECT 100000 + g, 5, repeat(md5(g::text), 40) FROM generate_series(1, 20000000) g";
    // What is said meanwhile does not begin the count anew.
    let loud = "DO $$ BEGIN FOR i IN 1..5000 LOOP INSERT INTO messages SELECT 100000 + i * 20000 + g, 5, repeat('x', 200) \
                FROM generate_series(1, 10000) g; RAISE NOTICE 'x'; END LOOP; END $$";
    for text in [flood.to_owned(), format!("BEGIN; {flood}; COMMIT"), loud.to_owned()] {
        let said = said(&url, &text);
        assert!(!said.status.success());
        let why = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(why.contains("53400") && why.contains("more than 1 MB of its log"), "{why}");
        assert!(why.contains("--wal-max"), "{why}");
        assert_eq!(stage.count("messages"), "90000");
    }
    let mut client = Client::connect(&url).unwrap();
    let answer = client.series(&[(flood, &[])]).unwrap();
    assert_eq!(answer.errors[0].sqlstate, "53400", "{answer:?}");
    // The session goes on, and what fills little passes.
    assert!(client.query("INSERT INTO messages VALUES (90010100, 1, 'x')").unwrap().went_well());
    assert_eq!(stage.count("messages"), "90001");
    assert!(stage.gateway.verify().await.unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_itself_can_be_cancelled_while_it_runs() {
    let stage = Stage::open("staging").await;
    let url = stage.session("staging").await;
    let slow =
        "INSERT INTO messages SELECT 100000 + g, 5, 'x' FROM generate_series(1, 200000000) g";
    // psql asks for it when it is interrupted.
    let mut command = Command::new("timeout");
    command.args(["--signal=INT", "2", "psql", "-X", "-v", "VERBOSITY=verbose", "-c", slow, &url]);
    let said = command.output().unwrap();
    let why = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(why.contains("57014"), "{why}");
    assert_eq!(stage.count("messages"), "90000");
    assert_eq!(passes(&self::said(&url, "SELECT 'usable'")), "usable");
}

#[tokio::test(flavor = "multi_thread")]
async fn production_is_read_and_not_wrecked() {
    let stage = Stage::open("production").await;
    let url = stage.session("production").await;
    assert_eq!(passes(&said(&url, "SELECT count(*) FROM messages")), "90000");
    for text in [
        "DELETE FROM messages",
        "DELETE FROM messages WHERE id = 1",
        "TRUNCATE messages, orders, customers CASCADE",
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
        "BEGIN; DROP TABLE orders; DELETE FROM customers; COMMIT",
        "DO $$ DECLARE r record; BEGIN FOR r IN SELECT tablename FROM pg_tables WHERE schemaname='public' \
         LOOP EXECUTE 'DELETE FROM '||quote_ident(r.tablename); END LOOP; END $$",
    ] {
        refused(&said(&url, text));
    }
    // A session of another environment is not even told the address, unless its scope names the database.
    let base =
        ["session", "open", "--agent", "coder", "--environment", "staging", "--task", "look"];
    let opened = stage.gateway.json(&base).await.unwrap();
    assert!(opened["environment"]["DATABASE_URL"].is_null(), "{opened:#}");
    let scope = ["--upstreams", "shop"];
    let opened = stage.gateway.json(&[&base[..], &scope[..]].concat()).await.unwrap();
    let other = opened["environment"]["SHOP_DATABASE_URL"].as_str().unwrap();
    refused(&said(other, "INSERT INTO messages VALUES (900102, 1, 'x')"));
    assert_eq!(stage.count("messages"), "90000");
    assert_eq!(stage.count("orders"), "24000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cannot_leave_its_role_its_guard_or_its_settings() {
    let stage = Stage::open("staging").await;
    let url = stage.session("staging").await;
    for text in [
        "SET ROLE postgres",
        "DISCARD ALL",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SELECT set_config('default_transaction_read_only', 'off', false)",
        "SELECT set_config('ro' || 'le', 'none', false)",
        "SET session_replication_role = replica",
        "SET standard_conforming_strings = off",
        "SET default_transaction_read_only = off; DELETE FROM messages",
        "COPY messages TO PROGRAM 'cat'",
        "SELECT lo_unlink(1)",
        "SELECT pg_terminate_backend(1)",
        "ALTER SYSTEM SET fsync = off",
        "GRANT ALL ON messages TO PUBLIC WITH GRANT OPTION",
        "PREPARE TRANSACTION 'later'",
    ] {
        refused(&said(&url, text));
    }
    // What SQL prepared cannot be run unjudged by its name, and no savepoint can take the gateway's place.
    refused(&said(&url, "SAVEPOINT _killick_refused"));
    refused(&said(&url, "BEGIN; SAVEPOINT _killick_refused; SELECT 1; COMMIT"));
    // A refusal leaves the session usable, and a transaction failed until it is ended.
    let script = "\\set ON_ERROR_STOP 0\nBEGIN;\nSET ROLE postgres;\nSELECT 1;\nROLLBACK;\nSELECT 'still here';\n";
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("script.sql");
    std::fs::write(&file, script).unwrap();
    let output = psql(&url, &["-f", &file.display().to_string()]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("current transaction is aborted"), "{errors}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("still here"));
    assert_eq!(stage.count("messages"), "90000");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_sessions_own_token_opens_a_database_and_freezing_ends_it() {
    let stage = Stage::open("staging").await;
    let url = stage.session("staging").await;
    let (head, tail) = url.split_once("ksess_").unwrap();
    let wrong = format!("{head}ksess_{}{}", "0".repeat(64), tail.get(64..).unwrap());
    let output = said(&wrong, "SELECT 1");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("the login as"), "{output:?}");
    let elsewhere = url.replace("/shop?", "/postgres?");
    let output = said(&elsewhere, "SELECT 1");
    assert!(String::from_utf8_lossy(&output.stderr).contains("undeclared-upstream"), "{output:?}");
    stage.gateway.done(&["agent", "freeze", "coder"]).await.unwrap();
    assert!(!said(&url, "SELECT 1").status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_made_it_may_unmake_and_the_record_names_tables_and_no_literal() {
    let stage = Stage::open("staging").await;
    let url = stage.session("staging").await;
    passes(&said(&url, "CREATE TABLE scratch (id int PRIMARY KEY, v text)"));
    passes(&said(
        &url,
        "INSERT INTO scratch SELECT g, 'canary-in-a-row' FROM generate_series(1, 700) g",
    ));
    passes(&said(&url, "DELETE FROM scratch"));
    passes(&said(&url, "TRUNCATE scratch"));
    passes(&said(&url, "DROP TABLE scratch"));
    let log = stage.gateway.done(&["log", "export"]).await.unwrap();
    assert!(log.contains("postgres.commit") || log.contains("postgres.delete"), "{log}");
    assert!(log.contains("public.scratch"), "{log}");
    assert!(!log.contains("canary-in-a-row"), "a literal is on the record");
    assert!(!log.contains("app-password-7"), "a password is on the record");
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbench_runs_unmodified_in_every_mode() {
    let stage = Stage::open("staging").await;
    let url = stage.session("staging").await;
    let bench = |args: &[&str]| {
        let output = std::process::Command::new("pgbench").args(args).arg(&url).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    bench(&["-i", "-q", "-s", "1"]);
    for mode in ["simple", "extended", "prepared"] {
        bench(&["-n", "-S", "-M", mode, "-c", "4", "-t", "50"]);
        bench(&["-n", "-M", mode, "-c", "2", "-t", "20"]);
    }
    assert_eq!(stage.count("pgbench_history"), "120");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_nests_without_end_does_not_end_the_gateway() {
    let stage = Stage::open("staging").await;
    let url = stage.session("staging").await;
    let dir = TempDir::new().unwrap();
    for (piece, times) in [
        ("+(1)", 200_000),
        (" COLLATE \"C\"", 70_000),
        (" AT TIME ZONE 'UTC'", 50_000),
        (" IS NULL", 3_900),
    ] {
        let file = dir.path().join("deep.sql");
        std::fs::write(&file, format!("SELECT now(){};\n", piece.repeat(times))).unwrap();
        let _ = psql(&url, &["-f", &file.display().to_string()]);
        assert_eq!(passes(&said(&url, "SELECT 'alive'")), "alive", "{piece}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_bears_the_name_of_something_made_is_not_made_by_the_session() {
    let stage = Stage::open("staging").await;
    let url = stage.session("staging").await;
    for made in [
        "CREATE SCHEMA messages",
        "SELECT 1 AS id INTO TEMPORARY messages",
        "CREATE TEMPORARY TABLE messages (id int)",
        "CREATE TABLE IF NOT EXISTS messages (id int)",
        "CREATE TABLE x (id int); ALTER TABLE x RENAME TO y; ALTER TABLE messages RENAME TO x; \
         DELETE FROM x; ALTER TABLE x RENAME TO messages",
    ] {
        let text = format!("BEGIN; {made}; DELETE FROM public.messages; COMMIT");
        refused(&said(&url, &text));
        assert_eq!(stage.count("messages"), "90000", "{made}");
        // Nor does it become so once something of that name lasts.
        if !made.contains("RENAME") {
            let _ = said(&url, made);
            refused(&said(&url, "DELETE FROM public.messages"));
            assert_eq!(stage.count("messages"), "90000", "{made}, committed");
            let _ = said(&url, "DROP SCHEMA IF EXISTS messages");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_table_in_front_of_another_one_does_not_hide_what_it_does() {
    let stage = Stage::open("staging").await;
    let _ = stage.server.sql(
        "shop",
        "SET ROLE app; CREATE FUNCTION clear_out() RETURNS int LANGUAGE plpgsql AS
           $$ BEGIN DELETE FROM messages; RETURN 1; END $$",
    );
    let url = stage.session("staging").await;
    // The server takes the name for the temporary table, whose default removes rows of another one.
    for made in [
        "CREATE TEMPORARY TABLE customers (id int DEFAULT clear_out(), name text)",
        "CREATE TABLE pg_temp.customers (id int DEFAULT clear_out(), name text)",
        "SELECT 1 AS id, 'x' AS name INTO TEMPORARY customers; ALTER TABLE pg_temp.customers ALTER id SET DEFAULT clear_out()",
    ] {
        for pause in ["SELECT 1", "SELECT pg_sleep(1.5)"] {
            let script = format!("{made};\n{pause};\nINSERT INTO customers (name) VALUES ('x');\n");
            let dir = TempDir::new().unwrap();
            let file = dir.path().join("script.sql");
            std::fs::write(&file, script).unwrap();
            let said = psql(&url, &["-f", file.to_str().unwrap()]);
            eprintln!("{}", String::from_utf8_lossy(&said.stderr));
            assert_eq!(stage.count("messages"), "90000", "{made}, {pause}: {said:?}");
        }
    }
}
