//! What would be said of a statement, without a session: `killick explain`.

use killick_gate::Pdp;
use killick_gate::explain::{Hypothesis, explain};
use killick_model::database::{Database, DatabaseLimits, DatabaseTls};
use killick_model::explain::Explanation;
use killick_model::{Action, EnvironmentName, Part, Principal, UpstreamName};
use killick_sql::catalogue::Catalogue;
use killick_sql::judge::{SessionState, judge_all};
use killick_sql::{mask, script};

use crate::session::call::{database_ref, parts};
use crate::session::facts;

/// Explains the statements of a text as one call, over a catalogue that was read before. Statements that a case
/// sends one after the other are given in order.
#[must_use]
pub fn explain_texts(
    pdp: &Pdp,
    who: &Principal,
    id: serde_json::Value,
    texts: &[String],
    catalogue: &Catalogue,
    environment: &EnvironmentName,
) -> Option<Explanation> {
    let upstream = UpstreamName::parse("database").ok()?;
    let mut state = SessionState::default();
    let mut all: Vec<Part> = Vec::new();
    for text in texts {
        match script::parse(text) {
            Ok(script) => {
                for judged in judge_all(&script, catalogue, &state) {
                    state.apply(&judged);
                    all.extend(parts(&upstream, &judged.touches));
                }
            }
            Err(error) => all.push(Part::unrecognized(
                "postgres.unrecognized".into(),
                database_ref(&upstream),
                error.to_string(),
            )),
        }
    }
    if all.is_empty() {
        all.push(crate::session::call::login_part(&upstream));
    }
    all.truncate(Action::PARTS_MAX);
    let action = Action::new(all, mask::masked(&texts.join("; "))).ok()?;
    let database = Database {
        name: upstream,
        host: "localhost".into(),
        port: 5432,
        database: catalogue.database.clone(),
        user: catalogue.role.clone(),
        tls: DatabaseTls::Off,
        private_address: true,
        environment: environment.clone(),
        role: None,
        limits: DatabaseLimits::default(),
        added: killick_model::UnixMillis(0),
    };
    let found = facts::facts(&database, catalogue, &action, &|_, _| None);
    let hypothesis = Hypothesis {
        who,
        action: &action,
        facts: &found,
        session_in_production: facts::is_production(&who.environment),
        production_waiver: false,
    };
    Some(explain(pdp, id, &hypothesis))
}
