//! `killick database`

use killick_admin::protocol::{Command, DatabaseAsk, Reply};
use killick_admin::secret::Secret;
use killick_model::database::DatabaseTls;

use super::{Ended, Session, unexpected};
use crate::adapters;
use crate::cli::{DatabaseAddArgs, DatabaseCommand};
use crate::failure::{Exit, Failure};
use crate::secret_input;
use crate::show::screen::aside;

pub(super) fn database(session: &Session, command: DatabaseCommand) -> Ended {
    match command {
        DatabaseCommand::Add(args) => {
            let ask = asked(args)?;
            session.ask_done(Command::DatabaseAdd(Box::new(ask)))
        }
        DatabaseCommand::List => list(session),
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
        replace: args.replace,
    })
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
        ]
    });
    session.screen.table(
        &["database", "server", "environment", "role", "TLS"],
        rows.collect(),
        "No databases. Declare one with `killick database add`.",
    );
    Ok(Exit::Done)
}
