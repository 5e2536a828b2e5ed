//! Pairs in the manner of a URL's query.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The most pairs that are read.
pub const PAIRS_MAX: usize = 2000;

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Reads `a=1&b=2`. `None` when there are too many pairs, an escape is broken, or it is not UTF-8.
#[must_use]
pub fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if found.len() >= PAIRS_MAX {
            return None;
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        found.push((unescape(key)?, unescape(value)?));
    }
    Some(found)
}

/// Writes pairs in the one form that [`pairs`] reads back.
#[must_use]
pub fn encode_pairs(pairs: &[(String, String)]) -> String {
    let mut out = String::new();
    for (key, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        out.extend(utf8_percent_encode(key, KEPT));
        out.push('=');
        out.extend(utf8_percent_encode(value, KEPT));
    }
    out
}

fn unescape(raw: &str) -> Option<String> {
    let bytes = raw.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'%'
            && !(1..=2)
                .all(|step| bytes.get(at.saturating_add(step)).is_some_and(u8::is_ascii_hexdigit))
    });
    if broken {
        return None;
    }
    let spaced = raw.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_escapes_are_refused() {
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "%=1"] {
            assert_eq!(pairs(bad), None, "{bad}");
        }
    }

    #[test]
    fn pairs_read_back() {
        let read = pairs("query=mutation%7Bx%7D&a+b=c%2Bd&&e").unwrap();
        assert_eq!(read[0].1, "mutation{x}");
        assert_eq!(read[1], ("a b".into(), "c+d".into()));
        assert_eq!(pairs(&encode_pairs(&read)), Some(read));
    }
}
