//! The gate at the end of a transaction: COMMIT is a call of its own, with the rows that the server counted.

use std::collections::BTreeMap;

use bytes::Bytes;
use killick_gate::ports::Damage;
use killick_gate::{Asked, Ending, InFlight, Sending, Undecided, Verdict};
use killick_model::{
    BackupsFate, Code, Effect, EffectWord, ObjectFacts, ObjectRef, Part, PointId, Recovery,
    Refusal, RowsFact,
};
use killick_sql::judged::{Group, SqlObject};

use super::adapter::ADAPTER_NAME;
use super::call::{SqlCall, database_ref, object_ref};
use super::engine::{End, Session};
use super::facts;
use super::images::why_not_kept;
use super::keep::{NotKept, SEARCHED_BYTES_MAX};
use super::server::ServerError;
use super::transaction::Deed;
use super::unit::Armed;

/// Tables that one COMMIT names by itself.
const TABLES_MAX: usize = 40;
/// The most bytes of all statements that are shown of a transaction.
const EXCERPT_BYTES_MAX: usize = 4_000;

/// What the server counted: it sees cascades and what triggers did. The first row says whether it counts at all.
/// Every operator is the server's own: the session's search path is the agent's, and may hold others.
const COUNTERS: &str = "SELECT 0::pg_catalog.int8, 0::pg_catalog.int8, 0::pg_catalog.int8, 0::pg_catalog.int8, pg_catalog.current_setting('track_counts'::pg_catalog.text) \
    UNION ALL SELECT relid::pg_catalog.int8, n_tup_ins, n_tup_upd, n_tup_del, ''::pg_catalog.text FROM pg_catalog.pg_stat_xact_all_tables \
    WHERE relid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND schemaname OPERATOR(pg_catalog.<>) 'pg_toast'::pg_catalog.name AND (n_tup_ins OPERATOR(pg_catalog.>) 0::pg_catalog.int8 \
    OR n_tup_upd OPERATOR(pg_catalog.>) 0::pg_catalog.int8 OR n_tup_del OPERATOR(pg_catalog.>) 0::pg_catalog.int8)";

/// Why a transaction is not committed.
pub(crate) enum NoCommit {
    /// The session is over.
    End(End),
    /// The gate refused.
    Refused(Box<Refusal>),
    /// The server refused what had waited for COMMIT; its own words.
    Server(Bytes),
}

impl From<ServerError> for NoCommit {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Refused { frame, .. } => Self::Server(frame),
            other => Self::End(other.into()),
        }
    }
}

/// Rows of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
}

impl Session {
    /// Asks whether the transaction may be committed. Nothing waits: a refusal rolls it back.
    pub(crate) async fn commit_gate(&mut self) -> Result<InFlight, NoCommit> {
        if self.work.deferred || self.work.baseline.is_some() || self.is_unsure() {
            // Work can happen inside of COMMIT: it happens here instead, and is counted.
            self.server.own(&self.departure, "SET CONSTRAINTS ALL IMMEDIATE").await?;
        }
        self.last_look().await;
        if let Some(refusal) = self.over_wal().await {
            return Err(rolled_back(refusal));
        }
        self.verify_made().await?;
        let counted = self.counted().await?;
        let (call, mut found, damage) =
            self.ending(&counted).await.map_err(|it| NoCommit::Refused(Box::new(it)))?;
        self.work.damage = damage;
        let carried = std::mem::take(&mut self.work.carried);
        let could_be_kept = self.could_keep(&counted);
        let (point, not_kept) = if could_be_kept {
            self.keep_if_it_matters(&counted, &call, &found, &carried).await
        } else {
            (None, None)
        };
        if let Some(why) = not_kept.as_ref().and_then(NotKept::breaks) {
            return Err(could_not_be_kept(&why));
        }
        let armed = Armed::default();
        let live = std::sync::Arc::clone(&self.live);
        // A human is asked about what would be kept; it is kept once there is a yes.
        let only_promised = could_be_kept && point.is_none() && not_kept.is_none();
        if point.is_none() && self.work.damage.rows > 0 {
            let asks = only_promised || !self.would_pass(None, &call, &found, &carried).await;
            if asks {
                self.add_samples(&counted, &mut found).await;
            }
        }
        let promised = only_promised.then(|| super::unit::IMAGES.to_owned());
        let name = point.as_ref().map(ToString::to_string).or(promised);
        let asked =
            self.asked(&live, &armed, found, Ending { carried: &carried, point: name.as_deref() });
        let permitted = match self.adapter.gate.decide(asked, Undecided(call)).await {
            Verdict::Permit(permitted) => permitted,
            Verdict::Refuse(refusal) => return Err(rolled_back(*refusal)),
        };
        if only_promised {
            let mut refusal =
                Refusal::new(Code::ObligationFailed, "the answer came before anything was kept");
            refusal.next_step = "Send the same statement again".into();
            return Err(rolled_back(refusal));
        }
        let undo = self.finish_keeping(point, not_kept).await?;
        // Booked before it lasts: an answer to COMMIT that nobody sees would make it free.
        self.adapter
            .gate
            .note_damage(&self.live, damage)
            .await
            .map_err(|it| NoCommit::Refused(Box::new(it)))?;
        let details = vec![("tables", self.tables(&counted)), ("undo", undo)];
        let sending = Sending { held_at_commit: true, details, ..Sending::default() };
        let recorded = self
            .adapter
            .gate
            .record(*permitted, sending)
            .await
            .map_err(|it| NoCommit::Refused(Box::new(it)))?;
        // With it all that was said before it: one sync for the whole transaction.
        self.adapter
            .gate
            .durable(recorded.receipt())
            .await
            .map_err(|it| NoCommit::Refused(Box::new(it)))?;
        let (_, _, in_flight, _) =
            recorded.depart().map_err(|it| NoCommit::Refused(Box::new(it)))?;
        Ok(in_flight)
    }

    fn asked<'a>(
        &self,
        live: &'a killick_gate::LiveSession,
        armed: &'a Armed,
        facts: Vec<ObjectFacts>,
        ending: Ending<'a>,
    ) -> Asked<'a> {
        Asked {
            live,
            facts,
            adapter: ADAPTER_NAME,
            hands: armed,
            due: None,
            session_in_production: facts::is_production(&self.live.principal.environment),
            damage: self.work.damage,
            ending: Some(ending),
        }
    }

    /// Returns whether the transaction destroys rows, and whether they are such that all can be kept.
    fn could_keep(&self, counted: &BTreeMap<u32, Rows>) -> bool {
        if self.work.damage.rows == 0 && self.work.keeping.is_none() && !self.changes_credentials()
        {
            return false;
        }
        let catalogue = self.known.catalogue();
        counted.iter().all(|(oid, rows)| {
            let changed = (rows.updated > 0).then_some(&[][..]);
            self.work.made.contains(oid)
                || (rows.updated == 0 && rows.deleted == 0)
                || catalogue.relations.get(oid).is_some_and(|relation| {
                    why_not_kept(&catalogue, relation, changed, SEARCHED_BYTES_MAX).is_none()
                })
        })
    }

    /// Returns whether rows are changed that hold credentials, however few: a former password is lost with one.
    fn changes_credentials(&self) -> bool {
        let touches = self.work.judged.iter().flat_map(|judged| &judged.touches);
        touches
            .into_iter()
            .any(|it| it.group == Group::Update && it.effect.has(killick_model::Facet::Administers))
    }

    /// Returns whether COMMIT would be permitted, with a way back or without one.
    async fn would_pass(
        &mut self,
        point: Option<&str>,
        call: &SqlCall,
        found: &[ObjectFacts],
        carried: &[killick_gate::CarriedYes],
    ) -> bool {
        let live = std::sync::Arc::clone(&self.live);
        let armed = Armed::default();
        let asked = self.asked(&live, &armed, found.to_vec(), Ending { carried, point });
        self.adapter.gate.would_permit(&asked, call).await
    }

    /// Keeps what the transaction destroyed, when with it COMMIT would be permitted. Returns the point, or why there
    /// is none.
    async fn keep_if_it_matters(
        &mut self,
        counted: &BTreeMap<u32, Rows>,
        call: &SqlCall,
        found: &[ObjectFacts],
        carried: &[killick_gate::CarriedYes],
    ) -> (Option<PointId>, Option<NotKept>) {
        if !self.would_pass(Some(super::unit::IMAGES), call, found, carried).await {
            return (None, None);
        }
        match self.keep(counted).await {
            Ok(()) => (self.work.keeping.as_ref().map(|it| it.id.clone()), None),
            Err(not_kept) => {
                self.work.lose_keeping();
                (None, Some(not_kept))
            }
        }
    }

    /// Makes what was kept durable, and says so for the record. Without it a promise that a permit hangs on is broken,
    /// and nothing is committed.
    async fn finish_keeping(
        &mut self,
        point: Option<PointId>,
        not_kept: Option<NotKept>,
    ) -> Result<serde_json::Value, NoCommit> {
        let failed = |why: String| could_not_be_kept(&why);
        // What a statement was promised to be kept, and what was begun to be kept for it.
        let due = self.work.owed.is_some()
            && (self.work.keeping.is_some() || self.work.keeping_lost || self.work.damage.rows > 0);
        match (point, self.work.keeping.take()) {
            (Some(id), Some(keeping)) => {
                let keeping = *keeping;
                let manifest = serde_json::to_value(&keeping.images)
                    .map_err(|error| failed(error.to_string()))?;
                keeping.writer.finish(manifest).await.map_err(|it| failed(it.to_string()))?;
                let mut not_covered = keeping.images.not_covered.clone();
                not_covered.extend(self.work.not_kept.clone());
                Ok(
                    serde_json::json!({ "available": true, "point": id, "not_covered": not_covered }),
                )
            }
            (_, _) => match not_kept {
                Some(incomplete) if due => Err(failed(incomplete.why())),
                None if due => Err(failed("not all of it can be kept whole".into())),
                Some(incomplete) => {
                    Ok(serde_json::json!({ "available": false, "why": incomplete.why() }))
                }
                None => Ok(serde_json::json!({ "available": false, "why": self.why_no_undo() })),
            },
        }
    }

    fn why_no_undo(&self) -> &str {
        if let Some(why) = &self.work.not_kept {
            why
        } else if self.work.damage == Damage::default() {
            "nothing that was there before was removed or overwritten at large"
        } else {
            "what was destroyed is of a kind that cannot be kept whole"
        }
    }

    fn tables(&self, counted: &BTreeMap<u32, Rows>) -> serde_json::Value {
        let catalogue = self.known.catalogue();
        let row = |(oid, rows): (&u32, &Rows)| {
            serde_json::json!({
                "table": catalogue.name_of(*oid).unwrap_or_else(|| oid.to_string()),
                "inserted": rows.inserted, "updated": rows.updated, "deleted": rows.deleted,
            })
        };
        serde_json::Value::Array(counted.iter().map(row).collect())
    }

    /// Returns the rows by table: from the command tags where they say everything, else from the server's counters.
    pub(crate) async fn counted(&mut self) -> Result<BTreeMap<u32, Rows>, ServerError> {
        let mut all: BTreeMap<u32, Rows> = BTreeMap::new();
        let unsure = self.is_unsure();
        for ((table, deed), rows) in self.work.tags.iter().filter(|_| !unsure) {
            let of = all.entry(*table).or_default();
            match deed {
                Deed::Insert => of.inserted = *rows,
                Deed::Update => of.updated = *rows,
                Deed::Delete => of.deleted = *rows,
            }
        }
        let before = match self.work.baseline.clone() {
            // What was counted before the transaction is not known: all of it is taken for the transaction's own.
            _ if unsure => BTreeMap::new(),
            Some(before) => before,
            None => return Ok(all),
        };
        for (table, counted) in self.counters().await? {
            let [inserted, updated, deleted] = before.get(&table).copied().unwrap_or_default();
            let [ins, upd, del] = counted;
            let since = Rows {
                inserted: ins.saturating_sub(inserted),
                updated: upd.saturating_sub(updated),
                deleted: del.saturating_sub(deleted),
            };
            if since == Rows::default() {
                continue;
            }
            // The tags told of what came before.
            let of = all.entry(table).or_default();
            of.inserted = of.inserted.saturating_add(since.inserted);
            of.updated = of.updated.saturating_add(since.updated);
            of.deleted = of.deleted.saturating_add(since.deleted);
        }
        Ok(all)
    }

    /// Returns whether tags were taken for all that statements did, and definitions may have changed since.
    fn is_unsure(&self) -> bool {
        self.work.epoch.is_some_and(|epoch| !self.known.holds(epoch))
    }

    /// Reads what the server has counted for each table, rows of transactions not yet reported included.
    pub(crate) async fn counters(&mut self) -> Result<BTreeMap<u32, [u64; 3]>, ServerError> {
        let mut all = BTreeMap::new();
        for row in self.server.own(&self.departure, COUNTERS).await? {
            if row.get(4).cloned().flatten().as_deref() == Some("off") {
                return Err(ServerError::Nonsense(
                    "the server does not count rows (track_counts is off)".into(),
                ));
            }
            let number = |at: usize| {
                row.get(at).cloned().flatten().and_then(|raw| raw.parse::<u64>().ok()).unwrap_or(0)
            };
            if let Ok(table @ 1..) = u32::try_from(number(0)) {
                all.insert(table, [number(1), number(2), number(3)]);
            }
        }
        Ok(all)
    }

    /// Builds the call that COMMIT is, its facts, and the damage that it would do.
    async fn ending(
        &mut self,
        counted: &BTreeMap<u32, Rows>,
    ) -> Result<(SqlCall, Vec<ObjectFacts>, Damage), Refusal> {
        let upstream = self.database.name.clone();
        let upstream = &upstream;
        let catalogue = self.known.catalogue();
        let mut parts = vec![whole(database_ref(upstream))];
        let mut destroyed: Vec<(ObjectRef, u32, u64)> = Vec::new();
        let mut damage = Damage::default();
        for oid in self.work.gone.clone() {
            if oid == 0 || !self.made_here(oid).await {
                damage.objects = damage.objects.saturating_add(1);
            }
        }
        for (oid, rows) in counted {
            let name = catalogue.name_of(*oid).unwrap_or_else(|| format!("(number {oid})"));
            let object = SqlObject { kind: "table".into(), name, oid: Some(*oid) };
            let object = object_ref(upstream, &object);
            let overwrites = self.overwrites(*oid);
            let lost = rows.deleted.saturating_add(if overwrites { rows.updated } else { 0 });
            parts.extend(parts_of(&object, *rows, overwrites));
            if lost > 0 {
                destroyed.push((object, *oid, lost));
            }
        }
        if parts.len() > TABLES_MAX {
            return Err(Refusal::new(
                Code::TooMany,
                "the transaction changes more tables than are judged at once",
            ));
        }
        let call = SqlCall::new(
            upstream.clone(),
            parts,
            self.excerpt(),
            self.work.said.clone(),
            self.settings(),
        )?;
        let mut found =
            facts::facts(&self.database, &catalogue, &call.action, &|object, relation| {
                let (_, _, count) = destroyed.iter().find(|(it, _, _)| it == object)?;
                Some(RowsFact {
                    count: *count,
                    measured: true,
                    of: relation.and_then(|it| it.rows_estimate),
                    held_at_commit: false,
                })
            });
        for one in &mut found {
            let Some((_, oid, lost)) = destroyed.iter().find(|(it, _, _)| *it == one.object) else {
                continue;
            };
            one.extra.insert("rows".into(), vec![lost.to_string()]);
            one.created_by_session = self.made_here(*oid).await;
            if !one.created_by_session {
                damage.rows = damage.rows.saturating_add(*lost);
            }
        }
        Ok((call, found, damage))
    }

    /// Returns whether changed rows of a table count as lost: a statement was judged to overwrite any number of them,
    /// or nobody foresaw that they change.
    fn overwrites(&self, oid: u32) -> bool {
        let mut foreseen = false;
        for touch in self.work.judged.iter().flat_map(|judged| &judged.touches) {
            if touch.object.oid == Some(oid)
                && matches!(touch.group, Group::Update | Group::Insert | Group::Merge)
            {
                foreseen = true;
                if touch.effect.word() == EffectWord::Destroy {
                    return true;
                }
            }
        }
        !foreseen
    }

    fn excerpt(&self) -> String {
        let mut all = String::new();
        for meaning in &self.work.meanings {
            if all.len() > EXCERPT_BYTES_MAX {
                all.push_str("; …");
                break;
            }
            if !all.is_empty() {
                all.push_str("; ");
            }
            all.push_str(meaning.excerpt());
        }
        all
    }
}

fn could_not_be_kept(why: &str) -> NoCommit {
    let why = format!("what the transaction destroys could not be kept: {why}");
    rolled_back(Refusal::new(Code::ObligationFailed, why))
}

fn rolled_back(mut refusal: Refusal) -> NoCommit {
    refusal.not_done = "the transaction was rolled back; nothing of it lasts".into();
    NoCommit::Refused(Box::new(refusal))
}

fn whole(object: ObjectRef) -> Part {
    part(Group::Commit, Effect::WRITE, false, object, "what the transaction did becomes lasting")
}

fn parts_of(object: &ObjectRef, rows: Rows, overwrites: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    if rows.deleted > 0 {
        let why = "rows are removed, as the server counted";
        parts.push(part(Group::Delete, Effect::DESTROY, true, object.clone(), why));
    }
    if rows.updated > 0 {
        let (effect, why) = if overwrites {
            (Effect::DESTROY, "rows are overwritten, as the server counted")
        } else {
            (Effect::WRITE, "rows are changed, as the server counted")
        };
        parts.push(part(Group::Update, effect, true, object.clone(), why));
    }
    if rows.inserted > 0 {
        let why = "rows are added, as the server counted";
        parts.push(part(Group::Insert, Effect::WRITE, false, object.clone(), why));
    }
    parts
}

fn part(group: Group, effect: Effect, irreversible: bool, object: ObjectRef, why: &str) -> Part {
    Part {
        operation: format!("postgres.{}", group.as_str()),
        effect,
        irreversible,
        backups: BackupsFate::Survive,
        objects: vec![object],
        recovery: Recovery::default(),
        why: why.into(),
    }
}
