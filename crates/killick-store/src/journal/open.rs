//! Recovery: what is on the disk is read, checked, and gone on with, or refused.

use std::io;
use std::sync::Arc;

use killick_tlog::checkpoint::{CHECKPOINT_FILE, Checkpoint};
use killick_tlog::growth::Growth;
use killick_tlog::tile::{TILE_FOLDER, Tile, TileNodes};
use killick_tlog::{Entry, Hash, Header, Kind, SigningKey, VerifyingKey};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast};

use super::details::Keys;
use super::error::JournalError;
use super::frame::{self, Frame, Head};
use super::fs::JournalFs;
use super::head::{HEAD_FILE, HeadFile, WriteError};
use super::publish::{Publication, Publisher, sealed_of};
use super::queue::{Queue, RESERVED_OUTCOME_BYTES};
use super::quota::Quota;
use super::sink::Witnesses;
use super::tail::{Kept, Tail};
use super::verify::FilesOf;
use super::writer::Writer;
use super::{Inner, Journal, JournalOptions, SUBSCRIBER_LAG_ENTRIES_MAX, Shared, Threads};

const LOCK_FILE: &str = "lock";
const TMP_FOLDER: &str = "tmp";
/// Space set aside at the start beyond that for outcomes.
const ROOM_BYTES: u64 = 4 << 20;

/// What was found on the disk.
struct Found {
    growth: Growth,
    has_checkpoint: bool,
    tail: Vec<Kept>,
    /// The first entry of the tail.
    start: u64,
    head: HeadFile,
}

pub(super) fn open(
    fs: Arc<dyn JournalFs>,
    options: JournalOptions,
) -> Result<Journal, JournalError> {
    let lock = fs.lock(LOCK_FILE).map_err(|error| JournalError::of_write(&error))?;
    let lock = lock.ok_or(JournalError::Locked)?;
    fs.create_folder(TMP_FOLDER).map_err(|error| JournalError::of_write(&error))?;
    let mut trusted = vec![options.signing_key.public().clone()];
    trusted.extend(options.earlier_keys.iter().cloned());
    let reserve_bytes = options.reserve_bytes.max(RESERVED_OUTCOME_BYTES);
    let found = find(fs.as_ref(), &options.origin, &trusted, reserve_bytes)?;
    clean_up(fs.as_ref(), found.growth.size())?;
    start(fs, options, reserve_bytes, found, lock)
}

fn find(
    fs: &dyn JournalFs,
    origin: &str,
    trusted: &[VerifyingKey],
    reserve_bytes: u64,
) -> Result<Found, JournalError> {
    let room_bytes = reserve_bytes.saturating_add(ROOM_BYTES);
    let checkpoint = read_checkpoint(fs, origin, trusted)?;
    let bytes = fs.read(HEAD_FILE).map_err(|error| JournalError::of_read(&error))?;
    let Some(bytes) = bytes else {
        check_is_new(fs, checkpoint.is_some())?;
        let head = HeadFile::write_anew(fs, 0, [], room_bytes).map_err(of_write)?;
        return Ok(Found {
            growth: Growth::default(),
            has_checkpoint: false,
            tail: Vec::new(),
            start: 0,
            head,
        });
    };
    let head = frame::parse(&bytes)
        .map_err(|error| JournalError::corrupt(format!("the file `{HEAD_FILE}`: {error}")))?;
    if checkpoint.is_none() {
        // A crash before the first checkpoint leaves a head that holds everything, and no tile that is signed.
        if head.start != 0 {
            return Err(JournalError::corrupt("its checkpoint is missing"));
        }
    }
    let growth = grow(fs, checkpoint.as_ref(), &head)?;
    if head.torn_bytes > 0 {
        tracing::warn!(
            bytes = head.torn_bytes,
            "an unfinished write at the end of the record is dropped"
        );
    }
    let start = sealed_of(growth.size()).max(head.start);
    let skip = usize::try_from(start.saturating_sub(head.start)).unwrap_or(usize::MAX);
    let frames = || head.frames.iter().skip(skip).copied();
    let opened = match HeadFile::write_anew(fs, start, frames(), room_bytes) {
        Ok(opened) => opened,
        Err(WriteError::Full) => HeadFile::go_on(fs, &head, room_bytes).map_err(of_write)?,
        Err(WriteError::Failed(error)) => {
            return Err(JournalError::Failed(error.to_string().into()));
        }
    };
    let tail = frames().map(|Frame { entry, sealed }| Kept::new(entry, sealed)).collect();
    Ok(Found { growth, has_checkpoint: checkpoint.is_some(), tail, start, head: opened })
}

fn read_checkpoint(
    fs: &dyn JournalFs,
    origin: &str,
    trusted: &[VerifyingKey],
) -> Result<Option<Checkpoint>, JournalError> {
    let note = fs.read(CHECKPOINT_FILE).map_err(|error| JournalError::of_read(&error))?;
    let Some(note) = note else { return Ok(None) };
    let (checkpoint, _) = Checkpoint::open(&note, trusted).map_err(|error| {
        JournalError::corrupt(format!("its checkpoint is not accepted: {error}"))
    })?;
    if checkpoint.origin() != origin {
        let found = checkpoint.origin();
        return Err(JournalError::corrupt(format!("it is the log `{found}`, not `{origin}`")));
    }
    Ok(Some(checkpoint))
}

fn check_is_new(fs: &dyn JournalFs, has_checkpoint: bool) -> Result<(), JournalError> {
    let tiles = fs.list(TILE_FOLDER).map_err(|error| JournalError::of_read(&error))?;
    if has_checkpoint || !tiles.is_empty() {
        return Err(JournalError::corrupt(format!("its file `{HEAD_FILE}` is missing")));
    }
    Ok(())
}

/// Grows the tree to the size of the checkpoint and compares the roots.
fn grow(
    fs: &dyn JournalFs,
    checkpoint: Option<&Checkpoint>,
    head: &Head<'_>,
) -> Result<Growth, JournalError> {
    let Some(checkpoint) = checkpoint else { return Ok(Growth::default()) };
    let (start, size) = (head.start, checkpoint.size());
    let end = start.saturating_add(head.frames.len() as u64);
    if start != sealed_of(start) || start > size {
        return Err(JournalError::corrupt("its head begins where no head does"));
    }
    if end < size {
        let message = format!("{size} entries were signed and only {end} are there");
        return Err(JournalError::corrupt(message));
    }
    let files = FilesOf(fs);
    let mut growth = Growth::load(start, &TileNodes::new(&files, size))
        .map_err(|error| JournalError::corrupt(error.to_string()))?;
    let signed = usize::try_from(size.saturating_sub(start)).unwrap_or(usize::MAX);
    for frame in head.frames.iter().take(signed) {
        growth.append(Hash::of_leaf(frame.entry));
    }
    if growth.root() != checkpoint.root() {
        return Err(JournalError::corrupt("its entries do not give the root that was signed"));
    }
    Ok(growth)
}

/// Removes what a crash may have left: unfinished files, and partial tiles of another size than the signed one.
fn clean_up(fs: &dyn JournalFs, size: u64) -> Result<(), JournalError> {
    let current = Tile::partial_of(size);
    let remove = |path: &str| fs.remove(path).map_err(|error| JournalError::of_write(&error));
    for path in fs.list(TMP_FOLDER).map_err(|error| JournalError::of_read(&error))? {
        remove(&path)?;
    }
    for path in fs.list(TILE_FOLDER).map_err(|error| JournalError::of_read(&error))? {
        // A file that is no tile is left for `verify` to name.
        let Some(tile) = Tile::parse_path(&path) else { continue };
        if !tile.is_full() && !current.contains(&tile) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn start(
    fs: Arc<dyn JournalFs>,
    options: JournalOptions,
    reserve_bytes: u64,
    found: Found,
    lock: Box<dyn Send + Sync>,
) -> Result<Journal, JournalError> {
    let Found { growth, has_checkpoint, tail, start, head } = found;
    let (next, room_bytes) = (head.next(), head.room_bytes());
    let shared = Arc::new(Shared {
        keys: Keys::new(Arc::clone(&fs), options.master_key, options.earlier_master_keys),
        origin: options.origin,
        tenant: options.tenant,
        node: options.node,
        reserve_bytes,
        durable_wait_max: options.durable_wait_max,
        quota: Quota::new(options.entries_per_minute_max),
        queue: Queue::new(next, room_bytes, reserve_bytes, Arc::clone(&options.clock)),
        clock: options.clock,
        tail: RwLock::new(Tail::new(start, tail)),
        publish: Publication::new(growth.size(), head.start()),
        place: Notify::new(),
        live: broadcast::channel(SUBSCRIBER_LAG_ENTRIES_MAX).0,
        fs,
    });
    check(&shared)?;
    let failed = |error: io::Error| JournalError::Failed(error.to_string().into());
    let witnesses = Witnesses::start(options.sinks).map_err(failed)?;
    let offered = witnesses.offered();
    let key: SigningKey = options.signing_key;
    let interval = options.checkpoint_interval;
    let mut publisher =
        Publisher { shared: Arc::clone(&shared), key, interval, growth, has_checkpoint, witnesses };
    publisher.publish_first()?;
    let writer = Writer { shared: Arc::clone(&shared), head, closing_tries: 0 };
    let thread = |name: &str| std::thread::Builder::new().name(name.into());
    let writer = thread("journal-writer").spawn(move || writer.run()).map_err(failed)?;
    let publisher = match thread("journal-publisher").spawn(move || publisher.run()) {
        Ok(publisher) => publisher,
        Err(error) => {
            shared.queue.close();
            // It has nothing to write and ends at once.
            let _ = writer.join();
            return Err(failed(error));
        }
    };
    let threads = Mutex::new(Some(Threads { writer, publisher, _lock: lock }));
    Ok(Journal { inner: Arc::new(Inner { shared, offered, threads }) })
}

/// Refuses what every later append would stumble over: a name that no entry can hold, another master key.
fn check(shared: &Shared) -> Result<(), JournalError> {
    let entry = Entry {
        tenant: shared.tenant.clone(),
        node: shared.node.clone(),
        time_unix_ms: 0,
        header: Header::new(Kind::Start),
        details_commitment: None,
    };
    entry.encode()?;
    match shared.keys.of_session("") {
        // A full disk can still be read.
        Ok(_) | Err(JournalError::Full) => Ok(()),
        Err(error) => Err(error),
    }
}

fn of_write(error: WriteError) -> JournalError {
    match error {
        WriteError::Full => JournalError::Full,
        WriteError::Failed(error) => JournalError::Failed(error.to_string().into()),
    }
}
