//! Entries of the record in one line each, or whole.

use killick_admin::ports::RecordEntry;
use killick_model::UnixMillis;
use serde_json::Value;

use super::moment::moment;
use super::plain::{CELL_CHARS_MAX, TEXT_CHARS_MAX, plain};
use super::{Screen, Tone};

/// The most lines of details that are shown.
const DETAIL_LINES_MAX: usize = 400;

/// Returns a text of the header.
pub(crate) fn text<'a>(entry: &'a RecordEntry, name: &str) -> &'a str {
    entry.entry.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Returns an entry in one line.
pub(crate) fn line(screen: &Screen, entry: &RecordEntry) -> String {
    let header = |name: &str| plain(text(entry, name), CELL_CHARS_MAX);
    let verdict = header("verdict");
    let tone = match text(entry, "verdict") {
        "permit" | "approved" => Tone::Good,
        "requestable" | "pending" => Tone::Loud,
        "deny" | "denied" | "unproved" | "frozen" => Tone::Bad,
        _ => Tone::Quiet,
    };
    let who = match (text(entry, "agent"), text(entry, "by")) {
        ("", "") => "gateway".to_owned(),
        ("", by) => plain(by, CELL_CHARS_MAX),
        (agent, "") => plain(agent, CELL_CHARS_MAX),
        (agent, by) => format!("{} for {}", plain(by, 40), plain(agent, 40)),
    };
    let said: Vec<String> =
        ["effect", "action", "environment", "upstream", "reason", "outcome", "call"]
            .into_iter()
            .map(header)
            .filter(|value| !value.is_empty())
            .collect();
    format!(
        "{:>7}  {}  {:<13} {:<12} {who}  {}",
        entry.index,
        moment(UnixMillis(entry.time)),
        header("kind"),
        screen.tone(tone, &verdict),
        said.join(" ")
    )
}

/// Shows an entry whole.
pub(crate) fn show(screen: &Screen, entry: &RecordEntry) {
    screen.line(screen.tone(Tone::Strong, &format!("Entry {}", entry.index)));
    screen.field("time", &moment(UnixMillis(entry.time)));
    if let Some(header) = entry.entry.as_object() {
        for (name, value) in header {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let shown = plain(&text, TEXT_CHARS_MAX);
            screen.field(&plain(name, 30), &shown);
        }
    }
    match &entry.details {
        None => screen.field("details", "none, or erased"),
        Some(details) => {
            screen.field("details", "");
            let pretty = serde_json::to_string_pretty(details).unwrap_or_default();
            for shown in pretty.lines().take(DETAIL_LINES_MAX) {
                screen.line(format!("  {}", plain(shown, 2_000)));
            }
            let more = pretty.lines().count().saturating_sub(DETAIL_LINES_MAX);
            if more > 0 {
                screen.line(format!("  … {more} more lines; see all with --json"));
            }
        }
    }
}
