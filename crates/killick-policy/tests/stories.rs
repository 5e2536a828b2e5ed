//! The stories of `policies/examples`, told to the decision point.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use killick_model::{
    Action, BackupsFate, Effect, EffectWord, Environment, Facet, Facets, Means, ObjectFacts, Part,
    Recovery, Severity, Survivable, Tier, principal::ScopedEffect,
};
use killick_policy::{ActionCatalogue, Approved, CallCase, Pdp, PolicySource, Standing, Verdict};
use serde::Deserialize;

/// Answers, mildest first: the order is the meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Permit,
    Survivable,
    Approval,
    Both,
    Deny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    #[expect(dead_code, reason = "for people")]
    what: String,
    session: Session,
    call: Call,
    object: Object,
    #[serde(default)]
    standing: Stands,
    expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    environment: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    fence: bool,
    #[serde(default)]
    in_production: bool,
    effects: Option<Vec<ScopedEffect>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    operation: String,
    effect: EffectWord,
    #[serde(default)]
    facets: Vec<Facet>,
    #[serde(default)]
    irreversible: bool,
    #[serde(default = "survive")]
    backups: BackupsFate,
    #[serde(default)]
    means: Vec<Survivable>,
}

fn survive() -> BackupsFate {
    BackupsFate::Survive
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    kind: String,
    id: String,
    name: Option<String>,
    #[serde(default)]
    environment: Vec<String>,
    tier: Option<Tier>,
    project: Option<String>,
    size_mb: Option<u64>,
    #[serde(default)]
    dependants: Vec<String>,
    #[serde(default)]
    backups: Vec<String>,
    #[serde(default)]
    created_by_session: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Stands {
    approved: Vec<String>,
    survived: Option<Survivable>,
    break_glass: bool,
    production_waiver: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    answer: Answer,
    reason: Option<String>,
    way: Option<Survivable>,
    approvals: Option<u32>,
    /// Policies that must be among those that decided.
    #[serde(default)]
    policies: Vec<String>,
    /// What the sentence must hold.
    because: Option<String>,
}

#[test]
fn every_story_ends_as_it_must() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples");
    let folders = folders(&root);
    assert!(folders.len() >= 6, "{folders:?}");
    for folder in folders {
        assert!(folder.join("README.md").is_file(), "{} is told to nobody", folder.display());
        let cases = cases(&folder);
        assert!(!cases.is_empty(), "{} has no cases", folder.display());
        let pdp = pdp_of(&folder, &cases);
        for (path, (floor, story)) in &cases {
            told(&pdp, path, *floor, story);
        }
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn cases(folder: &Path) -> BTreeMap<PathBuf, (Answer, Story)> {
    let mut cases = BTreeMap::new();
    for floor_folder in folders(&folder.join("cases")) {
        let name = floor_folder.file_name().unwrap().to_str().unwrap().to_owned();
        let floor = toml::Value::String(name).try_into().unwrap();
        for entry in fs::read_dir(&floor_folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let story =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            cases.insert(path, (floor, story));
        }
    }
    cases
}

/// Returns the shipped policies with those of the story; operations are those that its cases speak of.
fn pdp_of(folder: &Path, cases: &BTreeMap<PathBuf, (Answer, Story)>) -> Pdp {
    let mut catalogue = ActionCatalogue::new();
    for (_, story) in cases.values() {
        catalogue.add(&story.call.operation, EffectWord::ALL).unwrap();
    }
    let mut sources = vec![PolicySource::shipped()];
    if let Ok(text) = fs::read_to_string(folder.join("policy.cedar")) {
        sources.push(PolicySource { name: "policy.cedar".into(), text });
    }
    Pdp::load(&sources, &catalogue).unwrap()
}

fn told(pdp: &Pdp, path: &Path, floor: Answer, story: &Story) {
    let shown = path.display();
    let facts = [facts(&story.object)];
    let action = Action::new(vec![part(&story.call, &facts[0])], String::new()).unwrap();
    let principal = principal(&story.session);
    let standing = standing(story);
    let means = [Means {
        recovery_point: story.call.means.contains(&Survivable::RecoveryPoint),
        deferral: story.call.means.contains(&Survivable::Deferred),
    }];
    let call = CallCase {
        principal: &principal,
        action: &action,
        facts: &facts,
        means: &means,
        standing: &standing,
    };
    let said = pdp.judge_call(&call);
    let (answer, way, approvals) = match &said.verdict {
        Verdict::Permit => (Answer::Permit, None, 0),
        Verdict::Deny => (Answer::Deny, None, 0),
        Verdict::Need(needs) => {
            let way = needs.survivable.iter().flatten().next().copied();
            let answer = match (needs.approval(), way) {
                (true, Some(_)) => Answer::Both,
                (true, None) => Answer::Approval,
                (false, _) => Answer::Survivable,
            };
            (answer, way, needs.approvals)
        }
    };
    let expect = &story.expect;
    assert!(answer >= floor, "{shown}: {answer:?} is below {floor:?}: {}", said.because);
    assert!(expect.answer >= floor, "{shown}: expects less than {floor:?}");
    assert_eq!(answer, expect.answer, "{shown}: {}", said.because);
    if let Some(reason) = &expect.reason {
        assert_eq!(said.reason.map(killick_model::Code::as_str), Some(reason.as_str()), "{shown}");
    }
    if expect.way.is_some() {
        assert_eq!(way, expect.way, "{shown}");
    }
    if let Some(wanted) = expect.approvals {
        assert_eq!(approvals, wanted, "{shown}");
    }
    for policy in &expect.policies {
        assert!(said.policies.contains(policy), "{shown}: {policy} not in {:?}", said.policies);
    }
    if let Some(because) = &expect.because {
        assert!(said.because.contains(because), "{shown}: {}", said.because);
    }
}

fn principal(session: &Session) -> killick_model::Principal {
    let mut principal = world::session(&session.environment);
    principal.groups = session.groups.iter().cloned().collect();
    principal.fence = session.fence;
    if let Some(effects) = &session.effects {
        principal.scope.effects = effects.iter().copied().collect();
    }
    principal
}

fn standing(story: &Story) -> Standing {
    let Stands { approved, survived, break_glass, production_waiver } = &story.standing;
    let quorum = u32::try_from(approved.len()).unwrap();
    Standing {
        approved: (quorum > 0).then(|| Approved { by: approved.clone(), quorum }),
        survived: *survived,
        break_glass: *break_glass,
        production_waiver: *production_waiver,
        session_in_production: story.session.in_production,
        ..Standing::default()
    }
}

fn facts(object: &Object) -> ObjectFacts {
    let names: Vec<&str> = object.environment.iter().map(String::as_str).collect();
    let mut facts = world::facts(&names);
    if let Some(tier) = object.tier {
        facts.environment = Environment::declared(tier);
    }
    facts.resolved = !names.is_empty() || object.tier.is_some();
    facts.object.upstream = killick_model::UpstreamName::parse("railway").unwrap();
    facts.object.kind.clone_from(&object.kind);
    facts.object.id.clone_from(&object.id);
    facts.name.clone_from(&object.name);
    facts.size_mb = object.size_mb;
    facts.dependants.clone_from(&object.dependants);
    facts.backups.clone_from(&object.backups);
    facts.created_by_session = object.created_by_session;
    if let Some(project) = &object.project {
        facts.extra.insert("project_id".into(), vec![project.clone()]);
    }
    facts
}

fn part(call: &Call, facts: &ObjectFacts) -> Part {
    let sides = Facets::from(call.facets.clone());
    let known = |severity, facets| Effect::Known { severity, facets };
    Part {
        operation: call.operation.clone(),
        effect: match call.effect {
            EffectWord::Read => known(Severity::Read, sides),
            EffectWord::Write => known(Severity::Write, sides),
            EffectWord::Destroy => known(Severity::Destroy, sides),
            EffectWord::Administer => known(Severity::Write, sides.with(Facet::Administers)),
            EffectWord::Unrecognized => Effect::Unrecognized,
        },
        irreversible: call.irreversible,
        backups: call.backups,
        objects: vec![facts.object.clone()],
        recovery: Recovery::default(),
        why: String::new(),
    }
}
