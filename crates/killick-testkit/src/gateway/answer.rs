//! What came back, read whole.

use http::HeaderMap;
use serde_json::Value;

/// An answer, from the upstream or from the gateway itself.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, with anything that is not UTF-8 replaced.
    pub body: String,
}

impl Answer {
    /// Returns the body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// Returns the code of the gateway's refusal; empty when the upstream answered.
    #[must_use]
    pub fn code(&self) -> &str {
        self.headers.get("killick-refusal").and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    /// Returns a member of the refusal, wherever the shape of the answer keeps it.
    #[must_use]
    pub fn found(&self, member: &str) -> String {
        let json = self.json();
        let at = json
            .pointer("/errors/0/extensions")
            .unwrap_or(&json)
            .get(member)
            .and_then(Value::as_str)
            .unwrap_or_default();
        at.to_owned()
    }

    /// Says whether the upstream answered, and without an error.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.code().is_empty() && self.status == 200 && self.json().get("errors").is_none()
    }
}
