//! Rehearsing a snapshot: restored into a scratch server of its own, counted, checked, asked, thrown away.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use killick_gate::Departure;
use killick_gate::programs::{Lent, ProgramCall, ProgramError, Running, Served};
use killick_gate::wholes::{Progress, Stage};
use killick_model::point::{PointInfo, PointKind};
use killick_model::rehearsal::Rehearsal;
use tokio::io::AsyncWriteExt as _;
use zeroize::Zeroizing;

use super::DUMP;
use super::counts::{self, Manifest};
use super::take::{READS, errand, one_line};
use crate::PostgresAdapter;
use crate::session::unit::Settle as _;

/// The user that the server's programs run as where the gateway runs as root: they refuse to be root.
const UNLESS_ROOT: &str = "postgres";
/// The scratch server's superuser, and the role without rights that everything of the snapshot runs as.
const SUPERUSER: &str = "killick";
const RESTORED: &str = "restored";
/// How often a scratch server is asked whether it is there.
const START_TRIES_MAX: usize = 600;
/// How long it is left alone between.
const START_REST: Duration = Duration::from_millis(100);
/// The most bytes of a program's answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The most bytes of a file of assertions.
pub(super) const ASSERTIONS_BYTES_MAX: usize = 256 << 10;

/// Rehearses a snapshot. An error says that nothing could be found out; what was found out stands in the result.
pub(super) async fn rehearse(
    adapter: &Arc<PostgresAdapter>,
    point: &PointInfo,
    by: Option<String>,
    assertions: &str,
    progress: &Progress,
) -> Result<Rehearsal, String> {
    if point.head.kind != PointKind::Snapshot {
        return Err("only a snapshot of a whole database is rehearsed".into());
    }
    let manifest = Manifest::read(&point.manifest)?;
    let assertions = split(assertions)?;
    let began = adapter.gate.now();
    let why = "restores a snapshot into a scratch server and looks at it";
    let (departure, in_flight) =
        errand(adapter, &point.head.upstream, by, READS, ("rehearse", why)).await?;
    let looked = look(adapter, &departure, point, &manifest, &assertions, progress).await;
    in_flight.answered(looked.is_err());
    let (tables, rows, held, mut wrong) = looked?;
    wrong.truncate(Rehearsal::WRONG_MAX);
    let now = adapter.gate.now();
    Ok(Rehearsal {
        database: point.head.upstream.clone(),
        point: point.head.id.clone(),
        taken: point.head.taken,
        at: now,
        millis: now.since_millis(began),
        tables,
        rows,
        assertions: held,
        wrong,
    })
}

/// Cuts a file of assertions into statements, by PostgreSQL's own grammar.
fn split(text: &str) -> Result<Vec<String>, String> {
    if text.len() > ASSERTIONS_BYTES_MAX {
        return Err(format!("the assertions have more than {ASSERTIONS_BYTES_MAX} bytes"));
    }
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let script = killick_sql::script::parse(text)
        .map_err(|error| format!("the assertions are no SQL: {error}"))?;
    Ok((0..script.len()).map(|at| script.text_of(at).to_owned()).collect())
}

async fn look(
    adapter: &PostgresAdapter,
    departure: &Departure,
    point: &PointInfo,
    manifest: &Manifest,
    assertions: &[String],
    progress: &Progress,
) -> Result<(u64, u64, u64, Vec<String>), String> {
    let scratch =
        adapter.programs.scratch(Some(UNLESS_ROOT)).await.map_err(|error| error.to_string())?;
    let server = ScratchServer { adapter, departure, folder: scratch.folder.clone() };
    let running = server.start(&manifest.encoding).await?;
    let result = async {
        let mut wrong = Vec::new();
        progress.begin(Stage::Restore);
        server.prepare(manifest, &mut wrong).await?;
        server.restore(point, manifest, progress, &mut wrong).await?;
        progress.begin(Stage::Look);
        let (tables, rows) = server.count(manifest, &mut wrong).await?;
        server.check(&mut wrong).await?;
        let held = server.assert(assertions, &mut wrong).await?;
        Ok((tables, rows, held, wrong))
    }
    .await;
    // It is killed, and its files go: nothing in it was to last.
    drop(running);
    result
}

/// A server for one rehearsal: its socket lies in a folder that nobody else enters, and it listens nowhere else.
struct ScratchServer<'a> {
    adapter: &'a PostgresAdapter,
    departure: &'a Departure,
    folder: PathBuf,
}

impl ScratchServer<'_> {
    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Makes a cluster and runs it as a child of the gateway's: it ends when the gateway does.
    async fn start(&self, encoding: &str) -> Result<Box<dyn Running>, String> {
        let data = self.path("data");
        let folder = self.folder.display().to_string();
        self.done(
            "initdb",
            &["-A", "trust", "-U", SUPERUSER, "-E", encoding, "--no-locale", "-N", "-D", &data],
        )
        .await?;
        let socket = format!("unix_socket_directories={folder}");
        let arguments = [
            "-D",
            &data,
            "-c",
            "listen_addresses=",
            "-c",
            &socket,
            "-c",
            "fsync=off",
            "-c",
            "max_connections=10",
            "-c",
            "autovacuum=off",
            "-c",
            "log_destination=stderr",
        ];
        let Served { mut running, input: _, caller: _ } =
            self.run("postgres", &arguments, SUPERUSER).await?;
        for _ in 0..START_TRIES_MAX {
            tokio::select! {
                // It writes nothing while it runs: its log goes beside.
                said = running.read() => {
                    drop(said);
                    return Err(match running.finish().await {
                        Ok(()) => "the scratch server ended".to_owned(),
                        Err(error) => error.to_string(),
                    });
                }
                answered = self.sql(SUPERUSER, "postgres", "SELECT 1") => {
                    if answered.is_ok() {
                        return Ok(running);
                    }
                }
            }
            tokio::time::sleep(START_REST).await;
        }
        Err("the scratch server does not answer".into())
    }

    /// Makes the database and its extensions: their scripts are this machine's own, and need the superuser.
    async fn prepare(&self, manifest: &Manifest, wrong: &mut Vec<String>) -> Result<(), String> {
        let role = format!("CREATE ROLE {RESTORED} LOGIN");
        let database = format!("CREATE DATABASE {RESTORED} OWNER {RESTORED} TEMPLATE template0");
        self.sql(SUPERUSER, "postgres", &role).await?;
        self.sql(SUPERUSER, "postgres", &database).await?;
        for (extension, schema) in &manifest.extensions {
            let (extension_name, schema_name) = (counts::quoted(extension), counts::quoted(schema));
            let make = if schema == "pg_catalog" || schema == "public" {
                String::new()
            } else {
                format!("CREATE SCHEMA IF NOT EXISTS {schema_name} AUTHORIZATION {RESTORED}; ")
            };
            let sql = format!(
                "{make}CREATE EXTENSION IF NOT EXISTS {extension_name} SCHEMA {schema_name} CASCADE"
            );
            if let Err(why) = self.sql(SUPERUSER, RESTORED, &sql).await {
                wrong.push(format!("extension {extension}: {why}"));
            }
        }
        let public = format!("ALTER SCHEMA public OWNER TO {RESTORED}");
        self.sql(SUPERUSER, RESTORED, &public).await.map(drop)
    }

    /// Restores as a role without rights: what an agent once put into the database must not act as a superuser here.
    async fn restore(
        &self,
        point: &PointInfo,
        manifest: &Manifest,
        progress: &Progress,
        wrong: &mut Vec<String>,
    ) -> Result<(), String> {
        let listed = self.fed("pg_restore", &["--list"], point, &Progress::default()).await?;
        let list = self.path("list");
        let kept = kept(&listed?, manifest);
        self.write(&list, &kept).await?;
        let use_list = format!("--use-list={list}");
        let database = format!("--dbname={RESTORED}");
        let arguments = [
            "--no-owner",
            "--no-acl",
            "--no-comments",
            "--no-publications",
            "--no-subscriptions",
            "--no-security-labels",
            "--no-tablespaces",
            &use_list,
            &database,
        ];
        let said = self.fed("pg_restore", &arguments, point, progress).await?;
        if let Err(said) = super::restored(said) {
            wrong.push(format!("pg_restore: {said}"));
        }
        Ok(())
    }

    /// Runs a program that reads the dump.
    async fn fed(
        &self,
        name: &str,
        arguments: &[&str],
        point: &PointInfo,
        progress: &Progress,
    ) -> Result<Result<String, String>, String> {
        let Served { running, mut input, caller: _ } = self.run(name, arguments, RESTORED).await?;
        let points = &self.adapter.points;
        let feeding = async move {
            let mut reader =
                points.read(&point.head.id, DUMP).await.map_err(|error| error.to_string())?;
            while let Some(bytes) = reader.next().await.map_err(|error| error.to_string())? {
                progress.add(bytes.len() as u64);
                if input.write_all(&bytes).await.is_err() {
                    // It has what it wanted, or says why by itself.
                    return Ok(());
                }
            }
            let _ = input.shutdown().await;
            Ok::<(), String>(())
        };
        let (fed, text) = tokio::join!(feeding, to_its_end(running));
        fed?;
        text
    }

    /// Writes a file in the scratch folder, as the user that the server's programs run as.
    async fn write(&self, path: &str, text: &str) -> Result<(), String> {
        let Served { running, mut input, caller: _ } = self.run("tee", &[path], RESTORED).await?;
        let bytes = text.as_bytes();
        let writing = async move {
            let _ = input.write_all(bytes).await;
            let _ = input.shutdown().await;
        };
        let ((), written) = tokio::join!(writing, to_its_end(running));
        written?.map(drop)
    }

    /// Counts every table and compares with the count when the snapshot was taken.
    async fn count(
        &self,
        manifest: &Manifest,
        wrong: &mut Vec<String>,
    ) -> Result<(u64, u64), String> {
        let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
        for line in self.sql(RESTORED, RESTORED, &as_json(counts::TABLES)).await?.lines() {
            let row: (String, String) = serde_json::from_str(line)
                .map_err(|_| "the scratch server listed no tables".to_owned())?;
            found.insert(row, 0);
        }
        for ((schema, table), count) in &mut found {
            let sql = counts::count(schema, table);
            *count = match self.sql(RESTORED, RESTORED, &sql).await {
                Ok(text) => text.trim().parse().unwrap_or(u64::MAX),
                Err(why) => {
                    wrong.push(format!("{schema}.{table}: {why}"));
                    u64::MAX
                }
            };
        }
        counts::compare(manifest, found, wrong);
        Ok(manifest.sums())
    }

    async fn check(&self, wrong: &mut Vec<String>) -> Result<(), String> {
        let database = format!("--database={RESTORED}");
        let checked = self
            .answer("pg_amcheck", &[&database, "--install-missing", "--heapallindexed"], SUPERUSER)
            .await?;
        if let Err(said) = checked {
            wrong.push(format!("pg_amcheck: {said}"));
        }
        Ok(())
    }

    /// Runs the user's assertions; each must return true, once.
    async fn assert(&self, all: &[String], wrong: &mut Vec<String>) -> Result<u64, String> {
        let mut held = 0_u64;
        for (at, sql) in all.iter().enumerate() {
            let number = at.saturating_add(1);
            match self.sql(RESTORED, RESTORED, sql).await {
                Ok(text) if text.trim() == "t" => held = held.saturating_add(1),
                Ok(_) => wrong.push(format!("assertion {number} did not return true")),
                Err(why) => wrong.push(format!("assertion {number}: {why}")),
            }
        }
        Ok(held)
    }

    /// Runs one text of SQL and returns what it prints.
    async fn sql(&self, user: &str, database: &str, sql: &str) -> Result<String, String> {
        let arguments = [
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--set=ON_ERROR_STOP=1",
            "--dbname",
            database,
            "--command",
            sql,
        ];
        self.answer("psql", &arguments, user).await?
    }

    /// Runs a program; the outer error says that it could not be run, the inner one that it failed.
    async fn answer(
        &self,
        name: &str,
        arguments: &[&str],
        user: &str,
    ) -> Result<Result<String, String>, String> {
        let Served { running, input, caller: _ } = self.run(name, arguments, user).await?;
        drop(input);
        to_its_end(running).await
    }

    async fn done(&self, name: &str, arguments: &[&str]) -> Result<(), String> {
        match self.answer(name, arguments, SUPERUSER).await? {
            Ok(_) => Ok(()),
            Err(said) => Err(format!("{name}: {said}")),
        }
    }

    async fn run(&self, name: &str, arguments: &[&str], user: &str) -> Result<Served, String> {
        let folder = self.folder.display().to_string();
        let variable =
            |name: &str, value: &str| (name.to_owned(), Zeroizing::new(value.to_owned()));
        let call = ProgramCall {
            program: name.to_owned(),
            folders: self.adapter.tools.clone(),
            arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
            environment: vec![
                variable("PGHOST", &folder),
                variable("PGUSER", user),
                variable("PGPASSFILE", "/dev/null"),
                variable("TZ", "UTC"),
                variable("LC_ALL", "C.UTF-8"),
            ],
            files: Vec::new(),
        };
        let lent = Lent {
            socket: None,
            unless_root: Some(UNLESS_ROOT.into()),
            room: Some(self.folder.clone()),
        };
        let started = self.adapter.programs.start_lent(self.departure, call, lent).await;
        started.map_err(|error| error.to_string())
    }
}

/// Reads what a program writes, up to its end. The outer error says that it could not be run, the inner one that it
/// failed.
pub(super) async fn to_its_end(
    mut running: Box<dyn Running>,
) -> Result<Result<String, String>, String> {
    let mut bytes = Vec::new();
    while let Some(some) = running.read().await.map_err(|error| error.to_string())? {
        if bytes.len() < ANSWER_BYTES_MAX {
            bytes.extend_from_slice(&some);
        }
    }
    match running.finish().await {
        Ok(()) => Ok(Ok(String::from_utf8_lossy(&bytes).into_owned())),
        Err(ProgramError::Failed { said, .. }) => Ok(Err(one_line(&said))),
        Err(error @ ProgramError::Missing(_)) => Err(error.to_string()),
    }
}

/// Leaves out of a dump's list what the superuser made already, and event triggers, which only one can make.
fn kept(list: &str, manifest: &Manifest) -> String {
    let made = |line: &str| {
        let entry = line.splitn(4, ' ').nth(3).unwrap_or_default();
        let schema =
            |name: &String| name != "public" && entry.starts_with(&format!("SCHEMA - {name} "));
        entry.starts_with("EXTENSION - ")
            || entry.starts_with("EVENT TRIGGER - ")
            || manifest.extensions.iter().any(|(_, name)| schema(name))
    };
    let lines = list.lines().filter(|line| !line.starts_with(';') && !made(line));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn as_json(sql: &str) -> String {
    format!("SELECT json_build_array(nspname, relname) FROM ({sql}) AS it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_superuser_made_is_not_restored_a_second_time() {
        let manifest = Manifest {
            version: 1,
            server: "15".into(),
            database: "shop".into(),
            encoding: "UTF8".into(),
            extensions: vec![("citext".into(), "ext".into()), ("hstore".into(), "public".into())],
            rows: BTreeMap::new(),
        };
        let list = "; Archive created at 2026\n\
            2; 3079 16384 EXTENSION - citext \n\
            6; 2615 16385 SCHEMA - ext owner\n\
            7; 2615 16386 SCHEMA - extra owner\n\
            9; 3466 16500 EVENT TRIGGER - watch owner\n\
            215; 1259 16387 TABLE public messages owner\n";
        assert_eq!(
            kept(list, &manifest),
            "7; 2615 16386 SCHEMA - extra owner\n215; 1259 16387 TABLE public messages owner\n"
        );
    }

    #[test]
    fn assertions_are_cut_by_the_grammar() {
        let text = "SELECT true; -- a; comment\nSELECT ';' = ';'";
        assert_eq!(split(text).unwrap().len(), 2);
        assert_eq!(split("  ").unwrap().len(), 0);
        assert!(split("SELEC 1").is_err());
    }
}
