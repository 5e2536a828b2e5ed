//! Whether a stored credential's value stands in bytes that are about to leave.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use killick_gate::ports::StoreError;
use zeroize::Zeroizing;

use crate::vault::memory::Held;

/// Bytes of a pattern that the automaton holds; its memory is not wiped, so it never gets a whole value.
const ANCHOR_BYTES: usize = 4;

/// One spelling of one value, wiped on drop.
struct Spelling {
    text: Zeroizing<Vec<u8>>,
    any_case: bool,
}

/// Finds values in bytes: as they are, in base64 at any alignment, in hex, percent-encoded, and with
/// JSON escapes. Encodings of encodings and compressed bytes are not looked into.
pub(crate) struct LeakScan {
    spellings: Vec<Spelling>,
    anchors: AhoCorasick,
}

impl LeakScan {
    pub(crate) fn new(held: &[Held]) -> Result<Self, StoreError> {
        let mut spellings = Vec::new();
        // The agent holds its own login anyway.
        for one in held.iter().filter(|one| !one.info.own) {
            spell(one.secret(), &mut spellings);
        }
        let anchors = AhoCorasickBuilder::new()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .build(spellings.iter().map(|one| anchor(&one.text)))
            .map_err(|_| StoreError::Failed("the scan for leaks cannot be built".into()))?;
        Ok(Self { spellings, anchors })
    }

    pub(crate) fn finds(&self, bytes: &[u8]) -> bool {
        if self.spellings.is_empty() {
            return false;
        }
        self.stands_in(bytes)
            || undo_percent(bytes).is_some_and(|clear| self.stands_in(&clear))
            || undo_json(bytes).is_some_and(|clear| self.stands_in(&clear))
    }

    fn stands_in(&self, bytes: &[u8]) -> bool {
        self.anchors.find_overlapping_iter(bytes).any(|found| {
            let spelling = self.spellings.get(found.pattern().as_usize());
            spelling.is_some_and(|one| {
                let end = found.start().saturating_add(one.text.len());
                bytes.get(found.start()..end).is_some_and(|there| {
                    if one.any_case {
                        there.eq_ignore_ascii_case(&one.text)
                    } else {
                        there == one.text.as_slice()
                    }
                })
            })
        })
    }
}

fn anchor(text: &[u8]) -> &[u8] {
    text.get(..ANCHOR_BYTES).unwrap_or(text)
}

fn spell(value: &[u8], out: &mut Vec<Spelling>) {
    out.push(Spelling { text: Zeroizing::new(value.to_vec()), any_case: false });
    let mut hex = Zeroizing::new(Vec::with_capacity(value.len().saturating_mul(2)));
    for nibble in value.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        hex.push(char::from_digit(u32::from(nibble), 16).map_or(b'0', |digit| digit as u8));
    }
    out.push(Spelling { text: hex, any_case: true });
    for before in 0..3_usize {
        for url_safe in [false, true] {
            let text = base64_inside(value, before, url_safe);
            if text.len() >= ANCHOR_BYTES {
                out.push(Spelling { text, any_case: false });
            }
        }
    }
}

/// Returns what base64 shows of a value wherever `before` bytes stand ahead of it in its group of
/// three: the letters that hold none of its neighbours' bits.
fn base64_inside(value: &[u8], before: usize, url_safe: bool) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new(vec![0_u8; before]);
    padded.extend_from_slice(value);
    let text = if url_safe {
        URL_SAFE_NO_PAD.encode(padded.as_slice())
    } else {
        STANDARD_NO_PAD.encode(padded.as_slice())
    };
    let text = Zeroizing::new(text);
    // Six bits a letter: the first letter that starts after the neighbour's bits, and the last that
    // ends within the value's.
    let first = before.saturating_mul(8).div_ceil(6);
    let last = padded.len().saturating_mul(8) / 6;
    Zeroizing::new(text.as_bytes().get(first..last).unwrap_or_default().to_vec())
}

/// Returns the bytes with percent escapes undone, or nothing when there are none.
fn undo_percent(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    undo(bytes, b'%', |rest| {
        let [high, low] = rest.get(..2)? else { return None };
        Some(((hex_digit(*high)? << 4) | hex_digit(*low)?, 2))
    })
}

/// Returns the bytes with JSON escapes of ASCII undone, or nothing when there are none.
fn undo_json(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    undo(bytes, b'\\', |rest| match rest {
        [b'u' | b'U', b'0', b'0', high, low, ..] => {
            Some(((hex_digit(*high)? << 4) | hex_digit(*low)?, 5))
        }
        [b'n', ..] => Some((b'\n', 1)),
        [b'r', ..] => Some((b'\r', 1)),
        [b't', ..] => Some((b'\t', 1)),
        [plain @ (b'"' | b'\\' | b'/'), ..] => Some((*plain, 1)),
        _ => None,
    })
}

fn undo(
    bytes: &[u8],
    sign: u8,
    read: impl Fn(&[u8]) -> Option<(u8, usize)>,
) -> Option<Zeroizing<Vec<u8>>> {
    if !bytes.contains(&sign) {
        return None;
    }
    // Never longer than what came, so that no clear byte is left behind by a move.
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (*first == sign).then(|| read(tail)).flatten() {
            Some((byte, used)) => {
                out.push(byte);
                rest = tail.get(used..).unwrap_or_default();
            }
            None => out.push(*first),
        }
    }
    Some(out)
}

fn hex_digit(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}
