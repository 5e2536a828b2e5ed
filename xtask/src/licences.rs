//! Every dependency has a licence that `deny.toml` allows, and comes from the registry.
//!
//! `cargo deny` reads the same file and checks more; this needs nothing but cargo.

use crate::Failure;
use crate::finding::Finding;
use serde_json::Value;
use std::collections::HashSet;

/// What `deny.toml` says about licences.
struct Rules {
    allowed: Vec<String>,
    /// For packages that ship the text without naming the licence.
    clarified: Vec<(String, String)>,
}

/// Returns every package of `cargo metadata` that the rules refuse.
pub(crate) fn check(metadata: &Value, deny: &str) -> Result<Vec<Finding>, Failure> {
    let rules = Rules::read(deny)?;
    let reachable: HashSet<&str> = metadata
        .pointer("/resolve/nodes")
        .and_then(Value::as_array)
        .ok_or("cargo metadata has no resolved graph")?
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let mut findings = Vec::new();
    for package in packages {
        if !package["id"].as_str().is_some_and(|id| reachable.contains(id)) {
            continue;
        }
        let name = package["name"].as_str().unwrap_or_default();
        if let Some(source) = package["source"].as_str().filter(|it| !it.starts_with("registry+")) {
            findings.push(Finding::at(name, format!("comes from `{source}`, not the registry")));
        }
        let clarified =
            rules.clarified.iter().find(|(of, _)| of == name).map(|(_, it)| it.as_str());
        match package["license"].as_str().or(clarified) {
            None => findings.push(Finding::at(name, "names no licence")),
            Some(expression) => {
                if let Err(why) = allows(expression, &rules.allowed) {
                    findings.push(Finding::at(name, format!("`{expression}`: {why}")));
                }
            }
        }
    }
    Ok(findings)
}

impl Rules {
    fn read(deny: &str) -> Result<Self, Failure> {
        let deny: toml::Table = deny.parse()?;
        let licences = deny.get("licenses").and_then(|it| it.as_table()).ok_or("no [licenses]")?;
        let strings =
            |key: &str| licences.get(key).and_then(|it| it.as_array()).into_iter().flatten();
        let allowed = strings("allow").filter_map(|it| it.as_str().map(str::to_owned)).collect();
        let clarified = strings("clarify")
            .filter_map(|it| {
                let text = |key: &str| it.get(key)?.as_str().map(str::to_owned);
                Some((text("crate")?, text("expression")?))
            })
            .collect();
        Ok(Self { allowed, clarified })
    }
}

/// Whether an SPDX expression can be met with the allowed licences alone.
fn allows(expression: &str, allowed: &[String]) -> Result<(), String> {
    // Before SPDX, a slash stood for "or".
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Expression { words: &words, allowed };
    let met = reader.alternatives()?;
    match (met, reader.words) {
        (true, []) => Ok(()),
        (false, []) => Err("not among the licences that deny.toml allows".to_owned()),
        (_, [word, ..]) => Err(format!("cannot be read at `{word}`")),
    }
}

/// A reader of SPDX expressions, by recursive descent.
struct Expression<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl Expression<'_> {
    fn alternatives(&mut self) -> Result<bool, String> {
        let mut met = self.conjunction()?;
        while self.eat("OR") {
            met |= self.conjunction()?;
        }
        Ok(met)
    }

    fn conjunction(&mut self) -> Result<bool, String> {
        let mut met = self.term()?;
        while self.eat("AND") {
            met &= self.term()?;
        }
        Ok(met)
    }

    fn term(&mut self) -> Result<bool, String> {
        if self.eat("(") {
            let met = self.alternatives()?;
            return if self.eat(")") { Ok(met) } else { Err("unbalanced".to_owned()) };
        }
        let mut name = self.next()?.to_owned();
        if self.eat("WITH") {
            name = format!("{name} WITH {}", self.next()?);
        }
        Ok(self.allowed.contains(&name))
    }

    fn next(&mut self) -> Result<&str, String> {
        let (word, rest) = self.words.split_first().ok_or("ends too early")?;
        self.words = rest;
        Ok(word)
    }

    fn eat(&mut self, wanted: &str) -> bool {
        match self.words.split_first() {
            Some((word, rest)) if *word == wanted => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DENY: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"]
        [[licenses.clarify]]
        crate = "silent"
        expression = "MIT"
    "#;

    fn found(name: &str, licence: Option<&str>, source: &str) -> usize {
        let metadata = json!({
            "packages": [{ "id": "a", "name": name, "license": licence, "source": source }],
            "resolve": { "nodes": [{ "id": "a" }] },
        });
        check(&metadata, DENY).unwrap().len()
    }

    #[test]
    fn a_licence_that_is_not_allowed_is_found() {
        for licence in
            ["GPL-3.0-only", "AGPL-3.0", "BUSL-1.1", "MIT AND GPL-2.0", "(MIT OR ISC) AND GPL-2.0"]
        {
            assert_eq!(found("x", Some(licence), "registry+r"), 1, "{licence}");
        }
    }

    #[test]
    fn a_choice_with_an_allowed_way_out_passes() {
        for licence in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-2.0 OR MIT",
            "ISC AND (Apache-2.0 OR GPL-2.0)",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
        ] {
            assert_eq!(found("x", Some(licence), "registry+r"), 0, "{licence}");
        }
    }

    #[test]
    fn an_expression_that_cannot_be_read_is_found() {
        for licence in ["", "MIT MIT", "(MIT", "MIT OR", "MIT)", "MIT WITH"] {
            assert_eq!(found("x", Some(licence), "registry+r"), 1, "{licence}");
        }
    }

    #[test]
    fn a_package_without_a_licence_is_found_unless_clarified() {
        assert_eq!(found("x", None, "registry+r"), 1);
        assert_eq!(found("silent", None, "registry+r"), 0);
    }

    #[test]
    fn a_package_from_elsewhere_is_found() {
        assert_eq!(found("x", Some("MIT"), "git+ssh://somewhere"), 1);
    }

    #[test]
    fn a_graph_that_was_not_resolved_clears_nothing() {
        assert!(check(&json!({ "packages": [] }), DENY).is_err());
    }
}
