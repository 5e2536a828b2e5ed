//! How the gateway is.

use std::sync::Arc;

use killick_gate::Blocking as _;
use killick_model::admin::Standing;
use killick_model::request::{PendingState, RequestState};

use super::{Administration, Answered, off_loop};
use crate::protocol::{ROWS_MAX, Reply, Status};

impl Administration {
    pub(super) async fn status(&self) -> Answered {
        let gate = &self.parts.gate;
        let now = gate.now();
        let (agents, requests, pendings, upstreams, break_glasses) = gate
            .on_store(move |store| {
                Ok((
                    store.agents()?,
                    store.requests(ROWS_MAX)?,
                    store.pendings(ROWS_MAX)?,
                    store.upstreams()?,
                    store.break_glasses(now)?,
                ))
            })
            .await?;
        let record = Arc::clone(&self.parts.record);
        // A record that cannot be read is what a human wants to see in the status, not instead of it.
        let (record_size, checkpoint, record_problem) = off_loop(move || {
            Ok(match (record.size(), record.checkpoint()) {
                (Ok(size), Ok(checkpoint)) => (size, checkpoint, None),
                (Err(error), _) | (_, Err(error)) => (0, None, Some(error.to_string())),
            })
        })
        .await?;
        let pdp = gate.policies();
        Ok(Reply::Status(Box::new(Status {
            version: self.parts.version.clone(),
            uptime_millis: now.since_millis(self.started),
            gateway: self.parts.gateway.clone(),
            agents: agents.len(),
            frozen: agents
                .into_iter()
                .filter(|agent| agent.standing == Standing::Frozen)
                .map(|agent| agent.name)
                .collect(),
            sessions: gate.sessions().len(),
            requests_open: requests
                .iter()
                .filter(|it| it.state == RequestState::Open && it.expires > now)
                .count(),
            pending: pendings.iter().filter(|it| it.state == PendingState::Waiting).count(),
            upstreams: upstreams.len(),
            record_size,
            checkpoint,
            record_problem,
            policies_version: pdp.version().to_owned(),
            policies: pdp.len(),
            break_glasses,
            production_waiver: gate.config().production_waiver,
            uid: self.parts.uid,
            recovery_place: self.parts.recovery.points().place(),
            // What cannot be read is said by the command that asks for it alone.
            rehearsals: self.parts.recovery.rehearsals().await.unwrap_or_default(),
        })))
    }
}
