//! Files stay short, nothing is left undone, modules have names of the field.

use crate::finding::Finding;
use crate::sources::Source;
use crate::tokens::Product;

/// A file that grows past this holds two things.
const FILE_LINES_MAX: usize = 600;

/// Macros that promise code instead of being it.
const UNDONE_MACROS: &[&str] = &["todo", "unimplemented"];

/// Marks of a promise in a comment. Written in two parts, so that this file does not hold them.
const UNDONE_MARKS: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X:")];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["common", "helpers", "misc", "util", "utils"];

/// Returns every file that is too long, unfinished, or has a name that says nothing.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(in_source).collect()
}

fn in_source(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        let what = format!("{lines} lines; split it before {FILE_LINES_MAX}");
        findings.push(Finding::at(&source.path, what));
    }
    let stems = source.path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    for stem in stems.filter(|stem| EMPTY_NAMES.contains(stem)) {
        let what = format!("`{stem}` says nothing about what is inside");
        findings.push(Finding::at(&source.path, what));
    }
    for (number, line) in source.numbered_lines() {
        for mark in UNDONE_MARKS.iter().filter(|mark| line.contains(**mark)) {
            findings.push(Finding::at_line(&source.path, number, format!("holds `{mark}`")));
        }
    }
    match Product::of(source) {
        Ok(product) => {
            for name in UNDONE_MACROS {
                for line in product.lines_with(&[name, "!"]) {
                    findings.push(Finding::at_line(&source.path, line, format!("`{name}!`")));
                }
            }
        }
        Err(error) => findings.push(Finding::at(&source.path, error)),
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::fixture;

    fn found(path: &str, text: &str) -> usize {
        check(&[fixture(path, text)]).len()
    }

    #[test]
    fn a_file_past_the_limit_is_found() {
        assert_eq!(found("a.rs", &"\n".repeat(FILE_LINES_MAX)), 0);
        assert_eq!(found("a.rs", &"\n".repeat(FILE_LINES_MAX + 1)), 1);
    }

    #[test]
    fn what_is_left_undone_is_found() {
        assert_eq!(found("a.rs", "fn f() { todo!() }"), 1);
        assert_eq!(found("a.rs", "fn f() { unimplemented!(\"later\") }"), 1);
        for mark in UNDONE_MARKS {
            assert_eq!(found("a.rs", &format!("// {mark} later")), 1, "{mark}");
        }
        assert_eq!(found("a.rs", "fn todo() {} // todo!"), 0);
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        assert_eq!(found("crates/killick/src/utils.rs", ""), 1);
        assert_eq!(found("crates/killick/src/common/a.rs", ""), 1);
        assert_eq!(found("crates/killick/src/communion.rs", ""), 0);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_found() {
        assert_eq!(found("a.rs", "fn {"), 1);
    }
}
