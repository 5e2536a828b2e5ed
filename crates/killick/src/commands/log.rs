//! `killick log` and `killick checkpoint`

use std::path::{Path, PathBuf};
use std::time::Duration;

use killick_admin::ports::RecordEntry;
use killick_admin::protocol::{Command, ENTRIES_MAX, Reply};
use killick_model::UnixMillis;
use killick_store::journal::{DirectoryFiles, verify};
use killick_tlog::VerifyingKey;
use killick_tlog::verify::Against;

use super::{Ended, Session, unexpected};
use crate::cli::{CheckpointCommand, EntryName, ExportForm, LogCommand};
use crate::failure::{Exit, Failure};
use crate::ocsf;
use crate::show::record::{line, show};
use crate::show::{Tone, plain};

/// How often `tail --follow` looks for further entries.
const FOLLOW_REST: Duration = Duration::from_millis(300);
/// The most bytes of a key file or a checkpoint.
const SMALL_FILE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn log(session: &Session, command: LogCommand) -> Ended {
    match command {
        LogCommand::Tail { follow, lines } => tail(session, follow, lines),
        LogCommand::Show { what } => show_entries(session, &what),
        LogCommand::Export { format, from, to } => export(session, format, from, to),
        LogCommand::Verify { dir, key, against } => {
            verify_record(session, dir, key, against.as_deref())
        }
    }
}

fn entries(session: &Session, command: Command) -> Result<(u64, Vec<RecordEntry>), Failure> {
    let Reply::Entries { size, entries } = session.ask(command)? else {
        return Err(unexpected());
    };
    Ok((size, entries))
}

fn print(session: &Session, entry: &RecordEntry) {
    if session.screen.json {
        session.screen.json_line(entry);
    } else {
        session.screen.line(line(&session.screen, entry));
    }
}

fn tail(session: &Session, follow: bool, lines: usize) -> Ended {
    let (size, newest) = entries(session, Command::RecordTail { max: lines })?;
    for entry in &newest {
        print(session, entry);
    }
    if !follow {
        return Ok(Exit::Done);
    }
    let mut next = size;
    loop {
        std::thread::sleep(FOLLOW_REST);
        let (_, more) = entries(session, Command::RecordRead { from: next, max: ENTRIES_MAX })?;
        for entry in &more {
            print(session, entry);
            next = entry.index.saturating_add(1);
        }
    }
}

fn show_entries(session: &Session, what: &EntryName) -> Ended {
    let (_, found) = match what {
        EntryName::Index(index) => entries(session, Command::RecordRead { from: *index, max: 1 })?,
        EntryName::Call(call) => entries(session, Command::RecordFind { call: call.clone() })?,
    };
    if found.is_empty() {
        return Err(Failure::new("the record has no such entry", "look at `killick log tail`"));
    }
    for entry in &found {
        if session.screen.json {
            print(session, entry);
        } else {
            show(&session.screen, entry);
        }
    }
    Ok(Exit::Done)
}

fn export(
    session: &Session,
    form: ExportForm,
    from: Option<UnixMillis>,
    to: Option<UnixMillis>,
) -> Ended {
    let mut next = 0_u64;
    loop {
        let (_, batch) = entries(session, Command::RecordRead { from: next, max: ENTRIES_MAX })?;
        let Some(last) = batch.last() else { return Ok(Exit::Done) };
        next = last.index.saturating_add(1);
        for entry in &batch {
            let inside = from.is_none_or(|from| entry.time >= from.0)
                && to.is_none_or(|to| entry.time <= to.0);
            if inside {
                match form {
                    ExportForm::Jsonl => session.screen.json_line(entry),
                    ExportForm::Ocsf => session.screen.json_line(&ocsf::event(entry)),
                }
            }
        }
    }
}

/// Needs the directory and the public keys, and no gateway.
fn verify_record(
    session: &Session,
    dir: Option<PathBuf>,
    key: Option<PathBuf>,
    against: Option<&Path>,
) -> Ended {
    let dir = dir.unwrap_or_else(|| session.home.record());
    let key = key.unwrap_or_else(|| session.home.record_public());
    let keys = public_keys(&key)?;
    let published = against.map(small_file).transpose()?.into_iter().collect::<Vec<_>>();
    if !dir.is_dir() {
        return Err(Failure::new(
            format!("{} is no directory", dir.display()),
            "name the record's directory with --dir",
        ));
    }
    let report = verify(
        &DirectoryFiles::new(&dir),
        Against { keys: &keys, origin: None, published: &published },
    );
    let screen = &session.screen;
    let sound = report.is_sound();
    if screen.json {
        screen.json(&serde_json::json!({
            "sound": sound,
            "signed_entries": report.log.signed_size(),
            "entries": report.log.entries,
            "unsigned_entries": report.unsigned_entries,
            "torn_bytes": report.torn_bytes,
            "root": report.log.root.to_base64(),
            "signer": report.log.signer.as_ref().map(ToString::to_string),
            "problems": report.log.problems.listed().iter().map(ToString::to_string)
                .chain(report.problems.listed().iter().cloned()).collect::<Vec<_>>(),
            "warnings": report.log.warnings.listed().iter().map(ToString::to_string)
                .collect::<Vec<_>>(),
        }));
    } else {
        for (at, text) in report.to_string().lines().enumerate() {
            let tone = match (at, sound) {
                (0, true) => Tone::Good,
                (0, false) => Tone::Bad,
                _ => Tone::Loud,
            };
            screen.line(screen.tone(tone, &plain(text, 1_000)));
        }
    }
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

/// Reads public keys, one a line; lines with `#` are remarks.
pub(crate) fn public_keys(path: &Path) -> Result<Vec<VerifyingKey>, Failure> {
    let bytes = small_file(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let keys = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(VerifyingKey::parse)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| {
            Failure::new(
                format!("{} holds what is no public key: {error}", path.display()),
                "use the file `record.pub` that `killick init` wrote",
            )
        })?;
    if keys.is_empty() {
        return Err(Failure::new(
            format!("{} holds no public key", path.display()),
            "use the file `record.pub` that `killick init` wrote",
        ));
    }
    Ok(keys)
}

fn small_file(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(SMALL_FILE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| {
            Failure::new(
                format!("{} cannot be read: {error}", path.display()),
                "name a file that is there",
            )
        })?;
    Ok(bytes)
}

pub(super) fn checkpoint(session: &Session, command: &CheckpointCommand) -> Ended {
    match command {
        CheckpointCommand::Publish => {}
    }
    let Reply::Checkpoint(checkpoint) = session.ask(Command::CheckpointPublish {})? else {
        return Err(unexpected());
    };
    let screen = &session.screen;
    if screen.json {
        screen.json(&checkpoint);
        return Ok(Exit::Done);
    }
    for text in checkpoint.note.lines() {
        screen.line(plain(text, 1_000));
    }
    for place in &checkpoint.published {
        screen.line(screen.tone(Tone::Quiet, &format!("published to {}", plain(place, 300))));
    }
    Ok(Exit::Done)
}
