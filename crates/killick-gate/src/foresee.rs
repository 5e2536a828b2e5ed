//! What would be decided, before it is asked.

use killick_policy::Verdict as Said;

use crate::chain::Call;
use crate::decide::{Asked, Besides};
use crate::gate::Gate;

impl Gate {
    /// Returns whether a call would be permitted as it is asked about, with a human's yes that is there already.
    /// Nothing is recorded, spent or asked of anybody: the call is decided on by [`Gate::decide`] all the same.
    pub async fn would_permit<C: Call>(&self, asked: &Asked<'_>, call: &C) -> bool {
        let pdp = self.policies();
        let action = call.action();
        let Ok(ruling) = self.judge(&pdp, asked, action, Besides::first(asked)).await else {
            return false;
        };
        match &ruling.verdict {
            Said::Permit => true,
            Said::Deny => false,
            Said::Need(needs) => {
                needs.approval()
                    && matches!(
                        self.find_yes(asked.live, action, call.digest(), &asked.facts).await,
                        Ok(Some(_))
                    )
            }
        }
    }
}
