//! Keeping whole tables before a statement empties or drops them: afterwards nobody could look any more.

use std::sync::Arc;

use killick_gate::Departure;
use killick_model::{Code, EffectWord, Refusal};
use killick_sql::catalogue::{Relation, RelationKind};
use killick_sql::judged::{Group, Touch};

use super::commit::Rows;
use super::engine::{End, Session};
use super::images::{KeptRows, KeptSequence, TableImages, literal, quoted, why_not_kept};
use super::keep::{Keeping, NotKept, SEARCHED_BYTES_MAX};
use super::keep_columns::{Losing, add_losses, loses_columns};
use super::server::Server;
use super::unit::Unit;

impl Session {
    /// Keeps what a statement empties or drops, under the lock that the statement itself takes, before it is sent.
    /// A refusal means that it could not be kept: the statement is not sent.
    pub(crate) async fn keep_emptied(&mut self, unit: &Unit) -> Result<Result<(), Refusal>, End> {
        self.verify_made().await?;
        let doomed = self.doomed(unit);
        if doomed.is_empty() {
            return Ok(Ok(()));
        }
        if self.work.owed.is_none() && self.made_all_of(&doomed).await {
            return Ok(Ok(()));
        }
        match self.keep_doomed(&doomed).await {
            Ok(()) => Ok(Ok(())),
            // Nobody was promised a way back: the record says that there is none, and why.
            Err(NotKept::Incomplete(why)) if self.work.owed.is_none() => {
                self.work.lose_keeping();
                self.work.not_kept = Some(why);
                Ok(Ok(()))
            }
            Err(NotKept::Server(error)) if !error.is_refusal() => Err(error.into()),
            Err(not_kept) => {
                self.work.lose_keeping();
                let why =
                    format!("what the statement destroys could not be kept: {}", not_kept.why());
                Ok(Err(self.refuse(Code::ObligationFailed, why).await))
            }
        }
    }

    /// Returns whether this very session made every table that goes.
    async fn made_all_of(&mut self, doomed: &Doomed) -> bool {
        let altered = doomed.columns.iter().map(|it| it.relation.oid);
        let all: Vec<u32> = doomed.tables.iter().map(|it| it.oid).chain(altered).collect();
        for oid in &all {
            if !self.made_here(*oid).await {
                return false;
            }
        }
        !all.is_empty()
    }

    /// Returns what a statement empties or drops that was there before the transaction.
    fn doomed(&self, unit: &Unit) -> Doomed {
        let catalogue = self.known.catalogue();
        let mut doomed = Doomed::default();
        for touch in unit.judged.touches.iter().filter(|it| is_doom(it)) {
            let schema = touch.object.kind == "schema";
            let inside = catalogue
                .relations
                .values()
                .filter(|it| schema && it.schema == touch.object.name)
                .cloned();
            let itself = touch.object.oid.and_then(|oid| catalogue.relations.get(&oid)).cloned();
            doomed.definitions |= touch.group == Group::Drop;
            for relation in itself.into_iter().chain(inside) {
                self.doom(&mut doomed, &relation);
            }
        }
        for touch in unit.judged.touches.iter().filter(|it| loses_columns(it)) {
            add_losses(&mut doomed.columns, &catalogue, touch);
        }
        let passes = |it: &Relation| it.persistence == 't' || self.work.made.contains(&it.oid);
        doomed.columns.retain(|it| !passes(&it.relation));
        // What goes whole is kept whole.
        let whole: Vec<u32> = doomed.tables.iter().map(|it| it.oid).collect();
        doomed.columns.retain(|it| !whole.contains(&it.relation.oid));
        doomed.in_body = unit.judged.touches.iter().any(|it| it.in_body);
        doomed
    }

    fn doom(&self, doomed: &mut Doomed, relation: &Arc<Relation>) {
        if relation.persistence == 't' || self.work.made.contains(&relation.oid) {
            return;
        }
        let all = match relation.kind {
            RelationKind::Table => &mut doomed.tables,
            RelationKind::Sequence => &mut doomed.sequences,
            RelationKind::Partitioned
            | RelationKind::View
            | RelationKind::Materialised
            | RelationKind::Foreign
            | RelationKind::Index
            | RelationKind::PartitionedIndex
            | RelationKind::Other => return,
        };
        if !all.iter().any(|it| it.oid == relation.oid) {
            all.push(Arc::clone(relation));
        }
    }

    async fn keep_doomed(&mut self, doomed: &Doomed) -> Result<(), NotKept> {
        if doomed.in_body {
            let why = "it is emptied or altered in the body of a function or a DO block";
            return Err(NotKept::Incomplete(why.into()));
        }
        if !doomed.tables.is_empty() || doomed.definitions {
            self.keep_whole(doomed).await?;
        }
        self.keep_columns(&doomed.columns).await
    }

    /// Makes sure that the transaction has not changed rows of a table: a copy would hold them as it left them, and not
    /// as they were before.
    pub(crate) async fn unchanged_so_far(&mut self, relation: &Relation) -> Result<(), NotKept> {
        let changed = self.counted().await?;
        if changed.get(&relation.oid).is_none_or(|rows| *rows == Rows::default()) {
            return Ok(());
        }
        Err(NotKept::Incomplete(format!(
            "rows of {}.{} were changed before in the same transaction",
            relation.schema, relation.name
        )))
    }

    async fn keep_whole(&mut self, doomed: &Doomed) -> Result<(), NotKept> {
        self.begin_keeping().await?;
        let on = Arc::clone(&self.departure);
        let catalogue = self.known.catalogue();
        if doomed.definitions {
            self.keep_definitions().await?;
        }
        for relation in &doomed.tables {
            if let Some(why) = why_not_kept(&catalogue, relation, None, SEARCHED_BYTES_MAX) {
                return Err(NotKept::Incomplete(why));
            }
            // As the agent's own role, which may empty or drop the table: the lock outlives the savepoint below.
            let table = TableImages::of(relation).quoted();
            let lock = format!("LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE");
            self.server.own(&on, &lock).await?;
        }
        for relation in &doomed.tables {
            self.unchanged_so_far(relation).await?;
        }
        self.pin_for_keeping().await?;
        let kept = self.copy_whole_if_the_same(doomed).await;
        self.unpin_after_keeping(kept).await?;
        if doomed.definitions { self.definitions_hold().await } else { Ok(()) }
    }

    async fn copy_whole_if_the_same(&mut self, doomed: &Doomed) -> Result<(), NotKept> {
        for relation in &doomed.tables {
            self.still_the_same(relation).await?;
        }
        self.copy_whole(doomed).await
    }

    async fn copy_whole(&mut self, doomed: &Doomed) -> Result<(), NotKept> {
        let on = Arc::clone(&self.departure);
        let Some(keeping) = self.work.keeping.as_mut() else {
            return Err(NotKept::Incomplete("the recovery point is gone".into()));
        };
        for relation in &doomed.tables {
            if keeping.images.columns.iter().any(|it| it.rows.oid == relation.oid) {
                return Err(NotKept::Incomplete(format!(
                    "columns of {}.{} were changed before in the same transaction",
                    relation.schema, relation.name
                )));
            }
            // Copied before: what was rolled back since gave up its lock, so that the copy may be out of date.
            keeping.images.tables.retain(|table| table.oid != relation.oid);
            let mut images = TableImages::of(relation);
            let part = keeping.next_part("whole").await?;
            let sql = format!(
                "COPY (SELECT {} FROM ONLY {}) TO STDOUT",
                images.column_list(),
                images.quoted()
            );
            let rows = self.server.own_copy_out(&on, &sql, keeping.writer.as_mut()).await?;
            images.before = Some(KeptRows { part, rows });
            keeping.images.tables.push(images);
            let sequences = owned_sequences(relation.oid, None);
            for row in self.server.own(&on, &sequences).await? {
                if let [Some(schema), Some(name)] = row.as_slice() {
                    keep_sequence(&mut self.server, &on, keeping, schema, name).await?;
                }
            }
            if doomed.definitions {
                continue;
            }
            keeping.images.not_covered.push(format!(
                "rows that the transaction itself added to {}.{} after it was emptied stay",
                relation.schema, relation.name
            ));
        }
        for relation in &doomed.sequences {
            keep_sequence(&mut self.server, &on, keeping, &relation.schema, &relation.name).await?;
        }
        Ok(())
    }
}

/// What a statement empties or drops.
#[derive(Default)]
struct Doomed {
    tables: Vec<Arc<Relation>>,
    sequences: Vec<Arc<Relation>>,
    /// Whether definitions go.
    definitions: bool,
    /// Columns that lose their values.
    columns: Vec<Losing>,
    /// Whether some of it happens in the body of a function.
    in_body: bool,
}

impl Doomed {
    fn is_empty(&self) -> bool {
        self.tables.is_empty() && !self.definitions && self.columns.is_empty()
    }
}

/// Returns whether a touch empties or drops something whole.
pub(crate) fn is_doom(touch: &Touch) -> bool {
    matches!(touch.group, Group::Truncate | Group::Drop)
        && touch.effect.word() == EffectWord::Destroy
}

/// Returns the query for the sequences that belong to a table's columns: some of them by name, or all.
pub(crate) fn owned_sequences(oid: u32, columns: Option<&[String]>) -> String {
    let only = columns.map_or_else(String::new, |columns| {
        let names: Vec<String> =
            columns.iter().map(|it| literal(it)).chain([literal("")]).collect();
        format!(
            " AND EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
             AND a.attname IN ({}))",
            names.join(", ")
        )
    });
    format!(
        "SELECT n.nspname::text, s.relname::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid \
         JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace WHERE d.classid = 'pg_catalog.pg_class'::regclass \
         AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = {oid} AND d.deptype IN ('a', 'i') \
         AND s.relkind = 'S'{only}"
    )
}

pub(crate) async fn keep_sequence(
    server: &mut Server,
    on: &Departure,
    keeping: &mut Keeping,
    schema: &str,
    name: &str,
) -> Result<(), NotKept> {
    if keeping.images.sequences.iter().any(|it| it.schema == schema && it.name == name) {
        return Ok(());
    }
    let sql = format!("SELECT last_value, is_called FROM {}.{}", quoted(schema), quoted(name));
    let rows = server.own(on, &sql).await?;
    let Some([Some(last), Some(called)]) = rows.first().map(Vec::as_slice) else {
        return Err(NotKept::Incomplete(format!(
            "sequence {schema}.{name} does not say where it stands"
        )));
    };
    let last = last
        .parse()
        .map_err(|_| NotKept::Incomplete(format!("sequence {schema}.{name} stands nowhere")))?;
    keeping.images.sequences.push(KeptSequence {
        schema: schema.to_owned(),
        name: name.to_owned(),
        last,
        called: called == "t",
    });
    Ok(())
}
