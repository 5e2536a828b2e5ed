//! Prints how long a decision takes with few and with many policies, from the slice and from the whole set.
//!
//! `cargo run --release -p killick-policy --example decisions`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "a measurement, run by hand"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use killick_model::{
    AgentName, BackupsFate, Effect, EffectWord, Environment, EnvironmentName, Means, ObjectFacts,
    ObjectRef, Owner, Principal, Scope, SessionId, UnixMillis, UpstreamName,
};
use killick_policy::{ActionCatalogue, Case, Landing, Pdp, PolicySource, Standing};

/// How often each decision is timed; rounds are interleaved, so that a noisy moment hits all alike.
const ROUNDS: usize = 200;
/// Decisions in one round.
const DECISIONS_PER_ROUND: u32 = 20;
/// Asking every one of 10,000 policies is slow; fewer rounds show as much.
const ROUNDS_WHOLE: usize = 40;

struct Row {
    label: String,
    pdp: Pdp,
    whole: bool,
    fresh: bool,
    times: Vec<Duration>,
}

fn main() {
    let mut rows = Vec::new();
    for policies in [10, 1_000, 10_000] {
        let source = PolicySource { name: "many.cedar".into(), text: many(policies) };
        for (kind, whole, fresh) in [
            ("slice, same object", false, false),
            ("slice, objects vary", false, true),
            ("whole", true, true),
        ] {
            let sources = [PolicySource::shipped(), source.clone()];
            let started = Instant::now();
            let pdp = Pdp::load(&sources, &catalogue()).unwrap();
            if !whole && !fresh {
                println!("loaded {} policies in {:.0?}", pdp.len(), started.elapsed());
            }
            let label = format!("{policies:>6} policies, {kind}");
            rows.push(Row { label, pdp, whole, fresh, times: Vec::new() });
        }
    }
    for round in 0..ROUNDS {
        for row in rows.iter_mut().filter(|row| !row.whole || round < ROUNDS_WHOLE) {
            let time = round_of(row, round);
            row.times.push(time);
        }
    }
    println!("\n{:<36} {:>10} {:>10}", "one write, permitted as it is", "median", "p95");
    for row in &mut rows {
        row.times.sort();
        let at = |share: usize| row.times.get(row.times.len() * share / 100).unwrap();
        println!("{:<36} {:>10.1?} {:>10.1?}", row.label, at(50), at(95));
    }
}

fn round_of(row: &Row, round: usize) -> Duration {
    let principal = principal();
    let standing = Standing::default();
    let objects: Vec<ObjectFacts> = (0..DECISIONS_PER_ROUND)
        .map(|at| object(if row.fresh { format!("{round}-{at}") } else { "same".into() }))
        .collect();
    let started = Instant::now();
    for object in &objects {
        let case = Case {
            principal: &principal,
            operation: "acme.deploy",
            effect: Effect::WRITE,
            irreversible: false,
            backups: BackupsFate::Survive,
            object,
            means: Means::default(),
            objects: 1,
            standing: &standing,
        };
        let ladder = if row.whole { row.pdp.climb_whole(&case) } else { row.pdp.climb(&case) };
        assert_eq!(black_box(ladder).landing, Landing::AS_IT_IS);
    }
    started.elapsed() / DECISIONS_PER_ROUND
}

/// Policies as an organisation would collect them: each about some team, bot, volume or upstream.
fn many(policies: usize) -> String {
    let mut text = String::new();
    for n in 0..policies {
        let line = match n % 4 {
            0 => format!(
                "permit (principal in Killick::Group::\"team{n}\", action == Killick::Action::\"acme.deploy\", \
                 resource in Killick::Object::\"acme/project:p{n}\") when {{ context.objects < {n} }};"
            ),
            1 => format!(
                "permit (principal in Killick::Agent::\"bot{n}\", action in [Killick::Action::\"write\", \
                 Killick::Action::\"destroy\"], resource in Killick::Upstream::\"up{n}\") \
                 when {{ context has sizeMb && context.sizeMb < {n} }};"
            ),
            2 => format!(
                "forbid (principal, action in Killick::Action::\"destroy\", \
                 resource == Killick::Object::\"acme/volume:v{n}\") unless {{ context has approved }};"
            ),
            _ => format!(
                "forbid (principal in Killick::Owner::\"local:user{n}\", action, resource) \
                 when {{ resource.kind == \"volume\" && context.dependants > {n} }};"
            ),
        };
        writeln!(text, "{line}").unwrap();
    }
    text
}

fn catalogue() -> ActionCatalogue {
    let mut catalogue = ActionCatalogue::new();
    catalogue.add("acme.deploy", [EffectWord::Write]).unwrap();
    catalogue
}

fn principal() -> Principal {
    let id = SessionId::parse("s-1").unwrap();
    Principal {
        session: id.clone(),
        chain: vec![id],
        agent: AgentName::parse("tidy").unwrap(),
        groups: ["robots".to_owned(), "night-shift".into()].into(),
        owner: Owner::parse("local:alice").unwrap(),
        environment: EnvironmentName::parse("staging").unwrap(),
        task: "measure".into(),
        scope: Scope::full(),
        expires: UnixMillis(u64::MAX),
        fence: true,
    }
}

fn object(id: String) -> ObjectFacts {
    let staging = EnvironmentName::parse("staging").unwrap();
    let upstream = UpstreamName::parse("acme").unwrap();
    let within = ObjectRef {
        upstream: upstream.clone(),
        kind: "environment".into(),
        id: "e1".into(),
        within: None,
    };
    ObjectFacts {
        resolved: true,
        environment: Environment::named([staging], |_| false),
        name: Some("api".into()),
        ..ObjectFacts::unresolved(ObjectRef {
            upstream,
            kind: "service".into(),
            id,
            within: Some(Box::new(within)),
        })
    }
}
