//! The simple protocol: a text of statements, each through the gate, one answer each.

use std::sync::Arc;

use bytes::Bytes;
use killick_model::Code;
use killick_sql::judged::{Group, Kind, Wrapping};
use killick_sql::script;

use super::call::Said;
use super::engine::{End, Session};
use super::server::{Piece, ServerError};
use super::texts::{Next, changes_names};
use super::transaction::Place;
use super::unit::{Leave, Settle as _, Unit, is_control};
use super::wal::Wal;
use crate::wire::{backend, frontend};

/// What a server says to statements of a failed transaction.
pub(crate) const ABORTED: &str =
    "current transaction is aborted, commands ignored until end of transaction block";

/// What became of one statement at the server.
pub(crate) struct Ran {
    /// Its command tag, when it succeeded.
    pub(crate) tag: Option<String>,
    /// The server's state afterwards: `I`, `T` or `E`.
    pub(crate) status: u8,
}

impl Session {
    /// Carries one Query message.
    pub(crate) async fn simple(&mut self, text: &str) -> Result<(), End> {
        // What was sent before and not asked about yet is heard first: it is booked by its answers, before any COMMIT.
        self.drain().await?;
        if self.skipping {
            return Ok(());
        }
        // A simple query ends the extended protocol's unnamed statement and portal.
        self.statements.remove("");
        self.portals.remove("");
        if self.guarded {
            self.end_guard().await?;
        }
        let mut next = self.next_of(text, self.known.is_due(self.adapter.gate.now()));
        if matches!(next, Ok(Next::Look)) {
            self.look_again().await?;
            next = self.next_of(text, false);
        }
        let pieces = match next {
            Ok(Next::Pieces(pieces)) => pieces,
            Ok(Next::Reads(units)) => return self.read_all(text, units).await,
            Ok(Next::One(before, unit)) => return self.simple_one(before, &unit).await,
            Ok(Next::Nothing | Next::Look) => return self.send_as_it_is(text).await,
            Err(error) => {
                self.say_unreadable(&error, text).await?;
                return self.say_ready().await;
            }
        };
        let several = pieces.len() > 1;
        for (before, statement) in pieces {
            // Judged when its turn comes: the ones before it may have changed what its names mean.
            let Some(mut unit) = self.unit_of(&statement) else { continue };
            if self.known.stale && !unit.only_controls() {
                self.look_again().await?;
                unit = self.unit_of(&statement).unwrap_or(unit);
            }
            self.before = before;
            // Several statements of one text are a transaction to the server.
            let fits = !several || unit.is_read() || unit.judged.wrapping != Wrapping::Refuses;
            let went_on = if fits {
                self.one(&unit).await?
            } else {
                self.refuse_in_transaction(&unit).await?
            };
            if !went_on {
                // One that fails takes those before it with it.
                if self.place == Place::Ours {
                    self.roll_back().await?;
                }
                break;
            }
        }
        self.end_text().await
    }

    /// Carries the one statement of a text, which begins after `before` characters.
    async fn simple_one(&mut self, before: usize, unit: &Unit) -> Result<(), End> {
        self.before = before;
        if !self.one(unit).await? && self.place == Place::Ours {
            self.roll_back().await?;
        }
        self.end_text().await
    }

    async fn end_text(&mut self) -> Result<(), End> {
        self.before = 0;
        if self.place == Place::Ours {
            self.end_ours().await?;
        }
        self.say_ready().await
    }

    /// Says that a text cannot be read. A mistake is told in the server's own words: it is only asked to read the text.
    pub(crate) async fn say_unreadable(
        &mut self,
        error: &script::ScriptError,
        text: &str,
    ) -> Result<(), End> {
        let mistake = if error.is_syntax() {
            self.server.mistake_in(&self.departure, text).await?
        } else {
            None
        };
        let refused = self.refuse(Code::Unrecognized, error.to_string()).await;
        let Some(mistake) = mistake else {
            // What the server reads and the gateway cannot is nothing that it lets pass.
            return self.say_refused(&refused).await;
        };
        match self.place {
            Place::Ours => self.roll_back().await?,
            Place::Agents => self.place = Place::Failed,
            Place::Idle | Place::Failed => {}
        }
        self.pass_asides().await?;
        Ok(self.client.pass(&mistake).await?)
    }

    /// Sends a text without statements.
    async fn send_as_it_is(&mut self, text: &str) -> Result<(), End> {
        frontend::encode_query(self.server.output(), text);
        self.server.send(&self.departure).await?;
        self.relay().await?;
        self.say_ready().await
    }

    async fn read_all(&mut self, text: &str, units: Vec<Unit>) -> Result<(), End> {
        let mut leaves = Vec::with_capacity(units.len());
        for unit in &units {
            match self.permit(unit).await {
                Ok(leave) => leaves.push(leave),
                Err(refused) => {
                    self.say_refused(&refused).await?;
                    return self.say_ready().await;
                }
            }
        }
        frontend::encode_query(self.server.output(), text);
        if let Some(leave) = leaves.first() {
            self.server.send(&leave.departure).await?;
        }
        let ran = self.relay().await?;
        self.follow(ran.status);
        for leave in leaves {
            leave.in_flight.answered(ran.tag.is_none());
        }
        self.known.stale |= units.iter().any(|unit| changes_names(&unit.judged));
        self.say_ready().await
    }

    /// Carries one statement; returns whether the next one may follow.
    async fn one(&mut self, unit: &Unit) -> Result<bool, End> {
        if is_control(&unit.judged.kind) {
            return self.control(unit).await;
        }
        if self.place == Place::Failed {
            if unit.judged.kind == Kind::PrepareTransaction {
                return self.roll_back_unprepared().await;
            }
            self.say_error("25P02", ABORTED, None, None).await?;
            return Ok(false);
        }
        self.carry(unit).await
    }

    /// PREPARE TRANSACTION of a failed transaction, or of one that nobody began, rolls it back, and says so.
    async fn roll_back_unprepared(&mut self) -> Result<bool, End> {
        if self.place == Place::Ours {
            self.warn_of_no_transaction().await?;
        }
        frontend::encode_query(self.server.output(), "ROLLBACK");
        self.server.send(&Arc::clone(&self.departure)).await?;
        let ran = self.relay().await?;
        self.release_tag().await?;
        self.controlled(&Kind::Rollback { chain: false });
        self.follow(ran.status);
        Ok(ran.tag.is_some())
    }

    /// Carries a statement that is not transaction control, in the place that fits it.
    pub(crate) async fn carry(&mut self, unit: &Unit) -> Result<bool, End> {
        if self.place != Place::Idle && unit.judged.wrapping == Wrapping::Refuses && !unit.is_read()
        {
            return self.refuse_in_transaction(unit).await;
        }
        let leave = match self.permit(unit).await {
            Ok(leave) => leave,
            Err(refused) => {
                self.say_refused(&refused).await?;
                return Ok(false);
            }
        };
        if unit.is_read() {
            if unit.judged.locks {
                // Locking rows counts as writing to the server.
                if let Err(error) = self.open_transaction().await? {
                    return self.not_begun(leave, &error).await;
                }
            }
            return self.carry_read(unit, leave).await;
        }
        if unit.judged.kind == Kind::PrepareTransaction && self.place != Place::Agents {
            leave.in_flight.answered(false);
            return self.roll_back_unprepared().await;
        }
        match unit.judged.wrapping {
            // Inside of a transaction the server lets no procedure end it: it is held like all the rest.
            Wrapping::Refuses | Wrapping::MayCommit if self.place == Place::Idle => {
                self.carry_alone(unit, leave).await
            }
            _ => self.carry_in_transaction(unit, leave).await,
        }
    }

    /// Carries a change in a transaction: the one that is open, or one of the gateway's.
    async fn carry_in_transaction(&mut self, unit: &Unit, leave: Leave) -> Result<bool, End> {
        if self.place == Place::Idle && !self.is_hidden(unit) {
            return self.carry_begun(unit, leave).await;
        }
        if let Err(error) = self.open_transaction().await? {
            return self.not_begun(leave, &error).await;
        }
        if let Err(refused) = self.before_held(unit).await? {
            leave.in_flight.settle(killick_model::Outcome::NotSent { code: refused.code });
            self.say_refused(&refused).await?;
            return Ok(false);
        }
        self.carry_held(unit, leave).await
    }

    /// Passes on why the server began no transaction for a statement, which was not sent.
    pub(crate) async fn not_begun(&mut self, leave: Leave, error: &Bytes) -> Result<bool, End> {
        leave.in_flight.answered(true);
        self.client.pass(error).await?;
        Ok(false)
    }

    /// Refuses what the server would refuse itself inside of a transaction, as it does.
    async fn refuse_in_transaction(&mut self, unit: &Unit) -> Result<bool, End> {
        let what = killick_sql::mask::masked(&unit.said.text);
        let what = what.trim_end_matches(';');
        let why = format!("`{what}` cannot run inside a transaction block");
        self.refuse(Code::Forbidden, why.clone()).await;
        self.say_error("25001", &why, None, None).await?;
        Ok(false)
    }

    async fn carry_read(&mut self, unit: &Unit, leave: Leave) -> Result<bool, End> {
        let guarded = self.is_guarded(unit);
        let declares = matches!(unit.judged.kind, Kind::Declare { .. } | Kind::Session { .. });
        if guarded && !declares {
            self.guard(&leave.departure).await?;
        }
        frontend::encode_query(self.server.output(), &unit.said.text);
        self.server.send(&leave.departure).await?;
        let ran = self.relay().await?;
        self.follow(ran.status);
        if guarded && !declares {
            self.unguard(&leave.departure, ran.tag.is_some()).await?;
        }
        leave.in_flight.answered(ran.tag.is_none());
        if ran.tag.is_some() {
            self.done(unit).await?;
        }
        Ok(ran.tag.is_some())
    }

    /// Carries a statement whose effect is held until COMMIT in one write with the BEGIN before it.
    async fn carry_begun(&mut self, unit: &Unit, leave: Leave) -> Result<bool, End> {
        self.server.ask_begin(self.begin());
        frontend::encode_query(self.server.output(), &unit.said.text);
        self.server.send(&leave.departure).await?;
        if let Some(error) = self.begun().await? {
            // A standby: what was sent behind it is skipped up to Sync.
            frontend::encode_sync(self.server.output());
            self.server.send(&leave.departure).await?;
            self.hear_ready().await?;
            return self.not_begun(leave, &error).await;
        }
        self.place = Place::Ours;
        let ran = self.relay().await?;
        self.settle_held(unit, leave, ran).await
    }

    /// Carries a statement whose effect is held until COMMIT.
    async fn carry_held(&mut self, unit: &Unit, leave: Leave) -> Result<bool, End> {
        frontend::encode_query(self.server.output(), &unit.said.text);
        self.server.send(&leave.departure).await?;
        let ran = self.relay().await?;
        self.settle_held(unit, leave, ran).await
    }

    /// Books a held statement by what the server said of it.
    pub(crate) async fn settle_held(
        &mut self,
        unit: &Unit,
        leave: Leave,
        ran: Ran,
    ) -> Result<bool, End> {
        leave.in_flight.answered(ran.tag.is_none());
        let Some(tag) = ran.tag else {
            match self.place {
                Place::Ours => self.roll_back().await?,
                Place::Agents | Place::Idle | Place::Failed => self.follow(ran.status),
            }
            return Ok(false);
        };
        self.book(unit, &tag);
        self.done(unit).await?;
        if unit.judged.kind == Kind::PrepareTransaction {
            self.follow(ran.status);
        }
        Ok(true)
    }

    /// Carries a statement that no transaction can hold; it was judged as lasting.
    async fn carry_alone(&mut self, unit: &Unit, leave: Leave) -> Result<bool, End> {
        let default = |on: bool| {
            format!("SET default_transaction_read_only = {}", if on { "on" } else { "off" })
        };
        let change = self.change_under_way();
        if !self.state.reads_only {
            self.server.own(&leave.departure, &default(false)).await?;
        }
        frontend::encode_query(self.server.output(), &unit.said.text);
        self.server.send(&leave.departure).await?;
        let ran = self.relay().await?;
        change.answered();
        self.server.own(&leave.departure, &default(true)).await?;
        leave.in_flight.answered(ran.tag.is_none());
        self.work.wal = Wal::default();
        if ran.tag.is_some() {
            self.known.stale = true;
            self.done(unit).await?;
        }
        Ok(ran.tag.is_some())
    }

    /// Follows the server's own word for where it stands.
    pub(crate) fn follow(&mut self, status: u8) {
        match (status, self.place) {
            (b'I', Place::Agents | Place::Failed | Place::Ours) => self.transaction_over(),
            (b'E', Place::Agents) => self.place = Place::Failed,
            // It goes on, so that its COMMIT is one for the gate.
            (b'T', Place::Failed) => self.place = Place::Agents,
            _ => {}
        }
    }

    /// Takes in what a statement changed about the session, once the server has confirmed it.
    pub(crate) async fn done(&mut self, unit: &Unit) -> Result<(), End> {
        self.take_in(unit);
        if let Kind::Session { settings, .. } = &unit.judged.kind {
            self.settings_changed(settings).await?;
        }
        Ok(())
    }

    /// Takes in what a confirmed statement made, prepared, or set.
    pub(crate) fn take_in(&mut self, unit: &Unit) {
        for touch in unit.judged.touches.iter().filter(|it| it.group == Group::Create) {
            let table = touch.object.kind == "table" && touch.object.oid.is_none();
            if table && self.place != Place::Idle {
                self.note_made(&touch.object.name);
            }
        }
        self.state.apply(&unit.judged);
        self.known.stale |= changes_names(&unit.judged);
        // Names are shared between SQL and the protocol: what one makes or drops, the other sees.
        match &unit.judged.kind {
            Kind::Deallocate { name: None } => self.statements.clear(),
            Kind::Deallocate { name: Some(name) } | Kind::Prepare { name, .. } => {
                self.statements.remove(name);
            }
            _ => {}
        }
    }

    /// Passes the server's answer on, up to `ReadyForQuery`, which stays here.
    pub(crate) async fn relay(&mut self) -> Result<Ran, End> {
        let mut ran = Ran { tag: None, status: b'I' };
        let mut failed = false;
        loop {
            let (tag, bytes) = match self.piece().await? {
                Piece::Rows(bytes) => {
                    self.release_tag().await?;
                    self.client.pass(&bytes).await?;
                    continue;
                }
                Piece::Message(tag, bytes) => (tag, bytes),
            };
            if !matches!(tag, b'Z' | b'S' | b'A') {
                // The statement before this one has ended, so its tag comes first.
                self.release_tag().await?;
            }
            match tag {
                b'Z' => {
                    ran.status = bytes.get(5).copied().unwrap_or(b'I');
                    if failed {
                        ran.tag = None;
                    }
                    return Ok(ran);
                }
                b'C' => {
                    ran.tag = backend::command_tag(&bytes).map(str::to_owned);
                    // The last one of a text waits for COMMIT.
                    if self.place == Place::Ours {
                        self.held_tag = Some(bytes);
                    } else {
                        self.client.pass(&bytes).await?;
                    }
                }
                // A function called by its number answers without a tag.
                b'I' | b'V' => {
                    ran.tag = Some(String::new());
                    self.client.pass(&bytes).await?;
                }
                b'E' => {
                    failed = true;
                    self.pass_error(&bytes).await?;
                }
                b'G' => {
                    self.client.pass(&bytes).await?;
                    if let Some(error) = self.copy_in().await? {
                        failed = true;
                        self.pass_error(&error).await?;
                    }
                }
                b'N' | b'A' | b'S' => self.aside(tag, &bytes).await?,
                _ => self.client.pass(&bytes).await?,
            }
        }
    }

    /// Passes an error on; the place that it names is one in the agent's whole text.
    async fn pass_error(&mut self, error: &Bytes) -> Result<(), End> {
        let moved = backend::moved_error(error, self.before);
        self.pass_failure(moved.as_ref().unwrap_or(error)).await
    }

    /// Passes the agent's COPY data on until it ends, or the server has had enough: then its error is returned, and
    /// what the agent still sends is dropped by the engine's loop.
    pub(crate) async fn copy_in(&mut self) -> Result<Option<Bytes>, End> {
        self.client.flush().await?;
        self.turn.at_server(true);
        let ended = self.copy_data().await;
        self.turn.at_server(false);
        ended
    }

    async fn copy_data(&mut self) -> Result<Option<Bytes>, End> {
        loop {
            self.look_if_due().await;
            let frame = tokio::select! {
                frame = self.client.next() => frame?,
                piece = self.server.next() => match piece? {
                    Piece::Message(b'E', bytes) => return Ok(Some(bytes)),
                    Piece::Message(tag, bytes) => {
                        self.aside(tag, &bytes).await?;
                        continue;
                    }
                    Piece::Rows(_) => {
                        return Err(ServerError::Nonsense("rows inside of COPY".into()).into());
                    }
                },
            };
            match frame.tag {
                b'd' => self.server.pass(&self.departure, &frame.bytes()).await?,
                b'c' | b'f' => {
                    self.server.pass(&self.departure, &frame.bytes()).await?;
                    return Ok(None);
                }
                // Flush and Sync mean nothing here.
                b'H' | b'S' => {}
                tag => return Err(End::Nonsense(format!("message {tag} inside of COPY"))),
            }
        }
    }
}

/// Returns a statement of the simple protocol as it was said.
pub(crate) fn simple_said(text: &str) -> Said {
    Said { text: text.to_owned(), values: Vec::new(), formats: Vec::new(), types: Vec::new() }
}
