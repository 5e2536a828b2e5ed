//! Bodies of functions: SQL by the grammar; PL/pgSQL by its statements, each of which is SQL again.
//!
//! A body in PL/pgSQL is cut into statements by its own lexical rules. Every piece must be control flow that is
//! known, or SQL that the grammar reads; the first piece that is neither makes the body unrecognized.

use pg_raw_parse::Node;

use super::expression::unread;
use super::{Judge, object};
use crate::judged::Group;
use crate::script;

/// The most bytes of a body that is judged.
const BODY_BYTES_MAX: usize = 256 << 10;

impl Judge<'_> {
    /// Judges a body in SQL, or the definition of one in BEGIN ATOMIC.
    pub(crate) fn sql_body(&mut self, body: &str) {
        let Ok(script) = script::parse(body) else {
            return self.unrecognized(unread(body, "the body of a function cannot be read"));
        };
        self.bodies = self.bodies.saturating_add(1);
        for at in 0..script.len() {
            match script.node(at) {
                Node::CreateFunctionStmt(it) => self.atomic_body(it.sql_body()),
                node => self.nested(node),
            }
        }
        self.bodies = self.bodies.saturating_sub(1);
    }

    pub(crate) fn atomic_body(&mut self, node: Node<'_>) {
        match node {
            Node::NodeList(list) => {
                for part in list {
                    self.atomic_body(part);
                }
            }
            Node::ReturnStmt(it) => self.query_of_expression(it.returnval()),
            Node::None => {}
            other => self.nested(other),
        }
    }

    /// Judges an expression that stands by itself.
    pub(crate) fn query_of_expression(&mut self, node: Node<'_>) {
        if !matches!(node, Node::None) {
            self.query(node);
        }
    }

    /// Judges a body in PL/pgSQL.
    pub(crate) fn plpgsql_body(&mut self, body: &str) {
        if body.len() > BODY_BYTES_MAX {
            return self.unrecognized("the body of a function is longer than is judged");
        }
        let Some(tokens) = tokens(body) else {
            return self.unrecognized(unread(body, "the body of a function cannot be read"));
        };
        let mut walk = Walk { body, tokens: &tokens, at: 0 };
        self.bodies = self.bodies.saturating_add(1);
        while walk.at < tokens.len() {
            if self.piece_of_body(&mut walk).is_none() {
                self.unrecognized("a statement in the body of a function cannot be read");
                break;
            }
        }
        self.bodies = self.bodies.saturating_sub(1);
    }

    /// Judges one piece of a body; `None` when it is not known.
    fn piece_of_body(&mut self, walk: &mut Walk<'_>) -> Option<()> {
        let word = walk.word().to_ascii_lowercase();
        match word.as_str() {
            ";" | "begin" | "else" | "loop" => walk.skip(1),
            "declare" => {
                walk.skip(1);
                self.declarations(walk)?;
            }
            "exception" => walk.skip(1),
            "end" | "exit" | "continue" | "null" | "get" | "close" | "move" | "fetch" => {
                // Labels and diagnostics; a condition of EXIT is an expression.
                let Some(piece) = walk.until(&[";"]) else {
                    // The last END needs no semicolon.
                    return (word == "end").then_some(());
                };
                if let Some((_, condition)) = split_word(piece, "when") {
                    self.body_expression(condition)?;
                }
            }
            "<" => walk.label()?,
            "if" | "elsif" | "elseif" => {
                walk.skip(1);
                let condition = walk.until(&["then"])?;
                self.body_expression(condition)?;
            }
            "while" => {
                walk.skip(1);
                let condition = walk.until(&["loop"])?;
                self.body_expression(condition)?;
            }
            "when" => {
                walk.skip(1);
                let condition = walk.until(&["then"])?;
                // A condition's name in EXCEPTION is no expression, and reads as a column.
                self.body_expression(&condition.replace("SQLSTATE", "").replace("sqlstate", ""))?;
            }
            "case" => {
                walk.skip(1);
                if !walk.word().eq_ignore_ascii_case("when") {
                    let subject = walk.until_before(&["when"])?;
                    self.body_expression(subject)?;
                }
            }
            "for" | "foreach" => self.for_loop(walk)?,
            "return" => self.returned(walk)?,
            "raise" | "assert" => {
                walk.skip(1);
                let piece = walk.until(&[";"])?;
                self.raised(piece)?;
            }
            "perform" => {
                walk.skip(1);
                let piece = walk.until(&[";"])?;
                self.body_sql(&format!("SELECT {piece}"))?;
            }
            "execute" => {
                walk.skip(1);
                let piece = walk.until(&[";"])?;
                self.executed(piece);
            }
            "open" => {
                walk.skip(1);
                let piece = walk.until(&[";"])?;
                match split_word(piece, "for") {
                    Some((_, query)) if starts_with_word(query, "execute") => {
                        self.executed(query.trim_start().get(7..)?);
                    }
                    Some((_, query)) => self.body_sql(query)?,
                    None => {}
                }
            }
            "commit" | "rollback" => {
                self.wrapping = crate::judged::Wrapping::MayCommit;
                walk.until(&[";"])?;
            }
            "" => walk.skip(1),
            _ => {
                let piece = walk.until(&[";"])?;
                match assignment(piece) {
                    Some(value) => self.body_expression(value)?,
                    None => self.body_sql(&without_into(piece)?)?,
                }
            }
        }
        Some(())
    }

    fn declarations(&mut self, walk: &mut Walk<'_>) -> Option<()> {
        while !walk.word().eq_ignore_ascii_case("begin") {
            if walk.at >= walk.tokens.len() {
                return None;
            }
            let piece = walk.until(&[";"])?;
            if let Some((_, query)) = split_word(piece, "cursor") {
                let (_, query) = split_word(query, "for").or_else(|| split_word(query, "is"))?;
                self.body_sql(query)?;
            } else if let Some(value) = assignment(piece) {
                self.body_expression(value)?;
            } else if let Some((_, value)) = split_word(piece, "default") {
                self.body_expression(value)?;
            }
        }
        Some(())
    }

    fn for_loop(&mut self, walk: &mut Walk<'_>) -> Option<()> {
        walk.skip(1);
        let head = walk.until(&["loop"])?;
        let (_, source) = split_word(head, "in")?;
        let source = source.trim();
        let source =
            source.strip_prefix("REVERSE").or(source.strip_prefix("reverse")).unwrap_or(source);
        if starts_with_word(source, "execute") {
            self.executed(source.trim_start().get(7..)?);
            return Some(());
        }
        if starts_with_word(source, "array") && split_word(head, "slice").is_some() {
            return None;
        }
        if let Some((from, to)) = source.split_once("..") {
            let to = split_word(to, "by").map_or(to, |(to, _)| to);
            self.body_expression(from)?;
            return self.body_expression(to);
        }
        if let Some((_, array)) = split_word(source, "array") {
            return self.body_expression(array);
        }
        let is_query = ["select", "with", "values", "table", "insert", "update", "delete", "("]
            .iter()
            .any(|word| starts_with_word(source, word) || source.starts_with('('));
        if is_query { self.body_sql(source) } else { self.body_expression("1") }
    }

    fn returned(&mut self, walk: &mut Walk<'_>) -> Option<()> {
        walk.skip(1);
        let piece = walk.until(&[";"])?.trim();
        if starts_with_word(piece, "query") {
            let query = piece.get(5..)?.trim();
            if starts_with_word(query, "execute") {
                self.executed(query.get(7..)?);
                return Some(());
            }
            return self.body_sql(query);
        }
        let value = if starts_with_word(piece, "next") { piece.get(4..)? } else { piece };
        self.body_expression(value)
    }

    fn raised(&mut self, piece: &str) -> Option<()> {
        let piece = piece.trim();
        let level = ["debug", "log", "info", "notice", "warning", "exception", "sqlstate"];
        let rest = level
            .iter()
            .find(|word| starts_with_word(piece, word))
            .and_then(|word| piece.get(word.len()..))
            .unwrap_or(piece);
        let (shown, using) = split_word(rest, "using").unwrap_or((rest, ""));
        if !shown.trim().is_empty() {
            self.body_expression(shown)?;
        }
        for option in using.split(',').filter(|it| !it.trim().is_empty()) {
            let (_, value) = option.split_once('=')?;
            self.body_expression(value)?;
        }
        Some(())
    }

    /// Judges dynamic SQL: a constant is judged, anything else is not known.
    fn executed(&mut self, piece: &str) {
        let text = split_word(piece, "using").map_or(piece, |(text, _)| text);
        let text = split_word(text, "into").map_or(text, |(text, _)| text);
        let constant = script::parse(&format!("SELECT {text}")).ok().and_then(|script| {
            let Node::SelectStmt(select) = script.node(0) else { return None };
            let target = select.target_list().iter().next()?;
            super::expression::text_constant(target.val())
        });
        match constant {
            Some(sql) => {
                self.plain = false;
                self.sql_body(&sql);
            }
            None => self.unrecognized("SQL that is put together while it runs"),
        }
    }

    fn body_expression(&mut self, text: &str) -> Option<()> {
        if text.trim().is_empty() {
            return Some(());
        }
        let script = script::parse(&format!("SELECT {text}")).ok()?;
        if script.len() != 1 {
            return None;
        }
        self.query(script.node(0));
        Some(())
    }

    fn body_sql(&mut self, text: &str) -> Option<()> {
        let script = script::parse(text).ok()?;
        for at in 0..script.len() {
            match script.node(at) {
                // INTO is a variable's here, not a table's.
                Node::SelectStmt(select) if select.into_clause().is_some() => {
                    let before = self.touches.len();
                    self.query(Node::SelectStmt(select));
                    let made =
                        self.touches.iter().skip(before).position(|it| it.group == Group::Create);
                    if let Some(made) = made {
                        self.touches.remove(before.saturating_add(made));
                    }
                }
                node => self.nested(node),
            }
        }
        Some(())
    }

    /// Judges DO: its language and its body.
    pub(crate) fn do_block(&mut self, language: &str, body: &str) {
        self.plain = false;
        match language {
            "plpgsql" => self.plpgsql_body(body),
            other => self.unrecognized(&format!("a block in {other} cannot be judged")),
        }
        if self.touches.is_empty() {
            self.reads(object("database", ""));
        }
    }
}

/// One token: where it begins and ends, and whether it is a word.
#[derive(Clone, Copy, Debug)]
struct Token {
    start: usize,
    end: usize,
}

struct Walk<'a> {
    body: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Walk<'a> {
    fn text(&self, token: Token) -> &'a str {
        self.body.get(token.start..token.end).unwrap_or("")
    }

    fn word(&self) -> &'a str {
        self.tokens.get(self.at).map_or("", |token| self.text(*token))
    }

    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    /// `<<label>>`.
    fn label(&mut self) -> Option<()> {
        self.skip(2);
        self.skip(1);
        let closes = self.word() == ">";
        self.skip(2);
        closes.then_some(())
    }

    /// Returns the text up to a word at no depth of brackets or CASE, and goes behind that word.
    fn until(&mut self, words: &[&str]) -> Option<&'a str> {
        let piece = self.until_before(words)?;
        self.skip(1);
        Some(piece)
    }

    fn until_before(&mut self, words: &[&str]) -> Option<&'a str> {
        let start = self.tokens.get(self.at)?.start;
        let (mut deep, mut cases) = (0_usize, 0_usize);
        while let Some(token) = self.tokens.get(self.at) {
            let word = self.text(*token);
            let hit = words.iter().any(|it| word.eq_ignore_ascii_case(it));
            if hit && deep == 0 && (cases == 0 || word == ";") {
                return self.body.get(start..token.start);
            }
            match word {
                "(" | "[" => deep = deep.saturating_add(1),
                ")" | "]" => deep = deep.saturating_sub(1),
                _ if word.eq_ignore_ascii_case("case") => cases = cases.saturating_add(1),
                _ if word.eq_ignore_ascii_case("end") => cases = cases.saturating_sub(1),
                _ => {}
            }
            self.skip(1);
        }
        None
    }
}

/// Cuts a body into tokens by PostgreSQL's lexical rules; comments are left out. `None` when a quote is open.
fn tokens(body: &str) -> Option<Vec<Token>> {
    let bytes = body.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = body.get(at..)?;
        let start = at;
        if byte.is_ascii_whitespace() {
            at = at.saturating_add(1);
            continue;
        }
        if rest.starts_with("--") {
            at = rest.find('\n').map_or(bytes.len(), |end| at.saturating_add(end));
            continue;
        }
        if rest.starts_with("/*") {
            at = at.saturating_add(comment_len(rest)?);
            continue;
        }
        at = at.saturating_add(match byte {
            b'\'' => quoted_len(rest, '\'', false)?,
            b'"' => quoted_len(rest, '"', false)?,
            b'e' | b'E' if rest.get(1..2) == Some("'") => {
                quoted_len(rest.get(1..)?, '\'', true)?.saturating_add(1)
            }
            b'$' => dollar_len(rest)?,
            _ if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => word_len(rest),
            _ if byte.is_ascii_digit() => number_len(rest),
            _ => 1,
        });
        found.push(Token { start, end: at });
    }
    Some(found)
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '_' | '$'))
        .unwrap_or(text.len())
}

fn number_len(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len())
}

fn comment_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut deep, mut at) = (0_usize, 0_usize);
    loop {
        match (bytes.get(at)?, bytes.get(at.saturating_add(1))) {
            (b'/', Some(b'*')) => {
                deep = deep.saturating_add(1);
                at = at.saturating_add(2);
            }
            (b'*', Some(b'/')) => {
                deep = deep.saturating_sub(1);
                at = at.saturating_add(2);
                if deep == 0 {
                    return Some(at);
                }
            }
            _ => at = at.saturating_add(1),
        }
    }
}

fn quoted_len(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return Some(at.saturating_add(1));
            }
        }
    }
    None
}

fn dollar_len(text: &str) -> Option<usize> {
    let inner = text.get(1..)?;
    let end = inner.find('$');
    let tag = end.and_then(|end| inner.get(..end));
    let is_tag = tag.is_some_and(|tag| {
        !tag.starts_with(|c: char| c.is_ascii_digit())
            && tag.chars().all(|c| c.is_alphanumeric() || c == '_')
    });
    // `$1` is a parameter.
    let (true, Some(tag)) = (is_tag, tag) else { return Some(1) };
    let mark = format!("${tag}$");
    let body = text.get(mark.len()..)?;
    Some(body.find(&mark)?.saturating_add(mark.len().saturating_mul(2)))
}

/// Splits at a word that stands outside of quotes and brackets.
fn split_word<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let tokens = tokens(text)?;
    let mut deep = 0_usize;
    for token in tokens {
        let it = text.get(token.start..token.end)?;
        match it {
            "(" | "[" => deep = deep.saturating_add(1),
            ")" | "]" => deep = deep.saturating_sub(1),
            _ if deep == 0 && it.eq_ignore_ascii_case(word) => {
                return Some((text.get(..token.start)?, text.get(token.end..)?));
            }
            _ => {}
        }
    }
    None
}

fn starts_with_word(text: &str, word: &str) -> bool {
    let text = text.trim_start();
    text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
        && text
            .get(word.len()..)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Returns the value of `variable := value` or `variable = value`.
fn assignment(piece: &str) -> Option<&str> {
    let tokens = tokens(piece)?;
    let mut deep = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        let it = piece.get(token.start..token.end)?;
        match it {
            "[" | "(" => deep = deep.saturating_add(1),
            "]" | ")" => deep = deep.saturating_sub(1),
            ":" if deep == 0 => {
                let next = tokens.get(at.saturating_add(1))?;
                return (piece.get(next.start..next.end)? == "=").then(|| piece.get(next.end..))?;
            }
            "=" if deep == 0 => {
                // Only where nothing but a name stands before it.
                let name = piece.get(..token.start)?.trim();
                let plain =
                    name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']'));
                return plain.then(|| piece.get(token.end..))?;
            }
            _ => {}
        }
    }
    None
}

/// Takes `INTO [STRICT] variables` out of a statement that the grammar does not know it in.
fn without_into(piece: &str) -> Option<String> {
    if starts_with_word(piece, "select")
        || starts_with_word(piece, "with")
        || starts_with_word(piece, "call")
    {
        return Some(piece.to_owned());
    }
    let start = if starts_with_word(piece, "insert") || starts_with_word(piece, "merge") {
        // The first INTO is the statement's own.
        let (_, rest) = split_word(piece, "into")?;
        piece.len().saturating_sub(rest.len())
    } else {
        0
    };
    let (head, tail) = (piece.get(..start)?, piece.get(start..)?);
    match split_word(tail, "into") {
        None => Some(piece.to_owned()),
        // It stands at the end, behind RETURNING.
        Some((before, _)) => Some(format!("{head}{before}")),
    }
}
