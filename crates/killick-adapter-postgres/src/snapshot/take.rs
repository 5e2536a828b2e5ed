//! Taking a snapshot: one view of the database for the dump and for the counts beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use killick_gate::points::{PointWriter, Points};
use killick_gate::programs::{Lent, ProgramCall, Served};
use killick_gate::wholes::{Progress, SnapshotAsk, Stage};
use killick_gate::{Departure, ErrandKind, InFlight, ids};
use killick_model::database::Database;
use killick_model::point::{PointHead, PointInfo, PointKind};
use killick_model::{BackupsFate, Effect, Part, PointId, Recovery, UpstreamName};
use zeroize::Zeroizing;

use super::counts::{self, Manifest};
use super::{DUMP, MANIFEST_VERSION, relay};
use crate::PostgresAdapter;
use crate::session::call::{SqlCall, database_ref};
use crate::session::connect::log_in_at;
use crate::session::server::Server;
use crate::session::unit::Settle as _;

/// A snapshot reads, whatever it looks like.
pub(super) const READS: (ErrandKind, Effect) = (ErrandKind::Snapshot, Effect::READ);
/// The name of a socket at which the server's own tools look for a server on port 5432.
pub(super) const SOCKET: &str = ".s.PGSQL.5432";
/// Settings of the gateway's own sessions for a snapshot: the server itself refuses writes, and rows that are hidden
/// from the login are an error in place of a part.
const OPTIONS: &str = "-c default_transaction_read_only=on -c row_security=off -c search_path=pg_catalog \
    -c lock_timeout=5000 -c statement_timeout=0 -c idle_in_transaction_session_timeout=0";

/// Takes a snapshot of a declared database and reads it back.
pub(super) async fn take(
    adapter: &Arc<PostgresAdapter>,
    name: &UpstreamName,
    ask: SnapshotAsk,
    progress: &Progress,
) -> Result<PointInfo, String> {
    let database = adapter
        .database(name.as_str())
        .ok_or_else(|| format!("no database `{name}` is declared"))?;
    let head = PointHead {
        id: ids::point_id().map_err(|error| error.to_string())?,
        kind: PointKind::Snapshot,
        upstream: name.clone(),
        environment: database.environment.clone(),
        taken: adapter.gate.now(),
        call: ask.call.clone(),
        session: ask.session.clone(),
    };
    let id = head.id.clone();
    let (departure, in_flight) =
        errand(adapter, name, ask.by, READS, ("snapshot", "copies the whole database off-site"))
            .await?;
    let source = Source { adapter, database: &database, departure: &departure, progress };
    let taken = source.take(head).await;
    in_flight.answered(taken.is_err());
    let info = taken?;
    progress.begin(Stage::Check);
    read_back(adapter.points.as_ref(), &id, progress).await?;
    Ok(info)
}

/// Puts a piece of work of the gateway's own on the record.
pub(super) async fn errand(
    adapter: &PostgresAdapter,
    name: &UpstreamName,
    by: Option<String>,
    (kind, effect): (ErrandKind, Effect),
    (operation, why): (&str, &str),
) -> Result<(Departure, InFlight), String> {
    let part = Part {
        operation: format!("postgres.{operation}"),
        effect,
        irreversible: false,
        backups: BackupsFate::Survive,
        objects: vec![database_ref(name)],
        recovery: Recovery::default(),
        why: why.to_owned(),
    };
    let said = |refusal: killick_model::Refusal| refusal.to_string();
    let call = SqlCall::new(name.clone(), vec![part], why.to_owned(), Vec::new(), BTreeMap::new())
        .map_err(said)?;
    let credential = adapter.vault.bound(name, "/").map(|info| info.name);
    let recorded = adapter.gate.own_errand(by, kind, call, credential).await.map_err(said)?;
    let (_, departure, in_flight, _) = recorded.depart().map_err(said)?;
    Ok((departure, in_flight))
}

struct Source<'a> {
    adapter: &'a Arc<PostgresAdapter>,
    database: &'a Database,
    departure: &'a Departure,
    progress: &'a Progress,
}

impl Source<'_> {
    async fn take(&self, head: PointHead) -> Result<PointInfo, String> {
        let mut server = self.server().await?;
        self.ask(&mut server, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let view = self.one(&mut server, "SELECT pg_export_snapshot()").await?;
        let mut writer =
            self.adapter.points.begin(head).await.map_err(|error| error.to_string())?;
        writer.part(DUMP).await.map_err(|error| error.to_string())?;
        self.progress.begin(Stage::Copy);
        let (manifest, ()) =
            tokio::try_join!(self.manifest(&mut server), self.dump(&view, writer.as_mut()),)?;
        self.ask(&mut server, "COMMIT").await?;
        let manifest = serde_json::to_value(&manifest).map_err(|error| error.to_string())?;
        writer.finish(manifest).await.map_err(|error| error.to_string())
    }

    async fn server(&self) -> Result<Server, String> {
        let logged_in = self.log_in().await?;
        Ok(Server::new(logged_in.stream, logged_in.leftover, logged_in.parameters))
    }

    async fn log_in(&self) -> Result<crate::handshake::server::LoggedIn, String> {
        let parameters = [
            ("application_name".to_owned(), "killick".to_owned()),
            ("options".to_owned(), OPTIONS.to_owned()),
        ];
        log_in_at(self.adapter, self.database, self.departure, &parameters).await
    }

    async fn ask(
        &self,
        server: &mut Server,
        sql: &str,
    ) -> Result<Vec<Vec<Option<String>>>, String> {
        server.own(self.departure, sql).await.map_err(|error| error.to_string())
    }

    async fn one(&self, server: &mut Server, sql: &str) -> Result<String, String> {
        let rows = self.ask(server, sql).await?;
        rows.into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten())
            .ok_or_else(|| "the server returned nothing".to_owned())
    }

    /// Counts every table in the view that is dumped.
    async fn manifest(&self, server: &mut Server) -> Result<Manifest, String> {
        let mut rows: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for (schema, table) in counts::pairs(self.ask(server, counts::TABLES).await?)? {
            let count = self.one(server, &counts::count(&schema, &table)).await?;
            let count = count.parse().map_err(|_| "the server counted in words".to_owned())?;
            rows.entry(schema).or_default().insert(table, count);
        }
        Ok(Manifest {
            version: MANIFEST_VERSION,
            server: self.one(server, "SHOW server_version").await?,
            database: self.database.database.clone(),
            encoding: self.one(server, "SHOW server_encoding").await?,
            extensions: counts::pairs(self.ask(server, counts::EXTENSIONS).await?)?,
            rows,
        })
    }

    /// Runs the server's own tool over a relay and takes what it writes.
    async fn dump(&self, view: &str, writer: &mut dyn PointWriter) -> Result<(), String> {
        let logged_in = self.log_in().await?;
        let variable =
            |name: &str, value: &str| (name.to_owned(), Zeroizing::new(value.to_owned()));
        let call = ProgramCall {
            program: "pg_dump".into(),
            folders: self.adapter.tools.clone(),
            arguments: vec![
                "--format=custom".into(),
                "--no-password".into(),
                format!("--snapshot={view}"),
            ],
            environment: vec![
                variable("PGHOST", "{socket}"),
                variable("PGPORT", "5432"),
                variable("PGUSER", &self.database.user),
                variable("PGDATABASE", &self.database.database),
                variable("PGSSLMODE", "disable"),
                variable("PGGSSENCMODE", "disable"),
                variable("PGPASSFILE", "/dev/null"),
            ],
            files: Vec::new(),
        };
        let lent = Lent { socket: Some(SOCKET.into()), ..Lent::default() };
        let served = self.adapter.programs.start_lent(self.departure, call, lent).await;
        let Served { mut running, input, caller } = served.map_err(|error| error.to_string())?;
        drop(input);
        let caller = caller.ok_or("the tool has no way to the server")?;
        // It ends when the tool does: what the tool says of its own end is the better reason.
        let relayed = tokio::spawn(async move {
            match caller.await {
                Ok(stream) => relay::relay(stream, logged_in).await,
                Err(error) => Err(error.to_string()),
            }
        });
        let began = self.adapter.gate.now();
        let mut bytes = 0_u64;
        while let Some(some) = running.read().await.map_err(|error| error.to_string())? {
            writer.write(&some).await.map_err(|error| error.to_string())?;
            bytes = bytes.saturating_add(some.len() as u64);
            self.progress.add(some.len() as u64);
            self.throttle(began, bytes).await;
        }
        let ended = running.finish().await;
        if ended.is_err() {
            relayed.abort();
        }
        ended.map_err(|error| error.to_string())?;
        relayed.await.map_err(|error| error.to_string())??;
        if bytes == 0 { Err("pg_dump wrote nothing".into()) } else { Ok(()) }
    }

    /// Waits as long as keeps the speed under what the owner set.
    async fn throttle(&self, began: killick_model::UnixMillis, bytes: u64) {
        let Some(per_second) = self.adapter.snapshot_bytes_per_second else { return };
        let due = bytes.saturating_mul(1_000).checked_div(per_second).unwrap_or(0);
        let ahead = due.saturating_sub(self.adapter.gate.now().since_millis(began));
        if ahead > 0 {
            tokio::time::sleep(Duration::from_millis(ahead)).await;
        }
    }
}

/// Reads everything back: only then is it known that it can be.
pub(super) async fn read_back(
    points: &dyn Points,
    id: &PointId,
    progress: &Progress,
) -> Result<(), String> {
    let mut reader = points.read(id, DUMP).await.map_err(|error| error.to_string())?;
    while let Some(bytes) = reader.next().await.map_err(|error| error.to_string())? {
        progress.add(bytes.len() as u64);
    }
    Ok(())
}

/// Returns the last of what a program said, on one line.
pub(super) fn one_line(said: &str) -> String {
    const CHARS_MAX: usize = 500;
    let plain: Vec<char> = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let from = plain.len().saturating_sub(CHARS_MAX);
    plain.into_iter().skip(from).collect()
}
