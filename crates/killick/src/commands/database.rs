//! `killick database`

use killick_admin::protocol::{Command, DatabaseAsk, Reply};
use killick_admin::secret::Secret;
use killick_model::UpstreamName;
use killick_model::database::{DatabaseLimits, DatabaseTls};
use killick_model::readiness::{LayerState, PrepareAsk, Prepared};

use super::{Ended, Session, unexpected};
use crate::adapters;
use crate::cli::{DatabaseAddArgs, DatabaseCommand, DatabasePrepareArgs, LimitArgs};
use crate::failure::{Exit, Failure};
use crate::secret_input;
use crate::show::screen::aside;
use crate::show::{Screen, Tone, plain};

pub(super) fn database(session: &Session, command: DatabaseCommand) -> Ended {
    match command {
        DatabaseCommand::Add(args) => {
            let ask = asked(args)?;
            session.ask_done(Command::DatabaseAdd(Box::new(ask)))
        }
        DatabaseCommand::List => list(session),
        DatabaseCommand::Prepare(args) => prepare(session, args),
        DatabaseCommand::Remove { name } => session.ask_done(Command::DatabaseRemove { name }),
    }
}

fn asked(args: DatabaseAddArgs) -> Result<DatabaseAsk, Failure> {
    let address = adapters::database_url(&args.url).map_err(|why| anyhow::anyhow!(why))?;
    let password = match address.password {
        Some(password) => {
            aside(
                "the address held the password: it stands in the shell's history; leave it out and be asked",
            );
            password
        }
        None => secret_input::value(None, "password of the database: ")?,
    };
    let tls = match args.pin {
        Some(sha256) => {
            let good = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
            if !good {
                return Err(anyhow::anyhow!("a certificate is pinned by 64 hex digits").into());
            }
            DatabaseTls::Pinned { sha256: sha256.to_ascii_lowercase() }
        }
        None => address.tls,
    };
    Ok(DatabaseAsk {
        name: args.name,
        host: address.host,
        port: address.port,
        database: address.database,
        user: address.user,
        password: Secret::from(password),
        tls,
        private_address: args.private_address,
        environment: args.environment,
        role: args.role,
        read_role: args.read_role,
        lives_on: args.lives_on,
        limits: limits(&args.limits),
        replace: args.replace,
    })
}

fn limits(args: &LimitArgs) -> DatabaseLimits {
    let shipped = DatabaseLimits::default();
    DatabaseLimits {
        statement_millis_max: args.statement_timeout.unwrap_or(shipped.statement_millis_max),
        lock_millis_max: args.lock_timeout.unwrap_or(shipped.lock_millis_max),
        idle_millis_max: args.idle_timeout.unwrap_or(shipped.idle_millis_max),
        wal_bytes_max: args.wal_max.unwrap_or(shipped.wal_bytes_max),
    }
}

/// The SQL is what was asked for, so it goes to standard output, ready to be piped; the findings stand beside it.
fn prepare(session: &Session, args: DatabasePrepareArgs) -> Ended {
    let ask = PrepareAsk { role: args.role, read_only: args.read_only, schemas: args.schemas };
    if args.target.contains("://") {
        if args.check {
            return Err(Failure::new(
                "only a declared database is looked at: no credential is taken from an address",
                "declare it with `killick database add`, then check it by its name",
            ));
        }
        let sql =
            adapters::prepare_script(&args.target, &ask).map_err(|why| anyhow::anyhow!(why))?;
        if session.screen.json {
            session.screen.json(&serde_json::json!({ "sql": sql }));
        } else {
            session.screen.line(sql.trim_end());
        }
        return Ok(Exit::Done);
    }
    let name = UpstreamName::parse(&args.target).map_err(|error| {
        Failure::new(
            format!("this is neither the name of a database nor an address: {error}"),
            "look at `killick database list`",
        )
    })?;
    let Reply::DatabasePrepared(prepared) = session.ask(Command::DatabasePrepare { name, ask })?
    else {
        return Err(unexpected());
    };
    if session.screen.json {
        session
            .screen
            .json(&serde_json::json!({ "holds": prepared.holds(), "prepared": prepared }));
    } else {
        for line in findings(&session.screen, &prepared) {
            if args.check { session.screen.line(line) } else { aside(line) }
        }
        if !args.check {
            session.screen.line(prepared.sql.trim_end());
        }
    }
    Ok(if args.check && !prepared.holds() { Exit::Failed } else { Exit::Done })
}

/// Returns what was found, one line each, with what to do below it.
fn findings(screen: &Screen, prepared: &Prepared) -> Vec<String> {
    let mut lines = Vec::new();
    for it in &prepared.findings {
        let tone = match it.state {
            LayerState::Holds => Tone::Good,
            LayerState::InPart => Tone::Loud,
            LayerState::Missing | LayerState::Unknown => Tone::Bad,
        };
        let state = screen.tone(tone, &format!("{:<8}", it.state.as_str()));
        let about = format!("{}: {}", it.layer.as_str(), plain(&it.about, 40));
        let found = plain(&it.found, 1_000);
        let remedy = it
            .remedy
            .as_ref()
            .map_or_else(String::new, |remedy| format!(" -> {}", plain(remedy, 1_000)));
        lines.push(format!("{state} {about:<28} {found}{remedy}"));
    }
    lines
}

fn list(session: &Session) -> Ended {
    let Reply::Databases(databases) = session.ask(Command::DatabaseList {})? else {
        return Err(unexpected());
    };
    if session.screen.json {
        session.screen.json(&databases);
        return Ok(Exit::Done);
    }
    let rows = databases.iter().map(|it| {
        vec![
            it.name.to_string(),
            format!("{}:{}/{}", it.host, it.port, it.database),
            it.environment.to_string(),
            it.role.clone().unwrap_or_else(|| format!("{} (the login itself)", it.user)),
            match &it.tls {
                DatabaseTls::Off => "no TLS".into(),
                DatabaseTls::Verify => "verified".into(),
                DatabaseTls::Pinned { .. } => "pinned".into(),
            },
            it.lives_on
                .as_ref()
                .map(|object| plain(&format!("{}:{}", object.upstream, object.label()), 200))
                .unwrap_or_default(),
        ]
    });
    session.screen.table(
        &["database", "server", "environment", "role", "TLS", "lives on"],
        rows.collect(),
        "No databases. Declare one with `killick database add`.",
    );
    Ok(Exit::Done)
}
