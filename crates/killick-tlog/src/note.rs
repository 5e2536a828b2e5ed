//! Signed notes: a text and who stands by it (C2SP signed-note, Ed25519).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::hash::hex;

/// Bytes a signed note may have.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Signatures a note may carry.
pub const NOTE_SIGNATURES_MAX: usize = 64;
/// Bytes the name of a key may have.
pub const KEY_NAME_BYTES_MAX: usize = 256;

const ED25519: u8 = 0x01;
const SIGNATURE_MARK: &str = "\u{2014} ";
const PRIVATE_MARK: &str = "PRIVATE+KEY+";
type KeyId = [u8; 4];

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is empty, too long, or holds a blank or a plus sign.
    #[error("a key's name must have 1 to {KEY_NAME_BYTES_MAX} bytes and no blank and no plus sign")]
    Name,
    /// The text is not of the form that keys have.
    #[error("the key is not of the form NAME+HASH+KEY with an Ed25519 key")]
    Form,
    /// The four bytes that name the key are not the key's.
    #[error("the key does not fit its own hash; a character was lost or changed")]
    Hash,
}

/// Why a note is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The bytes are not a signed note.
    #[error("the note is malformed: {why}")]
    Form {
        /// What is wrong.
        why: &'static str,
    },
    /// A key that is known signed other bytes than these.
    #[error("the signature of `{key}` does not fit the note")]
    Signature {
        /// Name of the key.
        key: String,
    },
    /// None of the known keys signed.
    #[error("no known key signed the note; it names {named}")]
    NoKnownKey {
        /// The keys that the note names.
        named: String,
    },
}

/// A public key that notes are checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: KeyId,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    /// Reads a key of the form `NAME+HASH+KEY`.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, bytes) = parts(text)?;
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| KeyError::Form)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Form)?;
        let parsed = Self { id: key_id(&name, &bytes), name, key };
        if parsed.id == id { Ok(parsed) } else { Err(KeyError::Hash) }
    }

    /// Returns the name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id_hex(&self) -> String {
        hex(&self.id)
    }
}

/// Writes the form that [`VerifyingKey::parse`] reads.
impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([[ED25519].as_slice(), self.key.as_bytes()].concat());
        write!(f, "{}+{}+{key}", self.name, self.id_hex())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

/// A key that signs notes. Wiped on drop, never shown.
pub struct SigningKey {
    public: VerifyingKey,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// Bytes of the secret that a key is made of.
    pub const SEED_BYTES: usize = 32;

    /// Makes a key out of 32 random bytes.
    ///
    /// # Errors
    /// The name is none that a key may have.
    pub fn from_seed(name: &str, seed: &[u8; Self::SEED_BYTES]) -> Result<Self, KeyError> {
        if !name_is_right(name) {
            return Err(KeyError::Name);
        }
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let verifying = key.verifying_key();
        let id = key_id(name, verifying.as_bytes());
        Ok(Self { public: VerifyingKey { name: name.to_owned(), id, key: verifying }, key })
    }

    /// Reads a key of the form `PRIVATE+KEY+NAME+HASH+SEED`.
    ///
    /// # Errors
    /// Says what is wrong with the text, without repeating it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, seed) = parts(text.strip_prefix(PRIVATE_MARK).ok_or(KeyError::Form)?)?;
        let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| KeyError::Form)?;
        let key = Self::from_seed(&name, seed)?;
        if key.public.id == id { Ok(key) } else { Err(KeyError::Hash) }
    }

    /// Writes the form that [`SigningKey::parse`] reads, for the key file alone.
    #[must_use]
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new([[ED25519].as_slice(), self.key.as_bytes()].concat());
        let seed = Zeroizing::new(STANDARD.encode(seed.as_slice()));
        let (name, id) = (&self.public.name, self.public.id_hex());
        Zeroizing::new(format!("{PRIVATE_MARK}{name}+{id}+{}", seed.as_str()))
    }

    /// Returns the key that checks what this one signs.
    #[must_use]
    pub const fn public(&self) -> &VerifyingKey {
        &self.public
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public)
    }
}

/// Signs a text, once with each key.
///
/// # Errors
/// The text is none that a note may have: it must end with a line break and hold no other control character.
pub fn sign(text: &str, keys: &[&SigningKey]) -> Result<String, NoteError> {
    check_text(text)?;
    let mut note = format!("{text}\n");
    for key in keys {
        let signature = key.key.sign(text.as_bytes()).to_bytes();
        let signed = STANDARD.encode([key.public.id.as_slice(), &signature].concat());
        let name = &key.public.name;
        note.extend([SIGNATURE_MARK, name, " ", &signed, "\n"]);
    }
    Ok(note)
}

/// Checks a note and returns its text with the key that signed it.
///
/// One good signature of a known key is enough, which lets keys be rotated and witnesses add theirs. A bad signature
/// of a known key spoils the note.
///
/// # Errors
/// Says why the note is not accepted.
pub fn open<'n, 'k>(
    note: &'n str,
    keys: &'k [VerifyingKey],
) -> Result<(&'n str, &'k VerifyingKey), NoteError> {
    let (text, lines) = split(note)?;
    let mut signer = None;
    let mut named = Vec::new();
    for line in lines.split_terminator('\n') {
        let malformed = NoteError::Form { why: "a signature line is not of its form" };
        let (name, encoded) = line
            .strip_prefix(SIGNATURE_MARK)
            .and_then(|rest| rest.split_once(' '))
            .filter(|(name, _)| name_is_right(name))
            .ok_or_else(|| malformed.clone())?;
        let decoded = STANDARD.decode(encoded).map_err(|_| malformed.clone())?;
        let (id, signature) = decoded.split_first_chunk::<4>().ok_or(malformed)?;
        named.push(format!("`{name}` ({})", hex(id)));
        if named.len() > NOTE_SIGNATURES_MAX {
            return Err(NoteError::Form { why: "it carries too many signatures" });
        }
        let Some(key) = keys.iter().find(|key| key.name == name && key.id == *id) else { continue };
        let fits = ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| key.key.verify_strict(text.as_bytes(), &signature).is_ok());
        if !fits {
            return Err(NoteError::Signature { key: key.name.clone() });
        }
        signer = signer.or(Some(key));
    }
    signer
        .map(|signer| (text, signer))
        .ok_or_else(|| NoteError::NoKnownKey { named: named.join(", ") })
}

/// Splits a note into its text and its signature lines, checking the form of both.
fn split(note: &str) -> Result<(&str, &str), NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::Form { why: "it is too long" });
    }
    let (text, lines) =
        note.rsplit_once("\n\n").ok_or(NoteError::Form { why: "it has no signatures" })?;
    if lines.is_empty() || !lines.ends_with('\n') {
        return Err(NoteError::Form { why: "its last line is not whole" });
    }
    // The text keeps the line break of its last line: that is what was signed.
    let end = text.len().saturating_add(1);
    let text = note.get(..end).ok_or(NoteError::Form { why: "it has no text" })?;
    check_text(text)?;
    Ok((text, lines))
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Form { why: "its text does not end with a line break" });
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Form { why: "its text holds a control character" });
    }
    Ok(())
}

fn name_is_right(name: &str) -> bool {
    let refused = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    (1..=KEY_NAME_BYTES_MAX).contains(&name.len()) && !name.contains(refused)
}

fn key_id(name: &str, public: &[u8; 32]) -> KeyId {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', ED25519]);
    hasher.update(public);
    let digest: [u8; 32] = hasher.finalize().into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

/// Splits `NAME+HASH+KEY`; the key's base64 may hold plus signs itself.
fn parts(text: &str) -> Result<(String, KeyId, Zeroizing<Vec<u8>>), KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Form);
    };
    if !name_is_right(name) {
        return Err(KeyError::Name);
    }
    let is_hex = id.len() == 8 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let id = if is_hex { u32::from_str_radix(id, 16).ok() } else { None };
    let id = id.ok_or(KeyError::Form)?.to_be_bytes();
    let bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_| KeyError::Form)?);
    match bytes.split_first() {
        Some((&ED25519, key)) => Ok((name.to_owned(), id, Zeroizing::new(key.to_vec()))),
        Some(_) | None => Err(KeyError::Form),
    }
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "a test that overflows fails")]
mod tests;
