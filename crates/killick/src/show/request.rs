//! An access request as a human decides on it: what the gateway found out first, claims last and marked.

use std::collections::BTreeSet;

use killick_model::request::AccessRequest;
use killick_model::{BackupsFate, Facet, ObjectFacts, Obligation, Part, Principal, UnixMillis};

use super::moment::{moment, relative, span};
use super::plain::{CELL_CHARS_MAX, TEXT_CHARS_MAX, claim, plain};
use super::{Screen, Tone};

/// Objects that one line names.
const NAMED_MAX: usize = 3;
/// The name of the fact that holds some of the rows, masked.
const SAMPLE: &str = "sample";
/// Rows of a sample that are shown.
const SAMPLE_ROWS_MAX: usize = 10;
/// Dependants and backups that are listed by name.
const LISTED_MAX: usize = 12;

/// Returns the objects in one line.
pub(crate) fn object_names(facts: &[ObjectFacts]) -> String {
    let mut names: Vec<String> = facts
        .iter()
        .take(NAMED_MAX)
        .map(|it| {
            let label = plain(&it.object.label(), CELL_CHARS_MAX);
            match &it.name {
                Some(name) => format!("{} ({label})", plain(name, 40)),
                None => label,
            }
        })
        .collect();
    if facts.len() > NAMED_MAX {
        names.push(format!("and {} more", facts.len().saturating_sub(NAMED_MAX)));
    }
    names.join(", ")
}

/// Returns the environments in one line.
pub(crate) fn environments(facts: &[ObjectFacts]) -> String {
    let found: BTreeSet<String> = facts.iter().map(|it| it.environment.to_string()).collect();
    found.into_iter().collect::<Vec<_>>().join(", ")
}

/// Shows a request.
pub(crate) fn show(screen: &Screen, request: &AccessRequest, now: UnixMillis) {
    for line in lines(screen, request, now) {
        screen.line(line);
    }
}

/// Lines under way, in the tones of a screen.
struct Page<'a> {
    screen: &'a Screen,
    lines: Vec<String>,
}

impl Page<'_> {
    fn line(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }

    fn field(&mut self, name: &str, value: &str) {
        self.lines.push(self.screen.field_text(name, value));
    }

    fn tone(&self, tone: Tone, text: &str) -> String {
        self.screen.tone(tone, text)
    }
}

/// Returns a request as lines: facts first, what somebody claims last.
fn lines(screen: &Screen, request: &AccessRequest, now: UnixMillis) -> Vec<String> {
    let mut page = Page { screen, lines: Vec::new() };
    let principal = &request.principal;
    let title = format!("Request {}", request.id);
    page.line(page.tone(Tone::Strong, &title));
    page.field("state", &format!("{:?}", request.state).to_lowercase());
    page.field("asked", &format!("{} ({})", moment(request.asked), relative(request.asked, now)));
    page.field(
        "expires",
        &format!("{} ({})", moment(request.expires), relative(request.expires, now)),
    );
    page.field("who", &who(request));
    page.field("session in", &principal.environment.to_string());
    if is_owners_task(principal) {
        let task = plain(&principal.task, TEXT_CHARS_MAX);
        page.field("task", &format!("{task} (the owner's words)"));
    }
    page.field("upstream", request.upstream.as_str());
    for part in request.action.parts() {
        show_part(&mut page, part);
    }
    for facts in &request.facts {
        let parts = request.action.parts();
        let fates = parts.iter().filter(|part| part.objects.contains(&facts.object));
        show_object(&mut page, facts, fates.map(|part| part.backups).max(), now);
    }
    page.line("");
    if request.obligations.is_empty() {
        page.field("done first", "nothing: once approved and used, the call is sent as it is");
    }
    for obligation in &request.obligations {
        page.field("done first", &obligation_text(obligation));
    }
    page.field("call digest", &request.digest.to_string());
    page.field("call", request.call.as_str());
    if let Some(answer) = &request.answer {
        let note = answer.note.as_deref().map_or_else(String::new, claim);
        page.field(
            "answered",
            &format!("by {} ({}) {} {note}", answer.by, answer.proof, moment(answer.at)),
        );
    }
    claims(&mut page, request);
    page.lines
}

/// What the agent says, at the end and marked, so that nobody takes it for what the gateway found out.
fn claims(page: &mut Page<'_>, request: &AccessRequest) {
    let excerpt = request.action.excerpt();
    let task = &request.principal.task;
    let owners = is_owners_task(&request.principal);
    if excerpt.is_empty() && owners {
        return;
    }
    page.line("");
    page.line(page.tone(
        Tone::Quiet,
        "What follows the agent wrote itself. It is no fact, whatever it says:",
    ));
    if !owners {
        page.field("task, it says", &claim(task));
    }
    if !excerpt.is_empty() {
        page.field("call excerpt", &claim(excerpt));
    }
}

/// Returns whether a human wrote the task. That of a narrower session an agent wrote.
fn is_owners_task(principal: &Principal) -> bool {
    principal.chain.len() <= 1
}

/// Returns a task for a listing, marked as a claim where an agent wrote it.
pub(crate) fn task(principal: &Principal) -> String {
    if is_owners_task(principal) {
        plain(&principal.task, CELL_CHARS_MAX)
    } else {
        format!("(claimed) {}", plain(&principal.task, CELL_CHARS_MAX))
    }
}

fn who(request: &AccessRequest) -> String {
    let principal = &request.principal;
    let chain: Vec<&str> = principal.chain.iter().map(killick_model::SessionId::as_str).collect();
    format!("{} > {} > {}", principal.owner, principal.agent, chain.join(" > "))
}

fn show_part(page: &mut Page<'_>, part: &Part) {
    page.line("");
    let word = part.effect.word();
    let facets = [
        (Facet::Administers, "administers"),
        (Facet::Reveals, "reveals secrets"),
        (Facet::Outward, "leaves for people"),
        (Facet::Unbounded, "not limited to what it names"),
        (Facet::Deferred, "happens later by itself"),
    ];
    let more: Vec<&str> = facets
        .into_iter()
        .filter(|(facet, _)| part.effect.has(*facet))
        .map(|(_, text)| text)
        .collect();
    let mut effect = word.to_string();
    if !more.is_empty() {
        effect = format!("{effect} ({})", more.join(", "));
    }
    let tone = if word.level() >= 2 { Tone::Bad } else { Tone::Loud };
    page.field("effect", &page.tone(tone, &effect));
    page.field("operation", &plain(&part.operation, CELL_CHARS_MAX));
    page.field("why", &plain(&part.why, TEXT_CHARS_MAX));
    page.field(
        "reversible",
        if part.irreversible { "no, or nobody knows" } else { "yes, by the provider" },
    );
}

fn show_object(
    page: &mut Page<'_>,
    facts: &ObjectFacts,
    fate: Option<BackupsFate>,
    now: UnixMillis,
) {
    page.line("");
    page.field("object", &plain(&facts.object.label(), TEXT_CHARS_MAX));
    page.field(
        "name",
        &facts.name.as_deref().map_or_else(|| "(not known)".into(), |it| plain(it, TEXT_CHARS_MAX)),
    );
    let environment = facts.environment.to_string();
    let tone = if facts.environment.counts_as_production() { Tone::Bad } else { Tone::Strong };
    page.field("environment", &page.tone(tone, &environment));
    if !facts.resolved {
        let text = "the provider did not confirm what this is";
        page.field("resolved", &page.tone(Tone::Bad, text));
    }
    if let Some(rows) = facts.rows {
        let how = if rows.measured { "counted by the server" } else { "estimated, at most" };
        let of = rows.of.map_or_else(String::new, |all| format!(" of about {all}"));
        let text = format!("{}{of} ({how})", rows.count);
        page.field("rows", &page.tone(Tone::Bad, &text));
    }
    page.field(
        "size",
        &facts.size_mb.map_or_else(|| "(not known)".into(), |mb| format!("{mb} MB")),
    );
    page.field("age", &age(facts, now));
    page.field("dependants", &listed(&facts.dependants, "none found"));
    page.field("backups", &listed(&facts.backups, "none found"));
    page.field(
        "backups' fate",
        &match fate {
            Some(BackupsFate::Survive) => "they stay".to_owned(),
            Some(BackupsFate::Die) => page.tone(Tone::Bad, "THEY GO WITH IT"),
            Some(BackupsFate::Unknown) | None => {
                page.tone(Tone::Bad, "nobody can say: counts as gone")
            }
        },
    );
    if facts.created_by_session {
        page.field("made by", "this very session, by the gateway's own record");
    }
    // Rows of the sample are whole lines; their values are masked where they were taken.
    for row in facts.extra.get(SAMPLE).into_iter().flatten().take(SAMPLE_ROWS_MAX) {
        page.field("sample", &plain(row, TEXT_CHARS_MAX));
    }
    for (name, values) in &facts.extra {
        if name != "created" && name != SAMPLE {
            page.field(&plain(name, 16), &listed(values, ""));
        }
    }
}

fn age(facts: &ObjectFacts, now: UnixMillis) -> String {
    let Some(created) = facts.extra.get("created").and_then(|values| values.first()) else {
        return "(not known)".into();
    };
    let trimmed = created.split('.').next().unwrap_or(created);
    match super::moment::parse(trimmed) {
        Some(at) => format!("{} (made {})", span(now.since_millis(at)), moment(at)),
        None => format!("made {}", plain(created, CELL_CHARS_MAX)),
    }
}

fn listed(values: &[String], none: &str) -> String {
    if values.is_empty() {
        return none.to_owned();
    }
    let mut shown: Vec<String> =
        values.iter().take(LISTED_MAX).map(|value| plain(value, CELL_CHARS_MAX)).collect();
    if values.len() > LISTED_MAX {
        shown.push(format!("and {} more", values.len().saturating_sub(LISTED_MAX)));
    }
    format!("{}: {}", values.len(), shown.join(", "))
}

fn obligation_text(obligation: &Obligation) -> String {
    match obligation {
        Obligation::RecoveryPoint { point, .. } => {
            format!("a recovery point is taken ({})", plain(point, CELL_CHARS_MAX))
        }
        Obligation::Defer { grace_millis } => {
            format!("it waits for {}, in which it can be cancelled", span(*grace_millis))
        }
    }
}

#[cfg(test)]
mod tests;
