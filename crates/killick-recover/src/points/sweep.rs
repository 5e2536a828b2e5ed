//! The clockwork that removes points whose time has passed, each on the record first.

use std::sync::Arc;
use std::time::Duration;

use killick_gate::Gate;
use killick_gate::points::{PointError, Points as _};
use killick_model::record::{Draft, Kind};

use super::PointStore;

/// How often it is looked for points whose time has passed.
pub const SWEEP_MINUTES: u64 = 30;

/// Removes points whose time has passed.
pub struct Sweeper {
    gate: Arc<Gate>,
    points: Arc<PointStore>,
}

impl Sweeper {
    /// Builds it.
    #[must_use]
    pub fn new(gate: Arc<Gate>, points: Arc<PointStore>) -> Self {
        Self { gate, points }
    }

    /// Runs until the task is dropped.
    pub async fn run(self) {
        let mut tick = tokio::time::interval(Duration::from_secs(SWEEP_MINUTES * 60));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.turn().await {
                tracing::error!(%error, "recovery points could not be swept");
            }
        }
    }

    /// Removes what is due. Returns how many points it was.
    ///
    /// # Errors
    /// The place or the record fails; what is not on the record is not removed.
    pub async fn turn(&self) -> Result<usize, PointError> {
        let now = self.gate.now();
        let due = self.points.expired(now).await?;
        for info in &due {
            let mut entry = Draft::new(Kind::Configuration);
            entry.operation = Some("point expire".into());
            entry.upstream = Some(info.head.upstream.clone());
            entry.environment = Some(info.head.environment.to_string());
            entry.call.clone_from(&info.head.call);
            entry.details = serde_json::json!({
                "point": info.head.id, "kind": info.head.kind, "taken": info.head.taken,
                "expires": info.expires, "bytes": info.bytes(),
            });
            self.gate.note(entry).await.map_err(|error| PointError::Failed(error.to_string()))?;
            self.points.remove(&info.head.id).await?;
        }
        self.points.remove_orphans(now).await?;
        Ok(due.len())
    }
}
