//! How this crate reads a log: a few files by name, nothing else.

use std::collections::BTreeMap;
use std::io;

/// The directory of a log, read only. Paths are relative and use `/`.
pub trait LogFiles {
    /// Reads a whole file; `None` when there is none of that name.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// Lists every file below a folder, by its path from the log's directory.
    ///
    /// # Errors
    /// The folder is there and cannot be read.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
}

/// A log held in memory, for tests and for what came over the wire.
impl LogFiles for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.get(path).cloned())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let below = format!("{folder}/");
        Ok(self.keys().filter(|path| path.starts_with(&below)).cloned().collect())
    }
}
