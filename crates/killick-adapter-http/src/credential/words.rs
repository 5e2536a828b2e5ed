//! Words that are compared with known credentials.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use zeroize::Zeroizing;

use super::shape;
use super::sighting::{Place, Sighting};

/// The most words of one request that are compared with known credentials. Words beyond it are not:
/// comparing is best effort, and an agent that wants to hide a word encodes it.
pub const WORDS_MAX: usize = 4096;

/// The most bytes of a text that is compared as a whole, blanks included.
const WHOLE_BYTES_MAX: usize = 512;

/// The most bytes of one word; a longer run is data.
const WORD_BYTES_MAX: usize = 4096;

/// Collects each telling word once, with the first place where it was seen.
#[derive(Default)]
pub(super) struct Words {
    // Hashes, so that no second copy of a secret has to be wiped.
    seen: HashSet<u64>,
    hasher: RandomState,
    found: Vec<Sighting>,
}

impl Words {
    /// Takes the words of a text.
    pub(super) fn take(&mut self, text: &str, place: &dyn Fn() -> String) {
        let whole = text.trim();
        if whole.len() <= WHOLE_BYTES_MAX {
            self.word(whole, place);
        }
        for chunk in text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '\\'))
        {
            self.trimmed(chunk, place);
            if chunk.contains(is_joint) {
                for piece in chunk.split(is_joint) {
                    self.trimmed(piece, place);
                }
            }
        }
    }

    fn trimmed(&mut self, piece: &str, place: &dyn Fn() -> String) {
        let piece =
            piece.trim_matches([',', '.', ';', ':', '(', ')', '[', ']', '{', '}', '<', '>']);
        self.word(piece, place);
    }

    fn word(&mut self, word: &str, place: &dyn Fn() -> String) {
        let fits = word.len() <= WORD_BYTES_MAX && self.found.len() < WORDS_MAX;
        if !fits || !shape::is_telling(word.as_bytes()) {
            return;
        }
        if self.seen.insert(self.hasher.hash_one(word)) {
            let bytes = Zeroizing::new(word.as_bytes().to_vec());
            self.found.push(Sighting { place: Place::BodyWord(place()), bytes });
        }
    }

    /// Returns what was collected.
    pub(super) fn into_sightings(self) -> Vec<Sighting> {
        self.found
    }
}

// What joins a credential to what stands beside it: `token=...`, `https://user:...@host/`.
const fn is_joint(c: char) -> bool {
    matches!(
        c,
        '=' | ':'
            | '@'
            | '/'
            | '&'
            | '?'
            | ';'
            | '#'
            | '|'
            | '$'
            | ','
            | '<'
            | '>'
            | '('
            | ')'
            | '{'
            | '}'
            | '['
            | ']'
            | '!'
            | '*'
            | '^'
    )
}
