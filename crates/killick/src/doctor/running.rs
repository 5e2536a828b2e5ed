//! What the running gateway says: whose it is, what nobody fences, what is open.

use std::os::unix::fs::MetadataExt as _;

use killick_admin::protocol::{Command, Reply};
use killick_model::admin::{CredentialInfo, Session as AgentSession, Upstream};

use super::Finding;
use crate::commands::Session;
use crate::failure::Failure;

/// Names that one finding lists.
const LISTED_MAX: usize = 8;

/// Asks the gateway.
pub(super) fn look(session: &Session) -> Vec<Finding> {
    let own = rustix::process::geteuid().as_raw();
    let owner = std::fs::metadata(session.home.root()).ok().map(|found| found.uid());
    let status = match session.ask(Command::Status {}) {
        Ok(Reply::Status(status)) => *status,
        Ok(_) => return vec![not_running("it answered something else than was asked")],
        Err(failure) => {
            let mut findings = vec![not_running(&failure.to_string())];
            findings.extend(owner.map(|uid| separation(uid, own)));
            return findings;
        }
    };
    let mut findings = vec![Finding::ok("gateway", format!("running at {}", status.gateway))];
    findings.push(separation(status.uid, own));
    if let Some(problem) = status.record_problem {
        findings.push(Finding::broken("reading the record", problem, "run `killick log verify`"));
    }
    for glass in &status.break_glasses {
        findings.push(Finding::not_enforced(
            "break-glass",
            format!("OPEN for agent {}, by {}: {}", glass.agent, glass.by, glass.reason),
            format!("killick break-glass end {}", glass.agent),
        ));
    }
    if let Ok(Reply::Sessions(open)) = session.ask(Command::SessionList { all: false }) {
        findings.extend(fences(&open));
    }
    findings.extend(upstreams(session).unwrap_or_default());
    findings
}

fn not_running(why: &str) -> Finding {
    let why = why.lines().next().unwrap_or_default();
    Finding::broken("gateway", format!("nothing is enforced: {why}"), "start it with `killick up`")
}

/// Whether the gateway's files are out of reach of the user that this shell, and so its agents, run under.
pub(super) fn separation(gateway: u32, own: u32) -> Finding {
    if gateway == own {
        return Finding::not_enforced(
            "user separation",
            "the gateway runs under this very user: its key files are NOT protected from agents that \
             run under it too",
            "run the gateway under a user of its own (docs/guide/own-user.md)",
        );
    }
    Finding::ok("user separation", format!("the gateway runs under user id {gateway}"))
}

/// What leaves an agent a way around the gateway.
pub(super) fn fences(open: &[AgentSession]) -> Option<Finding> {
    let without: Vec<&str> = open
        .iter()
        .filter(|session| !session.principal.fence)
        .map(|session| session.principal.session.as_str())
        .collect();
    if open.is_empty() {
        return None;
    }
    if without.is_empty() {
        return Some(Finding::ok("fence", "every open session was opened with one"));
    }
    Some(Finding::not_enforced(
        "fence",
        format!(
            "{} sessions leave their agent ways around the gateway: {}",
            without.len(),
            named(&without)
        ),
        "fence the agent in (a sandbox, a firewall), then open its session with --fence",
    ))
}

fn upstreams(session: &Session) -> Result<Vec<Finding>, Failure> {
    let (Reply::Upstreams(upstreams), Reply::Credentials(credentials)) =
        (session.ask(Command::UpstreamList {})?, session.ask(Command::CredentialList {})?)
    else {
        return Ok(Vec::new());
    };
    Ok(declared(&upstreams, &credentials))
}

/// What declared upstreams leave open.
pub(super) fn declared(upstreams: &[Upstream], credentials: &[CredentialInfo]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let bare: Vec<&str> = upstreams
        .iter()
        .filter(|it| !credentials.iter().any(|credential| credential.upstream == it.name))
        .map(|it| it.name.as_str())
        .collect();
    if !bare.is_empty() {
        findings.push(Finding::not_enforced(
            "credentials",
            format!("no credential is bound to {}: agents will look for one", named(&bare)),
            "killick credential add NAME --upstream UPSTREAM",
        ));
    }
    let clear: Vec<&str> =
        upstreams.iter().filter(|it| !it.tls).map(|it| it.name.as_str()).collect();
    if !clear.is_empty() {
        findings.push(Finding::not_enforced(
            "upstream TLS",
            format!("credentials travel in clear text to {}", named(&clear)),
            "declare it anew without --no-tls",
        ));
    }
    let believed: Vec<&str> =
        upstreams.iter().filter(|it| it.writes_by_method).map(|it| it.name.as_str()).collect();
    if !believed.is_empty() {
        findings.push(Finding::not_enforced(
            "writes by method",
            format!("what no pack knows counts as a plain write at {}", named(&believed)),
            "write a pack for it (docs/guide/pack-format.md)",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("upstreams", format!("{} are declared", upstreams.len())));
    }
    findings
}

fn named(names: &[&str]) -> String {
    let shown: Vec<&str> = names.iter().copied().take(LISTED_MAX).collect();
    match names.len().saturating_sub(LISTED_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
