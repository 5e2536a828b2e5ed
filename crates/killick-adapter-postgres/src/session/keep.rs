//! Keeping what a transaction destroyed, before its COMMIT.
//!
//! Two connections see two versions of the database while a transaction is open: the session's own sees what it did,
//! the gateway's beside it sees what was there before. Rows that only the second one sees are those that were removed
//! or changed, whatever did it: the statement, a foreign key, a trigger, a function. Rows that only the first one sees
//! are those that were changed or added. Nothing can come between, since the transaction holds every one of these row
//! versions locked until it ends. What is kept is compared with what the server counted, table by table.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use killick_gate::points::{PointError, PointWriter};
use killick_model::point::{PointHead, PointKind};
use killick_sql::catalogue::Relation;
use killick_sql::judged::Group;

use super::commit::Rows;
use super::engine::Session;
use super::images::{IMAGES_VERSION, Images, KeptRows, TableImages, literal, why_not_kept};
use super::own::Own;
use super::server::{CopyError, ServerError};

/// The largest table that is searched for the rows of a transaction, in bytes.
pub(crate) const SEARCHED_BYTES_MAX: u64 = 16 << 30;
/// Rows of a table that may be locked by others while it is searched.
const CANDIDATES_MAX: usize = 2_000_000;
/// Row addresses that one statement names.
const ADDRESSES_MAX: usize = 20_000;

/// How values are written inside of the agent's own session, for the time of keeping: as the gateway's own
/// connections write them, and every name is the server's own: the statements run as the login.
const PINNED: &str = "SELECT pg_catalog.set_config(name, value, true) FROM (VALUES ('row_security', 'off'), \
    ('search_path', 'pg_catalog, pg_temp'), ('DateStyle', 'ISO'), ('IntervalStyle', 'postgres'), ('TimeZone', 'UTC'), ('extra_float_digits', '3'), \
    ('bytea_output', 'hex'), ('xmloption', 'content')) pinned (name, value)";

/// Why nothing was kept.
#[derive(Debug)]
pub(crate) enum NotKept {
    /// It would not be complete.
    Incomplete(String),
    /// The place that keeps it failed.
    Place(PointError),
    /// A connection broke or a server refused.
    Server(ServerError),
}

impl NotKept {
    /// Returns why nothing may be committed at all: a place that is full or gone, or a server that broke off. One that
    /// only says no (a right that is missing, a lock) leaves the rows without a way back.
    pub(crate) fn breaks(&self) -> Option<String> {
        match self {
            Self::Incomplete(_) => None,
            Self::Place(error) => Some(error.to_string()),
            Self::Server(error) => (!error.is_refusal()).then(|| error.to_string()),
        }
    }

    /// Returns the reason in one sentence.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Incomplete(why) => why.clone(),
            Self::Place(error) => error.to_string(),
            Self::Server(error) => format!("the rows could not be read: {error}"),
        }
    }
}

impl From<ServerError> for NotKept {
    fn from(error: ServerError) -> Self {
        Self::Server(error)
    }
}

impl From<PointError> for NotKept {
    fn from(error: PointError) -> Self {
        Self::Place(error)
    }
}

impl From<CopyError> for NotKept {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Server(error) => Self::Server(error),
            CopyError::Point(error) => Self::Place(error),
        }
    }
}

/// A recovery point of the open transaction, not yet complete.
pub(crate) struct Keeping {
    pub(crate) id: killick_model::PointId,
    pub(crate) writer: Box<dyn PointWriter>,
    pub(crate) images: Images,
    parts: usize,
}

impl Keeping {
    /// Begins the next stream of the point.
    pub(crate) async fn next_part(&mut self, what: &str) -> Result<String, PointError> {
        let name = format!("{what}{}", self.parts);
        self.parts = self.parts.saturating_add(1);
        self.writer.part(&name).await?;
        Ok(name)
    }
}

/// What is known of one table while its rows are kept.
struct Kept<'a> {
    relation: &'a Relation,
    counted: Rows,
    xid: &'a str,
    /// Whether one statement alone did everything and no other lock of the transaction can stand in the table.
    plain: bool,
    /// Where the rows are likely to be found.
    hint: Option<&'a str>,
    /// How many fewer rows than counted may be there: rows that were changed twice, or added and removed again.
    slack: u64,
}

impl Session {
    /// Begins the recovery point of the open transaction, unless it was begun.
    pub(crate) async fn begin_keeping(&mut self) -> Result<(), NotKept> {
        if self.work.keeping.is_some() {
            return Ok(());
        }
        if self.work.keeping_lost {
            let why = "what was kept of an earlier statement of the transaction was given up";
            return Err(NotKept::Incomplete(why.into()));
        }
        let points = Arc::clone(&self.adapter.points);
        let id = match self.work.owed.clone() {
            Some(id) => id,
            None => killick_gate::ids::point_id()
                .map_err(|error| NotKept::Incomplete(error.to_string()))?,
        };
        let head = PointHead {
            id: id.clone(),
            kind: PointKind::Images,
            upstream: self.database.name.clone(),
            environment: self.database.environment.clone(),
            taken: self.adapter.gate.now(),
            call: None,
            session: Some(self.live.principal.session.clone()),
        };
        let writer = points.begin(head).await?;
        let images = Images {
            version: IMAGES_VERSION,
            server_version: self.known.catalogue().server_version,
            database: self.database.database.clone(),
            xid: String::new(),
            tables: Vec::new(),
            not_covered: Vec::new(),
            definitions: None,
            sequences: Vec::new(),
            columns: Vec::new(),
        };
        self.work.keeping = Some(Box::new(Keeping { id, writer, images, parts: 0 }));
        Ok(())
    }

    /// Keeps the rows that the open transaction removed, changed and added, by the server's counts.
    pub(crate) async fn keep(&mut self, counted: &BTreeMap<u32, Rows>) -> Result<(), NotKept> {
        self.begin_keeping().await?;
        let mut own = self
            .adapter
            .lend_own(&self.database)
            .await
            .map_err(|refusal| NotKept::Incomplete(refusal.because))?;
        let Some(mut keeping) = self.work.keeping.take() else {
            self.adapter.give_back(&self.database, own, true);
            return Err(NotKept::Incomplete("the recovery point is gone".into()));
        };
        let kept = self.keep_beside(counted, &mut keeping, &mut own).await;
        self.adapter.give_back(&self.database, own, kept.is_ok());
        self.work.keeping = Some(keeping);
        kept
    }

    async fn keep_beside(
        &mut self,
        counted: &BTreeMap<u32, Rows>,
        keeping: &mut Keeping,
        own: &mut Own,
    ) -> Result<(), NotKept> {
        self.pin_for_keeping().await?;
        let kept = self.keep_tables(counted, keeping, own).await;
        self.unpin_after_keeping(kept).await
    }

    /// Has the session look as the login itself, with values written the gateway's way, until
    /// [`Session::unpin_after_keeping`].
    pub(crate) async fn pin_for_keeping(&mut self) -> Result<(), NotKept> {
        let on = Arc::clone(&self.departure);
        self.server.own(&on, "SAVEPOINT _killick_keep").await?;
        if self.database.role.is_some() {
            self.server.own(&on, "SET LOCAL ROLE NONE").await?;
        }
        self.server.own(&on, PINNED).await?;
        Ok(())
    }

    pub(crate) async fn unpin_after_keeping(
        &mut self,
        kept: Result<(), NotKept>,
    ) -> Result<(), NotKept> {
        let on = Arc::clone(&self.departure);
        // What the server refused made the transaction fail; what failed beside it did not.
        self.server.own(&on, "ROLLBACK TO SAVEPOINT _killick_keep").await?;
        self.server.own(&on, "RELEASE SAVEPOINT _killick_keep").await?;
        kept
    }

    async fn keep_tables(
        &mut self,
        counted: &BTreeMap<u32, Rows>,
        keeping: &mut Keeping,
        own: &mut Own,
    ) -> Result<(), NotKept> {
        let on = Arc::clone(&self.departure);
        let asked = "SELECT pg_catalog.pg_current_xact_id_if_assigned()::xid::text";
        let xid = self
            .server
            .own(&on, asked)
            .await?
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten());
        let Some(xid) = xid else {
            // It has changed nothing: what was to be dropped was not there.
            return if counted.is_empty() {
                Ok(())
            } else {
                Err(NotKept::Incomplete("the transaction has no number".into()))
            };
        };
        keeping.images.xid.clone_from(&xid);
        self.keep_left(keeping).await?;
        self.nothing_else_went(&mut keeping.images, own).await?;
        let catalogue = self.known.catalogue();
        let plain = self.is_plain();
        let hints = match (plain, self.work.said.first(), self.work.judged.first()) {
            (true, Some(said), Some(judged)) => {
                let target = judged.change.as_ref().map_or(0, |change| change.table);
                super::hint::hints(said, target, &catalogue, counted, &xid)
            }
            (_, _, _) => BTreeMap::new(),
        };
        for (oid, rows) in counted {
            let whole = keeping.images.tables.iter().any(|table| table.oid == *oid);
            if whole && self.work.rolled_back && (rows.updated > 0 || rows.deleted > 0) {
                return Err(NotKept::Incomplete(
                    "a table was kept whole in a part of the transaction that may have been rolled back".into(),
                ));
            }
            let altered = keeping.images.columns.iter().any(|it| it.rows.oid == *oid);
            if altered && (rows.updated > 0 || rows.deleted > 0) {
                return Err(NotKept::Incomplete(
                    "rows and columns of one table were changed in the same transaction".into(),
                ));
            }
            if whole || altered || self.work.made.contains(oid) {
                continue;
            }
            let Some(relation) = catalogue.relations.get(oid).cloned() else {
                return Err(NotKept::Incomplete(format!("table number {oid} is not known")));
            };
            if relation.persistence == 't' {
                continue;
            }
            if let Some(why) = why_not_kept(&catalogue, &relation, None, SEARCHED_BYTES_MAX) {
                return Err(NotKept::Incomplete(why));
            }
            let slack = if self.work.rolled_back {
                u64::MAX
            } else if plain && relation.triggers.is_empty() {
                0
            } else {
                rows.inserted.saturating_add(rows.updated)
            };
            let hint = hints.get(oid).map(String::as_str);
            let kept = Kept { relation: &relation, counted: *rows, xid: &xid, plain, hint, slack };
            let images = self.keep_table(&kept, keeping, own).await?;
            keeping.images.tables.push(images);
        }
        keeping.images.not_covered.extend(self.not_covered(counted));
        Ok(())
    }

    /// Returns whether one statement did everything and nothing in it locks a row that it does not change.
    fn is_plain(&self) -> bool {
        let [judged] = self.work.judged.as_slice() else { return false };
        !self.work.savepoints
            && judged.change.is_some()
            && judged
                .touches
                .iter()
                .all(|it| matches!(it.group, Group::Delete | Group::Update | Group::Select))
    }

    fn not_covered(&self, counted: &BTreeMap<u32, Rows>) -> Vec<String> {
        let catalogue = self.known.catalogue();
        let mut all = vec![
            "sequences stay where they are, and what listeners, triggers of other servers or readers have already \
             seen stays seen"
                .to_owned(),
        ];
        for (oid, rows) in counted {
            let Some(relation) = catalogue.relations.get(oid) else { continue };
            if rows.inserted > 0 && super::images::key_of(relation).is_empty() {
                all.push(format!(
                    "rows that were added to {}.{} stay: it has no key",
                    relation.schema, relation.name
                ));
            }
        }
        for touch in self.work.judged.iter().flat_map(|judged| &judged.touches) {
            if matches!(touch.group, Group::Notify | Group::Remote | Group::LargeObject) {
                let line = format!("{} ({})", touch.why, touch.group.as_str());
                if !all.contains(&line) {
                    all.push(line);
                }
            }
        }
        all
    }

    async fn keep_table(
        &mut self,
        kept: &Kept<'_>,
        keeping: &mut Keeping,
        own: &mut Own,
    ) -> Result<TableImages, NotKept> {
        let mut images = TableImages::of(kept.relation);
        let Rows { inserted, updated, deleted } = kept.counted;
        if updated > 0 && images.key.is_empty() {
            return Err(NotKept::Incomplete(format!(
                "{}.{} has no key by which a changed row is found again",
                images.schema, images.name
            )));
        }
        if updated > 0 || deleted > 0 {
            images.before = Some(self.keep_before(kept, &images, keeping, own).await?);
        }
        if (updated > 0 || inserted > 0) && !images.key.is_empty() {
            images.after = Some(self.keep_after(kept, &images, keeping, own).await?);
        }
        Ok(images)
    }

    /// Keeps the rows that only the connection beside still sees.
    async fn keep_before(
        &mut self,
        kept: &Kept<'_>,
        images: &TableImages,
        keeping: &mut Keeping,
        own: &mut Own,
    ) -> Result<KeptRows, NotKept> {
        let counted = kept.counted.updated.saturating_add(kept.counted.deleted);
        let (columns, table) = (images.column_list(), images.quoted());
        let all = format!("xmax = {}", literal(kept.xid));
        let hinted = kept.hint.map(|hint| format!("{all} AND {hint}"));
        for condition in hinted.iter().chain([&all]).filter(|_| kept.plain) {
            let part = keeping.next_part("before").await?;
            let sql =
                format!("COPY (SELECT {columns} FROM ONLY {table} WHERE {condition}) TO STDOUT");
            match own.server.own_copy_out(&own.departure, &sql, keeping.writer.as_mut()).await {
                Ok(rows) if rows == counted => return Ok(KeptRows { part, rows }),
                Ok(_) => {}
                // A value that does not fit the column was a bad hint.
                Err(CopyError::Server(error)) if error.is_refusal() && *condition != all => {}
                Err(error) => return Err(error.into()),
            }
        }
        let candidates =
            addresses(own, &format!("SELECT ctid FROM ONLY {table} WHERE xmax <> '0'")).await?;
        let on = Arc::clone(&self.departure);
        let mut gone = Vec::new();
        for some in candidates.chunks(ADDRESSES_MAX) {
            let sql = format!("SELECT ctid FROM ONLY {table} WHERE ctid = ANY ({})", tids(some));
            let seen = self.server.own(&on, &sql).await?;
            let seen: HashSet<String> = seen.into_iter().filter_map(first).collect();
            gone.extend(some.iter().filter(|it| !seen.contains(*it)).cloned());
        }
        let part = keeping.next_part("before").await?;
        let mut rows = 0_u64;
        for some in gone.chunks(ADDRESSES_MAX) {
            let sql = copy_of(&columns, &table, some);
            let more =
                own.server.own_copy_out(&own.departure, &sql, keeping.writer.as_mut()).await?;
            rows = rows.saturating_add(more);
        }
        let complete = rows <= counted && counted.saturating_sub(rows) <= kept.slack;
        if rows != gone.len() as u64 || !complete {
            return Err(NotKept::Incomplete(format!(
                "of {counted} rows that the server counted in {table}, {rows} were found as they were before"
            )));
        }
        Ok(KeptRows { part, rows })
    }

    /// Keeps the rows that only the session itself sees.
    async fn keep_after(
        &mut self,
        kept: &Kept<'_>,
        images: &TableImages,
        keeping: &mut Keeping,
        own: &mut Own,
    ) -> Result<KeptRows, NotKept> {
        let counted = kept.counted.updated.saturating_add(kept.counted.inserted);
        let (columns, table) = (images.column_list(), images.quoted());
        let on = Arc::clone(&self.departure);
        if !self.work.savepoints {
            let part = keeping.next_part("after").await?;
            let sql = format!(
                "COPY (SELECT {columns} FROM ONLY {table} WHERE xmin = {}) TO STDOUT",
                literal(kept.xid)
            );
            let rows = self.server.own_copy_out(&on, &sql, keeping.writer.as_mut()).await?;
            if rows == counted {
                return Ok(KeptRows { part, rows });
            }
        }
        let sql = format!(
            "SELECT ctid FROM ONLY {table} WHERE age(xmin) <= age({}::xid)",
            literal(kept.xid)
        );
        let found = self.server.own(&on, &sql).await?;
        let candidates: Vec<String> = found.into_iter().filter_map(first).collect();
        let mut added = Vec::new();
        for some in candidates.chunks(ADDRESSES_MAX) {
            let sql = format!("SELECT ctid FROM ONLY {table} WHERE ctid = ANY ({})", tids(some));
            let seen = own.ask(&sql).await?;
            let seen: HashSet<String> = seen.into_iter().filter_map(first).collect();
            added.extend(some.iter().filter(|it| !seen.contains(*it)).cloned());
        }
        let part = keeping.next_part("after").await?;
        let mut rows = 0_u64;
        for some in added.chunks(ADDRESSES_MAX) {
            let sql = copy_of(&columns, &table, some);
            let more = self.server.own_copy_out(&on, &sql, keeping.writer.as_mut()).await?;
            rows = rows.saturating_add(more);
        }
        if rows != added.len() as u64 || rows > counted {
            return Err(NotKept::Incomplete(format!(
                "of {counted} rows that the server counted in {table}, {rows} were found as they are left"
            )));
        }
        Ok(KeptRows { part, rows })
    }
}

async fn addresses(own: &mut Own, sql: &str) -> Result<Vec<String>, NotKept> {
    let limit = CANDIDATES_MAX.saturating_add(1);
    let found = own.ask(&format!("{sql} LIMIT {limit}")).await?;
    if found.len() > CANDIDATES_MAX {
        return Err(NotKept::Incomplete("more rows are locked than are looked through".into()));
    }
    Ok(found.into_iter().filter_map(first).collect())
}

fn first(row: Vec<Option<String>>) -> Option<String> {
    row.into_iter().next().flatten()
}

/// Returns addresses of rows as an array of SQL.
fn tids(some: &[String]) -> String {
    let quoted: Vec<String> = some.iter().map(|it| format!("\"{it}\"")).collect();
    format!("{}::tid[]", literal(&format!("{{{}}}", quoted.join(","))))
}

fn copy_of(columns: &str, table: &str, some: &[String]) -> String {
    format!("COPY (SELECT {columns} FROM ONLY {table} WHERE ctid = ANY ({})) TO STDOUT", tids(some))
}
