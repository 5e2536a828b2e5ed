//! `killick snapshot`, `killick rehearse` and `killick restore`: begun in the gateway, watched here.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use killick_admin::protocol::{Command, Reply};
use killick_model::UpstreamName;
use killick_model::rehearsal::{Rehearsal, Rehearsals, Work};

use super::point::size;
use super::{Ended, Session, now, unexpected};
use crate::cli::{RehearseArgs, RestoreArgs};
use crate::failure::{Exit, Failure};
use crate::show::moment::{moment, relative, span};
use crate::show::{Tone, plain};

/// How often it is asked how the work stands.
const WATCH_MILLIS: u64 = 250;
/// The most bytes of a file of assertions.
const ASSERTIONS_BYTES_MAX: u64 = 256 << 10;

pub(super) fn snapshot(session: &Session, database: &UpstreamName) -> Ended {
    let begun = session.ask(Command::SnapshotBegin { database: database.clone() })?;
    watch(session, database, begun)
}

pub(super) fn rehearse(session: &Session, args: RehearseArgs) -> Ended {
    let assertions = match &args.assertions {
        None => None,
        Some(path) => {
            let size = std::fs::metadata(path)?.len();
            if size > ASSERTIONS_BYTES_MAX {
                return Err(Failure::new(
                    format!("{} has {size} bytes", path.display()),
                    format!("at most {ASSERTIONS_BYTES_MAX} are read"),
                ));
            }
            Some(std::fs::read_to_string(path)?)
        }
    };
    let database = args.database;
    let begun = session.ask(Command::RehearseBegin { database: database.clone(), assertions })?;
    watch(session, &database, begun)
}

pub(super) fn restore(session: &Session, args: RestoreArgs) -> Ended {
    let RestoreArgs { database, point, into } = args;
    let begun = session.ask(Command::RestoreBegin { database: database.clone(), point, into })?;
    watch(session, &database, begun)
}

/// Shows how the work goes on until it ends.
fn watch(session: &Session, database: &UpstreamName, mut reply: Reply) -> Ended {
    let shows = std::io::stderr().is_terminal() && !session.screen.json;
    loop {
        let Reply::Work(work) = reply else { return Err(unexpected()) };
        let Work::Running { stage, bytes } = &work else {
            if shows {
                let _ = write!(std::io::stderr().lock(), "\r{:<30}\r", "");
            }
            return show(session, database, &work);
        };
        if shows {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "\r{:<14} {:<14}", plain(stage, 40), size(*bytes));
            let _ = err.flush();
        }
        std::thread::sleep(Duration::from_millis(WATCH_MILLIS));
        reply = session.ask(Command::WorkShow { database: database.clone() })?;
    }
}

fn show(session: &Session, database: &UpstreamName, work: &Work) -> Ended {
    let screen = &session.screen;
    if screen.json {
        screen.json(work);
    }
    match work {
        Work::Failed { why } => {
            if screen.json {
                return Ok(Exit::Failed);
            }
            Err(Failure::new(
                format!("`{database}`: {}", plain(why, 2_000)),
                "the record says more (`killick log tail`); what was kept before is still there",
            ))
        }
        Work::Rehearsed { rehearsal } => {
            if !screen.json {
                screen.line(sentence(rehearsal));
                for wrong in &rehearsal.wrong {
                    screen.line(screen.tone(Tone::Bad, &format!("  {}", plain(wrong, 1_000))));
                }
            }
            Ok(if rehearsal.passed() { Exit::Done } else { Exit::Failed })
        }
        Work::Restored { restored } => {
            if !screen.json {
                screen.line(format!(
                    "{} is restored into `{}`: {} tables, {} rows",
                    restored.point,
                    plain(&restored.into, 255),
                    restored.tables,
                    restored.rows
                ));
                for wrong in &restored.wrong {
                    screen.line(screen.tone(Tone::Bad, &format!("  {}", plain(wrong, 1_000))));
                }
            }
            Ok(if restored.wrong.is_empty() { Exit::Done } else { Exit::Failed })
        }
        Work::Taken { point } => {
            if !screen.json {
                screen.line(format!(
                    "snapshot {} of `{database}`: {}, complete and read back; kept until {}",
                    point.head.id,
                    size(point.bytes()),
                    moment(point.expires)
                ));
            }
            Ok(Exit::Done)
        }
        Work::Running { .. } => Err(unexpected()),
    }
}

fn sentence(it: &Rehearsal) -> String {
    let word = if it.passed() { "passed" } else { "FAILED" };
    format!(
        "rehearsal of {} ({}) {word} in {}: {} tables, {} rows, {} assertions",
        it.point,
        moment(it.taken),
        span(it.millis),
        it.tables,
        it.rows,
        it.assertions
    )
}

/// Says when a database was last rehearsed with success, for pages about what may be lost.
pub(crate) fn last_passed(database: &UpstreamName, all: &[Rehearsals]) -> String {
    let passed = all.iter().find_map(|it| it.passed.as_ref().filter(|it| it.database == *database));
    match passed {
        Some(it) => format!("{} ({}): {}", moment(it.at), relative(it.at, now()), sentence(it)),
        None => "no rehearsal has passed; run `killick rehearse`".to_owned(),
    }
}
