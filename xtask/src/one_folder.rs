//! A protocol lives in one folder, a provider in one pack.
//!
//! The names are looked for in the whole text, comments included: a sentence about one protocol in
//! another's crate is the first sign that the two are growing together. Test code is exempt.

use crate::finding::Finding;
use crate::sources::Source;
use crate::tokens::Product;

/// A protocol's name, and the folders that may say it.
const PROTOCOLS: &[(&str, &[&str])] = &[
    ("graphql", &["crates/killick-adapter-http/"]),
    ("postgres", &["crates/killick-adapter-postgres/", "crates/killick-sql/"]),
];

/// Where the parts are put together or tried, so every name may stand.
const EXEMPT: &[&str] = &["crates/killick/src/adapters.rs", "crates/killick-testkit/", "xtask/"];

/// Where names and shapes of credentials are known at every host, whichever pack speaks for it: a stray one is
/// foreign everywhere. Protocols are looked for here all the same.
const KNOWN_CREDENTIALS: &[&str] = &[
    "crates/killick-adapter-http/src/credential/names.rs",
    "crates/killick-adapter-http/src/credential/shape.rs",
];

/// Providers whose name is a plain word too: looked for in string literals alone.
const PLAIN_WORDS: &[&str] = &["linear"];

/// Where the project itself lives. The address names a host, and no provider.
const HOME: &str = "github.com/killick-dev/killick";

/// Returns every line that names a protocol outside its folder, or a provider outside its pack.
pub(crate) fn check(sources: &[Source], providers: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        if source.is_test() || EXEMPT.iter().any(|exempt| source.path.starts_with(exempt)) {
            continue;
        }
        match Product::of(source) {
            Ok(product) => {
                let known = KNOWN_CREDENTIALS.contains(&source.path.as_str());
                let providers = if known { &[] } else { providers };
                findings.extend(named_in(source, &product, providers));
            }
            Err(error) => findings.push(Finding::at(&source.path, error)),
        }
    }
    findings
}

fn named_in(source: &Source, product: &Product, providers: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.numbered_lines() {
        let line = line.to_lowercase().replace(HOME, "");
        if product.is_test_line(number) {
            continue;
        }
        for (name, folders) in PROTOCOLS {
            if line.contains(name) && !folders.iter().any(|it| source.path.starts_with(it)) {
                let what = format!("names `{name}` outside of {}", folders.join(", "));
                findings.push(Finding::at_line(&source.path, number, what));
            }
        }
        for name in providers {
            if !PLAIN_WORDS.contains(&name.as_str()) && has_word(&line, name) {
                findings.push(provider_at(source, number, name));
            }
        }
    }
    for name in providers.iter().filter(|name| PLAIN_WORDS.contains(&name.as_str())) {
        let literals = product.tokens.iter().filter(|token| token.text.contains('"'));
        for literal in literals.filter(|token| has_word(&token.text.to_lowercase(), name)) {
            findings.push(provider_at(source, literal.line, name));
        }
    }
    findings
}

fn provider_at(source: &Source, line: usize, name: &str) -> Finding {
    let what = format!("names the provider `{name}`, which belongs in packs/{name}");
    Finding::at_line(&source.path, line, what)
}

/// Whether a line holds the name as a word or as a part of an identifier in snake case.
fn has_word(line: &str, name: &str) -> bool {
    line.split(|it: char| !it.is_ascii_alphanumeric() && it != '-')
        .any(|word| word == name || word.split('-').any(|part| part == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::fixture;

    fn found(path: &str, text: &str) -> usize {
        let providers = ["harbour", "fly-by", "linear"].map(str::to_owned);
        check(&[fixture(path, text)], &providers).len()
    }

    #[test]
    fn a_protocol_outside_its_folder_is_found_in_code_comments_and_strings() {
        for text in [
            "fn parse_graphql() {}",
            "// only for GraphQL",
            "const KIND: &str = \"graphql\";",
            "struct GraphQlCall;",
            "//! PostgreSQL",
        ] {
            assert_eq!(found("crates/killick-gate/src/lib.rs", text), 1, "{text}");
        }
        assert_eq!(found("crates/killick-adapter-http/src/a.rs", "// like postgres"), 1);
        assert_eq!(found("crates/killick-adapter-postgres/src/a.rs", "// like graphql"), 1);
    }

    #[test]
    fn a_protocol_in_its_folder_passes() {
        assert_eq!(found("crates/killick-adapter-http/src/graphql.rs", "mod graphql {}"), 0);
        assert_eq!(found("crates/killick-sql/src/lib.rs", "//! Postgres"), 0);
        assert_eq!(found("crates/killick/src/adapters.rs", "// graphql, postgres"), 0);
    }

    #[test]
    fn a_provider_is_named_by_no_crate_at_all() {
        for text in ["fn harbour_login() {}", "// like Harbour", "const H: &str = \"fly-by.dev\";"]
        {
            assert_eq!(found("crates/killick-adapter-http/src/a.rs", text), 1, "{text}");
        }
        assert_eq!(found("crates/killick-model/src/a.rs", "// harbours, sharbour"), 0);
    }

    #[test]
    fn the_projects_own_address_names_no_provider() {
        let check = |text: &str| {
            let providers = ["github".to_owned()];
            super::check(&[fixture("crates/killick-model/src/a.rs", text)], &providers).len()
        };
        assert_eq!(check("// https://github.com/killick-dev/killick/blob/main/docs"), 0);
        assert_eq!(check("// https://github.com/killick-dev/killick and GitHub"), 1);
        assert_eq!(check("// https://github.com/another/killick"), 1);
    }

    #[test]
    fn a_provider_with_a_plain_name_is_found_where_it_is_data() {
        assert_eq!(found("crates/killick-model/src/a.rs", "// a linear scan\nfn linear() {}"), 0);
        assert_eq!(
            found("crates/killick-model/src/a.rs", "const A: &str = \"api.Linear.app\";"),
            1
        );
    }

    #[test]
    fn tests_may_name_what_they_try() {
        assert_eq!(found("crates/killick/tests/e2e.rs", "// graphql, harbour"), 0);
        let text = "#[cfg(test)]\nmod tests {\n  const A: &str = \"graphql\";\n}\n// graphql";
        assert_eq!(found("crates/killick-gate/src/lib.rs", text), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_found() {
        assert_eq!(found("crates/killick-gate/src/lib.rs", "fn {"), 1);
    }
}
