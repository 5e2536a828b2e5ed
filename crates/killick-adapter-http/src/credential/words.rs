//! Words that are compared with known credentials.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use zeroize::Zeroizing;

use super::shape;
use super::sighting::{Place, Sighting};

/// The most words of one request that are compared with known credentials. Words beyond it are not:
/// comparing is best effort, and an agent that wants to hide a word encodes it.
pub const WORDS_MAX: usize = 8192;

/// The most bytes of a text that is compared as a whole, blanks included.
const WHOLE_BYTES_MAX: usize = 512;

/// The most bytes of one word; a longer run is data.
const WORD_BYTES_MAX: usize = 4096;

/// Collects each telling word once, with the first place where it was seen. Words that look like a
/// credential come first, so that a long text does not push them out.
#[derive(Default)]
pub(super) struct Words {
    // Hashes, so that no second copy of a secret has to be wiped.
    seen: HashSet<u64>,
    hasher: RandomState,
    likely: Vec<Sighting>,
    others: Vec<Sighting>,
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
        if word.len() > WORD_BYTES_MAX || !shape::is_telling(word.as_bytes()) {
            return;
        }
        let likely = shape::is_random_for_its_name(word);
        let found = if likely { &mut self.likely } else { &mut self.others };
        if found.len() < WORDS_MAX && self.seen.insert(self.hasher.hash_one(word)) {
            let bytes = Zeroizing::new(word.as_bytes().to_vec());
            found.push(Sighting { place: Place::BodyWord(place()), bytes });
        }
    }

    /// Returns what was collected.
    pub(super) fn into_sightings(self) -> Vec<Sighting> {
        let mut found = self.likely;
        found.extend(self.others);
        found.truncate(WORDS_MAX);
        found
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
