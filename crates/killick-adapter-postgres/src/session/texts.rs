//! What a text of the simple protocol asks for: nothing, reads that go as a whole, or statements one by one.

use killick_sql::judged::{Group, Judged, Kind, Touch, Wrapping};
use killick_sql::script::{self, Script};

use super::engine::Session;
use super::simple::simple_said;
use super::transaction::Place;
use super::unit::{Unit, is_control};

/// What is done with a text.
pub(crate) enum Next {
    /// No statement stands in it.
    Nothing,
    /// The catalogue is looked at first.
    Look,
    /// It only reads and is sent as a whole.
    Reads(Vec<Unit>),
    /// Its statements go one by one, each with the characters before it.
    Pieces(Vec<(usize, String)>),
}

impl Session {
    /// Reads a text and says what comes next; `due` says that it is time to look at the catalogue.
    pub(crate) fn next_of(&self, text: &str, due: bool) -> Result<Next, script::ScriptError> {
        let script = script::parse(text)?;
        Ok(if script.is_empty() {
            Next::Nothing
        } else if due && !self.only_controls(&script) {
            Next::Look
        } else if let Some(units) = self.all_plain_reads(&script, text) {
            Next::Reads(units)
        } else {
            Next::Pieces(self.pieces(&script, text))
        })
    }

    /// Returns the statements of a text, each with the characters before it. One that stands alone is sent with all that
    /// is around it, as the agent wrote it; transaction control may be added to.
    fn pieces(&self, script: &Script, text: &str) -> Vec<(usize, String)> {
        if script.len() == 1 && !is_control(&self.judge(script, 0, None).kind) {
            return vec![(0, text.to_owned())];
        }
        let (mut chars, mut bytes) = (0_usize, 0);
        let piece = |at| {
            let before = script.before(at);
            let since = before.get(bytes..).map_or(0, |it| it.chars().count());
            (chars, bytes) = (chars.saturating_add(since), before.len());
            (chars, script.text_of(at).to_owned())
        };
        (0..script.len()).map(piece).collect()
    }

    /// Returns whether a text in the agent's transaction only controls it: the gateway looks at nothing before that, since
    /// how a transaction reads can be set no more once something was looked at.
    fn only_controls(&self, script: &Script) -> bool {
        self.place == Place::Agents
            && (0..script.len()).all(|at| controls(&self.judge(script, at, None)))
    }

    /// Returns the units of a text that only reads and can be sent as a whole.
    fn all_plain_reads(&self, script: &Script, text: &str) -> Option<Vec<Unit>> {
        let mut units = Vec::with_capacity(script.len());
        for at in 0..script.len() {
            let judged = self.judge(script, at, None);
            let plain = match judged.kind {
                Kind::Plain | Kind::CopyOut => true,
                Kind::Begin { .. }
                | Kind::Commit { .. }
                | Kind::Rollback { .. }
                | Kind::Savepoint { .. }
                | Kind::RollbackTo { .. }
                | Kind::Release { .. }
                | Kind::Prepare { .. }
                | Kind::Execute { .. }
                | Kind::Deallocate { .. }
                | Kind::Declare { .. }
                | Kind::CopyIn
                | Kind::Session { .. } => false,
            };
            let said = if script.len() == 1 { text } else { script.text_of(at) };
            let unit = Unit { said: simple_said(said), judged };
            let guarded = self.place != Place::Idle && !unit.judged.plainly_read;
            let locks = self.place == Place::Idle && unit.judged.locks;
            if !plain
                || locks
                || !unit.is_read()
                || guarded
                || unit.judged.wrapping != Wrapping::Fits
            {
                return None;
            }
            units.push(unit);
        }
        (self.place != Place::Ours).then_some(units)
    }
}

/// Returns whether a statement is transaction control, or says how the transaction reads.
pub(crate) fn controls(judged: &Judged) -> bool {
    let of_transaction = |settings: &[String]| settings == ["transaction"];
    is_control(&judged.kind)
        || matches!(&judged.kind, Kind::Session { settings, .. } if of_transaction(settings))
}

/// Returns whether names may mean something else after a statement: by what it sets, or a function that it calls.
pub(crate) fn changes_names(judged: &Judged) -> bool {
    let within = |touch: &Touch| {
        touch.group == Group::Setting && names_may_change(std::slice::from_ref(&touch.object.name))
    };
    if let Kind::Session { settings, .. } = &judged.kind {
        return names_may_change(settings);
    }
    !judged.plainly_read && judged.touches.iter().any(within)
}

/// Returns whether names may mean something else once settings were changed; none named stands for all.
pub(crate) fn names_may_change(settings: &[String]) -> bool {
    let plain = ["transaction", "default_transaction_read_only", "application_name", "timezone"];
    settings.is_empty() || settings.iter().any(|it| !plain.contains(&it.as_str()))
}
