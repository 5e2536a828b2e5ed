//! `killick undo`

use killick_admin::protocol::{Command, Reply};
use killick_model::PointId;
use killick_model::point::{UndoAsk, UndoReport, UndoneTable, WhenEdited};

use super::{Ended, Session, unexpected};
use crate::cli::{EntryName, UndoArgs, UndoWhat};
use crate::failure::{Exit, Failure};
use crate::show::{Screen, Tone, plain};

pub(super) fn undo(session: &Session, args: UndoArgs) -> Ended {
    let point = match args.what {
        UndoWhat::Point(point) => point,
        UndoWhat::Entry(entry) => point_of(session, entry)?,
    };
    let ask = UndoAsk {
        point: point.clone(),
        dry_run: args.dry_run,
        overwrite: args.overwrite,
        edited: if args.overwrite_all {
            WhenEdited::Overwrite
        } else if args.skip_edited {
            WhenEdited::Skip
        } else {
            WhenEdited::Refuse
        },
        fire_triggers: args.fire_triggers,
        run_functions: args.run_functions,
    };
    let Reply::Undone(report) = session.ask(Command::Undo(Box::new(ask)))? else {
        return Err(unexpected());
    };
    let screen = &session.screen;
    if screen.json {
        screen.json(&report);
    } else {
        show(screen, &report, &point);
    }
    if report.done || args.dry_run {
        return Ok(Exit::Done);
    }
    Err(Failure::refused(
        format!("{} rows were edited since; nothing was restored", report.edited()),
        "name them with --overwrite ROW, or use --overwrite-all or --skip-edited",
    ))
}

/// Finds the recovery point that an entry of the record names.
fn point_of(session: &Session, entry: EntryName) -> Result<PointId, Failure> {
    let command = match entry {
        EntryName::Index(from) => Command::RecordRead { from, max: 1 },
        EntryName::Call(call) => Command::RecordFind { call },
    };
    let Reply::Entries { entries, .. } = session.ask(command)? else {
        return Err(unexpected());
    };
    let undo = entries.iter().rev().find_map(|entry| entry.details.as_ref()?.get("undo"));
    let point = undo.and_then(|undo| undo.get("point")?.as_str());
    match (point, undo) {
        (Some(point), _) => PointId::parse(point)
            .map_err(|error| Failure::new(error.to_string(), "look at `killick point list`")),
        (None, Some(undo)) => {
            let why = undo.get("why").and_then(serde_json::Value::as_str).unwrap_or_default();
            Err(Failure::new(
                format!("there is nothing to undo it with: {}", plain(why, 500)),
                "look at the database's own backups and at `killick point list`",
            ))
        }
        (None, None) => Err(Failure::new(
            "the entry is not the end of a transaction, or there is no such entry",
            "look at `killick log tail` for a commit",
        )),
    }
}

fn show(screen: &Screen, report: &UndoReport, point: &PointId) {
    let (done, table) = if report.done { ("restored from", "") } else { ("plan for", "would be ") };
    screen.line(screen.tone(Tone::Strong, &format!("{done} {point}")));
    for definition in &report.definitions {
        screen.line(format!("  made again: {}", plain(definition, 200)));
    }
    for one in &report.tables {
        screen.line(format!("  {}", line(one, table)));
        for row in &one.edited_rows {
            screen.line(format!("    edited since: {}", plain(row, 300)));
        }
    }
    for trigger in &report.triggers_held {
        screen.line(format!("  does not fire: trigger {}", plain(trigger, 200)));
    }
    for line in &report.not_covered {
        screen.line(format!("  not covered: {}", plain(line, 500)));
    }
}

fn line(table: &UndoneTable, would: &str) -> String {
    let mut parts = Vec::new();
    for (count, word) in [
        (table.restored, "brought back"),
        (table.reverted, "set to their former values"),
        (table.removed, "taken out again"),
    ] {
        if count > 0 {
            parts.push(format!("{count} rows {would}{word}"));
        }
    }
    if table.already > 0 {
        parts.push(format!("{} rows are as they were", table.already));
    }
    if table.edited > 0 {
        parts.push(format!("{} rows were edited since", table.edited));
    }
    let what = if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") };
    format!("{}: {what}", plain(&table.table, 200))
}
