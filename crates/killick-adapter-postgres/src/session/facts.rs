//! What the gateway knows of a database's objects: from its declaration and its catalogue.

use std::collections::BTreeMap;

use killick_model::database::Database;
use killick_model::object::MaterialFact;
use killick_model::{Action, Environment, EnvironmentName, ObjectFacts, ObjectRef, RowsFact};
use killick_sql::catalogue::{Catalogue, OnChange, Relation};

/// Names of environments that are not production. Any other name counts as production.
const NOT_PRODUCTION: &[&str] = &[
    "ci",
    "demo",
    "dev",
    "development",
    "local",
    "preview",
    "qa",
    "sandbox",
    "stage",
    "staging",
    "test",
    "testing",
];

/// Dependants that are shown by name.
const DEPENDANTS_MAX: usize = 50;

/// Returns whether an environment of this name counts as production.
pub(crate) fn is_production(name: &EnvironmentName) -> bool {
    !NOT_PRODUCTION.contains(&name.as_str())
}

/// Returns where a database lives, as the human who declared it said.
pub(crate) fn environment(database: &Database) -> Environment {
    Environment::named([database.environment.clone()], is_production)
}

/// Returns the facts of an action's objects, in the order of [`Action::objects`].
pub(crate) fn facts(
    database: &Database,
    catalogue: &Catalogue,
    action: &Action,
    rows: &dyn Fn(&ObjectRef, Option<&Relation>) -> Option<RowsFact>,
) -> Vec<ObjectFacts> {
    action
        .objects()
        .into_iter()
        .map(|object| {
            let relation = relation_of(catalogue, object);
            let mut found = ObjectFacts::unresolved(object.clone());
            found.resolved = true;
            found.environment = environment(database);
            if let Some(relation) = relation {
                describe(&mut found, catalogue, relation);
            }
            found.rows = rows(object, relation);
            if let Some(rows) = found.rows {
                found.material.insert(
                    killick_gate::ROWS.to_owned(),
                    MaterialFact { value: rows.count, tolerance_percent: 0, ceiling: true },
                );
            }
            found
        })
        .collect()
}

/// Returns facts that say where the objects live and nothing else: a plain read is not looked into.
pub(crate) fn plain(database: &Database, action: &Action) -> Vec<ObjectFacts> {
    action
        .objects()
        .into_iter()
        .map(|object| ObjectFacts {
            resolved: true,
            environment: environment(database),
            ..ObjectFacts::unresolved(object.clone())
        })
        .collect()
}

/// Finds the relation that an object names.
pub(crate) fn relation_of<'a>(
    catalogue: &'a Catalogue,
    object: &ObjectRef,
) -> Option<&'a Relation> {
    if !matches!(object.kind.as_str(), "table" | "view" | "sequence" | "relation") {
        return None;
    }
    let (schema, name) = object.id.split_once('.')?;
    catalogue.relation_named(schema, name).map(AsRef::as_ref)
}

fn describe(found: &mut ObjectFacts, catalogue: &Catalogue, relation: &Relation) {
    found.name = Some(format!("{}.{}", relation.schema, relation.name));
    found.size_mb = Some(relation.bytes >> 20);
    found.material.insert(
        "oid".to_owned(),
        MaterialFact { value: u64::from(relation.oid), tolerance_percent: 0, ceiling: false },
    );
    let name_of =
        |oid: u32| catalogue.relations.get(&oid).map(|it| format!("{}.{}", it.schema, it.name));
    let mut cascades = Vec::new();
    for key in &relation.referenced_by {
        let Some(child) = name_of(key.child) else { continue };
        match key.on_delete {
            OnChange::Cascade => cascades.push(format!("{child} (rows go too)")),
            OnChange::SetNull => cascades.push(format!("{child} (set to null)")),
            OnChange::SetDefault => cascades.push(format!("{child} (set to default)")),
            OnChange::Refuse => {}
        }
        found.dependants.push(child);
    }
    found.dependants.truncate(DEPENDANTS_MAX);
    let mut extra = BTreeMap::new();
    if !cascades.is_empty() {
        extra.insert("cascades".to_owned(), cascades);
    }
    if let Some(rows) = relation.rows_estimate {
        extra.insert("rows in table".to_owned(), vec![rows.to_string()]);
    }
    if !relation.publications.is_empty() {
        extra.insert("published by".to_owned(), relation.publications.clone());
    }
    found.extra = extra;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_that_nobody_calls_otherwise_is_production() {
        for name in ["production", "prod", "live", "eu-west", "customer-1"] {
            assert!(is_production(&EnvironmentName::parse(name).unwrap()), "{name}");
        }
        assert!(!is_production(&EnvironmentName::parse("staging").unwrap()));
    }
}
