//! `killick point`

use killick_admin::protocol::{Command, Reply};
use killick_model::UnixMillis;
use killick_model::point::PointInfo;

use super::{Ended, Session, now, unexpected};
use crate::cli::PointCommand;
use crate::failure::Exit;
use crate::show::moment::{moment, relative};
use crate::show::{Tone, plain};

pub(super) fn point(session: &Session, command: PointCommand) -> Ended {
    match command {
        PointCommand::List { database } => list(session, Command::PointList { database }),
        PointCommand::Show { id } => {
            let Reply::Point(info) = session.ask(Command::PointShow { id })? else {
                return Err(unexpected());
            };
            if session.screen.json {
                session.screen.json(&info);
            } else {
                show(session, &info);
            }
            Ok(Exit::Done)
        }
        PointCommand::Remove { id } => session.ask_done(Command::PointRemove { id }),
    }
}

fn list(session: &Session, command: Command) -> Ended {
    let Reply::Points { place, points } = session.ask(command)? else {
        return Err(unexpected());
    };
    let screen = &session.screen;
    if screen.json {
        screen.json(&serde_json::json!({ "place": place, "points": points }));
        return Ok(Exit::Done);
    }
    let now = now();
    screen.table(
        &["point", "kind", "of", "environment", "size", "taken", "expires", "call"],
        points.iter().map(|it| row(it, now)).collect(),
        "No recovery points.",
    );
    screen.line(screen.tone(Tone::Quiet, &format!("Kept in {}", plain(&place, 200))));
    Ok(Exit::Done)
}

fn row(info: &PointInfo, now: UnixMillis) -> Vec<String> {
    let head = &info.head;
    vec![
        head.id.to_string(),
        head.kind.as_str().into(),
        head.upstream.to_string(),
        head.environment.to_string(),
        size(info.bytes()),
        relative(head.taken, now),
        relative(info.expires, now),
        head.call.as_ref().map(ToString::to_string).unwrap_or_default(),
    ]
}

fn show(session: &Session, info: &PointInfo) {
    let screen = &session.screen;
    let head = &info.head;
    screen.field("point", head.id.as_str());
    screen.field("kind", head.kind.as_str());
    screen.field("of", head.upstream.as_str());
    screen.field("environment", head.environment.as_str());
    screen.field("taken", &moment(head.taken));
    screen.field("expires", &moment(info.expires));
    if let Some(call) = &head.call {
        screen.field("call", call.as_str());
    }
    if let Some(owner) = &head.session {
        screen.field("session", owner.as_str());
    }
    for part in &info.parts {
        screen.field("stream", &format!("{}: {}", plain(&part.name, 200), size(part.bytes)));
    }
    let manifest = serde_json::to_string(&info.manifest).unwrap_or_default();
    screen.field("manifest", &plain(&manifest, 4_000));
}

/// Says how much in the unit that people read.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut unit = 0_usize;
    let mut number = bytes;
    let mut rest = 0_u64;
    while number >= 1_024 && unit < UNITS.len().saturating_sub(1) {
        rest = number & 1_023;
        number >>= 10;
        unit = unit.saturating_add(1);
    }
    let shown = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 {
        format!("{number} {shown}")
    } else {
        format!("{number}.{} {shown}", rest * 10 / 1_024)
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_is_in_the_unit_that_people_read() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (5 << 30, "5.0 GiB"),
            (5 << 40, "5120.0 GiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}
