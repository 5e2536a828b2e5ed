//! The slice answers as the whole set does: the same rungs, deciding policies, errors and sentences.

mod world;

use killick_model::{Effect, Facet, Severity};
use killick_policy::Ladder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use world::{Asked, load, object, session};

/// Scopes and conditions are drawn from few words, so that many policies meet many questions.
const PRINCIPALS: &[&str] = &[
    "principal",
    "principal is Killick::Session",
    "principal == Killick::Session::\"s-1\"",
    "principal == Killick::Session::\"s-2\"",
    "principal in Killick::Session::\"s-1\"",
    "principal in Killick::Agent::\"tidy\"",
    "principal in Killick::Agent::\"other\"",
    "principal in Killick::Group::\"robots\"",
    "principal in Killick::Group::\"humans\"",
    "principal in Killick::Owner::\"local:alice\"",
    "principal is Killick::Session in Killick::Owner::\"local:bob\"",
    "principal is Killick::Session in Killick::Group::\"robots\"",
];

const ACTIONS: &[&str] = &[
    "action",
    "action in Killick::Action::\"read\"",
    "action in Killick::Action::\"write\"",
    "action in [Killick::Action::\"write\", Killick::Action::\"destroy\"]",
    "action in [Killick::Action::\"acme.op\", Killick::Action::\"read\", Killick::Action::\"read\"]",
    "action in Killick::Action::\"unrecognized\"",
    "action == Killick::Action::\"acme.op\"",
    "action == Killick::Action::\"acme.volumeDelete\"",
    "action in Killick::Action::\"acme.volumeDelete\"",
];

const RESOURCES: &[&str] = &[
    "resource",
    "resource is Killick::Object",
    "resource == Killick::Object::\"acme/volume:v1\"",
    "resource == Killick::Object::\"acme/volume:v2\"",
    "resource in Killick::Object::\"acme/volume:v1\"",
    "resource in Killick::Object::\"acme/environment:e1\"",
    "resource in Killick::Upstream::\"acme\"",
    "resource in Killick::Upstream::\"other\"",
    "resource is Killick::Object in Killick::Object::\"acme/environment:e2\"",
    "resource is Killick::Object in Killick::Upstream::\"acme\"",
];

const CONDITIONS: &[&str] = &[
    "",
    "when { context.sameEnvironment }",
    "when { context has survivable }",
    "unless { context has approved }",
    "when { context.reveals || context.irreversible }",
    "unless { context has approved && context has survivable }",
    "when { resource.kind == \"volume\" }",
    "when { 9223372036854775807 + context.objects > 0 }",
    "unless { context.fence || 9223372036854775807 * context.objects > context.dependants + 9223372036854775807 }",
    "when { context has approved && context.approved.quorum + 9223372036854775807 > 0 }",
];

fn policy() -> impl Strategy<Value = String> {
    let words = (select(PRINCIPALS), select(ACTIONS), select(RESOURCES), select(CONDITIONS));
    (any::<bool>(), words).prop_map(|(permits, (principal, action, resource, condition))| {
        let effect = if permits { "permit" } else { "forbid" };
        format!("{effect} ({principal}, {action}, {resource}) {condition};")
    })
}

fn effect() -> impl Strategy<Value = Effect> {
    let severity = select(vec![Severity::Read, Severity::Write, Severity::Destroy]);
    let known = (severity, vec(select(&Facet::ALL[..]), 0..3))
        .prop_map(|(severity, facets)| Effect::Known { severity, facets: facets.into() });
    prop_oneof![9 => known, 1 => Just(Effect::Unrecognized)]
}

fn asked() -> impl Strategy<Value = Asked> {
    let flags = vec(any::<bool>(), 7);
    let operation = select(vec!["acme.op", "acme.volumeDelete", "acme.elsewhere"]);
    let id = select(vec!["v1", "v2", ""]);
    let within = select(vec![None, Some("e1"), Some("e2")]);
    (effect(), flags, operation, id, within).prop_map(|(effect, flags, operation, id, within)| {
        let mut asked = Asked::new(session("staging")).does(effect);
        let mut flags = flags.into_iter();
        let mut flag = || flags.next().unwrap_or_default();
        if flag() {
            asked = asked.on("staging");
        }
        if flag() {
            asked = asked.fenced();
        }
        if flag() {
            asked = asked.irreversible();
        }
        if flag() {
            asked = asked.approved();
        }
        asked.means.deferral = flag();
        asked.means.recovery_point = flag();
        if flag() {
            asked.principal.groups.clear();
        }
        asked.operation = operation.into();
        asked.object.object.id = id.into();
        asked.object.object.within = within.map(|id| Box::new(object("environment", id)));
        asked
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_slice_answers_as_the_whole_set(
        policies in vec(policy(), 0..24),
        questions in vec(asked(), 1..12),
    ) {
        let pdp = match load(&policies.join("\n")) {
            Ok(pdp) => pdp,
            Err(problems) => return Err(TestCaseError::fail(format!("{problems:?}"))),
        };
        for asked in &questions {
            let whole: Ladder = pdp.climb_whole(&asked.case());
            prop_assert_eq!(&pdp.climb(&asked.case()), &whole);
            // And again, from what is remembered.
            prop_assert_eq!(&pdp.climb(&asked.case()), &whole);
        }
    }
}
