//! The command line: names, flags, help.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use killick_model::{
    AgentName, CallId, EffectWord, EnvironmentName, PendingId, PointId, RequestId, SessionId,
    UpstreamName,
};

mod access;
mod undo;

pub(crate) use access::{
    AgentCommand, CredentialAddArgs, CredentialCommand, DatabaseAddArgs, DatabaseCommand,
    DatabasePrepareArgs, LimitArgs, PointCommand, ScopeArgs, SessionCommand, SessionNarrowArgs,
    SessionOpenArgs, UpstreamAddArgs, UpstreamCommand,
};
pub(crate) use undo::{UndoArgs, UndoWhat};

const EXIT_CODES: &str = "\
Exit status: 0 done, 1 failed or something is broken, 2 the command line makes no sense,
3 refused (passphrase, user, or an agent's session), 4 the gateway is not running.";

/// A gateway between AI agents and production: an agent can work, and cannot wreck.
#[derive(Debug, Parser)]
#[command(name = "killick", version, about, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Cli {
    /// The gateway's directory [default: ~/.killick]
    #[arg(long, global = true, env = crate::home::VARIABLE, value_name = "DIR", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,
    /// Writes JSON with stable field names
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the approver's passphrase comes from. Never from an argument or the environment.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PassphraseArgs {
    /// Reads the passphrase from the first line of standard input
    #[arg(long, global = true, conflicts_with = "passphrase_file")]
    pub(crate) passphrase_stdin: bool,
    /// Reads the passphrase from the first line of a file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes the gateway's directory: keys, CA, record, policies, a passphrase
    #[command(after_help = "Asks nothing. A second run changes nothing and says so.\n\n\
        Example:\n  killick init\n  killick up")]
    Init(InitArgs),
    /// Runs the gateway in the foreground
    Up(UpArgs),
    /// Says how the gateway is
    Status,
    /// Says what is enforced, what is not, and how to mend it
    Doctor,
    /// Agents: identities of their own
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Sessions: one agent, one task, one environment, one lifetime
    #[command(subcommand)]
    Session(SessionCommand),
    /// Databases: reached through the gateway, whose statements are judged
    #[command(subcommand)]
    Database(DatabaseCommand),
    /// Puts back what a transaction destroyed, as its recovery point holds it
    #[command(
        after_help = "Compares every row with what is there first. A row that somebody edited since is left as it \
        is, and nothing is done, unless you say otherwise.\n\n\
        Example:\n  killick undo 4711 --dry-run\n  killick undo 4711"
    )]
    Undo(UndoArgs),
    /// Recovery points: what is kept, off-site and sealed, of what calls destroy
    #[command(subcommand)]
    Point(PointCommand),
    /// Copies a database whole, off-site and sealed
    #[command(
        after_help = "Needs the database's own dump program on the gateway's machine.\n\nExample:\n  killick snapshot main"
    )]
    Snapshot {
        /// Which database
        database: UpstreamName,
    },
    /// Restores a database's latest snapshot into a scratch server, and checks it
    #[command(
        after_help = "Needs the database's own server programs on the gateway's machine.\n\nExample:\n  killick rehearse main --assert checks.sql"
    )]
    Rehearse(RehearseArgs),
    /// Restores a snapshot beside its database, into one that is made for it; never over one that is there
    #[command(after_help = "Example:\n  killick restore main --point k-... --into main_before")]
    Restore(RestoreArgs),
    /// Upstreams: the hosts that agents may reach
    #[command(subcommand)]
    Upstream(UpstreamCommand),
    /// Credentials: kept here, never with an agent
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Access requests: what agents ask a human for
    #[command(subcommand)]
    Request(RequestCommand),
    /// Grants: a standing yes for one session; never for destroying
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Break-glass: a time-boxed exception with a reason
    #[command(subcommand)]
    BreakGlass(BreakGlassCommand),
    /// Parked calls: permitted, waiting for the end of their grace period
    #[command(subcommand)]
    Pending(PendingCommand),
    /// Policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The record: what happened, provably
    #[command(subcommand)]
    Log(LogCommand),
    /// Checkpoints of the record
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
    /// Keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// The approver's passphrase
    #[command(subcommand)]
    Passphrase(PassphraseCommand),
    /// Judges calls without sending them; works without a gateway
    Explain(ExplainArgs),
    /// Packs: what a provider's API means
    #[command(subcommand)]
    Pack(PackCommand),
    /// Prints completions for a shell
    Completion {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

/// `killick init`
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Where agents will reach the gateway
    #[arg(long, default_value = crate::config::LISTEN_DEFAULT, value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// Makes a fresh certificate authority in place of the one that is there; restart the gateway and
    /// open sessions anew afterwards
    #[arg(long)]
    pub(crate) rotate_ca: bool,
}

/// `killick up`
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Writes the gateway's address into this file once it answers
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// Writes the gateway's address to this open file descriptor once it answers
    #[arg(long, value_name = "FD", conflicts_with = "ready_file")]
    pub(crate) ready_fd: Option<i32>,
}

/// `killick rehearse`
#[derive(Debug, Args)]
pub(crate) struct RehearseArgs {
    /// Which database
    pub(crate) database: UpstreamName,
    /// A file of SQL queries that must each return true [default: the configured one]
    #[arg(long = "assert", value_name = "FILE")]
    pub(crate) assertions: Option<PathBuf>,
}

/// `killick restore`
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Which database
    pub(crate) database: UpstreamName,
    /// Which of its snapshots (`killick point list --database NAME`)
    #[arg(long)]
    pub(crate) point: PointId,
    /// The name of the database that is made for it, at the same server
    #[arg(long, value_name = "NEW_DATABASE")]
    pub(crate) into: String,
}

/// `killick request`
#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// Lists access requests
    List {
        /// Answered and expired ones too
        #[arg(long)]
        all: bool,
    },
    /// Shows what the gateway found out about a request
    Show {
        /// Which
        id: RequestId,
    },
    /// Says yes, once, to exactly this call
    Approve {
        /// Which
        id: RequestId,
        /// The gateway sends the call itself
        #[arg(long)]
        send: bool,
        /// A note for the record
        #[arg(long)]
        note: Option<String>,
    },
    /// Says no
    Deny {
        /// Which
        id: RequestId,
        /// A note for the record
        #[arg(long)]
        note: Option<String>,
    },
}

/// `killick grant`
#[derive(Debug, Subcommand)]
pub(crate) enum GrantCommand {
    /// Gives a session a standing yes
    #[command(
        after_help = "Example:\n  killick grant add --session s-... --effect write --count 40 --ttl 1h"
    )]
    Add {
        /// Which session
        #[arg(long)]
        session: SessionId,
        /// read, write or administer; never destroy
        #[arg(long, value_parser = parse_word)]
        effect: EffectWord,
        /// Objects as KIND:ID, with commas [default: any of the session's environment]
        #[arg(long, value_delimiter = ',')]
        objects: Vec<String>,
        /// How many calls
        #[arg(long)]
        count: u32,
        /// For how long, at most 24h
        #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
        ttl: u64,
    },
    /// Lists grants
    List,
    /// Takes a grant back
    Remove {
        /// Which
        id: String,
    },
}

/// `killick break-glass`
#[derive(Debug, Subcommand)]
pub(crate) enum BreakGlassCommand {
    /// Opens an exception for an agent, at most 4 hours
    Open {
        /// Which agent
        #[arg(long)]
        agent: AgentName,
        /// Why; stands on every listing and in the record
        #[arg(long)]
        reason: String,
        /// For how long, at most 4h
        #[arg(long, default_value = "30m", value_parser = parse_duration, value_name = "DURATION")]
        ttl: u64,
    },
    /// Lists open exceptions
    List,
    /// Ends an exception
    End {
        /// Which agent
        agent: AgentName,
    },
}

/// `killick pending`
#[derive(Debug, Subcommand)]
pub(crate) enum PendingCommand {
    /// Lists parked calls
    List {
        /// Sent, refused and cancelled ones too
        #[arg(long)]
        all: bool,
    },
    /// Cancels a parked call
    Cancel {
        /// Which
        id: PendingId,
    },
}

/// `killick policy`
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Prints the policies in force
    Show,
    /// Checks policy files without setting them
    Check {
        /// Files, or directories of `.cedar` files
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Replaces the policies as a whole
    Set {
        /// Files, or directories of `.cedar` files
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
}

/// `killick log`
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Prints the newest entries
    Tail {
        /// Goes on as entries come
        #[arg(short, long)]
        follow: bool,
        /// How many
        #[arg(short = 'n', long, default_value_t = 20, value_name = "COUNT")]
        lines: usize,
    },
    /// Shows one entry by its index, or every entry of a call by its id
    Show {
        /// An index or a call's id
        what: EntryName,
    },
    /// Exports entries, one JSON object a line
    Export {
        /// The form
        #[arg(long, value_enum, default_value_t = ExportForm::Jsonl)]
        format: ExportForm,
        /// From this moment on (`2026-04-24`, `2026-04-24T09:41:07Z`)
        #[arg(long, value_parser = parse_moment, value_name = "MOMENT")]
        from: Option<killick_model::UnixMillis>,
        /// Up to this moment
        #[arg(long, value_parser = parse_moment, value_name = "MOMENT")]
        to: Option<killick_model::UnixMillis>,
    },
    /// Proves that nothing on the record was changed; works without a gateway
    #[command(after_help = "Needs the directory and the public key, nothing else.\n\n\
        Example:\n  killick log verify --dir /backup/record --key record.pub")]
    Verify {
        /// The record's directory [default: the gateway's own]
        #[arg(long)]
        dir: Option<PathBuf>,
        /// A file with public keys, one a line [default: the gateway's own]
        #[arg(long)]
        key: Option<PathBuf>,
        /// A checkpoint that was published elsewhere, to find a rollback of the whole record
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
}

/// An entry by index, or entries by call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntryName {
    /// One entry.
    Index(u64),
    /// Every entry of a call.
    Call(CallId),
}

impl std::str::FromStr for EntryName {
    type Err = killick_model::IdError;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        match raw.parse() {
            Ok(index) => Ok(Self::Index(index)),
            Err(_) => CallId::parse(raw).map(Self::Call),
        }
    }
}

/// A form of export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// Killick's own.
    Jsonl,
    /// The Open Cybersecurity Schema Framework's API Activity.
    Ocsf,
}

/// `killick checkpoint`
#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointCommand {
    /// Signs a checkpoint over everything and publishes it
    Publish,
}

/// `killick key`
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Replaces a key
    Rotate {
        /// Which
        #[arg(value_enum)]
        key: KeyName,
    },
}

/// A key that can be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyName {
    /// Seals credentials and parked calls.
    Store,
    /// Signs checkpoints of the record.
    Record,
    /// Wraps the keys of recovery points.
    Recovery,
}

/// `killick passphrase`
#[derive(Debug, Subcommand)]
pub(crate) enum PassphraseCommand {
    /// Replaces the passphrase; with --passphrase-stdin the second line is the next one
    Change,
}

/// `killick explain`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  killick explain --jsonl < calls.jsonl\n  \
    killick explain --url https://api.example.com/v1/things/7 --method DELETE")]
pub(crate) struct ExplainArgs {
    /// Reads one JSON object a line from standard input and writes one a line
    #[arg(long, conflicts_with_all = ["url", "method", "data", "headers"])]
    pub(crate) jsonl: bool,
    /// Judges statements by what this declared database's server says exists; without one a name counts as the worst
    #[arg(long, value_name = "NAME", requires = "jsonl", conflicts_with = "database_url")]
    pub(crate) database: Option<UpstreamName>,
    /// The same by an address of your own, which need not be declared; the gateway need not run
    #[arg(long, value_name = "URL", requires = "jsonl")]
    pub(crate) database_url: Option<String>,
    /// The call's URL
    #[arg(long, required_unless_present = "jsonl")]
    pub(crate) url: Option<String>,
    /// The call's method [default: GET, or POST with --data]
    #[arg(long, short = 'X')]
    pub(crate) method: Option<String>,
    /// The call's body; `@FILE` reads a file, `@-` standard input
    #[arg(long, short = 'd')]
    pub(crate) data: Option<String>,
    /// A header as `NAME: VALUE`; may be given several times
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    /// As a session of this agent
    #[arg(long)]
    pub(crate) agent: Option<AgentName>,
    /// As a session for this environment
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: Option<EnvironmentName>,
    /// As if every object lay in this environment; without it, what nobody looked up is unknown
    #[arg(long, value_name = "NAME")]
    pub(crate) assume_environment: Option<EnvironmentName>,
}

/// `killick pack`
#[derive(Debug, Subcommand)]
pub(crate) enum PackCommand {
    /// Lists packs
    List,
    /// Says what is wrong with a pack; works without a gateway
    Check {
        /// The pack's directory
        dir: PathBuf,
    },
    /// Asks the live provider what its pack does not know
    Drift {
        /// Which pack
        name: String,
    },
}

fn parse_duration(raw: &str) -> Result<u64, String> {
    killick_model::time::parse_duration_millis(raw)
        .ok_or_else(|| "a duration is a number and a unit: 90s, 30m, 8h, 2d".to_owned())
}

fn parse_moment(raw: &str) -> Result<killick_model::UnixMillis, String> {
    crate::show::moment::parse(raw)
        .ok_or_else(|| "a moment is written 2026-04-24 or 2026-04-24T09:41:07Z, in UTC".to_owned())
}

fn parse_word(raw: &str) -> Result<EffectWord, String> {
    EffectWord::ALL
        .into_iter()
        .find(|word| word.as_str() == raw)
        .ok_or_else(|| "effects are read, write, administer".to_owned())
}

#[cfg(test)]
mod tests;
