//! Keeping definitions before some are dropped: all of the database's, as its own program writes them down. What of
//! them is gone later is told by the numbers that objects have in the catalogue.

use killick_gate::Departure;
use killick_gate::programs::{ProgramCall, ProgramError};
use killick_model::database::{Database, DatabaseTls};
use killick_sql::catalogue::read;
use zeroize::Zeroizing;

use super::adapter::PostgresAdapter;
use super::engine::Session;
use super::keep::NotKept;

/// The most bytes of all definitions of a database.
pub(crate) const DEFINITIONS_BYTES_MAX: usize = 64 << 20;
/// How long the definitions are waited for behind somebody's lock.
const LOCK_WAIT: &str = "--lock-wait-timeout=5000";

impl From<ProgramError> for NotKept {
    fn from(error: ProgramError) -> Self {
        Self::Incomplete(format!("the definitions could not be written down: {error}"))
    }
}

impl Session {
    /// Returns whether definitions are kept already, or none was changed yet in the transaction: what it changed it has
    /// locked, and what it has locked nobody else can write down.
    pub(crate) fn could_keep_definitions(&self) -> bool {
        let kept = self.work.keeping.as_ref().is_some_and(|it| it.images.definitions.is_some());
        kept || !self.work.ddl
    }

    /// Keeps all definitions, unless the transaction has kept them.
    pub(crate) async fn keep_definitions(&mut self) -> Result<(), NotKept> {
        let kept = self.work.keeping.as_ref().is_some_and(|it| it.images.definitions.is_some());
        if kept {
            return Ok(());
        }
        if !self.could_keep_definitions() {
            return Err(NotKept::Incomplete(
                "definitions were changed before in the same transaction".into(),
            ));
        }
        self.work.definitions_mark = Some(self.definitions_mark().await?);
        let Some(mut keeping) = self.work.keeping.take() else {
            return Err(NotKept::Incomplete("the recovery point is gone".into()));
        };
        let part = keeping.next_part("definitions").await?;
        let dumped = self.dump_definitions().await?;
        keeping.writer.write(&dumped).await?;
        keeping.images.definitions = Some(part);
        self.work.keeping = Some(keeping);
        Ok(())
    }

    /// Checks that nobody changed a definition since they were written down.
    pub(crate) async fn definitions_hold(&mut self) -> Result<(), NotKept> {
        let mark = self.definitions_mark().await?;
        if self.work.definitions_mark.as_ref() == Some(&mark) {
            return Ok(());
        }
        Err(NotKept::Incomplete("definitions changed while they were written down".into()))
    }

    /// Returns what changes whenever a committed definition does.
    async fn definitions_mark(&mut self) -> Result<String, NotKept> {
        let mut own = self
            .adapter
            .lend_own(&self.database)
            .await
            .map_err(|refusal| NotKept::Incomplete(refusal.because))?;
        let found = own.ask(read::FINGERPRINT).await;
        self.adapter.give_back(&self.database, own, found.is_ok());
        found?
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten())
            .ok_or_else(|| NotKept::Incomplete("the catalogue has no fingerprint".into()))
    }

    async fn dump_definitions(&mut self) -> Result<Vec<u8>, NotKept> {
        let arguments = ["--format=custom", "--schema-only", "--no-password", LOCK_WAIT];
        let call = self.program("pg_dump", &arguments)?;
        let mut running = self.adapter.programs.start(&self.departure, call).await?;
        let mut all = Vec::new();
        while let Some(block) = running.read().await? {
            if all.len().saturating_add(block.len()) > DEFINITIONS_BYTES_MAX {
                return Err(NotKept::Incomplete("the database has too many definitions".into()));
            }
            all.extend(block);
        }
        running.finish().await?;
        Ok(all)
    }

    /// Returns how a program of the server's reaches the database as the login itself.
    fn program(&self, program: &str, arguments: &[&str]) -> Result<ProgramCall, NotKept> {
        let lease = self
            .adapter
            .vault
            .lend(&self.departure, &self.database.name, "/")
            .map_err(|error| NotKept::Incomplete(error.to_string()))?;
        let password = String::from_utf8(lease.value.to_vec())
            .map(Zeroizing::new)
            .map_err(|_| NotKept::Incomplete("the password is no text".into()))?;
        let environment = reach(&self.database, password)?;
        Ok(ProgramCall {
            program: program.into(),
            folders: self.adapter.tools.clone(),
            arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
            environment,
            files: Vec::new(),
        })
    }
}

/// Returns the variables by which a program of the server's finds it; nothing of them stands on a command line.
fn reach(
    database: &Database,
    password: Zeroizing<String>,
) -> Result<Vec<(String, Zeroizing<String>)>, NotKept> {
    let (mode, roots) = match &database.tls {
        DatabaseTls::Off => ("disable", None),
        DatabaseTls::Verify => ("verify-full", Some("/etc/ssl/certs/ca-certificates.crt")),
        DatabaseTls::Pinned { .. } => {
            return Err(NotKept::Incomplete(
                "a program of the server's cannot be told to trust a pinned certificate".into(),
            ));
        }
    };
    let text = |value: &str| Zeroizing::new(value.to_owned());
    let mut all = vec![
        ("PGHOST".to_owned(), text(&database.host)),
        ("PGPORT".to_owned(), text(&database.port.to_string())),
        ("PGUSER".to_owned(), text(&database.user)),
        ("PGDATABASE".to_owned(), text(&database.database)),
        ("PGAPPNAME".to_owned(), text("killick")),
        ("PGCONNECT_TIMEOUT".to_owned(), text("10")),
        ("PGSSLMODE".to_owned(), text(mode)),
        ("PGPASSWORD".to_owned(), password),
    ];
    all.extend(roots.map(|file| ("PGSSLROOTCERT".to_owned(), text(file))));
    Ok(all)
}

/// Runs `pg_restore` over files that it is given, and returns what it writes.
pub(crate) async fn written_by(
    adapter: &PostgresAdapter,
    on: &Departure,
    arguments: &[&str],
    files: Vec<Vec<u8>>,
) -> Result<String, ProgramError> {
    let call = ProgramCall {
        program: "pg_restore".into(),
        folders: adapter.tools.clone(),
        arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
        environment: Vec::new(),
        files,
    };
    let mut running = adapter.programs.start(on, call).await?;
    let mut all = Vec::new();
    while let Some(block) = running.read().await? {
        all.extend(block);
    }
    running.finish().await?;
    Ok(String::from_utf8_lossy(&all).into_owned())
}
