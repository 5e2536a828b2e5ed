//! How recovery points are sealed: a fresh key for each, wrapped by the recovery key, and every sealed
//! piece bound to its place.

use std::sync::Arc;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use killick_gate::ids;
use killick_model::{PointId, UpstreamName};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Bytes of every key.
const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
const NONCE_BYTES: usize = 24;
/// Bytes of an authentication tag.
const TAG_BYTES: usize = 16;
/// What sealing adds to a text.
pub(super) const SEAL_BYTES: usize = NONCE_BYTES + TAG_BYTES;
/// Bytes of a wrapped key.
pub(super) const WRAPPED_BYTES: usize = KEY_BYTES + SEAL_BYTES;
/// Bytes by which a recovery key is told from another.
pub(super) const KEY_NAME_BYTES: usize = 8;

/// Sealed bytes do not open, or nothing can be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SealError {
    /// Another key, another place, or changed.
    Shut,
    /// The system gives no randomness.
    NoRandomness,
}

/// The recovery key; it wraps the key of every point. Wiped on drop.
pub struct RecoveryKey(Zeroizing<[u8; KEY_BYTES]>);

impl RecoveryKey {
    /// Takes a key that was made for this purpose alone.
    #[must_use]
    pub fn new(key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(key)
    }

    /// Returns a name of the key that tells nothing of it.
    pub(super) fn name(&self) -> [u8; KEY_NAME_BYTES] {
        let mut hash = Sha256::new();
        hash.update(b"killick-recovery-key/1\n");
        hash.update(self.0.as_slice());
        let hash: [u8; 32] = hash.finalize().into();
        let mut name = [0; KEY_NAME_BYTES];
        name.iter_mut().zip(hash).for_each(|(slot, byte)| *slot = byte);
        name
    }
}

/// The recovery keys in use: one that wraps, and those before it that may still open.
#[derive(Clone)]
pub struct RecoveryKeys {
    current: Arc<RecoveryKey>,
    former: Vec<Arc<RecoveryKey>>,
}

impl RecoveryKeys {
    /// Takes the key that wraps, and the former ones.
    #[must_use]
    pub fn new(current: RecoveryKey, former: Vec<RecoveryKey>) -> Self {
        Self { current: Arc::new(current), former: former.into_iter().map(Arc::new).collect() }
    }

    pub(super) fn current(&self) -> &RecoveryKey {
        &self.current
    }

    pub(super) fn named(&self, name: &[u8]) -> Option<&RecoveryKey> {
        std::iter::once(&self.current)
            .chain(&self.former)
            .find(|key| key.name() == name)
            .map(Arc::as_ref)
    }
}

/// Where a sealed piece stands. Moved to another place it does not open.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// The wrapped key of a point.
    Key,
    /// What is known of a point.
    Info,
    /// One chunk of one stream.
    Chunk {
        /// Which stream, by number.
        part: usize,
        /// And by name.
        name: &'a str,
        /// Which chunk of it.
        number: u64,
        /// Whether it is the stream's last.
        last: bool,
    },
}

/// The point that a sealed piece belongs to.
#[derive(Clone, Copy)]
pub(super) struct OfPoint<'a> {
    pub(super) upstream: &'a UpstreamName,
    pub(super) id: &'a PointId,
}

impl OfPoint<'_> {
    /// Length-framed, so that no two places share their bytes.
    fn bytes(self, place: Place<'_>) -> Vec<u8> {
        let mut out = b"killick-point/1\n".to_vec();
        let mut frame = |bytes: &[u8]| {
            out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            out.extend_from_slice(bytes);
        };
        frame(self.upstream.as_str().as_bytes());
        frame(self.id.as_str().as_bytes());
        match place {
            Place::Key => frame(b"key"),
            Place::Info => frame(b"info"),
            Place::Chunk { part, name, number, last } => {
                frame(b"chunk");
                frame(&(part as u64).to_be_bytes());
                frame(name.as_bytes());
                frame(&number.to_be_bytes());
                frame(&[u8::from(last)]);
            }
        }
        out
    }
}

/// The key of one point; wiped on drop.
pub(super) struct PointKey(Zeroizing<[u8; KEY_BYTES]>);

impl PointKey {
    pub(super) fn fresh() -> Result<Self, SealError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        ids::fill(key.as_mut_slice()).map_err(|_| SealError::NoRandomness)?;
        Ok(Self(key))
    }

    /// Seals this key under the recovery key.
    pub(super) fn wrapped(
        &self,
        under: &RecoveryKey,
        of: OfPoint<'_>,
    ) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::with_capacity(WRAPPED_BYTES);
        seal(&under.0, &of.bytes(Place::Key), self.0.as_slice(), &mut out)?;
        Ok(out)
    }

    /// Opens a wrapped key.
    pub(super) fn unwrap(
        wrapped: &[u8],
        under: &RecoveryKey,
        of: OfPoint<'_>,
    ) -> Result<Self, SealError> {
        let clear = Zeroizing::new(open(&under.0, &of.bytes(Place::Key), wrapped)?);
        let key: [u8; KEY_BYTES] = clear.as_slice().try_into().map_err(|_| SealError::Shut)?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// Appends the sealed form of `clear` to `out`.
    pub(super) fn seal(
        &self,
        of: OfPoint<'_>,
        place: Place<'_>,
        clear: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        seal(&self.0, &of.bytes(place), clear, out)
    }

    pub(super) fn open(
        &self,
        of: OfPoint<'_>,
        place: Place<'_>,
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        open(&self.0, &of.bytes(place), sealed)
    }
}

fn seal(
    key: &[u8; KEY_BYTES],
    aad: &[u8],
    clear: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let mut nonce = [0_u8; NONCE_BYTES];
    ids::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: clear, aad })
        .map_err(|_| SealError::Shut)?;
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    Ok(())
}

fn open(key: &[u8; KEY_BYTES], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (nonce, body) = sealed.split_at_checked(NONCE_BYTES).ok_or(SealError::Shut)?;
    XChaCha20Poly1305::new(key.into())
        .decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad })
        .map_err(|_| SealError::Shut)
}
