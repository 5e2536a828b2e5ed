//! What was destroyed is put back from its recovery point.

use killick_model::point::UndoAsk;
use killick_model::record::Kind;
use serde_json::json;

use super::{Acting, Administration, Answered};
use crate::protocol::{AdminCode, AdminError, Reply};

/// Rows that one undo may name to be overwritten.
const OVERWRITES_MAX: usize = 10_000;

impl Administration {
    /// Undoes what a transaction did, from its recovery point. A plan is made under a proof too: it shows keys of rows.
    pub(super) async fn undo(&self, by: &Acting<'_>, ask: UndoAsk) -> Answered {
        if ask.overwrite.len() > OVERWRITES_MAX {
            return Err(AdminError::invalid(
                format!("{} rows are named, at most {OVERWRITES_MAX} may be", ask.overwrite.len()),
                "use --overwrite-all, or name fewer",
            ));
        }
        if !ask.dry_run {
            self.on_record(by, Kind::Configuration, "undo", json!({ "undo": ask })).await?;
        }
        match self.parts.rest.undo(&ask, by.caller.owner.to_string()).await {
            Ok(report) => Ok(Reply::Undone(Box::new(report))),
            Err(refusal) => Err(AdminError::new(
                AdminCode::Unavailable,
                format!("{}; {}", refusal.because, refusal.not_done),
                refusal.next_step,
            )),
        }
    }
}
