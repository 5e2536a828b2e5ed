//! Details: what an entry says beyond its header, encrypted under a key of its session.
//!
//! The log holds a salted commitment to them and nothing else, so that removing a key, or a bundle of details, erases
//! them while every proof stays valid.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead as _, AeadInPlace as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use killick_tlog::entry::{Commitment, SALT_BYTES};
use killick_tlog::hash::hex;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::error::JournalError;
use super::frame::{self, SEALED_BYTES_MAX};
use super::fs::{self, JournalFs};

/// Bytes that the details of one entry may have.
pub const DETAILS_BYTES_MAX: usize = 512 * 1024;
/// Keys of sessions held in memory.
pub const KEYS_HELD_MAX: usize = 1_024;
/// The folder of the wrapped keys.
pub(super) const KEYS_FOLDER: &str = "keys";

const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 16;
const TAG_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const MAC_BYTES: usize = 16;
const SEALED_VERSION: u8 = 1;
const KEY_CONTEXT: &[u8] = b"killick-details-key/1";
const DETAILS_CONTEXT: &[u8] = b"killick-details/1";
const SEALED_OVERHEAD_BYTES: usize =
    1 + ID_BYTES + TAG_BYTES + NONCE_BYTES + SALT_BYTES + MAC_BYTES;

const DETAILS_AAD_BYTES: usize = DETAILS_CONTEXT.len() + size_of::<Commitment>();

const _: () = assert!(DETAILS_BYTES_MAX + SEALED_OVERHEAD_BYTES <= SEALED_BYTES_MAX);

/// A key that wraps the keys of sessions.
pub type MasterKey = Zeroizing<[u8; KEY_BYTES]>;

/// What became of the details of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Details {
    /// The entry has none.
    Absent,
    /// They were erased: their key, or their bundle, is gone.
    Erased,
    /// They are here.
    Known(serde_json::Value),
}

/// The key of one session's details, in memory.
pub(super) struct SessionKey {
    id: [u8; ID_BYTES],
    /// Tells this key from one that had its id before, and was erased.
    tag: [u8; TAG_BYTES],
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({})", hex(&self.id))
    }
}

/// The keys of all sessions.
pub(super) struct Keys {
    fs: Arc<dyn JournalFs>,
    /// The one that wraps, then those that wrapped before it.
    masters: Mutex<Vec<MasterKey>>,
    held: Mutex<HashMap<[u8; ID_BYTES], Arc<SessionKey>>>,
    /// Held while a key file is read, made or removed, so that no two are made for one session.
    files: Mutex<()>,
}

impl Keys {
    pub(super) fn new(fs: Arc<dyn JournalFs>, master: MasterKey, before: Vec<MasterKey>) -> Self {
        let masters = std::iter::once(master).chain(before).collect();
        Self {
            fs,
            masters: Mutex::new(masters),
            held: Mutex::new(HashMap::new()),
            files: Mutex::new(()),
        }
    }

    /// Returns the key of a session if it is in memory.
    pub(super) fn held(&self, session: &str) -> Option<Arc<SessionKey>> {
        self.held.lock().get(&id_of(session)).cloned()
    }

    /// Returns the key of a session; makes one, durably, when there is none.
    pub(super) fn of_session(&self, session: &str) -> Result<Arc<SessionKey>, JournalError> {
        let id = id_of(session);
        if let Some(key) = self.held.lock().get(&id) {
            return Ok(Arc::clone(key));
        }
        let _one_at_a_time = self.files.lock();
        let key = if let Some(key) = self.load(&id)? {
            // Its name may be left over from a making that failed at the very end, and not be on the disk yet.
            self.fs.sync_folder(KEYS_FOLDER).map_err(|error| JournalError::of_write(&error))?;
            key
        } else {
            self.make(id)?
        };
        Ok(self.hold(key))
    }

    fn hold(&self, key: SessionKey) -> Arc<SessionKey> {
        let key = Arc::new(key);
        let mut held = self.held.lock();
        if held.len() >= KEYS_HELD_MAX {
            held.clear();
        }
        held.insert(key.id, Arc::clone(&key));
        key
    }

    fn make(&self, id: [u8; ID_BYTES]) -> Result<SessionKey, JournalError> {
        let mut made = SessionKey { id, tag: random()?, key: Zeroizing::new([0; KEY_BYTES]) };
        getrandom::fill(made.key.as_mut()).map_err(|_| JournalError::Random)?;
        self.store(&made)?;
        Ok(made)
    }

    fn store(&self, key: &SessionKey) -> Result<(), JournalError> {
        let masters = self.masters.lock();
        let master = masters.first().ok_or(JournalError::Key)?;
        let nonce: [u8; NONCE_BYTES] = random()?;
        let aad = [KEY_CONTEXT, &key.id, &key.tag].concat();
        let payload = Payload { msg: key.key.as_slice(), aad: &aad };
        let wrapped = cipher(master)
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| JournalError::Key)?;
        drop(masters);
        let bytes = frame::with_check(&[key.tag.as_slice(), &nonce, &wrapped].concat());
        let name = hex(&key.id);
        let scratch = format!("tmp/key-{name}");
        fs::write_whole(self.fs.as_ref(), &scratch, &key_path(&key.id), &bytes)
            .map_err(|error| JournalError::of_write(&error))
    }

    fn load(&self, id: &[u8; ID_BYTES]) -> Result<Option<SessionKey>, JournalError> {
        let read = self.fs.read(&key_path(id)).map_err(|error| JournalError::of_read(&error))?;
        let Some(bytes) = read else { return Ok(None) };
        self.unwrap(id, &bytes).map(Some).ok_or(JournalError::Key)
    }

    fn unwrap(&self, id: &[u8; ID_BYTES], bytes: &[u8]) -> Option<SessionKey> {
        let (tag, rest) = frame::without_check(bytes)?.split_first_chunk::<TAG_BYTES>()?;
        let (nonce, wrapped) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let aad = [KEY_CONTEXT, id, tag].concat();
        let masters = self.masters.lock();
        let opened = masters.iter().find_map(|master| {
            let payload = Payload { msg: wrapped, aad: &aad };
            cipher(master).decrypt(XNonce::from_slice(nonce), payload).ok()
        })?;
        let opened = Zeroizing::new(opened);
        let key = Zeroizing::new(opened.as_slice().try_into().ok()?);
        Some(SessionKey { id: *id, tag: *tag, key })
    }

    /// Removes the key of a session: its details are gone for good.
    pub(super) fn erase(&self, session: &str) -> Result<(), JournalError> {
        let id = id_of(session);
        let _one_at_a_time = self.files.lock();
        self.held.lock().remove(&id);
        self.fs.remove(&key_path(&id)).map_err(|error| JournalError::of_write(&error))?;
        match self.fs.sync_folder(KEYS_FOLDER) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(JournalError::of_write(&error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Wraps every key anew under another master key, which wraps from here on.
    pub(super) fn rewrap(&self, master: MasterKey) -> Result<u64, JournalError> {
        let _one_at_a_time = self.files.lock();
        self.masters.lock().insert(0, master);
        let paths = self.fs.list(KEYS_FOLDER).map_err(|error| JournalError::of_read(&error))?;
        let mut rewrapped = 0_u64;
        for path in paths {
            let id = path.rsplit_once('/').and_then(|(_, name)| id_of_name(name));
            let id = id.ok_or(JournalError::Key)?;
            let Some(key) = self.load(&id)? else { continue };
            self.store(&key)?;
            rewrapped = rewrapped.saturating_add(1);
        }
        // INVARIANT: every key file is wrapped by the first one by now.
        self.masters.lock().truncate(1);
        Ok(rewrapped)
    }

    /// Opens the details of an entry.
    pub(super) fn open(
        &self,
        commitment: &Commitment,
        sealed: &[u8],
    ) -> Result<Details, JournalError> {
        let parts = parts_of(sealed).ok_or(JournalError::Details)?;
        let held = self.held.lock().get(parts.id).cloned();
        let key = if held.is_some() {
            held
        } else {
            let _one_at_a_time = self.files.lock();
            self.load(parts.id)?.map(|key| self.hold(key))
        };
        match key {
            Some(key) if key.tag == *parts.tag => key.open(commitment, &parts),
            Some(_) | None => Ok(Details::Erased),
        }
    }
}

impl SessionKey {
    /// Commits to details and encrypts them.
    pub(super) fn seal(&self, details: &[u8]) -> Result<(Commitment, Vec<u8>), JournalError> {
        if details.len() > DETAILS_BYTES_MAX {
            return Err(JournalError::DetailsTooLong { len_bytes: details.len() });
        }
        let salt: [u8; SALT_BYTES] = stocked()?;
        let nonce: [u8; NONCE_BYTES] = stocked()?;
        let commitment = Commitment::to(&salt, details);
        let mut aad = [0; DETAILS_AAD_BYTES];
        let (context, committed) = aad.split_at_mut(DETAILS_CONTEXT.len());
        context.copy_from_slice(DETAILS_CONTEXT);
        committed.copy_from_slice(commitment.as_bytes());
        let len_bytes = details.len().saturating_add(SEALED_OVERHEAD_BYTES);
        let mut sealed = Vec::with_capacity(len_bytes);
        for part in [&[SEALED_VERSION][..], &self.id, &self.tag, &nonce] {
            sealed.extend_from_slice(part);
        }
        let plain_at = sealed.len();
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(details);
        let plain = sealed.get_mut(plain_at..).ok_or(JournalError::Details)?;
        let mac = cipher(&self.key)
            .encrypt_in_place_detached(XNonce::from_slice(&nonce), &aad, plain)
            .map_err(|_| JournalError::Details)?;
        sealed.extend_from_slice(&mac);
        Ok((commitment, sealed))
    }

    fn open(&self, commitment: &Commitment, parts: &Parts<'_>) -> Result<Details, JournalError> {
        let aad = [DETAILS_CONTEXT, commitment.as_bytes()].concat();
        let payload = Payload { msg: parts.encrypted, aad: &aad };
        let plain = cipher(&self.key)
            .decrypt(XNonce::from_slice(parts.nonce), payload)
            .map_err(|_| JournalError::Details)?;
        let plain = Zeroizing::new(plain);
        let (salt, details) =
            plain.split_first_chunk::<SALT_BYTES>().ok_or(JournalError::Details)?;
        if Commitment::to(salt, details) != *commitment {
            return Err(JournalError::Details);
        }
        serde_json::from_slice(details).map(Details::Known).map_err(|_| JournalError::Details)
    }
}

struct Parts<'a> {
    id: &'a [u8; ID_BYTES],
    tag: &'a [u8; TAG_BYTES],
    nonce: &'a [u8; NONCE_BYTES],
    encrypted: &'a [u8],
}

fn parts_of(sealed: &[u8]) -> Option<Parts<'_>> {
    let rest = sealed.strip_prefix(&[SEALED_VERSION])?;
    let (id, rest) = rest.split_first_chunk()?;
    let (tag, rest) = rest.split_first_chunk()?;
    let (nonce, encrypted) = rest.split_first_chunk()?;
    Some(Parts { id, tag, nonce, encrypted })
}

fn cipher(key: &[u8; KEY_BYTES]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(Key::from_slice(key))
}

fn random<const N: usize>() -> Result<[u8; N], JournalError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| JournalError::Random)?;
    Ok(bytes)
}

fn stocked<const N: usize>() -> Result<[u8; N], JournalError> {
    killick_gate::ids::stocked().map_err(|_| JournalError::Random)
}

/// Names the key of a session; an empty name is that of the gateway's own entries.
fn id_of(session: &str) -> [u8; ID_BYTES] {
    let digest: [u8; 32] =
        Sha256::new().chain_update(KEY_CONTEXT).chain_update(session).finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

fn id_of_name(name: &str) -> Option<[u8; ID_BYTES]> {
    let number = u128::from_str_radix(name, 16).ok()?;
    (format!("{number:032x}") == name).then_some(number.to_be_bytes())
}

fn key_path(id: &[u8; ID_BYTES]) -> String {
    format!("{KEYS_FOLDER}/{}", hex(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::fs::OsFs;

    fn master(byte: u8) -> MasterKey {
        Zeroizing::new([byte; KEY_BYTES])
    }

    fn keys(folder: &tempfile::TempDir, byte: u8) -> Keys {
        let fs = OsFs::new(folder.path());
        fs.create_folder("tmp").unwrap();
        Keys::new(Arc::new(fs), master(byte), Vec::new())
    }

    #[test]
    fn details_come_back_for_their_own_commitment_alone() {
        let folder = tempfile::tempdir().unwrap();
        let some = keys(&folder, 1);
        let key = some.of_session("s-1").unwrap();
        let (commitment, sealed) = key.seal(b"{\"a\":1}").unwrap();
        let known = Details::Known(serde_json::json!({"a": 1}));
        assert_eq!(some.open(&commitment, &sealed).unwrap(), known);
        assert_eq!(keys(&folder, 1).open(&commitment, &sealed).unwrap(), known);
        let (other, _) = key.seal(b"{\"a\":1}").unwrap();
        assert_ne!(other, commitment, "the salt makes each commitment its own");
        assert!(matches!(some.open(&other, &sealed), Err(JournalError::Details)));
        for at in [0, 30, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(some.open(&commitment, &changed).is_err());
        }
    }

    #[test]
    fn an_erased_key_erases_its_details_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let some = keys(&folder, 1);
        let one = some.of_session("s-1").unwrap().seal(b"1").unwrap();
        let two = some.of_session("s-2").unwrap().seal(b"2").unwrap();
        some.erase("s-1").unwrap();
        assert_eq!(some.open(&one.0, &one.1).unwrap(), Details::Erased);
        let again = some.of_session("s-1").unwrap().seal(b"3").unwrap();
        assert_eq!(some.open(&one.0, &one.1).unwrap(), Details::Erased);
        assert_eq!(some.open(&again.0, &again.1).unwrap(), Details::Known(3.into()));
        assert_eq!(some.open(&two.0, &two.1).unwrap(), Details::Known(2.into()));
        some.erase("never there").unwrap();
    }

    #[test]
    fn a_wrong_master_key_opens_nothing_and_makes_nothing_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        keys(&folder, 1).of_session("s-1").unwrap();
        assert!(matches!(keys(&folder, 2).of_session("s-1"), Err(JournalError::Key)));
        assert!(keys(&folder, 1).of_session("s-1").is_ok());
    }

    #[test]
    fn a_rotated_master_key_opens_what_the_one_before_wrapped() {
        let folder = tempfile::tempdir().unwrap();
        let some = keys(&folder, 1);
        let (commitment, sealed) = some.of_session("s-1").unwrap().seal(b"1").unwrap();
        let fs: Arc<dyn JournalFs> = Arc::new(OsFs::new(folder.path()));
        let between = Keys::new(Arc::clone(&fs), master(2), vec![master(1)]);
        assert_eq!(between.open(&commitment, &sealed).unwrap(), Details::Known(1.into()));
        assert_eq!(some.rewrap(master(2)).unwrap(), 1);
        assert_eq!(some.open(&commitment, &sealed).unwrap(), Details::Known(1.into()));
        assert_eq!(keys(&folder, 2).open(&commitment, &sealed).unwrap(), Details::Known(1.into()));
        assert!(keys(&folder, 1).open(&commitment, &sealed).is_err());
    }

    #[test]
    fn a_key_is_neither_shown_nor_stored_in_clear() {
        let folder = tempfile::tempdir().unwrap();
        let key = keys(&folder, 1).of_session("s-1").unwrap();
        let stored = std::fs::read(folder.path().join(key_path(&key.id))).unwrap();
        assert!(!stored.windows(KEY_BYTES).any(|window| window == key.key.as_slice()));
        assert!(!format!("{key:?}").contains(&hex(key.key.as_slice())));
    }

    #[test]
    fn details_past_the_limit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let key = keys(&folder, 1).of_session("s-1").unwrap();
        assert!(key.seal(&vec![b' '; DETAILS_BYTES_MAX]).is_ok());
        assert!(matches!(
            key.seal(&vec![b' '; DETAILS_BYTES_MAX + 1]),
            Err(JournalError::DetailsTooLong { .. })
        ));
    }
}
