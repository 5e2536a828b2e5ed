//! A gateway in front of a real PostgreSQL, for tests that destroy and put back.

use std::path::Path;
use std::process::Output;

use killick_testkit::gateway::{Gateway, GatewayOptions};
use killick_testkit::postgres::{Server, psql};
use serde_json::Value;
use tempfile::TempDir;

/// A server, a gateway in front of it, and an agent's address.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) gateway: Gateway,
    pub(crate) url: String,
    checksum: &'static str,
    _dir: TempDir,
}

impl Stage {
    pub(crate) async fn open(environment: &str, tables: &str, checksum: &'static str) -> Self {
        let server = Server::start();
        let _ = server.sql("postgres", "CREATE USER app PASSWORD 'app-password-7'");
        let _ = server.sql("postgres", "CREATE DATABASE shop OWNER app");
        if server.version() < 15 {
            // From 15 on it is the owner's of the database.
            let _ = server.sql("shop", "ALTER SCHEMA public OWNER TO app");
        }
        let loaded = psql(
            &server.url("shop"),
            &["-v", "ON_ERROR_STOP=1", "-c", "SET ROLE app", "-c", tables],
        );
        assert!(loaded.status.success(), "{loaded:?}");
        let dir = TempDir::new().unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_killick"));
        let options = GatewayOptions { production_waiver: true, ..GatewayOptions::of(binary) };
        let mut gateway = Gateway::init(dir.path(), options, None).await.unwrap();
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
        let mut stage = Self { server, gateway, url, checksum, _dir: dir };
        stage.open_session(environment).await;
        stage
    }

    /// Goes on in a session that begins now.
    pub(crate) async fn open_session(&mut self, environment: &str) {
        let base = ["session", "open", "--agent", "coder", "--environment", environment];
        let ask = [&base[..], &["--task", "tidy up"]].concat();
        let opened = self.gateway.json(&ask).await.unwrap();
        opened["environment"]["DATABASE_URL"].as_str().unwrap().clone_into(&mut self.url);
    }

    pub(crate) fn say(&self, text: &str) -> Output {
        psql(&self.url, &["-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=1", "-c", text])
    }

    pub(crate) fn passes(&self, text: &str) -> String {
        let output = self.say(text);
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub(crate) fn refused(&self, text: &str) -> String {
        let output = self.say(text);
        assert!(!output.status.success(), "{text} passed");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("killick "), "{text}: not by the gateway: {said}");
        said
    }

    /// Returns the checksum of all rows, or what is in its way.
    pub(crate) fn checksum(&self) -> String {
        let output =
            psql(&self.server.url("shop"), &["-v", "ON_ERROR_STOP=1", "-c", self.checksum]);
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    /// Approves what a human was asked last.
    pub(crate) async fn approve_newest(&self) {
        let requests = self.gateway.json(&["request", "list"]).await.unwrap();
        let id = requests[0]["id"].as_str().unwrap_or_else(|| panic!("{requests:#}"));
        self.gateway.done(&["request", "approve", id]).await.unwrap();
    }

    /// Sends a statement until it passes, approving what a human is asked for.
    pub(crate) async fn force(&self, text: &str) {
        for _ in 0..24 {
            let output = self.say(text);
            if output.status.success() {
                return;
            }
            let requests = self.gateway.json(&["request", "list"]).await.unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!requests.as_array().unwrap().is_empty(), "{text}: nobody is asked: {said}");
            assert!(said.contains("approval-needed"), "{text}: {said}");
            self.approve_newest().await;
        }
        panic!("{text}: {}", String::from_utf8_lossy(&self.say(text).stderr));
    }

    /// Returns the newest entry that says what can be undone.
    pub(crate) async fn last_undo(&self) -> Value {
        let log = self.gateway.done(&["log", "export"]).await.unwrap();
        let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let undo =
            entries.filter(|entry| entry["details"].get("undo").is_some()).collect::<Vec<_>>();
        undo.last().unwrap()["details"].clone()
    }

    pub(crate) async fn undo(&self, extra: &[&str]) -> Value {
        let undo = self.last_undo().await;
        let point = undo["undo"]["point"].as_str().unwrap_or_else(|| panic!("{undo:#}")).to_owned();
        self.gateway.json(&[&["undo", &point][..], extra].concat()).await.unwrap()
    }
}

impl Stage {
    pub(crate) async fn point(&self) -> String {
        self.last_undo().await["undo"]["point"].as_str().unwrap().to_owned()
    }
}
