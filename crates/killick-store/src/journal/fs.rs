//! The few file operations the journal needs, as a trait, so that tests can make each of them fail.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

/// Bytes of the largest file that is read whole: a bundle of the longest entries, or the head.
pub const FILE_BYTES_MAX: u64 = 512 << 20;

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// A directory as the journal sees it. Paths are relative and use `/`.
pub trait JournalFs: Send + Sync + 'static {
    /// Takes the lock of the directory until the guard is dropped; `None` while another process has it.
    ///
    /// # Errors
    /// The lock file cannot be made.
    fn lock(&self, path: &str) -> io::Result<Option<Box<dyn Send + Sync>>>;

    /// Opens a file for writing; `None` when there is none.
    ///
    /// # Errors
    /// The file cannot be opened.
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn JournalFile>>>;

    /// Makes an empty file, in place of any other of that name.
    ///
    /// # Errors
    /// The file cannot be made.
    fn create(&self, path: &str) -> io::Result<Box<dyn JournalFile>>;

    /// Reads a whole file; `None` when there is none.
    ///
    /// # Errors
    /// The file cannot be read, or is larger than any file of a journal.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// Renames a file, in place of any other of that name.
    ///
    /// # Errors
    /// The file cannot be renamed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; it is no error when there is none.
    ///
    /// # Errors
    /// The file cannot be removed.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes a folder and those above it, durably; it is no error when they are there.
    ///
    /// # Errors
    /// A folder cannot be made.
    fn create_folder(&self, path: &str) -> io::Result<()>;

    /// Lists the files below a folder by their paths; none when there is no such folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The device failed.
    fn sync_folder(&self, path: &str) -> io::Result<()>;
}

/// An open file.
pub trait JournalFile: Send {
    /// Writes at an offset and returns how many bytes were taken.
    ///
    /// # Errors
    /// Nothing was written, or it is not known what was.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// It is not known what is on the disk.
    fn sync(&mut self) -> io::Result<()>;

    /// Sets disk space aside for the bytes from `offset` on.
    ///
    /// # Errors
    /// There is no space, or it cannot be set aside.
    fn set_aside(&mut self, offset: u64, len_bytes: u64) -> io::Result<()>;
}

/// Writes a whole file so that a crash leaves the one before or this one, never a part.
pub(super) fn write_whole(
    fs: &dyn JournalFs,
    scratch: &str,
    path: &str,
    bytes: &[u8],
) -> io::Result<()> {
    let written = (|| {
        let mut file = fs.create(scratch)?;
        write_all_at(file.as_mut(), 0, bytes)?;
        file.sync()?;
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        fs.create_folder(folder)?;
        fs.rename(scratch, path)?;
        fs.sync_folder(folder)
    })();
    if written.is_err() {
        // What is left of it would only take space that is needed; that it may fail too changes nothing.
        let _ = fs.remove(scratch);
    }
    written
}

pub(super) fn write_all_at(
    file: &mut dyn JournalFile,
    mut offset: u64,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => {
                bytes = bytes.get(taken..).ok_or(io::ErrorKind::WriteZero)?;
                offset = offset.saturating_add(taken as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Says whether an error means that the disk, or the quota on it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A directory of the operating system.
#[derive(Clone, Debug)]
pub struct OsFs {
    directory: PathBuf,
}

impl OsFs {
    /// Takes a directory, which is made when it is first written to.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.directory.clone() } else { self.directory.join(path) }
    }

    fn list_into(&self, folder: &str, files: &mut Vec<String>) -> io::Result<()> {
        let entries = match std::fs::read_dir(self.path(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours, and is shown as a stray file.
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if entry.file_type()?.is_dir() {
                self.list_into(&path, files)?;
            } else {
                files.push(path);
            }
        }
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(FILE_MODE);
    options
}

impl JournalFs for OsFs {
    fn lock(&self, path: &str) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.create_folder("")?;
        let file = options().create(true).truncate(false).open(self.path(path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn open(&self, path: &str) -> io::Result<Option<Box<dyn JournalFile>>> {
        match options().open(self.path(path)) {
            Ok(file) => Ok(Some(Box::new(OsFile { file }))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn JournalFile>> {
        let file = options().create(true).truncate(true).open(self.path(path))?;
        Ok(Box::new(OsFile { file }))
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(path)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, FILE_BYTES_MAX), &mut bytes)?;
        Ok(Some(bytes))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        let path = self.path(path);
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
            .collect();
        for folder in missing.into_iter().rev() {
            match std::fs::DirBuilder::new().mode(FOLDER_MODE).create(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
            File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        self.list_into(folder, &mut files)?;
        files.sort_unstable();
        Ok(files)
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_all()
    }
}

struct OsFile {
    file: File,
}

impl JournalFile for OsFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_aside(&mut self, offset: u64, len_bytes: u64) -> io::Result<()> {
        loop {
            return match rustix::fs::fallocate(
                &self.file,
                FallocateFlags::KEEP_SIZE,
                offset,
                len_bytes,
            ) {
                Err(Errno::INTR) => continue,
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(&self.file, offset, len_bytes),
                result => result.map_err(io::Error::from),
            };
        }
    }
}

/// Sets space aside where the file system cannot: a reader takes zeros for the end of the file.
fn write_zeros(file: &File, offset: u64, len_bytes: u64) -> io::Result<()> {
    static BLOCK: [u8; 64 * 1024] = [0; 64 * 1024];
    let end = offset.saturating_add(len_bytes);
    let mut at = offset;
    while at < end {
        let left = usize::try_from(end.saturating_sub(at)).unwrap_or(BLOCK.len());
        let block = BLOCK.get(..left.min(BLOCK.len())).unwrap_or(&BLOCK);
        file.write_all_at(block, at)?;
        at = at.saturating_add(block.len() as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let fs = OsFs::new(folder.path().join("journal"));
        let held = fs.lock("lock").unwrap();
        assert!(held.is_some());
        assert!(fs.lock("lock").unwrap().is_none());
        drop(held);
        assert!(fs.lock("lock").unwrap().is_some());
    }

    #[test]
    fn files_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let fs = OsFs::new(folder.path().join("journal"));
        fs.create_folder("tmp").unwrap();
        write_whole(&fs, "tmp/x", "a/b/c", b"text").unwrap();
        let mode = |path: &str| std::fs::metadata(fs.path(path)).unwrap().permissions().mode();
        assert_eq!((mode("a/b/c") & 0o777, mode("a/b") & 0o777), (0o600, 0o700));
        assert_eq!(fs.read("a/b/c").unwrap().unwrap(), b"text");
        assert_eq!(fs.list("").unwrap(), ["a/b/c"]);
        assert_eq!(fs.read("a/b/d").unwrap(), None);
        assert!(fs.remove("a/b/d").is_ok());
    }

    #[test]
    fn space_set_aside_does_not_change_what_a_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let fs = OsFs::new(folder.path());
        let mut file = fs.create("head").unwrap();
        file.set_aside(0, 1 << 20).unwrap();
        write_all_at(file.as_mut(), 0, b"abc").unwrap();
        file.sync().unwrap();
        let read = fs.read("head").unwrap().unwrap();
        assert!(read.starts_with(b"abc") && read.iter().skip(3).all(|byte| *byte == 0));
    }
}
