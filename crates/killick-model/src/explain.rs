//! What `killick explain` prints for one call: the gateway's own judgement, without sending.

use serde::{Deserialize, Serialize};

use crate::effect::EffectWord;

/// One line of `killick explain --jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The id of the input line.
    #[serde(default)]
    pub id: serde_json::Value,
    /// The effect in one word.
    pub effect: EffectWord,
    /// Whether nothing brings it back.
    pub irreversible: bool,
    /// Whether it is not limited to what it names.
    pub unbounded: bool,
    /// What it touches, as `kind:id`.
    pub objects: Vec<String>,
    /// Where that lives.
    pub environment: String,
    /// `permit`, `requestable` or `deny`.
    pub decision: Verdict,
    /// What would be done first.
    pub obligations: Vec<String>,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// Why, as code and sentence.
    pub reason: String,
}

/// The decision in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Sent, after its obligations.
    Permit,
    /// A human may be asked.
    Requestable,
    /// Refused.
    Deny,
}
