//! `killick upstream` and `killick credential`

use killick_admin::protocol::{Command, CredentialAsk, Reply, UpstreamAsk};
use killick_admin::secret::Secret;
use killick_model::Tier;
use killick_model::admin::{Injection, Upstream};

use super::{Ended, Session, unexpected};
use crate::cli::{CredentialAddArgs, CredentialCommand, UpstreamAddArgs, UpstreamCommand};
use crate::failure::{Exit, Failure};
use crate::secret_input;
use crate::show::moment::moment;

pub(super) fn upstream(session: &Session, command: UpstreamCommand) -> Ended {
    match command {
        UpstreamCommand::Add(args) => session.ask_done(Command::UpstreamAdd(upstream_ask(args))),
        UpstreamCommand::List => upstream_list(session),
        UpstreamCommand::Remove { name } => session.ask_done(Command::UpstreamRemove { name }),
    }
}

fn upstream_ask(args: UpstreamAddArgs) -> UpstreamAsk {
    UpstreamAsk {
        name: args.name,
        pack: args.pack,
        hosts: args.hosts,
        port: args.port,
        tls: !args.no_tls,
        declared: args.declare,
        model_provider: args.model_provider,
        dial: args.dial.map(|address| address.to_string()),
        writes_by_method: args.writes_by_method,
        private_address: args.private_address,
        replace: args.replace,
    }
}

fn upstream_list(session: &Session) -> Ended {
    let Reply::Upstreams(upstreams) = session.ask(Command::UpstreamList {})? else {
        return Err(unexpected());
    };
    if session.screen.json {
        session.screen.json(&upstreams);
        return Ok(Exit::Done);
    }
    let rows = upstreams.iter().map(|it| {
        vec![
            it.name.to_string(),
            it.hosts.join(", "),
            it.port.to_string(),
            it.pack.clone().unwrap_or_else(|| "(by method)".into()),
            match it.declared {
                Some(Tier::Shared) => "shared".into(),
                Some(Tier::Development) => "development".into(),
                None | Some(Tier::Other | Tier::Production | Tier::Unknown) => String::new(),
            },
            remarks(it),
        ]
    });
    session.screen.table(
        &["upstream", "hosts", "port", "pack", "declared", "remarks"],
        rows.collect(),
        "No upstreams: agents reach nothing. Declare one with `killick upstream add`.",
    );
    Ok(Exit::Done)
}

fn remarks(upstream: &Upstream) -> String {
    let mut remarks = Vec::new();
    if !upstream.tls {
        remarks.push("WITHOUT TLS".to_owned());
    }
    if upstream.private_address {
        remarks.push("private address".into());
    }
    if upstream.writes_by_method {
        remarks.push("writes by method".into());
    }
    if upstream.model_provider {
        remarks.push("model provider".into());
    }
    if let Some(dial) = &upstream.dial {
        remarks.push(format!("at {dial}"));
    }
    remarks.join(", ")
}

pub(super) fn credential(session: &Session, command: CredentialCommand) -> Ended {
    match command {
        CredentialCommand::Add(args) => credential_add(session, args),
        CredentialCommand::List => credential_list(session),
        CredentialCommand::Rotate { name, value_file } => {
            let proof = session.approver("Passphrase for `credential rotate`")?;
            let value = secret_input::value(value_file.as_deref(), "Next value")?;
            let command = Command::CredentialRotate { name, value: Secret::from(value) };
            send_proved(session, command, proof)
        }
        CredentialCommand::Remove { name } => session.ask_done(Command::CredentialRemove { name }),
    }
}

fn credential_add(session: &Session, args: CredentialAddArgs) -> Ended {
    // The passphrase comes first, so that on standard input it is the first line and the value the second.
    let proof = session.approver("Passphrase for `credential add`")?;
    let value = secret_input::value(args.value_file.as_deref(), "Value of the credential")?;
    let ask = CredentialAsk {
        name: args.name,
        upstream: args.upstream,
        value: Secret::from(value),
        path_prefix: args.path_prefix,
        injection: args.inject,
        surrogate: args.surrogate,
        own: args.own,
    };
    send_proved(session, Command::CredentialAdd(ask), proof)
}

fn send_proved(session: &Session, command: Command, proof: Secret) -> Result<Exit, Failure> {
    let envelope =
        killick_admin::protocol::Envelope { command, proof: Some(proof), as_owner: None };
    let reply = session.send(&envelope)?;
    session.show_done(reply)
}

fn credential_list(session: &Session) -> Ended {
    let Reply::Credentials(credentials) = session.ask(Command::CredentialList {})? else {
        return Err(unexpected());
    };
    if session.screen.json {
        session.screen.json(&credentials);
        return Ok(Exit::Done);
    }
    let rows = credentials.iter().map(|it| {
        vec![
            it.name.to_string(),
            it.upstream.to_string(),
            it.path_prefix.clone(),
            match &it.injection {
                Injection::Bearer => "bearer".into(),
                Injection::Basic => "basic".into(),
                Injection::Password => "password".into(),
                Injection::Header(name) => format!("header:{name}"),
                Injection::Query(name) => format!("query:{name}"),
                Injection::Cookie(name) => format!("cookie:{name}"),
            },
            if it.own { "the agent's own login".into() } else { it.surrogate.clone() },
            it.rotated.map_or_else(|| moment(it.added), moment),
        ]
    });
    session.screen.table(
        &["credential", "upstream", "path", "way", "surrogate", "since"],
        rows.collect(),
        "No credentials. Bind one to an upstream with `killick credential add`.",
    );
    Ok(Exit::Done)
}
