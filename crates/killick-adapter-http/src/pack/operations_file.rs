//! Reading `operations.toml`.

use killick_model::time::parse_duration_millis;
use killick_model::{BackupsFate, Effect, Facet, Recovery};
use serde_json_path::JsonPath;

use super::check::{self, Arguments};
use super::operation::{ArgPath, ArgRef, Condition, CreatesRule, ObjectRule, Operation, When};
use super::operation::{RestPattern, RestSegment};
use super::toml_at::{At, File, Table};
use super::{Pack, Root};
use crate::judge::ACCOUNT;

const EFFECTS: &str = "write read, write, destroy, administer or unrecognized";

/// Reads every operation into the pack. Schema and resolvers must be there already.
pub(super) fn read(file: &File<'_>, pack: &mut Pack) {
    let table = file.parse();
    let root_table = Table::root(file, &table);
    for (root, word) in Root::ALL {
        let Some(operations) = root_table.get(word).and_then(|at| at.table()) else { continue };
        for (name, at) in operations.entries() {
            let arguments = check::arguments(pack, root, name);
            if let Arguments::NoSuchField = arguments {
                at.problem(
                    format!("the schema has no {word} `{name}`"),
                    "remove the operation, or update the schema",
                );
            }
            let Some(operation) = operation(pack, &at, &arguments) else { continue };
            pack.operations.insert((root, name.to_owned()), operation);
        }
    }
    if let Some(operations) = root_table.get("rest").and_then(|at| at.table()) {
        for (text, at) in operations.entries() {
            let Some(pattern) = RestPattern::parse(text) else {
                at.problem(
                    format!("`{text}` is no REST operation"),
                    "write `METHOD /path/{segment}`, with `{rest*}` as the last segment at most",
                );
                continue;
            };
            let arguments = Arguments::Segments(segments(&pattern));
            let Some(operation) = operation(pack, &at, &arguments) else { continue };
            pack.rest.push((pattern, operation));
        }
    }
    root_table.close();
}

fn segments(pattern: &RestPattern) -> Vec<String> {
    pattern
        .segments
        .iter()
        .filter_map(|segment| match segment {
            RestSegment::Literal(_) => None,
            RestSegment::Named(name) | RestSegment::Rest(name) => Some(name.clone()),
        })
        .collect()
}

/// What an operation and a `when` have in common.
struct Judgement {
    effect: Option<Effect>,
    irreversible: Option<bool>,
    facets: Vec<Facet>,
    backups: Option<BackupsFate>,
    objects: Vec<ObjectRule>,
    answer_secrets: Vec<String>,
    recovery: Recovery,
    why: String,
}

fn operation(pack: &Pack, at: &At<'_, '_>, arguments: &Arguments) -> Option<Operation> {
    let table = at.table()?;
    let found = judgement(pack, &table, arguments);
    let effect = found.effect.unwrap_or_else(|| {
        table.problem(format!("`{}` has no `effect`", table.path), EFFECTS);
        Effect::Unrecognized
    });
    let effect = found.facets.iter().fold(effect, |effect, facet| effect.with(*facet));
    let mild = effect.word().level() <= Effect::WRITE.word().level();
    if !mild && effect != Effect::Unrecognized && found.irreversible.is_none() {
        table.problem(
            format!("`{}` destroys or administers and does not say `irreversible`", table.path),
            "write `irreversible = true` unless an inverse call brings it back",
        );
    }
    if effect != Effect::READ && found.why.is_empty() && !mild {
        table.problem(
            format!("`{}` does not say `why`", table.path),
            "write one sentence for people",
        );
    }
    let mut whens = Vec::new();
    if let Some(list) = table.get("when") {
        for item in list.items().unwrap_or_default() {
            whens.extend(when(pack, &item, arguments, effect));
        }
    }
    let creates = table.get("creates").and_then(|at| creates(pack, &at));
    table.close();
    let backups =
        found.backups.unwrap_or(if mild { BackupsFate::Survive } else { BackupsFate::Unknown });
    Some(Operation {
        effect,
        irreversible: found.irreversible.unwrap_or(!mild),
        backups,
        objects: found.objects,
        whens,
        creates,
        answer_secrets: found.answer_secrets,
        recovery: found.recovery,
        why: found.why,
    })
}

fn judgement(pack: &Pack, table: &Table<'_, '_>, arguments: &Arguments) -> Judgement {
    let mut facets = Vec::new();
    for item in table.get("facets").and_then(|at| at.items()).unwrap_or_default() {
        match item.text().map(facet) {
            Some(Some(facet)) => facets.push(facet),
            Some(None) => item.problem(
                "no such facet",
                "write administers, reveals, outward or deferred; `unbounded = true` is a key of its own",
            ),
            None => {}
        }
    }
    if table.get("unbounded").and_then(|at| at.bool()) == Some(true) {
        facets.push(Facet::Unbounded);
    }
    let mut objects = Vec::new();
    if let Some(list) = table.get("objects") {
        for item in list.items().unwrap_or_default() {
            objects.extend(object(pack, &item, arguments));
        }
    }
    let answer_secrets = table.get("answer_secrets").map(|at| json_paths(&at)).unwrap_or_default();
    if !answer_secrets.is_empty() {
        facets.push(Facet::Reveals);
    }
    Judgement {
        effect: table.get("effect").and_then(|at| effect(&at)),
        irreversible: table.get("irreversible").and_then(|at| at.bool()),
        facets,
        backups: table.get("backups").and_then(|at| backups(&at)),
        objects,
        answer_secrets,
        recovery: table.get("recovery").map(|at| recovery(pack, &at)).unwrap_or_default(),
        why: table.get("why").and_then(|at| at.text()).unwrap_or_default().to_owned(),
    }
}

fn effect(at: &At<'_, '_>) -> Option<Effect> {
    let found = match at.text()? {
        "read" => Effect::READ,
        "write" => Effect::WRITE,
        "destroy" => Effect::DESTROY,
        "administer" => Effect::ADMINISTER,
        "unrecognized" => Effect::Unrecognized,
        other => {
            at.problem(format!("`{other}` is no effect"), EFFECTS);
            return None;
        }
    };
    Some(found)
}

fn facet(word: &str) -> Option<Facet> {
    match word {
        "administers" => Some(Facet::Administers),
        "reveals" => Some(Facet::Reveals),
        "outward" => Some(Facet::Outward),
        "deferred" => Some(Facet::Deferred),
        _ => None,
    }
}

fn backups(at: &At<'_, '_>) -> Option<BackupsFate> {
    match at.text()? {
        "die" => Some(BackupsFate::Die),
        "survive" => Some(BackupsFate::Survive),
        other => {
            at.problem(format!("`{other}` is no fate of backups"), "write die or survive");
            None
        }
    }
}

fn recovery(pack: &Pack, at: &At<'_, '_>) -> Recovery {
    let Some(table) = at.table() else { return Recovery::default() };
    let defer = table.get("defer").and_then(|at| {
        let text = at.text()?;
        let millis = parse_duration_millis(text).filter(|millis| *millis > 0);
        if millis.is_none() {
            at.problem(format!("`{text}` is no duration"), "write `30m`, `24h` or `2d`");
        }
        millis
    });
    let point = table.get("point").and_then(|at| {
        let text = at.text()?;
        if !pack.points.contains_key(text) {
            at.problem(
                format!("resolvers.toml has no point `{text}`"),
                format!("write `[point.{text}]` there"),
            );
        }
        Some(text.to_owned())
    });
    table.close();
    Recovery { defer_millis: defer, point }
}

fn object(pack: &Pack, at: &At<'_, '_>, arguments: &Arguments) -> Option<ObjectRule> {
    let table = at.table()?;
    let kind = table.need("kind", "name the kind of object").and_then(|at| kind(pack, &at));
    let arg = table.need("arg", "name the argument").and_then(|at| {
        let text = at.text()?;
        let place = ArgRef::parse(text);
        match &place {
            None => {
                at.problem(format!("`{text}` is no path to an argument"), "write `input.ids[*]`");
            }
            Some(place) => place.paths().for_each(|path| arguments.check(pack, &at, path)),
        }
        place
    });
    let within = table.get("in").and_then(|at| object(pack, &at, arguments));
    table.close();
    Some(ObjectRule { kind: kind?, arg: arg?, within: within.map(Box::new) })
}

fn kind(pack: &Pack, at: &At<'_, '_>) -> Option<String> {
    let text = at.text()?;
    if text != ACCOUNT && !pack.resolvers.contains_key(text) {
        at.problem(
            format!("resolvers.toml has no kind `{text}`"),
            format!(
                "write `[resolver.{text}]` there, with `none = true` if the provider does not tell"
            ),
        );
    }
    Some(text.to_owned())
}

fn creates(pack: &Pack, at: &At<'_, '_>) -> Option<CreatesRule> {
    let table = at.table()?;
    let kind = table.need("kind", "name the kind of the new object").and_then(|at| kind(pack, &at));
    let place = table
        .need("at", "say where its id stands in the answer")
        .and_then(|at| json_paths_of(&at).into_iter().next());
    table.close();
    Some(CreatesRule { kind: kind?, at: place? })
}

fn json_paths(at: &At<'_, '_>) -> Vec<String> {
    at.items().unwrap_or_default().iter().flat_map(json_paths_of).collect()
}

fn json_paths_of(at: &At<'_, '_>) -> Vec<String> {
    let Some(text) = at.text() else { return Vec::new() };
    match JsonPath::parse(text) {
        Ok(_) => vec![text.to_owned()],
        Err(error) => {
            at.problem(format!("`{text}` is no JSONPath: {error}"), "see RFC 9535");
            Vec::new()
        }
    }
}

fn when(pack: &Pack, at: &At<'_, '_>, arguments: &Arguments, base: Effect) -> Option<When> {
    let table = at.table()?;
    let arg = table.need("arg", "name the argument that it looks at").and_then(|at| {
        let text = at.text()?;
        let path = ArgPath::parse(text);
        match &path {
            None => {
                at.problem(format!("`{text}` is no path to an argument"), "write `input.replace`");
            }
            Some(path) => arguments.check(pack, &at, path),
        }
        path
    });
    let condition = condition(&table);
    let found = judgement(pack, &table, arguments);
    if let Some(effect) = found.effect
        && effect.word().level() < base.word().level()
    {
        table.problem(
            format!("`{}` is milder than the operation", table.path),
            "a `when` can only make a judgement worse: judge the operation by its mildest case",
        );
    }
    table.close();
    Some(When {
        arg: arg?,
        condition: condition?,
        effect: found.effect,
        facets: found.facets,
        // Where a worse effect does not say so, nobody knows an inverse call.
        irreversible: found.irreversible.unwrap_or_else(|| {
            found.effect.is_some_and(|effect| effect.word().level() > Effect::WRITE.word().level())
        }),
        backups: found.backups,
        objects: found.objects,
        answer_secrets: found.answer_secrets,
        recovery: found.recovery,
        why: found.why,
    })
}

fn condition(table: &Table<'_, '_>) -> Option<Condition> {
    const HELP: &str =
        "write one of equals, in, present, absent, not_empty, deep_key (with equals), deep_null";
    let equals = table.get("equals").and_then(|at| at.literal());
    let mut found = Vec::new();
    if let Some(key) = table.get("deep_key").and_then(|at| at.text()) {
        found.push(Condition::DeepKey { key: key.to_owned(), equals: equals.clone() });
    } else if let Some(value) = equals {
        found.push(Condition::Equals(value));
    }
    if let Some(list) = table.get("in").and_then(|at| at.items()) {
        found.push(Condition::In(list.iter().filter_map(At::literal).collect()));
    }
    for (key, condition) in [
        ("present", Condition::Present),
        ("absent", Condition::Absent),
        ("not_empty", Condition::NotEmpty),
        ("deep_null", Condition::DeepNull),
    ] {
        let Some(at) = table.get(key) else { continue };
        match at.bool() {
            Some(true) => found.push(condition),
            Some(false) => at.problem(format!("`{key} = false` says nothing"), HELP),
            None => {}
        }
    }
    if found.len() != 1 {
        table.problem(
            format!("`{}` has {} conditions, wanted is one", table.path, found.len()),
            HELP,
        );
    }
    found.pop()
}
