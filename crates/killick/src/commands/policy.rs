//! `killick policy` and `killick pack`

use std::path::PathBuf;

use killick_admin::protocol::{Command, PolicyText, Reply};

use super::{Ended, Session, unexpected};
use crate::cli::{PackCommand, PolicyCommand};
use crate::failure::{Exit, Failure};
use crate::show::{Tone, plain};

/// What policy files are called.
const POLICY_EXTENSION: &str = "cedar";

pub(super) fn policy(session: &Session, command: PolicyCommand) -> Ended {
    match command {
        PolicyCommand::Show => policy_show(session),
        PolicyCommand::Check { paths } => check(session, &paths),
        PolicyCommand::Set { paths } => {
            let sources = texts(&paths)?;
            session.ask_done(Command::PolicySet { sources })
        }
    }
}

fn policy_show(session: &Session) -> Ended {
    let Reply::Policies { version, policies, sources } = session.ask(Command::PolicyShow {})?
    else {
        return Err(unexpected());
    };
    let screen = &session.screen;
    if screen.json {
        screen.json(&serde_json::json!({
            "version": version, "policies": policies, "sources": sources,
        }));
        return Ok(Exit::Done);
    }
    screen.line(format!("// {policies} policies, version {version}"));
    for source in sources {
        screen.line(format!("// {}", plain(&source.name, 100)));
        for line in source.text.lines() {
            screen.line(plain(line, usize::MAX));
        }
    }
    Ok(Exit::Done)
}

fn check(session: &Session, paths: &[PathBuf]) -> Ended {
    let Reply::PolicyProblems(problems) =
        session.ask(Command::PolicyCheck { sources: texts(paths)? })?
    else {
        return Err(unexpected());
    };
    let screen = &session.screen;
    if screen.json {
        screen.json(&problems);
    } else if problems.is_empty() {
        screen
            .line(screen.tone(Tone::Good, "No problems: every policy is valid and none can err."));
    }
    if !screen.json {
        for it in &problems {
            let place = format!("{}:{}:{}", plain(&it.file, 100), it.line, it.column);
            screen.line(format!("{}: {}", screen.tone(Tone::Bad, &place), plain(&it.message, 500)));
            if let Some(help) = &it.help {
                screen.line(format!("  help: {}", plain(help, 500)));
            }
        }
    }
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Reads policy files; a directory stands for the policy files in it, in the order of their names.
fn texts(paths: &[PathBuf]) -> Result<Vec<PolicyText>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut inside: Vec<PathBuf> = std::fs::read_dir(path)?
                .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                .filter(|file| file.extension().is_some_and(|it| it == POLICY_EXTENSION))
                .collect();
            inside.sort();
            files.extend(inside);
        } else {
            files.push(path.clone());
        }
    }
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).map_err(|error| {
                Failure::new(
                    format!("{} cannot be read: {error}; nothing was changed", path.display()),
                    "name files that are there, as UTF-8 text",
                )
            })?;
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            Ok(PolicyText { name: name.to_owned(), text })
        })
        .collect()
}

pub(super) fn pack(session: &Session, command: PackCommand) -> Ended {
    match command {
        PackCommand::List => pack_list(session),
        PackCommand::Check { dir } => pack_check(session, &dir),
        PackCommand::Drift { name } => {
            let Reply::Drift(unknown) = session.ask(Command::PackDrift { name })? else {
                return Err(unexpected());
            };
            let screen = &session.screen;
            if screen.json {
                screen.json(&unknown);
            } else if unknown.is_empty() {
                screen.line("The provider has nothing that the pack does not know.");
            } else {
                for it in &unknown {
                    screen.line(plain(it, 300));
                }
            }
            Ok(if unknown.is_empty() { Exit::Done } else { Exit::Failed })
        }
    }
}

fn pack_list(session: &Session) -> Ended {
    let Reply::Packs(packs) = session.ask(Command::PackList {})? else {
        return Err(unexpected());
    };
    if session.screen.json {
        session.screen.json(&packs);
        return Ok(Exit::Done);
    }
    let rows = packs.into_iter().map(|it| {
        vec![
            it.name,
            it.title,
            it.hosts.join(", "),
            it.operations.to_string(),
            it.inject,
            it.variables.join(", "),
        ]
    });
    session.screen.table(
        &["pack", "provider", "hosts", "operations", "credential", "variables"],
        rows.collect(),
        "No packs.",
    );
    Ok(Exit::Done)
}

fn pack_check(session: &Session, dir: &std::path::Path) -> Ended {
    let mistakes = crate::adapters::check_pack(dir)?;
    let screen = &session.screen;
    if screen.json {
        screen.json(&mistakes);
    } else if mistakes.is_empty() {
        screen.line(screen.tone(Tone::Good, "No mistakes."));
    } else {
        for it in &mistakes {
            let place = format!("{}:{}", plain(&it.file, 200), it.line);
            screen.line(format!("{}: {}", screen.tone(Tone::Bad, &place), plain(&it.message, 500)));
            if !it.help.is_empty() {
                screen.line(format!("  help: {}", plain(&it.help, 500)));
            }
        }
        screen.line(format!("{} mistakes", mistakes.len()));
    }
    Ok(if mistakes.is_empty() { Exit::Done } else { Exit::Failed })
}
