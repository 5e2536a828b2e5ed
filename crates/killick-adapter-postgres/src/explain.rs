//! `killick explain`: statements judged and decided on without sending them, over a catalogue that was read, or over
//! none.

use std::sync::Arc;

use killick_gate::explain::{Hypothesis, explain, explain_refused};
use killick_gate::{ErrandKind, Pdp};
use killick_model::database::Database;
use killick_model::explain::Explanation;
use killick_model::{
    Action, Code, Effect, EffectWord, Environment, EnvironmentName, ObjectFacts, Principal,
    Refusal, UpstreamName,
};
use killick_sql::catalogue::{Catalogue, read};
use killick_sql::judge::{SessionState, judge_all};
use killick_sql::judged::{Group, Touch};
use killick_sql::script;
use serde_json::Value;

use crate::session::adapter::PostgresAdapter;
use crate::session::call::parts;
use crate::session::facts;
use crate::session::own::{Own, Purpose};
use crate::session::server::ServerError;

/// Where a session looks names up unless somebody set it otherwise.
const PATH: &str = "\"$user\", public";

/// The path that is set for the login, or for the database, at the server.
const PATH_SET: &str = "SELECT substr(c, 13) FROM pg_db_role_setting s, unnest(s.setconfig) c \
    WHERE c LIKE 'search_path=%' AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) \
      AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user)) \
    ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1";

impl PostgresAdapter {
    /// Reads the catalogue of a database as a session would find it: the answers, for [`Statements::over`].
    ///
    /// # Errors
    /// Says why it cannot be read.
    pub async fn catalogue_answers(
        self: &Arc<Self>,
        database: &Database,
        by: Option<String>,
    ) -> Result<Vec<String>, String> {
        let purpose = Purpose {
            kind: ErrandKind::Inspect,
            by,
            operation: "inspect",
            effect: Effect::READ,
            why: "read the catalogue, to explain statements by it",
        };
        let mut own = Own::open(self, database, purpose).await.map_err(|it| it.because)?;
        let answers = answers(&mut own, database.role.as_deref()).await;
        own.close(answers.is_err());
        answers.map_err(|error| error.to_string())
    }
}

async fn answers(own: &mut Own, role: Option<&str>) -> Result<Vec<String>, ServerError> {
    let first = |rows: Vec<Vec<Option<String>>>| {
        rows.into_iter().next().and_then(|row| row.into_iter().next().flatten())
    };
    let path = first(own.ask(PATH_SET).await?).unwrap_or_else(|| PATH.to_owned());
    if let Some(role) = role {
        own.ask(&format!("SET ROLE \"{}\"", role.replace('"', "\"\""))).await?;
    }
    // Asked before the path is the session's own: every name in it is the server's.
    let locked = first(own.ask(read::LOCKED).await?).unwrap_or_default();
    own.ask(&format!("SET search_path = {path}")).await?;
    let mut all = Vec::with_capacity(read::QUERIES.len());
    for query in read::QUERIES {
        let sql = read::beside(query.sql, &locked);
        all.push(first(own.ask(&sql).await?).unwrap_or_default());
    }
    Ok(all)
}

/// Written statements, and what they are judged over.
pub struct Statements {
    catalogue: Catalogue,
    /// Whether there is no catalogue: nobody knows what a name means, and what hangs on it.
    blind: bool,
    upstream: UpstreamName,
    environment: Option<EnvironmentName>,
}

impl Statements {
    /// Judges over a catalogue that was read. `environment` is where the database lives; unknown without it.
    ///
    /// # Errors
    /// The answers are no catalogue.
    pub fn over(
        answers: &[String],
        upstream: UpstreamName,
        environment: Option<EnvironmentName>,
    ) -> Result<Self, String> {
        let catalogue = read::build(answers).map_err(|error| error.to_string())?;
        Ok(Self { catalogue, blind: false, upstream, environment })
    }

    /// Judges over an empty catalogue: what a name means is then not known, and counts as the worst.
    #[must_use]
    pub fn over_nothing(upstream: UpstreamName, environment: Option<EnvironmentName>) -> Self {
        Self { catalogue: Catalogue::default(), blind: true, upstream, environment }
    }

    /// Explains one line: `{"id", "sql"}`, or a labelled statement of a corpus. `None` when it is no statement.
    #[must_use]
    pub fn explain(
        &self,
        pdp: &Pdp,
        who: &Principal,
        production_waiver: bool,
        line: &Value,
    ) -> Option<Explanation> {
        let texts = texts(line)?;
        let id = line.get("id").cloned().unwrap_or_default();
        let action = match self.action(&texts) {
            Ok(action) => action,
            Err(refusal) => return Some(explain_refused(id, &refusal)),
        };
        let facts: Vec<ObjectFacts> = action
            .objects()
            .into_iter()
            .map(|object| {
                let mut found = ObjectFacts::unresolved(object.clone());
                if let Some(name) = &self.environment {
                    found.resolved = true;
                    found.environment = Environment::named([name.clone()], facts::is_production);
                }
                found
            })
            .collect();
        let hypothesis = Hypothesis {
            who,
            action: &action,
            facts: &facts,
            session_in_production: facts::is_production(&who.environment),
            production_waiver,
        };
        Some(explain(pdp, id, &hypothesis))
    }

    /// Returns what the texts of one session would do, one after the other.
    fn action(&self, texts: &[String]) -> Result<Action, Refusal> {
        let mut state = SessionState { uncertain: self.blind, ..SessionState::default() };
        let mut touches = Vec::new();
        for text in texts {
            let script = script::parse(text)
                .map_err(|error| Refusal::new(Code::Unrecognized, error.to_string()))?;
            for judged in judge_all(&script, &self.catalogue, &state) {
                state.apply(&judged);
                touches.extend(judged.touches.iter().cloned());
            }
        }
        if self.blind {
            touches.extend(touches.iter().find(|it| hides_something(it)).map(unseen));
        }
        let parts = if touches.is_empty() {
            vec![crate::session::call::login_part(&self.upstream, None)]
        } else {
            parts(&self.upstream, &touches, &|_| killick_model::Recovery::default())
        };
        Action::new(parts, String::new())
            .map_err(|error| Refusal::new(Code::TooMany, error.to_string()))
    }
}

/// Returns whether more could hang on what is touched (a view's functions, triggers, rules) than the touch says.
fn hides_something(touch: &Touch) -> bool {
    let nothing_hangs_on = ["database", "plan", "session", "setting", "transaction"];
    touch.effect.word().level() < EffectWord::Destroy.level()
        && !nothing_hangs_on.contains(&touch.object.kind.as_str())
}

/// Returns what such a touch counts as.
fn unseen(touch: &Touch) -> Touch {
    Touch {
        group: Group::Unrecognized,
        effect: Effect::Unrecognized,
        irreversible: true,
        why: "without a catalogue nobody knows what hangs on it".into(),
        ..touch.clone()
    }
}

/// Returns the texts of a line, in the order in which they are sent.
fn texts(line: &Value) -> Option<Vec<String>> {
    if let Some(text) = line.get("sql").and_then(Value::as_str) {
        return Some(vec![text.to_owned()]);
    }
    let protocol = line.get("protocol").and_then(Value::as_str);
    if protocol != Some("postgres") {
        return None;
    }
    let context = line.get("context");
    let at = |name: &str| context.and_then(|it| it.get(name));
    let texts: Vec<String> = match (at("sqls").and_then(Value::as_array), at("sql")) {
        (Some(all), _) => {
            all.iter().map(|it| it.as_str().map(str::to_owned)).collect::<Option<_>>()?
        }
        (None, Some(text)) => vec![text.as_str()?.to_owned()],
        (None, None) => vec![line.get("input")?.as_str()?.to_owned()],
    };
    // A function that is called by its number is the same call in SQL.
    match at("proto").and_then(Value::as_str) {
        Some("fastpath") => Some(texts.iter().map(|text| format!("SELECT {text}")).collect()),
        _ => Some(texts),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn statements() -> Statements {
        Statements::over_nothing(UpstreamName::parse("main").unwrap(), None)
    }

    fn word(texts: &[&str]) -> String {
        let texts: Vec<String> = texts.iter().map(|it| (*it).to_owned()).collect();
        statements()
            .action(&texts)
            .map_or_else(|it| it.code.to_string(), |it| it.effect().word().to_string())
    }

    #[test]
    fn a_line_is_a_statement_in_either_shape_and_nothing_else() {
        for (line, expected) in [
            (json!({ "id": 1, "sql": "SELECT 1" }), Some(vec!["SELECT 1"])),
            (
                json!({ "protocol": "postgres", "input": "SELECT 2", "context": {} }),
                Some(vec!["SELECT 2"]),
            ),
            (
                json!({ "protocol": "postgres", "input": "x", "context": { "sqls": ["a", "b"] } }),
                Some(vec!["a", "b"]),
            ),
            (
                json!({ "protocol": "postgres", "input": "lo_unlink(1)", "context": { "proto": "fastpath" } }),
                Some(vec!["SELECT lo_unlink(1)"]),
            ),
            (json!({ "protocol": "http", "input": "SELECT 1" }), None),
            (json!({ "input": "SELECT 1" }), None),
            (json!({ "sql": 7 }), None),
        ] {
            let found = texts(&line);
            let found = found.as_ref().map(|all| all.iter().map(String::as_str).collect());
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn without_a_catalogue_what_a_name_means_counts_as_the_worst() {
        assert_eq!(word(&["SELECT 1"]), "read");
        assert_eq!(word(&["TRUNCATE notes"]), "destroy");
        assert_eq!(word(&["DROP TABLE IF EXISTS notes"]), "destroy");
        for text in [
            "SELECT purge()",
            "SELECT * FROM notes",
            "INSERT INTO notes VALUES (1)",
            "UPDATE notes SET a = 1 WHERE id = 1",
        ] {
            assert_eq!(word(&[text]), "unrecognized", "{text}");
        }
        assert_eq!(word(&["SET work_mem = '8MB'"]), "read");
        assert_eq!(word(&["BEGIN", "COMMIT"]), "read");
        assert_eq!(word(&["SELECT 1", "DROP TABLE notes"]), "destroy");
        assert_eq!(word(&["SELEC 1"]), "unrecognized");
        assert_eq!(word(&[""]), "read");
    }
}
