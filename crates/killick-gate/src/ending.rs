//! The end of a transaction as a call: what was approved on the way, and what was kept.

use killick_model::{CallDigest, Code, ObjectFacts, Refusal, RequestId, UnixMillis};

use crate::decide::Asked;
use crate::gate::Gate;
use crate::requests::Yes;

/// A call that ends a transaction: what was said and done in it already.
#[derive(Clone, Copy)]
pub struct Ending<'a> {
    /// Approvals that statements of this transaction ran on.
    pub carried: &'a [CarriedYes],
    /// The recovery point that holds everything that the transaction destroyed, durable.
    pub point: Option<&'a str>,
}

/// An approval that a statement ran on whose effect is not lasting before COMMIT.
/// Only the gate makes one: it comes out of a permit.
#[derive(Clone, Debug)]
pub struct CarriedYes {
    pub(crate) by: String,
    pub(crate) request: Option<String>,
    pub(crate) facts: Vec<ObjectFacts>,
    unspent: Option<Unspent>,
}

/// An approval that is still to be spent.
#[derive(Clone, Debug)]
struct Unspent {
    id: RequestId,
    /// The call that it was given for.
    digest: CallDigest,
    expires: UnixMillis,
}

impl Ending<'_> {
    /// Returns whether what was approved on the way covers all rows that were counted.
    pub(crate) fn is_covered(&self, facts: &[ObjectFacts]) -> bool {
        facts
            .iter()
            .filter(|found| found.rows.is_some())
            .all(|found| self.carried.iter().any(|yes| yes.covers(found)))
    }
}

impl CarriedYes {
    pub(crate) fn of(yes: &Yes, asked: &Asked<'_>) -> Self {
        let (facts, unspent) = match yes {
            Yes::Request(request) if asked.hands.spends_at_end() => {
                let unspent = Unspent {
                    id: request.id.clone(),
                    digest: request.digest,
                    expires: request.expires,
                };
                (request.facts.clone(), Some(unspent))
            }
            Yes::Request(request) => (request.facts.clone(), None),
            Yes::Grant(_) => (asked.facts.clone(), None),
        };
        Self { by: yes.by(), request: yes.request().map(ToString::to_string), facts, unspent }
    }

    /// Returns whether the approval covers the rows that the server counted.
    pub(crate) fn covers(&self, found: &ObjectFacts) -> bool {
        self.facts.iter().any(|approved| {
            approved.object == found.object
                && approved.environment == found.environment
                && match (approved.material.get(ROWS), found.rows) {
                    (Some(most), Some(rows)) => most.admits(rows.count),
                    (None, _) => true,
                    (Some(_), None) => false,
                }
        })
    }
}

/// The material fact under which an approval holds the most rows.
pub const ROWS: &str = "rows";

/// How far back the damage budget looks, in milliseconds.
pub(crate) const DAMAGE_MILLIS: u64 = 24 * 3_600_000;

impl Gate {
    /// Uses a yes, unless it is used at the end of its transaction.
    pub(crate) async fn spend_unless_held(
        &self,
        yes: &Yes,
        asked: &Asked<'_>,
    ) -> Result<(), Refusal> {
        match yes {
            Yes::Request(_) if asked.hands.spends_at_end() => Ok(()),
            Yes::Request(_) | Yes::Grant(_) => self.spend(yes).await,
        }
    }

    /// Uses the approvals that were carried to the end of a transaction, each once: of many ends that try at the same
    /// time, one succeeds. A statement that ran twice on one approval makes it fail.
    pub(crate) async fn spend_carried(
        &self,
        asked: &Asked<'_>,
        digest: CallDigest,
    ) -> Result<(), Refusal> {
        let now = self.now();
        for yes in unspent(asked) {
            if yes.digest == digest && !is_covered(asked) {
                continue;
            }
            if yes.expires <= now || !self.spend_request(yes.id.clone()).await? {
                return Err(Refusal::new(
                    Code::ApprovalStale,
                    "an approval of the transaction was used already, or has ended",
                ));
            }
        }
        Ok(())
    }

    /// Uses up the approval of a lone statement that did more than it covers: a human is asked anew, about what was
    /// counted. Those of statements among others stand beside the approval of the whole.
    pub(crate) async fn void_what_does_not_cover(&self, asked: &Asked<'_>, digest: CallDigest) {
        if is_covered(asked) {
            return;
        }
        for yes in unspent(asked).filter(|yes| yes.digest == digest) {
            // One that was used or has ended meanwhile is void all the same.
            if let Err(refusal) = self.spend_request(yes.id.clone()).await {
                tracing::warn!(because = refusal.because, "an approval could not be voided");
            }
        }
    }
}

fn is_covered(asked: &Asked<'_>) -> bool {
    asked.ending.is_none_or(|ending| ending.is_covered(&asked.facts))
}

/// Returns the approvals that are to be spent with the end of a transaction, once for each statement.
fn unspent<'a>(asked: &Asked<'a>) -> impl Iterator<Item = &'a Unspent> {
    let carried = asked.ending.map_or(&[][..], |ending| ending.carried);
    carried.iter().filter_map(|yes| yes.unspent.as_ref())
}
