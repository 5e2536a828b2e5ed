//! Access requests and parked calls: listed, shown, answered, cancelled.

use killick_gate::Blocking as _;
use killick_gate::ports::StoreError;
use killick_model::record::{Draft, Kind};
use killick_model::request::{Answer, PendingState, RequestState};
use killick_model::{PendingId, RequestId};
use serde_json::json;

use super::{Acting, Administration, Answered, done, plain_text};
use crate::protocol::{AdminCode, AdminError, ROWS_MAX, Reply};

/// The longest note of an approver.
const NOTE_BYTES_MAX: usize = 1_000;

/// A human's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Yes { send: bool },
    No,
}

impl Administration {
    pub(super) async fn request_list(&self, all: bool) -> Answered {
        let now = self.parts.gate.now();
        let mut requests = self.parts.gate.on_store(|store| store.requests(ROWS_MAX)).await?;
        for request in &mut requests {
            // What nobody touched since its end still says what it is.
            if matches!(request.state, RequestState::Open | RequestState::Approved)
                && request.expires <= now
            {
                request.state = RequestState::Expired;
            }
        }
        requests.retain(|request| {
            all || matches!(request.state, RequestState::Open | RequestState::Approved)
        });
        Ok(Reply::Requests(requests))
    }

    pub(super) async fn request_show(&self, id: RequestId) -> Answered {
        let request = self.parts.gate.on_store(move |store| store.request(&id)).await?;
        Ok(Reply::Request(Box::new(request)))
    }

    /// The gate itself puts the answer on the record before it counts.
    pub(super) async fn request_answer(
        &self,
        by: &Acting<'_>,
        id: RequestId,
        said: Said,
        note: Option<String>,
    ) -> Answered {
        if let Some(note) = &note {
            plain_text("the note", note, NOTE_BYTES_MAX)?;
        }
        let (yes, send, proof) = match said {
            Said::Yes { send } => (true, send, "passphrase"),
            Said::No => (false, false, "local user"),
        };
        let answer = Answer {
            by: by.caller.owner.clone(),
            proof: proof.into(),
            at: self.parts.gate.now(),
            note,
        };
        let answered = self.parts.gate.answer_request(&id, yes, answer, send).await;
        let request = answered.map_err(|error| match error {
            StoreError::Missing(_) => AdminError::new(
                AdminCode::Missing,
                format!("request `{id}` is not open: it was answered, it expired, or it never was"),
                "look at `killick request list --all`",
            ),
            StoreError::Failed(why) => AdminError::new(
                AdminCode::RecordUnavailable,
                format!("the answer could not be kept: {why}"),
                "run `killick doctor`, then answer again",
            ),
            StoreError::Exists(_) | StoreError::Budget { .. } => AdminError::from(error),
        })?;
        Ok(Reply::Request(Box::new(request)))
    }

    pub(super) async fn pending_list(&self, all: bool) -> Answered {
        let mut pendings = self.parts.gate.on_store(|store| store.pendings(ROWS_MAX)).await?;
        pendings.retain(|pending| {
            all || matches!(pending.state, PendingState::Waiting | PendingState::Sending)
        });
        Ok(Reply::Pendings(pendings))
    }

    pub(super) async fn pending_cancel(&self, by: &Acting<'_>, id: PendingId) -> Answered {
        let key = id.clone();
        let pending = self.parts.gate.on_store(move |store| store.pending(&key)).await?;
        if pending.state != PendingState::Waiting {
            return Err(too_late(&id, pending.state));
        }
        let mut entry =
            Draft::new(Kind::Pending).of_principal(&pending.principal).of_action(&pending.action);
        entry.call = Some(pending.call.clone());
        entry.upstream = Some(pending.upstream.clone());
        entry.verdict = Some("cancelled".into());
        let details = json!({ "pending": id, "operation": pending.action.headline() });
        self.on_record_as(by, entry, "pending cancel", details).await?;
        let key = id.clone();
        let moved = self
            .parts
            .gate
            .on_store(move |store| {
                store.pending_move(&key, PendingState::Waiting, PendingState::Cancelled)
            })
            .await?;
        if !moved {
            return Err(too_late(&id, PendingState::Sending));
        }
        Ok(done(format!("parked call `{id}` is cancelled; nothing was sent")))
    }
}

fn too_late(id: &PendingId, state: PendingState) -> AdminError {
    let what = match state {
        PendingState::Waiting => "waits",
        PendingState::Sending => "is being sent",
        PendingState::Sent => "was sent",
        PendingState::Cancelled => "was cancelled already",
        PendingState::Refused => "was refused when it was due",
        PendingState::Unknown => "has an unknown end",
    };
    AdminError::new(
        AdminCode::Missing,
        format!("parked call `{id}` {what}; it cannot be cancelled"),
        "look at `killick pending list --all` and `killick log tail`",
    )
}
