//! Where checkpoints go so that a rollback of the whole record is found: off the machine.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use killick_tlog::checkpoint::{CHECKPOINT_FILE, Checkpoint};
use killick_tlog::note::VerifyingKey;
use parking_lot::{Condvar, Mutex};

use super::fs::{self, JournalFs, OsFs};

/// A place that keeps checkpoints: a directory, an object store, a webhook.
pub trait CheckpointSink: Send + Sync + 'static {
    /// Returns the name that status and errors show.
    fn name(&self) -> &str;

    /// Keeps a checkpoint of a log of `size` entries.
    ///
    /// It is called on a thread of its own, with the latest checkpoint only, and may take its time.
    ///
    /// # Errors
    /// It was not kept; the next one is offered all the same.
    fn publish(&self, note: &str, size: u64) -> io::Result<()>;
}

/// A directory, mounted from elsewhere, that holds the latest checkpoint.
#[derive(Debug)]
pub struct DirectorySink {
    name: String,
    fs: OsFs,
    keys: Vec<VerifyingKey>,
}

impl DirectorySink {
    /// Keeps checkpoints in a directory; `keys` are those that sign them.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, keys: Vec<VerifyingKey>) -> Self {
        let directory = directory.into();
        Self { name: directory.display().to_string(), fs: OsFs::new(directory), keys }
    }
}

impl CheckpointSink for DirectorySink {
    fn name(&self) -> &str {
        &self.name
    }

    fn publish(&self, note: &str, size: u64) -> io::Result<()> {
        if let Some(kept) = self.fs.read(CHECKPOINT_FILE)? {
            let (kept, _) = Checkpoint::open(&kept, &self.keys).map_err(io::Error::other)?;
            if kept.size() > size {
                let message = format!(
                    "a checkpoint of {} entries is kept there and the record has {size}: it was rolled back",
                    kept.size()
                );
                return Err(io::Error::other(message));
            }
        }
        self.fs.create_folder("")?;
        fs::write_whole(&self.fs, "checkpoint.tmp", CHECKPOINT_FILE, note.as_bytes())
    }
}

/// How a sink fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkHealth {
    /// Name of the sink.
    pub name: String,
    /// Entries of the last checkpoint that it kept.
    pub kept: Option<u64>,
    /// Why it did not keep the last one offered.
    pub failure: Option<String>,
}

/// The thread that offers checkpoints to the sinks.
pub(super) struct Witnesses {
    shared: Arc<Offered>,
    thread: Option<JoinHandle<()>>,
}

pub(super) struct Offered {
    latest: Mutex<Latest>,
    changed: Condvar,
    health: Mutex<Vec<SinkHealth>>,
}

#[derive(Default)]
struct Latest {
    offered: Option<(String, u64)>,
    is_closing: bool,
}

impl Offered {
    pub(super) fn health(&self) -> Vec<SinkHealth> {
        self.health.lock().clone()
    }
}

impl Witnesses {
    pub(super) fn start(sinks: Vec<Arc<dyn CheckpointSink>>) -> io::Result<Self> {
        let health = sinks
            .iter()
            .map(|sink| SinkHealth { name: sink.name().to_owned(), kept: None, failure: None })
            .collect();
        let shared = Arc::new(Offered {
            latest: Mutex::new(Latest::default()),
            changed: Condvar::new(),
            health: Mutex::new(health),
        });
        let thread = if sinks.is_empty() {
            None
        } else {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name("journal-sinks".into());
            Some(thread.spawn(move || run(&shared, &sinks))?)
        };
        Ok(Self { shared, thread })
    }

    pub(super) fn offered(&self) -> Arc<Offered> {
        Arc::clone(&self.shared)
    }

    /// Offers a checkpoint; one that was not taken yet gives way to it.
    pub(super) fn offer(&self, note: &str, size: u64) {
        self.shared.latest.lock().offered = Some((note.to_owned(), size));
        self.shared.changed.notify_all();
    }
}

impl Drop for Witnesses {
    fn drop(&mut self) {
        self.shared.latest.lock().is_closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A sink that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Offered, sinks: &[Arc<dyn CheckpointSink>]) {
    loop {
        let mut latest = shared.latest.lock();
        let (note, size) = loop {
            if let Some(offered) = latest.offered.take() {
                break offered;
            }
            if latest.is_closing {
                return;
            }
            shared.changed.wait(&mut latest);
        };
        drop(latest);
        for (at, sink) in sinks.iter().enumerate() {
            let outcome = sink.publish(&note, size);
            if let Err(error) = &outcome {
                tracing::warn!(sink = sink.name(), %error, "a checkpoint was not kept");
            }
            if let Some(health) = shared.health.lock().get_mut(at) {
                health.failure = outcome.err().map(|error| error.to_string());
                if health.failure.is_none() {
                    health.kept = Some(size);
                }
            }
        }
    }
}
