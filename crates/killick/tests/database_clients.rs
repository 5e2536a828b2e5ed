//! Clients that people use, unmodified: each runs the same program around the gateway and through it, and prints the same.
//!
//! `scripts/database_clients.sh` installs them; the programs are in `clients/`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod clients;

use std::path::Path;
use std::process::Command;

use clients::{Stage, node, python, run, script, sqlx};

#[tokio::test(flavor = "multi_thread")]
async fn psycopg_and_asyncpg_print_the_same_around_the_gateway_and_through_it() {
    let stage = Stage::open().await;
    stage.same_both_ways(&|| python("psycopg_session.py")).await;
    stage.same_both_ways(&|| python("asyncpg_session.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy_alembic_and_django_print_the_same_around_the_gateway_and_through_it() {
    let stage = Stage::open().await;
    stage.same_both_ways(&|| python("sqlalchemy_session.py")).await;
    stage.same_both_ways(&|| python("alembic_session.py")).await;
    stage.same_both_ways(&|| python("django_session.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_postgres_drizzle_and_prisma_print_the_same_around_the_gateway_and_through_it() {
    let stage = Stage::open().await;
    stage.same_both_ways(&|| node("node_session.mjs")).await;
    stage.same_both_ways(&|| node("drizzle_session.mjs")).await;
    stage.same_both_ways(&|| node("prisma_session.mjs")).await;
}

/// The driver as Debian packages it.
const JDBC_JAR: &str = "/usr/share/java/postgresql.jar";

#[tokio::test(flavor = "multi_thread")]
async fn jdbc_prints_the_same_around_the_gateway_and_through_it_and_stays_usable_after_a_refusal() {
    let hint = "the JDBC driver is not installed; run scripts/database_clients.sh";
    assert!(Path::new(JDBC_JAR).exists(), "{hint}");
    let stage = Stage::open().await;
    let classes = stage.dir.path().join("classes");
    let mut compile = Command::new("javac");
    compile.args(["-cp", JDBC_JAR, "-d"]).arg(&classes).arg(script("JdbcSession.java"));
    run(&mut compile);
    let path = format!("{}:{JDBC_JAR}", classes.display());
    let java = || {
        let mut command = Command::new("java");
        command.args(["-cp", &path, "JdbcSession"]);
        command
    };
    stage.same_both_ways(&java).await;
    stage.refused("jdbc", &mut java()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlx_prints_the_same_around_the_gateway_and_through_it_and_stays_usable_after_a_refusal() {
    let stage = Stage::open().await;
    stage.same_both_ways(&sqlx).await;
    let said = stage.refused("sqlx", &mut sqlx()).await;
    assert!(said.contains("at COMMIT 42501"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_every_driver_usable_and_nothing_is_lost() {
    let stage = Stage::open().await;
    let said = stage.refused("psycopg", &mut python("psycopg_session.py")).await;
    assert!(said.contains("at COMMIT 42501"), "{said}");
    let said = stage.refused("asyncpg", &mut python("asyncpg_session.py")).await;
    assert!(said.contains("at COMMIT 42501"), "{said}");
    stage.refused("node", &mut node("node_session.mjs")).await;
    let said = stage.refused("wire", &mut python("wire_session.py")).await;
    assert_eq!(said.matches(" True True Z:I D:12000").count(), 6, "{said}");
    assert!(stage.gateway.verify().await.unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_and_a_bare_socket_print_the_same_around_the_gateway_and_through_it() {
    let stage = Stage::open().await;
    let psql = || {
        let mut command = Command::new("sh");
        let line = "exec psql -X -P pager=off -f \"$0\" \"$DATABASE_URL\" 2>&1";
        command.args(["-c", line]).arg(script("psql_session.sql"));
        command
    };
    stage.same_both_ways(&psql).await;
    stage.same_both_ways(&|| python("wire_session.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_gigabyte_of_rows_streams_through_without_being_held() {
    const HELD_KB_MAX: u64 = 64 << 10;
    let stage = Stage::open().await;
    let url = stage.session().await;
    let line =
        "psql -X -A -t -v FETCH_COUNT=0 -c \"$0\" \"$DATABASE_URL\" | head -c 1000000000 | wc -c";
    let through = |text: &str| {
        let mut command = Command::new("sh");
        // Rows go on to where they are read, and psql itself would hold them all: COPY does not.
        run(command.args(["-c", line, text]).env("DATABASE_URL", &url)).trim().to_owned()
    };
    through("COPY (SELECT 1) TO STDOUT");
    let before = peak_kb(&stage);
    let rows = "COPY (SELECT repeat('x', 1023) FROM generate_series(1, 500000)) TO STDOUT";
    assert_eq!(through(rows), "512000000");
    let grown = peak_kb(&stage) - before;
    assert!(grown < HELD_KB_MAX, "the gateway grew by {grown} kB");
}

/// Returns the most memory that the gateway has had.
fn peak_kb(stage: &Stage) -> u64 {
    let id = stage.gateway.process_id().unwrap();
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
