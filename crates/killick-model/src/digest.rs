//! The digest of a call's meaning: what an approval is bound to.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// SHA-256 over the canonical form of a semantic call: upstream, operations with their arguments,
/// canonical body. Advisory fields (user agent, comments, operation names, descriptions) are not in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallDigest([u8; 32]);

impl CallDigest {
    /// Returns the digest of length-framed parts, so that no two lists of parts share a preimage.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"killick-call/1\n");
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Returns the 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses 64 hex digits.
    #[must_use]
    pub fn parse(hex: &str) -> Option<Self> {
        if hex.len() != 64 {
            return None;
        }
        let mut out = [0_u8; 32];
        for (slot, pair) in out.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *slot = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(out))
    }
}

impl fmt::Display for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = [0_u8; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + (nibble - 10) };
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        f.write_str(std::str::from_utf8(&hex).unwrap_or_default())
    }
}

impl fmt::Debug for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallDigest({self})")
    }
}

impl TryFrom<String> for CallDigest {
    type Error = &'static str;

    fn try_from(hex: String) -> Result<Self, Self::Error> {
        Self::parse(&hex).ok_or("a digest is 64 hex digits")
    }
}

impl From<CallDigest> for String {
    fn from(digest: CallDigest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_parts_changes_the_digest() {
        assert_ne!(CallDigest::of(&[b"ab", b"c"]), CallDigest::of(&[b"a", b"bc"]));
        assert_ne!(CallDigest::of(&[b"ab"]), CallDigest::of(&[b"ab", b""]));
    }

    #[test]
    fn a_digest_reads_back() {
        let digest = CallDigest::of(&[b"x"]);
        for (at, byte) in digest.as_bytes().iter().enumerate() {
            assert_eq!(digest.to_string().get(2 * at..2 * at + 2), Some(&*format!("{byte:02x}")));
        }
        assert_eq!(CallDigest::parse(&digest.to_string()), Some(digest));
        assert_eq!(CallDigest::parse("zz"), None);
    }
}
