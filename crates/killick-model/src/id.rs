//! Names and identifiers: parsed once, trusted afterwards.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not the identifier it was taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty or too long.
    #[error("{what} has {len_bytes} bytes, allowed are 1 to {len_bytes_max}")]
    Length {
        /// Which identifier.
        what: &'static str,
        /// Bytes that came.
        len_bytes: usize,
        /// The most bytes allowed.
        len_bytes_max: usize,
    },
    /// A byte that the identifier may not hold.
    #[error("{what} has a character that is not allowed at byte {at_byte}; allowed are {allowed}")]
    Character {
        /// Which identifier.
        what: &'static str,
        /// Where it stands.
        at_byte: usize,
        /// What would be allowed.
        allowed: &'static str,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $max:literal, $allowed:literal, $pattern:pat) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Box<str>);

        impl $type {
            /// The most bytes it may have.
            pub const LEN_BYTES_MAX: usize = $max;

            /// Parses the identifier.
            ///
            /// # Errors
            /// Says which byte is wrong, or that the length is.
            pub fn parse(raw: &str) -> Result<Self, IdError> {
                if !(1..=Self::LEN_BYTES_MAX).contains(&raw.len()) {
                    return Err(IdError::Length {
                        what: $what,
                        len_bytes: raw.len(),
                        len_bytes_max: Self::LEN_BYTES_MAX,
                    });
                }
                match raw.bytes().position(|byte| !matches!(byte, $pattern)) {
                    Some(at_byte) => {
                        Err(IdError::Character { what: $what, at_byte, allowed: $allowed })
                    }
                    None => Ok(Self(raw.into())),
                }
            }

            /// Returns the text of the identifier.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdError;

            fn try_from(raw: String) -> Result<Self, IdError> {
                Self::parse(&raw)
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> Self {
                id.0.into()
            }
        }

        impl std::str::FromStr for $type {
            type Err = IdError;

            fn from_str(raw: &str) -> Result<Self, IdError> {
                Self::parse(raw)
            }
        }
    };
}

name!(
    /// An agent's name as policies write it.
    AgentName, "an agent's name", 40, "a-z 0-9 -", b'a'..=b'z' | b'0'..=b'9' | b'-'
);
name!(
    /// The name of a declared upstream.
    UpstreamName, "an upstream's name", 40, "a-z 0-9 - . _", b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'
);
name!(
    /// The name of a stored credential; never its value.
    CredentialName, "a credential's name", 60, "a-z 0-9 - . _", b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'
);
name!(
    /// The name of an environment, lower case (`staging`, `pr-12`).
    EnvironmentName, "an environment's name", 60, "a-z 0-9 - . _ /", b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/'
);
name!(
    /// One task of one agent: `s-` and random hex digits.
    SessionId, "a session's id", 40, "a-z 0-9 -", b'a'..=b'z' | b'0'..=b'9' | b'-'
);
name!(
    /// One call, carrying tenant and node: `c-` and hex digits.
    CallId, "a call's id", 60, "a-z 0-9 -", b'a'..=b'z' | b'0'..=b'9' | b'-'
);
name!(
    /// One access request: `r-` and hex digits.
    RequestId, "a request's id", 40, "a-z 0-9 -", b'a'..=b'z' | b'0'..=b'9' | b'-'
);
name!(
    /// One parked call that waits for its grace period: `p-` and hex digits.
    PendingId, "a pending call's id", 40, "a-z 0-9 -", b'a'..=b'z' | b'0'..=b'9' | b'-'
);
name!(
    /// One recovery point: `k-` and hex digits.
    PointId, "a recovery point's id", 40, "a-z 0-9 -", b'a'..=b'z' | b'0'..=b'9' | b'-'
);

impl EnvironmentName {
    /// Parses a provider's own spelling: trimmed and lower-cased, blanks become `-`.
    ///
    /// # Errors
    /// The name holds characters that no environment name may hold.
    pub fn from_provider(raw: &str) -> Result<Self, IdError> {
        Self::parse(&raw.trim().to_ascii_lowercase().replace(' ', "-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_outside_its_alphabet_is_refused_with_the_byte() {
        assert_eq!(
            AgentName::parse("deploy_bot"),
            Err(IdError::Character { what: "an agent's name", at_byte: 6, allowed: "a-z 0-9 -" })
        );
        assert!(AgentName::parse("").is_err());
        assert!(AgentName::parse(&"a".repeat(41)).is_err());
        assert!(AgentName::parse("deploy-bot").is_ok());
    }

    #[test]
    fn a_name_is_checked_when_it_is_read_back() {
        assert!(serde_json::from_str::<AgentName>("\"UPPER\"").is_err());
        assert!(serde_json::from_str::<AgentName>("\"fine\"").is_ok());
    }

    #[test]
    fn a_look_alike_environment_is_not_an_environment_name() {
        assert!(EnvironmentName::from_provider("stagıng").is_err());
        assert_eq!(
            EnvironmentName::from_provider(" Staging ").map(String::from),
            Ok("staging".into())
        );
    }
}
