//! How much of the record one agent may fill.

use std::collections::HashMap;

use killick_tlog::Kind;
use parking_lot::Mutex;

use super::error::JournalError;

/// Entries one agent may write in a minute, if nothing else is said.
pub const ENTRIES_PER_MINUTE_MAX: u32 = 6_000;
/// Agents counted at once; past them an agent that was not seen yet in this minute is refused.
pub const AGENTS_COUNTED_MAX: usize = 10_000;

const MINUTE_MS: u64 = 60_000;

/// Counts the entries of each agent in the minute that runs.
pub(super) struct Quota {
    per_minute_max: u32,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    minute: u64,
    entries: HashMap<Box<str>, u32>,
}

impl Quota {
    pub(super) fn new(per_minute_max: u32) -> Self {
        Self { per_minute_max, counted: Mutex::new(Counted::default()) }
    }

    /// Counts one entry, or refuses it.
    pub(super) fn spend(&self, agent: &str, now_unix_ms: u64) -> Result<(), JournalError> {
        let refused = |is_first| JournalError::Quota {
            agent: agent.to_owned(),
            per_minute_max: self.per_minute_max,
            is_first,
        };
        let mut counted = self.counted.lock();
        // A clock that is set back must not give an agent its minute again, over and over.
        let minute = (now_unix_ms / MINUTE_MS).max(counted.minute);
        if minute != counted.minute {
            counted.minute = minute;
            counted.entries.clear();
        }
        if let Some(entries) = counted.entries.get_mut(agent) {
            *entries = entries.saturating_add(1);
            return if *entries <= self.per_minute_max {
                Ok(())
            } else {
                Err(refused(*entries == self.per_minute_max.saturating_add(1)))
            };
        }
        if counted.entries.len() >= AGENTS_COUNTED_MAX {
            return Err(refused(false));
        }
        counted.entries.insert(agent.into(), 1);
        if self.per_minute_max == 0 { Err(refused(true)) } else { Ok(()) }
    }
}

/// Says whether an agent's own doing writes such an entry, so that it counts against the agent.
///
/// What a human does to an agent, and what came of a call that is under way, is recorded whatever the agent did.
pub(super) const fn counts(kind: Kind) -> bool {
    match kind {
        Kind::Call
        | Kind::Decision
        | Kind::Obligation
        | Kind::Sent
        | Kind::Request
        | Kind::Pending
        | Kind::Session
        | Kind::Errand
        | Kind::Refusal
        | Kind::Foreign
        | Kind::Redaction => true,
        Kind::Outcome
        | Kind::Approval
        | Kind::Grant
        | Kind::Freeze
        | Kind::Thaw
        | Kind::Standing
        | Kind::Agent
        | Kind::Credential
        | Kind::Configuration
        | Kind::BreakGlass
        | Kind::CheckpointPublished
        | Kind::Start
        | Kind::Stop
        | Kind::Admin => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agents_noise_is_refused_and_another_agent_is_not() {
        let quota = Quota::new(2);
        let first = |result| matches!(result, Err(JournalError::Quota { is_first: true, .. }));
        assert!(quota.spend("noisy", 60_000).is_ok());
        assert!(quota.spend("noisy", 60_001).is_ok());
        assert!(first(quota.spend("noisy", 119_998)));
        assert!(!first(quota.spend("noisy", 119_999)));
        assert!(quota.spend("quiet", 119_999).is_ok());
        assert!(quota.spend("noisy", 120_000).is_ok());
    }

    #[test]
    fn a_clock_set_back_gives_no_minute_twice() {
        let quota = Quota::new(1);
        assert!(quota.spend("a", 120_000).is_ok());
        assert!(quota.spend("a", 60_000).is_err());
        assert!(quota.spend("a", 120_001).is_err());
    }

    #[test]
    fn what_is_done_to_an_agent_never_counts_against_it() {
        for kind in [Kind::Freeze, Kind::Standing, Kind::Outcome, Kind::Approval] {
            assert!(!counts(kind));
        }
        assert!(counts(Kind::Refusal) && counts(Kind::Foreign));
    }
}
