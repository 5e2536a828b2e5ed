//! The clockwork of parked calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use killick_gate::adapter::Adapter;
use killick_gate::ports::StoreError;
use killick_gate::{Blocking as _, Due, Gate, LiveSession};
use killick_model::record::{Draft, Kind};
use killick_model::request::{AccessRequest, Pending, PendingState, RequestState};
use killick_model::{Code, Outcome, PendingId, Refusal};

/// How often it is looked for calls whose time has come.
pub const TICK_MILLIS: u64 = 250;

/// Parked calls and requests that are looked at in one tick.
const ROWS_PER_TICK_MAX: usize = 10_000;

/// Sends parked calls when they are due, and approved ones when a human chose to have them sent.
pub struct Deferrals {
    gate: Arc<Gate>,
    adapters: HashMap<&'static str, Arc<dyn Adapter>>,
}

/// What cancelling found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited, and is cancelled.
    Yes,
    /// It did not wait any more.
    TooLate(PendingState),
}

impl Deferrals {
    /// Builds the clockwork over the adapters that can revive calls.
    #[must_use]
    pub fn new(gate: Arc<Gate>, adapters: impl IntoIterator<Item = Arc<dyn Adapter>>) -> Self {
        let adapters = adapters.into_iter().map(|adapter| (adapter.name(), adapter)).collect();
        Self { gate, adapters }
    }

    /// Settles what an earlier run of the gateway left in the middle: nobody knows what became of it.
    ///
    /// # Errors
    /// The store or the record fails; the gateway must not start.
    pub async fn settle_interrupted(&self) -> Result<usize, StoreError> {
        let all = self.gate.on_store(|store| store.pendings(ROWS_PER_TICK_MAX)).await?;
        let mut count = 0;
        for pending in all.iter().filter(|pending| pending.state == PendingState::Sending) {
            self.note(pending, "unknown", None).await?;
            self.shift(&pending.id, PendingState::Sending, PendingState::Unknown).await?;
            count += 1;
        }
        Ok(count)
    }

    /// Runs until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut tick = tokio::time::interval(Duration::from_millis(TICK_MILLIS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.turn().await {
                tracing::error!(%error, "parked calls could not be looked at");
            }
        }
    }

    /// Sends everything whose time has come.
    ///
    /// # Errors
    /// The store fails; what is parked stays parked.
    pub async fn turn(self: &Arc<Self>) -> Result<(), StoreError> {
        let now = self.gate.now();
        let all = self.gate.on_store(|store| store.pendings(ROWS_PER_TICK_MAX)).await?;
        for pending in all {
            if pending.state == PendingState::Waiting && pending.due <= now {
                self.send(pending).await?;
            }
        }
        let requests = self.gate.on_store(|store| store.requests(ROWS_PER_TICK_MAX)).await?;
        for request in requests {
            if request.state == RequestState::Approved
                && request.send_when_approved
                && request.expires > now
            {
                self.send_approved(request).await?;
            }
        }
        Ok(())
    }

    async fn send(self: &Arc<Self>, mut pending: Pending) -> Result<(), StoreError> {
        let id = pending.id.clone();
        if !self.shift(&id, PendingState::Waiting, PendingState::Sending).await? {
            // Cancelled in this very moment.
            return Ok(());
        }
        pending.state = PendingState::Sending;
        self.note(&pending, "due", None).await?;
        let key = id.clone();
        let canonical = self.gate.on_store(move |store| store.pending_canonical(&key)).await?;
        let Some(adapter) = self.adapters.get(pending.adapter.as_str()).map(Arc::clone) else {
            self.shift(&id, PendingState::Sending, PendingState::Refused).await?;
            return Ok(());
        };
        let live = self.live(&pending);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let due = Due { pending: pending.clone() };
            let sent = match live {
                Ok(live) => adapter.revive(&live, canonical, Some(due)).await,
                Err(refusal) => Err(refusal),
            };
            if let Err(error) = this.settle(&pending, &sent).await {
                tracing::error!(%error, pending = %pending.id, "a parked call could not be settled");
            }
        });
        Ok(())
    }

    /// The session of a parked call may have run out in the meantime; frozen or closed it may not be.
    fn live(&self, pending: &Pending) -> Result<LiveSession, Refusal> {
        let principal = Arc::new(pending.principal.clone());
        let lifeline = self.gate.standings().lifeline(&principal.agent, &principal.chain);
        lifeline
            .check()
            .map_err(|code| Refusal::new(code, "the agent was frozen or its session closed"))?;
        Ok(LiveSession { principal, lifeline })
    }

    async fn settle(
        &self,
        pending: &Pending,
        sent: &Result<Outcome, Refusal>,
    ) -> Result<(), StoreError> {
        let (state, word) = match sent {
            Ok(Outcome::Answered { failed: false, .. }) => (PendingState::Sent, "sent"),
            Ok(Outcome::Answered { failed: true, .. }) => (PendingState::Sent, "failed"),
            Ok(Outcome::Unknown | Outcome::Cut) => (PendingState::Unknown, "unknown"),
            Err(refusal) if refusal.code == Code::UpstreamUnreachable => {
                (PendingState::Unknown, "unknown")
            }
            Ok(Outcome::NotSent { .. }) | Err(_) => (PendingState::Refused, "refused"),
        };
        self.note(pending, word, sent.as_ref().err()).await?;
        self.shift(&pending.id, PendingState::Sending, state).await?;
        Ok(())
    }

    async fn send_approved(self: &Arc<Self>, request: AccessRequest) -> Result<(), StoreError> {
        // The flag is taken back first, so that one approval is tried once.
        let id = request.id.clone();
        let claimed = self.gate.on_store(move |store| store.request_claim_sending(&id)).await?;
        if !claimed {
            return Ok(());
        }
        let id = request.id.clone();
        let canonical = self.gate.on_store(move |store| store.request_canonical(&id)).await?;
        let Some(live) = self.gate.sessions().by_id(&request.principal.session) else {
            tracing::warn!(request = %request.id, "the session of an approved call is gone");
            return Ok(());
        };
        // One adapter is asked after the other: a parked form names its own.
        let adapters: Vec<_> = self.adapters.values().cloned().collect();
        tokio::spawn(async move {
            for adapter in adapters {
                match adapter.revive(&live, canonical.clone(), None).await {
                    Ok(outcome) => {
                        tracing::info!(request = %request.id, outcome = outcome.word(), "sent");
                        return;
                    }
                    Err(refusal) => {
                        tracing::warn!(request = %request.id, %refusal, "not sent");
                    }
                }
            }
        });
        Ok(())
    }

    /// Cancels a parked call, if it still waits.
    ///
    /// # Errors
    /// There is no such call, or the store or the record fails.
    pub async fn cancel(&self, id: &PendingId, by: String) -> Result<Cancelled, StoreError> {
        let key = id.clone();
        let pending = self.gate.on_store(move |store| store.pending(&key)).await?;
        // Stopping is the safe direction: it does not wait for the record.
        if !self.shift(id, PendingState::Waiting, PendingState::Cancelled).await? {
            let key = id.clone();
            let found = self.gate.on_store(move |store| store.pending(&key)).await?;
            return Ok(Cancelled::TooLate(found.state));
        }
        let mut entry = entry(&pending, "cancelled", None);
        entry.by = Some(by);
        self.gate.note(entry).await.map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Cancelled::Yes)
    }

    async fn shift(
        &self,
        id: &PendingId,
        from: PendingState,
        to: PendingState,
    ) -> Result<bool, StoreError> {
        let id = id.clone();
        self.gate.on_store(move |store| store.pending_move(&id, from, to)).await
    }

    async fn note(
        &self,
        pending: &Pending,
        word: &str,
        refusal: Option<&Refusal>,
    ) -> Result<(), StoreError> {
        self.gate
            .note(entry(pending, word, refusal))
            .await
            .map_err(|error| StoreError::Failed(error.to_string()))
    }
}

fn entry(pending: &Pending, word: &str, refusal: Option<&Refusal>) -> Draft {
    let mut entry =
        Draft::new(Kind::Pending).of_principal(&pending.principal).of_action(&pending.action);
    entry.call = Some(pending.call.clone());
    entry.upstream = Some(pending.upstream.clone());
    entry.outcome = Some(word.to_owned());
    entry.code = refusal.map(|refusal| refusal.code);
    entry.details = serde_json::json!({
        "pending": pending.id, "digest": pending.digest, "due": pending.due, "refusal": refusal,
    });
    entry
}
