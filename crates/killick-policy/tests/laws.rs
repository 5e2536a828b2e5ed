//! Laws of the shipped policies, over cases drawn at random.

mod world;

use killick_model::{Effect, EffectWord, Facet, Severity, Survivable};
use killick_policy::Landing;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use world::{Asked, pdp, session};

/// How strict a landing is: 0 as it is, 1 something done first, 2 a human, 3 both, 4 denied.
fn strictness(landing: Landing) -> u8 {
    match landing {
        Landing::Permit { approvals, survivable } => {
            u8::from(survivable.is_some()) | u8::from(approvals > 0) << 1
        }
        Landing::Deny(_) => 4,
    }
}

fn landing(asked: &Asked) -> Landing {
    pdp().climb(&asked.case()).landing
}

fn asked() -> impl Strategy<Value = Asked> {
    let severity = select(vec![Severity::Read, Severity::Write, Severity::Destroy]);
    let effect = (severity, vec(select(&Facet::ALL[..]), 0..3))
        .prop_map(|(severity, facets)| Effect::Known { severity, facets: facets.into() });
    let effect = prop_oneof![9 => effect, 1 => Just(Effect::Unrecognized)];
    let place = select(vec!["", "staging", "production", "both", "shared"]);
    (effect, select(vec!["staging", "production"]), place, vec(any::<bool>(), 9)).prop_map(
        |(effect, own, place, flags)| {
            let mut asked = Asked::new(session(own)).does(effect);
            asked = match place {
                "both" => asked.on("staging").on("production"),
                "shared" => asked.shared(),
                "" => asked,
                name => asked.on(name),
            };
            asked.standing.session_in_production = own == "production";
            let mut flags = flags.into_iter();
            let mut flag = || flags.next().unwrap_or_default();
            asked.irreversible = flag();
            asked.means.deferral = flag();
            asked.means.recovery_point = flag();
            asked.object.created_by_session = flag();
            asked.object.resolved = flag() || flag();
            asked.principal.fence = flag();
            asked.standing.production_waiver = flag();
            asked.standing.approved = flag()
                .then(|| killick_policy::Approved { by: vec!["local:alice".into()], quorum: 1 });
            asked
        },
    )
}

/// Whether the object lies in the session's environment as far as anybody may believe.
fn is_at_home(asked: &Asked) -> bool {
    let environment = &asked.object.environment;
    let believed = asked.object.resolved || environment.tier() == killick_model::Tier::Shared;
    believed && environment.is_of_session(&asked.principal.environment)
}

fn counts_as_production(asked: &Asked) -> bool {
    asked.object.environment.counts_as_production()
        || (!asked.object.resolved && asked.object.environment.tier() == killick_model::Tier::Other)
}

fn is_plain_read(effect: Effect) -> bool {
    effect.word() == EffectWord::Read && !effect.has(Facet::Reveals) && !effect.has(Facet::Outward)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_but_a_plain_read_leaves_a_staging_session(asked in asked()) {
        if asked.principal.environment.as_str() == "staging" && !is_at_home(&asked)
            && !is_plain_read(asked.effect)
        {
            prop_assert_eq!(strictness(landing(&asked)), 4);
        }
    }

    #[test]
    fn a_plain_read_is_always_permitted(asked in asked()) {
        if is_plain_read(asked.effect) {
            prop_assert_eq!(landing(&asked), Landing::AS_IT_IS);
        }
    }

    #[test]
    fn what_is_not_recognized_is_always_denied(asked in asked()) {
        prop_assert_eq!(strictness(landing(&asked.does(Effect::Unrecognized))), 4);
    }

    #[test]
    fn production_is_destroyed_with_a_human_and_a_way_back_only(asked in asked()) {
        let asked = asked.does(Effect::DESTROY);
        let own = asked.object.created_by_session && is_at_home(&asked);
        if counts_as_production(&asked) && !own {
            match landing(&asked) {
                Landing::Permit { approvals, survivable } => {
                    prop_assert!(approvals > 0 || asked.standing.approved.is_some());
                    prop_assert!(survivable.is_some());
                }
                Landing::Deny(_) => {}
            }
        }
    }

    #[test]
    fn nothing_is_destroyed_that_was_neither_created_saved_nor_approved(asked in asked()) {
        let asked = asked.does(Effect::DESTROY);
        if landing(&asked) == Landing::AS_IT_IS {
            prop_assert!(asked.object.created_by_session || asked.standing.approved.is_some());
        }
    }

    #[test]
    fn knowing_worse_is_never_milder(asked in asked()) {
        let before = strictness(landing(&asked));
        let mut worse: Vec<Asked> = Facet::ALL
            .into_iter()
            .map(|facet| { let effect = asked.effect.with(facet); asked.clone().does(effect) })
            .collect();
        worse.push(asked.clone().does(Effect::Unrecognized));
        worse.push(asked.clone().irreversible());
        // To a production session a staging object is foreign, one that nobody confirmed takes a human.
        if is_at_home(&asked) || !asked.standing.session_in_production {
            worse.push(asked.clone().unconfirmed());
        }
        for change in [
            (|it: &mut Asked| it.object.created_by_session = false) as fn(&mut Asked),
            |it| it.principal.fence = false,
            |it| it.standing.production_waiver = false,
            |it| it.standing.approved = None,
            |it| it.means = killick_model::Means::default(),
        ] {
            let mut it = asked.clone();
            change(&mut it);
            worse.push(it);
        }
        for it in worse {
            prop_assert!(strictness(landing(&it)) >= before, "{:?}\n{:?}", it, landing(&it));
        }
    }

    #[test]
    fn what_the_ladder_asks_for_is_enough(asked in asked()) {
        if let Landing::Permit { approvals, survivable } = landing(&asked) {
            let mut done = asked.clone();
            if approvals > 0 {
                done = done.approved();
            }
            done.standing.survived = survivable.or(done.standing.survived);
            prop_assert_eq!(landing(&done), Landing::AS_IT_IS);
        }
    }

    #[test]
    fn what_was_survived_by_one_way_can_still_use_the_other(asked in asked()) {
        let after = asked.clone().after(Survivable::Deferred);
        prop_assert!(strictness(landing(&after)) <= strictness(landing(&asked)));
    }
}
