//! One function that makes text from elsewhere harmless to a terminal and to the eye.

/// The most characters of a text in a table's cell.
pub(crate) const CELL_CHARS_MAX: usize = 80;
/// The most characters of a text that stands by itself.
pub(crate) const TEXT_CHARS_MAX: usize = 500;

/// Returns the text without anything that moves the cursor, hides or turns other text around: control
/// characters, direction marks, zero-width characters, tags. Line breaks become blanks, what is too
/// long is cut and says so.
pub(crate) fn plain(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut taken = 0_usize;
    for c in text.chars() {
        let c = if matches!(c, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}') { ' ' } else { c };
        if is_treacherous(c) {
            continue;
        }
        if taken == chars_max {
            out.push('…');
            return out;
        }
        taken = taken.saturating_add(1);
        out.push(c);
    }
    out
}

/// Returns what somebody says of themselves, marked as no more than that.
pub(crate) fn claim(text: &str) -> String {
    format!("“{}” (claimed)", plain(text, TEXT_CHARS_MAX))
}

/// Returns the same JSON with every treacherous character written as an escape. Structure is made of
/// printable characters and line breaks alone, so what is left stands inside of strings.
pub(crate) fn harmless_json(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_treacherous(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// Returns whether a character changes how the text around it is shown, or shows nothing itself.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_or_turns_text_around_is_gone() {
        for (dirty, clean) in [
            ("a\u{1b}[2Jb", "a[2Jb"),
            ("a\u{9b}31mb", "a31mb"),
            ("abc\u{202e}cba", "abccba"),
            ("a\u{2066}b\u{2069}c", "abc"),
            ("pro\u{200b}duc\u{200d}tion", "production"),
            ("one\r\ntwo\tthree", "one  two three"),
            ("bell\u{7}\u{8}back", "bellback"),
            ("tag\u{e0041}", "tag"),
            ("\u{feff}x\u{7f}", "x"),
            ("zürich 東京", "zürich 東京"),
        ] {
            assert_eq!(plain(dirty, 100), clean, "{dirty:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        assert_eq!(plain("abcdef", 3), "abc…");
        assert_eq!(plain("abc", 3), "abc");
        assert_eq!(plain("äöüß", 3), "äöü…");
        assert!(plain(&"x".repeat(10_000), TEXT_CHARS_MAX).chars().count() <= TEXT_CHARS_MAX + 1);
    }

    #[test]
    fn nothing_printable_or_not_gets_an_escape_through() {
        for number in 0..=0x10_ffff_u32 {
            let Some(c) = char::from_u32(number) else { continue };
            let out = plain(&c.to_string(), 10);
            assert!(!out.chars().any(char::is_control), "{number:x}");
        }
    }

    #[test]
    fn json_keeps_its_value_and_loses_its_tricks() {
        let value =
            serde_json::json!({ "a\u{202e}": ["\u{9b}31m\u{1b}[2J", "\u{e0041}", "zürich\n"] });
        for text in
            [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()]
        {
            let harmless = harmless_json(&text);
            assert!(!harmless.chars().any(|c| c != '\n' && is_treacherous(c)), "{harmless:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&harmless).unwrap(), value);
        }
    }

    #[test]
    fn a_claim_is_marked_as_one() {
        assert_eq!(claim("I am\nthe owner"), "“I am the owner” (claimed)");
    }
}
