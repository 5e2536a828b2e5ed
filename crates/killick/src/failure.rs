//! How a command ends: the exit status, and words for people.

use std::fmt;

use killick_admin::protocol::{AdminCode, AdminError};

use crate::admin_client::AskError;

/// The exit status of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed, or something is broken.
    Failed = 1,
    /// Refused.
    Refused = 3,
    /// The gateway is not running.
    NotRunning = 4,
}

/// A command that was not done.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
    next_step: Option<String>,
}

impl Failure {
    /// Builds a failure.
    pub(crate) fn new(message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), next_step: Some(next_step.into()) }
    }
}

impl Failure {
    /// Builds a refusal.
    pub(crate) fn refused(message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, ..Self::new(message, next_step) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "killick: {}", crate::show::plain(&self.message, 2_000))?;
        match &self.next_step {
            Some(next) => write!(f, "\n  next: {}", crate::show::plain(next, 2_000)),
            None => Ok(()),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::NotRunning { socket, why } => Self {
                exit: Exit::NotRunning,
                message: format!("no gateway answers on {socket} ({why})"),
                next_step: Some("start it with `killick up`, after `killick init`".into()),
            },
            AskError::Refused(error) => Self::from(error),
            AskError::Broken(why) => Self {
                exit: Exit::Failed,
                message: format!("the gateway did not answer as it should: {why}"),
                next_step: Some(
                    "look at what `killick up` printed, and at `killick doctor`".into(),
                ),
            },
        }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        let exit = match error.code {
            AdminCode::NotAdmitted | AdminCode::ProofNeeded | AdminCode::ProofRefused => {
                Exit::Refused
            }
            AdminCode::Invalid
            | AdminCode::Missing
            | AdminCode::Exists
            | AdminCode::Limit
            | AdminCode::RecordUnavailable
            | AdminCode::StoreUnavailable
            | AdminCode::Unavailable => Exit::Failed,
        };
        Self { exit, message: error.message, next_step: Some(error.next_step) }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { exit: Exit::Failed, message: format!("{error:#}"), next_step: None }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::from(anyhow::Error::from(error))
    }
}
