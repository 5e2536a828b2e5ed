//! Policies: shown, checked, replaced as a whole.

use killick_gate::Blocking as _;
use killick_gate::ports::StoreError;
use killick_model::SessionId;
use killick_model::record::Kind;
use killick_policy::{Pdp, PolicySource};
use serde_json::json;

use super::{Acting, Administration, Answered, done, off_loop};
use crate::policies;
use crate::protocol::{AdminCode, AdminError, PolicyProblemShown, PolicyText, Reply};

/// Problems that an error names; the rest stand in `killick policy check`.
const PROBLEMS_NAMED_MAX: usize = 3;

impl Administration {
    pub(super) async fn policy_show(&self) -> Answered {
        let pdp = self.parts.gate.policies();
        let sources = self.parts.gate.on_store(policies::stored).await?;
        Ok(Reply::Policies {
            version: pdp.version().to_owned(),
            policies: pdp.len(),
            sources: sources.into_iter().map(PolicyText::from).collect(),
        })
    }

    pub(super) async fn policy_check(&self, sources: Vec<PolicyText>) -> Answered {
        let problems = match self.loaded(sources).await? {
            Ok(_) => Vec::new(),
            Err(problems) => problems,
        };
        Ok(Reply::PolicyProblems(problems))
    }

    pub(super) async fn policy_set(&self, by: &Acting<'_>, sources: Vec<PolicyText>) -> Answered {
        let text = policies::encode(&sources)?;
        let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
        let pdp = self.loaded(sources.clone()).await?.map_err(|problems| {
            let first: Vec<String> = problems
                .iter()
                .take(PROBLEMS_NAMED_MAX)
                .map(|it| format!("{}:{}:{}: {}", it.file, it.line, it.column, it.message))
                .collect();
            AdminError::new(
                AdminCode::Invalid,
                format!("{} problems: {}; nothing was changed", problems.len(), first.join("; ")),
                "see all of them with `killick policy check`",
            )
        })?;
        if pdp.is_empty() {
            return Err(AdminError::invalid(
                "there is no policy in these files; nothing was changed",
                "without a policy nothing is permitted: freeze the agents instead if you mean that",
            ));
        }
        let former = self.parts.gate.policies().version().to_owned();
        let details = json!({
            "files": names, "version": pdp.version(), "former_version": former, "texts": sources,
        });
        self.on_record(by, Kind::Configuration, "policy set", details).await?;
        let message =
            format!("{} policies are in force, version {}", pdp.len(), short(pdp.version()));
        self.parts.gate.on_store(move |store| store.setting_put(policies::SETTING, &text)).await?;
        self.parts.gate.replace_policies(pdp);
        Ok(done(message))
    }

    async fn loaded(
        &self,
        sources: Vec<PolicyText>,
    ) -> Result<Result<Pdp, Vec<PolicyProblemShown>>, AdminError> {
        let catalogue = self.parts.rest.action_catalogue();
        let sources: Vec<PolicySource> = sources.into_iter().map(PolicySource::from).collect();
        off_loop(move || {
            Ok(Pdp::load(&sources, &catalogue)
                .map_err(|problems| problems.into_iter().map(PolicyProblemShown::from).collect()))
        })
        .await
    }

    pub(super) async fn pack_drift(&self, name: &str) -> Answered {
        if self.parts.rest.pack_info(name).is_none() {
            return Err(AdminError::missing(
                format!("pack `{}`", name.escape_debug()),
                "look at `killick pack list`",
            ));
        }
        let found = self.parts.rest.pack_drift(name).await.map_err(|why| {
            AdminError::new(
                AdminCode::Unavailable,
                format!("the provider could not be asked: {why}"),
                "declare an upstream with this pack and bind a credential to it, then try again",
            )
        })?;
        Ok(Reply::Drift(found))
    }

    pub(super) fn explain(&self, line: &serde_json::Value, session: Option<SessionId>) -> Answered {
        let principal = match session {
            None => None,
            Some(id) => Some(self.parts.gate.sessions().by_id(&id).ok_or_else(|| {
                AdminError::from(StoreError::Missing(format!("open session {id}")))
            })?),
        };
        let explained = self
            .parts
            .rest
            .explain(line, principal.as_ref().map(|it| it.principal.as_ref()))
            .ok_or_else(|| {
                AdminError::invalid(
                    "the line is no call",
                    "see `killick explain --help` for its form",
                )
            })?;
        Ok(Reply::Explained(Box::new(explained)))
    }
}

/// The part of a digest that people compare by eye.
fn short(version: &str) -> &str {
    version.get(..12).unwrap_or(version)
}
