//! The shipped policies, by the words of the issue that they keep.

mod world;

use killick_model::{Code, Effect, Facet, Survivable};
use killick_policy::{Approved, Landing};
use world::{Asked, pdp, session};

const AS_IT_IS: Landing = Landing::AS_IT_IS;
const ASK: Landing = Landing::Permit { approvals: 1, survivable: None };
const DEFER: Landing = Landing::Permit { approvals: 0, survivable: Some(Survivable::Deferred) };
const ASK_AND_DEFER: Landing =
    Landing::Permit { approvals: 1, survivable: Some(Survivable::Deferred) };
const ASK_AND_SAVE: Landing =
    Landing::Permit { approvals: 1, survivable: Some(Survivable::RecoveryPoint) };
const CROSS: Landing = Landing::Deny(Code::CrossEnvironment);
const FORBIDDEN: Landing = Landing::Deny(Code::Forbidden);

/// A session of production, fenced, on an object of production.
fn production() -> Asked {
    Asked::new(session("production")).on("production").fenced().in_production()
}

fn staging() -> Asked {
    Asked::new(session("staging")).on("staging")
}

fn on_production_from_staging() -> Asked {
    Asked::new(session("staging")).on("production")
}

#[test]
fn agents_read_and_write_in_their_own_environment() {
    for it in [staging(), production()] {
        assert_eq!(it.clone().does(Effect::READ).landing(), AS_IT_IS);
        assert_eq!(it.does(Effect::WRITE).landing(), AS_IT_IS);
    }
}

#[test]
fn nothing_crosses_environments_whatever_a_human_says() {
    let effects = [
        Effect::WRITE,
        Effect::DESTROY,
        Effect::ADMINISTER,
        Effect::WRITE.with(Facet::Outward),
        Effect::READ.with(Facet::Reveals),
        Effect::READ.with(Facet::Outward),
    ];
    for effect in effects {
        let it = on_production_from_staging().does(effect).survivable_by_all().fenced();
        assert_eq!(it.landing(), CROSS, "{effect:?}");
        assert_eq!(it.clone().approved().landing(), CROSS, "{effect:?}");
        assert_eq!(it.created().waived().landing(), CROSS, "{effect:?}");
        let back = Asked::new(session("production")).on("staging").in_production().fenced();
        assert_eq!(back.does(effect).survivable_by_all().landing(), CROSS, "{effect:?}");
    }
}

#[test]
fn a_plain_read_crosses() {
    assert_eq!(on_production_from_staging().does(Effect::READ).landing(), AS_IT_IS);
    assert_eq!(Asked::new(session("staging")).does(Effect::READ).landing(), AS_IT_IS);
}

#[test]
fn an_object_in_two_environments_belongs_to_neither() {
    let both = Asked::new(session("staging")).on("staging").on("production");
    assert_eq!(both.does(Effect::WRITE).landing(), CROSS);
}

#[test]
fn an_unknown_environment_is_foreign_to_all_but_production_where_it_takes_a_human() {
    let unknown = Asked::new(session("staging")).survivable_by_all().fenced();
    for effect in [Effect::WRITE, Effect::DESTROY, Effect::ADMINISTER] {
        assert_eq!(unknown.clone().does(effect).landing(), CROSS, "{effect:?}");
    }
    let unknown = Asked::new(session("production")).in_production().fenced();
    assert_eq!(unknown.clone().does(Effect::WRITE).landing(), ASK);
    assert_eq!(unknown.clone().does(Effect::ADMINISTER).landing(), ASK);
    assert_eq!(unknown.survivable_by_all().does(Effect::DESTROY).landing(), ASK_AND_SAVE);
}

#[test]
fn what_nobody_confirmed_is_not_believed() {
    let claimed = staging().unconfirmed().does(Effect::WRITE);
    assert_eq!(claimed.landing(), CROSS);
}

#[test]
fn destroying_in_production_takes_a_human_and_a_way_back() {
    // A provider that claims to have a way back is not one.
    assert_eq!(production().does(Effect::DESTROY).approved().landing(), FORBIDDEN);
    let destroy = production().does(Effect::DESTROY).irreversible();
    assert_eq!(destroy.landing(), FORBIDDEN);
    assert_eq!(destroy.clone().approved().landing(), FORBIDDEN);
    let deferrable = destroy.deferrable();
    assert_eq!(deferrable.landing(), ASK_AND_DEFER);
    assert_eq!(deferrable.clone().approved().landing(), DEFER);
    assert_eq!(deferrable.approved().after(Survivable::Deferred).landing(), AS_IT_IS);
}

#[test]
fn destroying_elsewhere_takes_one_of_the_two() {
    let destroy = staging().does(Effect::DESTROY).irreversible();
    assert_eq!(destroy.landing(), ASK);
    assert_eq!(destroy.clone().approved().landing(), AS_IT_IS);
    assert_eq!(destroy.clone().deferrable().landing(), DEFER);
    assert_eq!(destroy.after(Survivable::Deferred).landing(), AS_IT_IS);
}

#[test]
fn what_the_session_created_it_may_destroy_where_it_belongs() {
    let destroy = staging().does(Effect::DESTROY).irreversible().created();
    assert_eq!(destroy.landing(), AS_IT_IS);
    let destroy = production().does(Effect::DESTROY).irreversible().created();
    assert_eq!(destroy.landing(), AS_IT_IS);
    // The same object, moved to where the session does not belong.
    let moved = on_production_from_staging().does(Effect::DESTROY).created().fenced();
    assert_eq!(moved.landing(), CROSS);
    let unknown = Asked::new(session("production")).in_production().fenced().created();
    assert_eq!(unknown.does(Effect::DESTROY).irreversible().deferrable().landing(), ASK_AND_DEFER);
}

#[test]
fn administering_and_revealing_in_production_take_a_human() {
    assert_eq!(production().does(Effect::ADMINISTER).landing(), ASK);
    assert_eq!(production().does(Effect::READ.with(Facet::Reveals)).landing(), ASK);
    assert_eq!(production().does(Effect::WRITE.with(Facet::Reveals)).landing(), ASK);
    let both = production().does(Effect::DESTROY.with(Facet::Administers)).deferrable();
    assert_eq!(both.clone().irreversible().landing(), ASK_AND_DEFER);
    assert_eq!(both.created().landing(), ASK);
}

#[test]
fn administering_elsewhere_takes_a_human_when_it_reaches_further_or_stays() {
    assert_eq!(staging().does(Effect::ADMINISTER).landing(), AS_IT_IS);
    assert_eq!(staging().does(Effect::ADMINISTER).irreversible().landing(), ASK);
    assert_eq!(staging().does(Effect::READ.with(Facet::Reveals)).landing(), AS_IT_IS);
    let shared = Asked::new(session("staging")).shared();
    assert_eq!(shared.clone().does(Effect::WRITE).landing(), AS_IT_IS);
    assert_eq!(shared.does(Effect::ADMINISTER).landing(), ASK);
}

#[test]
fn what_is_not_recognized_is_denied_and_cannot_be_approved() {
    for it in [staging(), production(), Asked::new(session("staging")).shared()] {
        let it = it.does(Effect::Unrecognized).survivable_by_all().created().waived();
        assert_eq!(it.landing(), Landing::Deny(Code::Unrecognized));
        assert_eq!(it.approved().landing(), Landing::Deny(Code::Unrecognized));
    }
    let foreign = on_production_from_staging().does(Effect::Unrecognized);
    assert_eq!(foreign.landing(), Landing::Deny(Code::Unrecognized));
}

#[test]
fn without_a_fence_production_is_read_only_unless_the_owner_says_otherwise() {
    let open = Asked::new(session("production")).on("production").in_production();
    assert_eq!(open.clone().does(Effect::READ).landing(), AS_IT_IS);
    for effect in [Effect::WRITE, Effect::DESTROY, Effect::ADMINISTER] {
        let it = open.clone().does(effect).survivable_by_all().created();
        assert_eq!(it.landing(), FORBIDDEN, "{effect:?}");
        assert_eq!(it.clone().approved().landing(), FORBIDDEN, "{effect:?}");
        assert_ne!(it.waived().landing(), FORBIDDEN, "{effect:?}");
    }
    assert_eq!(open.waived().does(Effect::WRITE).landing(), AS_IT_IS);
}

#[test]
fn break_glass_opens_policy_and_not_the_scope_of_a_session() {
    let effects = [Effect::WRITE, Effect::DESTROY, Effect::ADMINISTER, Effect::Unrecognized];
    for effect in effects {
        let it = on_production_from_staging().does(effect).irreversible().glass_broken();
        assert_eq!(it.landing(), AS_IT_IS, "{effect:?}");
        assert_eq!(it.reading_only().landing(), Landing::Deny(Code::OutOfScope), "{effect:?}");
    }
}

#[test]
fn scope_takes_away_and_keeps_the_reason_of_policy() {
    let narrow = staging().does(Effect::WRITE).reading_only();
    assert_eq!(narrow.landing(), Landing::Deny(Code::OutOfScope));
    let foreign = on_production_from_staging().does(Effect::WRITE).reading_only();
    assert_eq!(foreign.landing(), CROSS);
}

#[test]
fn the_sentence_names_object_environment_and_session() {
    let ladder = pdp().climb(&on_production_from_staging().does(Effect::DESTROY).case());
    assert_eq!(
        ladder.because,
        "`acme.op` would destroy volume `pg-data` in production; the session is for staging; policy \
         `default.cedar#cross-environment`: nothing crosses environments; policy \
         `default.cedar#destroy-in-production`: destroying in production takes a human and a way back; \
         policy `default.cedar#fence`: without a fence production is read-only"
    );
    let names: Vec<&str> = ladder.policies.iter().map(|id| &**id).collect();
    assert!(names.contains(&"default.cedar#cross-environment"));
}

#[test]
fn an_approval_that_policy_sees_is_the_one_that_was_given() {
    let approved = Approved { by: vec!["local:alice".into()], quorum: 1 };
    assert_eq!(staging().approval(approved).does(Effect::DESTROY).landing(), AS_IT_IS);
}
