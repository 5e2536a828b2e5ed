//! What would be decided, before it is asked.

use killick_model::{Action, CallDigest};
use killick_policy::Verdict as Said;

use crate::chain::Call;
use crate::decide::{Asked, Besides};
use crate::gate::Gate;

impl Gate {
    /// Returns whether a call would be permitted as it is asked about, with a human's yes that is there already.
    /// Nothing is recorded, spent or asked of anybody: the call is decided on by [`Gate::decide`] all the same.
    pub async fn would_permit<C: Call>(&self, asked: &Asked<'_>, call: &C) -> bool {
        match self.foreseen(asked, call.action()).await {
            Some(Said::Permit) => true,
            Some(Said::Need(needs)) => {
                needs.approval() && self.has_yes(asked, call.action(), call.digest()).await
            }
            Some(Said::Deny) | None => false,
        }
    }

    /// Returns whether a human would be asked about a call who has not said yes yet. Nothing is recorded or asked.
    pub async fn would_ask<C: Call>(&self, asked: &Asked<'_>, call: &C) -> bool {
        match self.foreseen(asked, call.action()).await {
            Some(Said::Need(needs)) => {
                needs.approval() && !self.has_yes(asked, call.action(), call.digest()).await
            }
            Some(Said::Permit | Said::Deny) | None => false,
        }
    }

    async fn foreseen(&self, asked: &Asked<'_>, action: &Action) -> Option<Said> {
        let pdp = self.policies();
        let ruling = self.judge(&pdp, asked, action, Besides::first(asked)).await.ok()?;
        Some(ruling.verdict)
    }

    async fn has_yes(&self, asked: &Asked<'_>, action: &Action, digest: CallDigest) -> bool {
        let found = self.find_yes(asked.live, action, digest, &asked.facts).await;
        matches!(found, Ok(Some(_)))
    }
}
