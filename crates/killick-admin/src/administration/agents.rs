//! Agents: added, listed, frozen, thawed, removed.

use std::collections::BTreeSet;

use killick_gate::Blocking as _;
use killick_model::admin::{Agent, Standing};
use killick_model::record::{Draft, Kind};
use killick_model::{AgentName, Owner};
use serde_json::json;

use super::{Acting, Administration, Answered, done, plain_text};
use crate::protocol::{AdminError, Reply};

/// The most groups of an agent.
const GROUPS_MAX: usize = 32;
/// The longest name of a group.
const GROUP_BYTES_MAX: usize = 60;
/// The longest reason for a freeze.
const REASON_BYTES_MAX: usize = 500;

impl Administration {
    pub(super) async fn agent_add(
        &self,
        by: &Acting<'_>,
        name: AgentName,
        owner: Option<Owner>,
        groups: BTreeSet<String>,
    ) -> Answered {
        if groups.len() > GROUPS_MAX {
            return Err(AdminError::invalid(
                format!("{} groups; an agent has at most {GROUPS_MAX}", groups.len()),
                "name fewer",
            ));
        }
        for group in &groups {
            plain_text("a group", group, GROUP_BYTES_MAX)?;
        }
        if self.find_agent(&name).await.is_ok() {
            return Err(killick_gate::ports::StoreError::Exists(format!("agent {name}")).into());
        }
        let agent = Agent {
            name,
            owner: owner.unwrap_or_else(|| by.caller.owner.clone()),
            groups,
            standing: Standing::Good,
            added: self.parts.gate.now(),
        };
        self.on_record(by, Kind::Agent, "agent add", json!({ "agent": agent })).await?;
        let message = format!("agent `{}` is added, owned by {}", agent.name, agent.owner);
        self.parts.gate.on_store(move |store| store.agent_add(&agent)).await?;
        Ok(done(message))
    }

    pub(super) async fn agent_list(&self) -> Answered {
        Ok(Reply::Agents(self.parts.gate.on_store(|store| store.agents()).await?))
    }

    /// A freeze that the record cannot take still freezes: it is the safe direction.
    pub(super) async fn agent_freeze(
        &self,
        by: &Acting<'_>,
        name: AgentName,
        reason: Option<String>,
    ) -> Answered {
        if let Some(reason) = &reason {
            plain_text("the reason", reason, REASON_BYTES_MAX)?;
        }
        self.find_agent(&name).await?;
        let mut entry = Draft::new(Kind::Standing);
        entry.verdict = Some("frozen".into());
        let details = json!({ "agent": name, "reason": reason });
        let recorded = self.on_record_as(by, entry, "agent freeze", details).await;
        self.parts.gate.standings().freeze(&name);
        let frozen = name.clone();
        let stored = self
            .parts
            .gate
            .on_store(move |store| store.agent_standing(&frozen, Standing::Frozen))
            .await;
        if let Err(error) = recorded {
            return Err(AdminError::new(
                error.code,
                format!("agent `{name}` IS frozen, but the record could not take the freeze"),
                error.next_step,
            ));
        }
        stored.map_err(|error| {
            let error = AdminError::from(error);
            AdminError::new(
                error.code,
                format!(
                    "agent `{name}` IS frozen until the gateway restarts; the store could not keep it"
                ),
                error.next_step,
            )
        })?;
        Ok(done(format!(
            "agent `{name}` is frozen: nothing of it passes, open connections are cut"
        )))
    }

    pub(super) async fn agent_thaw(&self, by: &Acting<'_>, name: AgentName) -> Answered {
        self.find_agent(&name).await?;
        let mut entry = Draft::new(Kind::Standing);
        entry.verdict = Some("thawed".into());
        self.on_record_as(by, entry, "agent thaw", json!({ "agent": name })).await?;
        let thawed = name.clone();
        self.parts
            .gate
            .on_store(move |store| store.agent_standing(&thawed, Standing::Good))
            .await?;
        self.parts.gate.standings().thaw(&name);
        Ok(done(format!(
            "agent `{name}` may go on; what was permitted before the freeze stays dead"
        )))
    }

    pub(super) async fn agent_remove(&self, by: &Acting<'_>, name: AgentName) -> Answered {
        self.find_agent(&name).await?;
        self.on_record(by, Kind::Agent, "agent remove", json!({ "agent": name })).await?;
        let sessions = self.parts.gate.on_store(|store| store.sessions()).await?;
        let mut closed = 0_usize;
        for (session, _) in sessions {
            if session.principal.agent == name && session.closed.is_none() {
                self.end_session(&session.principal.session).await?;
                closed = closed.saturating_add(1);
            }
        }
        let gone = name.clone();
        self.parts.gate.on_store(move |store| store.agent_remove(&gone)).await?;
        Ok(done(format!("agent `{name}` is removed; {closed} sessions were closed")))
    }

    pub(super) async fn find_agent(&self, name: &AgentName) -> Result<Agent, AdminError> {
        let agents = self.parts.gate.on_store(|store| store.agents()).await?;
        agents.into_iter().find(|agent| agent.name == *name).ok_or_else(|| {
            AdminError::missing(
                format!("agent `{name}`"),
                format!("add it with `killick agent add {name}`"),
            )
        })
    }
}
