//! What people read who ask why.

mod world;

use killick_model::Effect;
use world::{Asked, pdp, session};

#[test]
fn an_explanation_shows_every_rung_the_policies_and_the_facts_they_look_at() {
    let asked = Asked::new(session("staging")).on("staging").does(Effect::DESTROY).deferrable();
    assert_eq!(
        pdp().explain(&asked.case()).to_string(),
        "`acme.op` would destroy volume `pg-data` in staging; the session is for staging\n  \
         1. as it is: denied by default.cedar#destroy-elsewhere\n  \
         2. with a grace period first: permitted by default.cedar#work\n     \
            approved = (not known)\n     \
            breakGlass = false\n     \
            countsAsProduction = false\n     \
            createdBySession = false\n     \
            damageObjects = 0\n     \
            damageRows = 0\n     \
            heldAtCommit = false\n     \
            rows = (not known)\n     \
            rowsMeasured = false\n     \
            sameEnvironment = true\n     \
            survivable = (not known)\n\
         takes a grace period first"
    );
}

#[test]
fn an_explanation_of_a_denial_ends_with_its_code_and_sentence() {
    let asked = Asked::new(session("staging")).on("production").does(Effect::WRITE);
    let explained = pdp().explain(&asked.case());
    let shown = explained.to_string();
    assert!(
        shown.contains("denied by default.cedar#cross-environment, default.cedar#fence"),
        "{shown}"
    );
    assert!(shown.contains("sameEnvironment = false"), "{shown}");
    let last = shown.lines().last().unwrap_or_default();
    assert!(last.starts_with("denied: cross-environment: `acme.op` would change"), "{shown}");
}
