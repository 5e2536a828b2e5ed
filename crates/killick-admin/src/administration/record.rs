//! The record: read, found, its checkpoint published.

use std::sync::Arc;

use killick_model::CallId;
use killick_model::record::Kind;
use serde_json::json;

use super::{Acting, Administration, Answered, off_loop};
use crate::protocol::{ENTRIES_MAX, Reply};

impl Administration {
    pub(super) async fn record_read(&self, from: u64, max: usize) -> Answered {
        let record = Arc::clone(&self.parts.record);
        off_loop(move || {
            let size = record.size()?;
            let entries = record.read(from, max.min(ENTRIES_MAX))?;
            Ok(Reply::Entries { size, entries })
        })
        .await
    }

    pub(super) async fn record_tail(&self, max: usize) -> Answered {
        let record = Arc::clone(&self.parts.record);
        off_loop(move || {
            let size = record.size()?;
            let max = max.min(ENTRIES_MAX);
            let from = size.saturating_sub(u64::try_from(max).unwrap_or(u64::MAX));
            let entries = record.read(from, max)?;
            Ok(Reply::Entries { size, entries })
        })
        .await
    }

    pub(super) async fn record_find(&self, call: CallId) -> Answered {
        let record = Arc::clone(&self.parts.record);
        off_loop(move || {
            let size = record.size()?;
            let entries = record.of_call(&call, ENTRIES_MAX)?;
            Ok(Reply::Entries { size, entries })
        })
        .await
    }

    pub(super) async fn checkpoint_publish(&self, by: &Acting<'_>) -> Answered {
        self.on_record(by, Kind::Configuration, "checkpoint publish", json!({})).await?;
        let record = Arc::clone(&self.parts.record);
        Ok(Reply::Checkpoint(off_loop(move || Ok(record.publish()?)).await?))
    }
}
