//! One text of SQL, parsed by PostgreSQL's own grammar under limits.

use pg_raw_parse::{Node, Owned, StmtList};

/// The most bytes of a text.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// The most statements of a text.
pub const STATEMENTS_MAX: usize = 1_000;
/// How deep brackets may nest.
pub const BRACKETS_DEEP_MAX: usize = 200;
/// The most operators and keywords that make a tree deep without a bracket (`1+1+…`, `NOT NOT …`).
pub const CHAINED_MAX: usize = 4_000;

/// A text that cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// It is longer than is judged.
    #[error("the text has {0} bytes, judged are at most {TEXT_BYTES_MAX}")]
    Long(usize),
    /// It holds more statements than are judged.
    #[error("the text holds {0} statements, judged are at most {STATEMENTS_MAX}")]
    Many(usize),
    /// It nests deeper than is judged.
    #[error("the text nests deeper than is judged")]
    Deep,
    /// It holds a byte that no text of SQL holds.
    #[error("the text holds a null byte")]
    Null,
    /// PostgreSQL's grammar rejects it.
    #[error("PostgreSQL 18's grammar rejects the text: {0}")]
    Grammar(String),
}

impl ScriptError {
    /// Returns whether the server would call it a syntax error as well.
    #[must_use]
    pub const fn is_syntax(&self) -> bool {
        matches!(self, Self::Grammar(_))
    }
}

/// A parsed text.
pub struct Script {
    tree: Owned<StmtList>,
    text: Box<str>,
    /// Where each statement begins, and how long it is.
    spans: Vec<(usize, usize)>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("statements", &self.spans.len()).finish_non_exhaustive()
    }
}

/// Parses a text.
///
/// # Errors
/// It is not SQL as PostgreSQL reads it, or larger than is judged.
pub fn parse(text: &str) -> Result<Script, ScriptError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ScriptError::Long(text.len()));
    }
    check_depth(text)?;
    let tree = pg_raw_parse::parse(text).map_err(|error| match error {
        pg_raw_parse::Error::StatementContainedNul(_) => ScriptError::Null,
        other @ (pg_raw_parse::Error::Parse(_) | pg_raw_parse::Error::PgError(_)) => {
            ScriptError::Grammar(plain(&other.to_string()))
        }
    })?;
    let tree = tree.into_inner();
    let mut spans = Vec::new();
    for raw in &*tree {
        let start = usize::try_from(raw.stmt_location).unwrap_or(0);
        let length = match usize::try_from(raw.stmt_len) {
            // Nought means the rest of the text.
            Ok(0) | Err(_) => text.len().saturating_sub(start),
            Ok(length) => length,
        };
        spans.push((start, length));
    }
    if spans.len() > STATEMENTS_MAX {
        return Err(ScriptError::Many(spans.len()));
    }
    Ok(Script { tree, text: text.into(), spans })
}

/// An error in one line, without the library's own words around it.
fn plain(raw: &str) -> String {
    let line: String = raw.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.rsplit("Invalid statement: ").next().unwrap_or(&line).trim().to_owned()
}

/// The parser and the judge walk the tree with a stack of their own depth: what would make it deep is counted
/// before. Quotes are not looked at, so that no text can hide its depth in one.
fn check_depth(text: &str) -> Result<(), ScriptError> {
    let (mut deep, mut deepest, mut chained) = (0_usize, 0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            0 => return Err(ScriptError::Null),
            b'(' | b'[' => {
                deep = deep.saturating_add(1);
                deepest = deepest.max(deep);
            }
            b')' | b']' => deep = deep.saturating_sub(1),
            b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'=' | b'~' | b'!' | b'@' | b'#' | b'%'
            | b'^' | b'&' | b'|' | b'?' | b':' => chained = chained.saturating_add(1),
            _ => {}
        }
    }
    if deepest > BRACKETS_DEEP_MAX {
        return Err(ScriptError::Deep);
    }
    let words = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| {
            ["not", "and", "or", "union", "except", "intersect", "case", "is", "isnull", "notnull"]
                .iter()
                .any(|it| word.eq_ignore_ascii_case(it))
        })
        .count();
    // A text of values has many operators and no deep tree: what stands inside of quotes and numbers is not
    // told apart here, so only what could come close to the stack's end is refused.
    if words > CHAINED_MAX || (chained > CHAINED_MAX && longest_run(text) > CHAINED_MAX) {
        return Err(ScriptError::Deep);
    }
    Ok(())
}

/// Returns how many operators stand in one stretch without a comma, a semicolon or a bracket.
fn longest_run(text: &str) -> usize {
    let (mut run, mut longest) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b',' | b';' | b'(' | b')' => run = 0,
            b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'=' | b'~' | b'!' | b'@' | b'#' | b'%'
            | b'^' | b'&' | b'|' | b'?' | b':' => {
                run = run.saturating_add(1);
                longest = longest.max(run);
            }
            _ => {}
        }
    }
    longest
}

impl Script {
    /// Returns how many statements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Returns the text of one statement, as the parser found it.
    #[must_use]
    pub fn text_of(&self, at: usize) -> &str {
        let Some((start, length)) = self.spans.get(at).copied() else { return "" };
        self.text.get(start..start.saturating_add(length)).unwrap_or(&self.text)
    }

    /// Returns what stands before one statement.
    #[must_use]
    pub fn before(&self, at: usize) -> &str {
        let start = self.spans.get(at).map_or(0, |(start, _)| *start);
        self.text.get(..start).unwrap_or_default()
    }

    /// Returns where one statement stands in the text.
    #[must_use]
    pub fn range_of(&self, at: usize) -> Option<std::ops::Range<usize>> {
        let (start, length) = self.spans.get(at).copied()?;
        let range = start..start.checked_add(length)?;
        self.text.get(range.clone()).map(|_| range)
    }

    /// Returns the tree of one statement.
    pub(crate) fn node(&self, at: usize) -> Node<'_> {
        self.tree.stmts().nth(at).unwrap_or(Node::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cut_where_the_parser_says_and_nowhere_else() {
        let script = parse("SELECT ';'; DELETE FROM t -- ;\n; /* ; */ TRUNCATE t").unwrap();
        assert_eq!(script.len(), 3);
        assert_eq!(script.text_of(0), "SELECT ';'");
        assert!(script.text_of(1).contains("DELETE FROM t"));
        assert!(script.text_of(2).trim_end().ends_with("TRUNCATE t"));
        assert!(parse("-- nothing\n;;").unwrap().is_empty());
    }

    #[test]
    fn what_is_too_deep_is_refused_before_it_can_end_the_process() {
        for deep in [
            format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
            format!("SELECT 1{}", "+1".repeat(50_000)),
            format!("SELECT {} true", "NOT ".repeat(50_000)),
            format!("SELECT 1{}", " UNION SELECT 1".repeat(20_000)),
            format!("SELECT 1{}", "::int".repeat(20_000)),
        ] {
            assert_eq!(parse(&deep).err(), Some(ScriptError::Deep));
        }
        assert!(parse(&format!("SELECT 1{}", "+1".repeat(1_000))).is_ok());
        assert!(parse(&format!("SELECT {}1{}", "(".repeat(100), ")".repeat(100))).is_ok());
    }

    #[test]
    fn a_text_that_the_grammar_rejects_is_named_in_the_servers_words() {
        let error = parse("FLUSH TABLES").unwrap_err();
        assert!(error.is_syntax());
        assert!(error.is_syntax() && error.to_string().contains("syntax error"), "{error}");
        assert_eq!(parse("SELECT \0").err(), Some(ScriptError::Null));
    }
}
