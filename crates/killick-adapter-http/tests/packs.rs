//! The shipped packs load; a pack with mistakes is refused with every one of them, by file and line.
#![expect(clippy::panic, clippy::expect_used, reason = "tests stop at a surprise")]

use std::collections::BTreeMap;
use std::path::Path;

use killick_adapter_http::pack::source::{check, load_dir};
use killick_adapter_http::pack::{Drift, Pack, Problem, drift, load};
use proptest::prelude::*;

const PACK: &str = r#"schema_version = 1
name = "demo"
title = "Demo"
[provenance]
source = "written for this test"
license = "MIT"
retrieved = "2026-11-22"
[[upstream]]
hosts = ["api.demo.example", "*.eu.demo.example"]
port = 443
[graphql]
paths = ["/graphql", "/v/*/graphql.json"]
schema = "schema.graphql"
reveals = ["Box.key"]
[credential]
headers = ["X-Demo-Key"]
inject = "bearer"
surrogate = "hex:32"
[environment]
production = ["production"]
"#;

const OPERATIONS: &str = r#"[query.box]
effect = "read"
objects = [{ kind = "box", arg = "id" }]
[mutation.boxDelete]
effect = "destroy"
irreversible = true
why = "removes the box"
objects = [{ kind = "box", arg = "input.ids[*]" }]
recovery = { defer = "1h" }
[mutation.boxUpdate]
effect = "write"
objects = [{ kind = "box", arg = "input.ids[*]" }]
[[mutation.boxUpdate.when]]
arg = "input.wipe"
equals = true
effect = "destroy"
irreversible = true
why = "wipe empties it"
[rest."DELETE /boxes/{id}"]
effect = "destroy"
irreversible = true
why = "removes the box"
objects = [{ kind = "box", arg = "id" }]
"#;

const RESOLVERS: &str = r#"[resolver.box]
query = "query($id: ID!) { box(id: $id) { id name } }"
variables = { id = "{id}" }
node = "$.data.box"
where = "id"
facts = { name = "$.name", environment = "$.name" }
"#;

const SCHEMA: &str = "type Query { box(id: ID!): Box }
type Mutation { boxDelete(input: BoxesInput!): Boolean boxUpdate(input: BoxesInput!): Box }
input BoxesInput { ids: [ID!]! wipe: Boolean }
type Box { id: ID! name: String key: String }
";

fn files(changes: &[(&str, &str, &str)]) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = [
        ("pack.toml", PACK),
        ("operations.toml", OPERATIONS),
        ("resolvers.toml", RESOLVERS),
        ("schema.graphql", SCHEMA),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .collect();
    for (file, old, new) in changes {
        let text = files.get_mut(*file).expect("a file of the pack");
        assert!(text.contains(old), "`{old}` is not in {file}");
        *text = text.replacen(old, new, 1);
    }
    files
}

fn problems(changes: &[(&str, &str, &str)]) -> Vec<Problem> {
    load("demo", &files(changes)).err().unwrap_or_default()
}

fn demo() -> Pack {
    load("demo", &files(&[])).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn every_shipped_pack_is_without_mistake() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs");
    let packs = load_dir(&dir).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let names: Vec<&str> = packs.iter().map(|pack| pack.name.as_str()).collect();
    assert!(names.contains(&"railway"), "{names:?}");
    for name in names {
        assert_eq!(check(&dir.join(name)), [], "{name}");
    }
}

#[test]
fn every_mistake_is_told_with_its_line() {
    const O: &str = "operations.toml";
    const P: &str = "pack.toml";
    const R: &str = "resolvers.toml";
    let mut missed = Vec::new();
    for (file, old, new, line, message) in [
        (P, "schema_version = 1", "schema_version = 2", 1, "format 2"),
        (P, "name = \"demo\"", "name = \"other\"", 2, "its folder"),
        (P, "name = \"demo\"", "name = \"De mo\"", 2, "no name"),
        (P, "title = \"Demo\"\n", "", 1, "`title`"),
        (P, "license = \"MIT\"", "licence = \"MIT\"", 6, "does not know the key `licence`"),
        (P, "source = \"written for this test\"", "source = \" \"", 5, "is empty"),
        (P, "api.demo.example\"", "API.demo.example:443\"", 9, "no host name"),
        (P, "api.demo.example\"", "127.1\"", 9, "no host name"),
        (P, "port = 443", "port = 70000", 10, "a whole number in range"),
        (P, "\"/graphql\"", "\"graphql\"", 12, "no request path"),
        (P, "schema.graphql", "other.graphql", 0, "is missing"),
        (P, "Box.key", "Boxkey", 14, "Type.field"),
        (P, "inject = \"bearer\"", "inject = \"magic\"", 17, "no way to put a credential"),
        (P, "hex:32", "hex:1", 18, "no shape of surrogates"),
        (P, "production = [\"production\"]", "names = []", 19, "`production`"),
        (P, "production = [\"production\"]", "production = [", 20, "not TOML"),
        (O, "effect = \"read\"", "effect = \"reed\"", 2, "no effect"),
        (O, "effect = \"read\"\n", "", 1, "has no `effect`"),
        (O, "arg = \"id\"", "arg = \"ident\"", 3, "has no argument `ident`"),
        (O, "arg = \"id\"", "arg = \"id..x\"", 3, "no path to an argument"),
        (O, "arg = \"input.ids[*]\"", "arg = \"input.id\"", 8, "has no field `id`"),
        (O, "arg = \"input.ids[*]\"", "arg = \"input[*].ids\"", 8, "no list"),
        (O, "kind = \"box\"", "kind = \"bocks\"", 3, "has no kind `bocks`"),
        (O, "irreversible = true\nwhy", "why", 4, "does not say `irreversible`"),
        (O, "why = \"removes the box\"\n", "", 4, "does not say `why`"),
        (O, "defer = \"1h\"", "defer = \"1 hour\"", 9, "no duration"),
        (O, "{ defer = \"1h\" }", "{ point = \"snap\" }", 9, "has no point `snap`"),
        (O, "equals = true", "equals = true\npresent = true", 13, "2 conditions"),
        (O, "equals = true\n", "", 13, "0 conditions"),
        (
            O,
            "equals = true\neffect = \"destroy\"",
            "equals = true\neffect = \"read\"",
            13,
            "milder",
        ),
        (O, "arg = \"input.wipe\"", "arg = \"input.wype\"", 14, "has no field `wype`"),
        (O, "[mutation.boxUpdate]", "[mutation.boxUpdat]", 10, "the schema has no mutation"),
        (O, "[query.box]", "[querry.box]", 1, "does not know the key `querry`"),
        (O, "DELETE /boxes/{id}", "DELETE boxes/{id}", 19, "no REST operation"),
        (O, "DELETE /boxes/{id}", "DELETE /boxes/{name}", 23, "no segment `id`"),
        (R, "box(id: $id) { id name }", "box(id: $id) { id nome }", 2, "not valid for the schema"),
        (R, "query($id: ID!) { box", "mutation($id: ID!) { box", 2, "wanted is a query"),
        (R, "{id}\"", "{value}\"", 3, "has no value here"),
        (R, "$.data.box", "$.data[", 4, "no JSONPath"),
        (R, "node = \"$.data.box\"\n", "", 1, "needs `node`"),
        (R, "where", "were", 5, "does not know the key `were`"),
    ] {
        let found = problems(&[(file, old, new)]);
        let fits = |problem: &Problem| {
            problem.file == file && problem.line == line && problem.message.contains(message)
        };
        if !found.iter().any(fits) {
            missed.push(format!("{new}: wanted {file}:{line} `{message}`, got {found:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn no_mistake_hides_another() {
    let found = problems(&[
        ("pack.toml", "inject = \"bearer\"", "inject = \"magic\""),
        ("operations.toml", "effect = \"read\"", "effect = \"reed\""),
        ("operations.toml", "defer = \"1h\"", "defer = \"soon\""),
        ("resolvers.toml", "$.data.box", "$.data["),
    ]);
    let seen: Vec<(&str, usize)> =
        found.iter().map(|problem| (problem.file.as_str(), problem.line)).collect();
    for wanted in
        [("pack.toml", 17), ("operations.toml", 2), ("operations.toml", 9), ("resolvers.toml", 4)]
    {
        assert!(seen.contains(&wanted), "{wanted:?} is not in {seen:?}");
    }
    assert!(found.iter().all(|problem| !problem.help.is_empty()));
}

#[test]
fn a_field_of_the_schema_that_the_pack_does_not_know_is_a_mistake() {
    let found =
        problems(&[("schema.graphql", "type Mutation {", "type Mutation { boxBurn: Boolean")]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found.iter().all(|problem| problem.message.contains("mutation `boxBurn`")));
}

#[test]
fn hosts_and_paths_match_exactly() {
    let pack = demo();
    for (host, port, fits) in [
        ("api.demo.example", 443, true),
        ("west.eu.demo.example", 443, true),
        ("api.demo.example", 8443, false),
        ("a.b.eu.demo.example", 443, false),
        ("eu.demo.example", 443, false),
        (".eu.demo.example", 443, false),
        ("api.demo.example.attacker.test", 443, false),
        ("xapi.demo.example", 443, false),
    ] {
        assert_eq!(pack.answers_at(host, port), fits, "{host}:{port}");
    }
    for (path, fits) in [
        ("/graphql", true),
        ("/v/2026-01/graphql.json", true),
        ("/graphql/", false),
        ("/GRAPHQL", false),
        ("/v//graphql.json", false),
        ("/v/a/b/graphql.json", false),
    ] {
        assert_eq!(pack.is_graphql_path(path), fits, "{path}");
    }
}

#[test]
fn drift_names_what_the_pack_does_not_know() {
    let field = |name: &str, args: &[&str]| {
        let args: Vec<_> = args.iter().map(|arg| serde_json::json!({ "name": arg })).collect();
        serde_json::json!({ "name": name, "args": args })
    };
    let answer = serde_json::json!({ "data": { "__schema": {
        "queryType": { "name": "Query" },
        "mutationType": { "name": "Mutation" },
        "subscriptionType": null,
        "types": [
            { "name": "Query", "fields": [field("box", &["id", "deep"])] },
            { "name": "Mutation", "fields": [field("boxDelete", &["input"]), field("boxBurn", &[])] },
        ],
    } } });
    let text = |raw: &str| raw.to_owned();
    assert_eq!(
        drift(&demo(), &answer),
        Ok(vec![
            Drift::UnknownArgument {
                root: text("query"),
                name: text("box"),
                argument: text("deep")
            },
            Drift::UnknownOperation { root: text("mutation"), name: text("boxBurn") },
            Drift::Gone { root: text("mutation"), name: text("boxUpdate") },
        ])
    );
    for broken in [
        serde_json::json!({ "errors": [] }),
        serde_json::json!({ "data": { "__schema": { "types": 7 } } }),
        serde_json::json!({ "data": { "__schema": { "queryType": { "name": "Q" }, "types": [] } } }),
    ] {
        assert!(drift(&demo(), &broken).is_err(), "{broken}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_damaged_pack_is_refused_and_never_a_panic(
        at in 0_usize..600, len in 0_usize..40, new in "[ -~\n]{0,12}", which in 0_usize..4
    ) {
        let mut files = files(&[]);
        let name = ["pack.toml", "operations.toml", "resolvers.toml", "schema.graphql"]
            .get(which).copied().unwrap_or_default();
        if let Some(text) = files.get_mut(name) {
            let start = at.min(text.len());
            let end = start.saturating_add(len).min(text.len());
            text.replace_range(start..end, &new);
        }
        if let Err(problems) = load("demo", &files) {
            prop_assert!(!problems.is_empty());
        }
    }
}
