//! A standby behind the gateway: it is read, and what would change something gets the server's own answer.

use std::path::Path;

use killick_testkit::gateway::{Gateway, GatewayOptions};
use killick_testkit::postgres::{Client, Server};
use tempfile::TempDir;

/// What a standby says to a transaction that may write.
const READS_ONLY: &str = "0A000";

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_read_and_a_change_fails_as_it_does_there_without_ending_the_session() {
    let primary = Server::start();
    let _ = primary.sql("postgres", "CREATE USER app PASSWORD 'app-password-7'");
    let _ = primary.sql("postgres", "CREATE DATABASE shop OWNER app");
    let tables = "SET ROLE app; CREATE TABLE notes AS SELECT g AS id FROM generate_series(1, 70) g";
    let _ = primary.sql("shop", tables);
    let standby = primary.standby();
    let dir = TempDir::new().unwrap();
    let options = GatewayOptions::of(Path::new(env!("CARGO_BIN_EXE_killick")));
    let mut gateway = Gateway::init(dir.path(), options, None).await.unwrap();
    gateway.up().await.unwrap();
    gateway.done(&["agent", "add", "coder"]).await.unwrap();
    let port = standby.port();
    let url = format!("postgres://app:app-password-7@127.0.0.1:{port}/shop?sslmode=disable");
    let base = ["database", "add", "shop", "--url", &url, "--environment", "staging"];
    gateway.done(&[&base[..], &["--private-address"]].concat()).await.unwrap();
    let base = ["session", "open", "--agent", "coder", "--environment", "staging"];
    let opened = gateway.json(&[&base[..], &["--task", "look"]].concat()).await.unwrap();
    let url = opened["environment"]["DATABASE_URL"].as_str().unwrap().to_owned();
    tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(&url).unwrap();
        let said = |answer: killick_testkit::postgres::Answer| {
            answer.errors.first().map(|error| error.sqlstate.clone()).unwrap_or_default()
        };
        for _ in 0..2 {
            assert_eq!(client.query("SELECT count(*) FROM notes").unwrap().value(), "70");
            for text in ["INSERT INTO notes VALUES (71)", "DELETE FROM notes WHERE id = 7"] {
                assert_eq!(said(client.query(text).unwrap()), READS_ONLY, "{text}");
                assert_eq!(said(client.series(&[(text, &[])]).unwrap()), READS_ONLY, "{text}");
            }
            assert_eq!(said(client.query("BEGIN; DELETE FROM notes; COMMIT").unwrap()), READS_ONLY);
            let _ = client.query("ROLLBACK").unwrap();
        }
        let counted = client.series(&[("SELECT count(*) FROM notes", &[])]).unwrap();
        assert_eq!(counted.value(), "70");
    })
    .await
    .unwrap();
    assert!(gateway.verify().await.unwrap().status.success());
}
