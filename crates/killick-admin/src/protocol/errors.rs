//! Why a command was not done.

use serde::{Deserialize, Serialize};

/// Why a command was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminCode {
    /// What was asked for makes no sense.
    Invalid,
    /// The caller may not administer.
    NotAdmitted,
    /// A passphrase is needed.
    ProofNeeded,
    /// The passphrase was not accepted.
    ProofRefused,
    /// There is nothing of that name.
    Missing,
    /// There is one of that name already.
    Exists,
    /// A named limit is reached.
    Limit,
    /// The record cannot take the step, so it was not done.
    RecordUnavailable,
    /// The store or the vault failed.
    StoreUnavailable,
    /// Something outside of the gateway failed.
    Unavailable,
}

impl AdminCode {
    /// Returns the code as it stands in replies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotAdmitted => "not-admitted",
            Self::ProofNeeded => "proof-needed",
            Self::ProofRefused => "proof-refused",
            Self::Missing => "missing",
            Self::Exists => "exists",
            Self::Limit => "limit",
            Self::RecordUnavailable => "record-unavailable",
            Self::StoreUnavailable => "store-unavailable",
            Self::Unavailable => "unavailable",
        }
    }

    /// Returns the HTTP status.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NotAdmitted | Self::ProofNeeded | Self::ProofRefused => 403,
            Self::Missing => 404,
            Self::Exists => 409,
            Self::Limit => 429,
            Self::RecordUnavailable | Self::StoreUnavailable => 503,
            Self::Unavailable => 502,
        }
    }
}

/// Why a command was not done, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct AdminError {
    /// Which kind.
    pub code: AdminCode,
    /// What happened, and what did not.
    pub message: String,
    /// What to do next.
    pub next_step: String,
}

impl AdminError {
    /// Builds an error.
    #[must_use]
    pub fn new(code: AdminCode, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { code, message: message.into(), next_step: next.into() }
    }

    /// Builds an error about a command that makes no sense.
    #[must_use]
    pub fn invalid(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(AdminCode::Invalid, message, next)
    }

    /// Builds an error about a thing that is not there.
    #[must_use]
    pub fn missing(what: impl std::fmt::Display, next: impl Into<String>) -> Self {
        Self::new(AdminCode::Missing, format!("there is no {what}; nothing was changed"), next)
    }
}
