//! `killick doctor`: what is enforced, what is not, and how to mend it.

mod files;
mod recovery;
mod running;
mod shell;

use serde::Serialize;

use crate::commands::Session;
use crate::config::{Config, WithoutFence};
use crate::failure::Exit;
use crate::show::{Screen, Tone, plain};

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It is as it should be.
    Ok,
    /// It works, and leaves something unprotected.
    NotEnforced,
    /// It does not work.
    Broken,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// How it stands.
    pub(crate) state: State,
    /// What was looked at, in a word that stays the same.
    pub(crate) check: &'static str,
    /// What was found.
    pub(crate) found: String,
    /// How to mend it.
    pub(crate) fix: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { state: State::Ok, check, found: found.into(), fix: None }
    }

    pub(crate) fn not_enforced(
        check: &'static str,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { state: State::NotEnforced, check, found: found.into(), fix: Some(fix.into()) }
    }

    pub(crate) fn broken(
        check: &'static str,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { state: State::Broken, check, found: found.into(), fix: Some(fix.into()) }
    }
}

pub(crate) fn doctor(session: &Session) -> Exit {
    let mut findings = files::look(&session.home);
    match Config::load(&session.home.config()) {
        Ok(config) => {
            findings
                .push(Finding::ok("configuration", session.home.config().display().to_string()));
            findings.extend(configured(&config));
            findings.push(recovery::look(&session.home, &config));
        }
        Err(error) => findings.push(Finding::broken(
            "configuration",
            error.to_string(),
            "mend the line, or run `killick init` where there is no file",
        )),
    }
    findings.extend(running::look(session));
    findings.extend(shell::look(&session.home));
    let broken = findings.iter().any(|it| it.state == State::Broken);
    if session.screen.json {
        session.screen.json(&findings);
    } else {
        show(&session.screen, &findings);
    }
    if broken { Exit::Failed } else { Exit::Done }
}

/// What the configuration itself leaves open.
fn configured(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.gateway.listen.ip().is_loopback() {
        findings.push(Finding::ok(
            "listening",
            format!("{}, this machine only", config.gateway.listen),
        ));
    } else {
        findings.push(Finding::not_enforced(
            "listening",
            format!(
                "{} is reached from other machines, and session tokens travel there in clear text",
                config.gateway.listen
            ),
            "listen on 127.0.0.1, or let nothing but a tunnel reach the port",
        ));
    }
    match config.production.without_fence {
        WithoutFence::ReadOnly => findings.push(Finding::ok(
            "production",
            "without a fence production is read-only, whatever an approval says",
        )),
        WithoutFence::ReadWrite => findings.push(Finding::not_enforced(
            "production",
            "WAIVER: agents without a fence may change production",
            "set [production] without_fence = \"read-only\"",
        )),
    }
    if config.record.publish.is_empty() {
        findings.push(Finding::not_enforced(
            "publishing",
            "checkpoints stay on this machine: whoever owns it could put an older copy of the whole \
             record in place",
            "name a place in [record] publish (docs/guide/record.md)",
        ));
    } else {
        let places = config.record.publish.len();
        findings.push(Finding::ok("publishing", format!("checkpoints go to {places} more places")));
    }
    findings
}

fn show(screen: &Screen, findings: &[Finding]) {
    for it in findings {
        let (word, tone) = match it.state {
            State::Ok => ("ok", Tone::Good),
            State::NotEnforced => ("NOT ENFORCED", Tone::Loud),
            State::Broken => ("BROKEN", Tone::Bad),
        };
        let word = screen.tone(tone, &format!("{word:<12}"));
        let mut lines = it.found.lines();
        let first = plain(lines.next().unwrap_or_default(), 1_000);
        screen.line(format!("{word}  {}: {first}", it.check));
        for line in lines {
            screen.line(format!("              {}", plain(line, 1_000)));
        }
        if let Some(fix) = &it.fix {
            screen.line(format!("              fix: {}", plain(fix, 1_000)));
        }
    }
    let count = |state: State| findings.iter().filter(|it| it.state == state).count();
    screen.line("");
    screen.line(format!(
        "{} ok, {} not enforced, {} broken",
        count(State::Ok),
        count(State::NotEnforced),
        count(State::Broken)
    ));
}

#[cfg(test)]
mod tests;
