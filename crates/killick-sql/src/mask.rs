//! A statement as people may see it: literals masked.

/// The most bytes of an excerpt.
pub const EXCERPT_BYTES_MAX: usize = 2_000;

/// Returns a statement with its literals replaced by `$1`, `$2`, …, cut to [`EXCERPT_BYTES_MAX`]. What the
/// grammar cannot read is not shown at all.
#[must_use]
pub fn masked(text: &str) -> String {
    if text.len() > super::script::TEXT_BYTES_MAX {
        return "(a text that is too long)".into();
    }
    let Ok(normal) = pg_raw_parse::normalize::normalize(text) else {
        return "(a text that the grammar rejects)".into();
    };
    let mut shown: String =
        without_comments(&normal).split_whitespace().collect::<Vec<_>>().join(" ");
    if shown.len() > EXCERPT_BYTES_MAX {
        let cut = shown.floor_char_boundary(EXCERPT_BYTES_MAX);
        shown.truncate(cut);
        shown.push('…');
    }
    shown
}

/// Leaves comments out: they are the agent's own words and may hold anything. Literals are masked already, so
/// that quotes are those of names only.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("--") {
            rest = rest.find('\n').and_then(|at| rest.get(at..)).unwrap_or("");
        } else if rest.starts_with("/*") {
            rest = after_comment(rest);
            out.push(' ');
        } else if first == '"' || first == '\'' {
            let inner = rest.get(1..).unwrap_or("");
            let end = inner.find(first).map_or(rest.len(), |at| at.saturating_add(2));
            if first == '"' {
                out.push_str(rest.get(..end).unwrap_or(""));
            } else {
                out.push_str("'…'");
            }
            rest = rest.get(end..).unwrap_or("");
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or("");
        }
    }
    out
}

fn after_comment(text: &str) -> &str {
    let (mut deep, mut at) = (0_usize, 0_usize);
    while let Some(rest) = text.get(at..) {
        if rest.starts_with("/*") {
            deep = deep.saturating_add(1);
            at = at.saturating_add(2);
        } else if rest.starts_with("*/") {
            deep = deep.saturating_sub(1);
            at = at.saturating_add(2);
            if deep == 0 {
                return text.get(at..).unwrap_or("");
            }
        } else {
            match rest.chars().next() {
                Some(c) => at = at.saturating_add(c.len_utf8()),
                None => return "",
            }
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_literal_and_no_comment_is_shown() {
        let shown = masked(
            "UPDATE users SET token = 'canary-1' /* canary-2 */ WHERE id = 42 -- canary-3\n AND n = $$canary-4$$",
        );
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.starts_with("UPDATE users SET token = $1"), "{shown}");
        assert!(!masked("ALTER ROLE a PASSWORD 'canary'").contains("canary"));
        assert!(!masked("DO $$ BEGIN PERFORM 'canary'; END $$").contains("canary"));
        assert!(!masked("SELECT 'canary").contains("canary"));
        assert!(
            !masked("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 -- canary'")
                .contains("canary")
        );
    }
}
