//! What a text means, remembered: how its statement was judged and how the gate sees it. It hangs on the text's class,
//! the catalogue that it was judged by (with role and search path), and on nothing else: while a session has state of
//! its own that names may mean (prepared, cursors, objects younger than the catalogue) nothing is remembered.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use killick_model::{Action, Code, Recovery, Refusal, UpstreamName};
use killick_sql::class::{Class, class_of};
use killick_sql::judge::{self, SessionState};
use killick_sql::judged::{Group, Judged, Kind, Touch};
use killick_sql::mask;
use killick_sql::script::{self, Script, ScriptError};
use parking_lot::RwLock;

use super::call::parts;
use super::engine::Session;
use super::unit::{IMAGES, is_kept};

/// Texts that are remembered for all sessions; beyond, all are forgotten.
const REMEMBERED_MAX: usize = 4_096;
/// The longest text that is remembered.
const TEXT_BYTES_MAX: usize = 4_096;
/// The most effects of a statement that is remembered.
const TOUCHES_MAX: usize = 32;
// The worst case in memory: the texts, with about as much again for what they mean.
const _: () = assert!(REMEMBERED_MAX * TEXT_BYTES_MAX <= 16 << 20);

/// One statement, whatever stands in its literals.
pub(crate) struct Meaning {
    pub(crate) judged: Arc<Judged>,
    /// The statement with its literals masked.
    excerpt: String,
    /// What the gate is asked about it; an error where it is more than is judged at once.
    plain: Result<Arc<Action>, String>,
    /// The same, where what it destroys can be kept.
    kept: OnceLock<Result<Arc<Action>, String>>,
}

impl Meaning {
    fn new(upstream: &UpstreamName, judged: Judged, text: &str) -> Self {
        let (judged, excerpt) = (Arc::new(judged), mask::masked(text));
        let plain = action(upstream, &judged, &excerpt, false);
        Self { judged, excerpt, plain, kept: OnceLock::new() }
    }

    /// Returns the statement with its literals masked.
    pub(crate) fn excerpt(&self) -> &str {
        &self.excerpt
    }

    /// Returns what the gate is asked about it: with a way back where one is `promised` for what it destroys.
    ///
    /// # Errors
    /// It is more than is judged at once.
    pub(crate) fn action(
        &self,
        upstream: &UpstreamName,
        promised: bool,
    ) -> Result<Arc<Action>, Refusal> {
        let action = if promised {
            self.kept.get_or_init(|| action(upstream, &self.judged, &self.excerpt, true))
        } else {
            &self.plain
        };
        action.clone().map_err(|error| Refusal::new(Code::TooMany, error))
    }
}

fn action(
    upstream: &UpstreamName,
    judged: &Judged,
    excerpt: &str,
    promised: bool,
) -> Result<Arc<Action>, String> {
    let recovery = |touch: &Touch| Recovery {
        point: (promised && is_kept(touch)).then(|| IMAGES.to_owned()),
        defer_millis: None,
    };
    Action::new(parts(upstream, &judged.touches, &recovery), excerpt.to_owned())
        .map(Arc::new)
        .map_err(|error| error.to_string())
}

/// A text as it was read.
pub(crate) enum Read {
    /// One statement, and where it stands.
    One(Arc<Meaning>, Range<usize>),
    /// None or several: each is judged when its turn comes.
    Script(Script),
}

struct Kept {
    meaning: Arc<Meaning>,
    /// Where the statement stands; of a class its text says so.
    range: Range<usize>,
}

/// Texts by the number of the catalogue and their class, or themselves.
#[derive(Default)]
pub(crate) struct Remembered {
    kept: RwLock<HashMap<Vec<u8>, Kept>>,
}

impl Remembered {
    fn recall(&self, key: &[u8]) -> Option<(Arc<Meaning>, Range<usize>)> {
        let kept = self.kept.read();
        kept.get(key).map(|it| (Arc::clone(&it.meaning), it.range.clone()))
    }

    fn keep(&self, key: Vec<u8>, meaning: Arc<Meaning>, range: Range<usize>) {
        let mut kept = self.kept.write();
        if kept.len() >= REMEMBERED_MAX {
            kept.clear();
        }
        kept.insert(key, Kept { meaning, range });
    }

    /// Forgets everything.
    pub(crate) fn forget_all(&self) {
        self.kept.write().clear();
    }
}

/// Returns the key of a text or a class under a catalogue. A class and a text never share one.
fn key(catalogue: u64, kind: u8, text: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(text.len().saturating_add(9));
    key.extend_from_slice(&catalogue.to_le_bytes());
    key.push(kind);
    key.extend_from_slice(text.as_bytes());
    key
}

/// Returns where a statement of a text stands.
fn place(text: &str, statement: &str) -> Option<Range<usize>> {
    let start = (statement.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let range = start..start.checked_add(statement.len())?;
    (text.get(range.clone()) == Some(statement)).then_some(range)
}

impl Session {
    /// Judges one statement of a script.
    pub(crate) fn mean(&self, script: &Script, at: usize) -> Meaning {
        let catalogue = self.known.catalogue();
        let text = script.text_of(at);
        let judged = if self.may_execute(text) {
            judge::judge(script, at, &catalogue, &self.state_with_named(text))
        } else {
            judge::judge(script, at, &catalogue, &self.state)
        };
        Meaning::new(&self.database.name, judged, text)
    }

    /// Returns whether a text may run a statement that the session named by the protocol: SQL finds it by that name.
    fn may_execute(&self, text: &str) -> bool {
        const WORD: &[u8] = b"execute";
        let named = self.statements.len() > usize::from(self.statements.contains_key(""));
        named && text.as_bytes().windows(WORD.len()).any(|it| it.eq_ignore_ascii_case(WORD))
    }

    /// Returns the session's state with those statements that the protocol named and a text may mean, each judged as it
    /// would be now.
    fn state_with_named(&self, text: &str) -> SessionState {
        let catalogue = self.known.catalogue();
        let mut state = self.state.clone();
        let text = text.to_ascii_lowercase();
        let meant = |name: &String| !name.is_empty() && text.contains(&name.to_ascii_lowercase());
        for (name, prepared) in self.statements.iter().filter(|(name, _)| meant(name)) {
            let Ok(script) = script::parse(prepared.text()) else { continue };
            if script.len() == 1 {
                let judged = judge::judge(&script, 0, &catalogue, &self.state);
                state.prepared.insert(name.clone(), Arc::new(judged));
            }
        }
        state
    }

    /// Reads a text: what was judged before is not read again.
    ///
    /// # Errors
    /// It cannot be judged.
    pub(crate) fn read(&self, text: &str) -> Result<Read, ScriptError> {
        if text.len() > TEXT_BYTES_MAX || !self.state.is_fresh() || self.may_execute(text) {
            return self.read_anew(text, None);
        }
        let (number, remembered) = (self.known.number(), &self.adapter.remembered);
        let class = class_of(text);
        if let Some(class) = &class
            && let Some((meaning, _)) = remembered.recall(&key(number, b'c', &class.key))
            && let Some(range) = place(text, class.statement)
        {
            debug_assert!(self.means_the_same(text, &meaning), "{text}");
            return Ok(Read::One(meaning, range));
        }
        if let Some((meaning, range)) = remembered.recall(&key(number, b't', text)) {
            return Ok(Read::One(meaning, range));
        }
        self.read_anew(text, class)
    }

    fn read_anew(&self, text: &str, class: Option<Class<'_>>) -> Result<Read, ScriptError> {
        let script = script::parse(text)?;
        if script.len() != 1 {
            return Ok(Read::Script(script));
        }
        let Some(range) = script.range_of(0) else { return Ok(Read::Script(script)) };
        let meaning = Arc::new(self.mean(&script, 0));
        let judged = &meaning.judged;
        let few = judged.touches.len() <= TOUCHES_MAX && text.len() <= TEXT_BYTES_MAX;
        let alone = self.state.is_fresh() && !self.may_execute(text);
        if few && alone && !looks_at_settings(judged) {
            let class = class.filter(|it| {
                !judged.literals_matter
                    && place(text, it.statement) == Some(range.clone())
                    && shows_no_integer(&meaning.excerpt)
            });
            let key = match class {
                Some(class) => key(self.known.number(), b'c', &class.key),
                None => key(self.known.number(), b't', text),
            };
            self.adapter.remembered.keep(key, Arc::clone(&meaning), range.clone());
        }
        Ok(Read::One(meaning, range))
    }

    /// Judges a text anew and compares: what is remembered of its class must be what it means.
    fn means_the_same(&self, text: &str, meaning: &Meaning) -> bool {
        script::parse(text).is_ok_and(|script| {
            let anew = self.mean(&script, 0);
            script.len() == 1 && anew.judged == meaning.judged && anew.plain == meaning.plain
        })
    }
}

/// Returns whether no integer of a text is left in what is shown of it: the length of a type is no literal, and stays.
fn shows_no_integer(excerpt: &str) -> bool {
    class_of(excerpt).is_some_and(|shown| !shown.holds_integers())
}

/// Returns whether a judgement may hang on what the session set before.
fn looks_at_settings(judged: &Judged) -> bool {
    matches!(judged.kind, Kind::Session { .. })
        || judged.touches.iter().any(|touch| touch.group == Group::Setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_that_is_shown_is_not_taken_for_another_one() {
        for (text, shown) in [
            ("SELECT a FROM t WHERE id = 7 LIMIT 3", false),
            ("INSERT INTO t (a1) VALUES (1, 'x')", false),
            ("SELECT CAST(a AS char(10)) FROM t", true),
            ("SELECT interval(2) '1 day'", true),
            ("SELECT a::numeric(10, 2) FROM t", true),
        ] {
            assert_eq!(!shows_no_integer(&mask::masked(text)), shown, "{}", mask::masked(text));
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let remembered = Remembered::default();
        let upstream = UpstreamName::parse("main").unwrap();
        let script = script::parse("SELECT 1").unwrap();
        let catalogue = killick_sql::catalogue::Catalogue::default();
        let judged = judge::judge(&script, 0, &catalogue, &judge::SessionState::default());
        let meaning = Arc::new(Meaning::new(&upstream, judged, "SELECT 1"));
        for at in 0..REMEMBERED_MAX + 10 {
            remembered.keep(key(0, b't', &at.to_string()), Arc::clone(&meaning), 0..8);
            assert!(remembered.kept.read().len() <= REMEMBERED_MAX);
        }
    }

    #[test]
    fn a_text_is_never_taken_for_a_class_nor_one_catalogues_for_anothers() {
        assert_ne!(key(1, b'c', "x"), key(1, b't', "x"));
        assert_ne!(key(1, b't', "x"), key(2, b't', "x"));
    }
}
