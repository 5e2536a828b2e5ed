//! Which commands need a proof that the agent's user id alone cannot give.
//!
//! What could widen what an agent may do needs it. What only narrows it (freeze, close, deny, cancel)
//! does not, so that nothing stands between a human and a stop; nor does what only reads.

use killick_model::EnvironmentName;

use crate::protocol::Command;

/// Whether a command needs the approver's passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It widens what an agent may do.
    Needed,
    /// It narrows what an agent may do.
    NotNeededNarrows,
    /// It changes nothing.
    NotNeededReads,
    /// It opens a session outside of production.
    NotNeededOutsideProduction,
}

impl Proof {
    /// Returns whether it is needed.
    #[must_use]
    pub const fn is_needed(self) -> bool {
        match self {
            Self::Needed => true,
            Self::NotNeededNarrows | Self::NotNeededReads | Self::NotNeededOutsideProduction => {
                false
            }
        }
    }
}

/// Names of environments that are known not to be production. Every other name could be.
pub const NOT_PRODUCTION: &[&str] = &[
    "ci",
    "dev",
    "development",
    "local",
    "playground",
    "preview",
    "qa",
    "sandbox",
    "staging",
    "stage",
    "test",
    "testing",
];

/// Beginnings of names that are made for one branch or pull request.
const NOT_PRODUCTION_PREFIXES: &[&str] = &["dev-", "feature-", "pr-", "preview-", "test-"];

/// Words that make a name production's whatever else stands in it.
const PRODUCTION_WORDS: &[&str] = &["live", "main", "master", "prd", "prod", "production"];

/// Returns whether a name could be production's: every name that is not known to be harmless.
#[must_use]
pub fn could_be_production(environment: &EnvironmentName) -> bool {
    let name = environment.as_str();
    let harmless = NOT_PRODUCTION.contains(&name)
        || NOT_PRODUCTION_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let speaks_of_production = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| PRODUCTION_WORDS.contains(&word));
    !harmless || speaks_of_production
}

/// Returns whether a command needs a proof. Matched in full: a command added later has to be decided on.
#[must_use]
pub fn of(command: &Command) -> Proof {
    match command {
        Command::AgentAdd { .. }
        | Command::AgentRemove { .. }
        | Command::AgentThaw { .. }
        | Command::UpstreamAdd(_)
        | Command::UpstreamRemove { .. }
        | Command::CredentialAdd(_)
        | Command::CredentialRotate { .. }
        | Command::CredentialRemove { .. }
        | Command::PolicySet { .. }
        | Command::RequestApprove { .. }
        | Command::GrantAdd { .. }
        | Command::BreakGlassOpen { .. }
        | Command::KeyRotate { .. }
        | Command::DatabaseAdd(_)
        | Command::DatabaseRemove { .. }
        | Command::Undo(_)
        | Command::PointRemove { .. }
        | Command::RehearseBegin { .. }
        | Command::RestoreBegin { .. }
        | Command::PassphraseChange { .. } => Proof::Needed,
        Command::SessionOpen(ask) => {
            if ask.fence || could_be_production(&ask.environment) {
                Proof::Needed
            } else {
                Proof::NotNeededOutsideProduction
            }
        }
        Command::AgentFreeze { .. }
        | Command::SessionClose { .. }
        | Command::RequestDeny { .. }
        | Command::PendingCancel { .. }
        | Command::GrantRemove { .. }
        | Command::BreakGlassEnd { .. }
        | Command::SnapshotBegin { .. }
        | Command::CheckpointPublish {} => Proof::NotNeededNarrows,
        Command::Status {}
        | Command::AgentList {}
        | Command::SessionList { .. }
        | Command::UpstreamList {}
        | Command::CredentialList {}
        | Command::RequestList { .. }
        | Command::RequestShow { .. }
        | Command::GrantList {}
        | Command::BreakGlassList {}
        | Command::PendingList { .. }
        | Command::PolicyShow {}
        | Command::PolicyCheck { .. }
        | Command::RecordRead { .. }
        | Command::RecordTail { .. }
        | Command::RecordFind { .. }
        | Command::PackList {}
        | Command::PackDrift { .. }
        | Command::DatabaseList {}
        | Command::PointList { .. }
        | Command::PointShow { .. }
        | Command::DatabasePrepare { .. }
        | Command::DatabaseCatalogue { .. }
        | Command::WorkShow { .. }
        | Command::RehearsalList {}
        | Command::Explain { .. } => Proof::NotNeededReads,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_known_to_be_harmless_pass_without_a_proof() {
        let could = |raw: &str| could_be_production(&EnvironmentName::parse(raw).unwrap());
        for raw in
            ["production", "prod", "live", "main", "eu", "canary", "dev-prod", "pr-live", "prd.eu"]
        {
            assert!(could(raw), "{raw}");
        }
        for raw in ["staging", "dev", "pr-12", "preview-login", "test"] {
            assert!(!could(raw), "{raw}");
        }
    }
}
