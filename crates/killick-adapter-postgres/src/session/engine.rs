//! The loop: what the agent says, one message after the other, until it leaves or is cut off.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::{BufMut as _, Bytes};
use killick_gate::{Departure, LiveSession};
use killick_model::database::Database;
use killick_model::{Code, Refusal};
use killick_sql::judge::SessionState;

use super::adapter::PostgresAdapter;
use super::answers::{Expected, Portal};
use super::cancel::{Cancel, Turn};
use super::client::{Client, ClientError};
use super::extended::Prepared;
use super::refusal;
use super::server::{Piece, Server, ServerError};
use super::transaction::{Place, Work};
use crate::inspect::Known;
use crate::wire::backend;
use crate::wire::frontend::{self, Message};

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The agent said goodbye or went away.
    Left,
    /// The server went away.
    ServerGone,
    /// The agent spoke nonsense.
    Nonsense(String),
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Gone => Self::Left,
            ClientError::Nonsense(what) => Self::Nonsense(what),
        }
    }
}

impl From<ServerError> for End {
    fn from(error: ServerError) -> Self {
        if !matches!(error, ServerError::Gone) {
            tracing::warn!(%error, "a session with a database server broke");
        }
        Self::ServerGone
    }
}

/// One agent's session at one database.
pub(crate) struct Session {
    pub(crate) adapter: Arc<PostgresAdapter>,
    pub(crate) live: Arc<LiveSession>,
    pub(crate) database: Arc<Database>,
    /// The login's own right to the stream; transaction control other than COMMIT goes under it.
    pub(crate) departure: Arc<Departure>,
    pub(crate) client: Client,
    pub(crate) server: Server,
    pub(crate) known: Known,
    pub(crate) state: SessionState,
    /// The command tag of a statement in the gateway's own transaction: told when the transaction lasts.
    pub(crate) held_tag: Option<Bytes>,
    /// Whether reads are guarded inside of the agent's transaction, in the extended protocol.
    pub(crate) guarded: bool,
    /// Whether the agent set something that the gateway sets anew when the session's settings go back.
    pub(crate) expected: VecDeque<Expected>,
    pub(crate) place: Place,
    /// Characters of the agent's text before the statement that runs.
    pub(crate) before: usize,
    pub(crate) work: Work,
    pub(crate) statements: HashMap<String, Arc<Prepared>>,
    pub(crate) portals: HashMap<String, Arc<Portal>>,
    /// Whether rows of a guarded read are still to be fetched.
    pub(crate) fetching: bool,
    pub(crate) turn: Arc<Turn>,
    pub(crate) cancel: Arc<Cancel>,
    /// Whether something that changes something was sent since the agent was told that it is ready.
    pub(crate) writes: bool,
    /// Whether messages of the extended protocol were sent since the last Sync.
    pub(crate) unsynced: bool,
    /// After an error in the extended protocol everything is skipped until Sync.
    pub(crate) skipping: bool,
}

impl Session {
    /// Serves the agent until it leaves.
    pub(crate) async fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.step().await {
                return end;
            }
        }
    }

    async fn step(&mut self) -> Result<(), End> {
        let frame = if let Some(frame) = self.client.ready()? {
            frame
        } else {
            self.client.flush().await?;
            self.wait().await?
        };
        let message = match frontend::decode(&frame) {
            Ok(message) => message,
            Err(error) => return Err(End::Nonsense(error.to_string())),
        };
        let left_over =
            matches!(message, Message::CopyData | Message::CopyDone | Message::CopyFail);
        if !left_over {
            self.turn.begins();
        }
        match message {
            Message::Query { sql } => self.simple(&sql).await,
            Message::Terminate => Err(End::Left),
            Message::FunctionCall { oid, arguments } => {
                self.function_call(oid, arguments, &frame.bytes()).await
            }
            // Left over from a COPY that the server ended.
            Message::CopyData | Message::CopyDone | Message::CopyFail => Ok(()),
            Message::Password => Err(End::Nonsense("a password where none was asked for".into())),
            Message::Parse { .. }
            | Message::Bind(_)
            | Message::Describe { .. }
            | Message::Execute { .. }
            | Message::Close { .. }
            | Message::Sync
            | Message::Flush => self.extended(message, frame.bytes().len()).await,
        }
    }

    /// Looks whether what is known of the database still holds, when it is time.
    pub(crate) async fn look_again(&mut self) -> Result<(), End> {
        let now = self.adapter.gate.now();
        if self.place == Place::Failed || !self.known.is_due(now) {
            return Ok(());
        }
        let shared = self.place == Place::Idle;
        self.known
            .renew(
                &self.adapter.catalogues,
                &self.database.name,
                &mut self.server,
                &self.departure,
                now,
                shared,
            )
            .await?;
        self.state.uncertain = false;
        if shared {
            // What was made is in the catalogue from here on.
            self.state.made.clear();
        }
        Ok(())
    }

    /// Returns what an approval is bound to beside the statements: what names mean, and as whom they run.
    pub(crate) fn settings(&self) -> Arc<BTreeMap<String, String>> {
        self.known.settings()
    }

    /// Takes in that settings of the session changed: names may mean something else from here on, and the gateway's
    /// own settings are set anew where they may have gone.
    pub(crate) async fn settings_changed(&mut self, settings: &[String]) -> Result<(), End> {
        self.known.stale |= super::texts::names_may_change(settings);
        if settings.is_empty() {
            for sql in super::connect::own_settings(&self.database) {
                self.server.own(&self.departure, &sql).await?;
            }
        }
        Ok(())
    }

    /// Carries a function called by its number: judged as the same call in SQL.
    async fn function_call(
        &mut self,
        oid: u32,
        arguments: usize,
        frame: &Bytes,
    ) -> Result<(), End> {
        self.drain().await?;
        if self.skipping {
            return Ok(());
        }
        if self.guarded {
            self.end_guard().await?;
        }
        if self.place == Place::Failed {
            self.say_error("25P02", super::simple::ABORTED, None, None).await?;
            return self.say_ready().await;
        }
        self.look_again().await?;
        let catalogue = self.known.catalogue();
        let Some(function) = catalogue.functions.get(&oid) else {
            let refused = self
                .refuse(Code::Unrecognized, format!("function {oid} is not in the catalogue"))
                .await;
            self.say_refused(&refused).await?;
            return self.say_ready().await;
        };
        let quote = |name: &str| name.replace('"', "\"\"");
        let nulls = vec!["NULL"; arguments].join(", ");
        let text = format!(
            "SELECT \"{}\".\"{}\"({nulls}) /* by its number, {} */",
            quote(&function.schema),
            quote(&function.name),
            super::call::hex_digest(frame),
        );
        let Some(unit) = self.unit_of(&text) else {
            return Err(End::Nonsense("a function whose name cannot be written".into()));
        };
        match self.permit(&unit).await {
            Err(refused) => self.say_refused(&refused).await?,
            Ok(leave) => {
                if !unit.is_read() {
                    if let Err(error) = self.open_transaction().await? {
                        self.not_begun(leave, &error).await?;
                        return self.say_ready().await;
                    }
                    if let Err(refused) = self.before_held(&unit).await? {
                        leave
                            .in_flight
                            .settle(killick_model::Outcome::NotSent { code: refused.code });
                        self.say_refused(&refused).await?;
                        return self.say_ready().await;
                    }
                }
                let guarded = self.is_guarded(&unit);
                if guarded {
                    self.guard(&leave.departure).await?;
                }
                self.server.output().extend_from_slice(frame);
                self.server.send(&leave.departure).await?;
                let ran = self.relay().await?;
                if unit.is_read() {
                    self.follow(ran.status);
                    if guarded {
                        self.unguard(&leave.departure, ran.tag.is_some()).await?;
                    }
                    super::unit::Settle::answered(leave.in_flight, ran.tag.is_none());
                } else {
                    self.settle_held(&unit, leave, ran).await?;
                }
            }
        }
        if self.place == Place::Ours {
            self.end_ours().await?;
        }
        self.say_ready().await
    }

    /// Waits for the agent's next message, passing on what the server says unasked.
    async fn wait(&mut self) -> Result<crate::wire::frame::Frame, End> {
        loop {
            let aside = tokio::select! {
                frame = self.client.next() => return Ok(frame?),
                piece = self.server.next() => piece?,
            };
            match aside {
                Piece::Message(tag, bytes) => {
                    self.aside(tag, &bytes).await?;
                    self.client.flush().await?;
                }
                Piece::Rows(_) => {
                    return Err(ServerError::Nonsense("rows that nobody asked for".into()).into());
                }
            }
        }
    }

    /// Passes on a message that answers nothing: a notice, a notification, a setting.
    pub(crate) async fn aside(&mut self, tag: u8, bytes: &Bytes) -> Result<(), End> {
        match tag {
            b'N' | b'A' | b'E' => self.client.pass(bytes).await?,
            b'S' => {
                // The default of read-only is the gateway's own; the agent sees what holds for it.
                if let Some((name, _)) = backend::parameter(bytes)
                    && name != "default_transaction_read_only"
                {
                    self.client.pass(bytes).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Passes on what came between the gateway's own statements.
    pub(crate) async fn pass_asides(&mut self) -> Result<(), End> {
        for bytes in std::mem::take(&mut self.server.asides) {
            let tag = bytes.first().copied().unwrap_or_default();
            self.aside(tag, &bytes).await?;
        }
        Ok(())
    }

    /// Tells the agent that it is ready, in the state that it knows.
    pub(crate) async fn say_ready(&mut self) -> Result<(), End> {
        self.pass_asides().await?;
        let lifted = self
            .server
            .parameters
            .get("default_transaction_read_only")
            .is_some_and(|value| value == "off");
        if lifted && self.place == Place::Idle {
            // Whatever lifted it: the next read is guarded again.
            self.server.own(&self.departure, "SET default_transaction_read_only = on").await?;
        }
        let status = match self.place {
            Place::Idle | Place::Ours => b'I',
            Place::Agents => b'T',
            Place::Failed => b'E',
        };
        self.turn.ends();
        self.writes = false;
        let out = self.client.output();
        out.put_u8(b'Z');
        out.put_u32(5);
        out.put_u8(status);
        Ok(())
    }

    /// Writes a refusal to the agent. The transaction that it stands in fails, as it would at the server.
    pub(crate) async fn say_refused(&mut self, refused: &Refusal) -> Result<(), End> {
        let fields = refusal::fields(refused);
        self.say_error(fields.sqlstate, &fields.message, Some(&fields.detail), Some(&fields.hint))
            .await
    }

    /// Writes an error of the gateway's own; the transaction fails as it would at the server.
    pub(crate) async fn say_error(
        &mut self,
        sqlstate: &str,
        message: &str,
        detail: Option<&str>,
        hint: Option<&str>,
    ) -> Result<(), End> {
        self.fail_transaction().await?;
        self.pass_asides().await?;
        backend::encode_error(self.client.output(), "ERROR", sqlstate, message, detail, hint);
        Ok(())
    }

    /// Makes the open transaction fail: the gateway's is rolled back, the agent's is left for it to end.
    pub(crate) async fn fail_transaction(&mut self) -> Result<(), End> {
        match self.place {
            Place::Idle | Place::Failed => {}
            Place::Ours => self.roll_back().await?,
            Place::Agents => {
                // No savepoint has this name: the server itself lets the transaction fail and drops its locks.
                match self
                    .server
                    .own(&self.departure, "ROLLBACK TO SAVEPOINT _killick_refused")
                    .await
                {
                    Err(ServerError::Refused { .. }) => self.place = Place::Failed,
                    // It did not fail, so it must not go on.
                    Ok(_) => self.roll_back().await?,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Rolls back and forgets what was done.
    pub(crate) async fn roll_back(&mut self) -> Result<(), End> {
        // A server that refuses even this is left: nobody knows where it stands.
        self.server.own(&self.departure, "ROLLBACK").await?;
        self.transaction_over();
        Ok(())
    }

    /// Forgets the transaction that has ended.
    pub(crate) fn transaction_over(&mut self) {
        self.held_tag = None;
        self.guarded = false;
        self.fetching = false;
        self.place = Place::Idle;
        self.known.stale |= self.work.ddl;
        self.known.is_over();
        self.work = Work::default();
        self.portals.clear();
        // One WITH HOLD has run what it stands for by now.
        self.state.cursors.clear();
    }

    /// Opens the gateway's own transaction, unless one is open. A standby begins none that may write: its error is
    /// returned inside.
    pub(crate) async fn open_transaction(&mut self) -> Result<Result<(), Bytes>, End> {
        if self.place == Place::Idle {
            match self.server.own(&self.departure, self.begin()).await {
                Ok(_) => self.place = Place::Ours,
                Err(ServerError::Refused { frame, .. }) => return Ok(Err(frame)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Ok(()))
    }

    /// Returns how the gateway's own transaction begins.
    pub(crate) fn begin(&self) -> &'static str {
        if self.state.reads_only { "BEGIN READ ONLY" } else { "BEGIN READ WRITE" }
    }

    /// Refuses something by its code and writes that on the record.
    pub(crate) async fn refuse(&mut self, code: Code, because: String) -> Refusal {
        let refusal = Refusal::new(code, because);
        let nothing = serde_json::Value::Null;
        self.adapter.gate.refuse(Some(&self.live), None, refusal, nothing).await
    }
}
