//! Labelled statements over a live catalogue: none is judged milder than what was observed when it ran.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use killick_model::{Effect, EffectWord};
use killick_sql::catalogue::{Catalogue, read};
use killick_sql::judge::{SessionState, judge_all};
use killick_sql::script;
use killick_testkit::postgres::Server;
use serde::Deserialize;

/// Reads and writes that may be judged harsher than they are, in a thousand.
const TOO_HARSH_PER_MILLE_MAX: usize = 30;
/// Known statements that may be called unrecognized, in a thousand.
const VAGUE_PER_MILLE_MAX: usize = 50;

#[derive(Deserialize)]
struct Case {
    name: String,
    texts: Vec<String>,
    floor: EffectWord,
    may_be: Option<EffectWord>,
}

fn judged(case: &Case, catalogue: &Catalogue) -> EffectWord {
    let mut state = SessionState::default();
    let mut effects = Vec::new();
    for text in &case.texts {
        match script::parse(text) {
            Err(_) => effects.push(Effect::Unrecognized),
            Ok(script) => {
                for judged in judge_all(&script, catalogue, &state) {
                    state.apply(&judged);
                    effects.extend(judged.touches.iter().map(|touch| touch.effect));
                }
            }
        }
    }
    effects.into_iter().reduce(Effect::join).map_or(EffectWord::Read, Effect::word)
}

fn catalogue(server: &Server) -> Catalogue {
    let answers: Vec<String> =
        read::QUERIES.iter().map(|query| server.sql("fixture", query.sql)).collect();
    read::build(&answers).unwrap()
}

#[test]
fn no_statement_is_judged_milder_than_what_it_did_on_a_real_server() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/sql");
    let server = Server::start();
    for role in ["app_owner", "analyst", "agent_ro", "agent_rw", "temp_role"] {
        let _ = server.sql("postgres", &format!("CREATE ROLE {role}"));
    }
    let _ = server.sql("postgres", "CREATE DATABASE fixture");
    server.load("fixture", &folder.join("fixture.sql"));
    assert_eq!(server.sql("fixture", "SELECT count(*) FROM users"), "20");
    let catalogue = catalogue(&server);
    let text = std::fs::read_to_string(folder.join("statements.jsonl")).unwrap();
    let cases: Vec<Case> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 350);
    let (mut mild, mut harsh, mut vague, mut soft) = (Vec::new(), Vec::new(), 0, 0);
    for case in &cases {
        let said = judged(case, &catalogue);
        let need = case.floor.level().min(EffectWord::Destroy.level());
        if said.level() < need {
            mild.push((&case.name, said, case.floor));
        }
        if case.floor.level() < EffectWord::Destroy.level() {
            soft += 1;
            let most =
                case.may_be.map_or(case.floor.level(), |it| it.level().max(case.floor.level()));
            if said.level() > most {
                harsh.push((&case.name, said, case.floor));
            }
        }
        if said == EffectWord::Unrecognized && case.floor != EffectWord::Unrecognized {
            vague += 1;
        }
    }
    eprintln!("{} statements, too harsh: {harsh:?}, needlessly unrecognized: {vague}", cases.len());
    assert!(mild.is_empty(), "too mild: {mild:?}");
    assert!(harsh.len() * 1_000 <= soft * TOO_HARSH_PER_MILLE_MAX, "too harsh: {harsh:?}");
    assert!(vague * 1_000 <= cases.len() * VAGUE_PER_MILLE_MAX, "{vague} unrecognized");
}
