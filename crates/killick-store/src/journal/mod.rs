//! The journal: the durable, tamper-evident record.
//!
//! The journal is the head of the log, not a second log. Entries are appended to `head` in groups, one write and one
//! sync each. Once a second they are put into C2SP bundles and tiles and signed; when a bundle is full, the head lets
//! go of it. After a crash the head is read again and the log goes on where it was.
//!
//! | path | what it holds |
//! |---|---|
//! | `head` | entries not yet in full bundles, with their encrypted details |
//! | `tile/` | bundles of entries, and the tree over them |
//! | `checkpoint` | size and root of the tree, signed |
//! | `details/` | encrypted details, a file for each full bundle; may be deleted |
//! | `keys/` | wrapped keys of details, one for each session; deleting one erases the session's details |
//! | `lock`, `tmp/` | held while the journal is open; unfinished files |
//!
//! A failed sync poisons the journal: it is not known what is on the disk, so nothing more is taken until it is opened
//! anew. A full disk refuses entries until there is space, and still takes the outcomes that space was set aside for.

mod append;
pub mod details;
pub mod error;
mod frame;
pub mod fs;
mod head;
mod open;
mod publish;
pub mod queue;
pub mod quota;
mod read;
mod record;
pub mod sink;
pub mod tail;
pub mod verify;
mod writer;

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod sim;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use killick_tlog::note::VerifyingKey;
use killick_tlog::{Entry, EntryError, Header, Kind, SigningKey};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast};

pub use append::Reservation;
pub use details::{Details, MasterKey};
pub use error::JournalError;
pub use fs::{JournalFile, JournalFs, OsFs};
pub use killick_gate::ports::Durability;
pub use read::{Entries, FIND_SCAN_ENTRIES_MAX, Stored};
pub use sink::{CheckpointSink, DirectorySink, SinkHealth};
pub use verify::{DirectoryFiles, JournalReport, verify};

use details::Keys;
use publish::Publication;
use queue::{Queue, RESERVED_OUTCOME_BYTES};
use quota::Quota;
use sink::Offered;
use tail::Tail;

/// Space set aside for outcomes, if nothing else is said: that of 2,048 calls under way.
pub const RESERVE_BYTES: u64 = 2_048 * RESERVED_OUTCOME_BYTES;
/// How often checkpoints are published, if nothing else is said.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// How long an append waits for the disk, if nothing else is said.
pub const DURABLE_WAIT_MAX: Duration = Duration::from_secs(1);
/// Entries that a slow subscriber may lag behind before it misses some.
pub const SUBSCRIBER_LAG_ENTRIES_MAX: usize = 1_024;

/// Tells the time in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How a journal is opened.
pub struct JournalOptions {
    /// The tenant whose record it is.
    pub tenant: String,
    /// The gateway that writes it.
    pub node: String,
    /// The name of the log; it must stay the same for the log's life.
    pub origin: String,
    /// Signs checkpoints.
    pub signing_key: SigningKey,
    /// Keys that signed checkpoints before this one.
    pub earlier_keys: Vec<VerifyingKey>,
    /// Wraps the keys of details.
    pub master_key: MasterKey,
    /// Keys that wrapped them before this one.
    pub earlier_master_keys: Vec<MasterKey>,
    /// Space set aside for the outcomes of calls under way.
    pub reserve_bytes: u64,
    /// How often checkpoints are published at most.
    pub checkpoint_interval: Duration,
    /// How long an append waits for the disk.
    pub durable_wait_max: Duration,
    /// Entries one agent may write in a minute.
    pub entries_per_minute_max: u32,
    /// Where checkpoints go.
    pub sinks: Vec<Arc<dyn CheckpointSink>>,
    /// Tells the time.
    pub clock: Clock,
}

impl JournalOptions {
    /// Returns options with every limit as it is if nothing else is said; the log is named by its signing key.
    #[must_use]
    pub fn new(
        tenant: &str,
        node: &str,
        signing_key: SigningKey,
        master_key: MasterKey,
        clock: Clock,
    ) -> Self {
        Self {
            tenant: tenant.to_owned(),
            node: node.to_owned(),
            origin: signing_key.public().name().to_owned(),
            signing_key,
            earlier_keys: Vec::new(),
            master_key,
            earlier_master_keys: Vec::new(),
            reserve_bytes: RESERVE_BYTES,
            checkpoint_interval: CHECKPOINT_INTERVAL,
            durable_wait_max: DURABLE_WAIT_MAX,
            entries_per_minute_max: quota::ENTRIES_PER_MINUTE_MAX,
            sinks: Vec::new(),
            clock,
        }
    }
}

impl fmt::Debug for JournalOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalOptions").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// An entry before it has its time and place.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    /// The plain part. Texts that no header may hold are made fit.
    pub header: Header,
    /// What is kept encrypted beside the log.
    pub details: Option<serde_json::Value>,
    /// The same as JSON text, where it is written already; then `details` is none.
    pub written: Option<String>,
}

impl NewEntry {
    /// Returns an entry that says nothing but its kind.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { header: Header::new(kind), details: None, written: None }
    }
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its place in the log. For a bounded append the place expected: it is smaller if an entry before it is refused.
    pub index: u64,
    /// Its time.
    pub time_unix_ms: u64,
}

/// An entry as subscribers get it, once it is durable.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Its place in the log.
    pub index: u64,
    /// Its canonical bytes.
    pub entry: Arc<[u8]>,
}

impl Logged {
    /// Reads the entry.
    ///
    /// # Errors
    /// The bytes are not an entry of a known version.
    pub fn decode(&self) -> Result<Entry, EntryError> {
        Entry::decode(&self.entry)
    }
}

/// How the journal fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Entries that are durable.
    pub durable_entries: u64,
    /// Entries that the published checkpoint covers.
    pub published_entries: u64,
    /// Why no entry is taken, if none is.
    pub refuses: Option<String>,
    /// Why publishing failed last, if it did.
    pub publish_failure: Option<String>,
    /// How each sink fares.
    pub sinks: Vec<SinkHealth>,
}

/// What the journal's threads and its callers share.
struct Shared {
    fs: Arc<dyn JournalFs>,
    origin: String,
    tenant: String,
    node: String,
    reserve_bytes: u64,
    durable_wait_max: Duration,
    clock: Clock,
    keys: Keys,
    quota: Quota,
    queue: Queue,
    tail: RwLock<Tail>,
    publish: Publication,
    /// Told when the queue has place again.
    place: Notify,
    live: broadcast::Sender<Logged>,
}

/// The record of one gateway, open for appending. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    offered: Arc<Offered>,
    threads: Mutex<Option<Threads>>,
}

/// What runs while the journal is open. The lock is let go of last.
struct Threads {
    writer: JoinHandle<()>,
    publisher: JoinHandle<()>,
    _lock: Box<dyn Send + Sync>,
}

impl Journal {
    /// Opens the journal of a directory, which is made if it is not there.
    ///
    /// # Errors
    /// Another process has it open, the disk fails, or what is there is not a journal that was merely interrupted.
    pub fn open(directory: &Path, options: JournalOptions) -> Result<Self, JournalError> {
        Self::open_on(Arc::new(OsFs::new(directory)), options)
    }

    /// Opens a journal on any file system.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_on(fs: Arc<dyn JournalFs>, options: JournalOptions) -> Result<Self, JournalError> {
        open::open(fs, options)
    }

    /// Publishes what is durable and waits until a signed checkpoint covers it; returns its size.
    ///
    /// # Errors
    /// Publishing failed; the entries stay durable.
    pub async fn publish(&self) -> Result<u64, JournalError> {
        let shared = Arc::clone(&self.inner.shared);
        let size = shared.tail.read().end();
        tokio::task::spawn_blocking(move || shared.publish.ask(size))
            .await
            .map_err(|_| JournalError::Closed)?
    }

    /// Has an entry that was promised synced at once; the future ends when it and all before it are durable.
    ///
    /// # Errors
    /// The journal failed or closed before that.
    pub fn durable(
        &self,
        index: u64,
    ) -> impl Future<Output = Result<(), JournalError>> + Send + use<> {
        let shared = Arc::clone(&self.inner.shared);
        shared.queue.hurry(index.saturating_add(1));
        async move {
            loop {
                let written = shared.place.notified();
                if shared.tail.read().end() > index {
                    return Ok(());
                }
                if let Some(refusal) = shared.queue.refusal()
                    && !matches!(refusal, JournalError::Unpublished(_))
                {
                    return Err(refusal);
                }
                written.await;
            }
        }
    }

    /// Subscribes to entries as they become durable. One that lags too far behind misses some, and is told.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Logged> {
        self.inner.shared.live.subscribe()
    }

    /// Says how the journal fares.
    #[must_use]
    pub fn health(&self) -> Health {
        let shared = &self.inner.shared;
        Health {
            durable_entries: shared.tail.read().end(),
            published_entries: shared.publish.published(),
            refuses: shared.queue.refusal().map(|refusal| refusal.to_string()),
            publish_failure: shared.publish.failure().map(|why| why.to_string()),
            sinks: self.inner.offered.health(),
        }
    }

    /// Erases the details of a session for good by removing their key. Every proof stays valid.
    ///
    /// # Errors
    /// The key could not be removed.
    pub fn erase_session(&self, session: &str) -> Result<(), JournalError> {
        self.inner.shared.keys.erase(session)
    }

    /// Wraps the keys of details under another master key; returns how many there are.
    ///
    /// # Errors
    /// A key could not be unwrapped or stored; those not yet wrapped anew still open with the key before.
    pub fn rewrap_keys(&self, master_key: MasterKey) -> Result<u64, JournalError> {
        self.inner.shared.keys.rewrap(master_key)
    }

    /// Writes what waits, publishes it, and lets go of the directory. Appends are refused from here on.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        // It cannot be cancelled, and a panic in it would be that of a thread that is joined there.
        let _ = tokio::task::spawn_blocking(move || inner.close()).await;
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("origin", &self.inner.shared.origin).finish_non_exhaustive()
    }
}

impl Inner {
    fn close(&self) {
        // Held throughout, so that whoever closes second waits until it is done.
        let mut threads = self.threads.lock();
        let Some(Threads { writer, publisher, _lock }) = threads.take() else { return };
        self.shared.queue.close();
        let writer = writer.join();
        self.shared.queue.closed();
        self.shared.publish.close();
        let publisher = publisher.join();
        if writer.is_err() || publisher.is_err() {
            tracing::error!("a thread of the record ended before its time");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
