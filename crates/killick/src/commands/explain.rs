//! `killick explain`

use std::io::{BufRead as _, Read as _, Write as _};

use killick_model::explain::{Explanation, Verdict};
use serde_json::{Value, json};

use killick_admin::protocol::{Command, Reply};

use super::{Ended, Session, unexpected};
use crate::adapters::{Assumed, Offline};
use crate::cli::ExplainArgs;
use crate::failure::{Exit, Failure};
use crate::show::{Tone, plain};

/// The longest line of input.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// The longest body of one call.
const BODY_BYTES_MAX: u64 = 16 << 20;

pub(super) fn explain(session: &Session, args: ExplainArgs) -> Ended {
    let assumed = Assumed {
        agent: args.agent.clone(),
        environment: args.environment.clone(),
        objects_in: args.assume_environment.clone(),
    };
    let mut offline = Offline::open(&session.home, assumed)?;
    if let Some(name) = args.database.clone() {
        let command = Command::DatabaseCatalogue { name: name.clone() };
        let Reply::DatabaseCatalogue { environment, answers } = session.ask(command)? else {
            return Err(unexpected());
        };
        offline.look_at(&answers, name, Some(environment))?;
    } else if let Some(url) = &args.database_url {
        let (name, answers) = session.block_on(crate::visit::catalogue(url))?;
        offline.look_at(&answers, name, None)?;
    }
    if args.jsonl { stream(&offline) } else { single(session, &offline, args) }
}

/// Judges one call a line. A line that is no call is answered too, as the worst it could be.
fn stream(offline: &Offline) -> Ended {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let mut number = 0_u64;
    loop {
        let mut line = Vec::new();
        let read = (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            output.flush()?;
            return Ok(Exit::Done);
        }
        number = number.saturating_add(1);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let answer = match serde_json::from_slice::<Value>(&line) {
            Ok(value) => offline.explain_line(&value).map_or_else(
                || unreadable(value.get("id"), "the line is no call that can be read"),
                |explanation| json!(explanation),
            ),
            Err(error) => unreadable(None, &format!("line {number} is no JSON: {error}")),
        };
        writeln!(output, "{answer}")?;
    }
}

fn unreadable(id: Option<&Value>, why: &str) -> Value {
    json!({
        "id": id, "effect": "unrecognized", "irreversible": true, "unbounded": true, "objects": [],
        "environment": "unknown", "decision": "deny", "obligations": [], "policies": [],
        "reason": format!("unrecognized: {why}"),
    })
}

fn single(session: &Session, offline: &Offline, args: ExplainArgs) -> Ended {
    let line = call_of(args)?;
    let Some(explained) = offline.explain_line(&line) else {
        return Err(Failure::new("this is no call that can be read", "give --url a whole URL"));
    };
    let screen = &session.screen;
    if screen.json {
        screen.json(&explained);
        return Ok(Exit::Done);
    }
    show(session, &explained);
    Ok(Exit::Done)
}

fn show(session: &Session, it: &Explanation) {
    let screen = &session.screen;
    let (decision, tone) = match it.decision {
        Verdict::Permit => ("permit", Tone::Good),
        Verdict::Requestable => ("requestable: a human may say yes", Tone::Loud),
        Verdict::Deny => ("deny", Tone::Bad),
    };
    screen.field("decision", &screen.tone(tone, decision));
    screen.field("effect", it.effect.as_str());
    screen.field("irreversible", if it.irreversible { "yes" } else { "no" });
    screen.field("unbounded", if it.unbounded { "yes" } else { "no" });
    screen.field("environment", &plain(&it.environment, 100));
    screen.field("objects", &plain(&it.objects.join(", "), 1_000));
    screen.field("obligations", &plain(&it.obligations.join(", "), 500));
    screen.field("policies", &plain(&it.policies.join(", "), 500));
    screen.field("reason", &plain(&it.reason, 1_000));
}

/// Puts one call into the form of a line.
fn call_of(args: ExplainArgs) -> Result<Value, Failure> {
    let url = args.url.unwrap_or_default();
    let body = args.data.map(body_of).transpose()?;
    let method = args
        .method
        .unwrap_or_else(|| if body.is_some() { "POST".into() } else { "GET".to_owned() });
    let mut headers = serde_json::Map::new();
    for header in args.headers {
        let Some((name, value)) = header.split_once(':') else {
            return Err(Failure::new(
                format!("`{header}` is no header"),
                "write headers as `NAME: VALUE`",
            ));
        };
        headers.insert(name.trim().to_owned(), value.trim().into());
    }
    Ok(json!({
        "id": "call",
        "request": {
            "kind": "http", "method": method, "url": url, "headers": headers, "body": body,
        },
    }))
}

fn body_of(data: String) -> Result<String, Failure> {
    let Some(path) = data.strip_prefix('@') else { return Ok(data) };
    let mut body = String::new();
    let read = if path == "-" {
        std::io::stdin().lock().take(BODY_BYTES_MAX).read_to_string(&mut body)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(BODY_BYTES_MAX).read_to_string(&mut body))
    };
    read.map_err(|error| {
        Failure::new(format!("{path} cannot be read: {error}"), "name a file with UTF-8 text")
    })?;
    Ok(body)
}
