//! `killick status` and `killick up`

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use killick_admin::protocol::{Command, Reply, Status};

use super::{Ended, Session, now, unexpected};
use crate::cli::UpArgs;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::show::moment::{moment, relative, span};
use crate::show::screen::aside;
use crate::show::{Screen, Tone, plain};

/// The stack of a worker. Texts of agents are parsed into trees that are walked recursively: the longest text
/// that is judged, 1 MiB of four bytes a level, takes some 120 MiB. Pages that are not used cost nothing.
const STACK_BYTES: usize = 512 << 20;

pub(super) fn up(session: Session, args: &UpArgs) -> Ended {
    if !session.home.config().exists() {
        return Err(Failure::new(
            format!("there is no gateway in {}", session.home.root().display()),
            "make one with `killick init`",
        ));
    }
    let config = Config::load(&session.home.config()).map_err(anyhow::Error::from)?;
    let ready = ready(args.ready_file.clone(), args.ready_fd)?;
    let Session { home, runtime, .. } = session;
    drop(runtime);
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("KILLICK_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()?;
    runtime.block_on(crate::daemon::run(home, config, ready))?;
    Ok(Exit::Done)
}

/// Returns what tells the starter that the gateway answers.
fn ready(file: Option<PathBuf>, descriptor: Option<i32>) -> Result<crate::daemon::Ready, Failure> {
    // Opened through the system's own names for descriptors, which takes no unsafe code.
    let descriptor = match descriptor {
        None => None,
        Some(number) => Some(
            std::fs::OpenOptions::new().write(true).open(format!("/dev/fd/{number}")).map_err(
                |error| {
                    Failure::new(
                        format!("file descriptor {number} cannot be written to: {error}"),
                        "open it before the command is started",
                    )
                },
            )?,
        ),
    };
    Ok(Box::new(move |address: &str| {
        if let Some(mut open) = descriptor {
            writeln!(open, "{address}")?;
        }
        if let Some(path) = file {
            // Whoever waits for the file must not read half of it.
            let unfinished = path.with_extension("unfinished");
            std::fs::write(&unfinished, format!("{address}\n"))?;
            std::fs::rename(&unfinished, &path)?;
        }
        aside(format!("killick answers on {address}"));
        Ok(())
    }))
}

fn fetch(session: &Session) -> Result<Status, Failure> {
    let Reply::Status(status) = session.ask(Command::Status {})? else {
        return Err(unexpected());
    };
    Ok(*status)
}

pub(super) fn status(session: &Session) -> Ended {
    let status = fetch(session)?;
    let screen = &session.screen;
    if screen.json {
        screen.json(&status);
        return Ok(Exit::Done);
    }
    screen.field("gateway", &format!("running at {}", status.gateway));
    screen.field("version", &status.version);
    screen.field("uptime", &span(status.uptime_millis));
    screen.field("agents", &agents(screen, &status));
    screen.field("sessions", &format!("{} open", status.sessions));
    screen.field("requests", &waiting(screen, status.requests_open, "wait for a human"));
    screen.field("parked calls", &waiting(screen, status.pending, "wait for their time"));
    screen.field("upstreams", &status.upstreams.to_string());
    screen.field("record", &record(screen, &status));
    screen.field(
        "policies",
        &format!(
            "{} in force, version {}",
            status.policies,
            status.policies_version.get(..12).unwrap_or(&status.policies_version)
        ),
    );
    if !status.recovery_place.is_empty() {
        screen.field("recovery points", &format!("kept in {}", plain(&status.recovery_place, 200)));
    }
    for it in status.rehearsals.iter().filter_map(|it| it.last.as_ref()) {
        let word = if it.passed() { "passed" } else { "FAILED" };
        let text = format!("{}: {word} {}", it.database, relative(it.at, now()));
        let tone = if it.passed() { Tone::Good } else { Tone::Bad };
        screen.field("last rehearsal", &screen.tone(tone, &text));
    }
    loud(screen, &status);
    Ok(Exit::Done)
}

fn agents(screen: &Screen, status: &Status) -> String {
    if status.frozen.is_empty() {
        return status.agents.to_string();
    }
    let names: Vec<&str> = status.frozen.iter().map(killick_model::AgentName::as_str).collect();
    let frozen = screen.tone(Tone::Bad, &format!("FROZEN: {}", names.join(", ")));
    format!("{}, {frozen}", status.agents)
}

fn waiting(screen: &Screen, count: usize, what: &str) -> String {
    let text = format!("{count} {what}");
    if count == 0 { text } else { screen.tone(Tone::Loud, &text) }
}

fn record(screen: &Screen, status: &Status) -> String {
    if let Some(problem) = &status.record_problem {
        return screen.tone(Tone::Bad, &format!("CANNOT BE READ: {}", plain(problem, 300)));
    }
    let checkpoint = status.checkpoint.as_ref().map_or_else(
        || "no checkpoint yet".to_owned(),
        |it| format!("checkpoint over {} with root {}", it.size, it.root),
    );
    format!("{} entries, {checkpoint}", status.record_size)
}

/// Says what nobody may overlook.
fn loud(screen: &Screen, status: &Status) {
    for glass in &status.break_glasses {
        let text = format!(
            "BREAK-GLASS OPEN for agent {} until {} ({}), by {}: {}",
            glass.agent,
            moment(glass.expires),
            relative(glass.expires, now()),
            glass.by,
            plain(&glass.reason, 500)
        );
        screen.line(screen.tone(Tone::Bad, &text));
    }
    if status.production_waiver {
        let text = "WAIVER: agents without a fence may change production ([production] \
                    without_fence = \"read-write\")";
        screen.line(screen.tone(Tone::Bad, text));
    }
}

/// Says on standard error which exceptions are open; every listing does.
pub(super) fn warn_of_break_glasses(session: &Session) -> Result<(), Failure> {
    if let Reply::BreakGlasses(open) = session.ask(Command::BreakGlassList {})? {
        for glass in open {
            aside(format!(
                "BREAK-GLASS OPEN for agent {} until {}: {}",
                glass.agent,
                moment(glass.expires),
                plain(&glass.reason, 500)
            ));
        }
    }
    Ok(())
}
