//! Written requests with their golden answers. The folder is the floor: no update of golden answers
//! can make a judgement milder than its folder.
//!
//! A case is a request line with a URL, headers, a blank line and the body; then `---` and the
//! answer. `base64:` before the body stands for bytes. `UPDATE_CORPUS=1 cargo test -p
//! killick-adapter-http --test corpus` writes the answers anew.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop at a surprise"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use killick_adapter_http::explain::{Told, explain, judge_effect, read};
use killick_adapter_http::judge::{CanonicalRequest, RequestView, judge};
use killick_adapter_http::pack::PackSet;
use killick_adapter_http::pack::source::load_dir;
use killick_model::admin::Upstream;
use killick_model::{EffectWord, UpstreamName};

fn packs() -> PackSet {
    load_dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs"))
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn cases() -> Vec<(PathBuf, EffectWord)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut found = Vec::new();
    for word in EffectWord::ALL {
        let Ok(entries) = fs::read_dir(root.join(word.as_str())) else { continue };
        for entry in entries {
            found.push((entry.unwrap().path(), word));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert!(found.len() >= 80, "only {} cases", found.len());
    found
}

fn request(input: &str) -> RequestView {
    let (head, body) = input.split_once("\n\n").unwrap_or((input, ""));
    let mut lines = head.lines();
    let (method, url) = lines.next().unwrap().split_once(' ').unwrap();
    let headers: BTreeMap<&str, &str> =
        lines.map(|line| line.split_once(": ").expect("`name: value`")).collect();
    let line = serde_json::json!({
        "request": { "kind": "http", "method": method, "url": url, "headers": headers, "body": body }
    });
    read(&line).unwrap()
}

fn written(told: &Told) -> String {
    let mut out = told.effect.to_string();
    for (word, said) in [("irreversible", told.irreversible), ("unbounded", told.unbounded)] {
        if said {
            out.push(' ');
            out.push_str(word);
        }
    }
    for object in &told.objects {
        out.push('\n');
        out.push_str(object);
    }
    out
}

// A call that may not be sent at all says so in its last line.
fn refusal(packs: &PackSet, view: &RequestView) -> String {
    match explain(packs, None, view).and_then(|judged| judged.sendable()) {
        Ok(()) => String::new(),
        Err(refused) => format!("\nrefused {}", refused.code),
    }
}

fn parts(text: &str) -> (&str, &str) {
    text.split_once("\n---\n").expect("`request`, `---`, `answer`")
}

#[test]
fn every_case_gives_its_golden_and_stays_above_its_floor() {
    let packs = packs();
    let mut wrong = Vec::new();
    for (path, floor) in cases() {
        let text = fs::read_to_string(&path).unwrap();
        let (input, golden) = parts(&text);
        let view = request(input);
        let told = judge_effect(&packs, &view);
        let answer = written(&told) + &refusal(&packs, &view);
        if told.effect.level() < floor.level() {
            wrong.push(format!("{}: {} is below its floor", path.display(), told.effect));
        } else if golden.contains("\nrefused") && !answer.contains("\nrefused") {
            wrong.push(format!("{}: it was refused, and is not any more", path.display()));
        } else if std::env::var_os("UPDATE_CORPUS").is_some() {
            fs::write(&path, format!("{input}\n---\n{answer}\n")).unwrap();
        } else if answer != golden.trim_end() {
            wrong.push(format!("{}: `{answer}`, golden is `{golden}`", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn upstream(packs: &PackSet, view: &RequestView) -> Upstream {
    Upstream {
        name: UpstreamName::parse("here").unwrap(),
        hosts: vec![view.host.clone()],
        port: view.port,
        tls: view.tls,
        pack: packs.for_host(&view.host, view.port).map(|pack| pack.name.clone()),
        declared: None,
        model_provider: false,
        dial: None,
        writes_by_method: false,
        private_address: false,
    }
}

#[test]
fn what_is_sent_is_judged_as_what_came() {
    let packs = packs();
    let mut judged_cases = 0_u32;
    for (path, _) in cases() {
        let text = fs::read_to_string(&path).unwrap();
        let view = request(parts(&text).0);
        let upstream = upstream(&packs, &view);
        let Ok(first) = explain(&packs, Some(&upstream), &view) else { continue };
        let parked = serde_json::to_string(&first.canonical).unwrap();
        let revived: CanonicalRequest = serde_json::from_str(&parked).unwrap();
        assert_eq!(revived, first.canonical, "{}", path.display());
        let again = judge(&packs, &upstream, &revived.view(&upstream))
            .unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
        assert_eq!(again.digest, first.digest, "{}", path.display());
        assert_eq!(again.canonical, first.canonical, "{}", path.display());
        assert_eq!(again.action, first.action, "{}", path.display());
        assert_eq!(again.invalid, first.invalid, "{}", path.display());
        assert_eq!(again.ambiguous, first.ambiguous, "{}", path.display());
        judged_cases += 1;
    }
    assert!(judged_cases >= 60, "only {judged_cases} cases are judged");
}

fn railway(query: &str, variables: &str) -> RequestView {
    let body = serde_json::json!({
        "query": query, "variables": serde_json::from_str::<serde_json::Value>(variables).unwrap()
    });
    request(&format!(
        "POST https://backboard.railway.app/graphql/v2\ncontent-type: application/json\n\n{body}"
    ))
}

#[test]
fn words_that_mean_nothing_do_not_change_the_digest() {
    let packs = packs();
    let digest = |query: &str, variables: &str| {
        let view = railway(query, variables);
        explain(&packs, Some(&upstream(&packs, &view)), &view).unwrap().digest
    };
    let plain = digest("mutation { volumeDelete(volumeId: \"v1\") }", "{}");
    for same in [
        "mutation Harmless { volumeDelete(volumeId: \"v1\") }",
        "mutation # query\n{ volumeDelete(volumeId: \"v1\"), }",
        "mutation { volumeDelete(volumeId: \"\"\"v1\"\"\") }",
        "mutation { volumeDelete(volumeId: \"\\u00761\") }",
    ] {
        assert_eq!(digest(same, "{}"), plain, "{same}");
    }
    assert_eq!(digest("mutation { volumeDelete(volumeId: \"v1\") }", r#"{"unused":1}"#), plain);
    for other in [
        "mutation { volumeDelete(volumeId: \"v2\") }",
        "mutation { volumeDelete(volumeId: \"v1 \") }",
        "mutation { volumeDelete(volumeId: \"v1\") projectDelete(id: \"p\") }",
    ] {
        assert_ne!(digest(other, "{}"), plain, "{other}");
    }
    let by_variable = "mutation($v: String!) { volumeDelete(volumeId: $v) }";
    assert_eq!(
        digest(by_variable, r#"{"v":"v1"}"#),
        digest("mutation($v: String! = \"v1\") { volumeDelete(volumeId: $v) }", "{}"),
        "a default and the same value given are one call"
    );
    assert_ne!(digest(by_variable, r#"{"v":"v1"}"#), digest(by_variable, r#"{"v":"v2"}"#));
    let input = "mutation($i: VariableUpsertInput!) { variableUpsert(input: $i) }";
    assert_eq!(
        digest(input, r#"{"i":{"name":"A","value":"B"}}"#),
        digest(input, r#"{"i":{"value":"B","name":"A"}}"#),
        "the order of keys means nothing"
    );
}

#[test]
fn an_excerpt_shows_ids_and_no_payload() {
    let packs = packs();
    let view = railway(
        "mutation { variableUpsert(input: {environmentId: \"env-1\", name: \"DATABASE_URL\", \
         value: \"postgres://canary-4711\", projectId: \"p-1\"}) volumeDelete(volumeId: \"vol-1\") }",
        "{}",
    );
    let judged = explain(&packs, Some(&upstream(&packs, &view)), &view).unwrap();
    let excerpt = judged.action.excerpt();
    assert!(excerpt.contains("vol-1") && excerpt.contains("variableUpsert"), "{excerpt}");
    assert!(!excerpt.contains("canary") && !excerpt.contains("DATABASE_URL"), "{excerpt}");
    assert!(!format!("{:?}", judged.canonical).contains("canary"));
    assert!(!format!("{view:?}").contains("canary"));
}

#[test]
fn an_invalid_document_keeps_its_effect() {
    let packs = packs();
    let judge_text = |text: &str| {
        let view = railway(text, "{}");
        explain(&packs, Some(&upstream(&packs, &view)), &view).unwrap()
    };
    let judged = judge_text("mutation { volumeDelete(volume: \"v\") { nothing } }");
    assert!(judged.invalid.is_some());
    assert_eq!(judged.action.effect().word(), EffectWord::Destroy);
    assert_eq!(judge_text("mutation { volumeDelete(volumeId: \"v\") }").invalid, None);
}

#[test]
fn what_a_call_makes_is_read_from_its_answer_alone() {
    let packs = packs();
    let view = railway(
        "mutation { mine: volumeCreate(input: {projectId: \"p\", environmentId: \"e\", \
         mountPath: \"/d\", serviceId: \"s\"}) { id } }",
        "{}",
    );
    let upstream = upstream(&packs, &view);
    let judged = explain(&packs, Some(&upstream), &view).unwrap();
    let made = |answer: serde_json::Value| {
        killick_adapter_http::judge::creations(&judged, &upstream, &answer)
            .iter()
            .map(killick_model::ObjectRef::label)
            .collect::<Vec<_>>()
    };
    assert_eq!(made(serde_json::json!({"data": {"mine": {"id": "vol-9"}}})), ["volume:vol-9"]);
    for nothing in [
        serde_json::json!({"data": {"volumeCreate": {"id": "vol-9"}}}),
        serde_json::json!({"data": {"mine": null}}),
        serde_json::json!({"data": {"mine": {"id": null}}}),
        serde_json::json!({"data": {"mine": {"id": ""}}}),
        serde_json::json!({"mine": {"id": "vol-9"}}),
        serde_json::json!([{"data": {"mine": {"id": "vol-9"}}}]),
        serde_json::json!(null),
    ] {
        assert_eq!(made(nothing.clone()), [""; 0], "{nothing}");
    }
}
