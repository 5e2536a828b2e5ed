//! From texts to policies that can be asked: guarded, parsed, named, held against the schema.

use std::collections::BTreeSet;
use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode,
    Validator,
};
use killick_model::{Code, EffectWord};
use miette::Diagnostic;

use crate::because;
use crate::catalogue::ActionCatalogue;
use crate::guard;
use crate::question::Vocabulary;
use crate::source::{PolicyProblem, PolicySource};

/// Policies of all files together.
pub(crate) const POLICIES_MAX: usize = 50_000;
/// Files.
pub(crate) const FILES_MAX: usize = 1_000;
/// Problems that are reported; more are no help.
const PROBLEMS_MAX: usize = 50;
/// The stack of the thread that parses and checks: recursion as deep as [`guard`] lets through, many times over.
const STACK_BYTES: usize = 16 << 20;
/// The longest `@id`.
const ID_BYTES_MAX: usize = 80;
/// The longest `@because`.
const BECAUSE_BYTES_MAX: usize = 200;

/// One policy with what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// `FILE#ID`, or `FILE#N` for the Nth policy of a file.
    pub(crate) id: Arc<str>,
    pub(crate) policy: Policy,
    pub(crate) forbids: bool,
    pub(crate) reason: Option<Code>,
    pub(crate) because: Option<Arc<str>>,
}

/// Returns all policies in the order of files and lines, or everything that is wrong with them.
pub(crate) fn load(
    words: &Vocabulary,
    sources: &[PolicySource],
    catalogue: &ActionCatalogue,
) -> Result<Vec<Loaded>, Vec<PolicyProblem>> {
    guarded(sources)?;
    let failed = |what: &str| vec![PolicyProblem::of_file("(policies)", what)];
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("policies".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || parsed(words, sources, catalogue))
            .map_err(|_| failed("no thread to read them on"))?
            .join()
            .unwrap_or_else(|_| Err(failed("the parser failed")))
    })
}

/// Refuses what the parser must not see.
fn guarded(sources: &[PolicySource]) -> Result<(), Vec<PolicyProblem>> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    let mut policies = 0_usize;
    if sources.len() > FILES_MAX {
        return Err(vec![PolicyProblem::of_file(
            "(policies)",
            format!("more than {FILES_MAX} files"),
        )]);
    }
    for source in sources {
        if let Err(problem) = guarded_name(&source.name) {
            problems.push(problem);
            continue;
        }
        if !names.insert(source.name.as_str()) {
            problems.push(PolicyProblem::of_file(&source.name, "the file is there twice"));
        }
        if source.text.len() > PolicySource::TEXT_BYTES_MAX {
            let limit = PolicySource::TEXT_BYTES_MAX;
            problems.push(PolicyProblem::of_file(&source.name, format!("more than {limit} bytes")));
            continue;
        }
        match guard::statements(&source.text) {
            Ok(starts) => policies = policies.saturating_add(starts.len()),
            Err(refused) => {
                problems.push(PolicyProblem::at(source, refused.offset, refused.message));
            }
        }
    }
    if policies > POLICIES_MAX {
        let what = format!("{policies} policies; at most {POLICIES_MAX} are read");
        problems.push(PolicyProblem::of_file("(policies)", what));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn guarded_name(name: &str) -> Result<(), PolicyProblem> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let fits = (1..=PolicySource::NAME_BYTES_MAX).contains(&name.len());
    if fits && name.bytes().all(plain) {
        return Ok(());
    }
    let shown: String = name.chars().filter(char::is_ascii_graphic).take(40).collect();
    Err(PolicyProblem::of_file(
        &shown,
        "a file's name is made of a-z A-Z 0-9 . - _, at most 100 bytes",
    ))
}

fn parsed(
    words: &Vocabulary,
    sources: &[PolicySource],
    catalogue: &ActionCatalogue,
) -> Result<Vec<Loaded>, Vec<PolicyProblem>> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    for source in sources {
        match file(words, source) {
            Ok(policies) => files.push((source, policies)),
            Err(found) => problems.extend(found),
        }
    }
    let named = files
        .iter()
        .flat_map(|(_, policies)| policies)
        .flat_map(|loaded| loaded.policy.entity_literals())
        .filter(|uid| uid.type_name() == words.action_type())
        .map(|uid| uid.id().unescaped().to_owned())
        .collect();
    let schema = match Schema::from_cedarschema_str(&catalogue.schema_text(&named)) {
        Ok((schema, _)) => schema,
        Err(error) => {
            problems.push(PolicyProblem::of_file("killick.cedarschema", error.to_string()));
            return Err(problems);
        }
    };
    let validator = Validator::new(schema);
    for (source, policies) in &files {
        problems.extend(validated(&validator, source, policies));
    }
    problems.truncate(PROBLEMS_MAX);
    if problems.is_empty() {
        Ok(files.into_iter().flat_map(|(_, policies)| policies).collect())
    } else {
        Err(problems)
    }
}

/// Parses one file and names its policies.
fn file(words: &Vocabulary, source: &PolicySource) -> Result<Vec<Loaded>, Vec<PolicyProblem>> {
    let set = PolicySet::from_str(&source.text).map_err(|errors| {
        errors.iter().map(|error| problem_of(source, 0, error)).collect::<Vec<_>>()
    })?;
    let starts = guard::statements(&source.text).unwrap_or_default();
    if set.num_of_templates() > 0 {
        return Err(vec![
            PolicyProblem::of_file(&source.name, "holds a template (`?principal`, `?resource`)")
                .with_help("write the principal or resource out"),
        ]);
    }
    if starts.len() != set.num_of_policies() {
        return Err(vec![PolicyProblem::of_file(&source.name, "its policies cannot be counted")]);
    }
    let mut problems = Vec::new();
    let mut loaded = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, start) in starts.into_iter().enumerate() {
        let Some(policy) = set.policy(&PolicyId::new(format!("policy{at}"))) else {
            return Err(vec![PolicyProblem::at(source, start, "the policy cannot be found again")]);
        };
        match named(words, source, at, start, policy) {
            Ok(it) if seen.insert(Arc::clone(&it.id)) => loaded.push(it),
            Ok(it) => {
                let what = format!("the id `{}` is there twice", it.id);
                problems.push(PolicyProblem::at(source, start, what));
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(loaded) } else { Err(problems) }
}

fn named(
    words: &Vocabulary,
    source: &PolicySource,
    at: usize,
    start: usize,
    policy: &Policy,
) -> Result<Loaded, PolicyProblem> {
    let problem = |what: String| PolicyProblem::at(source, start, what);
    let forbids = policy.effect() == Effect::Forbid;
    let mut own = None;
    let mut reason = None;
    let mut because = None;
    for (key, value) in policy.annotations() {
        match key {
            "id" if is_id(value) => own = Some(value.to_owned()),
            "id" => {
                return Err(problem(format!(
                    "an `@id` is made of a-z A-Z 0-9 . - _, 1 to {ID_BYTES_MAX} bytes"
                )));
            }
            "reason" if !forbids => {
                return Err(problem("only a `forbid` has a `@reason`".into()));
            }
            "reason" => {
                reason = Code::ALL.iter().find(|code| code.as_str() == value).copied();
                if reason.is_none() {
                    return Err(problem("the `@reason` is no code of a refusal".into())
                        .with_help("for one, `cross-environment` or `forbidden`"));
                }
            }
            "because"
                if value.len() <= BECAUSE_BYTES_MAX && value.chars().all(because::is_plain) =>
            {
                because = Some(Arc::from(value));
            }
            "because" => {
                return Err(problem(format!(
                    "a `@because` is plain text on one line, without backticks, of at most {BECAUSE_BYTES_MAX} bytes"
                )));
            }
            _ => {
                return Err(problem(format!("the annotation `@{key}` means nothing here"))
                    .with_help("known are `@id`, `@reason` and `@because`"));
            }
        }
    }
    if let Some(effect) = bare_effect(words, policy) {
        return Err(problem(format!("no operation is `== {effect}`, so the policy never applies"))
            .with_help(format!("write `action in Killick::Action::\"{effect}\"`")));
    }
    let name = own.unwrap_or_else(|| at.saturating_add(1).to_string());
    let id: Arc<str> = format!("{}#{name}", source.name).into();
    let policy = policy.new_id(PolicyId::new(&*id));
    Ok(Loaded { id, policy, forbids, reason, because })
}

fn is_id(value: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// Returns the effect that a policy compares the action with as if it were an operation.
fn bare_effect(words: &Vocabulary, policy: &Policy) -> Option<EffectWord> {
    let is = |uid: &EntityUid, word: EffectWord| {
        uid.type_name() == words.action_type() && uid.id().unescaped() == word.as_str()
    };
    match policy.action_constraint() {
        ActionConstraint::Eq(uid) => EffectWord::ALL.into_iter().find(|word| is(&uid, *word)),
        ActionConstraint::Any | ActionConstraint::In(_) => None,
    }
}

/// Holds the policies of one file against the schema. What Cedar only warns of is refused too: text that
/// looks like other text, and policies that can never apply.
fn validated(
    validator: &Validator,
    source: &PolicySource,
    policies: &[Loaded],
) -> Vec<PolicyProblem> {
    let set = match PolicySet::from_policies(policies.iter().map(|it| it.policy.clone())) {
        Ok(set) => set,
        Err(error) => return vec![PolicyProblem::of_file(&source.name, error.to_string())],
    };
    let starts = guard::statements(&source.text).unwrap_or_default();
    let start_of = |id: &PolicyId| {
        policies
            .iter()
            .zip(&starts)
            .find(|(it, _)| PolicyId::new(&*it.id) == *id)
            .map_or(0, |(_, start)| *start)
    };
    let result = validator.validate(&set, ValidationMode::Strict);
    let mut problems: Vec<PolicyProblem> = result
        .validation_errors()
        .map(|error| problem_of(source, start_of(error.policy_id()), error))
        .take(PROBLEMS_MAX)
        .collect();
    if problems.is_empty() {
        // An error often makes its policy impossible too; that says nothing more.
        let warnings = result.validation_warnings();
        problems.extend(
            warnings
                .map(|warning| problem_of(source, start_of(warning.policy_id()), warning))
                .take(PROBLEMS_MAX),
        );
    }
    problems.sort();
    problems.dedup();
    problems
}

/// Returns a problem at the first place that the error points to, else at `offset`.
fn problem_of(
    source: &PolicySource,
    offset: usize,
    error: &(impl Diagnostic + ?Sized),
) -> PolicyProblem {
    let first = error.labels().and_then(|mut labels| labels.next());
    let at = first.as_ref().map_or(offset, miette::LabeledSpan::offset);
    let mut message = error.to_string();
    if let Some(label) = first.as_ref().and_then(|label| label.label()) {
        message = format!("{message} ({label})");
    }
    let problem = PolicyProblem::at(source, at, message.replace('\n', " "));
    match error.help() {
        Some(help) => problem.with_help(help.to_string().replace('\n', " ")),
        None => problem,
    }
}
