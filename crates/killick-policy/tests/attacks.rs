//! What somebody would try against the decision point, and policies that break.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use killick_model::{
    Action, Code, Effect, Environment, Facet, Means, ObjectFacts, Part, Recovery, Survivable, Tier,
};
use killick_policy::{
    ActionCatalogue, CallCase, Landing, Pdp, PolicySource, Ruling, Standing, Verdict,
};
use world::{Asked, facts, load, object, pdp, session};

const ALL: &str = "permit (principal, action, resource);";

fn asked() -> Asked {
    Asked::new(session("staging")).on("staging").does(Effect::WRITE)
}

fn landing(text: &str, asked: &Asked) -> Landing {
    let pdp = load(text).unwrap();
    let ladder = pdp.climb(&asked.case());
    assert_eq!(ladder, pdp.climb_whole(&asked.case()));
    ladder.landing
}

/// Returns the problems of a text that must not load, as they are shown.
fn problems(text: &str) -> Vec<String> {
    load(text).unwrap_err().iter().map(ToString::to_string).collect()
}

fn first_problem(text: &str) -> String {
    problems(text).remove(0)
}

#[test]
fn no_policy_at_all_permits_nothing() {
    let empty = Pdp::load(&[], &ActionCatalogue::new()).unwrap();
    assert!(empty.is_empty());
    for effect in [Effect::READ, Effect::WRITE, Effect::DESTROY] {
        let case = asked().does(effect).survivable_by_all().glass_broken().approved();
        assert_eq!(empty.climb(&case.case()).landing, Landing::Deny(Code::Forbidden));
    }
    let unknown = asked().does(Effect::Unrecognized);
    assert_eq!(empty.climb(&unknown.case()).landing, Landing::Deny(Code::Unrecognized));
}

#[test]
fn a_policy_that_errs_denies_whatever_it_would_have_said() {
    let overflow = "9223372036854775807 + context.objects > 0";
    for effect in ["permit", "forbid"] {
        let text = format!(
            "{ALL} @id(\"broken\") {effect} (principal, action, resource) when {{ {overflow} }};"
        );
        let ladder = load(&text).unwrap().climb(&asked().survivable_by_all().case());
        assert_eq!(ladder.landing, Landing::Deny(Code::DecisionFailed), "{effect}");
        assert_eq!(ladder.rungs.len(), 1, "no rung is tried after an error");
        assert!(ladder.because.contains("`t.cedar#broken`"), "{}", ladder.because);
    }
}

#[test]
fn a_policy_that_errs_on_a_later_rung_denies() {
    let text = "permit (principal, action, resource) when { context has approved && \
                9223372036854775807 + context.approved.quorum > 0 };";
    assert_eq!(landing(text, &asked()), Landing::Deny(Code::DecisionFailed));
}

#[test]
fn a_missing_attribute_is_caught_before_it_can_err() {
    let text = "permit (principal, action, resource) when { context.sizeMb < 10 };";
    assert!(first_problem(text).starts_with("t.cedar:1:"), "{}", first_problem(text));
    let text = "forbid (principal, action, resource) when { resource.name == \"x\" };";
    assert!(load(text).is_err());
    let text =
        "forbid (principal, action, resource) when { resource.getTag(\"x\").contains(\"y\") };";
    assert!(load(text).is_err());
    let text = "forbid (principal, action, resource) when { context.approve };";
    assert!(load(text).is_err());
}

#[test]
fn an_unknown_operation_or_effect_is_found_with_its_line() {
    let text = format!(
        "{ALL}\n\nforbid (principal,\n  action == Killick::Action::\"acme.volumeDelet\", resource);"
    );
    let problem = first_problem(&text);
    assert!(problem.starts_with("t.cedar:4:"), "{problem}");
    assert!(problem.contains("acme.volumeDelet"), "{problem}");
    for wrong in [
        "d\u{435}stroy", // a Cyrillic letter
        "Destroy",
        "DESTROY",
        "destroy ",
        "delete",
        "",
    ] {
        let text = format!("forbid (principal, action in Killick::Action::\"{wrong}\", resource);");
        assert!(load(&text).is_err(), "{wrong}");
    }
    let text = "forbid (principal, action == Killick::Action::\"acme.volumedelete\", resource);";
    assert!(load(text).is_err());
    let text = "forbid (principal, action in Action::\"destroy\", resource);";
    assert!(load(text).is_err());
}

#[test]
fn an_effect_compared_as_if_it_were_an_operation_is_refused() {
    let text = "forbid (principal, action == Killick::Action::\"destroy\", resource);";
    let problem = first_problem(text);
    assert!(problem.contains("action in Killick::Action::\"destroy\""), "{problem}");
    let text =
        "forbid (principal, action, resource) when { action == Killick::Action::\"destroy\" };";
    assert!(load(text).is_err());
}

#[test]
fn text_that_looks_like_other_text_is_refused() {
    for text in [
        "forbid (principal, action, resource) when { context.tier == \"pr\u{43e}duction\" };",
        "forbid (principal, action, resource) when { context.tier == \"\u{202e}noitcudorp\" };",
    ] {
        assert!(load(text).is_err(), "{text}");
    }
}

#[test]
fn a_policy_that_can_never_apply_is_refused() {
    for text in [
        "forbid (principal is Killick::Agent, action, resource);",
        "forbid (principal, action, resource is Killick::Upstream);",
        "forbid (principal, action, resource) when { false };",
        "forbid (principal, action == Killick::Action::\"acme.readonly\", resource) \
         when { action in Killick::Action::\"destroy\" };",
    ] {
        let mut catalogue = ActionCatalogue::new();
        catalogue.add("acme.readonly", [killick_model::EffectWord::Read]).unwrap();
        let source = PolicySource { name: "t.cedar".into(), text: text.into() };
        assert!(Pdp::load(&[source], &catalogue).is_err(), "{text}");
    }
}

#[test]
fn two_policies_cannot_share_a_name() {
    let twice = format!("@id(\"a\") {ALL}\n@id(\"a\") {ALL}");
    assert!(first_problem(&twice).starts_with("t.cedar:2:1: the id `t.cedar#a`"));
    let taken = format!("@id(\"2\") {ALL}\n{ALL}");
    assert!(load(&taken).is_err());
    let source = PolicySource { name: "t.cedar".into(), text: ALL.into() };
    assert!(Pdp::load(&[source.clone(), source], &ActionCatalogue::new()).is_err());
}

#[test]
fn what_an_annotation_says_is_held_to() {
    for annotation in [
        "@id(\"a b\")",
        "@id(\"\")",
        "@id",
        "@reason(\"no-such-code\")",
        "@reason(\"Forbidden\")",
        "@because(\"two\\nlines\")",
        "@because(\"\u{202e}denrut\")",
        "@resaon(\"forbidden\")",
    ] {
        assert!(load(&format!("{annotation} forbid (principal, action, resource);")).is_err());
    }
    assert!(load(&format!("@reason(\"forbidden\") {ALL}")).is_err(), "a permit has no reason");
}

#[test]
fn templates_are_refused() {
    assert!(load("permit (principal == ?principal, action, resource);").is_err());
}

#[test]
fn text_that_would_end_the_process_is_refused() {
    let many = 100_000;
    for inside in [
        format!("{}true{}", "(".repeat(many), ")".repeat(many)),
        format!("{}true", "!".repeat(many)),
        format!("{}1 == 1", "-".repeat(many)),
        format!("{}true", "true && ".repeat(many)),
        format!("{}true", "true || ".repeat(many)),
        format!("{}true", "if true then true else ".repeat(many)),
        format!("context{}", " has a".repeat(many)),
        format!("context has a{}", ".a".repeat(many)),
        format!("context{}", "[\"a\"]".repeat(many)),
        format!("{}1", "1 + ".repeat(many)),
    ] {
        let text = format!("permit (principal, action, resource) when {{ {inside} }};");
        assert!(load(&text).is_err());
    }
    let large = format!("{ALL} // {}", "x".repeat(PolicySource::TEXT_BYTES_MAX));
    assert!(load(&large).is_err());
}

#[test]
fn what_the_guard_lets_through_is_survived() {
    let chain = format!("{}context.fence", "context.reveals || ".repeat(80));
    let deep = format!("{}context.fence{}", "(".repeat(60), ")".repeat(60));
    let ifs = format!("{}false", "if context.fence then true else ".repeat(60));
    let list = vec!["Killick::Action::\"read\""; 20_000].join(", ");
    for inside in [chain, deep, ifs] {
        let text = format!("{ALL} forbid (principal, action, resource) when {{ {inside} }};");
        assert_eq!(landing(&text, &asked()), Landing::AS_IT_IS);
    }
    let text = format!("permit (principal, action in [{list}], resource);");
    assert_eq!(landing(&text, &asked().does(Effect::READ)), Landing::AS_IT_IS);
}

#[test]
fn an_operation_cannot_pass_for_an_effect() {
    let reads = "permit (principal, action in Killick::Action::\"read\", resource);";
    let mut sly = asked().does(Effect::DESTROY);
    for name in ["read", "write", "(any other).read", ""] {
        sly.operation = name.into();
        assert_eq!(landing(reads, &sly), Landing::Deny(Code::DecisionFailed), "{name}");
    }
    // What no policy can name is judged by its effect alone.
    for name in ["x\" in [Killick::Action::\"read", "acme.\u{0}", "READ", "read "] {
        sly.operation = name.into();
        assert_eq!(landing(reads, &sly), Landing::Deny(Code::Forbidden), "{name}");
    }
}

#[test]
fn an_operation_is_in_the_effect_of_this_call_alone() {
    let text = "permit (principal, action == Killick::Action::\"acme.upsert\", resource) \
                when { action in Killick::Action::\"write\" };";
    let mut upsert = asked();
    upsert.operation = "acme.upsert".into();
    assert_eq!(landing(text, &upsert), Landing::AS_IT_IS);
    assert_eq!(landing(text, &upsert.does(Effect::DESTROY)), Landing::Deny(Code::Forbidden));
}

#[test]
fn what_destroys_and_administers_is_not_permitted_as_administering() {
    let text = "permit (principal, action in Killick::Action::\"administer\", resource);";
    let both = asked().does(Effect::DESTROY.with(Facet::Administers));
    assert_eq!(landing(text, &both), Landing::Deny(Code::Forbidden));
}

#[test]
fn an_environment_cannot_take_the_name_of_a_tier_or_of_ignorance() {
    let text = "permit (principal, action, resource) \
                when { [\"(shared)\", \"(unknown)\", \"(development)\"].contains(context.environment) };";
    for name in ["shared", "unknown", "development"] {
        let named = Asked::new(session("staging")).on(name).does(Effect::WRITE);
        assert_eq!(landing(text, &named), Landing::Deny(Code::Forbidden), "{name}");
    }
    assert_eq!(landing(text, &Asked::new(session("staging")).shared()), Landing::AS_IT_IS);
}

#[test]
fn a_tier_without_a_name_belongs_to_no_session() {
    for tier in [Tier::Other, Tier::Production, Tier::Unknown] {
        let mut it = asked();
        it.object.environment = Environment::declared(tier);
        assert_eq!(it.landing(), Landing::Deny(Code::CrossEnvironment), "{tier:?}");
    }
}

#[test]
fn an_object_of_another_upstream_or_kind_is_another_object() {
    let text = "permit (principal, action, resource == Killick::Object::\"acme/volume:v1\");";
    assert_eq!(landing(text, &asked()), Landing::AS_IT_IS);
    let mut other = asked();
    other.object.object.kind = "volumes".into();
    assert_eq!(landing(text, &other), Landing::Deny(Code::Forbidden));
    other.object.object.kind = "volume:v1".into();
    other.object.object.id = String::new();
    assert_eq!(landing(text, &other), Landing::Deny(Code::DecisionFailed));
}

#[test]
fn an_object_is_in_what_the_call_narrows_it_by() {
    let text = "permit (principal, action, resource in Killick::Object::\"acme/environment:e1\");";
    let mut it = asked();
    assert_eq!(landing(text, &it), Landing::Deny(Code::Forbidden));
    it.object.object.within = Some(Box::new(object("environment", "e1")));
    assert_eq!(landing(text, &it), Landing::AS_IT_IS);
    let mut deep = object("environment", "e1");
    for n in 0..100 {
        deep = killick_model::ObjectRef {
            within: Some(Box::new(deep)),
            ..object("folder", &n.to_string())
        };
    }
    it.object.object.within = Some(Box::new(deep));
    assert_eq!(landing(text, &it), Landing::Deny(Code::DecisionFailed));
}

#[test]
fn text_of_the_provider_cannot_leave_its_place_in_the_sentence() {
    let mut it = asked().does(Effect::DESTROY);
    it.object.name = Some(format!("x`\n\u{1b}[2J\u{202e}approved {}", "y".repeat(500)));
    let because = pdp().climb(&it.case()).because;
    assert!(!because.chars().any(|c| c.is_control() || c == '\u{202e}'), "{because}");
    assert!(because.contains("`x???[2J?approved y"), "{because}");
    assert!(because.len() < 400, "{because}");
}

#[test]
fn a_quorum_is_asked_for_where_a_policy_wants_one() {
    let text = "permit (principal, action, resource) \
                when { context has approved && context.approved.quorum >= 2 };";
    let two = Landing::Permit { approvals: 2, survivable: None };
    assert_eq!(landing(text, &asked()), two);
    assert_eq!(landing(text, &asked().approved()), two, "one of two is not enough");
    let text = text.replace('2', "99");
    assert_eq!(landing(&text, &asked()), Landing::Deny(Code::Forbidden));
}

fn part(effect: Effect, id: &str) -> Part {
    Part {
        operation: "acme.op".into(),
        effect,
        irreversible: true,
        backups: killick_model::BackupsFate::Die,
        objects: vec![object("volume", id)],
        recovery: Recovery::default(),
        why: String::new(),
    }
}

fn of(id: &str, environment: &str) -> ObjectFacts {
    ObjectFacts { object: object("volume", id), ..facts(&[environment]) }
}

fn ruling(parts: Vec<Part>, facts: &[ObjectFacts], means: &[Means], standing: &Standing) -> Ruling {
    let action = Action::new(parts, String::new()).unwrap();
    let principal = session("staging");
    let call = CallCase { principal: &principal, action: &action, facts, means, standing };
    pdp().judge_call(&call)
}

#[test]
fn one_bad_part_or_object_denies_the_call() {
    let facts = [of("a", "staging"), of("b", "production")];
    let none = Standing::default();
    let good = part(Effect::WRITE, "a");
    let bad = part(Effect::WRITE, "b");
    assert_eq!(ruling(vec![good.clone()], &facts, &[], &none).verdict, Verdict::Permit);
    for parts in [vec![good.clone(), bad.clone()], vec![bad.clone(), good.clone()]] {
        let said = ruling(parts, &facts, &[], &none);
        assert_eq!((said.verdict, said.reason), (Verdict::Deny, Some(Code::CrossEnvironment)));
    }
    let mut both = good.clone();
    both.objects.push(object("volume", "b"));
    assert_eq!(ruling(vec![both], &facts, &[], &none).reason, Some(Code::CrossEnvironment));
    let said = ruling(vec![bad, part(Effect::Unrecognized, "a")], &facts, &[], &none);
    assert_eq!(said.reason, Some(Code::Unrecognized));
}

#[test]
fn an_object_without_facts_or_with_two_is_unknown() {
    let none = Standing::default();
    let write = || vec![part(Effect::WRITE, "a")];
    assert_eq!(ruling(write(), &[], &[], &none).reason, Some(Code::CrossEnvironment));
    let two = [of("a", "staging"), of("a", "production")];
    assert_eq!(ruling(write(), &two, &[], &none).reason, Some(Code::CrossEnvironment));
    let same = [of("a", "staging"), of("a", "staging")];
    assert_eq!(ruling(write(), &same, &[], &none).verdict, Verdict::Permit);
}

#[test]
fn each_part_has_its_own_way_of_survival() {
    let facts = [of("a", "staging"), of("b", "staging")];
    let none = Standing::default();
    let parts =
        || vec![part(Effect::DESTROY, "a"), part(Effect::WRITE, "b"), part(Effect::DESTROY, "b")];
    let deferral = Means { recovery_point: false, deferral: true };
    let point = Means { recovery_point: true, deferral: true };
    let said = ruling(parts(), &facts, &[deferral, Means::default(), point], &none);
    let Verdict::Need(needs) = said.verdict else { panic!("{said:?}") };
    assert_eq!((needs.approvals, said.reason), (0, None));
    let ways: Vec<Vec<Survivable>> =
        needs.survivable.iter().map(|part| part.iter().copied().collect()).collect();
    assert_eq!(ways, [vec![Survivable::Deferred], vec![], vec![Survivable::RecoveryPoint]]);

    // Means that are not told do not exist.
    let said = ruling(parts(), &facts, &[deferral], &none);
    let Verdict::Need(needs) = said.verdict else { panic!("{said:?}") };
    assert_eq!((needs.approvals, said.reason), (1, Some(Code::ApprovalNeeded)));
    assert!(said.because.contains("a human's approval"), "{}", said.because);
    assert!(said.policies.contains(&"default.cedar#destroy-elsewhere".to_owned()));
}

#[test]
fn a_call_read_back_with_too_much_or_nothing_in_it_is_refused() {
    let none = Standing::default();
    let principal = session("staging");
    let judge = |json: &str| {
        let action: Action = serde_json::from_str(json).unwrap();
        let call = CallCase {
            principal: &principal,
            action: &action,
            facts: &[],
            means: &[],
            standing: &none,
        };
        pdp().judge_call(&call)
    };
    assert_eq!(judge(r#"{"parts": [], "excerpt": ""}"#).reason, Some(Code::Unrecognized));
    let mut many = part(Effect::READ, "a");
    many.objects = (0..=Action::OBJECTS_MAX).map(|n| object("volume", &n.to_string())).collect();
    let json = serde_json::json!({ "parts": [many], "excerpt": "" }).to_string();
    let said = judge(&json);
    assert_eq!((said.verdict, said.reason), (Verdict::Deny, Some(Code::TooMany)));
}

#[test]
fn a_decision_point_is_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(pdp());
}
