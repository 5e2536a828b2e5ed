//! Every ADR is listed, and every local link leads somewhere.

use crate::finding::Finding;
use crate::sources::Source;

const ADR_FOLDER: &str = "docs/adr/";
const ADR_LIST: &str = "docs/adr/README.md";

/// Returns every ADR that the list leaves out, and every local link to nothing.
pub(crate) fn check(pages: &[Source], exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = unlisted_adrs(pages);
    findings.extend(dead_links(pages, exists));
    findings
}

fn unlisted_adrs(pages: &[Source]) -> Vec<Finding> {
    let list = pages.iter().find(|page| page.path == ADR_LIST);
    let listed: Vec<String> = list.map(local_links).unwrap_or_default();
    pages
        .iter()
        .filter(|page| page.path.starts_with(ADR_FOLDER) && page.path != ADR_LIST)
        .filter(|page| !listed.contains(&page.path))
        .map(|page| Finding::at(&page.path, format!("is not listed in {ADR_LIST}")))
        .collect()
}

fn dead_links(pages: &[Source], exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in pages {
        for link in local_links(page).into_iter().filter(|link| !exists(link)) {
            findings
                .push(Finding::at(&page.path, format!("links to `{link}`, which is not there")));
        }
    }
    findings
}

/// Returns what a page links to inside the repository, as paths from its root, outside code blocks.
fn local_links(page: &Source) -> Vec<String> {
    let mut in_code = false;
    let mut links = Vec::new();
    for line in page.text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for after in line.split("](").skip(1) {
            let target = after.split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                links.push(resolve(&page.path, target));
            }
        }
    }
    links
}

/// Resolves a link against the page it stands on.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::fixture;

    #[test]
    fn an_adr_that_is_not_listed_is_found() {
        let list = fixture(ADR_LIST, "[one](0001-one.md)");
        let (one, two) = (fixture("docs/adr/0001-one.md", ""), fixture("docs/adr/0002-two.md", ""));
        let all = |_: &str| true;
        assert_eq!(check(&[list.clone(), one.clone()], all), []);
        assert_eq!(check(&[list, one.clone(), two], all).len(), 1);
        assert_eq!(check(&[one], all).len(), 1, "no list at all");
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        let page =
            fixture("docs/guide/a.md", "see [b](b.md#part) and [c](../c.md), [d](https://d)");
        assert_eq!(
            check(std::slice::from_ref(&page), |path| path == "docs/guide/b.md"
                || path == "docs/c.md"),
            []
        );
        let found = check(&[page], |path| path == "docs/guide/b.md");
        assert_eq!(found.len(), 1);
        assert!(found.iter().all(|finding| finding.what.contains("docs/c.md")));
    }

    #[test]
    fn code_blocks_hold_no_links() {
        let page = fixture("a.md", "```\n[x](y.md)\n```\n[x](z.md)");
        assert_eq!(check(&[page], |_| false).len(), 1);
    }
}
