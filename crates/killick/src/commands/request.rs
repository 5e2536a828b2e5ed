//! `killick request`, `killick grant`, `killick break-glass` and `killick pending`

use killick_admin::protocol::{Command, Reply};
use killick_gate::wholes::snapshot_of;
use killick_model::Obligation;
use killick_model::request::{AccessRequest, PendingState, RequestState};

use super::snapshot::last_passed;
use super::{Ended, Session, now, unexpected};
use crate::cli::{BreakGlassCommand, GrantCommand, PendingCommand, RequestCommand};
use crate::failure::Exit;
use crate::show::moment::{moment, relative};
use crate::show::request::{environments, object_names, show, task};
use crate::show::{Tone, plain};

pub(super) fn request(session: &Session, command: RequestCommand) -> Ended {
    match command {
        RequestCommand::List { all } => list(session, all),
        RequestCommand::Show { id } => {
            let request = one(session, Command::RequestShow { id })?;
            if session.screen.json {
                session.screen.json(&request);
            } else {
                show(&session.screen, &request, now());
                rehearsed(session, &request)?;
            }
            Ok(Exit::Done)
        }
        RequestCommand::Approve { id, send, note } => {
            if !session.screen.json {
                // Nobody says yes to what they have not been shown.
                let asked = one(session, Command::RequestShow { id: id.clone() })?;
                show(&session.screen, &asked, now());
                rehearsed(session, &asked)?;
                session.screen.line("");
            }
            answered(session, Command::RequestApprove { id, send, note })
        }
        RequestCommand::Deny { id, note } => answered(session, Command::RequestDeny { id, note }),
    }
}

/// Says when what the request touches was last restored somewhere with success.
fn rehearsed(session: &Session, request: &AccessRequest) -> Result<(), crate::failure::Failure> {
    let mut names: Vec<_> = request
        .obligations
        .iter()
        .filter_map(|it| match it {
            Obligation::RecoveryPoint { point, .. } => snapshot_of(point),
            Obligation::Defer { .. } => None,
        })
        .collect();
    let Reply::Databases(databases) = session.ask(Command::DatabaseList {})? else {
        return Err(unexpected());
    };
    names.extend(databases.into_iter().map(|it| it.name).filter(|it| *it == request.upstream));
    if names.is_empty() {
        return Ok(());
    }
    let Reply::Rehearsals(all) = session.ask(Command::RehearsalList {})? else {
        return Err(unexpected());
    };
    for name in names {
        session.screen.field("last rehearsal", &last_passed(&name, &all));
    }
    Ok(())
}

fn one(session: &Session, command: Command) -> Result<AccessRequest, crate::failure::Failure> {
    let Reply::Request(request) = session.ask(command)? else {
        return Err(unexpected());
    };
    Ok(*request)
}

fn answered(session: &Session, command: Command) -> Ended {
    let request = one(session, command)?;
    let screen = &session.screen;
    if screen.json {
        screen.json(&request);
        return Ok(Exit::Done);
    }
    let text = match request.state {
        RequestState::Approved if request.send_when_approved => {
            format!("{} is approved; the gateway sends the call itself", request.id)
        }
        RequestState::Approved => format!(
            "{} is approved for one use until {}; the agent sends the same call again",
            request.id,
            moment(request.expires)
        ),
        RequestState::Denied => format!("{} is denied; nothing was sent", request.id),
        RequestState::Open | RequestState::Spent | RequestState::Expired => {
            format!("{} is {}", request.id, state_word(request.state))
        }
    };
    screen.line(text);
    Ok(Exit::Done)
}

fn list(session: &Session, all: bool) -> Ended {
    let Reply::Requests(requests) = session.ask(Command::RequestList { all })? else {
        return Err(unexpected());
    };
    super::status::warn_of_break_glasses(session)?;
    let screen = &session.screen;
    if screen.json {
        screen.json(&requests);
        return Ok(Exit::Done);
    }
    let now = now();
    let rows = requests.iter().map(|it| {
        vec![
            it.id.to_string(),
            state_word(it.state).into(),
            it.action.effect().word().to_string(),
            it.action.headline().to_owned(),
            object_names(&it.facts),
            environments(&it.facts),
            it.principal.agent.to_string(),
            task(&it.principal),
            relative(it.asked, now),
            relative(it.expires, now),
        ]
    });
    screen.table(
        &[
            "request",
            "state",
            "effect",
            "operation",
            "objects",
            "environment",
            "agent",
            "task",
            "asked",
            "expires",
        ],
        rows.collect(),
        "No open requests.",
    );
    if !requests.is_empty() {
        screen.line(screen.tone(Tone::Quiet, "See one with `killick request show ID`."));
    }
    Ok(Exit::Done)
}

const fn state_word(state: RequestState) -> &'static str {
    match state {
        RequestState::Open => "open",
        RequestState::Approved => "approved",
        RequestState::Spent => "spent",
        RequestState::Denied => "denied",
        RequestState::Expired => "expired",
    }
}

pub(super) fn grant(session: &Session, command: GrantCommand) -> Ended {
    let command = match command {
        GrantCommand::Add { session, effect, objects, count, ttl } => {
            Command::GrantAdd { session, effect, objects, count, ttl_millis: ttl }
        }
        GrantCommand::List => Command::GrantList {},
        GrantCommand::Remove { id } => return session.ask_done(Command::GrantRemove { id }),
    };
    let Reply::Grants(grants) = session.ask(command)? else {
        return Err(unexpected());
    };
    if session.screen.json {
        session.screen.json(&grants);
        return Ok(Exit::Done);
    }
    let now = now();
    let rows = grants.iter().map(|it| {
        vec![
            it.id.clone(),
            it.session.to_string(),
            it.effect.to_string(),
            if it.objects.is_empty() {
                "any of the session's environment".into()
            } else {
                it.objects.join(", ")
            },
            it.left.to_string(),
            relative(it.expires, now),
            it.by.to_string(),
        ]
    });
    session.screen.table(
        &["grant", "session", "effect", "objects", "left", "expires", "by"],
        rows.collect(),
        "No grants.",
    );
    Ok(Exit::Done)
}

pub(super) fn break_glass(session: &Session, command: BreakGlassCommand) -> Ended {
    let command = match command {
        BreakGlassCommand::Open { agent, reason, ttl } => {
            Command::BreakGlassOpen { agent, reason, ttl_millis: ttl }
        }
        BreakGlassCommand::List => Command::BreakGlassList {},
        BreakGlassCommand::End { agent } => {
            return session.ask_done(Command::BreakGlassEnd { agent });
        }
    };
    let Reply::BreakGlasses(glasses) = session.ask(command)? else {
        return Err(unexpected());
    };
    let screen = &session.screen;
    if screen.json {
        screen.json(&glasses);
        return Ok(Exit::Done);
    }
    if glasses.is_empty() {
        screen.line("No break-glass is open.");
    }
    for glass in &glasses {
        screen.line(screen.tone(
            Tone::Bad,
            &format!(
                "BREAK-GLASS OPEN for agent {} until {} ({}), by {}: {}",
                glass.agent,
                moment(glass.expires),
                relative(glass.expires, now()),
                glass.by,
                plain(&glass.reason, 500)
            ),
        ));
    }
    Ok(Exit::Done)
}

pub(super) fn pending(session: &Session, command: PendingCommand) -> Ended {
    let all = match command {
        PendingCommand::List { all } => all,
        PendingCommand::Cancel { id } => return session.ask_done(Command::PendingCancel { id }),
    };
    let Reply::Pendings(pendings) = session.ask(Command::PendingList { all })? else {
        return Err(unexpected());
    };
    if session.screen.json {
        session.screen.json(&pendings);
        return Ok(Exit::Done);
    }
    let now = now();
    let rows = pendings.iter().map(|it| {
        vec![
            it.id.to_string(),
            pending_word(it.state).into(),
            it.action.effect().word().to_string(),
            it.action.headline().to_owned(),
            object_names(&it.facts),
            environments(&it.facts),
            it.principal.agent.to_string(),
            relative(it.due, now),
            task(&it.principal),
        ]
    });
    session.screen.table(
        &[
            "pending",
            "state",
            "effect",
            "operation",
            "objects",
            "environment",
            "agent",
            "due",
            "task",
        ],
        rows.collect(),
        "No parked calls.",
    );
    Ok(Exit::Done)
}

const fn pending_word(state: PendingState) -> &'static str {
    match state {
        PendingState::Waiting => "waiting",
        PendingState::Sending => "sending",
        PendingState::Sent => "sent",
        PendingState::Cancelled => "cancelled",
        PendingState::Refused => "refused",
        PendingState::Unknown => "unknown",
    }
}
