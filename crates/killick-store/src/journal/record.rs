//! The journal as the gate's record.

use killick_gate::ports::{self, BoxFuture, Durability, Receipt, Record, RecordError};
use killick_model::principal::Principal;
use killick_model::record::{Draft, Kind as DraftKind};
use killick_tlog::{Header, Kind, Subject};

use super::{Journal, JournalError, NewEntry, Reservation};

impl Record for Journal {
    fn append(
        &self,
        entry: Draft,
        durability: Durability,
    ) -> BoxFuture<'_, Result<Receipt, RecordError>> {
        Box::pin(async move {
            let appended = Self::append(self, entry.into(), durability).await?;
            Ok(Receipt { index: appended.index })
        })
    }

    fn durable(&self, up_to: Receipt) -> BoxFuture<'static, Result<(), RecordError>> {
        let waited = Self::durable(self, up_to.index);
        Box::pin(async move { Ok(waited.await?) })
    }

    fn reserve(&self) -> Result<Box<dyn ports::Reservation>, RecordError> {
        Ok(Box::new(Self::reserve(self)?))
    }
}

impl ports::Reservation for Reservation {
    fn settle(self: Box<Self>, entry: Draft) {
        if let Err(error) = Self::settle(*self, entry.into()) {
            tracing::error!(%error, "the outcome of a call could not be recorded");
        }
    }
}

impl From<JournalError> for RecordError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Full => Self::Full,
            JournalError::Quota { per_minute_max, .. } => Self::Quota { per_minute_max },
            JournalError::Failed(_)
            | JournalError::Slow { .. }
            | JournalError::Unpublished(_)
            | JournalError::Entry(_)
            | JournalError::DetailsTooLong { .. }
            | JournalError::Details
            | JournalError::Key
            | JournalError::Random
            | JournalError::Closed
            | JournalError::Locked
            | JournalError::Corrupt(_)
            | JournalError::Read(_)
            | JournalError::NoSuchEntry { .. } => Self::Failed(error.to_string()),
        }
    }
}

impl From<Draft> for NewEntry {
    fn from(draft: Draft) -> Self {
        let header = Header {
            call: draft.call.map(String::from),
            session: draft.principal.as_ref().map(|who| who.session.as_str().to_owned()),
            agent: draft.principal.as_ref().map(|who| who.agent.as_str().to_owned()),
            owner: draft.principal.as_deref().map(owner_of),
            by: draft.by,
            chain: draft
                .principal
                .iter()
                .flat_map(|who| &who.chain)
                .map(|session| session.as_str().to_owned())
                .collect(),
            action: draft.operation,
            effect: draft.effect.map(|effect| effect.as_str().to_owned()),
            verdict: draft.verdict,
            environment: draft.environment,
            upstream: draft.upstream.map(String::from),
            credential: draft.credential.map(String::from),
            reason: draft.code.map(|code| code.as_str().to_owned()),
            outcome: draft.outcome,
            policies: draft.policies,
            objects: draft.objects.map(u64::from),
            ..Header::new(kind_of(draft.kind))
        };
        let details = (!draft.details.is_null()).then_some(draft.details);
        Self { header, details, written: draft.written }
    }
}

fn owner_of(who: &Principal) -> Subject {
    Subject { issuer: who.owner.issuer.clone(), subject: who.owner.subject.clone() }
}

const fn kind_of(kind: DraftKind) -> Kind {
    match kind {
        DraftKind::Call => Kind::Call,
        DraftKind::Refusal => Kind::Refusal,
        DraftKind::Errand => Kind::Errand,
        DraftKind::Obligation => Kind::Obligation,
        DraftKind::Outcome => Kind::Outcome,
        DraftKind::Request => Kind::Request,
        DraftKind::Approval => Kind::Approval,
        DraftKind::Grant => Kind::Grant,
        DraftKind::Pending => Kind::Pending,
        DraftKind::Foreign => Kind::Foreign,
        DraftKind::Redaction => Kind::Redaction,
        DraftKind::Standing => Kind::Standing,
        DraftKind::Agent => Kind::Agent,
        DraftKind::Session => Kind::Session,
        DraftKind::Credential => Kind::Credential,
        DraftKind::Configuration => Kind::Configuration,
        DraftKind::BreakGlass => Kind::BreakGlass,
        DraftKind::Start => Kind::Start,
        DraftKind::Stop => Kind::Stop,
    }
}
