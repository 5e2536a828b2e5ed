//! The literals of a GraphQL document, or of a text that is nearly JSON, read leniently: here it matters
//! that nothing is overlooked, not that the text is valid.

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// GraphQL: a bare name behind a colon is an enum value or a field behind its alias.
    Graphql,
    /// Nearly JSON: a bare word behind a colon is a value.
    NearlyJson,
}

/// A literal, with the name before its colon or equals sign.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Literal {
    pub(super) name: String,
    pub(super) value: String,
}

/// Returns whether a text may be a GraphQL document.
pub(super) fn looks_like_graphql(text: &str) -> bool {
    let start =
        text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '\u{feff}'));
    start.starts_with('#')
        || (start.contains('{')
            && ["{", "query", "mutation", "subscription", "fragment"]
                .iter()
                .any(|word| start.starts_with(word)))
}

enum Token {
    /// A bare word.
    Word(String),
    /// A quoted text.
    Text(String),
    Sign(char),
}

/// Returns every quoted text, and in nearly JSON every bare value too.
pub(super) fn literals(text: &str, manner: Manner) -> Vec<Literal> {
    let mut found = Vec::new();
    // What a colon or an equals sign that comes next would name.
    let mut before: Option<String> = None;
    let mut variable: Option<String> = None;
    let mut dollar = false;
    let mut in_list = false;
    let mut name = String::new();
    let mut rest = text;
    while let Some((token, behind)) = next(rest, manner) {
        rest = behind;
        match token {
            Token::Sign('$') => dollar = true,
            Token::Sign(':') if manner == Manner::Graphql && dollar => {
                variable = before.take();
                dollar = false;
            }
            Token::Sign(':') => name = before.take().unwrap_or_default(),
            Token::Sign('=') => {
                name = variable.take().or_else(|| before.take()).unwrap_or_default();
            }
            // A list belongs to its name as a whole.
            Token::Sign('[') => in_list = true,
            Token::Sign(',') if in_list => {}
            Token::Sign(_) => {
                before = None;
                name.clear();
                dollar = false;
                in_list = false;
            }
            Token::Word(word) => {
                if manner == Manner::NearlyJson && !name.is_empty() {
                    found.push(Literal { name: name.clone(), value: word.clone() });
                }
                if !in_list {
                    name.clear();
                }
                before = Some(word);
            }
            Token::Text(value) => {
                found.push(Literal { name: name.clone(), value: value.clone() });
                if !in_list {
                    name.clear();
                }
                before = Some(value);
            }
        }
    }
    found
}

fn next(text: &str, manner: Manner) -> Option<(Token, &str)> {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let first = text.chars().next()?;
    let behind = text.get(first.len_utf8()..)?;
    Some(match first {
        '"' if text.starts_with("\"\"\"") => block(text.get(3..)?),
        '"' => quoted(behind, '"'),
        '\'' if manner == Manner::NearlyJson => quoted(behind, '\''),
        // What a comment says is looked at as words of the whole text.
        '#' if manner == Manner::Graphql => {
            let end = behind.find(['\n', '\r']).unwrap_or(behind.len());
            return next(behind.get(end..)?, manner);
        }
        c if is_word_char(c, manner) => {
            let end = text.find(|c| !is_word_char(c, manner)).unwrap_or(text.len());
            (Token::Word(text.get(..end)?.to_owned()), text.get(end..)?)
        }
        sign => (Token::Sign(sign), behind),
    })
}

fn is_word_char(c: char, manner: Manner) -> bool {
    c.is_alphanumeric() || c == '_' || (manner == Manner::NearlyJson && "-.+/".contains(c))
}

fn block(text: &str) -> (Token, &str) {
    let mut from = 0;
    loop {
        let Some(at) = text.get(from..).and_then(|rest| rest.find("\"\"\"")) else {
            return (Token::Text(text.to_owned()), "");
        };
        let at = from.saturating_add(at);
        if text.get(..at).is_some_and(|before| before.ends_with('\\')) {
            from = at.saturating_add(3);
            continue;
        }
        let value = text.get(..at).unwrap_or_default().replace("\\\"\"\"", "\"\"\"");
        return (Token::Text(value), text.get(at.saturating_add(3)..).unwrap_or_default());
    }
}

fn quoted(text: &str, quote: char) -> (Token, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            let behind = text.get(at.saturating_add(1)..).unwrap_or_default();
            return (Token::Text(value), behind);
        }
        if c != '\\' {
            value.push(c);
            continue;
        }
        match chars.next() {
            Some((at, 'u')) => {
                let digits = text.get(at.saturating_add(1)..at.saturating_add(5));
                let escaped = digits
                    .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                    .and_then(char::from_u32);
                if let Some(escaped) = escaped {
                    value.push(escaped);
                    // The four digits were read.
                    let _ = chars.nth(3);
                }
            }
            Some((_, 'n')) => value.push('\n'),
            Some((_, 't')) => value.push('\t'),
            Some((_, 'r')) => value.push('\r'),
            Some((_, other)) => value.push(other),
            None => {}
        }
    }
    (Token::Text(value), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, manner: Manner) -> Vec<(String, String)> {
        literals(text, manner).into_iter().map(|literal| (literal.name, literal.value)).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn literals_are_found_with_their_names() {
        for (text, expected) in [
            (r#"mutation { a(token: "x") }"#, vec![pair("token", "x")]),
            (
                r#"{ a(input: {name: "n", password:"p"}) }"#,
                vec![pair("name", "n"), pair("password", "p")],
            ),
            (
                r#"{ a(tokens: ["x", "y"]) b(id:"z") }"#,
                vec![pair("tokens", "x"), pair("tokens", "y"), pair("id", "z")],
            ),
            (
                r#"query($token: String = "x", $id: ID = "y") { a }"#,
                vec![pair("token", "x"), pair("id", "y")],
            ),
            ("{ a(b: \"\"\"block \\\"\"\" more\"\"\") }", vec![pair("b", "block \"\"\" more")]),
            (r#"{ a(b: "\u0067hp \" \n") }"#, vec![pair("b", "ghp \" \n")]),
            ("# password: \"x\"\n{ a }", vec![]),
            ("{ token: me { id } }", vec![]),
            (r#"{ a(b: "unterminated"#, vec![pair("b", "unterminated")]),
            (r#"{ a(b: "\u12"#, vec![pair("b", "12")]),
        ] {
            assert_eq!(read(text, Manner::Graphql), expected, "{text}");
        }
    }

    #[test]
    fn nearly_json_is_read_as_json_would_be() {
        for (text, expected) in [
            (
                "{'password': 'p', x: 1}",
                vec![pair("", "password"), pair("password", "p"), pair("x", "1")],
            ),
            ("{password: hunter2,}", vec![pair("password", "hunter2")]),
            ("{\"password\" : \"p\" // c\n}", vec![pair("", "password"), pair("password", "p")]),
        ] {
            assert_eq!(read(text, Manner::NearlyJson), expected, "{text}");
        }
    }
}
