//! Entries in the shape of the Open Cybersecurity Schema Framework: API Activity, class 6003.
//!
//! The mapping is documented in `docs/guide/log-export.md`.

use killick_admin::ports::RecordEntry;
use serde_json::{Value, json};

use crate::show::record::text;

/// The schema's version.
pub(crate) const OCSF_VERSION: &str = "1.3.0";
/// API Activity.
const CLASS_UID: u64 = 6003;
/// Application Activity.
const CATEGORY_UID: u64 = 6;

/// Returns an entry as an event.
pub(crate) fn event(entry: &RecordEntry) -> Value {
    let header = |name: &str| some(text(entry, name));
    let (activity_id, activity) = activity(entry);
    let (action_id, disposition_id) = action(entry);
    let (severity_id, severity) = severity(entry);
    let (status_id, status) = status(entry);
    let owner = entry.entry.get("owner");
    json!({
        "category_uid": CATEGORY_UID,
        "category_name": "Application Activity",
        "class_uid": CLASS_UID,
        "class_name": "API Activity",
        "activity_id": activity_id,
        "activity_name": activity,
        "type_uid": CLASS_UID.saturating_mul(100).saturating_add(activity_id),
        "time": entry.time,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "status_code": header("reason"),
        "action_id": action_id,
        "disposition_id": disposition_id,
        "metadata": {
            "version": OCSF_VERSION,
            "product": {
                "name": "Killick",
                "vendor_name": "Killick",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "uid": entry.index.to_string(),
            "sequence": entry.index,
            "correlation_uid": header("call"),
            "log_name": "killick record",
            "event_code": header("kind"),
            "tenant_uid": header("tenant"),
        },
        "actor": {
            "user": {
                "name": header("agent").or_else(|| header("by")),
                "uid": header("agent").or_else(|| header("by")),
                "type": if text(entry, "agent").is_empty() { "User" } else { "System" },
            },
            "session": {
                "uid": header("session"),
                "issuer": owner.and_then(|it| it.get("issuer")),
                "credential_uid": header("credential"),
            },
            "invoked_by": owner.and_then(|it| it.get("subject")),
        },
        "api": {
            "operation": header("action").or_else(|| header("kind")),
            "service": { "name": header("upstream") },
            "response": { "message": header("outcome") },
        },
        "dst_endpoint": { "name": header("upstream") },
        "src_endpoint": { "name": header("agent").or_else(|| header("by")) },
        "unmapped": {
            "killick": entry.entry,
            "details": entry.details,
        },
    })
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Create, read, update, delete, or other: by the effect, and nothing else than what is known.
fn activity(entry: &RecordEntry) -> (u64, &'static str) {
    match text(entry, "effect") {
        "read" => (2, "Read"),
        "write" | "administer" => (3, "Update"),
        "destroy" => (4, "Delete"),
        "" => (0, "Unknown"),
        _ => (99, "Other"),
    }
}

/// Whether the gateway let it pass: action (1 allowed, 2 denied, 3 observed), disposition (1 allowed,
/// 2 blocked, 7 delayed, 17 logged).
fn action(entry: &RecordEntry) -> (u64, u64) {
    match (text(entry, "kind"), text(entry, "verdict")) {
        ("refusal" | "foreign", _) | (_, "deny" | "denied" | "unproved") => (2, 2),
        (_, "requestable" | "pending") => (2, 7),
        ("call" | "errand", _) | (_, "permit" | "approved") => (1, 1),
        _ => (3, 17),
    }
}

fn severity(entry: &RecordEntry) -> (u64, &'static str) {
    match (text(entry, "kind"), text(entry, "effect")) {
        ("foreign" | "break_glass", _) => (4, "High"),
        (_, "destroy" | "administer" | "unrecognized") | ("refusal" | "standing" | "freeze", _) => {
            (3, "Medium")
        }
        (_, "write") => (2, "Low"),
        _ => (1, "Informational"),
    }
}

fn status(entry: &RecordEntry) -> (u64, &'static str) {
    match (text(entry, "outcome"), action(entry)) {
        ("answered", _) => (1, "Success"),
        ("failed" | "not_sent" | "cut", _) | (_, (2, _)) => (2, "Failure"),
        ("unknown" | "", _) => (0, "Unknown"),
        _ => (99, "Other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(header: Value) -> RecordEntry {
        RecordEntry { index: 7, time: 1_777_023_667_000, entry: header, details: None }
    }

    #[test]
    fn a_refused_destruction_is_a_blocked_delete() {
        let event = event(&entry(json!({
            "kind": "refusal", "effect": "destroy", "verdict": "deny", "reason": "cross-environment",
            "agent": "coder", "session": "s-1", "upstream": "api", "action": "p.volumeDelete",
            "owner": { "issuer": "local", "subject": "alice" }, "call": "c-9",
        })));
        assert_eq!(event["type_uid"], 600_304);
        assert_eq!((&event["action_id"], &event["disposition_id"]), (&json!(2), &json!(2)));
        assert_eq!(event["status"], "Failure");
        assert_eq!(event["status_code"], "cross-environment");
        assert_eq!(event["metadata"]["correlation_uid"], "c-9");
        assert_eq!(event["actor"]["invoked_by"], "alice");
    }

    #[test]
    fn what_waits_for_a_human_is_not_called_allowed() {
        for verdict in ["requestable", "pending"] {
            let event = event(&entry(json!({ "kind": "call", "verdict": verdict })));
            assert_eq!(event["action_id"], 2, "{verdict}");
        }
    }

    #[test]
    fn an_entry_of_a_kind_that_is_not_known_is_still_an_event() {
        let event = event(&entry(json!({ "kind": "comet" })));
        assert_eq!(event["class_uid"], 6003);
        assert_eq!(event["type_uid"], 600_300);
        assert_eq!(event["unmapped"]["killick"]["kind"], "comet");
    }
}
