//! From a parsed statement and the catalogue to what it would do.
//!
//! [`query`] is about rows, [`utility`] about everything else, [`expression`] about what runs inside of both:
//! functions, operators, casts. [`predicate`] says what holds a change to a few rows, [`body`] judges the bodies
//! of functions. What is not known is unrecognized.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the grammar has some 300 kinds of nodes; one that is not named falls to the arm that says unrecognized"
)]
#![expect(
    clippy::match_same_arms,
    clippy::too_many_lines,
    reason = "one arm for each kind of statement, in the order of the grammar's own documentation"
)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use killick_model::{Effect, Facet};
use pg_raw_parse::Node;

use crate::catalogue::Catalogue;
use crate::judged::{Change, ColumnLoss, Group, Judged, Kind, SqlObject, Touch, Wrapping};
use crate::script::Script;

mod body;
mod builtins;
mod change;
mod definition;
mod expression;
mod pinned;
mod predicate;
mod query;
mod settings;
mod utility;

pub use pinned::{Pinned, PinnedValue, pinned};

/// How deep functions, views and rules are followed into each other.
const FOLLOWED_DEEP_MAX: usize = 12;
/// Touches that are kept; beyond, the statement is unrecognized.
const TOUCHES_MAX: usize = 2_000;

pub use settings::SettingLimits;

/// What a session has prepared and opened, as the server confirmed it.
#[derive(Clone, Debug, Default)]
pub struct SessionState {
    /// SQL-level prepared statements.
    pub prepared: HashMap<String, Arc<Judged>>,
    /// Cursors.
    pub cursors: HashMap<String, Arc<Judged>>,
    /// Names of objects that were made since the catalogue was read: tables whose loss loses nothing else.
    pub made: HashSet<String>,
    /// How long a session of the database may let things take; nothing is held to it when absent.
    pub limits: Option<SettingLimits>,
    /// Whether the agent wants transactions that only read, unless one says otherwise. A change of it that is rolled back
    /// stays on the books where it is the stricter one, which only refuses what the server would take.
    pub reads_only: bool,
    /// Whether names may mean something else than the catalogue says (a changed search path or role).
    pub uncertain: bool,
    /// Whether the session's defaults at the server are the gateway's own, so that RESET ALL leads back to them.
    pub defaults_are_ours: bool,
}

impl SessionState {
    /// Returns whether a judgement depends on the catalogue alone, unless it is one of a setting: nothing was prepared,
    /// opened or made, and names mean what the catalogue says.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        // What is said of settings is looked at where settings are judged, and there alone.
        let Self {
            prepared,
            cursors,
            made,
            uncertain,
            limits: _,
            reads_only: _,
            defaults_are_ours: _,
        } = self;
        prepared.is_empty() && cursors.is_empty() && made.is_empty() && !uncertain
    }

    /// Takes in a statement that the server confirmed.
    pub fn apply(&mut self, judged: &Arc<Judged>) {
        match &judged.kind {
            Kind::Prepare { name, inner } => {
                self.prepared.insert(name.clone(), Arc::clone(inner));
            }
            Kind::Deallocate { name: Some(name) } => {
                self.prepared.remove(name);
            }
            Kind::Deallocate { name: None } => self.prepared.clear(),
            Kind::Declare { name } => {
                self.cursors.insert(name.clone(), Arc::clone(judged));
            }
            Kind::Session { settings, reads_only } => {
                self.reads_only = reads_only.unwrap_or(self.reads_only);
                self.uncertain |= settings.is_empty()
                    || settings.iter().any(|it| matches!(it.as_str(), "search_path" | "role"));
            }
            Kind::Plain
            | Kind::Begin { .. }
            | Kind::Commit { .. }
            | Kind::Rollback { .. }
            | Kind::Savepoint { .. }
            | Kind::RollbackTo { .. }
            | Kind::Release { .. }
            | Kind::Execute { .. }
            | Kind::CopyIn
            | Kind::CopyOut
            | Kind::PrepareTransaction => {}
        }
        let made = |it: &&Touch| {
            it.group == Group::Create && it.object.oid.is_none() && it.object.kind == "table"
        };
        for touch in judged.touches.iter().filter(made) {
            self.made.insert(touch.object.name.clone());
        }
    }
}

/// Judges one statement of a script.
///
/// Judgements never lean on a bind value: a parameter holds a change to a few rows only where it is compared for
/// equality with a unique key, whatever it is; everywhere else it is taken for the worst it could be.
#[must_use]
pub fn judge(script: &Script, at: usize, catalogue: &Catalogue, state: &SessionState) -> Judged {
    if script.is_empty() {
        // A text of spaces and comments does nothing.
        return Judge::new(catalogue, state).finish();
    }
    judge_node(script.node(at), catalogue, state)
}

/// Judges every statement of a script, each as if those before it had succeeded. A search path that the script sets is
/// followed; after a change of what names mean that cannot be followed, what looks names up is unrecognized.
#[must_use]
pub fn judge_all(script: &Script, catalogue: &Catalogue, state: &SessionState) -> Vec<Arc<Judged>> {
    let mut state = state.clone();
    let mut followed: Option<Catalogue> = None;
    let mut lost = false;
    (0..script.len())
        .map(|at| {
            let looked_up = followed.as_ref().unwrap_or(catalogue);
            let node = script.node(at);
            let mut judged = judge(script, at, looked_up, &state);
            match settings::path_set(node, &catalogue.role) {
                Some(settings::PathSet::To(path)) => {
                    followed = Some(Catalogue { search_path: path, ..catalogue.clone() });
                    lost = false;
                }
                Some(settings::PathSet::Back) => {
                    followed = None;
                    lost = false;
                }
                None if changes_names(&judged.kind) => lost = true,
                None if lost && judged.kind == Kind::Plain => {
                    judged = judge_lost(judged, looked_up, &state);
                }
                None => {}
            }
            let judged = Arc::new(judged);
            state.apply(&judged);
            judged
        })
        .collect()
}

/// Returns whether names may mean something else after a statement.
fn changes_names(kind: &Kind) -> bool {
    matches!(kind, Kind::Session { settings, .. }
        if settings.is_empty() || settings.iter().any(|it| it == "search_path" || it == "role"))
}

/// Judges what looks names up in a path that nobody knows.
fn judge_lost(judged: Judged, catalogue: &Catalogue, state: &SessionState) -> Judged {
    let mut judge = Judge::new(catalogue, state);
    judge.touches = judged.touches;
    judge.unrecognized("names may mean something else here than the catalogue says");
    Judged { touches: judge.finish().touches, plainly_read: false, ..judged }
}

fn judge_node(node: Node<'_>, catalogue: &Catalogue, state: &SessionState) -> Judged {
    let mut judge = Judge::new(catalogue, state);
    judge.statement(node);
    judge.finish()
}

/// What is found while a statement is walked.
pub(crate) struct Judge<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) state: &'a SessionState,
    touches: Vec<Touch>,
    kind: Kind,
    wrapping: Wrapping,
    plain: bool,
    locks: bool,
    pub(crate) literals_matter: bool,
    change: Option<Change>,
    /// How deep in bodies of functions and DO blocks.
    bodies: usize,
    /// Functions, views and rules that are being followed: `f` or `v` and their number.
    following: Vec<(char, u32)>,
    followed: HashSet<(char, u32)>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue, state: &'a SessionState) -> Self {
        Self {
            catalogue,
            state,
            touches: Vec::new(),
            kind: Kind::Plain,
            wrapping: Wrapping::Fits,
            plain: true,
            locks: false,
            literals_matter: false,
            change: None,
            bodies: 0,
            following: Vec::new(),
            followed: HashSet::new(),
        }
    }

    pub(crate) fn statement(&mut self, node: Node<'_>) {
        match node {
            Node::SelectStmt(_)
            | Node::InsertStmt(_)
            | Node::UpdateStmt(_)
            | Node::DeleteStmt(_)
            | Node::MergeStmt(_) => self.top_query(node),
            other => self.utility(other),
        }
    }

    pub(crate) fn finish(mut self) -> Judged {
        if self.touches.is_empty() {
            self.reads(SqlObject { kind: "database".into(), name: String::new(), oid: None });
        }
        if self.touches.len() > TOUCHES_MAX {
            self.touches.truncate(TOUCHES_MAX);
            self.unrecognized("the statement touches more than is judged at once");
        }
        self.touches.sort_by_key(|touch| std::cmp::Reverse(touch.effect.word().level()));
        let plainly_read = self.plain
            && self.touches.iter().all(|it| it.effect.is_only_read() && !self.state.uncertain);
        Judged {
            touches: self.touches,
            kind: self.kind,
            wrapping: self.wrapping,
            values_matter: false,
            literals_matter: self.literals_matter,
            plainly_read,
            locks: self.locks,
            change: self.change,
        }
    }

    pub(crate) fn touch(
        &mut self,
        group: Group,
        effect: Effect,
        irreversible: bool,
        object: SqlObject,
        why: &str,
    ) {
        let (columns, why) = (Vec::new(), why.to_owned());
        let in_body = self.bodies > 0 && group == Group::Truncate;
        self.touched(Touch { group, effect, irreversible, object, columns, in_body, why });
    }

    fn touched(&mut self, touch: Touch) {
        if !touch.effect.is_only_read() {
            self.plain = false;
        }
        if self.touches.len() <= TOUCHES_MAX && !self.touches.contains(&touch) {
            self.touches.push(touch);
        }
    }

    pub(crate) fn reads(&mut self, object: SqlObject) {
        self.touch(Group::Select, Effect::READ, false, object, "rows are read");
    }

    pub(crate) fn administers(&mut self, group: Group, object: SqlObject, why: &str) {
        self.touch(group, Effect::ADMINISTER, true, object, why);
    }

    pub(crate) fn writes(&mut self, group: Group, object: SqlObject, why: &str) {
        self.touch(group, Effect::WRITE, false, object, why);
    }

    pub(crate) fn destroys(&mut self, group: Group, object: SqlObject, why: &str) {
        self.touch(group, Effect::DESTROY.with(Facet::Unbounded), true, object, why);
    }

    /// One column of a table loses its values.
    pub(crate) fn loses(&mut self, object: SqlObject, column: ColumnLoss, why: &str) {
        let effect = Effect::DESTROY.with(Facet::Unbounded);
        let (group, columns, why) = (Group::Alter, vec![column], why.to_owned());
        let in_body = self.bodies > 0;
        self.touched(Touch { group, effect, irreversible: true, object, columns, in_body, why });
    }

    pub(crate) fn unrecognized(&mut self, why: &str) {
        let object = SqlObject { kind: "database".into(), name: String::new(), oid: None };
        self.touch(Group::Unrecognized, Effect::Unrecognized, true, object, why);
    }

    /// Follows something once; deeper than is followed it is unrecognized.
    pub(crate) fn follow(&mut self, what: (char, u32), act: impl FnOnce(&mut Self)) {
        if self.followed.contains(&what) || self.following.contains(&what) {
            return;
        }
        if self.following.len() >= FOLLOWED_DEEP_MAX {
            return self.unrecognized(
                "functions, views or rules stand deeper in each other than is followed",
            );
        }
        self.following.push(what);
        act(self);
        self.following.pop();
        self.followed.insert(what);
    }
}

/// Returns an object of a kind with a name.
pub(crate) fn object(kind: &str, name: impl Into<String>) -> SqlObject {
    SqlObject { kind: kind.into(), name: name.into(), oid: None }
}

/// Returns the texts of a list of names.
pub(crate) fn names(list: &pg_raw_parse::list::NodeList) -> Vec<String> {
    list.iter().filter_map(|node| node.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Relation, RelationKind};
    use crate::script;

    /// A catalogue with one table in each of two schemas, the first of which is searched.
    fn catalogue() -> Catalogue {
        let relation = |oid: u32, schema: &str| Relation {
            oid,
            schema: schema.into(),
            name: "notes".into(),
            kind: RelationKind::Table,
            persistence: 'p',
            owner: "app".into(),
            rows_estimate: None,
            bytes: 0,
            row_security: (false, false),
            columns: Vec::new(),
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            unique_nullable: Vec::new(),
            triggers: Vec::new(),
            rules: Vec::new(),
            definition: None,
            referenced_by: Vec::new(),
            references: Vec::new(),
            children: Vec::new(),
            parents: Vec::new(),
            policies: Vec::new(),
            publications: Vec::new(),
            checks: Vec::new(),
            index_expressions: Vec::new(),
            deferrable: false,
        };
        let mut all = Catalogue { search_path: vec!["public".into()], ..Catalogue::default() };
        all.role = "tenant".into();
        for (oid, schema) in [(20_001, "public"), (20_002, "other"), (20_003, "tenant")] {
            all.relations.insert(oid, Arc::new(relation(oid, schema)));
        }
        all.index();
        all
    }

    /// Returns the table of the last statement, or the worst word where there is none.
    fn last_table(text: &str) -> String {
        let script = script::parse(text).unwrap();
        let judged = judge_all(&script, &catalogue(), &SessionState::default());
        let last = judged.last().unwrap();
        if last.touches.iter().any(|it| it.effect == Effect::Unrecognized) {
            return "unrecognized".into();
        }
        last.touches.iter().map(|it| it.object.name.clone()).find(|it| !it.is_empty()).unwrap()
    }

    #[test]
    fn a_search_path_that_a_text_sets_is_followed_and_one_that_only_shows_later_is_not_believed() {
        for (text, expected) in [
            ("DELETE FROM notes", "public.notes"),
            ("SET search_path = other; DELETE FROM notes", "other.notes"),
            ("SET LOCAL search_path TO nowhere, other; DELETE FROM notes", "other.notes"),
            ("SET search_path = \"$user\", other; DELETE FROM notes", "tenant.notes"),
            (
                "SELECT set_config('search_path', 'other, public', false); DELETE FROM notes",
                "other.notes",
            ),
            ("SET search_path = other; RESET search_path; DELETE FROM notes", "public.notes"),
            ("SET ROLE tenant; DELETE FROM notes", "unrecognized"),
            (
                "SELECT set_config('search_path', version(), false); DELETE FROM notes",
                "unrecognized",
            ),
        ] {
            assert_eq!(last_table(text), expected, "{text}");
        }
    }

    #[test]
    fn a_piece_that_is_not_known_is_not_passed_over() {
        // Of the statements' own pieces each is known; what samples by a method of its own is not.
        let word = |text: &str| last_table(text);
        assert_eq!(word("SELECT * FROM notes TABLESAMPLE mine(1)"), "unrecognized");
        assert_eq!(word("SELECT * FROM notes TABLESAMPLE bernoulli(1)"), "public.notes");
    }
}
