//! The extended protocol: statements are prepared, bound and executed in series that end with Sync.
//!
//! Messages that only read go on to the server as they come and are answered together. Before anything else the
//! answers that are due are awaited, so that no statement is judged on what might still fail.

use std::borrow::Cow;
use std::sync::Arc;

use killick_model::Code;
use killick_sql::judged::{Kind, Wrapping};

use super::answers::{Expected, Portal};
use super::call::Said;
use super::control::begin_text;
use super::engine::{End, Session};
use super::epoch::defines;
use super::meaning::{Meaning, Read};
use super::server::OWN_NAME;
use super::texts::changes_names;
use super::transaction::Place;
use super::unit::{Unit, is_control};
use crate::wire::frontend::{self, Bind, Message};

/// Answers that may be due at a time.
const EXPECTED_MAX: usize = 10_000;
/// Bytes that are sent while answers are due: a server whose answers nobody reads takes no more than fits between.
const BEHIND_BYTES_MAX: usize = 64 << 10;

/// A statement that the server has prepared, or is about to.
pub(crate) struct Prepared {
    text: String,
    types: Vec<u32>,
    meaning: Arc<Meaning>,
}

impl Prepared {
    /// Returns the statement as it was said.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl Session {
    /// Carries one message of the extended protocol.
    pub(crate) async fn extended(&mut self, message: Message, len: usize) -> Result<(), End> {
        let written = self.server.output().len().saturating_add(len);
        let many = self.expected.len() >= EXPECTED_MAX || written > BEHIND_BYTES_MAX;
        if many && !self.skipping && !self.expected.is_empty() {
            self.drain().await?;
        }
        if self.skipping && message != Message::Sync {
            return Ok(());
        }
        match message {
            Message::Parse { name, sql, types } => self.parse(name, &sql, types).await,
            Message::Bind(bind) => self.bind(bind).await,
            Message::Describe { kind, name } => {
                if is_reserved(&name) {
                    return self.refuse_name().await;
                }
                frontend::encode_describe(self.server.output(), kind, &name);
                self.expected.push_back(Expected::Describe);
                Ok(())
            }
            Message::Execute { portal, rows_max } => self.execute(portal, rows_max).await,
            Message::Close { kind, name } => {
                if is_reserved(&name) {
                    return self.refuse_name().await;
                }
                frontend::encode_close(self.server.output(), kind, &name);
                // A portal's name may be taken anew before the answer comes; a statement's is asked for by then.
                let statement = (kind == b'S').then(|| name.clone());
                if statement.is_none() {
                    self.portals.remove(&name);
                }
                self.expected.push_back(Expected::Close(statement));
                Ok(())
            }
            Message::Flush => {
                self.drain().await?;
                Ok(self.client.flush().await?)
            }
            Message::Sync => self.sync().await,
            Message::Query { .. }
            | Message::CopyData
            | Message::CopyDone
            | Message::CopyFail
            | Message::FunctionCall { .. }
            | Message::Terminate
            | Message::Password => Ok(()),
        }
    }

    async fn refuse_name(&mut self) -> Result<(), End> {
        let why = format!("names that begin with `{OWN_NAME}` are the gateway's own");
        let refused = self.refuse(Code::Forbidden, why).await;
        self.refused_in_series(&refused).await
    }

    async fn refused_in_series(&mut self, refused: &killick_model::Refusal) -> Result<(), End> {
        self.drain().await?;
        if !self.skipping {
            self.say_refused(refused).await?;
            self.skipping = true;
        }
        Ok(())
    }

    async fn parse(&mut self, name: String, sql: &str, types: Vec<u32>) -> Result<(), End> {
        if is_reserved(&name) {
            return self.refuse_name().await;
        }
        if self.known.is_due(self.adapter.gate.now()) {
            self.drain().await?;
            if self.skipping {
                return Ok(());
            }
            self.look_again().await?;
        }
        let (meaning, statement) = match self.read(sql) {
            Ok(Read::One(meaning, range)) => (meaning, sql.get(range).unwrap_or(sql)),
            Ok(Read::Script(script)) if script.is_empty() => (Arc::new(self.mean(&script, 0)), sql),
            Ok(Read::Script(_)) => {
                self.drain().await?;
                let message = "cannot insert multiple commands into a prepared statement";
                self.say_error("42601", message, None, None).await?;
                self.skipping = true;
                return Ok(());
            }
            Err(error) => {
                self.drain().await?;
                if !self.skipping {
                    self.say_unreadable(&error, sql).await?;
                    self.skipping = true;
                }
                return Ok(());
            }
        };
        let sent = match &meaning.judged.kind {
            // As the parser found it, without a semicolon behind it.
            Kind::Begin { read_only } => {
                Cow::Owned(begin_text(statement, *read_only, self.state.reads_only))
            }
            _ => Cow::Borrowed(sql),
        };
        frontend::encode_parse(self.server.output(), &name, &sent, &types);
        let prepared = Arc::new(Prepared { text: sql.to_owned(), types, meaning });
        self.expected.push_back(Expected::Parse(name, prepared));
        Ok(())
    }

    /// Finds what a name stands for: what is about to be prepared under it counts only where the server does not
    /// refuse it, so a name that is taken is waited for.
    async fn prepared(&mut self, name: &str) -> Result<Option<Arc<Prepared>>, End> {
        let pending =
            self.expected.iter().any(|it| matches!(it, Expected::Parse(other, _) if other == name));
        if pending {
            let only = self.expected.iter().filter_map(|it| match it {
                Expected::Parse(other, prepared) if other == name => Some(Arc::clone(prepared)),
                _ => None,
            });
            let all: Vec<_> = only.collect();
            // The unnamed statement is always replaced; a named one that is free is made or the series fails.
            if let ([one], true) =
                (all.as_slice(), name.is_empty() || !self.statements.contains_key(name))
            {
                return Ok(Some(Arc::clone(one)));
            }
            self.drain().await?;
        }
        Ok(self.statements.get(name).cloned())
    }

    async fn bind(&mut self, bind: Bind) -> Result<(), End> {
        if is_reserved(&bind.portal) || is_reserved(&bind.statement) {
            return self.refuse_name().await;
        }
        let prepared = self.prepared(&bind.statement).await?;
        if self.skipping {
            return Ok(());
        }
        let Some(prepared) = prepared else {
            // Not sent on: the name may be one that was prepared in SQL, and what runs must have been judged.
            self.drain().await?;
            if !self.skipping {
                let why = format!("prepared statement \"{}\" does not exist", bind.statement);
                self.say_error("26000", &why, None, None).await?;
                self.skipping = true;
            }
            return Ok(());
        };
        let meaning = self.judged_again(&prepared).await?;
        if self.skipping {
            return Ok(());
        }
        let said = Said {
            text: prepared.text.clone(),
            values: bind.values.iter().map(|it| it.as_ref().map(|bytes| bytes.to_vec())).collect(),
            formats: bind.formats.clone(),
            types: prepared.types.clone(),
        };
        let unit = Unit::new(said, meaning);
        if self.place == Place::Failed && !is_control(&unit.judged.kind) {
            self.drain().await?;
            if !self.skipping {
                self.say_error("25P02", super::simple::ABORTED, None, None).await?;
                self.skipping = true;
            }
            return Ok(());
        }
        if let Kind::Savepoint { name } = &unit.judged.kind
            && is_reserved(name)
        {
            return self.refuse_name().await;
        }
        if is_control(&unit.judged.kind) {
            let alone = !self.unsynced && self.expected.len() <= 1;
            if matches!(unit.judged.kind, Kind::Begin { .. }) && !alone {
                self.end_implicit().await?;
                if self.skipping {
                    return Ok(());
                }
            }
            self.encode_bind(&bind);
            self.portals.insert(bind.portal, Portal::of_control(unit));
            return Ok(());
        }
        self.bind_judged(bind, unit).await
    }

    fn encode_bind(&mut self, bind: &Bind) {
        let Bind { portal, statement, formats, values, results } = bind;
        frontend::encode_bind(self.server.output(), portal, statement, formats, values, results);
        self.expected.push_back(Expected::Bind);
    }

    /// A statement that was prepared before the catalogue changed is judged by what holds now.
    async fn judged_again(&mut self, prepared: &Prepared) -> Result<Arc<Meaning>, End> {
        if !self.known.is_due(self.adapter.gate.now()) {
            return Ok(Arc::clone(&prepared.meaning));
        }
        self.drain().await?;
        if self.skipping {
            return Ok(Arc::clone(&prepared.meaning));
        }
        self.look_again().await?;
        Ok(match self.read(&prepared.text) {
            Ok(Read::One(meaning, _)) => meaning,
            Ok(Read::Script(_)) | Err(_) => Arc::clone(&prepared.meaning),
        })
    }

    async fn bind_judged(&mut self, bind: Bind, unit: Unit) -> Result<(), End> {
        let plain = unit.is_read()
            && (self.place == Place::Idle || unit.judged.plainly_read)
            && !(unit.judged.locks && self.place == Place::Idle);
        if !plain && !self.goes_with_its_parse(&bind, &unit) {
            self.end_implicit().await?;
            if self.skipping {
                return Ok(());
            }
        }
        let alone = match unit.judged.wrapping {
            Wrapping::Fits | Wrapping::Control => false,
            Wrapping::Refuses | Wrapping::MayCommit => !unit.is_read(),
        };
        if alone {
            let why =
                "a statement that no transaction can hold is sent by itself in the simple protocol";
            let refused = self.refuse(Code::UnsupportedProtocol, why.into()).await;
            return self.refused_in_series(&refused).await;
        }
        let guards = unit.is_read()
            && !plain
            && !unit.judged.locks
            && !matches!(unit.judged.kind, Kind::Declare { .. } | Kind::Session { .. });
        if self.guarded && !plain && !guards {
            self.end_guard().await?;
        }
        let leave = match self.permit(&unit).await {
            Ok(leave) => leave,
            Err(refused) => return self.refused_in_series(&refused).await,
        };
        if !unit.is_read() || unit.judged.locks {
            if let Err(error) = self.open_transaction().await? {
                self.drain().await?;
                if !self.skipping {
                    self.not_begun(leave, &error).await?;
                    self.skipping = true;
                }
                return Ok(());
            }
            if let Err(refused) = self.before_held(&unit).await? {
                leave.in_flight.settle(killick_model::Outcome::NotSent { code: refused.code });
                return self.refused_in_series(&refused).await;
            }
        } else if guards && !self.guarded {
            self.guard(&leave.departure).await?;
            self.guarded = true;
        }
        self.encode_bind(&bind);
        let portal = Portal::bound(unit, leave.in_flight, guards);
        self.portals.insert(bind.portal, portal);
        Ok(())
    }

    /// Awaits every answer that is due. Outside of a transaction that ends the one which the server opened by itself for
    /// the series so far: once it has looked at a table, it cannot become one that writes.
    async fn end_implicit(&mut self) -> Result<(), End> {
        if self.place != Place::Idle {
            return self.drain().await;
        }
        if !self.unsynced && self.expected.is_empty() && self.server.output().is_empty() {
            return Ok(());
        }
        frontend::encode_sync(self.server.output());
        self.server.send(&Arc::clone(&self.departure)).await?;
        self.hear_ready().await?;
        Ok(())
    }

    /// Returns whether a change can be sent behind its own Parse, whose answer alone is due: if the server refuses
    /// that, it skips all that follows. Nothing of the gateway's own may be needed in between.
    fn goes_with_its_parse(&self, bind: &Bind, unit: &Unit) -> bool {
        let parse =
            |it: &Expected| matches!(it, Expected::Parse(name, _) if *name == bind.statement);
        let unplanned = unit.judged.change.as_ref().is_some_and(|change| {
            change.by_key || change.group == killick_sql::judged::Group::Insert
        });
        self.place == Place::Agents
            && !self.guarded
            && unplanned
            && !self.is_hidden(unit)
            // Else it is looked up first which tables the transaction made.
            && self.work.claims.is_empty()
            && self.expected.iter().all(parse)
    }

    async fn execute(&mut self, name: String, rows_max: u32) -> Result<(), End> {
        if is_reserved(&name) {
            return self.refuse_name().await;
        }
        let Some(portal) = self.portals.get(&name).cloned() else {
            // Not sent on: what runs at the server must have been judged.
            self.drain().await?;
            if !self.skipping {
                let why = format!("portal \"{name}\" does not exist");
                self.say_error("34000", &why, None, None).await?;
                self.skipping = true;
            }
            return Ok(());
        };
        let kind = portal.unit.judged.kind.clone();
        if let Some(mistake) = self.chains_nothing(&kind) {
            self.drain().await?;
            if !self.skipping {
                self.say_error("25P01", mistake, None, None).await?;
                self.skipping = true;
            }
            return Ok(());
        }
        if let Kind::Commit { .. } = kind {
            return self.execute_commit(&name, portal).await;
        }
        if is_control(&kind) && self.guarded {
            self.drain().await?;
            if self.skipping {
                return Ok(());
            }
            self.end_guard().await?;
        }
        if matches!(kind, Kind::Rollback { .. }) && self.place == Place::Ours {
            self.drain().await?;
            if self.skipping {
                return Ok(());
            }
            self.warn_of_no_transaction().await?;
        }
        if rows_max > 0 && !portal.unit.is_read() && !is_control(&kind) {
            // It may do all that it does and stop before its command tag: the server's counters tell.
            self.drain().await?;
            if self.skipping {
                return Ok(());
            }
            self.count_from_here().await?;
        }
        let unit = &portal.unit;
        let moves = changes_names(&unit.judged) || (!unit.is_read() && defines(&unit.judged));
        frontend::encode_execute(self.server.output(), &name, rows_max);
        self.expected.push_back(Expected::Execute(portal));
        let awaited = matches!(
            kind,
            Kind::Begin { .. } | Kind::Rollback { .. } | Kind::RollbackTo { .. } | Kind::CopyIn
        );
        // What comes behind it is judged by what holds then.
        if awaited || moves {
            return self.drain().await;
        }
        Ok(())
    }

    async fn execute_commit(&mut self, name: &str, portal: Arc<Portal>) -> Result<(), End> {
        self.drain().await?;
        if self.skipping {
            return Ok(());
        }
        if self.guarded {
            self.end_guard().await?;
        }
        let Some(in_flight) = self.before_commit().await? else {
            self.skipping = true;
            return Ok(());
        };
        if self.place == Place::Ours {
            self.warn_of_no_transaction().await?;
        }
        frontend::encode_execute(self.server.output(), name, 0);
        let kind = portal.unit.judged.kind.clone();
        self.expected.push_back(Expected::Execute(portal));
        let tag = self.drain_for_tag().await?;
        self.after_commit(in_flight, tag.as_deref() == Some("COMMIT")).await?;
        if tag.is_some() {
            self.controlled(&kind);
        }
        Ok(())
    }

    async fn drain_for_tag(&mut self) -> Result<Option<String>, End> {
        frontend::encode_flush(self.server.output());
        self.unsynced = true;
        self.server.send(&Arc::clone(&self.departure)).await?;
        let mut last = None;
        while !self.expected.is_empty() {
            if let Some(tag) = self.hear().await? {
                last = Some(tag);
            }
            if self.skipping {
                return Ok(None);
            }
        }
        Ok(last)
    }

    /// Awaits every answer that is due.
    pub(crate) async fn drain(&mut self) -> Result<(), End> {
        if self.expected.is_empty() && self.server.output().is_empty() {
            return Ok(());
        }
        self.drain_for_tag().await.map(drop)
    }

    async fn sync(&mut self) -> Result<(), End> {
        let ours = self.place == Place::Ours;
        if ours && !self.skipping {
            self.drain().await?;
        }
        if ours && !self.skipping {
            self.end_ours().await?;
            return self.say_ready().await;
        }
        if self.guarded && !self.skipping {
            self.drain().await?;
            if !self.skipping && !self.fetching {
                self.end_guard().await?;
            }
        }
        frontend::encode_sync(self.server.output());
        self.server.send(&Arc::clone(&self.departure)).await?;
        let status = self.hear_ready().await?;
        self.skipping = false;
        if self.place == Place::Ours {
            self.roll_back().await?;
        } else {
            self.follow(status);
            self.after_chain(status);
        }
        if self.place == Place::Idle {
            self.portals.clear();
        }
        self.say_ready().await
    }
}

/// Returns whether a name is the gateway's own.
fn is_reserved(name: &str) -> bool {
    name.starts_with(OWN_NAME)
}
