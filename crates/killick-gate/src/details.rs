//! What the record says of a permitted call, written once.

use killick_model::{Action, CallDigest, ObjectFacts};

/// The details of a permitted call, beside its parts. They are written as text at once: a plain read has few.
#[derive(serde::Serialize)]
pub(crate) struct CallDetails<'a> {
    pub(crate) digest: CallDigest,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) facts: Option<&'a Vec<ObjectFacts>>,
    pub(crate) policy_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) points: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<&'a str>,
}

impl CallDetails<'_> {
    /// Returns the whole object as text, excerpt and parts of the action in it.
    pub(crate) fn written(&self, action: &Action) -> String {
        let mut text = serde_json::to_string(self).unwrap_or_else(|_| "{}".into());
        if text.pop().is_some() && text.len() > 1 {
            text.push(',');
        }
        text.push_str(action.written());
        text.push('}');
        text
    }
}
