//! What volumes hold: real bytes in real directories, backups inside the volume they save.
//!
//! `volumes/VOLUME/INSTANCE/data/*` is what a service would see mounted, and
//! `volumes/VOLUME/INSTANCE/backups/BACKUP/*` are the provider's own backups. They share one
//! directory on purpose: that is what makes a provider's backup worthless against a deletion.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const DATA: &str = "data";
const BACKUPS: &str = "backups";

/// The directory below which every volume lives.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    root: PathBuf,
}

impl Disk {
    /// Opens the directory, making it when it is missing.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let root = dir.join("volumes");
        fs::create_dir_all(&root)?;
        Ok(Self { root })
    }

    /// Returns where a volume lives, with all its instances and all its backups.
    pub(super) fn volume(&self, volume: &str) -> PathBuf {
        self.root.join(folder(volume))
    }

    /// Returns where one instance of a volume keeps its bytes.
    pub(super) fn data(&self, volume: &str, instance: &str) -> PathBuf {
        self.instance(volume, instance).join(DATA)
    }

    /// Returns where one backup of an instance lives.
    pub(super) fn backup(&self, volume: &str, instance: &str, backup: &str) -> PathBuf {
        self.instance(volume, instance).join(BACKUPS).join(folder(backup))
    }

    fn instance(&self, volume: &str, instance: &str) -> PathBuf {
        self.volume(volume).join(folder(instance))
    }

    /// Makes an empty instance.
    pub(super) fn create(&self, volume: &str, instance: &str) -> io::Result<()> {
        fs::create_dir_all(self.data(volume, instance))?;
        fs::create_dir_all(self.instance(volume, instance).join(BACKUPS))
    }

    /// Copies an instance's bytes into a backup.
    pub(super) fn back_up(&self, volume: &str, instance: &str, backup: &str) -> io::Result<()> {
        copy_flat(&self.data(volume, instance), &self.backup(volume, instance, backup))
    }

    /// Replaces an instance's bytes by those of a backup; what was written since is gone.
    pub(super) fn restore(&self, volume: &str, instance: &str, backup: &str) -> io::Result<()> {
        let saved = self.backup(volume, instance, backup);
        if !saved.is_dir() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.wipe(volume, instance)?;
        copy_flat(&saved, &self.data(volume, instance))
    }

    /// Empties an instance but keeps it, and its backups.
    pub(super) fn wipe(&self, volume: &str, instance: &str) -> io::Result<()> {
        remove(&self.data(volume, instance))?;
        fs::create_dir_all(self.data(volume, instance))
    }

    /// Deletes one backup.
    pub(super) fn delete_backup(
        &self,
        volume: &str,
        instance: &str,
        backup: &str,
    ) -> io::Result<()> {
        remove(&self.backup(volume, instance, backup))
    }

    /// Deletes an instance: its data and every backup that lives on it.
    pub(super) fn delete_instance(&self, volume: &str, instance: &str) -> io::Result<()> {
        remove(&self.instance(volume, instance))
    }

    /// Deletes a volume: every instance, all data, every backup.
    pub(super) fn delete_volume(&self, volume: &str) -> io::Result<()> {
        remove(&self.volume(volume))
    }

    /// Returns how many bytes an instance holds, its backups not counted.
    pub(super) fn size_bytes(&self, volume: &str, instance: &str) -> u64 {
        size_flat(&self.data(volume, instance))
    }

    /// Returns how many bytes a backup holds.
    pub(super) fn backup_size_bytes(&self, volume: &str, instance: &str, backup: &str) -> u64 {
        size_flat(&self.backup(volume, instance, backup))
    }
}

/// Makes an id safe as one folder's name: ids come in from requests.
fn folder(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(failed) if failed.kind() == io::ErrorKind::NotFound => Ok(()),
        answer => answer,
    }
}

fn copy_flat(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn size_flat(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
}
