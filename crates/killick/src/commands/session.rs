//! `killick session`

use killick_admin::protocol::{Command, Reply, SessionAsk, SessionOpened};
use killick_model::Scope;
use killick_model::principal::ScopedEffect;

use super::{Ended, Session, now, unexpected};
use crate::cli::{ScopeArgs, SessionCommand, SessionOpenArgs};
use crate::environment::{self, Access, Shell};
use crate::failure::Exit;
use crate::show::moment::{moment, relative};
use crate::show::screen::aside;

pub(super) fn session(session: &Session, command: SessionCommand) -> Ended {
    match command {
        SessionCommand::Open(args) => open(session, args),
        SessionCommand::List { all } => list(session, all),
        SessionCommand::Close { session: id } => {
            session.ask_done(Command::SessionClose { session: id })
        }
        SessionCommand::Narrow(args) => super::narrow::narrow(session, args),
    }
}

/// Returns the scope that the flags say; nothing said is everything within policy.
pub(super) fn scope_of(args: ScopeArgs) -> Scope {
    let mut scope = Scope::full();
    if !args.effects.is_empty() {
        scope.effects = args.effects.into_iter().collect();
    }
    if !args.upstreams.is_empty() {
        scope.upstreams = Some(args.upstreams.into_iter().collect());
    }
    if !args.objects.is_empty() {
        scope.objects = Some(args.objects.into_iter().collect());
    }
    scope
}

fn open(session: &Session, args: SessionOpenArgs) -> Ended {
    let shell = args.shell;
    let ask = SessionAsk {
        agent: args.agent,
        environment: args.environment,
        task: args.task,
        ttl_millis: args.ttl,
        scope: scope_of(args.scope),
        fence: args.fence,
    };
    let Reply::SessionOpened(opened) = session.ask(Command::SessionOpen(ask))? else {
        return Err(unexpected());
    };
    show_opened(session, &opened, shell);
    Ok(Exit::Done)
}

fn show_opened(session: &Session, opened: &SessionOpened, shell: Shell) {
    let access = Access {
        gateway: &opened.gateway,
        token: opened.token.expose(),
        ca_bundle: Some(&opened.ca_bundle),
        surrogates: opened
            .surrogates
            .iter()
            .map(|it| (it.variables.as_slice(), it.value.expose().as_str()))
            .collect(),
    };
    let mut variables = environment::variables(&access);
    // `DATABASE_URL` never leads to another environment than the session's.
    if let Some((_, address)) = opened.databases.first() {
        variables.push(("DATABASE_URL".to_owned(), address.expose().clone()));
    }
    let several = opened.databases.len() > 1;
    let own = opened.databases.iter().filter(|_| several);
    for (name, address) in own.chain(&opened.databases_elsewhere) {
        let named =
            format!("{}_DATABASE_URL", name.as_str().to_ascii_uppercase().replace(['-', '.'], "_"));
        variables.push((named, address.expose().clone()));
    }
    if session.screen.json {
        let environment: serde_json::Map<String, serde_json::Value> =
            variables.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        session.screen.json(&serde_json::json!({
            "session": opened.session,
            "token": opened.token,
            "gateway": opened.gateway,
            "ca_bundle": opened.ca_bundle,
            "surrogates": opened.surrogates,
            "environment": environment,
        }));
        return;
    }
    session.screen.line(environment::lines(shell, &variables).trim_end());
    let principal = &opened.session.principal;
    aside(format!(
        "session {} of agent {} in {} until {}",
        principal.session,
        principal.agent,
        principal.environment,
        moment(principal.expires)
    ));
    for surrogate in opened.surrogates.iter().filter(|it| it.variables.is_empty()) {
        // It is no credential, but standard error is kept in more logs than standard output.
        aside(format!(
            "the surrogate for credential {} has no variable of its own; see it with --json",
            surrogate.credential
        ));
    }
}

fn list(session: &Session, all: bool) -> Ended {
    let Reply::Sessions(sessions) = session.ask(Command::SessionList { all })? else {
        return Err(unexpected());
    };
    super::status::warn_of_break_glasses(session)?;
    let screen = &session.screen;
    if screen.json {
        screen.json(&sessions);
        return Ok(Exit::Done);
    }
    let now = now();
    let rows = sessions.iter().map(|it| {
        let principal = &it.principal;
        let ends = match it.closed {
            Some(at) => format!("closed {}", relative(at, now)),
            None => relative(principal.expires, now),
        };
        vec![
            principal.session.to_string(),
            principal.agent.to_string(),
            principal.environment.to_string(),
            effects(&principal.scope),
            ends,
            principal.owner.to_string(),
            if principal.chain.len() > 1 {
                format!("below {}", principal.chain.first().map_or("", |id| id.as_str()))
            } else {
                String::new()
            },
            crate::show::request::task(principal),
        ]
    });
    screen.table(
        &["session", "agent", "environment", "effects", "ends", "owner", "chain", "task"],
        rows.collect(),
        "No open sessions. Open one with `killick session open`.",
    );
    Ok(Exit::Done)
}

fn effects(scope: &Scope) -> String {
    if scope.effects.len() == Scope::full().effects.len() {
        return "by policy".into();
    }
    let words = scope.effects.iter().map(|effect| match effect {
        ScopedEffect::Read => "read",
        ScopedEffect::Write => "write",
        ScopedEffect::Destroy => "destroy",
        ScopedEffect::Administer => "administer",
    });
    words.collect::<Vec<_>>().join(",")
}
