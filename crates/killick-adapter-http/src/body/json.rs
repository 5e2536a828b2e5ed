//! JSON that can be read in one way only: no duplicate keys, bounded depth, numbers kept as written.

use std::fmt::Write as _;

/// The deepest nesting that is read.
pub const DEPTH_MAX: usize = 100;

/// A JSON value whose numbers are kept as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// An object; no key stands twice.
    Object(Vec<(String, Json)>),
}

/// Why a text is not JSON that can be read in one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("the body is not JSON at byte {at_byte}")]
    Syntax {
        /// Where.
        at_byte: usize,
    },
    /// A key stands twice in one object.
    #[error("a key stands twice in one object, before byte {at_byte}")]
    DuplicateKey {
        /// Where.
        at_byte: usize,
    },
    /// Deeper than [`DEPTH_MAX`].
    #[error("the body nests deeper than {DEPTH_MAX} levels")]
    TooDeep,
}

impl Json {
    /// Parses a whole text.
    ///
    /// # Errors
    /// It is not JSON, a key stands twice, or it nests too deep.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        whole(Parser { text, at: 0, duplicates: false })
    }

    /// Returns the one text of the value: no blanks, keys in their order.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// Returns the value at a key of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, v)| v),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Array(_) => None,
        }
    }

    /// Returns the text of a text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => write_text(text, out),
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (at, (key, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_text(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Line and paragraph separators end a line in JavaScript of old.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Parses a whole text and keeps the keys that stand twice; [`super::ways`] takes them apart.
pub(super) fn parse_with_duplicates(text: &str) -> Result<Json, JsonError> {
    whole(Parser { text, at: 0, duplicates: true })
}

fn whole(mut parser: Parser<'_>) -> Result<Json, JsonError> {
    let value = parser.value(0)?;
    parser.blanks();
    if parser.at == parser.text.len() { Ok(value) } else { Err(parser.syntax()) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    duplicates: bool,
}

impl Parser<'_> {
    const fn syntax(&self) -> JsonError {
        JsonError::Syntax { at_byte: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    fn expect(&mut self, wanted: &str) -> Result<(), JsonError> {
        let fits = self
            .text
            .as_bytes()
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(wanted.as_bytes()));
        if fits {
            self.at = self.at.saturating_add(wanted.len());
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.blanks();
        match self.peek() {
            Some(b'n') => self.expect("null").map(|()| Json::Null),
            Some(b't') => self.expect("true").map(|()| Json::Bool(true)),
            Some(b'f') => self.expect("false").map(|()| Json::Bool(false)),
            Some(b'"') => self.string().map(Json::String),
            Some(b'[') => self.array(depth),
            Some(b'{') => self.object(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) | None => Err(self.syntax()),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.step();
        let mut items = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.step();
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth.saturating_add(1))?);
            self.blanks();
            match self.peek() {
                Some(b',') => self.step(),
                Some(b']') => {
                    self.step();
                    return Ok(Json::Array(items));
                }
                Some(_) | None => return Err(self.syntax()),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.step();
        let mut fields: Vec<(String, Json)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.step();
            return Ok(Json::Object(fields));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.syntax());
            }
            let key = self.string()?;
            if !seen.insert(key.clone()) && !self.duplicates {
                return Err(JsonError::DuplicateKey { at_byte: self.at });
            }
            self.blanks();
            self.expect(":")?;
            fields.push((key, self.value(depth.saturating_add(1))?));
            self.blanks();
            match self.peek() {
                Some(b',') => self.step(),
                Some(b'}') => {
                    self.step();
                    return Ok(Json::Object(fields));
                }
                Some(_) | None => return Err(self.syntax()),
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.syntax());
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.step();
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.step();
        }
        if self.peek() == Some(b'0') {
            self.step();
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.step();
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.step();
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.step();
            }
            self.digits()?;
        }
        let text = self.text.get(start..self.at).ok_or(self.syntax())?;
        Ok(Json::Number(text.to_owned()))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.step();
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..).ok_or(self.syntax())?;
            let c = rest.chars().next().ok_or(self.syntax())?;
            match c {
                '"' => {
                    self.step();
                    return Ok(out);
                }
                '\\' => {
                    self.step();
                    out.push(self.escape()?);
                }
                c if u32::from(c) < 0x20 => return Err(self.syntax()),
                c => {
                    out.push(c);
                    self.at = self.at.saturating_add(c.len_utf8());
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let code = self.peek().ok_or(self.syntax())?;
        self.step();
        Ok(match code {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.syntax()),
        })
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            self.expect("\\u")?;
            let second = self.hex()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(self.syntax());
            }
            let high = first.saturating_sub(0xd800) << 10;
            let low = second.saturating_sub(0xdc00);
            0x1_0000_u32.saturating_add(high).saturating_add(low)
        } else {
            first
        };
        // A lone half of a pair is no character, and parsers differ on it.
        char::from_u32(code).ok_or(self.syntax())
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let end = self.at.saturating_add(4);
        let digits = self.text.get(self.at..end).ok_or(self.syntax())?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(self.syntax());
        }
        self.at = end;
        u32::from_str_radix(digits, 16).map_err(|_| self.syntax())
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Number(number.to_string()),
            serde_json::Value::String(text) => Self::String(text.clone()),
            serde_json::Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(fields) => Self::Object(
                fields.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect(),
            ),
        }
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
