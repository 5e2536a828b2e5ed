//! Entries of the record in one line each, or whole.

use killick_admin::ports::RecordEntry;
use killick_model::UnixMillis;
use serde_json::Value;

use super::moment::moment;
use super::plain::{CELL_CHARS_MAX, TEXT_CHARS_MAX, plain};
use super::{Screen, Tone};

/// The most lines of details that are shown.
const DETAIL_LINES_MAX: usize = 400;
/// The most tables that are shown by name.
const TABLES_MAX: usize = 50;

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
    for shown in entry.details.as_ref().map(rows_and_undo).unwrap_or_default() {
        screen.line(shown_field(screen, shown));
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

fn shown_field(screen: &Screen, (tone, name, text): (Tone, &str, String)) -> String {
    screen.field_text(name, &screen.tone(tone, &text))
}

/// Returns what a statement said, what it did to which rows, and whether that can be undone; nothing for entries
/// about anything else.
fn rows_and_undo(details: &Value) -> Vec<(Tone, &'static str, String)> {
    let mut lines = Vec::new();
    let of =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
    let text = |value: &Value, name: &str| {
        plain(value.get(name).and_then(Value::as_str).unwrap_or_default(), TEXT_CHARS_MAX)
    };
    let tables = details.get("tables").and_then(Value::as_array);
    let estimated = rows_before(details);
    let undo = details.get("undo").filter(|it| it.is_object());
    if tables.is_none() && estimated.is_empty() && undo.is_none() {
        return lines;
    }
    let statement = text(details, "excerpt");
    if !statement.is_empty() {
        lines.push((Tone::Strong, "statement", statement));
    }
    for table in tables.into_iter().flatten().take(TABLES_MAX) {
        let counts = ["inserted", "updated", "deleted"]
            .into_iter()
            .map(|deed| (of(table, deed), deed))
            .filter(|(rows, _)| *rows > 0)
            .map(|(rows, deed)| format!("{rows} {deed}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let counts = if counts.is_empty() { "no row".to_owned() } else { counts };
        lines.push((Tone::Loud, "rows", format!("{}: {counts}", text(table, "table"))));
    }
    let more = tables.map_or(0, Vec::len).saturating_sub(TABLES_MAX);
    if more > 0 {
        lines.push((Tone::Quiet, "rows", format!("… {more} more tables; see all with --json")));
    }
    if tables.is_none() {
        lines.extend(estimated);
    }
    if let Some(undo) = undo {
        lines.push(undo_line(undo, &text));
    }
    lines
}

fn undo_line(undo: &Value, text: &dyn Fn(&Value, &str) -> String) -> (Tone, &'static str, String) {
    let why = text(undo, "why");
    if undo.get("available").and_then(Value::as_bool) != Some(true) {
        let why = if why.is_empty() { "nobody said why".to_owned() } else { why };
        return (Tone::Bad, "undo", format!("not available: {why}"));
    }
    let point = text(undo, "point");
    let open: Vec<String> = undo
        .get("not_covered")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|it| plain(it, CELL_CHARS_MAX))
        .collect();
    let open =
        if open.is_empty() { String::new() } else { format!("; not covered: {}", open.join(", ")) };
    (Tone::Good, "undo", format!("available: killick undo {point} --dry-run{open}"))
}

/// Returns the rows that were found before a statement was decided on, by object.
fn rows_before(details: &Value) -> Vec<(Tone, &'static str, String)> {
    let facts = details.get("facts").and_then(Value::as_array);
    let found = facts.into_iter().flatten().filter_map(|fact| {
        let rows = fact.get("rows").filter(|it| it.is_object())?;
        let count = rows.get("count").and_then(Value::as_u64)?;
        let measured = rows.get("measured").and_then(Value::as_bool) == Some(true);
        let how = if measured { "counted" } else { "estimated, at most" };
        let id = fact.get("object").and_then(|it| it.get("id")).and_then(Value::as_str)?;
        Some((Tone::Loud, "rows", format!("{}: {how} {count}", plain(id, CELL_CHARS_MAX))))
    });
    found.take(TABLES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(details: &Value) -> Vec<String> {
        let screen = Screen::plain();
        rows_and_undo(details).into_iter().map(|it| shown_field(&screen, it)).collect()
    }

    #[test]
    fn a_commit_says_what_it_did_to_which_rows_and_how_it_is_undone() {
        let lines = said(&json!({
            "excerpt": "DELETE FROM messages WHERE client = $1",
            "tables": [
                { "table": "public.messages", "inserted": 0, "updated": 2, "deleted": 71_128 },
                { "table": "public.notes", "inserted": 0, "updated": 0, "deleted": 0 },
            ],
            "undo": { "available": true, "point": "k-1", "not_covered": ["sequences"] },
        }));
        let expected = [
            "statement           DELETE FROM messages WHERE client = $1",
            "rows                public.messages: 2 updated, 71128 deleted",
            "rows                public.notes: no row",
            "undo                available: killick undo k-1 --dry-run; not covered: sequences",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn where_there_is_no_undo_the_reason_stands_there() {
        let undo = |undo: Value| said(&json!({ "undo": undo })).pop().unwrap();
        assert_eq!(
            undo(json!({ "available": false, "why": "the table has no primary key" })),
            "undo                not available: the table has no primary key"
        );
        assert!(undo(json!({})).contains("not available"));
        assert!(undo(json!({ "available": "yes" })).contains("not available"));
    }

    #[test]
    fn what_was_found_before_is_shown_as_an_estimate_and_other_entries_say_nothing() {
        let found = json!({
            "excerpt": "UPDATE t SET a = $1",
            "facts": [{ "object": { "id": "public.t" }, "rows": { "count": 7, "measured": false } }],
        });
        assert_eq!(
            said(&found).pop().unwrap(),
            "rows                public.t: estimated, at most 7"
        );
        assert!(
            said(&json!({ "excerpt": "volumeDelete", "facts": [{ "rows": null }] })).is_empty()
        );
        assert!(said(&json!(null)).is_empty());
    }

    #[test]
    fn a_table_cannot_write_beyond_its_line() {
        let hostile = "t\u{1b}[2K\nundo                available";
        let lines = said(&json!({ "tables": [{ "table": hostile, "deleted": 1 }] }));
        assert!(lines.iter().all(|line| !line.contains(['\n', '\u{1b}'])), "{lines:?}");
    }
}
