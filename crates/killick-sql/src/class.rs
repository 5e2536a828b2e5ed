//! The class of a text: the same statement with other integers in it. A judgement that looked at no integer holds for
//! every text of its class ([`crate::judged::Judged::literals_matter`]).
//!
//! A class is told by bytes alone, for texts so plain that nothing in them can be read in two ways: one SELECT, INSERT,
//! UPDATE or DELETE in ASCII, without comments, backslashes and dollar quotes. Integers are those that the grammar
//! reads as 32 bits wherever they stand, so that only the numbers in the tree differ.

/// The longest text that has a class.
pub const CLASS_TEXT_BYTES_MAX: usize = 4_096;
/// Digits of an integer that is one of 32 bits whatever they are.
const DIGITS_MAX: usize = 9;
/// What stands for an integer; no text that has a class holds it.
const INTEGER: char = '\u{1}';

/// A text that has a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class<'a> {
    /// The text with a mark in place of each integer.
    pub key: String,
    /// Its one statement, as the parser finds it.
    pub statement: &'a str,
}

impl Class<'_> {
    /// Returns whether an integer stands in the text.
    #[must_use]
    pub fn holds_integers(&self) -> bool {
        self.key.contains(INTEGER)
    }
}

/// Returns the class of a text; `None` when it has none.
#[must_use]
pub fn class_of(text: &str) -> Option<Class<'_>> {
    if text.len() > CLASS_TEXT_BYTES_MAX || !begins_plainly(text) {
        return None;
    }
    let bytes = text.as_bytes();
    let mut key = String::with_capacity(text.len());
    let (mut at, mut statement) = (0, text);
    while let Some(byte) = bytes.get(at).copied() {
        let next = bytes.get(at.saturating_add(1)).copied().unwrap_or(b' ');
        let end = match byte {
            b'0'..=b'9' => {
                let end = end_of(bytes, at, |byte| byte.is_ascii_digit());
                let behind = bytes.get(end).copied().unwrap_or(b' ');
                let digits = end.saturating_sub(at);
                let plain = !is_of_word(behind) && !matches!(behind, b'.' | b'"' | b'\'');
                if digits > DIGITS_MAX || !plain || key.ends_with('.') {
                    return None;
                }
                key.push(INTEGER);
                at = end;
                continue;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let end = end_of(bytes, at, is_of_word);
                // `float(24)` and `float(25)` are two types, by the number.
                if text.get(at..end)?.eq_ignore_ascii_case("float") {
                    return None;
                }
                end
            }
            // A parameter; anything else behind a dollar may quote.
            b'$' if next.is_ascii_digit() => {
                let end = end_of(bytes, at.saturating_add(1), |byte| byte.is_ascii_digit());
                let behind = bytes.get(end).copied().unwrap_or(b' ');
                if is_of_word(behind) {
                    return None;
                }
                end
            }
            // Without a backslash every kind of quote ends at the next one of its kind.
            b'\'' | b'"' => {
                let inner = at.saturating_add(1);
                let end = end_of(bytes, inner, |it| it != byte);
                bytes.get(end)?;
                end.saturating_add(1)
            }
            b'-' if next == b'-' => return None,
            b'/' if next == b'*' => return None,
            b';' => {
                statement = text.get(..at)?;
                let rest = text.get(at.saturating_add(1)..)?;
                if !rest.trim_ascii().is_empty() {
                    return None;
                }
                at.saturating_add(1)
            }
            b' ' | b'\n' | b'\t' | b'\r' | b'(' | b')' | b'[' | b']' | b',' | b'.' | b':'
            | b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'=' | b'~' | b'!' | b'@' | b'#' | b'%'
            | b'^' | b'&' | b'|' | b'?' => at.saturating_add(1),
            _ => return None,
        };
        let piece = text.get(at..end)?;
        if piece.bytes().any(|byte| byte == b'\\' || byte < b' ' && !byte.is_ascii_whitespace()) {
            return None;
        }
        key.push_str(piece);
        at = end;
    }
    Some(Class { key, statement })
}

fn begins_plainly(text: &str) -> bool {
    ["select ", "insert ", "update ", "delete "]
        .iter()
        .any(|word| text.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word)))
}

/// A byte of a name, a key word or a number; bytes beyond ASCII count as such.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

fn end_of(bytes: &[u8], from: usize, goes_on: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from.saturating_add(rest.iter().position(|byte| !goes_on(*byte)).unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    fn key(text: &str) -> Option<String> {
        class_of(text).map(|class| class.key)
    }

    #[test]
    fn statements_that_differ_in_integers_alone_are_of_one_class() {
        for (one, other) in [
            ("SELECT a FROM t WHERE id = 7;", "SELECT a FROM t WHERE id = 123456789;"),
            (
                "UPDATE t SET a = a + -5, b = 'x1' WHERE id=7",
                "UPDATE t SET a = a + -77, b = 'x1' WHERE id=0",
            ),
            ("INSERT INTO t (a, b2) VALUES (1, $1)", "INSERT INTO t (a, b2) VALUES (2, $1)"),
            (
                "select \"c 1\" from t where e''=f and g in (1,2)",
                "select \"c 1\" from t where e''=f and g in (3,4)",
            ),
        ] {
            assert!(key(one).is_some(), "{one}");
            assert_eq!(key(one), key(other));
        }
    }

    #[test]
    fn what_is_more_than_another_integer_is_another_class() {
        for (one, other) in [
            ("SELECT a1 FROM t", "SELECT a2 FROM t"),
            ("SELECT '1'", "SELECT '2'"),
            ("SELECT \"1\"", "SELECT \"2\""),
            ("SELECT $1", "SELECT $2"),
            ("SELECT 1", "SELECT -1"),
            ("SELECT 1,2", "SELECT 1"),
        ] {
            assert!(key(one).is_some() && key(other).is_some(), "{one}");
            assert_ne!(key(one), key(other));
        }
    }

    #[test]
    fn a_text_that_is_not_plain_has_no_class() {
        for text in [
            "SELECT 1234567890",
            "SELECT 1.5",
            "SELECT .5",
            "SELECT 1e5",
            "SELECT 0x1F",
            "SELECT 1_000",
            "SELECT 1 -- 2",
            "SELECT 1 /* 2 */",
            "SELECT $$1$$",
            "SELECT $a$1$a$",
            "SELECT E'\\'1'",
            "SELECT '1",
            "SELECT 1; SELECT 2",
            "SELECT CAST(a AS float(24)) FROM t",
            "SELECT 'é', 1é",
            "SELECT 1\u{1}",
            "CREATE TABLE t (a int)",
            " SELECT 1",
            "SELECT 1a",
        ] {
            assert_eq!(key(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_statement_of_a_class_is_the_one_that_the_parser_finds(
            text in "(SELECT|select|INSERT|DELETE) [ -~\n]{0,40}"
        ) {
            if let Some(class) = class_of(&text)
                && let Ok(script) = script::parse(&text)
            {
                proptest::prop_assert_eq!(script.len(), 1, "{}", text);
                proptest::prop_assert_eq!(script.text_of(0), class.statement);
            }
        }

        #[test]
        fn other_integers_leave_the_tree_as_it_is_but_for_them(
            text in "SELECT ([a-z]{1,3}|[0-9]{1,9}|[-+*/=<>(),.' ]|\\$1| [ab]\\.){0,14}",
            other in 0_u32..999_999_999,
        ) {
            if let Some(class) = class_of(&text) {
                let changed = class.key.replace(INTEGER, &other.to_string());
                let (one, two) = (script::parse(&text), script::parse(&changed));
                proptest::prop_assert_eq!(one.is_ok(), two.is_ok(), "{} and {}", text, changed);
                if let (Ok(_), Ok(_)) = (one, two) {
                    let normal = |text: &str| pg_raw_parse::normalize::normalize(text).ok();
                    proptest::prop_assert_eq!(normal(&text), normal(&changed));
                }
            }
        }
    }
}
