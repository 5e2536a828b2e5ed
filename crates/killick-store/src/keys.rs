//! Master keys: where the key comes from that seals the store's own key.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// Bytes of every symmetric key.
pub const KEY_BYTES: usize = 32;

/// Why there is no master key. Never names a byte of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file is not there or cannot be read.
    #[error("the key file `{path}` cannot be used: {why}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// Somebody beside the owner may touch the file.
    #[error("the key file `{path}` has mode {mode:o}; make it 600 and rotate the key")]
    Mode {
        /// Which file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// The file belongs to another user.
    #[error("the key file `{path}` belongs to user {owner}, not to the user that runs killick")]
    Owner {
        /// Which file.
        path: String,
        /// Whose it is.
        owner: u32,
    },
    /// It is a symbolic link, a directory or a device.
    #[error("the key file `{path}` is not a plain file; links are not followed")]
    NotAFile {
        /// Which file.
        path: String,
    },
    /// The variable is not set.
    #[error("the variable `{0}` is not set")]
    Unset(&'static str),
    /// It is no key.
    #[error("a master key is {KEY_BYTES} random bytes, as 64 hex digits or as base64 in text")]
    Shape,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// A key that seals keys; wiped on drop.
pub struct MasterKey(pub(crate) Zeroizing<[u8; KEY_BYTES]>);

impl MasterKey {
    /// Returns a key for one purpose, from which this one cannot be found (HMAC-SHA256).
    #[must_use]
    pub fn derived(&self, purpose: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        use hmac::Mac as _;
        // HMAC pads a short key with zeros to its block; doing so here cannot fail.
        let mut block = Zeroizing::new([0_u8; 64]);
        block.iter_mut().zip(self.0.iter()).for_each(|(slot, byte)| *slot = *byte);
        let mut mac =
            <hmac::Hmac<sha2::Sha256> as hmac::digest::KeyInit>::new(block.as_slice().into());
        mac.update(purpose.as_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// Takes raw bytes.
    ///
    /// # Errors
    /// There are not exactly [`KEY_BYTES`], or they are all the same.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let key: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| KeyError::Shape)?;
        let key = Zeroizing::new(key);
        // A file of zeros is an accident (a hole, a failed write), not a key.
        if key.iter().all(|byte| Some(byte) == key.first()) {
            return Err(KeyError::Shape);
        }
        Ok(Self(key))
    }

    /// Parses 64 hex digits or base64 of 32 bytes.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        if text.len() == 2 * KEY_BYTES && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            for (slot, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                let pair = std::str::from_utf8(pair).map_err(|_| KeyError::Shape)?;
                *slot = u8::from_str_radix(pair, 16).map_err(|_| KeyError::Shape)?;
            }
            return Self::from_bytes(bytes.as_slice());
        }
        let decoded = STANDARD.decode(text).map_err(|_| KeyError::Shape)?;
        Self::from_bytes(&Zeroizing::new(decoded))
    }
}

/// Where a master key comes from. The store asks when it opens and when keys are rotated, and keeps
/// the key no longer than that.
///
/// A keyring of the desktop or a cloud key service fits behind the same trait.
pub trait KeyProvider: Send + Sync {
    /// Returns the word for listings (`file`).
    fn kind(&self) -> &'static str;

    /// Returns the master key.
    ///
    /// # Errors
    /// Says why there is none.
    fn master_key(&self) -> Result<MasterKey, KeyError>;
}

/// A master key in a file of 32 bytes that its owner alone can read.
#[derive(Clone, Debug)]
pub struct FileKey {
    path: PathBuf,
}

impl FileKey {
    /// Points at a key file that is there already; it is checked whenever it is read.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Writes a fresh random key into a file that must not be there yet.
    ///
    /// # Errors
    /// The file exists (a link counts), cannot be written, or there is no randomness.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let key = Self::at(path);
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| KeyError::NoRandomness)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
            .map_err(|error| key.unusable(&error))?;
        let mut file = File::from(file);
        file.write_all(bytes.as_slice()).map_err(|error| key.unusable(&error))?;
        file.sync_all().map_err(|error| key.unusable(&error))?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let folder = File::open(parent).map_err(|error| key.unusable(&error))?;
            folder.sync_all().map_err(|error| key.unusable(&error))?;
        }
        Ok(key)
    }

    fn unusable(&self, why: &dyn std::fmt::Display) -> KeyError {
        KeyError::File { path: self.shown(), why: why.to_string() }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

impl KeyProvider for FileKey {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn master_key(&self) -> Result<MasterKey, KeyError> {
        // NONBLOCK: a pipe planted under the name must not hang the start.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&self.path, flags, Mode::empty()).map_err(|error| {
            if error == rustix::io::Errno::LOOP {
                KeyError::NotAFile { path: self.shown() }
            } else {
                self.unusable(&error)
            }
        })?;
        let mut file = File::from(file);
        let found = file.metadata().map_err(|error| self.unusable(&error))?;
        if !found.is_file() {
            return Err(KeyError::NotAFile { path: self.shown() });
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(KeyError::Owner { path: self.shown(), owner: found.uid() });
        }
        if found.mode() & 0o177 != 0 {
            return Err(KeyError::Mode { path: self.shown(), mode: found.mode() & 0o7777 });
        }
        if found.len() != KEY_BYTES as u64 {
            return Err(KeyError::Shape);
        }
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        file.read_exact(bytes.as_mut_slice()).map_err(|error| self.unusable(&error))?;
        MasterKey::from_bytes(bytes.as_slice())
    }
}

/// A master key in the process's environment, for machines whose supervisor hands secrets out that way.
/// Every process of the same user can read it from there; `doctor` says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct EnvironmentKey;

impl EnvironmentKey {
    /// The variable that holds it.
    pub const VARIABLE: &'static str = "KILLICK_MASTER_KEY";
}

impl KeyProvider for EnvironmentKey {
    fn kind(&self) -> &'static str {
        "environment"
    }

    fn master_key(&self) -> Result<MasterKey, KeyError> {
        let text = std::env::var_os(Self::VARIABLE).ok_or(KeyError::Unset(Self::VARIABLE))?;
        let text = text.into_string().map_err(|_| KeyError::Shape)?;
        MasterKey::parse(&Zeroizing::new(text))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_derived_key_is_the_hmac_of_its_purpose() {
        use hmac::Mac as _;
        let key = MasterKey::from_bytes(&std::array::from_fn::<u8, KEY_BYTES, _>(|at| {
            u8::try_from(at).unwrap()
        }))
        .unwrap();
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(key.0.as_slice()).unwrap();
        mac.update(b"record");
        assert_eq!(key.derived("record").as_slice(), mac.finalize().into_bytes().as_slice());
        assert_ne!(key.derived("record"), key.derived("other"));
    }

    #[test]
    fn a_key_file_that_others_may_read_or_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let key = FileKey::create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert!(key.master_key().is_ok());
        for loose in [0o640, 0o604, 0o620, 0o602, 0o610, 0o700] {
            mode(&path, loose);
            assert!(
                matches!(key.master_key(), Err(KeyError::Mode { mode, .. }) if mode == loose),
                "{loose:o}"
            );
        }
        mode(&path, 0o400);
        assert!(key.master_key().is_ok());
    }

    #[test]
    fn a_link_a_folder_and_a_pipe_are_no_key_files() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real.key");
        FileKey::create(&real).unwrap();
        let link = folder.path().join("link.key");
        symlink(&real, &link).unwrap();
        assert!(matches!(FileKey::at(&link).master_key(), Err(KeyError::NotAFile { .. })));
        assert!(matches!(FileKey::at(folder.path()).master_key(), Err(KeyError::NotAFile { .. })));
        assert!(matches!(
            FileKey::at(&folder.path().join("none")).master_key(),
            Err(KeyError::File { .. })
        ));
    }

    #[test]
    fn a_key_file_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        FileKey::create(&path).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(FileKey::create(&path), Err(KeyError::File { .. })));
        let dangling = folder.path().join("dangling");
        symlink(folder.path().join("elsewhere"), &dangling).unwrap();
        assert!(FileKey::create(&dangling).is_err());
        assert!(!folder.path().join("elsewhere").exists());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_short_long_or_blank_key_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("short", vec![7; 31]), ("long", vec![7; 33]), ("blank", vec![0; 32])]
        {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            mode(&path, 0o600);
            assert!(matches!(FileKey::at(&path).master_key(), Err(KeyError::Shape)), "{name}");
        }
    }

    #[test]
    fn text_is_hex_or_base64_of_exactly_32_bytes() {
        let bytes: Vec<u8> = (0..32).collect();
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        assert_eq!(MasterKey::parse(hex).unwrap().0.as_slice(), bytes);
        let base64 = STANDARD.encode(&bytes);
        assert_eq!(MasterKey::parse(&format!("{base64}\n")).unwrap().0.as_slice(), bytes);
        for wrong in
            ["", "00", "correct horse battery staple", hex.split_at(62).0, &format!("{hex}00")]
        {
            assert!(matches!(MasterKey::parse(wrong), Err(KeyError::Shape)), "{wrong}");
        }
        assert!(matches!(MasterKey::parse(&"00".repeat(32)), Err(KeyError::Shape)));
    }
}
