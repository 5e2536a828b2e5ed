//! The extended protocol: statements are prepared, bound and executed in series that end with Sync.
//!
//! Messages that only read go on to the server as they come and are answered together. Before anything else the
//! answers that are due are awaited, so that no statement is judged on what might still fail.

use std::sync::Arc;

use bytes::Bytes;
use killick_gate::InFlight;
use killick_model::Code;
use killick_sql::judged::{Judged, Kind, Wrapping};
use killick_sql::script;

use super::call::Said;
use super::control::begin_text;
use super::engine::{End, Session};
use super::server::{OWN_NAME, Piece};
use super::transaction::Place;
use super::unit::{Settle as _, Unit, is_control};
use crate::wire::backend;
use crate::wire::frontend::{self, Bind, Message};

/// Statements that a session may have prepared.
const STATEMENTS_MAX: usize = 10_000;
/// Answers that may be due at a time.
const EXPECTED_MAX: usize = 10_000;

/// A statement that the server has prepared, or is about to.
pub(crate) struct Prepared {
    text: String,
    types: Vec<u32>,
    judged: Arc<Judged>,
}

/// A statement with its values.
pub(crate) struct Portal {
    unit: Unit,
    in_flight: Option<InFlight>,
}

/// An answer of the server that is due.
pub(crate) enum Expected {
    Parse(String, Arc<Prepared>),
    Bind,
    Describe,
    Close,
    Execute(String),
}

impl Session {
    /// Carries one message of the extended protocol.
    pub(crate) async fn extended(&mut self, message: Message) -> Result<(), End> {
        if self.skipping && message != Message::Sync {
            return Ok(());
        }
        if self.expected.len() >= EXPECTED_MAX {
            self.drain().await?;
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
                if kind == b'S' {
                    self.statements.remove(&name);
                } else {
                    self.portals.remove(&name);
                }
                frontend::encode_close(self.server.output(), kind, &name);
                self.expected.push_back(Expected::Close);
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
        let script = match script::parse(sql) {
            Ok(script) if script.len() <= 1 => script,
            Ok(_) => {
                self.drain().await?;
                let message = "cannot insert multiple commands into a prepared statement";
                self.say_error("42601", message, None, None).await?;
                self.skipping = true;
                return Ok(());
            }
            Err(error) => {
                self.drain().await?;
                if !self.skipping {
                    self.say_unreadable(&error).await?;
                    self.skipping = true;
                }
                return Ok(());
            }
        };
        let judged = self.judge(&script, 0, None);
        let sent = match &judged.kind {
            // As the parser found it, without a semicolon behind it.
            Kind::Begin { read_only } => begin_text(script.text_of(0), *read_only),
            _ => sql.to_owned(),
        };
        frontend::encode_parse(self.server.output(), &name, &sent, &types);
        let prepared = Arc::new(Prepared { text: sql.to_owned(), types, judged });
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
        let judged = self.judged_again(&prepared).await?;
        if self.skipping {
            return Ok(());
        }
        let said = Said {
            text: prepared.text.clone(),
            values: bind.values.iter().map(|it| it.as_ref().map(|bytes| bytes.to_vec())).collect(),
            formats: bind.formats.clone(),
            types: prepared.types.clone(),
        };
        let unit = Unit { said, judged };
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
            self.encode_bind(&bind);
            self.portals.insert(bind.portal, Portal { unit, in_flight: None });
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
    async fn judged_again(&mut self, prepared: &Prepared) -> Result<Arc<Judged>, End> {
        if !self.known.is_due(self.adapter.gate.now()) {
            return Ok(Arc::clone(&prepared.judged));
        }
        self.drain().await?;
        if self.skipping {
            return Ok(Arc::clone(&prepared.judged));
        }
        self.look_again().await?;
        Ok(match script::parse(&prepared.text) {
            Ok(script) if !script.is_empty() => self.judge(&script, 0, None),
            Ok(_) | Err(_) => Arc::clone(&prepared.judged),
        })
    }

    async fn bind_judged(&mut self, bind: Bind, unit: Unit) -> Result<(), End> {
        let plain = unit.is_read()
            && (self.place == Place::Idle || unit.judged.plainly_read)
            && !(unit.judged.locks && self.place == Place::Idle);
        if !plain {
            self.drain().await?;
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
        if self.guarded && !plain {
            self.end_guard().await?;
        }
        let leave = match self.permit(&unit).await {
            Ok(leave) => leave,
            Err(refused) => return self.refused_in_series(&refused).await,
        };
        if !unit.is_read() || unit.judged.locks {
            self.open_transaction().await?;
            if let Err(refused) = self.before_held(&unit).await? {
                leave.in_flight.settle(killick_model::Outcome::NotSent { code: refused.code });
                return self.refused_in_series(&refused).await;
            }
        } else if !plain && !matches!(unit.judged.kind, Kind::Declare { .. } | Kind::Session { .. })
        {
            self.guard(&leave.departure).await?;
            self.guarded = true;
        }
        self.encode_bind(&bind);
        self.portals.insert(bind.portal, Portal { unit, in_flight: Some(leave.in_flight) });
        Ok(())
    }

    async fn end_guard(&mut self) -> Result<(), End> {
        self.guarded = false;
        let departure = Arc::clone(&self.departure);
        self.unguard(&departure, self.place != Place::Failed).await
    }

    async fn execute(&mut self, portal: String, rows_max: u32) -> Result<(), End> {
        if is_reserved(&portal) {
            return self.refuse_name().await;
        }
        let kind = self.portals.get(&portal).map(|it| it.unit.judged.kind.clone());
        if let Some(Kind::Commit { .. }) = kind {
            return self.execute_commit(portal).await;
        }
        if kind.as_ref().is_some_and(is_control) && self.guarded {
            self.drain().await?;
            self.end_guard().await?;
        }
        frontend::encode_execute(self.server.output(), &portal, rows_max);
        self.expected.push_back(Expected::Execute(portal));
        if kind.is_some_and(|kind| {
            matches!(
                kind,
                Kind::Begin { .. } | Kind::Rollback { .. } | Kind::RollbackTo { .. } | Kind::CopyIn
            )
        }) {
            return self.drain().await;
        }
        Ok(())
    }

    async fn execute_commit(&mut self, portal: String) -> Result<(), End> {
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
        frontend::encode_execute(self.server.output(), &portal, 0);
        self.expected.push_back(Expected::Execute(String::new()));
        let tag = self.drain_for_tag().await?;
        self.after_commit(in_flight, tag.as_deref() == Some("COMMIT")).await?;
        if tag.is_some() {
            self.controlled(&Kind::Commit { chain: false });
        }
        Ok(())
    }

    async fn drain_for_tag(&mut self) -> Result<Option<String>, End> {
        frontend::encode_flush(self.server.output());
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
            if !self.skipping {
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

    async fn hear_ready(&mut self) -> Result<u8, End> {
        loop {
            let piece = tokio::select! {
                piece = self.server.next() => piece?,
                gone = self.client.gone() => return Err(gone.into()),
            };
            if let Piece::Message(b'Z', bytes) = &piece {
                self.expected.clear();
                return Ok(bytes.get(5).copied().unwrap_or(b'I'));
            }
            self.heard(piece).await?;
        }
    }

    /// Takes one answer in and passes it on; returns a command tag.
    async fn hear(&mut self) -> Result<Option<String>, End> {
        let piece = tokio::select! {
            piece = self.server.next() => piece?,
            gone = self.client.gone() => return Err(gone.into()),
        };
        self.heard(piece).await
    }

    async fn heard(&mut self, piece: Piece) -> Result<Option<String>, End> {
        let (tag, bytes) = match piece {
            Piece::Rows(bytes) => {
                self.client.pass(&bytes).await?;
                return Ok(None);
            }
            Piece::Message(tag, bytes) => (tag, bytes),
        };
        match tag {
            b'N' | b'A' | b'S' => self.aside(tag, &bytes).await?,
            b'E' => {
                self.expected.clear();
                self.skipping = true;
                for portal in self.portals.values_mut() {
                    if let Some(in_flight) = portal.in_flight.take() {
                        in_flight.answered(true);
                    }
                }
                self.client.pass(&bytes).await?;
            }
            b'1' => {
                if let Some(Expected::Parse(name, prepared)) = self.expected.pop_front()
                    && self.statements.len() < STATEMENTS_MAX
                {
                    self.statements.insert(name, prepared);
                }
                self.client.pass(&bytes).await?;
            }
            b'2' | b'3' | b'T' | b'n' => {
                self.expected.pop_front();
                self.client.pass(&bytes).await?;
            }
            b'G' => {
                self.client.pass(&bytes).await?;
                self.copy_in().await?;
            }
            b'C' | b'I' | b's' => return self.executed(tag, &bytes).await,
            _ => self.client.pass(&bytes).await?,
        }
        Ok(None)
    }

    async fn executed(&mut self, tag: u8, bytes: &Bytes) -> Result<Option<String>, End> {
        self.client.pass(bytes).await?;
        let name = match self.expected.pop_front() {
            Some(Expected::Execute(name)) => name,
            _ => String::new(),
        };
        if tag == b's' {
            return Ok(None);
        }
        let said = backend::command_tag(bytes).unwrap_or_default().to_owned();
        let said = if tag == b'C' { said } else { String::new() };
        let done = self
            .portals
            .get_mut(&name)
            .map(|portal| (portal.unit.clone(), portal.in_flight.take()));
        if let Some((unit, in_flight)) = done {
            let first = in_flight.is_some();
            if let Some(in_flight) = in_flight {
                in_flight.answered(false);
            }
            if is_control(&unit.judged.kind) {
                if !matches!(unit.judged.kind, Kind::Commit { .. }) {
                    self.controlled(&unit.judged.kind);
                }
            } else if first {
                self.book(&unit, &said);
                self.take_in(&unit);
            }
        }
        Ok(Some(said))
    }
}

/// Returns whether a name is the gateway's own.
fn is_reserved(name: &str) -> bool {
    name.starts_with(OWN_NAME)
}
