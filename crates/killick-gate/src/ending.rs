//! The end of a transaction as a call: what was approved on the way, and what was kept.

use killick_model::ObjectFacts;

/// A call that ends a transaction: what was said and done in it already.
#[derive(Clone, Copy)]
pub struct Ending<'a> {
    /// Approvals that were spent on statements of this transaction.
    pub carried: &'a [CarriedYes],
    /// The recovery point that holds everything that the transaction destroyed, durable.
    pub point: Option<&'a str>,
}

/// An approval that was spent on a statement whose effect is not lasting before COMMIT.
/// Only the gate makes one: it comes out of a permit.
#[derive(Clone, Debug)]
pub struct CarriedYes {
    pub(crate) by: String,
    pub(crate) request: Option<String>,
    pub(crate) facts: Vec<ObjectFacts>,
}

impl CarriedYes {
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
