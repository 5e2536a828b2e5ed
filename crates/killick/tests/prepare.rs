//! What the server itself holds an agent to, without the gateway in between; and what the gateway finds out about it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use killick_testkit::gateway::{Gateway, GatewayOptions};
use killick_testkit::postgres::{Server, psql};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_killick");

const TABLES: &str = "
    CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw;
    SET ROLE shop_owner;
    CREATE TABLE messages (id serial PRIMARY KEY, body text);
    INSERT INTO messages (body) SELECT 'm' || g FROM generate_series(1, 100) g;
    CREATE TABLE hidden (id int PRIMARY KEY);
    ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
    CREATE VIEW shown AS SELECT * FROM messages;
    CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
    CREATE FUNCTION purge() RETURNS bigint LANGUAGE plpgsql AS
      $$ DECLARE n bigint; BEGIN DELETE FROM messages; GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END $$;
    SELECT lo_create(4711);";

/// What a role of least privilege may not do, each refused by the server.
const HOSTILE: &[&str] = &[
    "TRUNCATE messages",
    "DROP TABLE messages",
    "DROP SCHEMA public CASCADE",
    "DROP OWNED BY shop_owner",
    "DROP DATABASE postgres",
    "ALTER TABLE messages DROP COLUMN body",
    "ALTER TABLE messages DISABLE TRIGGER ALL",
    "ALTER TABLE hidden DISABLE ROW LEVEL SECURITY",
    "CREATE TABLE public.mine (id int)",
    "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "CREATE TRIGGER t AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE EXTENSION file_fdw",
    "CREATE ROLE another SUPERUSER",
    "ALTER ROLE gate SUPERUSER",
    "ALTER ROLE postgres PASSWORD 'x'",
    "GRANT pg_execute_server_program TO gate",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SET session_replication_role = replica",
    "ALTER SYSTEM SET fsync = off",
    "SELECT pg_reload_conf()",
    "SELECT pg_terminate_backend(pg_backend_pid() + 0)",
    "SELECT pg_cancel_backend(1)",
    "SELECT lo_unlink(4711)",
    "SELECT lo_create(0)",
    "SELECT lo_put(4711, 0, 'x')",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT dblink_exec('dbname=shop', 'DROP TABLE messages')",
    "SELECT dblink_connect('dbname=shop')",
    "COPY messages TO PROGRAM 'cat'",
    "COPY messages TO '/tmp/stolen'",
    "COPY messages FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT setval('messages_id_seq', 1)",
    "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "SELECT pg_create_physical_replication_slot('s')",
    "SELECT pg_switch_wal()",
    "REFRESH MATERIALIZED VIEW kept",
    "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw",
    "CREATE PUBLICATION p FOR ALL TABLES",
    "SELECT * FROM pg_authid",
    "UPDATE shown SET body = 'x'",
];

fn shop() -> Server {
    let server = Server::start();
    let _ = server.sql("postgres", "CREATE ROLE shop_owner");
    let _ = server.sql("postgres", "CREATE USER gate PASSWORD 'gate-password-7'");
    let _ = server.sql("postgres", "CREATE DATABASE shop OWNER shop_owner");
    let loaded = psql(&server.url("shop"), &["-v", "ON_ERROR_STOP=1", "-c", TABLES]);
    assert!(loaded.status.success(), "{loaded:?}");
    server
}

fn gates_url(port: u16, more: &str) -> String {
    format!("postgres://gate:gate-password-7@127.0.0.1:{port}/shop?sslmode=disable{more}")
}

/// Prints the statements for an address that nobody declared.
fn script(home: &Path, more: &[&str]) -> String {
    let output = Command::new(BINARY)
        .args(["--home", &home.display().to_string(), "database", "prepare"])
        .arg("postgres://gate@127.0.0.1/shop")
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Pipes statements into `psql`, as a human would.
fn piped(server: &Server, sql: &str) -> Output {
    let mut child = Command::new("psql")
        .args(["-X", "-q", &server.url("shop")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn prepare(server: &Server, home: &Path, more: &[&str]) {
    let sql = script(home, more);
    // A second time changes nothing and fails nowhere.
    for _ in 0..2 {
        let output = piped(server, &sql);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

fn direct(url: &str, text: &str) -> Output {
    psql(url, &["-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=1", "-c", text])
}

fn refused_by_the_server(url: &str, text: &str, sqlstate: &str) {
    let output = direct(url, text);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{text} passed");
    assert!(said.contains(&format!("ERROR:  {sqlstate}")), "{text}: {said}");
}

fn passes(url: &str, text: &str) -> String {
    let output = direct(url, text);
    assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn the_prepared_role_is_refused_by_the_server_itself_whatever_it_tries() {
    let (server, home) = (shop(), TempDir::new().unwrap());
    prepare(&server, home.path(), &[]);
    let agent = gates_url(server.port(), "&options=-crole%3Dkillick_agent");
    for text in HOSTILE {
        refused_by_the_server(&agent, text, "42501");
    }
    assert_eq!(passes(&agent, "SELECT count(*) FROM messages"), "100");
    assert_eq!(passes(&agent, "INSERT INTO messages (body) VALUES ('x') RETURNING id"), "101");
    passes(&agent, "UPDATE messages SET body = 'y' WHERE id = 101");
    passes(&agent, "DELETE FROM messages WHERE id = 101");
    assert_eq!(passes(&agent, "SELECT body FROM shown WHERE id = 1"), "m1");
    // What the owner makes later is the role's too, and no more of it.
    let later = "SET ROLE shop_owner; CREATE TABLE later (id serial PRIMARY KEY)";
    let _ = server.sql("shop", later);
    passes(&agent, "INSERT INTO later DEFAULT VALUES");
    refused_by_the_server(&agent, "TRUNCATE later", "42501");
    // Others keep what PUBLIC lost.
    passes(&gates_url(server.port(), ""), "SELECT lo_create(0)");
    // The gateway sees what row security hides from the agent.
    let _ = server.sql("shop", "INSERT INTO hidden VALUES (1)");
    assert_eq!(passes(&agent, "SELECT count(*) FROM hidden"), "0");
    let inspector = gates_url(server.port(), "&options=-crole%3Dkillick_inspector");
    assert_eq!(passes(&inspector, "SELECT count(*) FROM hidden"), "1");
    refused_by_the_server(&inspector, "DELETE FROM messages", "42501");
}

#[test]
fn a_reader_only_reads_and_a_role_that_could_do_more_is_not_taken() {
    let (server, home) = (shop(), TempDir::new().unwrap());
    prepare(&server, home.path(), &["--read-only", "--schema", "public"]);
    let reader = gates_url(server.port(), "&options=-crole%3Dkillick_reader");
    assert_eq!(passes(&reader, "SELECT count(*) FROM messages"), "100");
    for text in HOSTILE.iter().chain(&[
        "INSERT INTO messages (body) VALUES ('x')",
        "UPDATE messages SET body = 'x' WHERE id = 1",
        "DELETE FROM messages WHERE id = 1",
        "SELECT nextval('messages_id_seq')",
        "SELECT purge()",
    ]) {
        refused_by_the_server(&reader, text, "42501");
    }
    // A role that wrote before loses it.
    prepare(&server, home.path(), &["--role", "worker"]);
    prepare(&server, home.path(), &["--role", "worker", "--read-only"]);
    let worker = gates_url(server.port(), "&options=-crole%3Dworker");
    refused_by_the_server(&worker, "DELETE FROM messages WHERE id = 1", "42501");
    for (role, why) in [
        ("postgres", "is a superuser or somebody's login"),
        ("gate", "have to be three roles"),
        ("shop_owner", "owns objects"),
    ] {
        let output = piped(&server, &script(home.path(), &["--role", role]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{role}: {said}");
    }
    let output = piped(&server, &script(home.path(), &["--schema", "nowhere"]));
    assert!(!output.status.success(), "a schema that is not there");
    let super_user = "SELECT rolsuper FROM pg_roles WHERE rolname = 'postgres'";
    assert_eq!(server.sql("shop", super_user), "t");
}

#[test]
fn a_read_only_transaction_refuses_writes_by_itself_and_is_not_enough_by_itself() {
    let server = shop();
    // The strongest role, and no judgement: the transaction stands alone.
    let url = format!("{}&options=-cdefault_transaction_read_only%3Don", server.url("shop"));
    for text in [
        "INSERT INTO messages (body) VALUES ('x')",
        "UPDATE messages SET body = 'x'",
        "DELETE FROM messages",
        "WITH gone AS (DELETE FROM messages RETURNING 1) SELECT count(*) FROM gone",
        "EXPLAIN ANALYZE DELETE FROM messages",
        "SELECT purge()",
        "DO $$ BEGIN DELETE FROM messages; END $$",
        "SELECT nextval('messages_id_seq')",
        "TRUNCATE messages",
        "DROP TABLE messages",
        "ALTER TABLE messages DROP COLUMN body",
        "CREATE TABLE mine (id int)",
        "SELECT * INTO mine FROM messages",
        "GRANT ALL ON messages TO PUBLIC",
        "COMMENT ON TABLE messages IS 'x'",
        "REFRESH MATERIALIZED VIEW kept",
        "COPY messages (body) FROM STDIN",
        "SELECT id FROM messages FOR UPDATE",
    ] {
        refused_by_the_server(&url, text, "25006");
    }
    if server.version() >= 15 {
        let merge =
            "MERGE INTO messages m USING messages o ON m.id = o.id WHEN MATCHED THEN DELETE";
        refused_by_the_server(&url, merge, "25006");
    }
    // Inside of a transaction that writes, a read is guarded by a savepoint, and cannot lift the guard.
    let guarded = "BEGIN READ WRITE; INSERT INTO messages (body) VALUES ('mine'); SAVEPOINT guard; \
        SET LOCAL transaction_read_only = on; ";
    refused_by_the_server(&url, &format!("{guarded} SELECT purge()"), "25006");
    refused_by_the_server(
        &url,
        &format!("{guarded} SET LOCAL transaction_read_only = off"),
        "25001",
    );
    passes(
        &url,
        &format!(
            "{guarded} SELECT 1; ROLLBACK TO guard; INSERT INTO messages (body) VALUES ('more'); ROLLBACK"
        ),
    );
    assert_eq!(server.sql("shop", "SELECT count(*) FROM messages"), "100");
    // What it does not hold: this is why it is one of three.
    if server.version() < 16 {
        passes(&url, "SELECT lo_unlink(4711)");
    } else {
        refused_by_the_server(&url, "SELECT lo_unlink(4711)", "25006");
    }
    passes(&url, "SELECT set_config('default_transaction_read_only', 'off', false)");
    passes(&url, "BEGIN READ WRITE; DELETE FROM messages; ROLLBACK");
}

async fn gateway(dir: &Path) -> Gateway {
    let mut gateway =
        Gateway::init(dir, GatewayOptions::of(Path::new(BINARY)), None).await.unwrap();
    gateway.up().await.unwrap();
    gateway
}

async fn declare(gateway: &Gateway, port: u16, role: &str) {
    let url = gates_url(port, "");
    let ask = ["database", "add", "shop", "--url", &url, "--environment", "staging"];
    let more = ["--private-address", "--replace", "--role", role];
    gateway.done(&[&ask[..], &more].concat()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_names_what_is_missing_until_the_statements_have_run() {
    let (server, dir) = (shop(), TempDir::new().unwrap());
    let gateway = gateway(dir.path()).await;
    declare(&gateway, server.port(), "killick_agent").await;
    let check = ["database", "prepare", "shop", "--check"];
    let before = gateway.cli(&check).await.unwrap();
    assert!(!before.status.success(), "{before:#?}");
    for said in ["there is no role `killick_agent`", "row security hides rows of public.hidden"] {
        assert!(before.stdout.contains(said), "{said}: {}", before.stdout);
    }
    let whole = gateway.cli(&["database", "prepare", "shop"]).await.unwrap();
    assert!(whole.status.success() && whole.stderr.contains("missing"), "{whole:#?}");
    let output = piped(&server, &whole.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let after = gateway.cli(&check).await.unwrap();
    assert!(after.status.success(), "{after:#?}");
    assert!(after.stdout.contains("sessions run as `killick_agent`"), "{}", after.stdout);
    let found = gateway.json(&check).await.unwrap();
    assert_eq!(found["holds"], true, "{found:#}");
    // One wall after the other is broken, and seen to be.
    for (break_it, mend_it, said) in [
        (
            "GRANT TRUNCATE ON messages TO killick_agent",
            "REVOKE TRUNCATE ON messages FROM killick_agent",
            "TRUNCATE, REFERENCES or TRIGGER on public.messages",
        ),
        (
            "GRANT pg_execute_server_program TO killick_agent",
            "REVOKE pg_execute_server_program FROM killick_agent",
            "membership in pg_execute_server_program",
        ),
        (
            "GRANT EXECUTE ON FUNCTION dblink_exec(text, text) TO PUBLIC",
            "REVOKE EXECUTE ON FUNCTION dblink_exec(text, text) FROM PUBLIC",
            "reaches out of the database by dblink_exec",
        ),
        ("ALTER ROLE gate SUPERUSER", "ALTER ROLE gate NOSUPERUSER", "`gate` is a superuser"),
        (
            "REVOKE killick_agent FROM gate",
            "GRANT killick_agent TO gate",
            "may not become `killick_agent`",
        ),
        ("ALTER ROLE gate CONNECTION LIMIT 3", "ALTER ROLE gate CONNECTION LIMIT -1", "are left"),
    ] {
        let _ = server.sql("shop", break_it);
        let broken = gateway.cli(&check).await.unwrap();
        assert!(!broken.status.success() && broken.stdout.contains(said), "{said}: {broken:#?}");
        let _ = server.sql("shop", mend_it);
    }
    assert!(gateway.cli(&check).await.unwrap().status.success());
    // The gateway's own looks are on the record, with the human who asked.
    let log = gateway.done(&["log", "export"]).await.unwrap();
    let looked = log.lines().find(|line| line.contains("postgres.inspect")).unwrap();
    assert!(looked.contains("\"by\":\"local:"), "{looked}");
    assert!(!log.contains("gate-password-7"), "a password is on the record");
}

/// `PgBouncer` between the gateway and the server, in a mode.
struct Pooler {
    port: u16,
    child: Child,
    _dir: TempDir,
}

impl Pooler {
    fn start(server: &Server, pool_mode: &str, more: &str) -> Self {
        let dir = TempDir::with_prefix("killick-pool-").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (users, config) = (dir.path().join("users.txt"), dir.path().join("pool.ini"));
        std::fs::write(&users, "\"gate\" \"gate-password-7\"\n").unwrap();
        let text = format!(
            "[databases]\nshop = host=127.0.0.1 port={} dbname=shop\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
             pool_mode = {pool_mode}\nserver_tls_sslmode = disable\n{more}\n",
            server.port(),
            users.display()
        );
        std::fs::write(&config, text).unwrap();
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]
            .into_iter()
            .find(|it| Path::new(it).exists())
            .unwrap_or("pgbouncer");
        let root = std::fs::metadata(dir.path()).unwrap().uid() == 0;
        let mut command = if root {
            // It refuses to run as root.
            let owned = Command::new("chown").args(["-R", "postgres"]).arg(dir.path()).status();
            assert!(owned.unwrap().success());
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", program]);
            command
        } else {
            Command::new(program)
        };
        let child = command
            .args(["-q", &config.display().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(since.elapsed() < Duration::from_secs(20), "the pooler does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { port, child, _dir: dir }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_front_is_found_in_each_of_its_modes() {
    let (server, dir) = (shop(), TempDir::new().unwrap());
    prepare(&server, dir.path(), &[]);
    let gateway = gateway(dir.path()).await;
    let check = ["database", "prepare", "shop", "--check"];
    for (mode, more, said) in [
        ("session", "", "takes no start-up options"),
        ("session", "ignore_startup_parameters = options", "keeps a session on one process"),
        (
            "session",
            "ignore_startup_parameters = options",
            "start-up options do not reach the server",
        ),
        (
            "transaction",
            "ignore_startup_parameters = options",
            "a transaction pooler stands in front",
        ),
    ] {
        let pooler = Pooler::start(&server, mode, more);
        declare(&gateway, pooler.port, "killick_agent").await;
        let found = gateway.cli(&check).await.unwrap();
        assert!(
            !found.status.success() && found.stdout.contains(said),
            "{mode}: {said}: {found:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn production_is_read_from_elsewhere_by_a_grant_under_a_role_that_only_reads() {
    let (server, dir) = (shop(), TempDir::new().unwrap());
    prepare(&server, dir.path(), &["--read-only"]);
    let gateway = gateway(dir.path()).await;
    gateway.done(&["agent", "add", "coder"]).await.unwrap();
    let declare = async |more: &[&str]| {
        let url = gates_url(server.port(), "");
        let ask = ["database", "add", "shop", "--url", &url, "--environment", "production"];
        let ask = [&ask[..], &["--private-address", "--replace"], more].concat();
        gateway.done(&ask).await.unwrap();
    };
    declare(&[]).await;
    let open = async |more: &[&str]| {
        let ask =
            ["session", "open", "--agent", "coder", "--environment", "staging", "--task", "t"];
        gateway.json(&[&ask[..], more].concat()).await.unwrap()
    };
    let plain = open(&[]).await;
    assert!(plain["environment"].get("DATABASE_URL").is_none(), "production is handed out");
    assert!(plain["environment"].get("SHOP_DATABASE_URL").is_none());
    let opened = open(&["--upstreams", "shop"]).await;
    assert!(opened["environment"].get("DATABASE_URL").is_none());
    let url = opened["environment"]["SHOP_DATABASE_URL"].as_str().unwrap();
    let session = opened["session"]["principal"]["session"].as_str().unwrap();
    let refused = |text: &str, why: &str| {
        let output = direct(url, text);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{text}: {said}");
    };
    refused("SELECT 1", "--read-role ROLE");
    declare(&["--read-role", "killick_reader"]).await;
    refused("SELECT 1", "killick grant add --session");
    let grant =
        ["grant", "add", "--session", session, "--effect", "read", "--count", "3", "--ttl", "1h"];
    // A grant that names nothing, or something else, opens no door.
    assert!(!gateway.cli(&grant).await.unwrap().status.success(), "a grant to read everything");
    gateway.done(&[&grant[..], &["--objects", "database:other"]].concat()).await.unwrap();
    refused("SELECT 1", "killick grant add --session");
    gateway.done(&[&grant[..], &["--objects", "database:shop"]].concat()).await.unwrap();
    assert_eq!(passes(url, "SELECT count(*) FROM messages"), "100");
    assert_eq!(passes(url, "SELECT current_user"), "killick_reader");
    refused("DELETE FROM messages WHERE id = 1", "42501");
    // Three connections were granted, and made.
    refused("SELECT 1", "killick grant add --session");
    assert_eq!(server.sql("shop", "SELECT count(*) FROM messages"), "100");
    let check = ["database", "prepare", "shop", "--read-only", "--check"];
    let said = gateway.cli(&check).await.unwrap().stdout;
    assert!(said.contains("sessions run as `killick_reader`"), "{said}");
    let log = gateway.done(&["log", "export"]).await.unwrap();
    let used = log.lines().filter(|line| line.contains("\"grant use\"")).count();
    assert_eq!(used, 3, "each use of the grant is on the record");
}

fn as_lines(texts: &[&str]) -> String {
    let lines: Vec<String> =
        texts.iter().map(|sql| serde_json::json!({ "id": 1, "sql": sql }).to_string()).collect();
    lines.join("\n")
}

/// Explains statements, one a line, without a gateway; returns the words.
fn explained(more: &[&str], texts: &[&str]) -> Vec<String> {
    let home = TempDir::new().unwrap();
    let mut child = Command::new(BINARY)
        .args(["--home", &home.path().join("none").display().to_string(), "explain", "--jsonl"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = as_lines(texts);
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let word = |line: &str| {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        answer.get("effect").unwrap().as_str().unwrap().to_owned()
    };
    String::from_utf8(output.stdout).unwrap().lines().map(word).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_explained_by_what_a_server_says_exists() {
    let (server, dir) = (shop(), TempDir::new().unwrap());
    let texts =
        ["SELECT count(*) FROM messages", "SELECT purge()", "TRUNCATE messages", "SELECT 1"];
    // A server may ask for a password that no vault would keep.
    let _ = server.sql("postgres", "ALTER USER gate PASSWORD 'short'");
    let url = gates_url(server.port(), "").replace("gate-password-7", "short");
    let by_url = explained(&["--database-url", &url], &texts);
    assert_eq!(by_url, ["read", "destroy", "destroy", "read"]);
    let blind = explained(&[], &texts);
    assert_eq!(blind, ["unrecognized", "unrecognized", "destroy", "read"]);
    let _ = server.sql("postgres", "ALTER USER gate PASSWORD 'gate-password-7'");
    prepare(&server, dir.path(), &[]);
    let gateway = gateway(dir.path()).await;
    declare(&gateway, server.port(), "killick_agent").await;
    let lines = as_lines(&texts);
    let file = dir.path().join("statements.jsonl");
    std::fs::write(&file, lines).unwrap();
    let output = Command::new(BINARY)
        .args(["--home", &dir.path().join("killick").display().to_string()])
        .args(["explain", "--jsonl", "--database", "shop"])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let words: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["effect"].clone())
        .collect();
    assert_eq!(words, by_url);
}
