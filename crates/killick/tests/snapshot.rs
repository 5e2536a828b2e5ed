//! Whole databases: copied off-site, restored somewhere harmless and looked at, and the reason why a volume may go.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod stage;

use std::path::Path;

use killick_testkit::gateway::{Gateway, GatewayOptions};
use killick_testkit::postgres::{Server, psql};
use killick_testkit::practice::ids;
use serde_json::Value;
use stage::{HOST, Stage, delete_staging_volume, delete_volume, passed, refused};
use tempfile::TempDir;

const PASSWORD: &str = "app-password-7";
const SCHEMA: &str = "
    CREATE SCHEMA \"other Schema\";
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, note text);
    CREATE TABLE \"other Schema\".\"odd \"\"name\" (id serial PRIMARY KEY, blob bytea);
    CREATE TABLE parts (id int, region text) PARTITION BY LIST (region);
    CREATE TABLE parts_eu PARTITION OF parts FOR VALUES IN ('eu');
    INSERT INTO customers SELECT g, 'c' || g FROM generate_series(1, 20) g;
    INSERT INTO orders SELECT g, 1 + g % 20, 'o' || g FROM generate_series(1, 600) g;
    INSERT INTO \"other Schema\".\"odd \"\"name\" (blob)
        SELECT decode(md5(g::text), 'hex') FROM generate_series(1, 3000) g;
    INSERT INTO parts SELECT g, 'eu' FROM generate_series(1, 7) g;
    CREATE INDEX by_note ON orders (lower(note));
    SELECT lo_from_bytea(0, 'a large object');";

/// A server with a database `shop` of a user's own.
fn server() -> Server {
    let server = Server::start();
    let _ = server.sql("postgres", &format!("CREATE USER app PASSWORD '{PASSWORD}'"));
    let _ = server.sql("postgres", "CREATE DATABASE shop OWNER app");
    let _ = server.sql(
        "shop",
        "CREATE SCHEMA ext; CREATE EXTENSION pg_trgm SCHEMA ext; GRANT USAGE ON SCHEMA ext TO app",
    );
    let loaded =
        psql(&server.url("shop"), &["-v", "ON_ERROR_STOP=1", "-c", "SET ROLE app", "-c", SCHEMA]);
    assert!(loaded.status.success(), "{loaded:?}");
    server
}

async fn declare(gateway: &Gateway, server: &Server, environment: &str, more: &[&str]) {
    let url = format!("postgres://app:{PASSWORD}@127.0.0.1:{}/shop?sslmode=disable", server.port());
    let base = ["database", "add", "shop", "--url", &url, "--environment", environment];
    gateway.done(&[&base[..], &["--private-address"], more].concat()).await.unwrap();
}

async fn gateway(dir: &TempDir) -> Gateway {
    let binary = Path::new(env!("CARGO_BIN_EXE_killick"));
    let mut gateway = Gateway::init(dir.path(), GatewayOptions::of(binary), None).await.unwrap();
    gateway.up().await.unwrap();
    gateway
}

/// Every byte below a folder.
fn bytes_below(folder: &Path, out: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes_below(&path, out);
        } else {
            out.extend(std::fs::read(&path).unwrap());
        }
    }
}

fn entries<'a>(record: &'a [Value], operation: &str) -> Vec<&'a Value> {
    record.iter().filter(|it| it["entry"]["action"] == operation).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_copied_whole_restored_elsewhere_and_every_row_is_there() {
    let (server, dir) = (server(), TempDir::new().unwrap());
    let gateway = gateway(&dir).await;
    declare(&gateway, &server, "staging", &[]).await;

    let none = gateway.cli(&["rehearse", "shop"]).await.unwrap();
    assert_eq!(none.code(), 1, "{none:?}");
    assert!(none.stderr.contains("there is no snapshot of `shop`"), "{none:?}");

    let taken = gateway.json(&["snapshot", "shop"]).await.unwrap();
    assert_eq!(taken["state"], "taken", "{taken:#}");
    let id = taken["point"]["id"].as_str().unwrap();
    let rows = &taken["point"]["manifest"]["rows"];
    assert_eq!(rows["public"]["orders"], 600, "{taken:#}");
    assert_eq!(rows["public"]["parts_eu"], 7);
    assert_eq!(rows["other Schema"]["odd \"name"], 3000);
    let listed = gateway.json(&["point", "list", "--database", "shop"]).await.unwrap();
    assert_eq!(listed["points"][0]["id"], id, "{listed:#}");
    let mut kept = Vec::new();
    bytes_below(&gateway.home().join("points"), &mut kept);
    assert!(!kept.windows(9).any(|it| it == b"customers"), "the dump lies there in clear");

    // What happened since is no part of the snapshot.
    let _ = server.sql("shop", "DELETE FROM orders WHERE id <= 100");
    let checks = dir.path().join("checks.sql");
    std::fs::write(
        &checks,
        "-- two ; checks\nSELECT count(*) = 600 FROM orders;\n\
         SELECT 'a;b' IS NOT NULL AND count(*) = 7 FROM parts;\n\
         SELECT count(*) = 1 FROM pg_largeobject_metadata",
    )
    .unwrap();
    let checks_path = checks.display().to_string();
    let said = gateway.json(&["rehearse", "shop", "--assert", &checks_path]).await.unwrap();
    let rehearsal = &said["rehearsal"];
    assert_eq!(rehearsal["wrong"], serde_json::json!([]), "{said:#}");
    assert_eq!(rehearsal["point"], id);
    assert_eq!((&rehearsal["assertions"], &rehearsal["tables"]), (&3.into(), &4.into()));
    assert_eq!(rehearsal["rows"], 3627);

    std::fs::write(&checks, "SELECT count(*) = 500 FROM orders; SELECT nonsense()").unwrap();
    let failed = gateway.cli(&["rehearse", "shop", "--assert", &checks_path]).await.unwrap();
    assert_eq!(failed.code(), 1, "{failed:?}");
    assert!(failed.stdout.contains("assertion 1 did not return true"), "{failed:?}");
    assert!(failed.stdout.contains("assertion 2"), "{failed:?}");

    let status = gateway.json(&["status"]).await.unwrap();
    assert_eq!(status["rehearsals"][0]["passed"]["point"], id, "{status:#}");
    assert_ne!(status["rehearsals"][0]["last"]["wrong"], serde_json::json!([]));
    let record = gateway.record().await.unwrap();
    assert_eq!(entries(&record, "postgres.snapshot")[0]["entry"]["kind"], "errand");
    let outcomes: Vec<&Value> =
        entries(&record, "rehearse").iter().map(|it| &it["entry"]["outcome"]).collect();
    assert!(outcomes.contains(&&"passed".into()) && outcomes.contains(&&"failed".into()));

    let into = ["--point", id, "--into", "shop_before"];
    let lacking = gateway.cli(&[&["restore", "shop"][..], &into].concat()).await.unwrap();
    assert!(lacking.stderr.contains("nothing was restored"), "no right to make one: {lacking:?}");
    let _ = server.sql("postgres", "ALTER USER app CREATEDB");
    let restored = gateway.cli(&[&["restore", "shop"][..], &into].concat()).await.unwrap();
    assert!(restored.stdout.contains("4 tables, 3627 rows"), "{restored:?}");
    assert_eq!(server.sql("shop_before", "SELECT count(*) FROM orders"), "600");
    assert_eq!(server.sql("shop", "SELECT count(*) FROM orders"), "500");
    let again = gateway.cli(&[&["restore", "shop"][..], &into].concat()).await.unwrap();
    assert!(again.stderr.contains("already exists"), "{again:?}");

    let without = gateway.cli_without_proof(&["point", "remove", id]).await.unwrap();
    assert_eq!(without.code(), 3, "{without:?}");
    gateway.done(&["key", "rotate", "recovery"]).await.unwrap();
    gateway.done(&["point", "show", id]).await.unwrap();
    gateway.done(&["point", "remove", id]).await.unwrap();
    let gone = gateway.cli(&["point", "show", id]).await.unwrap();
    assert!(gone.stderr.contains("there is no recovery point"), "{gone:?}");
    assert!(gateway.verify().await.unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_left_in_a_database_is_no_superuser_where_it_is_restored() {
    let (server, dir) = (server(), TempDir::new().unwrap());
    let gateway = gateway(&dir).await;
    declare(&gateway, &server, "staging", &[]).await;
    let proof = dir.path().join("proof");
    let _ = server.sql(
        "shop",
        &format!(
            "SET ROLE app; CREATE FUNCTION escape(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ \
             BEGIN IF current_setting('is_superuser') = 'on' AND current_database() = 'restored' THEN \
             EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {}'''; END IF; RETURN t; END $$; \
             CREATE INDEX trap ON orders (escape(note))",
            proof.display()
        ),
    );
    gateway.done(&["snapshot", "shop"]).await.unwrap();
    let said = gateway.cli(&["rehearse", "shop"]).await.unwrap();
    assert!(!proof.exists(), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_fails_its_snapshot_and_leaves_no_point() {
    let (server, dir) = (server(), TempDir::new().unwrap());
    let gateway = gateway(&dir).await;
    declare(&gateway, &server, "staging", &[]).await;
    server.kill();
    let failed = gateway.cli(&["snapshot", "shop"]).await.unwrap();
    assert_eq!(failed.code(), 1, "{failed:?}");
    let listed = gateway.json(&["point", "list"]).await.unwrap();
    assert_eq!(listed["points"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_goes_at_once_when_what_lives_on_it_was_copied_off_site_first() {
    let (server, stage) = (server(), Stage::open().await);
    let agent = stage.gateway.session("staging").await.unwrap();
    let delete = |volume: &str| agent.request(&delete_volume(volume)).unwrap();

    // Nothing is known to live on it: it waits for its grace period.
    let parked = agent.send(HOST, agent.request(&delete_staging_volume()).unwrap()).await.unwrap();
    refused(&parked, "pending");
    let id = parked.found("pending");
    stage.gateway.done(&["pending", "cancel", &id]).await.unwrap();

    let lives_on = format!("railway:volume:{}", ids::VOLUME_STAGING);
    declare(&stage.gateway, &server, "staging", &["--lives-on", &lives_on]).await;
    let listed = stage.gateway.done(&["database", "list"]).await.unwrap();
    assert!(listed.contains("LIVES ON"), "{listed}");

    // The copy fails: the volume stays.
    let elsewhere = Server::start();
    let (live, dead) = (server, elsewhere);
    dead.kill();
    declare(&stage.gateway, &dead, "staging", &["--lives-on", &lives_on, "--replace"]).await;
    let failed = agent.send(HOST, delete(ids::VOLUME_STAGING)).await.unwrap();
    assert!(!failed.passed(), "{failed:#?}");
    assert!(stage.staging_volume_exists());
    assert_eq!(stage.count("mutation.volumeDelete"), 0);

    declare(&stage.gateway, &live, "staging", &["--lives-on", &lives_on, "--replace"]).await;
    passed(&agent.send(HOST, delete(ids::VOLUME_STAGING)).await.unwrap());
    assert!(!stage.staging_volume_exists());
    assert!(stage.production_is_whole());
    let points = stage.gateway.json(&["point", "list", "--database", "shop"]).await.unwrap();
    let point = points["points"][0]["id"].as_str().unwrap();
    let record = stage.gateway.record().await.unwrap();
    let call = record
        .iter()
        .rfind(|it| it["entry"]["kind"] == "call" && it["entry"]["effect"] == "destroy")
        .unwrap();
    assert_eq!(call["details"]["points"][0], point, "{call:#}");
    assert_eq!(points["points"][0]["call"], call["entry"]["call"]);
    stage.gateway.done(&["rehearse", "shop"]).await.unwrap();

    // A production volume is not made survivable by a copy of staging's database.
    let lives_on = format!("railway:volume:{}", ids::VOLUME_PRODUCTION);
    declare(&stage.gateway, &live, "staging", &["--lives-on", &lives_on, "--replace"]).await;
    let refused = agent.send(HOST, delete(ids::VOLUME_PRODUCTION)).await.unwrap();
    assert!(!refused.passed(), "{refused:#?}");
    assert!(stage.production_is_whole());
}
