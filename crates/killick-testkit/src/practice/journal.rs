//! What the world saw: every request, written down before it is executed.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Requests kept in memory; the oldest go first. The file keeps all.
pub(super) const REQUESTS_KEPT_MAX: usize = 20_000;

/// One request as the world received it. It holds the credential itself: the world's tokens are
/// throw-away, and a test must be able to say which of them arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeenRequest {
    /// The position of the request, from 1.
    pub seq: u64,
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers in the order of their arrival, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with anything that is not UTF-8 replaced.
    pub body: String,
    /// Whose credential it carried: `account`, `project`, `stray`, a minted token's name, `none`
    /// or `unknown`.
    pub principal: String,
    /// The root fields that the request's operations ask for, as `mutation.volumeDelete`.
    pub root_fields: Vec<String>,
    /// The root fields that were resolved. Empty in the file, which is written before execution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executed: Vec<ExecutedField>,
}

impl SeenRequest {
    /// Returns a header's first value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Says whether the request asked for a root field, `mutation.volumeDelete` for example.
    #[must_use]
    pub fn asked_for(&self, root_field: &str) -> bool {
        self.root_fields.iter().any(|found| found == root_field)
    }
}

/// A root field that ran, with its arguments after coercion.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecutedField {
    /// The field, as `mutation.volumeDelete`.
    pub field: String,
    /// Its arguments.
    pub arguments: Value,
    /// Whether it was refused or failed.
    pub failed: bool,
}

/// The list of requests, in memory and in a file that is only ever appended to.
#[derive(Debug)]
pub(super) struct Journal {
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    next_seq: u64,
    requests: VecDeque<SeenRequest>,
    file: Option<File>,
}

impl Journal {
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let file = match path {
            Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
            None => None,
        };
        Ok(Self { seen: Mutex::new(Seen { next_seq: 1, requests: VecDeque::new(), file }) })
    }

    /// Writes a request down and returns its position. Call it before anything has an effect: a
    /// request that cannot be written down must not be executed.
    pub(super) fn record(&self, mut request: SeenRequest) -> io::Result<u64> {
        let mut seen = self.seen.lock();
        let seq = seen.next_seq;
        request.seq = seq;
        if let Some(file) = &mut seen.file {
            let mut line = serde_json::to_vec(&request)?;
            line.push(b'\n');
            // One write a line: with O_APPEND a reader never sees two requests interleaved.
            file.write_all(&line)?;
        }
        seen.next_seq = seq.saturating_add(1);
        if seen.requests.len() >= REQUESTS_KEPT_MAX {
            seen.requests.pop_front();
        }
        seen.requests.push_back(request);
        Ok(seq)
    }

    /// Adds what a request's execution resolved.
    pub(super) fn executed(&self, seq: u64, fields: Vec<ExecutedField>) {
        let mut seen = self.seen.lock();
        if let Some(request) = seen.requests.iter_mut().rev().find(|request| request.seq == seq) {
            request.executed.extend(fields);
        }
    }

    pub(super) fn requests(&self) -> Vec<SeenRequest> {
        self.seen.lock().requests.iter().cloned().collect()
    }
}
