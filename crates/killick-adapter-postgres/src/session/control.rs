//! Transaction control: the agent asks for it, the gateway owns it.

use std::sync::Arc;

use killick_gate::InFlight;
use killick_model::{Effect, EffectWord, Refusal};
use killick_sql::judged::{Group, Judged, Kind, Touch};

use super::engine::{End, Session};
use super::keep_columns::loses_columns;
use super::transaction::{Deed, Place};
use super::unit::{Settle as _, Unit, rows_in_tag, tag_says_all};
use crate::wire::{backend, frontend};

/// Returns BEGIN as the gateway sends it: a transaction that may write, unless the agent wants one that may not.
/// The session's own default is read-only at the server; `agent_reads` says whether the agent made it so too.
pub(crate) fn begin_text(text: &str, read_only: Option<bool>, agent_reads: bool) -> String {
    match read_only {
        None if !agent_reads => {
            // Behind a newline, since the text may end in a comment.
            format!("{text}\n READ WRITE")
        }
        Some(_) | None => text.to_owned(),
    }
}

impl Session {
    /// Carries transaction control of the simple protocol; returns whether the next statement may follow.
    pub(crate) async fn control(&mut self, unit: &Unit) -> Result<bool, End> {
        let text = &unit.said.text;
        if let Kind::Savepoint { name } = &unit.judged.kind
            && name.starts_with(super::server::OWN_NAME)
        {
            let why = format!(
                "names that begin with `{}` are the gateway's own",
                super::server::OWN_NAME
            );
            let refused = self.refuse(killick_model::Code::Forbidden, why).await;
            self.say_refused(&refused).await?;
            return Ok(false);
        }
        if let Some(mistake) = self.chains_nothing(&unit.judged.kind) {
            self.say_error("25P01", mistake, None, None).await?;
            return Ok(false);
        }
        let begun_by_nobody = self.place == Place::Ours;
        let sent = match &unit.judged.kind {
            Kind::Begin { read_only } => {
                // BEGIN inside of an implicit transaction makes it the agent's own.
                if self.place == Place::Ours {
                    self.place = Place::Agents;
                }
                begin_text(text, *read_only, self.state.reads_only)
            }
            Kind::Commit { .. } => {
                let Some(in_flight) = self.before_commit().await? else { return Ok(false) };
                if begun_by_nobody {
                    self.warn_of_no_transaction().await?;
                }
                frontend::encode_query(self.server.output(), text);
                self.server.send(&self.departure).await?;
                let ran = self.relay().await?;
                self.release_tag().await?;
                self.after_commit(in_flight, ran.tag.as_deref() == Some("COMMIT")).await?;
                if ran.tag.is_some() {
                    self.controlled(&unit.judged.kind);
                }
                self.follow(ran.status);
                self.after_chain(ran.status);
                return Ok(ran.tag.is_some());
            }
            Kind::Rollback { .. } if begun_by_nobody => {
                self.warn_of_no_transaction().await?;
                text.clone()
            }
            _ => text.clone(),
        };
        frontend::encode_query(self.server.output(), &sent);
        self.server.send(&self.departure).await?;
        let ran = self.relay().await?;
        self.release_tag().await?;
        if ran.tag.is_some() {
            self.controlled(&unit.judged.kind);
        }
        self.follow(ran.status);
        self.after_chain(ran.status);
        Ok(ran.tag.is_some())
    }

    /// Returns the server's own words where AND CHAIN ends a transaction that the agent did not begin: that of the
    /// gateway's around its statements must not become one of the agent's.
    pub(crate) fn chains_nothing(&self, kind: &Kind) -> Option<&'static str> {
        match kind {
            Kind::Commit { chain: true } if self.place == Place::Ours => {
                Some("COMMIT AND CHAIN can only be used in transaction blocks")
            }
            Kind::Rollback { chain: true } if self.place == Place::Ours => {
                Some("ROLLBACK AND CHAIN can only be used in transaction blocks")
            }
            _ => None,
        }
    }

    /// Says what the server says at the end of a transaction that nobody began, behind the tag of what stands before.
    pub(crate) async fn warn_of_no_transaction(&mut self) -> Result<(), End> {
        self.release_tag().await?;
        let what = "there is no transaction in progress";
        backend::encode_warning(self.client.output(), "25P01", what);
        Ok(())
    }

    /// Takes in what transaction control did, once the server said so.
    pub(crate) fn controlled(&mut self, kind: &Kind) {
        match kind {
            Kind::Begin { .. } if self.place == Place::Idle => {
                self.place = Place::Agents;
            }
            Kind::Savepoint { .. } => self.work.savepoints = true,
            // What was done since the savepoint is undone; it stays on the books, which can only be harsher.
            Kind::RollbackTo { .. } => {
                self.work.rolled_back = true;
                self.known.stale |= self.work.ddl;
                self.known.is_over();
                if self.place == Place::Failed {
                    self.place = Place::Agents;
                }
            }
            Kind::Commit { chain } | Kind::Rollback { chain } => {
                let goes_on = *chain && matches!(self.place, Place::Agents | Place::Failed);
                self.transaction_over();
                if goes_on {
                    // The next one has begun with the same answer, long before the server is ready.
                    self.place = Place::Agents;
                }
            }
            _ => {}
        }
    }

    /// After AND CHAIN the server is in the next transaction at once.
    pub(crate) fn after_chain(&mut self, status: u8) {
        if status == b'T' && self.place == Place::Idle {
            self.place = Place::Agents;
        }
    }

    /// Asks the gate before COMMIT. `None` means refused: the agent was told, the transaction is rolled back.
    pub(crate) async fn before_commit(&mut self) -> Result<Option<Option<InFlight>>, End> {
        if self.work.is_empty() || self.place == Place::Failed {
            return Ok(Some(None));
        }
        match self.commit_gate().await {
            Ok(in_flight) => {
                self.work.change = self.change_of_work();
                Ok(Some(Some(in_flight)))
            }
            Err(super::commit::NoCommit::End(end)) => Err(end),
            Err(super::commit::NoCommit::Refused(refused)) => {
                self.roll_back().await?;
                self.say_refused(&refused).await?;
                Ok(None)
            }
            Err(super::commit::NoCommit::Server(frame)) => {
                self.roll_back().await?;
                self.client.pass(&frame).await?;
                Ok(None)
            }
        }
    }

    /// Books a commit that the server has confirmed, or not.
    pub(crate) async fn after_commit(
        &mut self,
        in_flight: Option<InFlight>,
        committed: bool,
    ) -> Result<(), End> {
        if let Some(change) = self.work.change.take() {
            change.answered();
        }
        let Some(in_flight) = in_flight else { return Ok(()) };
        in_flight.answered(!committed);
        if committed {
            self.book_commit().await;
        }
        Ok(())
    }

    /// Ends the transaction that the gateway put around statements, at the end of a message or at Sync.
    pub(crate) async fn end_ours(&mut self) -> Result<(), End> {
        let Some(in_flight) = self.before_commit().await? else {
            self.held_tag = None;
            return Ok(());
        };
        match self.server.own(&self.departure, "COMMIT").await {
            Ok(_) => {
                self.after_commit(in_flight, true).await?;
                self.release_tag().await?;
            }
            Err(super::server::ServerError::Refused { frame, .. }) => {
                self.held_tag = None;
                self.after_commit(in_flight, false).await?;
                self.client.pass(&frame).await?;
            }
            Err(error) => return Err(error.into()),
        }
        self.transaction_over();
        Ok(())
    }

    /// Tells the agent that its statement went well, now that it lasts.
    pub(crate) async fn release_tag(&mut self) -> Result<(), End> {
        match self.held_tag.take() {
            Some(tag) => Ok(self.client.pass(&tag).await?),
            None => Ok(()),
        }
    }

    /// Reads what the server has counted so far, before the first statement whose command tag does not tell all.
    /// Keeps what the statement empties. A refusal means that the statement is not sent.
    pub(crate) async fn before_held(&mut self, unit: &Unit) -> Result<Result<(), Refusal>, End> {
        if unit.is_read() {
            return Ok(Ok(()));
        }
        if self.is_hidden(unit) {
            self.count_from_here().await?;
        }
        self.keep_emptied(unit).await
    }

    /// Has rows counted by the server from here on, if they are not already.
    pub(crate) async fn count_from_here(&mut self) -> Result<(), End> {
        if self.work.baseline.is_none() {
            self.work.baseline = Some(self.counters().await?);
        }
        Ok(())
    }

    /// Returns whether the server's counters must be read before a statement: its tag will not tell all, or nobody
    /// knows whether definitions stand still.
    pub(crate) fn is_hidden(&self, unit: &Unit) -> bool {
        !unit.is_read()
            && self.work.baseline.is_none()
            && (!self.known.holds(self.known.epoch())
                || deed_told(&unit.judged, &self.known.catalogue()).is_none())
    }

    /// Books what a held statement did, by the server's command tag.
    pub(crate) fn book(&mut self, unit: &Unit, tag: &str) {
        let judged: &Arc<Judged> = &unit.judged;
        if unit.is_read() {
            return;
        }
        let catalogue = self.known.catalogue();
        // From where the server counts on, its own numbers say it.
        if self.work.baseline.is_none()
            && let (Some(change), Some(deed)) = (&judged.change, deed_told(judged, &catalogue))
        {
            self.work.count(change.table, deed, rows_in_tag(tag), self.known.epoch());
        }
        for touch in &judged.touches {
            let number = touch.object.oid.unwrap_or(0);
            if loses_columns(touch) && !self.work.gone.contains(&number) {
                self.work.gone.push(number);
            }
            match touch.group {
                Group::Create
                | Group::Alter
                | Group::Rename
                | Group::Code
                | Group::Protection
                | Group::Privilege
                | Group::Role => self.work.ddl = true,
                Group::Drop | Group::Truncate => {
                    self.work.ddl = true;
                    if touch.effect.word() == killick_model::EffectWord::Destroy {
                        self.work.gone.push(touch.object.oid.unwrap_or(0));
                    }
                }
                _ => {}
            }
            let relation = touch.object.oid.and_then(|oid| catalogue.relations.get(&oid));
            self.work.deferred |= relation.is_some_and(|it| it.deferrable);
        }
        self.known.stale |= self.work.ddl;
        self.work.said.push(unit.said.clone());
        self.work.judged.push(Arc::clone(judged));
        self.work.meanings.push(Arc::clone(&unit.meaning));
    }
}

/// Returns what a statement does, when its command tag tells all of it.
fn deed_told(judged: &Judged, catalogue: &killick_sql::catalogue::Catalogue) -> Option<Deed> {
    let change = judged.change.as_ref()?;
    // What is only read beside it changes no rows; everything else that it does has a touch of its own. What is
    // destroyed is counted by the server itself.
    let mut changes = judged.touches.iter().filter(|touch| touch.effect != Effect::READ);
    let own = |it: &Touch| {
        it.group == change.group
            && it.object.oid == Some(change.table)
            && it.effect.word() == EffectWord::Write
    };
    let alone = changes.next().is_some_and(own) && changes.next().is_none();
    if !alone || !tag_says_all(change, catalogue) {
        return None;
    }
    match change.group {
        Group::Insert => Some(Deed::Insert),
        Group::Update => Some(Deed::Update),
        Group::Delete => Some(Deed::Delete),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_may_write_unless_the_agent_wants_one_that_may_not() {
        assert_eq!(begin_text("BEGIN -- x", None, false), "BEGIN -- x\n READ WRITE");
        assert_eq!(begin_text("BEGIN READ ONLY", Some(true), false), "BEGIN READ ONLY");
        for text in
            ["BEGIN", "START TRANSACTION", "BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN WORK -- c"]
        {
            let sent = begin_text(text, None, false);
            assert!(killick_sql::script::parse(&sent).is_ok(), "{text}");
            assert_eq!(begin_text(text, None, true), text);
        }
    }
}
