//! A real PostgreSQL, the gateway in front of it, and the programs that are run against either.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use killick_testkit::gateway::{Gateway, GatewayOptions, PASSPHRASE};
use killick_testkit::postgres::{Server, psql};
use tempfile::TempDir;

/// The login that the gateway has, and that a program has without it.
const LOGIN: &str = "app:app-password-7";
/// Rows of the table that nobody may lose: more than go without a human, even where they could be put back.
pub(crate) const KEPT_ROWS: u32 = 12_000;

/// A server with two databases of the same owner: `shop` behind the gateway, `plain` for the same program without it.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) gateway: Gateway,
    pub(crate) dir: TempDir,
}

impl Stage {
    /// Starts a server that is reached without TLS.
    pub(crate) async fn open() -> Self {
        let dir = TempDir::new().unwrap();
        Self::of(Server::start(), dir, "127.0.0.1", "disable", &[], None).await
    }

    /// Puts a gateway in front of a server. `more` stands behind `database add`.
    pub(crate) async fn of(
        server: Server,
        dir: TempDir,
        host: &str,
        sslmode: &str,
        more: &[&str],
        roots: Option<&str>,
    ) -> Self {
        let _ = server.sql("postgres", "CREATE USER app PASSWORD 'app-password-7'");
        for database in ["shop", "plain"] {
            let _ = server.sql("postgres", &format!("CREATE DATABASE {database} OWNER app"));
            let table = format!(
                "CREATE TABLE kept AS SELECT g AS id FROM generate_series(1, {KEPT_ROWS}) g"
            );
            let twice =
                "CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT n * 2'";
            let steps = ["-c", "SET ROLE app", "-c", &table, "-c", twice];
            let made = psql(&server.url(database), &steps);
            assert!(made.status.success(), "{made:?}");
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_killick"));
        let mut gateway =
            Gateway::init(dir.path(), GatewayOptions::of(binary), roots).await.unwrap();
        gateway.up().await.unwrap();
        gateway.done(&["agent", "add", "coder"]).await.unwrap();
        let url = format!("postgres://{LOGIN}@{host}:{}/shop?sslmode={sslmode}", server.port());
        let base = ["database", "add", "shop", "--url", &url, "--environment", "staging"];
        gateway.done(&[&base[..], &["--private-address"], more].concat()).await.unwrap();
        Self { server, gateway, dir }
    }

    /// Opens a session and returns the address that it was given.
    pub(crate) async fn session(&self) -> String {
        self.session_of("coder").await
    }

    async fn session_of(&self, agent: &str) -> String {
        let base = ["session", "open", "--agent", agent, "--environment", "staging"];
        let opened = self.gateway.json(&[&base[..], &["--task", "work"]].concat()).await.unwrap();
        opened["environment"]["DATABASE_URL"].as_str().unwrap().to_owned()
    }

    /// Returns the address of the same owner's other database, around the gateway.
    pub(crate) fn around(&self) -> String {
        format!("postgres://{LOGIN}@127.0.0.1:{}/plain?sslmode=disable", self.server.port())
    }

    /// Writes a program that stands for a human who approves whatever is asked for.
    fn approver(&self) -> PathBuf {
        let file = self.dir.path().join("approve");
        let killick =
            format!("{} --home {}", env!("CARGO_BIN_EXE_killick"), self.gateway.home().display());
        let say = format!("echo {PASSPHRASE} | {killick} \"$@\" --passphrase-stdin");
        let open = "import json, sys; \
            print(*[it['id'] for it in json.load(sys.stdin) if it['state'] == 'open'])";
        let text = format!(
            "#!/bin/sh\nset -e\nsay() {{ {say}; }}\n\
             for id in $(say request list --json | python3 -c \"{open}\"); do\n\
             say request approve $id >/dev/null\ndone\n"
        );
        std::fs::write(&file, text).unwrap();
        run(Command::new("chmod").arg("700").arg(&file));
        file
    }

    /// Runs a program around the gateway and through it: it must succeed and print the same. What policy holds is
    /// approved where the program asks for it.
    pub(crate) async fn same_both_ways(&self, program: &dyn Fn() -> Command) {
        let direct = run(program().env("DATABASE_URL", self.around()));
        let url = self.session().await;
        let through =
            run(program().env("DATABASE_URL", url).env("KILLICK_APPROVE", self.approver()));
        let lines = direct.lines().zip(through.lines()).enumerate();
        if let Some((at, (was, is))) = lines.into_iter().find(|(_, (was, is))| was != is) {
            panic!("line {}:\n around  {was}\n through {is}\n{:?}", at + 1, program());
        }
        assert_eq!(direct.lines().count(), through.lines().count(), "{:?}", program());
        assert!(direct.lines().count() > 3, "it printed nothing: {direct}");
    }

    /// Runs a program that tries what is refused, and returns what it prints; nothing is lost.
    pub(crate) async fn refused(&self, agent: &str, program: &mut Command) -> String {
        // One agent may ask a human for only so much at a time.
        self.gateway.done(&["agent", "add", agent]).await.unwrap();
        let url = self.session_of(agent).await;
        let said = run(program.arg("refused").env("DATABASE_URL", url));
        assert!(!said.contains("PASSED"), "{said}");
        let left = self.server.sql("shop", "SELECT count(*) FROM kept");
        assert_eq!(left, KEPT_ROWS.to_string(), "{said}");
        said
    }
}

/// Returns where `scripts/database_clients.sh` put the clients. A client that is missing is a failure, not a pass.
fn tools() -> PathBuf {
    let root = std::env::var_os("KILLICK_TOOLS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/killick/tools"),
        PathBuf::from,
    );
    let tools = root.join("database-clients");
    let hint = "the database clients are not installed; run scripts/database_clients.sh";
    assert!(tools.join("complete").exists(), "{hint}");
    tools
}

/// Returns the path of a script beside this file.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// A script under Python, with the packages installed for it.
pub(crate) fn python(name: &str) -> Command {
    let mut command = Command::new(tools().join("python/bin/python"));
    command.arg("-B").arg(script(name));
    command
}

/// A script under Node, which finds its packages by `KILLICK_NODE_MODULES`.
pub(crate) fn node(name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(script(name)).env("KILLICK_NODE_MODULES", tools().join("node/node_modules"));
    command
}

/// The program in `sqlx_session/`, as the script built it.
pub(crate) fn sqlx() -> Command {
    let tools = tools().join("sqlx");
    let hint = "the program that uses sqlx is not built; run scripts/database_clients.sh";
    assert!(tools.join("complete").exists(), "{hint}");
    Command::new(tools.join("release/sqlx-session"))
}

/// Runs a command that must succeed and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = ended(command);
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{printed}\n{said}", output.status);
    printed
}

/// Runs a command to its end.
pub(crate) fn ended(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).env_remove("PGPASSWORD").env_remove("PGSERVICE").output().unwrap()
}
