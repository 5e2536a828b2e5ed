//! A disk in memory that fails on demand, and forgets at a power cut what it was not made to keep.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::fs::{JournalFile, JournalFs};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The disk is full from here on; what was set aside can still be written.
    Full,
    /// One operation fails.
    Error,
    /// One write takes only a part of its bytes.
    ShortWrite,
    /// One write takes a part of its bytes, and the next fails.
    TornWrite,
    /// One sync fails, and what it was to keep is never kept, though it can still be read.
    Sync,
    /// Everything fails from here on.
    PowerCut,
}

impl Fault {
    pub(super) const ALL: [Self; 6] =
        [Self::Full, Self::Error, Self::ShortWrite, Self::TornWrite, Self::Sync, Self::PowerCut];
}

#[derive(Clone, Default)]
struct Data {
    /// What a power cut leaves.
    kept: Vec<u8>,
    /// What can be read.
    current: Vec<u8>,
    /// Writes since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
    set_aside_to: usize,
}

impl Data {
    fn apply(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
        if bytes.len() < offset + written.len() {
            bytes.resize(offset + written.len(), 0);
        }
        bytes[offset..offset + written.len()].copy_from_slice(written);
    }
}

#[derive(Clone)]
enum NameChange {
    Set(String, usize),
    Gone(String),
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
struct Disk {
    files: Vec<Data>,
    names: BTreeMap<String, usize>,
    kept_names: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
    operations: u64,
    fault_at: Option<(u64, Fault)>,
    is_full: bool,
    is_cut: bool,
    fails_next_write: bool,
    is_locked: bool,
}

/// A disk that can be shared, cut from power, and started again.
#[derive(Clone, Default)]
pub(super) struct SimFs {
    disk: Arc<Mutex<Disk>>,
}

enum Operation {
    Write,
    Sync,
    Other,
}

impl Disk {
    /// Counts an operation; says what goes wrong with it, if anything does.
    fn step(&mut self, operation: &Operation) -> io::Result<Option<Fault>> {
        self.operations += 1;
        if self.is_cut {
            return Err(io::Error::other("no power"));
        }
        if matches!(operation, Operation::Write) && std::mem::take(&mut self.fails_next_write) {
            return Err(io::Error::other("input/output error"));
        }
        let Some((at, fault)) = self.fault_at.filter(|(at, _)| self.operations >= *at) else {
            return Ok(None);
        };
        // A fault of one kind of operation waits for the next of that kind.
        match (fault, operation) {
            (Fault::Full, _) => self.is_full = true,
            (Fault::PowerCut, _) => {
                self.is_cut = true;
                return Err(io::Error::other("no power"));
            }
            (Fault::Error, _) if at <= self.operations => {
                self.fault_at = None;
                return Err(io::Error::other("input/output error"));
            }
            (Fault::ShortWrite | Fault::TornWrite, Operation::Write)
            | (Fault::Sync, Operation::Sync) => {
                self.fault_at = None;
                return Ok(Some(fault));
            }
            (Fault::Error | Fault::ShortWrite | Fault::TornWrite | Fault::Sync, _) => {}
        }
        Ok(None)
    }

    fn change(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Set(name, file) => drop(names.insert(name.clone(), *file)),
        NameChange::Gone(name) => drop(names.remove(name)),
    }
}

fn folder_of(change: &NameChange) -> &str {
    let (NameChange::Set(name, _) | NameChange::Gone(name)) = change;
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl SimFs {
    /// Lets a fault happen at the `operation`-th operation from now.
    pub(super) fn fail_at(&self, operation: u64, fault: Fault) {
        let mut disk = self.disk.lock();
        let at = disk.operations + operation;
        disk.fault_at = Some((at, fault));
    }

    pub(super) fn set_full(&self, is_full: bool) {
        let mut disk = self.disk.lock();
        disk.is_full = is_full;
        disk.fault_at = None;
    }

    pub(super) fn operations(&self) -> u64 {
        self.disk.lock().operations
    }

    /// Says whether the fault that was set has not happened.
    pub(super) fn is_fault_due(&self) -> bool {
        let disk = self.disk.lock();
        disk.fault_at.is_some() && !disk.is_full && !disk.is_cut
    }

    /// Cuts the power, and returns the disk as it may be found: of what was not synced, some, part or none is there.
    pub(super) fn cut(&self, mut random: impl FnMut(u64) -> u64) -> Self {
        let disk = self.disk.lock();
        let mut names = disk.kept_names.clone();
        let survive = usize::try_from(random(disk.changes.len() as u64 + 1)).unwrap();
        for change in &disk.changes[..survive] {
            apply(&mut names, change);
        }
        let mut files = disk.files.clone();
        for data in &mut files {
            let mut found = data.kept.clone();
            for (offset, written) in &data.unsynced {
                let part = usize::try_from(random(written.len() as u64 + 1)).unwrap();
                match random(3) {
                    0 => {}
                    1 => Data::apply(&mut found, *offset, &written[..part]),
                    _ => Data::apply(&mut found, *offset, written),
                }
            }
            *data = Data { kept: found.clone(), current: found, ..Data::default() };
        }
        let kept_names = names.clone();
        let disk = Disk { files, names, kept_names, ..Disk::default() };
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    /// Returns the same disk, working again, as another process finds it without a power cut.
    pub(super) fn repaired(&self) -> Self {
        let mut disk = self.disk.lock();
        (disk.fault_at, disk.is_full, disk.is_cut, disk.fails_next_write) =
            (None, false, false, false);
        drop(disk);
        self.clone()
    }

    /// Reads every file, for a verifier.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let disk = self.disk.lock();
        disk.names
            .iter()
            .map(|(name, file)| (name.clone(), disk.files[*file].current.clone()))
            .collect()
    }

    /// Makes a disk that holds these files.
    pub(super) fn holding(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut disk = Disk::default();
        for (name, bytes) in files {
            let data = Data { kept: bytes.clone(), current: bytes.clone(), ..Data::default() };
            disk.names.insert(name.clone(), disk.files.len());
            disk.files.push(data);
        }
        disk.kept_names = disk.names.clone();
        Self { disk: Arc::new(Mutex::new(disk)) }
    }
}

struct SimLock(Arc<Mutex<Disk>>);

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.lock().is_locked = false;
    }
}

impl JournalFs for SimFs {
    fn lock(&self, _: &str) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut disk = self.disk.lock();
        if std::mem::replace(&mut disk.is_locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock(Arc::clone(&self.disk)))))
    }

    fn open(&self, path: &str) -> io::Result<Option<Box<dyn JournalFile>>> {
        let mut disk = self.disk.lock();
        disk.step(&Operation::Other)?;
        let Some(file) = disk.names.get(path).copied() else { return Ok(None) };
        Ok(Some(Box::new(SimFile { disk: Arc::clone(&self.disk), file })))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn JournalFile>> {
        let mut disk = self.disk.lock();
        disk.step(&Operation::Other)?;
        let file = disk.files.len();
        disk.files.push(Data::default());
        disk.change(NameChange::Set(path.to_owned(), file));
        Ok(Box::new(SimFile { disk: Arc::clone(&self.disk), file }))
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let mut disk = self.disk.lock();
        disk.step(&Operation::Other)?;
        Ok(disk.names.get(path).map(|file| disk.files[*file].current.clone()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.step(&Operation::Other)?;
        let file = *disk.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        disk.change(NameChange::Set(to.to_owned(), file));
        disk.change(NameChange::Gone(from.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.step(&Operation::Other)?;
        disk.change(NameChange::Gone(path.to_owned()));
        Ok(())
    }

    fn create_folder(&self, _: &str) -> io::Result<()> {
        self.disk.lock().step(&Operation::Other).map(|_| ())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut disk = self.disk.lock();
        disk.step(&Operation::Other)?;
        let below = format!("{folder}/");
        Ok(disk.names.keys().filter(|name| name.starts_with(&below)).cloned().collect())
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if disk.step(&Operation::Sync)?.is_some() {
            return Err(io::Error::other("sync failed"));
        }
        let (kept, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut disk.changes).into_iter().partition(|c| folder_of(c) == path);
        for change in &kept {
            apply(&mut disk.kept_names, change);
        }
        disk.changes = rest;
        Ok(())
    }
}

struct SimFile {
    disk: Arc<Mutex<Disk>>,
    file: usize,
}

impl JournalFile for SimFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.disk.lock();
        let fault = disk.step(&Operation::Write)?;
        let offset = usize::try_from(offset).unwrap();
        let taken = match fault {
            Some(_) => bytes.len().div_ceil(2),
            None => bytes.len(),
        };
        disk.fails_next_write = fault == Some(Fault::TornWrite);
        let is_full = disk.is_full;
        let data = &mut disk.files[self.file];
        if is_full && offset + taken > data.set_aside_to.max(data.current.len()) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = bytes[..taken].to_vec();
        Data::apply(&mut data.current, offset, &written);
        data.unsynced.push((offset, written));
        Ok(taken)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let fault = disk.step(&Operation::Sync)?;
        let data = &mut disk.files[self.file];
        let unsynced = std::mem::take(&mut data.unsynced);
        if fault.is_some() {
            return Err(io::Error::other("sync failed"));
        }
        for (offset, written) in unsynced {
            Data::apply(&mut data.kept, offset, &written);
        }
        Ok(())
    }

    fn set_aside(&mut self, offset: u64, len_bytes: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.step(&Operation::Other)?;
        if disk.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let to = usize::try_from(offset + len_bytes).unwrap();
        let data = &mut disk.files[self.file];
        data.set_aside_to = data.set_aside_to.max(to);
        Ok(())
    }
}
