//! Restoring a snapshot beside what it was taken of: into a database that is made for it, never over one that is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use killick_gate::programs::{Lent, ProgramCall, Served};
use killick_gate::wholes::{Progress, Stage};
use killick_gate::{Departure, ErrandKind};
use killick_model::Effect;
use killick_model::database::Database;
use killick_model::point::{PointInfo, PointKind};
use killick_model::rehearsal::{Rehearsal, Restored};
use tokio::io::AsyncWriteExt as _;
use zeroize::Zeroizing;

use super::counts::{self, Manifest};
use super::rehearse::to_its_end;
use super::take::{SOCKET, errand};
use super::{DUMP, relay};
use crate::PostgresAdapter;
use crate::handshake::server::LoggedIn;
use crate::session::connect::log_in_at;
use crate::session::server::Server;
use crate::session::unit::Settle as _;

/// The longest name of a database, as PostgreSQL has it.
const NAME_BYTES_MAX: usize = 63;
/// Settings of the gateway's own sessions while it restores.
const OPTIONS: &str = "-c row_security=off -c search_path=pg_catalog -c statement_timeout=0 \
    -c idle_in_transaction_session_timeout=0";

/// Restores a snapshot at the server that it was taken from. An error says that nothing, or only a beginning, is there.
pub(super) async fn restore(
    adapter: &Arc<PostgresAdapter>,
    point: &PointInfo,
    into: &str,
    by: Option<String>,
    progress: &Progress,
) -> Result<Restored, String> {
    if point.head.kind != PointKind::Snapshot {
        return Err("only a snapshot of a whole database is restored beside it".into());
    }
    let plain = (1..=NAME_BYTES_MAX).contains(&into.len()) && !into.chars().any(char::is_control);
    if !plain {
        return Err(format!("a database's name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    let manifest = Manifest::read(&point.manifest)?;
    let name = &point.head.upstream;
    let database = adapter
        .database(name.as_str())
        .ok_or_else(|| format!("no database `{name}` is declared"))?;
    let why = "restores a snapshot into a database that is made for it";
    let writes = (ErrandKind::Undo, Effect::WRITE);
    let (departure, in_flight) = errand(adapter, name, by, writes, ("restore", why)).await?;
    let beside = Database { database: into.to_owned(), ..Database::clone(&database) };
    let work = Beside { adapter, departure: &departure, progress };
    progress.begin(Stage::Restore);
    let restored = work.restore(&database, &beside, point, &manifest).await;
    in_flight.answered(restored.is_err());
    restored
}

struct Beside<'a> {
    adapter: &'a Arc<PostgresAdapter>,
    departure: &'a Departure,
    progress: &'a Progress,
}

impl Beside<'_> {
    async fn restore(
        &self,
        live: &Database,
        beside: &Database,
        point: &PointInfo,
        manifest: &Manifest,
    ) -> Result<Restored, String> {
        self.make(live, beside, manifest).await?;
        let mut wrong = Vec::new();
        if let Err(said) = self.load(beside, point).await? {
            wrong.push(format!("pg_restore: {said}"));
        }
        self.progress.begin(Stage::Look);
        let mut server = self.server(beside).await?;
        let mut found = BTreeMap::new();
        for (schema, table) in counts::pairs(self.ask(&mut server, counts::TABLES).await?)? {
            let rows = self.ask(&mut server, &counts::count(&schema, &table)).await?;
            let count = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
            let count = count.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
            found.insert((schema, table), count);
        }
        counts::compare(manifest, found, &mut wrong);
        wrong.truncate(Rehearsal::WRONG_MAX);
        let (tables, rows) = manifest.sums();
        let id = point.head.id.clone();
        Ok(Restored { point: id, into: beside.database.clone(), tables, rows, wrong })
    }

    /// Makes the database. One of that name that is there already stays as it is: the server refuses.
    async fn make(
        &self,
        live: &Database,
        beside: &Database,
        manifest: &Manifest,
    ) -> Result<(), String> {
        let sql = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING '{}'",
            counts::quoted(&beside.database),
            manifest.encoding.replace('\'', "''"),
        );
        let mut server = self.server(live).await?;
        self.ask(&mut server, &sql)
            .await
            .map(drop)
            .map_err(|why| format!("the database could not be made: {why}; nothing was restored"))
    }

    /// Feeds the dump to the server's own tool, which speaks to the server through the gateway.
    async fn load(
        &self,
        beside: &Database,
        point: &PointInfo,
    ) -> Result<Result<String, String>, String> {
        let logged_in = self.log_in(beside).await?;
        let variable =
            |name: &str, value: &str| (name.to_owned(), Zeroizing::new(value.to_owned()));
        let call = ProgramCall {
            program: "pg_restore".into(),
            folders: self.adapter.tools.clone(),
            arguments: [
                "--no-owner",
                "--no-acl",
                "--no-publications",
                "--no-subscriptions",
                "--no-tablespaces",
                "--no-password",
                // Where it goes the gateway has decided: what is said here is not passed on.
                "--dbname=beside",
            ]
            .map(str::to_owned)
            .to_vec(),
            environment: vec![
                variable("PGHOST", "{socket}"),
                variable("PGPORT", "5432"),
                variable("PGUSER", &beside.user),
                variable("PGSSLMODE", "disable"),
                variable("PGGSSENCMODE", "disable"),
                variable("PGPASSFILE", "/dev/null"),
            ],
            files: Vec::new(),
        };
        let lent = Lent { socket: Some(SOCKET.into()), ..Lent::default() };
        let served = self.adapter.programs.start_lent(self.departure, call, lent).await;
        let Served { running, mut input, caller } = served.map_err(|error| error.to_string())?;
        let caller = caller.ok_or("the tool has no way to the server")?;
        let relayed = tokio::spawn(async move {
            match caller.await {
                Ok(stream) => relay::relay(stream, logged_in).await,
                Err(error) => Err(error.to_string()),
            }
        });
        let points = &self.adapter.points;
        let feeding = async move {
            let mut reader =
                points.read(&point.head.id, DUMP).await.map_err(|error| error.to_string())?;
            while let Some(bytes) = reader.next().await.map_err(|error| error.to_string())? {
                self.progress.add(bytes.len() as u64);
                if input.write_all(&bytes).await.is_err() {
                    // It says why by itself.
                    return Ok(());
                }
            }
            Ok::<(), String>(())
        };
        let (fed, said) = tokio::join!(feeding, to_its_end(running));
        fed?;
        let said = super::restored(said?);
        // A tool that failed says why; one that did not and never came to the server restored nothing.
        if said.is_ok() {
            relayed.await.map_err(|error| error.to_string())??;
        } else {
            relayed.abort();
        }
        Ok(said)
    }

    async fn log_in(&self, database: &Database) -> Result<LoggedIn, String> {
        let parameters = [
            ("application_name".to_owned(), "killick".to_owned()),
            ("options".to_owned(), OPTIONS.to_owned()),
        ];
        log_in_at(self.adapter, database, self.departure, &parameters).await
    }

    async fn server(&self, database: &Database) -> Result<Server, String> {
        let logged_in = self.log_in(database).await?;
        Ok(Server::new(logged_in.stream, logged_in.leftover, logged_in.parameters))
    }

    async fn ask(
        &self,
        server: &mut Server,
        sql: &str,
    ) -> Result<Vec<Vec<Option<String>>>, String> {
        server.own(self.departure, sql).await.map_err(|error| error.to_string())
    }
}
