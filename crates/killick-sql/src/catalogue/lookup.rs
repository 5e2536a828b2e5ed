//! Names to objects, the way the server resolves them.

use std::sync::Arc;

use super::{Catalogue, Function, Operator, Relation, SqlType};

/// Schemas that are searched first unless they are listed.
const ALWAYS: &str = "pg_catalog";
/// What a session calls the schema of its own temporary objects.
const TEMPORARY: &str = "pg_temp";

impl Catalogue {
    /// Fills the maps from names; called once, when everything else is there.
    pub fn index(&mut self) {
        self.relation_names = self
            .relations
            .values()
            .map(|it| ((it.schema.clone(), it.name.clone()), it.oid))
            .collect();
        self.function_names.clear();
        for function in self.functions.values() {
            self.function_names.entry(function.name.clone()).or_default().push(function.oid);
        }
        self.type_names =
            self.types.values().map(|it| ((it.schema.clone(), it.name.clone()), it.oid)).collect();
    }

    /// Returns the relation of a schema and a name.
    #[must_use]
    pub fn relation_named(&self, schema: &str, name: &str) -> Option<&Arc<Relation>> {
        let oid = self.relation_names.get(&(schema.to_owned(), name.to_owned()))?;
        self.relations.get(oid)
    }

    fn path(&self) -> impl Iterator<Item = &str> {
        let listed = self.search_path.iter().any(|it| it == ALWAYS);
        let first = (!listed).then_some(ALWAYS);
        first.into_iter().chain(self.search_path.iter().map(String::as_str))
    }

    /// The schemas in which tables and types are looked up. Functions and operators are never temporary ones.
    fn path_with_temporary(&self) -> impl Iterator<Item = &str> {
        let is_own = |it: &str| it == TEMPORARY || Some(it) == self.temporary.as_deref();
        let listed = self.search_path.iter().any(|it| is_own(it));
        let first = self.temporary.as_deref().filter(|_| !listed);
        first.into_iter().chain(self.path().map(|it| self.real(it)))
    }

    /// Returns the schema that a name of one means.
    fn real<'a>(&'a self, schema: &'a str) -> &'a str {
        self.temporary.as_deref().filter(|_| schema == TEMPORARY).unwrap_or(schema)
    }

    /// Returns the relation that a name in a statement means.
    #[must_use]
    pub fn relation(&self, schema: Option<&str>, name: &str) -> Option<&Arc<Relation>> {
        match schema {
            Some(schema) => self.relation_named(self.real(schema), name),
            None => self.path_with_temporary().find_map(|it| self.relation_named(it, name)),
        }
    }

    /// Returns every function that a call could mean, whatever its argument types: those of the schema, or of
    /// every schema on the path.
    #[must_use]
    pub fn functions_called(
        &self,
        schema: Option<&str>,
        name: &str,
        arguments: Option<usize>,
    ) -> Vec<&Arc<Function>> {
        let Some(all) = self.function_names.get(name) else { return Vec::new() };
        let on_path: Vec<&str> = self.path().collect();
        all.iter()
            .filter_map(|oid| self.functions.get(oid))
            .filter(|it| match schema {
                Some(schema) => it.schema == schema,
                None => on_path.contains(&it.schema.as_str()),
            })
            .filter(|it| {
                arguments.is_none_or(|given| {
                    let most = it.arguments.len();
                    let least = most.saturating_sub(it.defaults);
                    (least..=most).contains(&given)
                        || (it.variadic && given.saturating_add(1) >= least)
                })
            })
            .collect()
    }

    /// Returns every operator that a name could mean.
    #[must_use]
    pub fn operators_named(&self, schema: Option<&str>, name: &str) -> Vec<&Operator> {
        let on_path: Vec<&str> = self.path().collect();
        self.operators
            .get(name)
            .into_iter()
            .flatten()
            .filter(|it| match schema {
                Some(schema) => it.schema == schema,
                None => on_path.contains(&it.schema.as_str()),
            })
            .collect()
    }

    /// Returns the type that a name means.
    #[must_use]
    pub fn type_named(&self, schema: Option<&str>, name: &str) -> Option<&Arc<SqlType>> {
        let of = |schema: &str| {
            let oid = self.type_names.get(&(schema.to_owned(), name.to_owned()))?;
            self.types.get(oid)
        };
        match schema {
            Some(schema) => of(self.real(schema)),
            None => self.path_with_temporary().find_map(of),
        }
    }

    /// Returns the qualified name of a relation.
    #[must_use]
    pub fn name_of(&self, oid: u32) -> Option<String> {
        self.relations.get(&oid).map(|it| format!("{}.{}", it.schema, it.name))
    }
}
