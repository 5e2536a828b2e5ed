//! Keeping whole tables before a statement empties them: afterwards nobody could look any more.

use std::sync::Arc;

use killick_model::{Code, EffectWord, Refusal};
use killick_sql::catalogue::{Relation, RelationKind};
use killick_sql::judged::Group;

use super::engine::{End, Session};
use super::images::{KeptRows, TableImages, why_not_kept};
use super::keep::{NotKept, SEARCHED_BYTES_MAX};
use super::unit::Unit;

impl Session {
    /// Keeps the tables that a statement empties, under the lock that the statement itself takes, before it is sent.
    /// A refusal means that they could not be kept: the statement is not sent.
    pub(crate) async fn keep_emptied(&mut self, unit: &Unit) -> Result<Result<(), Refusal>, End> {
        let emptied = self.emptied(unit);
        if emptied.is_empty() {
            return Ok(Ok(()));
        }
        let kept = self.keep_whole(&emptied).await;
        match kept {
            Ok(()) => Ok(Ok(())),
            Err(NotKept::Server(error)) if !error.is_refusal() => Err(error.into()),
            Err(not_kept) => {
                self.work.keeping = None;
                let why =
                    format!("what the statement destroys could not be kept: {}", not_kept.why());
                Ok(Err(self.refuse(Code::ObligationFailed, why).await))
            }
        }
    }

    /// Returns the tables that a statement empties and that the session did not make in this transaction.
    fn emptied(&self, unit: &Unit) -> Vec<Arc<Relation>> {
        let catalogue = self.known.catalogue();
        let mut all: Vec<Arc<Relation>> = Vec::new();
        for touch in &unit.judged.touches {
            let destroys = touch.effect.word() == EffectWord::Destroy;
            if touch.group != Group::Truncate || !destroys {
                continue;
            }
            let found = touch.object.oid.and_then(|oid| catalogue.relations.get(&oid));
            let Some(relation) = found.filter(|it| {
                it.kind == RelationKind::Table
                    && it.persistence != 't'
                    && !self.work.made.contains(&format!("{}.{}", it.schema, it.name))
            }) else {
                continue;
            };
            if !all.iter().any(|it| it.oid == relation.oid) {
                all.push(Arc::clone(relation));
            }
        }
        all
    }

    async fn keep_whole(&mut self, tables: &[Arc<Relation>]) -> Result<(), NotKept> {
        self.begin_keeping().await?;
        let on = Arc::clone(&self.departure);
        let catalogue = self.known.catalogue();
        for relation in tables {
            if let Some(why) = why_not_kept(&catalogue, relation, None, SEARCHED_BYTES_MAX) {
                return Err(NotKept::Incomplete(why));
            }
            // As the agent's own role, which may empty the table: the lock outlives the savepoint below.
            let table = TableImages::of(relation).quoted();
            self.server
                .own(&on, &format!("LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE"))
                .await?;
        }
        self.pin_for_keeping().await?;
        let kept = self.copy_whole(tables).await;
        self.unpin_after_keeping(kept).await
    }

    async fn copy_whole(&mut self, tables: &[Arc<Relation>]) -> Result<(), NotKept> {
        let on = Arc::clone(&self.departure);
        let Some(keeping) = self.work.keeping.as_mut() else {
            return Err(NotKept::Incomplete("the recovery point is gone".into()));
        };
        for relation in tables {
            if keeping.images.tables.iter().any(|table| table.oid == relation.oid) {
                continue;
            }
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
            keeping.images.not_covered.push(format!(
                "rows that the transaction itself added to {}.{} after it was emptied stay",
                relation.schema, relation.name
            ));
        }
        Ok(())
    }
}
