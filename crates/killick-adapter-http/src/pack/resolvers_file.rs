//! Reading `resolvers.toml`.

use std::collections::BTreeMap;

use apollo_compiler::ast::OperationType;
use serde_json_path::JsonPath;

use super::check::document_problem;
use super::toml_at::{At, File, Table};
use super::{Further, Lookup, Pack, Point, Resolver};

const PLACEHOLDERS: [&str; 4] = ["{id}", "{in}", "{value}", "{point}"];

/// Reads every resolver and point into the pack. The schema must be there already.
pub(super) fn read(file: &File<'_>, pack: &mut Pack) {
    let table = file.parse();
    let root = Table::root(file, &table);
    if let Some(kinds) = root.get("resolver").and_then(|at| at.table()) {
        for (kind, at) in kinds.entries() {
            if let Some(found) = resolver(pack, &at) {
                pack.resolvers.insert(kind.to_owned(), found);
            }
        }
    }
    if let Some(points) = root.get("point").and_then(|at| at.table()) {
        for (name, at) in points.entries() {
            if let Some(found) = point(pack, &at) {
                pack.points.insert(name.to_owned(), found);
            }
        }
    }
    root.close();
}

// The outer option is whether it could be read, the inner one whether there is a read at all.
#[expect(clippy::option_option, reason = "unreadable, none, and a read are three things")]
fn resolver(pack: &Pack, at: &At<'_, '_>) -> Option<Option<Resolver>> {
    let table = at.table()?;
    if table.get("none").and_then(|at| at.bool()) == Some(true) {
        table.close();
        return Some(None);
    }
    let lookup = lookup(pack, &table, &["{id}", "{in}"]);
    let node = table
        .need("node", "say where the candidates stand: `node = \"$.data.volume\"`")
        .and_then(|at| json_path(&at));
    let key = table.get("where").and_then(|at| at.text()).map(str::to_owned);
    let facts = table.get("facts").map(|at| facts(&at)).unwrap_or_default();
    let mut then = Vec::new();
    for item in table.get("then").and_then(|at| at.items()).unwrap_or_default() {
        then.extend(further(pack, &item, &facts, &then));
    }
    let material = table.get("material").map(|at| material(&at, &facts, &then)).unwrap_or_default();
    table.close();
    Some(Some(Resolver { lookup: lookup?, node: node?, key, facts, then, material }))
}

fn lookup(pack: &Pack, table: &Table<'_, '_>, allowed: &[&str]) -> Option<Lookup> {
    let at = table.need("query", "write the read as a GraphQL query")?;
    let query = document(pack, &at, OperationType::Query)?;
    let variables = table.get("variables").map(|at| variables(&at, allowed)).unwrap_or_default();
    Some(Lookup { query, variables })
}

fn document(pack: &Pack, at: &At<'_, '_>, wanted: OperationType) -> Option<String> {
    let text = at.text()?;
    if let Some(message) = document_problem(pack, text, wanted) {
        at.problem(format!("`{}` is {message}", at.path), "correct the document");
    }
    Some(text.to_owned())
}

fn variables(at: &At<'_, '_>, allowed: &[&str]) -> BTreeMap<String, String> {
    let Some(table) = at.table() else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for (name, at) in table.entries() {
        let Some(text) = at.text() else { continue };
        for placeholder in PLACEHOLDERS {
            if text.contains(placeholder) && !allowed.contains(&placeholder) {
                at.problem(
                    format!("`{placeholder}` has no value here"),
                    format!("use {}", allowed.join(" or ")),
                );
            }
        }
        found.insert(name.to_owned(), text.to_owned());
    }
    found
}

fn json_path(at: &At<'_, '_>) -> Option<JsonPath> {
    let text = at.text()?;
    match JsonPath::parse(text) {
        Ok(path) => Some(path),
        Err(error) => {
            at.problem(format!("`{text}` is no JSONPath: {error}"), "see RFC 9535");
            None
        }
    }
}

fn facts(at: &At<'_, '_>) -> BTreeMap<String, JsonPath> {
    let Some(table) = at.table() else { return BTreeMap::new() };
    table.entries().filter_map(|(name, at)| Some((name.to_owned(), json_path(&at)?))).collect()
}

fn knows_fact(name: &str, facts: &BTreeMap<String, JsonPath>, then: &[Further]) -> bool {
    facts.contains_key(name) || then.iter().any(|further| further.facts.contains_key(name))
}

fn further(
    pack: &Pack,
    at: &At<'_, '_>,
    earlier: &BTreeMap<String, JsonPath>,
    then: &[Further],
) -> Option<Further> {
    let table = at.table()?;
    let for_each = table.need("for_each", "name an earlier fact").and_then(|at| {
        let text = at.text()?;
        if !knows_fact(text, earlier, then) {
            at.problem(format!("there is no earlier fact `{text}`"), "name one from `facts`");
        }
        Some(text.to_owned())
    });
    let lookup = lookup(pack, &table, &["{id}", "{in}", "{value}"]);
    let found = table.need("facts", "say what the answer tells").map(|at| facts(&at));
    table.close();
    Some(Further { for_each: for_each?, lookup: lookup?, facts: found? })
}

fn material(
    at: &At<'_, '_>,
    facts: &BTreeMap<String, JsonPath>,
    then: &[Further],
) -> BTreeMap<String, u8> {
    const HELP: &str = "write `{ tolerance_percent = 20 }` or `{ exact = true }`";
    let mut found = BTreeMap::new();
    let Some(table) = at.table() else { return found };
    for (name, at) in table.entries() {
        if !knows_fact(name, facts, then) {
            at.problem(format!("there is no fact `{name}`"), "name one from `facts`");
        }
        let Some(rule) = at.table() else { continue };
        let tolerance = rule.get("tolerance_percent").and_then(|at| at.integer::<u8>());
        let exact = rule.get("exact").and_then(|at| at.bool()) == Some(true);
        match (tolerance, exact) {
            (Some(percent), false) if percent <= 100 => {
                found.insert(name.to_owned(), percent);
            }
            (None, true) => {
                found.insert(name.to_owned(), 0);
            }
            (_, _) => rule.problem(format!("`{}` says no tolerance", rule.path), HELP),
        }
        rule.close();
    }
    found
}

fn point(pack: &Pack, at: &At<'_, '_>) -> Option<Point> {
    let table = at.table()?;
    let make = table
        .need("make", "write the mutation that makes the point")
        .and_then(|at| document(pack, &at, OperationType::Mutation));
    let variables =
        table.get("variables").map(|at| variables(&at, &["{value}"])).unwrap_or_default();
    let list = table
        .need("list", "write the query that lists points")
        .and_then(|at| document(pack, &at, OperationType::Query));
    let found =
        table.need("found", "say where the ids of points stand").and_then(|at| json_path(&at));
    let lock = table.get("lock").and_then(|at| document(pack, &at, OperationType::Mutation));
    let for_each = table
        .need("for_each", "name the fact for whose values the point is made")
        .and_then(|at| at.text())
        .map(str::to_owned);
    let lives_on = table
        .need("lives_on", "name the kind of object that takes the point with it")
        .and_then(|at| {
            let text = at.text()?;
            if !pack.resolvers.contains_key(text) {
                at.problem(format!("there is no kind `{text}`"), "name a kind with a resolver");
            }
            Some(text.to_owned())
        });
    table.close();
    Some(Point {
        make: Lookup { query: make?, variables },
        for_each: for_each?,
        list: list?,
        found: found?,
        lock,
        lives_on: lives_on?,
    })
}
