//! The record as administration reads it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use killick_admin::ports::{CheckpointShown, ReadRecord, ReadRecordError, RecordEntry};
use killick_model::CallId;
use killick_store::journal::{Details, Journal, Stored};
use killick_tlog::checkpoint::{CHECKPOINT_FILE, Checkpoint};
use killick_tlog::note::{SigningKey, VerifyingKey};

use crate::home::Home;

/// Reads a journal for people.
pub(crate) struct RecordReader {
    journal: Journal,
    home: Home,
}

impl RecordReader {
    /// Reads the journal of a home.
    pub(crate) fn new(journal: Journal, home: Home) -> Self {
        Self { journal, home }
    }
}

/// Reads the public keys of a home's record, newest last.
///
/// # Errors
/// The file cannot be read, or a line is no key.
pub(crate) fn public_keys(home: &Home) -> anyhow::Result<Vec<VerifyingKey>> {
    let text = std::fs::read_to_string(home.record_public())?;
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| VerifyingKey::parse(line.trim()).map_err(anyhow::Error::from))
        .collect()
}

impl ReadRecord for RecordReader {
    fn size(&self) -> Result<u64, ReadRecordError> {
        Ok(self.journal.len())
    }

    fn read(&self, from: u64, max: usize) -> Result<Vec<RecordEntry>, ReadRecordError> {
        self.journal
            .iter_from(from)
            .take(max)
            .map(|stored| shown(stored.map_err(failed)?))
            .collect()
    }

    fn of_call(&self, call: &CallId, max: usize) -> Result<Vec<RecordEntry>, ReadRecordError> {
        let found = self.journal.find_call(call.as_str()).map_err(failed)?;
        found.into_iter().take(max).map(shown).collect()
    }

    fn checkpoint(&self) -> Result<Option<CheckpointShown>, ReadRecordError> {
        let note = match std::fs::read_to_string(self.home.record().join(CHECKPOINT_FILE)) {
            Ok(note) => note,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let keys = public_keys(&self.home).map_err(failed)?;
        let (checkpoint, _) = Checkpoint::open(note.as_bytes(), &keys).map_err(failed)?;
        Ok(Some(CheckpointShown {
            origin: checkpoint.origin().to_owned(),
            size: checkpoint.size(),
            root: checkpoint.text().lines().nth(2).unwrap_or_default().to_owned(),
            note,
            published: self
                .journal
                .health()
                .sinks
                .into_iter()
                .filter(|sink| sink.kept.is_some())
                .map(|sink| sink.name)
                .collect(),
        }))
    }

    fn publish(&self) -> Result<CheckpointShown, ReadRecordError> {
        let journal = self.journal.clone();
        tokio::runtime::Handle::try_current()
            .map_err(failed)?
            .block_on(async move { journal.publish().await })
            .map_err(failed)?;
        self.checkpoint()?.ok_or_else(|| ReadRecordError("no checkpoint was published".into()))
    }

    fn rotate_signing_key(&self) -> Result<String, ReadRecordError> {
        let former = std::fs::read_to_string(self.home.record_key()).map_err(failed)?;
        let former = SigningKey::parse(former.trim()).map_err(failed)?;
        let mut seed = zeroize::Zeroizing::new([0_u8; SigningKey::SEED_BYTES]);
        getrandom::fill(seed.as_mut_slice()).map_err(failed)?;
        let next = SigningKey::from_seed(former.public().name(), &seed).map_err(failed)?;
        // The public key first: a checkpoint must never be signed by a key that nobody knows.
        let mut known = std::fs::OpenOptions::new()
            .append(true)
            .open(self.home.record_public())
            .map_err(failed)?;
        writeln!(known, "{}", next.public()).map_err(failed)?;
        known.sync_all().map_err(failed)?;
        let draft = self.home.record_key().with_extension("next");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(failed)?;
        file.write_all(next.to_secret_text().as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&draft, self.home.record_key()).map_err(failed)?;
        Ok(format!("{} (used from the next start on)", next.public()))
    }
}

fn failed(error: impl std::fmt::Display) -> ReadRecordError {
    ReadRecordError(error.to_string())
}

fn shown(stored: Stored) -> Result<RecordEntry, ReadRecordError> {
    let bytes = stored.entry.encode().map_err(failed)?;
    let json = bytes.splitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default();
    Ok(RecordEntry {
        index: stored.index,
        time: stored.entry.time_unix_ms,
        entry: serde_json::from_slice(json).map_err(failed)?,
        details: match stored.details {
            Details::Known(value) => Some(value),
            Details::Absent | Details::Erased => None,
        },
    })
}
