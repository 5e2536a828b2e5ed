//! Where an object really lives, as the server or a human says; never as the agent says.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::EnvironmentName;

/// What kind of place an environment is, mildest first. Combining takes the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// A human declared it: losing it harms nobody.
    Development,
    /// A human declared it: it belongs to no environment (a code host).
    Shared,
    /// A named environment that is not production.
    Other,
    /// Production.
    Production,
    /// Nobody could say: counts as production.
    Unknown,
}

/// The environment of an object: the names found for it and the worst tier among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    names: BTreeSet<EnvironmentName>,
    tier: Tier,
}

impl Environment {
    /// Returns the environment of which nothing is known: counts as production.
    #[must_use]
    pub fn unknown() -> Self {
        Self { names: BTreeSet::new(), tier: Tier::Unknown }
    }

    /// Returns an environment that a human declared to be shared or development.
    #[must_use]
    pub fn declared(tier: Tier) -> Self {
        Self { names: BTreeSet::new(), tier }
    }

    /// Returns the environment with these names; `production` says which names are production.
    /// No name at all is unknown.
    #[must_use]
    pub fn named(
        names: impl IntoIterator<Item = EnvironmentName>,
        production: impl Fn(&EnvironmentName) -> bool,
    ) -> Self {
        let names: BTreeSet<_> = names.into_iter().collect();
        let tier = match (names.is_empty(), names.iter().any(production)) {
            (true, _) => Tier::Unknown,
            (false, true) => Tier::Production,
            (false, false) => Tier::Other,
        };
        Self { names, tier }
    }

    /// Returns the worst tier.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// Returns whether it counts as production: production or unknown.
    #[must_use]
    pub const fn counts_as_production(&self) -> bool {
        match self.tier {
            Tier::Production | Tier::Unknown => true,
            Tier::Development | Tier::Shared | Tier::Other => false,
        }
    }

    /// Returns whether the object lies wholly in the session's environment.
    /// Shared and development belong to every session; unknown to none; several names to none.
    #[must_use]
    pub fn is_of_session(&self, session: &EnvironmentName) -> bool {
        match self.tier {
            Tier::Development | Tier::Shared => true,
            Tier::Unknown => false,
            Tier::Other | Tier::Production => self.names.iter().all(|name| name == session),
        }
    }

    /// Returns the names found.
    pub fn names(&self) -> impl Iterator<Item = &EnvironmentName> {
        self.names.iter()
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tier {
            Tier::Unknown => f.write_str("unknown (counts as production)"),
            Tier::Shared => f.write_str("shared"),
            Tier::Development => f.write_str("development"),
            Tier::Other | Tier::Production => {
                for (at, name) in self.names.iter().enumerate() {
                    if at > 0 {
                        f.write_str("+")?;
                    }
                    write!(f, "{name}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(raw: &str) -> EnvironmentName {
        EnvironmentName::parse(raw).unwrap()
    }

    fn of(names: &[&str]) -> Environment {
        Environment::named(names.iter().map(|raw| name(raw)), |n| n.as_str() == "production")
    }

    #[test]
    fn an_object_in_two_environments_belongs_to_neither_session() {
        let both = of(&["staging", "production"]);
        assert!(both.counts_as_production());
        assert!(!both.is_of_session(&name("staging")));
        assert!(!both.is_of_session(&name("production")));
    }

    #[test]
    fn unknown_counts_as_production_and_belongs_to_no_session() {
        assert!(of(&[]).counts_as_production());
        assert!(!of(&[]).is_of_session(&name("production")));
    }

    #[test]
    fn staging_belongs_to_the_staging_session_alone() {
        assert!(of(&["staging"]).is_of_session(&name("staging")));
        assert!(!of(&["staging"]).is_of_session(&name("production")));
        assert!(!of(&["staging"]).counts_as_production());
    }
}
