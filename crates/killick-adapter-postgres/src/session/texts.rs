//! What a text of the simple protocol asks for: nothing, reads that go as a whole, or statements one by one.

use std::ops::Range;
use std::sync::Arc;

use killick_model::Effect;
use killick_sql::judged::{Group, Judged, Kind, Touch, Wrapping};
use killick_sql::script::{self, Script};

use super::engine::Session;
use super::meaning::{Meaning, Read};
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
    /// Its one statement goes, after so many characters.
    One(usize, Unit),
    /// Its statements go one by one, each with the characters before it.
    Pieces(Vec<(usize, String)>),
}

impl Session {
    /// Reads a text and says what comes next; `due` says that it is time to look at the catalogue.
    pub(crate) fn next_of(&self, text: &str, due: bool) -> Result<Next, script::ScriptError> {
        Ok(match self.read(text)? {
            Read::One(meaning, range) => self.next_of_one(text, range, meaning, due),
            Read::Script(script) if script.is_empty() => Next::Nothing,
            Read::Script(script) => self.next_of_several(&script, due),
        })
    }

    fn next_of_one(
        &self,
        text: &str,
        range: Range<usize>,
        meaning: Arc<Meaning>,
        due: bool,
    ) -> Next {
        if due && !self.only_controls(&meaning.judged) {
            return Next::Look;
        }
        if self.goes_as_it_is(&meaning.judged) {
            return Next::Reads(vec![Unit::new(simple_said(text), meaning)]);
        }
        // Sent with all that is around it, as the agent wrote it; transaction control may be added to.
        if !is_control(&meaning.judged.kind) {
            return Next::One(0, Unit::new(simple_said(text), meaning));
        }
        let before = text.get(..range.start).map_or(0, |it| it.chars().count());
        Next::One(before, Unit::new(simple_said(text.get(range).unwrap_or(text)), meaning))
    }

    fn next_of_several(&self, script: &Script, due: bool) -> Next {
        let meanings: Vec<Meaning> = (0..script.len()).map(|at| self.mean(script, at)).collect();
        if due && !meanings.iter().all(|it| self.only_controls(&it.judged)) {
            return Next::Look;
        }
        // Judged at once, so that none may change what a name in another one means.
        let together = |it: &Meaning| self.goes_as_it_is(&it.judged) && !changes_names(&it.judged);
        if meanings.iter().all(together) {
            let texts = (0..script.len()).map(|at| simple_said(script.text_of(at)));
            let units = texts.zip(meanings).map(|(said, it)| Unit::new(said, Arc::new(it)));
            return Next::Reads(units.collect());
        }
        Next::Pieces(pieces(script))
    }

    /// Returns whether a statement in the agent's transaction only controls it: the gateway looks at nothing before
    /// that, since how a transaction reads can be set no more once something was looked at.
    fn only_controls(&self, judged: &Judged) -> bool {
        self.place == Place::Agents && controls(judged)
    }

    /// Returns whether a statement only reads and can be sent as it is, where the session stands.
    fn goes_as_it_is(&self, judged: &Judged) -> bool {
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
            | Kind::PrepareTransaction
            | Kind::Session { .. } => false,
        };
        let guarded = self.place != Place::Idle && !judged.plainly_read;
        let locks = self.place == Place::Idle && judged.locks;
        plain
            && !locks
            && !guarded
            && self.place != Place::Ours
            && Effect::of_batch(judged.touches.iter().map(|it| it.effect)).is_only_read()
            && judged.wrapping == Wrapping::Fits
    }
}

/// Returns the statements of a text, each with the characters before it.
fn pieces(script: &Script) -> Vec<(usize, String)> {
    let (mut chars, mut bytes) = (0_usize, 0);
    let piece = |at| {
        let before = script.before(at);
        let since = before.get(bytes..).map_or(0, |it| it.chars().count());
        (chars, bytes) = (chars.saturating_add(since), before.len());
        (chars, script.text_of(at).to_owned())
    };
    (0..script.len()).map(piece).collect()
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
