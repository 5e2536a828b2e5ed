//! From texts to a checked [`Pack`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apollo_compiler::Schema;
use apollo_compiler::validation::Valid;
use killick_model::admin::Injection;

use super::toml_at::{File, Table};
use super::{GraphqlApi, HostSet, Pack, Problem, Provenance, SCHEMA_VERSION, check};
use crate::credential::Positions;

/// The most bytes of one file of a pack.
pub const PACK_FILE_BYTES_MAX: usize = 4 << 20;

pub(super) const PACK: &str = "pack.toml";
pub(super) const OPERATIONS: &str = "operations.toml";
pub(super) const RESOLVERS: &str = "resolvers.toml";

/// Reads a pack from its files (name to text). `folder` is the name that the pack must have.
///
/// # Errors
/// Every mistake that was found, by file and line.
pub fn load(folder: &str, files: &BTreeMap<String, String>) -> Result<Pack, Vec<Problem>> {
    let mut problems = Vec::new();
    let empty = String::new();
    let text = |name: &str| files.get(name).unwrap_or(&empty);
    for required in [PACK, OPERATIONS] {
        if !files.contains_key(required) {
            problems.push(whole_file(
                required,
                "the file is missing",
                "see docs/guide/pack-format.md",
            ));
        }
    }
    let file = File::new(PACK, text(PACK));
    let table = file.parse();
    let head = Table::root(&file, &table);
    let mut pack = identity(&head, folder);
    let schema_name = graphql(&head, &mut pack);
    head.close();
    problems.extend(file.into_problems());
    load_schema(schema_name, files, &mut pack, &mut problems);

    let file = File::new(RESOLVERS, text(RESOLVERS));
    super::resolvers_file::read(&file, &mut pack);
    problems.extend(file.into_problems());
    let file = File::new(OPERATIONS, text(OPERATIONS));
    super::operations_file::read(&file, &mut pack);
    problems.extend(file.into_problems());
    problems.extend(check::completeness(&pack));
    problems.sort();
    problems.dedup();
    if problems.is_empty() { Ok(pack) } else { Err(problems) }
}

pub(super) fn whole_file(file: &str, message: impl Into<String>, help: &str) -> Problem {
    Problem { file: file.to_owned(), line: 0, message: message.into(), help: help.to_owned() }
}

fn identity(head: &Table<'_, '_>, folder: &str) -> Pack {
    let version = head.need("schema_version", "write `schema_version = 1`");
    if let Some(number) = version.as_ref().and_then(super::toml_at::At::integer::<u32>)
        && number != SCHEMA_VERSION
        && let Some(at) = &version
    {
        at.problem(
            format!("the pack is written for format {number}, this gateway reads {SCHEMA_VERSION}"),
            "update the gateway, or take the pack of its version",
        );
    }
    let name = head.need("name", "write the folder's name");
    if let Some(at) = &name
        && let Some(text) = at.text()
    {
        let good =
            !text.is_empty() && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !good {
            at.problem(format!("`{text}` is no name"), "use a-z, 0-9 and -");
        } else if text != folder {
            at.problem(
                format!("the pack is named `{text}` and its folder `{folder}`"),
                "give both the same name",
            );
        }
    }
    let title = head.need("title", "write the provider's name for people");
    let mut pack = Pack {
        name: folder.to_owned(),
        title: title.and_then(|at| at.text()).unwrap_or_default().to_owned(),
        provenance: provenance(head),
        upstreams: upstreams(head),
        graphql: None,
        positions: Positions::default(),
        injection: Injection::Bearer,
        surrogate: "opaque".into(),
        variables: Vec::new(),
        production: BTreeSet::new(),
        operations: BTreeMap::new(),
        rest: Vec::new(),
        resolvers: BTreeMap::new(),
        points: BTreeMap::new(),
    };
    credential(head, &mut pack);
    if let Some(table) = head
        .need("environment", "say which names are production: `production = [\"production\"]`")
        .and_then(|at| at.table())
    {
        let names = table.need("production", "list the names that are production");
        for text in names.map(|at| at.texts()).unwrap_or_default() {
            if text != text.to_ascii_lowercase() {
                table.problem(format!("`{text}` is not lower case"), "write names in lower case");
            }
            pack.production.insert(text);
        }
        table.close();
    }
    pack
}

fn provenance(head: &Table<'_, '_>) -> Provenance {
    const HELP: &str =
        "say where the description of the API comes from, under which license, and when";
    let mut found =
        Provenance { source: String::new(), license: String::new(), retrieved: String::new() };
    let Some(table) = head.need("provenance", HELP).and_then(|at| at.table()) else { return found };
    let text = |key| {
        let at = table.need(key, HELP)?;
        let text = at.text()?;
        if text.trim().is_empty() {
            at.problem(format!("`{}` is empty", at.path), HELP);
        }
        Some(text.to_owned())
    };
    found.source = text("source").unwrap_or_default();
    found.license = text("license").unwrap_or_default();
    found.retrieved = text("retrieved").unwrap_or_default();
    table.close();
    found
}

fn upstreams(head: &Table<'_, '_>) -> Vec<HostSet> {
    const HELP: &str = "write `[[upstream]]` with `hosts` and `port`";
    let Some(items) = head.need("upstream", HELP).and_then(|at| at.items()) else {
        return Vec::new();
    };
    let mut sets = Vec::new();
    for item in items {
        let Some(table) = item.table() else { continue };
        let hosts = table.need("hosts", HELP).map(|at| (at.texts(), at));
        let port = table.need("port", HELP).and_then(|at| at.integer::<u16>()).unwrap_or(443);
        if let Some((hosts, at)) = hosts {
            for host in &hosts {
                let name = host.strip_prefix("*.").unwrap_or(host);
                if crate::head::Authority::parse(name, port).is_err() || name.contains(':') {
                    at.problem(
                        format!("`{host}` is no host name"),
                        "write a lower-case DNS name, or `*.` and a name",
                    );
                }
            }
            if hosts.is_empty() {
                at.problem("an upstream without hosts", HELP);
            }
            sets.push(HostSet { hosts, port });
        }
        table.close();
    }
    sets
}

fn credential(head: &Table<'_, '_>, pack: &mut Pack) {
    const HELP: &str =
        "say where a credential stands: `inject = \"bearer\"`, `surrogate = \"opaque\"`";
    let Some(table) = head.need("credential", HELP).and_then(|at| at.table()) else { return };
    let texts = |key| table.get(key).map(|at| at.texts()).unwrap_or_default();
    pack.positions = Positions {
        headers: texts("headers").iter().map(|name| name.to_ascii_lowercase()).collect(),
        query: texts("query"),
        body: texts("body"),
    };
    if let Some(at) = table.get("env") {
        pack.variables = at.texts();
        let is_name = |text: &String| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        };
        for text in pack.variables.iter().filter(|text| !is_name(text)) {
            at.problem(format!("`{text}` is no environment variable"), "use A-Z, 0-9 and _");
        }
    }
    if let Some(at) = table.need("inject", HELP)
        && let Some(text) = at.text()
    {
        match Injection::parse(text) {
            Some(injection) => pack.injection = injection,
            None => at.problem(
                format!("`{text}` is no way to put a credential into a call"),
                "write bearer, basic, header:NAME, query:NAME or cookie:NAME",
            ),
        }
    }
    if let Some(at) = table.need("surrogate", HELP)
        && let Some(text) = at.text()
    {
        if is_surrogate(text) {
            text.clone_into(&mut pack.surrogate);
        } else {
            at.problem(
                format!("`{text}` is no shape of surrogates"),
                "write uuid, hex:N, alnum:PREFIX:N or opaque",
            );
        }
    }
    table.close();
}

fn is_surrogate(text: &str) -> bool {
    let length = |digits: &str| digits.parse::<u16>().is_ok_and(|n| (16..=512).contains(&n));
    match text.split_once(':') {
        None => matches!(text, "uuid" | "opaque"),
        Some(("hex", digits)) => length(digits),
        Some(("alnum", rest)) => rest.rsplit_once(':').is_some_and(|(_, digits)| length(digits)),
        Some(_) => false,
    }
}

// Returns the name of the schema's file.
fn graphql(head: &Table<'_, '_>, pack: &mut Pack) -> Option<String> {
    let table = head.get("graphql").and_then(|at| at.table())?;
    let paths = table.need("paths", "list the exact request paths that speak GraphQL");
    let mut api = GraphqlApi { paths: Vec::new(), schema: None, reveals: BTreeSet::new() };
    if let Some(at) = paths {
        api.paths = at.texts();
        for path in api.paths.iter().filter(|path| !path.starts_with('/') || path.contains('?')) {
            at.problem(format!("`{path}` is no request path"), "begin with `/`, without query");
        }
        if api.paths.is_empty() {
            at.problem("GraphQL without a path", "list at least one");
        }
    }
    if let Some(at) = table.get("reveals") {
        for item in at.items().unwrap_or_default() {
            match item.text().and_then(|text| text.split_once('.')) {
                Some((ty, field)) if !ty.is_empty() && !field.is_empty() => {
                    api.reveals.insert((ty.to_owned(), field.to_owned()));
                }
                Some(_) | None => {
                    item.problem("a coordinate is written `Type.field`", "correct it");
                }
            }
        }
    }
    let schema = table.get("schema").and_then(|at| at.text()).map(str::to_owned);
    table.close();
    pack.graphql = Some(api);
    schema
}

fn load_schema(
    name: Option<String>,
    files: &BTreeMap<String, String>,
    pack: &mut Pack,
    problems: &mut Vec<Problem>,
) {
    let Some(name) = name else { return };
    let Some(text) = files.get(&name) else {
        problems.push(whole_file(
            PACK,
            format!("the schema `{name}` is missing"),
            "name `schema.graphql` and put it into the folder",
        ));
        return;
    };
    match parse_schema(text) {
        Ok(schema) => {
            if let Some(api) = &mut pack.graphql {
                api.schema = Some(Arc::new(schema));
            }
        }
        Err(found) => problems.extend(found.into_iter().map(|(line, message)| Problem {
            file: name.clone(),
            line,
            message,
            help: "correct the schema, or leave it out".into(),
        })),
    }
}

fn parse_schema(text: &str) -> Result<Valid<Schema>, Vec<(usize, String)>> {
    Schema::parse_and_validate(text, "schema.graphql").map_err(|failed| {
        failed
            .errors
            .iter()
            .map(|error| {
                let line = error.line_column_range().map_or(0, |range| range.start.line);
                (line, error.error.to_string())
            })
            .collect()
    })
}
