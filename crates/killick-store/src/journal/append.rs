//! How entries come in: encoded by the caller, put in order, waited for.

use std::sync::Arc;
use std::time::Duration;

use killick_tlog::{Entry, Header};
use tokio::sync::oneshot;

use super::details::SessionKey;
use super::error::JournalError;
use super::queue::{Ask, Encoded, Pushed, RESERVED_OUTCOME_BYTES};
use super::{Appended, Durability, Journal, NewEntry, Shared, quota};

/// Space set aside for one outcome. Dropped unsettled, it gives the space back.
#[must_use = "settle the reservation with the outcome of the call"]
pub struct Reservation {
    shared: Arc<Shared>,
    is_spent: bool,
}

impl Journal {
    /// Appends an entry.
    ///
    /// # Errors
    /// The entry is not on the record, or not known to be: nothing may happen that needed it.
    pub async fn append(
        &self,
        new: NewEntry,
        durability: Durability,
    ) -> Result<Appended, JournalError> {
        let shared = &self.inner.shared;
        if let Some(refusal) = shared.queue.refusal() {
            return Err(refusal);
        }
        if let Some(agent) = new.header.agent.as_deref().filter(|_| quota::counts(new.header.kind))
        {
            shared.quota.spend(agent, (shared.clock)())?;
        }
        let key = shared.key_for(&new).await?;
        let encoded = shared.encode(new, key.as_deref())?;
        let ask = match durability {
            Durability::Durable => Ask::Wait,
            Durability::Bounded => Ask::PromiseOrWait,
        };
        let limit = shared.durable_wait_max;
        let appended = tokio::time::timeout(limit, shared.push(encoded, ask)).await;
        appended.map_err(|_| slow(limit))?
    }

    /// Sets space aside for the outcome of a call that is about to be sent.
    ///
    /// # Errors
    /// There is no space, or the record takes nothing: the call must not be sent.
    pub fn reserve(&self) -> Result<Reservation, JournalError> {
        self.inner.shared.queue.reserve()?;
        Ok(Reservation { shared: Arc::clone(&self.inner.shared), is_spent: false })
    }

    /// Puts an outcome in order, in the space that was set aside for it; durable within 50 ms.
    ///
    /// It can be called from `Drop` and does not wait for the disk. Details that do not fit the space are left out.
    ///
    /// # Errors
    /// The record failed since; the call stays without an outcome, which counts as unknown.
    pub fn settle(reservation: Reservation, new: NewEntry) -> Result<(), JournalError> {
        reservation.settle(new)
    }
}

impl Reservation {
    /// Puts an outcome in order, as [`Journal::settle`] does.
    ///
    /// # Errors
    /// The record failed since.
    pub fn settle(mut self, new: NewEntry) -> Result<(), JournalError> {
        let shared = Arc::clone(&self.shared);
        let encoded = match shared.encode_with_any_key(&new) {
            Ok(encoded) if encoded.len_bytes_max() <= RESERVED_OUTCOME_BYTES => encoded,
            // Longer than what was set aside: with the rest of the disk, if there is any.
            Ok(encoded) => match shared.queue.push(encoded, Ask::Promise)? {
                Pushed::Promised(_) => return Ok(()),
                Pushed::Wait(_) | Pushed::Back(_) => shared.encode_short(new)?,
            },
            Err(_) => shared.encode_short(new)?,
        };
        self.is_spent = true;
        shared.queue.push_reserved(encoded)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_spent {
            self.shared.queue.release();
        }
    }
}

impl Shared {
    async fn push(&self, mut encoded: Encoded, ask: Ask) -> Result<Appended, JournalError> {
        loop {
            // Listens before it asks, so that place made in between is not missed.
            let place = self.place.notified();
            match self.queue.push(encoded, ask)? {
                Pushed::Promised(appended) => return Ok(appended),
                Pushed::Wait(receiver) => return self.wait(receiver).await,
                Pushed::Back(back) => encoded = back,
            }
            place.await;
        }
    }

    async fn wait(
        &self,
        receiver: oneshot::Receiver<Result<Appended, JournalError>>,
    ) -> Result<Appended, JournalError> {
        receiver.await.unwrap_or_else(|_| Err(JournalError::Failed("the writer ended".into())))
    }

    /// Returns the key that the details of an entry need, if it has details.
    async fn key_for(
        self: &Arc<Self>,
        new: &NewEntry,
    ) -> Result<Option<Arc<SessionKey>>, JournalError> {
        if new.details.is_none() && new.written.is_none() {
            return Ok(None);
        }
        let session = new.header.session.as_deref().unwrap_or_default();
        if let Some(key) = self.keys.held(session) {
            return Ok(Some(key));
        }
        let (shared, session) = (Arc::clone(self), session.to_owned());
        let made = tokio::task::spawn_blocking(move || shared.keys.of_session(&session));
        let limit = self.durable_wait_max;
        let made = tokio::time::timeout(limit, made).await.map_err(|_| slow(limit))?;
        made.map_err(|_| JournalError::Closed)?.map(Some)
    }

    /// Encodes an entry, with its details if a key can be had without waiting for long.
    fn encode_with_any_key(&self, new: &NewEntry) -> Result<Encoded, JournalError> {
        let session = new.header.session.as_deref().unwrap_or_default();
        let has_details = new.details.is_some() || new.written.is_some();
        let key = has_details.then(|| self.keys.of_session(session)).transpose()?;
        self.encode(new.clone(), key.as_deref())
    }

    /// Encodes what an outcome cannot do without.
    fn encode_short(&self, new: NewEntry) -> Result<Encoded, JournalError> {
        let NewEntry { header, .. } = new;
        let bare = |header| NewEntry { header, details: None, written: None };
        let whole = self.encode(bare(header.clone()), None)?;
        if whole.len_bytes_max() <= RESERVED_OUTCOME_BYTES {
            return Ok(whole);
        }
        let short = Header {
            call: header.call,
            session: header.session,
            agent: header.agent,
            outcome: header.outcome,
            reason: header.reason,
            ..Header::new(header.kind)
        };
        self.encode(bare(short), None)
    }

    fn encode(&self, new: NewEntry, key: Option<&SessionKey>) -> Result<Encoded, JournalError> {
        let mut sealed = Vec::new();
        let mut details_commitment = None;
        let details = match (new.written, &new.details) {
            (Some(written), _) => Some(written.into_bytes()),
            (None, Some(details)) => {
                Some(serde_json::to_vec(details).map_err(|_| JournalError::Details)?)
            }
            (None, None) => None,
        };
        if let (Some(details), Some(key)) = (details, key) {
            let (commitment, bytes) = key.seal(&details)?;
            sealed = bytes;
            details_commitment = Some(commitment);
        }
        let entry = Entry {
            tenant: self.tenant.clone(),
            node: self.node.clone(),
            time_unix_ms: 0,
            header: new.header.fitted(),
            details_commitment,
        };
        Ok(Encoded { entry: entry.into_timeless()?, sealed })
    }
}

fn slow(limit: Duration) -> JournalError {
    JournalError::Slow { wait_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
}
