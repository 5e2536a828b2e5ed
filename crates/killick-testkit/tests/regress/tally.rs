//! What came of all statements, and how it is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use killick_model::EffectWord;
use killick_sql::judged::Judged;

use super::oracle::Wrote;

/// Bytes of a statement that are shown.
const SHOWN_BYTES: usize = 160;

/// One text that was sent.
pub struct Seen<'a> {
    pub text: &'a str,
    pub accepted: bool,
    /// Why our parser refuses it.
    pub error: Option<String>,
    pub word: EffectWord,
    pub judged: &'a [Arc<Judged>],
    pub wrote: Option<Wrote>,
}

#[derive(Debug, Default)]
pub struct Tally {
    pub texts: usize,
    pub accepted: usize,
    /// Accepted by the server and refused by our parser.
    pub unparsed: Vec<String>,
    pub words: BTreeMap<&'static str, usize>,
    /// Judged as a read, and it wrote.
    pub wrote: Vec<String>,
    /// Judged as a read, and what is in the books changed nothing that anybody could read: how often, by why.
    pub excused: BTreeMap<&'static str, usize>,
    /// Unrecognized and it did write, or did not.
    pub unrecognized_wrote: usize,
    pub unrecognized_read: usize,
    /// Why statements are unrecognized.
    pub reasons: BTreeMap<String, (usize, String)>,
    pub catalogues: usize,
    /// Where the catalogue could not be read.
    pub blind: Vec<String>,
    pub unread: Vec<String>,
    pub file: String,
}

impl Tally {
    pub fn add(&mut self, seen: &Seen<'_>) {
        self.texts += 1;
        let shown = format!("{}: {}", self.file, shown(seen.text));
        if seen.accepted {
            self.accepted += 1;
            if let Some(error) = &seen.error {
                self.unparsed.push(format!("{shown} ({error})"));
            }
            *self.words.entry(seen.word.as_str()).or_default() += 1;
        }
        match (seen.word, &seen.wrote) {
            (EffectWord::Read, Some(wrote)) => match excuse(seen, wrote) {
                Some(why) => *self.excused.entry(why).or_default() += 1,
                None => self.wrote.push(format!("{shown} [{}]", wrote.log)),
            },
            (EffectWord::Unrecognized, wrote) if seen.accepted => {
                if wrote.is_some() {
                    self.unrecognized_wrote += 1;
                } else {
                    self.unrecognized_read += 1;
                }
                let why = seen.judged.iter().flat_map(|it| &it.touches);
                let why = why.filter(|it| it.effect.word() == EffectWord::Unrecognized);
                let why = why.map(|it| it.why.clone()).next().unwrap_or_else(|| "unparsed".into());
                let reason = self.reasons.entry(why).or_insert_with(|| (0, shown.clone()));
                reason.0 += 1;
            }
            _ => {}
        }
    }

    pub fn report(&self) -> String {
        let mut out = String::new();
        let per = |part: usize| {
            #[expect(clippy::cast_precision_loss, reason = "a share that is printed")]
            let share = 100.0 * part as f64 / self.accepted.max(1) as f64;
            format!("{part} ({share:.3} %)")
        };
        let _ = writeln!(out, "{} texts, {} accepted by the server", self.texts, self.accepted);
        let _ = writeln!(out, "parsed: {}", per(self.accepted - self.unparsed.len()));
        for line in &self.unparsed {
            let _ = writeln!(out, "  unparsed: {line}");
        }
        for (word, count) in &self.words {
            let _ = writeln!(out, "judged {word}: {}", per(*count));
        }
        let _ = writeln!(
            out,
            "of the unrecognized {} wrote and {} did not",
            self.unrecognized_wrote, self.unrecognized_read
        );
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        for (why, (count, example)) in reasons.into_iter().take(40) {
            let _ = writeln!(out, "  {count:5} {why}; as {example}");
        }
        for (why, count) in &self.excused {
            let _ = writeln!(out, "judged as reads, {why}: {count}");
        }
        let _ = writeln!(out, "judged as reads, and wrote: {}", self.wrote.len());
        for line in &self.wrote {
            let _ = writeln!(out, "  {line}");
        }
        let _ =
            writeln!(out, "catalogues read: {}; not readable: {:?}", self.catalogues, self.blind);
        out
    }
}

/// Says why a read may stand in the books.
fn excuse(seen: &Seen<'_>, wrote: &Wrote) -> Option<&'static str> {
    let only = |kinds: &[&str]| wrote.log.split(' ').all(|it| it.is_empty() || kinds.contains(&it));
    let touched = || seen.judged.iter().flat_map(|it| &it.touches);
    let numbers = ["txid_current(", "pg_current_xact_id("];
    if !seen.accepted && only(&["Transaction/ABORT"]) {
        return Some("failed, and what their transaction had done before was rolled back");
    }
    if only(&["Heap2/PRUNE"]) && !wrote.log.is_empty() {
        return Some("tidied up a page, as any read may");
    }
    if only(&["Transaction/COMMIT"]) && numbers.iter().any(|it| seen.text.contains(it)) {
        return Some("asked for their transaction's number, which gives it one");
    }
    if only(&["Standby/LOCK", "Transaction/COMMIT"])
        && touched().any(|it| it.object.name.contains("pg_temp"))
    {
        return Some(
            "looked at a temporary table of the session's own that empties itself at COMMIT",
        );
    }
    let locks = seen.judged.iter().any(|it| it.locks);
    (locks && wrote.log.split(' ').all(|it| it.is_empty() || is_lock(it)))
        .then_some("locked rows, and did no more")
}

/// Whether a kind of entry of the log is about locking rows.
fn is_lock(kind: &str) -> bool {
    matches!(
        kind,
        "Heap/LOCK"
            | "Heap2/LOCK_UPDATED"
            | "MultiXact/CREATE_ID"
            | "Transaction/COMMIT"
            | "Transaction/ASSIGNMENT"
    )
}

fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = line.floor_char_boundary(SHOWN_BYTES.min(line.len()));
    line[..cut].to_owned()
}
