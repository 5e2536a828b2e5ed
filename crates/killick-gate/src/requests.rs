//! Denials that may be asked for: opened, waited for, answered, spent once.

use std::time::Duration;

use killick_model::record::{Draft, Kind};
use killick_model::request::{AccessRequest, Answer, Grant, RequestState};
use killick_model::{
    Action, CallDigest, CallId, Code, EffectWord, Facet, ObjectFacts, ObjectRef, Obligation,
    Refusal, RequestId, UpstreamName,
};

use crate::gate::{Blocking, Gate, record_refusal, store_refusal};
use crate::ids;
use crate::ports::{Durability, StoreError};
use crate::sessions::LiveSession;

/// A human's yes that fits a call: from a request, or standing as a grant.
#[derive(Clone, Debug)]
pub(crate) enum Yes {
    Request(Box<AccessRequest>),
    Grant(Grant),
}

impl Yes {
    pub(crate) fn request(&self) -> Option<&RequestId> {
        match self {
            Self::Request(request) => Some(&request.id),
            Self::Grant(_) => None,
        }
    }

    pub(crate) fn by(&self) -> String {
        match self {
            Self::Request(request) => {
                request.answer.as_ref().map_or_else(String::new, |answer| answer.by.to_string())
            }
            Self::Grant(grant) => grant.by.to_string(),
        }
    }
}

/// What is asked of a human, before it has an id.
pub(crate) struct Ask<'a> {
    pub(crate) live: &'a LiveSession,
    pub(crate) call: &'a CallId,
    pub(crate) action: &'a Action,
    pub(crate) digest: CallDigest,
    pub(crate) upstream: &'a UpstreamName,
    pub(crate) facts: &'a [ObjectFacts],
    pub(crate) obligations: Vec<Obligation>,
    pub(crate) canonical: &'a [u8],
}

impl Gate {
    /// Finds a yes for the call: an approval of this digest whose facts still fit, or a grant.
    pub(crate) async fn find_yes(
        &self,
        live: &LiveSession,
        action: &Action,
        digest: CallDigest,
        facts: &[ObjectFacts],
    ) -> Result<Option<Yes>, Refusal> {
        let found = self
            .approved(&live.principal.session, digest)
            .await
            .map_err(|error| store_refusal(&error))?;
        if let Some(request) = found {
            if request.expires <= self.now() {
                self.expire(&request).await;
            } else if same_facts(&request.facts, facts) {
                return Ok(Some(Yes::Request(Box::new(request))));
            } else {
                self.expire(&request).await;
                return Err(Refusal::new(
                    Code::ApprovalStale,
                    format!(
                        "request {} was approved for something that has changed since",
                        request.id
                    ),
                ));
            }
        }
        Ok(self.find_grant(live, action, facts).await?.map(Yes::Grant))
    }

    async fn find_grant(
        &self,
        live: &LiveSession,
        action: &Action,
        facts: &[ObjectFacts],
    ) -> Result<Option<Grant>, Refusal> {
        let grants = self.grants().await.map_err(|error| store_refusal(&error))?;
        let now = self.now();
        let found = grants.iter().find(|grant| {
            grant.session == live.principal.session
                && grant.left > 0
                && grant.expires > now
                && grant_covers(grant, action, facts, live)
        });
        Ok(found.cloned())
    }

    /// Uses a human's grant to read an object where the session does not belong, once, and returns which. Only a grant
    /// that names the object counts.
    ///
    /// # Errors
    /// The store fails, or the grant was used up in the same moment.
    pub async fn spend_reading(
        &self,
        live: &LiveSession,
        object: &ObjectRef,
    ) -> Result<Option<String>, Refusal> {
        let now = self.now();
        let named = object.label();
        let grants =
            self.on_store(|store| store.grants()).await.map_err(|error| store_refusal(&error))?;
        let found = grants.into_iter().find(|grant| {
            grant.session == live.principal.session
                && grant.effect == EffectWord::Read
                && grant.left > 0
                && grant.expires > now
                && grant.objects.contains(&named)
        });
        let Some(grant) = found else { return Ok(None) };
        let id = grant.id.clone();
        let mut entry = Draft::new(Kind::Grant).of_principal(&live.principal);
        entry.by = Some(grant.by.to_string());
        entry.operation = Some("grant use".into());
        entry.upstream = Some(object.upstream.clone());
        entry.effect = Some(grant.effect);
        entry.details = serde_json::json!({ "grant": id, "object": named });
        self.note(entry).await.map_err(|error| record_refusal(&error))?;
        self.spend(&Yes::Grant(grant)).await?;
        Ok(Some(id))
    }

    async fn expire(&self, request: &AccessRequest) {
        let (id, from) = (request.id.clone(), request.state);
        let moved = self
            .on_store(move |store| {
                store.request_move(&id, from, RequestState::Expired, None, None, false)
            })
            .await;
        if let Err(error) = moved {
            tracing::warn!(%error, "a request could not be expired");
        }
    }

    /// Uses a yes, once. Of many who try at the same time, one succeeds.
    pub(crate) async fn spend(&self, yes: &Yes) -> Result<(), Refusal> {
        let now = self.now();
        let spent = match yes {
            Yes::Request(request) => self.spend_request(request.id.clone()).await?,
            Yes::Grant(grant) => {
                let id = grant.id.clone();
                self.on_store(move |store| store.grant_spend(&id, now))
                    .await
                    .map_err(|error| store_refusal(&error))?
            }
        };
        if spent {
            return Ok(());
        }
        Err(Refusal::new(Code::ApprovalStale, "the approval was used already, or has ended"))
    }

    /// Uses an approval by compare-and-set; returns whether it was there to be used.
    pub(crate) async fn spend_request(&self, id: RequestId) -> Result<bool, Refusal> {
        self.on_store(move |store| {
            let (from, to) = (RequestState::Approved, RequestState::Spent);
            store.request_move(&id, from, to, None, None, false)
        })
        .await
        .map_err(|error| store_refusal(&error))
    }

    /// Opens an access request, or finds the one that is open for the same call.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<RequestId, Refusal> {
        let now = self.now();
        let request = AccessRequest {
            id: ids::request_id()
                .map_err(|error| Refusal::new(Code::DecisionFailed, error.to_string()))?,
            call: ask.call.clone(),
            principal: ask.live.principal.as_ref().clone(),
            action: ask.action.clone(),
            digest: ask.digest,
            upstream: ask.upstream.clone(),
            facts: ask.facts.to_vec(),
            obligations: ask.obligations,
            state: RequestState::Open,
            asked: now,
            expires: now.plus_millis(AccessRequest::OPEN_MILLIS_MAX),
            answer: None,
            send_when_approved: false,
        };
        let canonical = zeroize::Zeroizing::new(ask.canonical.to_vec());
        let asked = request.clone();
        let opened = self
            .on_store(move |store| store.request_open(&asked, &canonical))
            .await
            .map_err(|error| store_refusal(&error))?;
        if opened.id == request.id {
            let mut entry =
                Draft::new(Kind::Request).of_shared(&ask.live.principal).of_action(ask.action);
            entry.call = Some(ask.call.clone());
            entry.upstream = Some(ask.upstream.clone());
            entry.verdict = Some("requestable".into());
            entry.details = serde_json::json!({
                "request": opened.id, "digest": ask.digest, "facts": ask.facts,
                "obligations": opened.obligations,
            });
            self.record
                .append(entry, Durability::Durable)
                .await
                .map_err(|error| crate::gate::record_refusal(&error))?;
        }
        Ok(opened.id)
    }

    /// Answers an open request. The proof was checked by the caller.
    ///
    /// # Errors
    /// The request is not open any more, or the store or the record fails.
    pub async fn answer_request(
        &self,
        id: &RequestId,
        yes: bool,
        answer: Answer,
        send: bool,
    ) -> Result<AccessRequest, StoreError> {
        let now = self.now();
        let key = id.clone();
        let request = self.on_store(move |store| store.request(&key)).await?;
        if request.state != RequestState::Open || request.expires <= now {
            return Err(StoreError::Missing(format!("open request {id}")));
        }
        let mut entry =
            Draft::new(Kind::Approval).of_principal(&request.principal).of_action(&request.action);
        entry.call = Some(request.call.clone());
        entry.by = Some(answer.by.to_string());
        entry.verdict = Some(if yes { "approved" } else { "denied" }.into());
        entry.details = serde_json::json!({
            "request": id, "digest": request.digest, "answer": answer, "send": send,
        });
        // On the record before it has an effect.
        self.note(entry).await.map_err(|error| StoreError::Failed(error.to_string()))?;
        let to = if yes { RequestState::Approved } else { RequestState::Denied };
        let expires = yes.then(|| now.plus_millis(AccessRequest::APPROVED_MILLIS_MAX));
        let key = id.clone();
        let moved = self
            .on_store(move |store| {
                store.request_move(&key, RequestState::Open, to, Some(&answer), expires, send)
            })
            .await?;
        if !moved {
            return Err(StoreError::Missing(format!("open request {id}")));
        }
        self.answers.send_modify(|count| *count = count.wrapping_add(1));
        let key = id.clone();
        self.on_store(move |store| store.request(&key)).await
    }

    /// Waits until a request is answered, the time is over, or the lifeline is cut. Returns its state.
    pub async fn wait_for_answer(
        &self,
        live: &LiveSession,
        id: &RequestId,
        wait_millis: u64,
    ) -> RequestState {
        let wait = Duration::from_millis(wait_millis.min(self.config.wait_millis_max));
        let mut answers = self.answers.subscribe();
        let deadline = tokio::time::sleep(wait);
        tokio::pin!(deadline);
        loop {
            let key = id.clone();
            let state = self
                .on_store(move |store| store.request(&key))
                .await
                .map_or(RequestState::Expired, |request| request.state);
            if state != RequestState::Open {
                return state;
            }
            tokio::select! {
                () = &mut deadline => return RequestState::Open,
                _ = live.lifeline.cut() => return RequestState::Open,
                changed = answers.changed() => if changed.is_err() { return RequestState::Open },
            }
        }
    }
}

fn same_facts(approved: &[ObjectFacts], found: &[ObjectFacts]) -> bool {
    approved.len() == found.len() && approved.iter().zip(found).all(|(a, b)| a.still_fits(b))
}

/// A grant covers a call when every part that is not a read has its effect, and every object of such a
/// part is named by the grant, or the grant names none and the object lies in the session's environment.
fn grant_covers(grant: &Grant, action: &Action, facts: &[ObjectFacts], live: &LiveSession) -> bool {
    let grantable = match grant.effect {
        EffectWord::Write | EffectWord::Administer | EffectWord::Read => true,
        EffectWord::Destroy | EffectWord::Unrecognized => false,
    };
    grantable
        && action.parts().iter().all(|part| {
            let word = part.effect.word();
            // Reading does not say that secrets may come back, or that something may leave for people.
            let plain = !part.effect.has(Facet::Reveals) && !part.effect.has(Facet::Outward);
            let effect_fits = if word == EffectWord::Read {
                plain || (grant.effect != EffectWord::Read && !part.effect.has(Facet::Reveals))
            } else {
                word == grant.effect
            };
            effect_fits
                && part.objects.iter().all(|object| {
                    if grant.objects.is_empty() {
                        facts.iter().any(|found| {
                            found.object == *object
                                && found.environment.is_of_session(&live.principal.environment)
                        })
                    } else {
                        grant.objects.contains(&format!("{}:{}", object.kind, object.id))
                    }
                })
        })
}
