//! What a database's server does for the gateway, found by asking it: which layers hold there, and what to do where
//! one does not.

use serde::{Deserialize, Serialize};

/// What a human wants the roles at a server to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrepareAsk {
    /// The role that agents' sessions run as; the declared one, or a name of the gateway's choice, when absent.
    pub role: Option<String>,
    /// Whether that role may only read.
    #[serde(default)]
    pub read_only: bool,
    /// The schemas that it works in; all but the system's own when empty.
    #[serde(default)]
    pub schemas: Vec<String>,
}

/// The statements that prepare a server, and how it is without them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The role that the statements make.
    pub role: String,
    /// The statements, for a human to run.
    pub sql: String,
    /// What was found, layer by layer.
    pub findings: Vec<Finding>,
}

impl Prepared {
    /// Returns whether every layer holds, at least in part. What could not be found out does not count as holding.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|it| match it.state {
            LayerState::Holds | LayerState::InPart => true,
            LayerState::Missing | LayerState::Unknown => false,
        })
    }
}

/// Which of the layers something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The server's own rights: the role that agents' sessions run as.
    Role,
    /// The transaction in which reads run, and the server refuses to write.
    ReadOnly,
    /// The gateway's judgement, which needs the catalogue.
    Judgement,
    /// The counting of rows, and the copies that undo needs.
    Undo,
    /// Whether the gateway's sessions work at all at this server.
    Server,
}

impl Layer {
    /// Returns the layer as it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::ReadOnly => "read-only",
            Self::Judgement => "judgement",
            Self::Undo => "undo",
            Self::Server => "server",
        }
    }
}

/// Whether something holds at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerState {
    /// It holds.
    Holds,
    /// It holds, with a gap that another layer has to close.
    InPart,
    /// It does not hold.
    Missing,
    /// Nobody can say, so it does not count.
    Unknown,
}

impl LayerState {
    /// Returns the state as it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::InPart => "in part",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The layer that it belongs to.
    pub layer: Layer,
    /// What was looked at, in a word or two.
    pub about: String,
    /// Whether it holds.
    pub state: LayerState,
    /// What was found, in one sentence.
    pub found: String,
    /// What to do where it does not hold.
    pub remedy: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_found_out_does_not_count_as_holding() {
        let prepared = |state| Prepared {
            role: "r".into(),
            sql: String::new(),
            findings: vec![Finding {
                layer: Layer::Role,
                about: "role".into(),
                state,
                found: String::new(),
                remedy: None,
            }],
        };
        assert!(prepared(LayerState::Holds).holds() && prepared(LayerState::InPart).holds());
        assert!(!prepared(LayerState::Missing).holds() && !prepared(LayerState::Unknown).holds());
    }
}
