//! One command, one function: ask the gateway, show what it says.

mod agent;
mod database;
mod explain;
mod log;
mod narrow;
mod point;
mod policy;
mod request;
mod resource;
mod session;
pub(crate) mod snapshot;
mod status;
mod undo;

use std::time::{SystemTime, UNIX_EPOCH};

use killick_admin::proof;
use killick_admin::protocol::{self, Envelope, Reply};
use killick_admin::secret::Secret;
use killick_model::UnixMillis;

use crate::cli::{Cli, Command, KeyCommand, KeyName, PassphraseArgs, PassphraseCommand};
use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::show::Screen;
use crate::{admin_client, secret_input};

pub(crate) type Ended = Result<Exit, Failure>;

/// What every command has.
pub(crate) struct Session {
    pub(crate) home: Home,
    pub(crate) screen: Screen,
    passphrase: PassphraseArgs,
    runtime: tokio::runtime::Runtime,
}

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> Ended {
    let Cli { home, json, passphrase, command } = cli;
    if let Command::Completion { shell } = command {
        return completion(shell);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let home = Home::at(home.as_deref())?;
    let screen = Screen::of_stdout(json);
    let session = Session { home, screen, passphrase, runtime };
    match command {
        Command::Init(args) => crate::init::init(&session, &args),
        Command::Up(args) => status::up(session, &args),
        Command::Status => status::status(&session),
        Command::Doctor => Ok(crate::doctor::doctor(&session)),
        Command::Agent(command) => agent::agent(&session, command),
        Command::Session(command) => session::session(&session, command),
        Command::Database(command) => database::database(&session, command),
        Command::Undo(args) => undo::undo(&session, args),
        Command::Point(command) => point::point(&session, command),
        Command::Snapshot { database } => snapshot::snapshot(&session, &database),
        Command::Restore(args) => snapshot::restore(&session, args),
        Command::Rehearse(args) => snapshot::rehearse(&session, args),
        Command::Upstream(command) => resource::upstream(&session, command),
        Command::Credential(command) => resource::credential(&session, command),
        Command::Request(command) => request::request(&session, command),
        Command::Grant(command) => request::grant(&session, command),
        Command::BreakGlass(command) => request::break_glass(&session, command),
        Command::Pending(command) => request::pending(&session, command),
        Command::Policy(command) => policy::policy(&session, command),
        Command::Log(command) => log::log(&session, command),
        Command::Checkpoint(command) => log::checkpoint(&session, &command),
        Command::Key(KeyCommand::Rotate { key }) => key_rotate(&session, key),
        Command::Passphrase(PassphraseCommand::Change) => passphrase_change(&session),
        Command::Explain(args) => explain::explain(&session, args),
        Command::Pack(command) => policy::pack(&session, command),
        Command::Completion { .. } => Ok(Exit::Done),
    }
}

impl Session {
    /// Sends a command, with the passphrase where one is needed.
    pub(crate) fn ask(&self, command: protocol::Command) -> Result<Reply, Failure> {
        let proof = if proof::of(&command).is_needed() {
            Some(self.approver(&format!("Passphrase for `{}`", command.word()))?)
        } else {
            None
        };
        self.send(&Envelope { command, proof, as_owner: None })
    }

    /// Returns the approver's passphrase.
    pub(crate) fn approver(&self, prompt: &str) -> Result<Secret, Failure> {
        secret_input::passphrase(&self.passphrase, prompt)
            .map(Secret::from)
            .map_err(|error| Failure::refused(format!("{error:#}"), "nothing was changed"))
    }

    pub(crate) fn send(&self, envelope: &Envelope) -> Result<Reply, Failure> {
        Ok(self.runtime.block_on(admin_client::ask(&self.home.socket(), envelope))?)
    }

    /// Says where the passphrase comes from.
    pub(crate) fn passphrase_args(&self) -> &PassphraseArgs {
        &self.passphrase
    }

    /// Lends the runtime.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Sends a command and says that it is done.
    pub(crate) fn ask_done(&self, command: protocol::Command) -> Ended {
        let reply = self.ask(command)?;
        self.show_done(reply)
    }

    /// Says that a command is done.
    pub(crate) fn show_done(&self, reply: Reply) -> Ended {
        let Reply::Done { message } = reply else {
            return Err(unexpected());
        };
        if self.screen.json {
            self.screen.json(&serde_json::json!({ "done": message }));
        } else {
            self.screen.line(crate::show::plain(&message, 2_000));
        }
        Ok(Exit::Done)
    }
}

/// Says that the reply is none that this command has.
pub(crate) fn unexpected() -> Failure {
    Failure::new(
        "the gateway answered something else than was asked",
        "use the `killick` command of the gateway's own version",
    )
}

/// Returns the present moment, for spans in listings.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn key_rotate(session: &Session, key: KeyName) -> Ended {
    let key = match key {
        KeyName::Store => protocol::KeyKind::Store,
        KeyName::Record => protocol::KeyKind::Record,
        KeyName::Recovery => protocol::KeyKind::Recovery,
    };
    session.ask_done(protocol::Command::KeyRotate { key })
}

fn passphrase_change(session: &Session) -> Ended {
    let former = session.approver("Present passphrase")?;
    let next = if session.passphrase.passphrase_stdin {
        secret_input::stdin_line()?
    } else {
        let next = secret_input::typed("Next passphrase")?;
        if secret_input::typed("Next passphrase, again")? != next {
            return Err(Failure::new("the two are not the same; nothing was changed", "try again"));
        }
        next
    };
    let command = protocol::Command::PassphraseChange { next: Secret::from(next) };
    let reply = session.send(&Envelope { command, proof: Some(former), as_owner: None })?;
    session.show_done(reply)
}

fn completion(shell: clap_complete::Shell) -> Ended {
    use clap::CommandFactory as _;
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "killick", &mut out);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &out)?;
    Ok(Exit::Done)
}
