//! Surrogates: random text in the shape of the credential that they stand for.

use zeroize::Zeroizing;

/// The fewest random hex digits of a surrogate (64 bits).
const HEX_LEN_MIN: usize = 16;
/// The fewest random letters and digits of a surrogate (over 71 bits).
const ALNUM_LEN_MIN: usize = 12;
/// The most random characters of a surrogate.
const RANDOM_LEN_MAX: usize = 256;
/// The longest fixed beginning of a surrogate.
const PREFIX_BYTES_MAX: usize = 40;
/// What an opaque surrogate begins with.
const OPAQUE_PREFIX: &str = "ksur_";
/// Random hex digits of an opaque surrogate.
const OPAQUE_HEX_LEN: usize = 40;

const HEX: &[u8] = b"0123456789abcdef";
const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The shape of a surrogate, as a pack writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A random UUID, lower case.
    Uuid,
    /// A number of hex digits.
    Hex(usize),
    /// A fixed beginning and a number of letters and digits.
    Alnum(String, usize),
    /// A shape of our own.
    Opaque,
}

/// The text names no shape that can be guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a surrogate is `uuid`, `hex:N` ({HEX_LEN_MIN} to {RANDOM_LEN_MAX}), `alnum:PREFIX:N` ({ALNUM_LEN_MIN} to {RANDOM_LEN_MAX}) or `opaque`"
)]
pub(crate) struct ShapeError;

/// The system gives no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no randomness")]
pub(crate) struct NoRandomness;

impl Shape {
    pub(crate) fn parse(raw: &str) -> Result<Self, ShapeError> {
        let length = |text: &str, min: usize| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let length: usize = text.parse().map_err(|_| ShapeError)?;
            let good = plain && (min..=RANDOM_LEN_MAX).contains(&length);
            good.then_some(length).ok_or(ShapeError)
        };
        match raw.split_once(':') {
            None if raw == "uuid" => Ok(Self::Uuid),
            None if raw == "opaque" => Ok(Self::Opaque),
            Some(("hex", digits)) => Ok(Self::Hex(length(digits, HEX_LEN_MIN)?)),
            Some(("alnum", rest)) => {
                let (prefix, letters) = rest.rsplit_once(':').ok_or(ShapeError)?;
                let good = prefix.len() <= PREFIX_BYTES_MAX
                    && prefix
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
                if !good {
                    return Err(ShapeError);
                }
                Ok(Self::Alnum(prefix.to_owned(), length(letters, ALNUM_LEN_MIN)?))
            }
            None | Some(_) => Err(ShapeError),
        }
    }

    pub(crate) fn mint(&self) -> Result<Zeroizing<String>, NoRandomness> {
        match self {
            Self::Uuid => uuid(),
            Self::Hex(length) => random("", HEX, *length),
            Self::Alnum(prefix, length) => random(prefix, ALNUM, *length),
            Self::Opaque => random(OPAQUE_PREFIX, HEX, OPAQUE_HEX_LEN),
        }
    }
}

/// A random UUID by RFC 9562: version 4, variant 10.
fn uuid() -> Result<Zeroizing<String>, NoRandomness> {
    let digits = random("", HEX, 32)?;
    let mut text = Zeroizing::new(String::with_capacity(36));
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(match (at, digit) {
            (12, _) => '4',
            (16, '0' | '4' | '8' | 'c') => '8',
            (16, '1' | '5' | '9' | 'd') => '9',
            (16, '2' | '6' | 'a' | 'e') => 'a',
            (16, _) => 'b',
            (_, digit) => digit,
        });
    }
    Ok(text)
}

fn random(prefix: &str, alphabet: &[u8], length: usize) -> Result<Zeroizing<String>, NoRandomness> {
    // A byte past the last whole multiple of the alphabet would make its first letters likelier.
    let over = 256_usize.checked_rem(alphabet.len()).ok_or(NoRandomness)?;
    let fair = 256_usize.saturating_sub(over);
    let mut text = Zeroizing::new(String::with_capacity(prefix.len().saturating_add(length)));
    text.push_str(prefix);
    let mut pool = Zeroizing::new([0_u8; 64]);
    let mut left = length;
    while left > 0 {
        getrandom::fill(pool.as_mut_slice()).map_err(|_| NoRandomness)?;
        for byte in pool.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair) {
            let Some(letter) = byte.checked_rem(alphabet.len()).and_then(|at| alphabet.get(at))
            else {
                continue;
            };
            if left == 0 {
                break;
            }
            text.push(char::from(*letter));
            left = left.saturating_sub(1);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_could_be_guessed_or_is_unknown_is_refused() {
        for raw in [
            "",
            "UUID",
            "uuid:4",
            "hex",
            "hex:",
            "hex:15",
            "hex:257",
            "hex:+32",
            "hex:-1",
            "hex:99999999999999999999",
            "alnum",
            "alnum:ghp_",
            "alnum:ghp_:11",
            "alnum:a b:36",
            "alnum:é:36",
            "alnum:\r\n:36",
            "opaque:1",
            "jwt",
        ] {
            assert_eq!(Shape::parse(raw), Err(ShapeError), "{raw}");
        }
        assert!(Shape::parse(&format!("alnum:{}:36", "a".repeat(41))).is_err());
    }

    #[test]
    fn surrogates_have_the_shape_of_the_original() {
        let mint = |raw: &str| Shape::parse(raw).unwrap().mint().unwrap().to_string();
        for _ in 0..200 {
            let uuid = mint("uuid");
            let groups: Vec<&str> = uuid.split('-').collect();
            assert_eq!(groups.iter().map(|g| g.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(groups[2].starts_with('4') && groups[3].starts_with(['8', '9', 'a', 'b']));
            assert!(uuid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-')));
        }
        assert_eq!(mint("hex:40").len(), 40);
        let token = mint("alnum:ghp_:36");
        assert!(token.starts_with("ghp_") && token.len() == 40);
        let opaque = mint("opaque");
        assert!(opaque.starts_with("ksur_") && opaque.len() == 45);
    }

    #[test]
    fn letters_are_drawn_evenly_and_never_twice_the_same_text() {
        let mut seen = [0_usize; 62];
        let mut texts = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let text = Shape::Alnum(String::new(), 62).mint().unwrap().to_string();
            for letter in text.bytes() {
                seen[ALNUM.iter().position(|b| *b == letter).unwrap()] += 1;
            }
            assert!(texts.insert(text));
        }
        // 1,000 expected for each; a modulo without rejection would give the first eight 1,216.
        assert!(seen.iter().all(|count| (820..1_180).contains(count)), "{seen:?}");
    }
}
