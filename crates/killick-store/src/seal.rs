//! Sealing: XChaCha20-Poly1305, bound to the place where the sealed bytes stand.

use chacha20poly1305::aead::{Aead as _, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::keys::{KEY_BYTES, MasterKey};

const NONCE_BYTES: usize = 24;
/// The first byte of sealed bytes: which way they were sealed.
const SEAL_VERSION: u8 = 1;

/// Sealed bytes do not open, or cannot be made. Says nothing of what is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error("sealed bytes do not open: another key, another place, or changed")]
    Shut,
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// Where sealed bytes stand. Bytes moved to another place do not open there.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'a str,
    pub(crate) id: &'a str,
}

impl Place<'_> {
    /// Length-framed, so that no two places share their bytes.
    fn bytes(self) -> Vec<u8> {
        let mut out = b"killick-store/1\n".to_vec();
        for part in [self.table, self.id] {
            out.extend_from_slice(&(part.len() as u64).to_be_bytes());
            out.extend_from_slice(part.as_bytes());
        }
        out
    }
}

/// A key that seals; wiped on drop.
pub(crate) struct SealKey(Zeroizing<[u8; KEY_BYTES]>);

impl SealKey {
    pub(crate) fn fresh() -> Result<Self, SealError> {
        let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
        getrandom::fill(key.as_mut_slice()).map_err(|_| SealError::NoRandomness)?;
        Ok(Self(key))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let key: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| SealError::Shut)?;
        Ok(Self(Zeroizing::new(key)))
    }

    pub(crate) fn of_master(master: &MasterKey) -> Self {
        Self(master.0.clone())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    pub(crate) fn seal(&self, place: Place<'_>, clear: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let payload = Payload { msg: clear, aad: &place.bytes() };
        let sealed = XChaCha20Poly1305::new(self.0.as_slice().into())
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| SealError::Shut)?;
        let mut out = vec![SEAL_VERSION];
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    pub(crate) fn open(
        &self,
        place: Place<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (&version, rest) = sealed.split_first().ok_or(SealError::Shut)?;
        let (nonce, body) = rest.split_at_checked(NONCE_BYTES).ok_or(SealError::Shut)?;
        if version != SEAL_VERSION {
            return Err(SealError::Shut);
        }
        let payload = Payload { msg: body, aad: &place.bytes() };
        XChaCha20Poly1305::new(self.0.as_slice().into())
            .decrypt(XNonce::from_slice(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| SealError::Shut)
    }
}

/// A keyed hash of a value, or the plain hash of a token. Compared in constant time.
#[derive(Clone, Copy, Debug, Eq)]
pub(crate) struct Mark(pub(crate) [u8; 32]);

impl PartialEq for Mark {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for Mark {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// The key under which values are remembered without being kept; wiped on drop.
pub(crate) struct MarkKey(Zeroizing<[u8; KEY_BYTES]>);

impl MarkKey {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let key: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| SealError::Shut)?;
        Ok(Self(Zeroizing::new(key)))
    }

    pub(crate) fn mark(&self, value: &[u8]) -> Mark {
        // HMAC pads a short key with zeros to its block; doing so here cannot fail.
        let mut block = Zeroizing::new([0_u8; 64]);
        block.iter_mut().zip(self.0.iter()).for_each(|(slot, byte)| *slot = *byte);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(block.as_slice().into());
        mac.update(value);
        Mark(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> = Place { table: "credentials", id: "harbour" };

    #[test]
    fn sealed_bytes_open_in_their_own_place_alone() {
        let key = SealKey::fresh().unwrap();
        let sealed = key.seal(HERE, b"value").unwrap();
        assert_eq!(key.open(HERE, &sealed).unwrap().as_slice(), b"value");
        for elsewhere in [
            Place { table: "credentials", id: "github" },
            Place { table: "requests", id: "harbour" },
            Place { table: "credential", id: "sharbour" },
        ] {
            assert_eq!(key.open(elsewhere, &sealed), Err(SealError::Shut));
        }
        assert_eq!(SealKey::fresh().unwrap().open(HERE, &sealed), Err(SealError::Shut));
    }

    #[test]
    fn one_changed_or_missing_byte_keeps_them_shut() {
        let key = SealKey::fresh().unwrap();
        let sealed = key.seal(HERE, b"value").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(HERE, &changed), Err(SealError::Shut), "byte {at}");
            assert_eq!(key.open(HERE, &sealed[..at]), Err(SealError::Shut), "cut at {at}");
        }
    }

    #[test]
    fn sealing_twice_never_gives_the_same_bytes() {
        let key = SealKey::fresh().unwrap();
        assert_ne!(key.seal(HERE, b"value").unwrap(), key.seal(HERE, b"value").unwrap());
    }
}
