//! A page that names a test (`crate::test_name` in backticks) names one that is there.

use crate::finding::Finding;
use crate::sources::Source;

/// Returns every test that a page names and its crate does not have.
pub(crate) fn check(sources: &[Source], pages: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in pages {
        for (number, line) in page.numbered_lines() {
            for (folder, test) in line.split('`').skip(1).step_by(2).filter_map(named_test) {
                let head = format!("fn {test}(");
                let is_there = sources
                    .iter()
                    .any(|source| source.path.starts_with(&folder) && source.text.contains(&head));
                if !is_there {
                    let what = format!("names the test `{test}`, which is not in {folder}");
                    findings.push(Finding::at_line(&page.path, number, what));
                }
            }
        }
    }
    findings
}

/// Reads `crate::test_name` as the crate's folder and the test's name.
fn named_test(quoted: &str) -> Option<(String, &str)> {
    let (package, test) = quoted.split_once("::")?;
    let is_name = !test.is_empty()
        && test.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_');
    let folder = match package {
        "xtask" => "xtask/".to_owned(),
        _ if package == "killick" || package.starts_with("killick-") => {
            format!("crates/{package}/")
        }
        _ => return None,
    };
    is_name.then_some((folder, test))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::fixture;

    fn found(page: &str) -> usize {
        let sources = [
            fixture("crates/killick-gate/src/a.rs", "#[test]\nfn it_holds() {}"),
            fixture("crates/killick/tests/a.rs", "#[tokio::test]\nasync fn it_runs() {}"),
        ];
        check(&sources, &[fixture("THREATS.md", page)]).len()
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        assert_eq!(found("| `killick-gate::it_holds_not` |"), 1);
        assert_eq!(found("`killick-gate::it_runs`, `killick::it_holds`"), 2, "the wrong crate");
        assert_eq!(found("`killick-gone::it_holds`"), 1);
    }

    #[test]
    fn a_test_that_is_there_passes() {
        assert_eq!(found("`killick-gate::it_holds`, `killick::it_runs`"), 0);
    }

    #[test]
    fn other_code_in_backticks_names_no_test() {
        assert_eq!(found("`tokio::net::TcpStream`, `killick-gate::Gate`, `Code::ALL`"), 0);
    }
}
