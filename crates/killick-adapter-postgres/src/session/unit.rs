//! One statement on its way through the gate: judged, asked about, recorded, given the right to be sent.

use std::sync::Arc;

use killick_gate::ports::{BoxFuture, Damage};
use killick_gate::{Asked, Hands, InFlight, LiveSession, PointTaken, Sending, Undecided, Verdict};
use killick_model::{Effect, EffectWord, ObjectFacts, Outcome, PointId, Refusal, RowsFact};
use killick_sql::judged::{Change, Group, Judged, Kind, Touch, Wrapping};

use super::adapter::ADAPTER_NAME;
use super::call::{Said, SqlCall};
use super::engine::Session;
use super::facts;
use super::images::why_not_kept;
use super::keep::SEARCHED_BYTES_MAX;
use super::keep_columns::{add_losses, loses_columns, why_columns_not_kept};
use super::keep_whole::is_doom;
use super::meaning::{Meaning, Read};
use super::server::ServerError;
use super::transaction::Place;

/// One statement, judged.
#[derive(Clone)]
pub(crate) struct Unit {
    pub(crate) said: Said,
    pub(crate) judged: Arc<Judged>,
    pub(crate) meaning: Arc<Meaning>,
}

/// The right to send one statement.
pub(crate) struct Leave {
    pub(crate) departure: killick_gate::Departure,
    pub(crate) in_flight: InFlight,
}

impl Unit {
    pub(crate) fn new(said: Said, meaning: Arc<Meaning>) -> Self {
        Self { said, judged: Arc::clone(&meaning.judged), meaning }
    }

    pub(crate) fn effect(&self) -> Effect {
        Effect::of_batch(self.judged.touches.iter().map(|touch| touch.effect))
    }

    /// Returns whether it changes nothing.
    pub(crate) fn is_read(&self) -> bool {
        self.effect().is_only_read()
    }

    /// Returns whether it is transaction control, or says how the transaction reads.
    pub(crate) fn only_controls(&self) -> bool {
        super::texts::controls(&self.judged)
    }

    /// Returns whether its effect can be held until COMMIT.
    pub(crate) fn is_held(&self) -> bool {
        self.judged.wrapping == Wrapping::Fits
    }
}

impl Settle for InFlight {
    fn answered(self, failed: bool) {
        self.settle(Outcome::Answered { status: 0, failed, bytes: 0 });
    }
}

/// Settles a call by whether the server took it.
pub(crate) trait Settle {
    /// Writes the outcome.
    fn answered(self, failed: bool);
}

/// The recovery point that COMMIT takes: rows as they were.
pub(crate) const IMAGES: &str = "images";

/// Hands of this protocol. What a held statement destroys is kept before its COMMIT: here only the promise is given,
/// and a COMMIT that cannot keep it is refused.
#[derive(Default)]
pub(crate) struct Armed {
    /// The point that is promised; none where the end of a transaction itself is asked about.
    pub(crate) promised: Option<PointId>,
    /// Whether all that a statement does goes with its transaction.
    pub(crate) undone_by_rollback: bool,
}

impl Hands for Armed {
    fn take_point<'a>(
        &'a self,
        _live: &'a LiveSession,
        point: &'a str,
        _facts: &'a ObjectFacts,
    ) -> BoxFuture<'a, Result<PointTaken, String>> {
        Box::pin(async move {
            match (&self.promised, point) {
                (Some(id), IMAGES) => Ok(PointTaken { id: id.to_string(), locked: true }),
                (_, _) => Err("what the statement destroys cannot be kept".into()),
            }
        })
    }

    fn spends_at_end(&self) -> bool {
        self.undone_by_rollback
    }
}

impl Session {
    /// Judges the first statement of a text of the simple protocol; `None` when there is none.
    pub(crate) fn unit_of(&self, text: &str) -> Option<Unit> {
        let meaning = match self.read(text).ok()? {
            Read::One(meaning, _) => meaning,
            Read::Script(script) if script.is_empty() => return None,
            Read::Script(script) => Arc::new(self.mean(&script, 0)),
        };
        Some(Unit::new(super::simple::simple_said(text), meaning))
    }

    /// Asks the gate about a statement and writes it on the record.
    ///
    /// # Errors
    /// The refusal, which is on the record.
    pub(crate) async fn permit(&mut self, unit: &Unit) -> Result<Leave, Refusal> {
        let estimate = self.estimate(unit).await;
        let upstream = self.database.name.clone();
        let promised = self.promise(unit);
        let action = unit.meaning.action(&upstream, promised.is_some())?;
        let call = SqlCall::of(upstream, action, vec![unit.said.clone()], self.settings());
        let armed = Armed { promised, undone_by_rollback: undone_by_rollback(unit) };
        let live = Arc::clone(&self.live);
        let facts = self.facts_of(unit, &call, estimate).await;
        let mut asked = Asked {
            live: &live,
            facts,
            adapter: ADAPTER_NAME,
            hands: &armed,
            due: None,
            session_in_production: facts::is_production(&self.live.principal.environment),
            damage: Damage::default(),
            ending: None,
        };
        // Rows that go whole are counted by nobody: what a human sees of them is looked at before.
        let doomed = unit.judged.touches.iter().any(|it| is_doom(it) || loses_columns(it));
        if doomed && self.adapter.gate.would_ask(&asked, &call).await {
            self.add_samples_of_doomed(unit, &mut asked.facts).await;
        }
        let permitted = match self.adapter.gate.decide(asked, Undecided(call)).await {
            Verdict::Permit(permitted) => permitted,
            Verdict::Refuse(refusal) => return Err(with_reasons(*refusal, &unit.judged)),
        };
        let carried = permitted.carried();
        let owed = armed.promised.filter(|id| permitted.points().contains(&id.to_string()));
        let sending = Sending {
            held_at_commit: unit.is_held(),
            quiet: unit.is_read() || unit.is_held(),
            ..Sending::default()
        };
        let recorded = self.adapter.gate.record(*permitted, sending).await?;
        let (_, departure, in_flight, _) = recorded.depart()?;
        if !unit.is_read() {
            self.writes = true;
            if owed.is_some() {
                self.work.owed = owed;
            }
            self.work.carried.extend(carried);
        }
        Ok(Leave { departure, in_flight })
    }

    /// Returns the recovery point that COMMIT can take of the rows that a statement destroys: the one that the
    /// transaction has, or a fresh one; none where they cannot be kept whole.
    fn promise(&self, unit: &Unit) -> Option<PointId> {
        let destroys = |it: &&Touch| it.effect.word() == EffectWord::Destroy;
        let mut destroying = unit.judged.touches.iter().filter(destroys).peekable();
        let kept = |it: &Touch| is_kept(it) && !it.in_body;
        if destroying.peek().is_none() || !unit.is_held() || !destroying.all(kept) {
            return None;
        }
        let drops = unit.judged.touches.iter().any(|it| it.group == Group::Drop && is_doom(it));
        if drops && !self.could_keep_definitions() {
            return None;
        }
        let catalogue = self.known.catalogue();
        let kept = unit.judged.touches.iter().filter(|touch| destroys_rows(touch)).all(|touch| {
            let Some(relation) = touch.object.oid.and_then(|oid| catalogue.relations.get(&oid))
            else {
                return false;
            };
            let own = unit.judged.change.as_ref().filter(|it| it.table == relation.oid);
            let changed = match (touch.group, own) {
                (Group::Delete | Group::Truncate, _) => None,
                (_, Some(change)) => Some(change.columns.as_slice()),
                // Changed by a foreign key or a trigger: which columns is not known before.
                (_, None) => Some(&[][..]),
            };
            why_not_kept(&catalogue, relation, changed, SEARCHED_BYTES_MAX).is_none()
        });
        let mut losing = Vec::new();
        for touch in unit.judged.touches.iter().filter(|touch| loses_columns(touch)) {
            add_losses(&mut losing, &catalogue, touch);
            if touch.object.oid.is_none_or(|oid| !catalogue.relations.contains_key(&oid)) {
                return None;
            }
        }
        let altered =
            losing.iter().all(|it| why_columns_not_kept(&it.relation, &it.columns).is_none());
        if !kept || !altered {
            return None;
        }
        let begun = self.work.keeping.as_ref().map(|keeping| keeping.id.clone());
        begun.or_else(|| self.work.owed.clone()).or_else(|| killick_gate::ids::point_id().ok())
    }

    async fn facts_of(
        &mut self,
        unit: &Unit,
        call: &SqlCall,
        estimate: Option<u64>,
    ) -> Vec<ObjectFacts> {
        let catalogue = self.known.catalogue();
        if unit.effect() == Effect::READ {
            return facts::plain(&self.database, &call.action);
        }
        let held = unit.is_held() && only_rows(&unit.judged);
        let mut found = facts::facts(&self.database, &catalogue, &call.action, &|_, relation| {
            let relation = relation?;
            let of = relation.rows_estimate;
            let direct = unit.judged.change.as_ref().is_some_and(|it| it.table == relation.oid);
            let count = match (direct, estimate) {
                (true, Some(rows)) => rows,
                (true, None) | (false, _) => of.unwrap_or(u64::MAX >> 1),
            };
            Some(RowsFact { count, measured: false, of, held_at_commit: held })
        });
        for one in &mut found {
            if let Some(relation) = facts::relation_of(&catalogue, &one.object) {
                one.created_by_session = self.made_here(relation.oid).await;
            }
        }
        found
    }

    /// Estimates the rows that a statement changes directly: few by a key, else what the planner says.
    async fn estimate(&mut self, unit: &Unit) -> Option<u64> {
        /// Rows that a statement held to a unique key is taken to change.
        const BY_KEY_ROWS: u64 = 1;
        let change = unit.judged.change.as_ref()?;
        if unit.is_read() || change.group == Group::Insert {
            return None;
        }
        if change.by_key {
            return Some(BY_KEY_ROWS);
        }
        let known = self.known.catalogue().relations.get(&change.table)?.rows_estimate;
        if !unit.said.values.is_empty() || unit.effect().word() != EffectWord::Destroy {
            return known;
        }
        // The statement was judged: nothing in it runs code while it is planned.
        let explain = format!("EXPLAIN (FORMAT JSON) {}", unit.said.text);
        let on = Arc::clone(&self.departure);
        let planned = if self.place == Place::Idle {
            self.server.own(&on, &explain).await
        } else {
            // What cannot be planned must not make the agent's transaction fail before its own statement does.
            let (before, back) = ("SAVEPOINT _killick_plan", "ROLLBACK TO SAVEPOINT _killick_plan");
            let all = [before, explain.as_str(), back, "RELEASE SAVEPOINT _killick_plan"];
            let answers = self.server.own_all(&on, &all).await;
            answers.map(|answers| answers.into_iter().nth(1).unwrap_or_default())
        };
        match planned {
            Ok(rows) => planned_rows(&rows).or(known),
            // The server does not understand it: it will say so of the statement itself, which changes nothing.
            Err(ServerError::Refused { sqlstate, .. }) if sqlstate.starts_with("42") => Some(0),
            Err(_) => known,
        }
    }
}

/// The most reasons that an agent is told of one statement.
const REASONS_MAX: usize = 3;

/// Tells an agent what of its statement nobody can judge. The record has it with the parts.
fn with_reasons(mut refusal: Refusal, judged: &Judged) -> Refusal {
    let mut reasons: Vec<&str> = Vec::new();
    for touch in &judged.touches {
        let unknown = touch.effect.word() == EffectWord::Unrecognized;
        if unknown && reasons.len() < REASONS_MAX && !reasons.contains(&touch.why.as_str()) {
            reasons.push(&touch.why);
        }
    }
    if refusal.code == killick_model::Code::Unrecognized && !reasons.is_empty() {
        refusal.because = format!("{}: {}", refusal.because, reasons.join("; "));
    }
    refusal
}

/// Returns whether a rollback takes back all that a statement does.
fn undone_by_rollback(unit: &Unit) -> bool {
    let besides = [Group::Create, Group::Alter, Group::Drop, Group::Rename];
    let undone = |it: &Touch| it.group.is_of_rows() || besides.contains(&it.group);
    unit.is_held() && unit.judged.touches.iter().all(undone)
}

/// Returns whether all that a statement destroys are rows.
fn only_rows(judged: &Judged) -> bool {
    judged
        .touches
        .iter()
        .filter(|it| it.effect.word() == EffectWord::Destroy)
        .all(|it| matches!(it.group, Group::Delete | Group::Update | Group::Merge | Group::Insert))
}

/// Returns whether what a touch destroys is of a kind that can be kept.
pub(crate) fn is_kept(touch: &Touch) -> bool {
    destroys_rows(touch) || is_doom(touch) || loses_columns(touch)
}

/// Returns whether a touch destroys rows, and nothing else.
pub(crate) fn destroys_rows(touch: &Touch) -> bool {
    touch.effect.word() == EffectWord::Destroy
        && matches!(
            touch.group,
            Group::Delete | Group::Update | Group::Merge | Group::Insert | Group::Truncate
        )
}

/// Reads the planner's number of rows below the changing node.
fn planned_rows(rows: &[Vec<Option<String>>]) -> Option<u64> {
    let text: String = rows.iter().filter_map(|row| row.first().cloned().flatten()).collect();
    let plan: serde_json::Value = serde_json::from_str(&text).ok()?;
    let top = plan.get(0)?.get("Plan")?;
    let own = top.get("Plan Rows").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let below = top
        .get("Plans")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|plan| plan.get("Plan Rows").and_then(serde_json::Value::as_u64))
        .max()
        .unwrap_or(0);
    Some(own.max(below))
}

/// Returns whether a command tag says everything that a change does.
pub(crate) fn tag_says_all(change: &Change, catalogue: &killick_sql::catalogue::Catalogue) -> bool {
    let Some(relation) = catalogue.relations.get(&change.table) else { return false };
    let triggers = relation.triggers.iter().any(|trigger| trigger.enabled);
    let pointed_at = relation.referenced_by.iter().any(|key| {
        key.on_delete != killick_sql::catalogue::OnChange::Refuse
            || key.on_update != killick_sql::catalogue::OnChange::Refuse
    });
    change.group != Group::Merge
        && !triggers
        && relation.rules.is_empty()
        && relation.kind == killick_sql::catalogue::RelationKind::Table
        && relation.children.is_empty()
        && (change.group == Group::Insert || !pointed_at)
}

/// Returns the rows in a command tag (`DELETE 7`, `INSERT 0 1`).
pub(crate) fn rows_in_tag(tag: &str) -> u64 {
    tag.rsplit(' ').next().and_then(|raw| raw.parse().ok()).unwrap_or(0)
}

/// Returns whether a kind of statement is the transaction's own business.
pub(crate) fn is_control(kind: &Kind) -> bool {
    match kind {
        Kind::Begin { .. }
        | Kind::Commit { .. }
        | Kind::Rollback { .. }
        | Kind::Savepoint { .. }
        | Kind::RollbackTo { .. }
        | Kind::Release { .. } => true,
        Kind::Plain
        | Kind::Prepare { .. }
        | Kind::Execute { .. }
        | Kind::Deallocate { .. }
        | Kind::Declare { .. }
        | Kind::CopyIn
        | Kind::CopyOut
        | Kind::PrepareTransaction
        | Kind::Session { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_a_command_tag() {
        assert_eq!(rows_in_tag("DELETE 71128"), 71_128);
        assert_eq!(rows_in_tag("INSERT 0 3"), 3);
        assert_eq!(rows_in_tag("CREATE TABLE"), 0);
    }

    #[test]
    fn the_planner_is_believed_below_the_changing_node() {
        let text = r#"[{"Plan":{"Node Type":"ModifyTable","Plan Rows":0,"Plans":[{"Plan Rows":217089}]}}]"#;
        assert_eq!(planned_rows(&[vec![Some(text.into())]]), Some(217_089));
    }
}
