//! Every refusal code has its page in `docs/refusals/`, and every page its code.

use crate::finding::Finding;
use crate::sources::Source;
use crate::tokens::Product;

const CODES: &str = "crates/killick-model/src/refusal.rs";
const PAGES: &str = "docs/refusals/";

/// Returns every code without a page and every page without a code, once there are pages.
pub(crate) fn check(sources: &[Source], pages: &[Source]) -> Vec<Finding> {
    let pages: Vec<&str> = pages
        .iter()
        .filter_map(|page| page.path.strip_prefix(PAGES)?.strip_suffix(".md"))
        .filter(|name| *name != "README")
        .collect();
    if pages.is_empty() {
        return Vec::new();
    }
    let codes = match sources.iter().find(|source| source.path == CODES).map(codes) {
        Some(Ok(codes)) if !codes.is_empty() => codes,
        Some(Ok(_)) | None => {
            return vec![Finding::at(CODES, "holds no `Variant = \"code\", 403;`")];
        }
        Some(Err(error)) => return vec![Finding::at(CODES, error)],
    };
    let mut findings = Vec::new();
    for code in codes.iter().filter(|code| !pages.contains(&code.as_str())) {
        findings.push(Finding::at(CODES, format!("`{code}` has no page {PAGES}{code}.md")));
    }
    for page in pages.iter().filter(|page| !codes.iter().any(|code| code == *page)) {
        findings.push(Finding::at(format!("{PAGES}{page}.md"), "is the page of no code"));
    }
    findings
}

/// Reads `Variant = "code", 403;` out of the source.
fn codes(source: &Source) -> Result<Vec<String>, String> {
    let tokens = Product::of(source)?.tokens;
    let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    Ok(texts
        .windows(5)
        .filter_map(|window| match window {
            ["=", code, ",", status, ";"] if status.bytes().all(|it| it.is_ascii_digit()) => {
                Some(code.strip_prefix('"')?.strip_suffix('"')?.to_owned())
            }
            _ => None,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::fixture;

    const MODEL: &str =
        "codes! {\n/// So.\nFrozen = \"frozen\", 403;\nTooMany = \"too-many\", 429;\n}";

    fn found(model: &str, pages: &[&str]) -> usize {
        let pages: Vec<Source> =
            pages.iter().map(|name| fixture(&format!("{PAGES}{name}.md"), "")).collect();
        check(&[fixture(CODES, model)], &pages).len()
    }

    #[test]
    fn each_code_has_its_page_and_each_page_its_code() {
        assert_eq!(found(MODEL, &["README", "frozen", "too-many"]), 0);
        assert_eq!(found(MODEL, &["frozen"]), 1, "a code without a page");
        assert_eq!(found(MODEL, &["frozen", "too-many", "melted"]), 1, "a page without a code");
    }

    #[test]
    fn pages_without_a_readable_list_of_codes_are_found() {
        assert_eq!(found("", &["frozen"]), 1);
        assert_eq!(found("fn {", &["frozen"]), 1);
    }
}
