//! The server's answers to the extended protocol, each matched with what it answers.

use std::sync::Arc;

use bytes::Bytes;
use killick_gate::InFlight;
use killick_sql::judged::Kind;
use parking_lot::Mutex;

use super::engine::{End, Session};
use super::extended::Prepared;
use super::server::{Piece, Server, ServerError};
use super::unit::{Settle as _, Unit, is_control};
use crate::wire::{backend, frontend};

/// Statements that a session may have prepared.
const STATEMENTS_MAX: usize = 10_000;

/// A statement with its values, at the server.
pub(crate) struct Portal {
    pub(crate) unit: Unit,
    /// Taken at its first answer: what it did is booked then, once.
    in_flight: Mutex<Option<InFlight>>,
    /// Whether it reads under a guard and must not go on without.
    pub(crate) guarded: bool,
}

impl Portal {
    pub(crate) fn of_control(unit: Unit) -> Arc<Self> {
        Arc::new(Self { unit, in_flight: Mutex::new(None), guarded: false })
    }

    pub(crate) fn bound(unit: Unit, in_flight: InFlight, guarded: bool) -> Arc<Self> {
        Arc::new(Self { unit, in_flight: Mutex::new(Some(in_flight)), guarded })
    }

    fn failed(&self) {
        if let Some(in_flight) = self.in_flight.lock().take() {
            in_flight.answered(true);
        }
    }
}

/// An answer of the server that is due.
pub(crate) enum Expected {
    Parse(String, Arc<Prepared>),
    Bind,
    Describe,
    /// The name of a statement, or none for a portal.
    Close(Option<String>),
    /// The portal itself, since its name may stand for another one by the time of the answer.
    Execute(Arc<Portal>),
}

impl Session {
    /// Takes answers in until the server is ready, and returns its state.
    pub(crate) async fn hear_ready(&mut self) -> Result<u8, End> {
        loop {
            let piece = self.piece().await?;
            if let Piece::Message(b'Z', bytes) = &piece {
                self.expected.clear();
                self.unsynced = false;
                return Ok(bytes.get(5).copied().unwrap_or(b'I'));
            }
            self.heard(piece).await?;
        }
    }

    /// Takes one answer in and passes it on; returns a command tag.
    pub(crate) async fn hear(&mut self) -> Result<Option<String>, End> {
        let piece = self.piece().await?;
        self.heard(piece).await
    }

    /// Awaits what the server says to the agent's own statement, which can be cancelled while it runs.
    pub(crate) async fn piece(&mut self) -> Result<Piece, End> {
        if let Some(piece) = self.server.ready()? {
            self.goes_on_behind(&piece).await;
            return Ok(piece);
        }
        self.turn.at_server(true);
        let piece = if self.writes {
            self.watched(async |server| server.next().await).await
        } else {
            tokio::select! {
                piece = self.server.next() => piece.map_err(End::from),
                gone = self.client.gone() => Err(gone.into()),
            }
        };
        self.turn.at_server(false);
        if let Ok(piece) = &piece {
            self.goes_on_behind(piece).await;
        }
        piece
    }

    /// Looks after a statement that says something and goes on.
    async fn goes_on_behind(&mut self, piece: &Piece) {
        let aside = matches!(piece, Piece::Rows(_) | Piece::Message(b'N' | b'A' | b'S', _));
        if self.writes && aside {
            self.look_if_due().await;
        }
    }

    /// Awaits the answers to BEGIN. The server keeps them back until the statement that was sent with it has begun to
    /// answer, so that this is the time in which that runs and can be cancelled.
    /// Returns the server's error where it begins no transaction that may write.
    pub(crate) async fn begun(&mut self) -> Result<Option<Bytes>, End> {
        self.turn.at_server(true);
        let begun = async |server: &mut Server| match server.begun().await {
            Ok(()) => Ok(None),
            Err(ServerError::Refused { frame, .. }) => Ok(Some(frame)),
            Err(error) => Err(error),
        };
        let begun = self.watched(begun).await;
        self.turn.at_server(false);
        begun
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
            b'E' => self.series_failed(&bytes).await?,
            b'1' => {
                if let Some(Expected::Parse(name, prepared)) = self.expected.pop_front()
                    && self.statements.len() < STATEMENTS_MAX
                {
                    self.statements.insert(name, prepared);
                }
                self.client.pass(&bytes).await?;
            }
            b'3' => {
                if let Some(Expected::Close(Some(name))) = self.expected.pop_front() {
                    self.statements.remove(&name);
                }
                self.client.pass(&bytes).await?;
            }
            b'2' | b'T' | b'n' => {
                self.expected.pop_front();
                self.client.pass(&bytes).await?;
            }
            b'G' => {
                self.client.pass(&bytes).await?;
                if let Some(error) = self.copy_in().await? {
                    self.series_failed(&error).await?;
                } else {
                    // The server keeps its answer back until it is asked for.
                    frontend::encode_flush(self.server.output());
                    self.server.send(&Arc::clone(&self.departure)).await?;
                }
            }
            b'C' | b'I' | b's' => return self.executed(tag, &bytes).await,
            _ => self.client.pass(&bytes).await?,
        }
        Ok(None)
    }

    /// Takes an error in: the server skips everything up to Sync.
    async fn series_failed(&mut self, error: &Bytes) -> Result<(), End> {
        self.skipping = true;
        for expected in self.expected.drain(..) {
            if let Expected::Execute(portal) = expected {
                portal.failed();
            }
        }
        for portal in self.portals.values() {
            portal.failed();
        }
        self.pass_failure(error).await
    }

    async fn executed(&mut self, tag: u8, bytes: &Bytes) -> Result<Option<String>, End> {
        self.client.pass(bytes).await?;
        let Some(Expected::Execute(portal)) = self.expected.pop_front() else {
            return Err(ServerError::Nonsense("the end of what was not executed".into()).into());
        };
        let said = match tag {
            b'C' => backend::command_tag(bytes).unwrap_or_default(),
            _ => "",
        };
        self.fetching = self.guarded && tag == b's';
        let unit = &portal.unit;
        if is_control(&unit.judged.kind) {
            if !matches!(unit.judged.kind, Kind::Commit { .. }) {
                self.controlled(&unit.judged.kind);
            }
        } else if let Some(in_flight) = portal.in_flight.lock().take() {
            // One that stops at its row limit has done all that it does, or its rows are counted at COMMIT.
            in_flight.answered(false);
            self.book(unit, said);
            self.take_in(unit);
        }
        Ok((tag != b's').then(|| said.to_owned()))
    }
}
