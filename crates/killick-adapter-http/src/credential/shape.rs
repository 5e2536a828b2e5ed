//! What credentials look like, for places where position says too little.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The fewest characters of a value that is taken for random by itself.
const RANDOM_CHARS_MIN: usize = 20;
/// The fewest characters of a random value under a key that often names a credential.
const NAMED_CHARS_MIN: usize = 16;
/// The fewest bits of Shannon entropy for each character of a random value.
const ENTROPY_BITS_MIN: f64 = 3.0;
/// The most characters of a word or number that a person would write in one piece.
const WORDLIKE_CHARS_MAX: usize = 24;
/// The fewest characters of what is compared with known credentials.
const COMPARED_CHARS_MIN: usize = 8;

/// Returns whether a value looks as if a random generator made it: long, without blanks, of mixed
/// classes, and varied.
pub(crate) fn looks_random(value: &str) -> bool {
    is_random(value, RANDOM_CHARS_MIN)
}

/// Returns whether a value is random enough to be a credential under a key like `token`.
pub(super) fn is_random_for_its_name(value: &str) -> bool {
    is_random(value, NAMED_CHARS_MIN)
}

/// Returns whether a value is one piece: no path, no list, no address.
pub(super) fn is_one_piece(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_+=~".contains(&b))
}

fn is_random(value: &str, chars_min: usize) -> bool {
    if value.len() < chars_min || !value.bytes().all(|b| b.is_ascii_graphic()) {
        return false;
    }
    is_uuid(value)
        || value
            .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '-' | '=')))
            .any(|run| run.len() >= chars_min && is_varied(run))
}

/// Returns whether the value is written as a UUID.
pub(super) fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

// Words have few digits between letters, and repeat letters; random text mixes classes.
fn is_varied(run: &str) -> bool {
    let count = |is: fn(&u8) -> bool| run.as_bytes().iter().filter(|byte| is(byte)).count();
    let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
    let (upper, lower) = (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let mixed = (digits >= 2 && letters >= 4)
        || (upper >= 3 && lower >= 3 && digits >= 1)
        || (digits >= NAMED_CHARS_MIN && letters == 0);
    mixed && !is_wordlike(run) && entropy_bits(run) >= ENTROPY_BITS_MIN
}

fn entropy_bits(run: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::<u8, u32>::new();
    for byte in run.bytes() {
        let count = counts.entry(byte).or_default();
        *count = count.saturating_add(1);
    }
    let total = f64::from(u32::try_from(run.len()).unwrap_or(u32::MAX));
    counts
        .values()
        .map(|count| {
            let share = f64::from(*count) / total;
            -share * share.log2()
        })
        .sum()
}

/// Returns whether every piece of a text is a word, a number, or a word with a number behind it
/// (`staging-eu-west1`, `v2`, `2026-11-22`).
pub(super) fn is_wordlike(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).all(|piece| {
        let digits = piece.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        piece.len() <= WORDLIKE_CHARS_MAX
            && digits.len() <= 8
            && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Returns whether a value can be told from an ordinary word, so that finding it again means something.
/// Only such values are fingerprinted and compared: a gateway that once saw the password `staging` would
/// otherwise refuse every call with that word.
pub(super) fn is_telling(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return value.len() >= COMPARED_CHARS_MIN };
    text.len() >= COMPARED_CHARS_MIN && (is_uuid(text) || !is_wordlike(text))
}

/// Beginnings of known tokens, with the fewest characters that follow.
const PREFIXES: [(&str, usize); 51] = [
    ("ghp_", 16),
    ("gho_", 16),
    ("ghu_", 16),
    ("ghs_", 16),
    ("ghr_", 16),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("gldt-", 16),
    ("glrt-", 16),
    ("glptt-", 16),
    ("sk_live_", 12),
    ("sk_test_", 12),
    ("rk_live_", 12),
    ("rk_test_", 12),
    ("whsec_", 16),
    ("sk-ant-", 16),
    ("sk-proj-", 16),
    ("sk-or-v1-", 16),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxa-", 10),
    ("xoxr-", 10),
    ("xoxe-", 10),
    ("xapp-", 10),
    ("npm_", 20),
    ("pypi-", 20),
    ("dop_v1_", 20),
    ("doo_v1_", 20),
    ("shpat_", 16),
    ("shpss_", 16),
    ("shpca_", 16),
    ("shppa_", 16),
    ("SG.", 20),
    ("hvs.", 16),
    ("hvb.", 16),
    ("lin_api_", 16),
    ("sbp_", 16),
    ("rnd_", 16),
    ("AIza", 30),
    ("ya29.", 20),
    ("GOCSPX-", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("hf_", 20),
    ("fo1_", 20),
    ("ntn_", 20),
    ("figd_", 20),
    ("PMAK-", 20),
    ("dckr_pat_", 16),
    ("ksess_", 16),
    ("ksur_", 16),
];

/// The longest run of characters in which a credential may begin in the middle; a longer one is data.
const JOINED_CHARS_MAX: usize = 300;

/// Returns everything in a text that has the shape of a known kind of credential.
pub(super) fn known_shapes(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_data_char(c)).flat_map(|run| {
        let joined = run.len() <= JOINED_CHARS_MAX;
        let pieces = run.split(['/', '+']).take(if joined { usize::MAX } else { 1 });
        pieces.filter_map(move |piece| shape_in(piece, joined))
    })
}

/// Finds a credential at the start of a piece, or behind one of its joints.
fn shape_in(piece: &str, joined: bool) -> Option<&str> {
    // Too short for any of them, and most pieces are.
    let last = piece.len().checked_sub(SHAPE_CHARS_MIN)?;
    let joints = piece.match_indices(['-', '_', '.']).map(|(at, _)| at.saturating_add(1));
    std::iter::once(0)
        .chain(joints.take_while(|at| joined && *at <= last))
        .filter_map(|at| piece.get(at..))
        .find_map(shape_at_start)
}

/// Returns the first thing in a text that has the shape of a known kind of credential.
pub(super) fn known_shape(text: &str) -> Option<&str> {
    known_shapes(text).next()
}

/// The fewest characters of a known kind of credential.
const SHAPE_CHARS_MIN: usize = 14;

const fn is_data_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+')
}

fn shape_at_start(piece: &str) -> Option<&str> {
    let piece = piece.trim_end_matches(['.', '-']);
    let prefixed = PREFIXES.iter().any(|(prefix, least)| {
        piece
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.len() >= *least && is_like_a_token_behind(prefix, rest))
    });
    (prefixed || (piece.starts_with("ey") && is_jwt(piece))).then_some(piece)
}

// `npm_config_user_agent_2` begins like a token and is words.
fn is_like_a_token_behind(prefix: &str, run: &str) -> bool {
    if matches!(prefix, "AKIA" | "ASIA") {
        run.len() == 16 && run.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    } else {
        !is_wordlike(run)
    }
}

/// The fewest characters of `{"alg":""}` in base64.
const JWT_HEAD_CHARS_MIN: usize = 14;

/// Returns whether a word is a JSON Web Token: pieces of base64, the first of which is a header that
/// names an algorithm.
fn is_jwt(word: &str) -> bool {
    // The signature may be missing: some servers believe `alg: none`.
    let mut pieces = word.split('.');
    let (Some(head), Some(claims)) = (pieces.next(), pieces.next()) else { return false };
    if claims.is_empty() || head.len() < JWT_HEAD_CHARS_MIN {
        return false;
    }
    let Ok(head) = URL_SAFE_NO_PAD.decode(head) else { return false };
    serde_json::from_slice::<serde_json::Value>(&head)
        .is_ok_and(|head| head.get("alg").is_some() || head.get("typ").is_some())
}

/// Returns whether a text holds a private key.
pub(super) fn holds_private_key(text: &str) -> bool {
    text.split("-----BEGIN ").skip(1).any(|rest| {
        rest.split("-----").next().is_some_and(|label| label.trim_end().ends_with("PRIVATE KEY"))
    })
}

/// Returns whether a value under a credential's name is certainly none: empty, a placeholder, a reference
/// to something that is put in elsewhere, or a bare word that switches something.
pub(super) fn is_no_credential(value: &str) -> bool {
    let value = value.trim();
    let between = |open: &str, close: &str| {
        value
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
            .is_some_and(|inner| !inner.contains(['{', '}', '<', '>']))
    };
    value.is_empty()
        || value.chars().all(|c| matches!(c, '*' | '.' | '\u{2022}'))
        || (value.len() >= 3 && value.bytes().all(|b| matches!(b, b'x' | b'X')))
        || ["true", "false", "null", "none", "undefined", "redacted", "[redacted]", "on", "off"]
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word))
        || between("${{", "}}")
        || between("{{", "}}")
        || between("${", "}")
        || between("<", ">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_values_are_told_from_words() {
        for random in [
            "3d2c42fb-0000-4000-8000-000000000001",
            "4f9d8a7b6c5e4d3c2b1a0f9e8d7c6b5a",
            "dGhpcyBpcyBhIHNlY3JldCB0b2tlbg1x",
            "Zx81hGk29sLqPw0TnvB4",
            "a1b2c3d4:Zx81hGk29sLqPw0TnvB4",
        ] {
            assert!(looks_random(random), "{random}");
        }
        for word in [
            "application/json",
            "keep-alive, upgrade-insecure",
            "a-very-long-name-with-many-words-in-it",
            "no-cache",
            "gzip, deflate, br",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "2026-11-22T10:00:00Z",
            "XMLHttpRequest",
            "production-eu-west1-cluster-02",
            "Mozilla/5.0",
        ] {
            assert!(!looks_random(word), "{word}");
        }
    }

    #[test]
    fn known_shapes_are_known_and_their_prefixes_alone_are_not() {
        for shape in [
            "ghp_0123456789abcdefghij",
            "github_pat_11ABCDEFG0123456789_abc",
            "sk_live_0123456789abcd",
            "xoxb-1234567890-abc",
            "AKIAIOSFODNN7EXAMPLE",
            "AIzaSyA0123456789abcdefghijklmnopqrstu",
            "glpat-0123456789abcdefgh",
            "npm_0123456789abcdefghijKLMN",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
            "a/eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
            "data:text/plain;base64,x/ghp_0123456789abcdefghij",
            "https://x-access-token:ghp_0123456789abcdefghij@github.com/a.git",
            "export TOKEN=sk-ant-0123456789abcdefghij;",
            "prefix_ghp_0123456789abcdefghij",
            "\"xapp-1-A012345678-0123\"",
        ] {
            assert!(known_shape(shape).is_some(), "{shape}");
        }
        for word in [
            "ghp_",
            "ghp_token",
            "AKIA",
            "eyJ",
            "eyJ.eyJ.eyJ",
            "npm_config_cache",
            "npm_config_user_agent_string_of_mine",
            "a sentence. with dots. and words",
            "eyJvZmZzZXQiOjEwMH0",
            "sk_live_",
            "AKIAnotakeyatallreally",
            "pypi-publish-action-v1-release-2024",
        ] {
            assert_eq!(known_shape(word), None, "{word}");
        }
    }

    #[test]
    fn only_private_keys_are_private_keys() {
        assert!(holds_private_key("a\n-----BEGIN OPENSSH PRIVATE KEY-----\nb"));
        assert!(holds_private_key("-----BEGIN PRIVATE KEY-----"));
        assert!(!holds_private_key("-----BEGIN PUBLIC KEY-----"));
        assert!(!holds_private_key("-----BEGIN CERTIFICATE----- no PRIVATE KEY"));
    }

    #[test]
    fn words_tell_nothing_and_tokens_do() {
        for word in
            ["staging", "password", "staging-eu-1", "hunter2", "2026-11-22", "a", "node12345"]
        {
            assert!(!is_telling(word.as_bytes()), "{word}");
        }
        for token in
            ["3d2c42fb-0000-4000-8000-000000000001", "Tr0ub4dor&3", "\u{ff}\u{fe}12345678x9"]
        {
            assert!(is_telling(token.as_bytes()), "{token}");
        }
    }

    #[test]
    fn placeholders_are_no_credentials() {
        for nothing in
            ["", " ", "***", "true", "NULL", "${{shared.API_KEY}}", "{{token}}", "<token>"]
        {
            assert!(is_no_credential(nothing), "{nothing}");
        }
        for something in ["hunter2", "${a}real${b}", "<a>real<b>", "truely"] {
            assert!(!is_no_credential(something), "{something}");
        }
    }
}
