//! Checkpoints: what the log commits to, in three lines (C2SP tlog-checkpoint).

use crate::hash::Hash;
use crate::note::{self, NoteError, SigningKey, VerifyingKey};

/// The file that holds the latest checkpoint.
pub const CHECKPOINT_FILE: &str = "checkpoint";
/// Bytes the origin of a log may have.
pub const ORIGIN_BYTES_MAX: usize = 256;

/// A log's name, its size and the root of its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
}

/// Why a note is no checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it is not accepted.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not of a checkpoint's form.
    #[error("the text is not a checkpoint: {why}")]
    Form {
        /// What is wrong.
        why: &'static str,
    },
}

impl Checkpoint {
    /// States the root of a log of `size` entries.
    ///
    /// # Errors
    /// The origin is empty, too long, or holds a control character.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        let length_is_right = (1..=ORIGIN_BYTES_MAX).contains(&origin.len());
        if !length_is_right || origin.contains(char::is_control) {
            return Err(CheckpointError::Form { why: "its origin is not a line of text" });
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// Returns the name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns how many entries the log has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root of the tree.
    #[must_use]
    pub const fn root(&self) -> Hash {
        self.root
    }

    /// Writes the three lines.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Signs the checkpoint, once with each key.
    ///
    /// # Errors
    /// The text is none that a note may have.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<String, CheckpointError> {
        Ok(note::sign(&self.text(), keys)?)
    }

    /// Reads a signed checkpoint and returns it with the key that signed it.
    ///
    /// # Errors
    /// The note is not accepted, or its text is no checkpoint of this version: lines behind the third would be
    /// words that this reader does not know, and are refused.
    pub fn open<'k>(
        note: &[u8],
        keys: &'k [VerifyingKey],
    ) -> Result<(Self, &'k VerifyingKey), CheckpointError> {
        let note = std::str::from_utf8(note)
            .map_err(|_| CheckpointError::Form { why: "it is not UTF-8" })?;
        let (text, signer) = note::open(note, keys)?;
        Ok((Self::parse(text)?, signer))
    }

    fn parse(text: &str) -> Result<Self, CheckpointError> {
        let form = |why| CheckpointError::Form { why };
        let mut lines = text.split_terminator('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(form("it does not have three lines"));
        };
        let size = size.parse().map_err(|_| form("its size is not a number"))?;
        let root = Hash::from_base64(root).ok_or(form("its root is not a hash"))?;
        let checkpoint = Self::new(origin, size, root)?;
        // `+7` and `007` are numbers too, and not what was signed as a size.
        if checkpoint.text() == text {
            Ok(checkpoint)
        } else {
            Err(form("its size is not in its canonical form"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed("log.example/a", &[3; 32]).unwrap()
    }

    #[test]
    fn a_checkpoint_reads_back_and_has_three_lines() {
        let checkpoint = Checkpoint::new("log.example/a", 12, Hash::of_leaf(b"x")).unwrap();
        let note = checkpoint.sign(&[&key()]).unwrap();
        let keys = [key().public().clone()];
        let (opened, signer) = Checkpoint::open(note.as_bytes(), &keys).unwrap();
        assert_eq!(opened, checkpoint);
        assert_eq!(signer.name(), "log.example/a");
        assert!(note.starts_with("log.example/a\n12\n"));
        assert_eq!(note.lines().count(), 5);
    }

    #[test]
    fn a_signed_text_that_is_no_checkpoint_is_refused() {
        let root = Hash::of_leaf(b"x");
        for text in [
            format!("log.example/a\n007\n{root}\n"),
            format!("log.example/a\n+7\n{root}\n"),
            format!("log.example/a\n-7\n{root}\n"),
            format!("log.example/a\n7\n{root}\nextension\n"),
            format!("\n7\n{root}\n"),
            "log.example/a\n7\nAAAA\n".to_owned(),
            "log.example/a\n7\n".to_owned(),
            format!("log.example/a\n18446744073709551616\n{root}\n"),
        ] {
            let note = note::sign(&text, &[&key()]).unwrap();
            let keys = [key().public().clone()];
            assert!(
                matches!(
                    Checkpoint::open(note.as_bytes(), &keys),
                    Err(CheckpointError::Form { .. })
                ),
                "{text}"
            );
        }
        assert!(Checkpoint::new("two\nlines", 1, root).is_err());
    }
}
