//! Judges labelled statements over a catalogue that was read with `psql`.
//!
//! `judge_lines queries` prints one query of the inspector a line; `judge_lines judge ANSWERS < CASES` takes the
//! answers, one a line, and one JSON object a line, and prints one answer a line as `killick explain --jsonl` does.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example prints, and stops at what is wrong"
)]

use std::io::BufRead as _;

use killick_model::{Effect, Facet};
use killick_sql::catalogue::read;
use killick_sql::judge::{SessionState, judge_all};
use killick_sql::script;

fn main() {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("queries") => {
            for query in read::QUERIES {
                println!("{}", query.sql.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        Some("judge") => {
            let answers = std::fs::read_to_string(args.next().unwrap()).unwrap();
            let answers: Vec<String> = answers.lines().map(str::to_owned).collect();
            let catalogue = read::build(&answers).unwrap();
            for line in std::io::stdin().lock().lines() {
                let case: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
                println!("{}", judge_case(&case, &catalogue));
            }
        }
        _ => println!("usage: judge_lines queries | judge ANSWERS"),
    }
}

fn judge_case(
    case: &serde_json::Value,
    catalogue: &killick_sql::catalogue::Catalogue,
) -> serde_json::Value {
    let context = &case["context"];
    let texts: Vec<String> = match (context["sqls"].as_array(), context["sql"].as_str()) {
        (Some(texts), _) => texts.iter().map(|it| it.as_str().unwrap().to_owned()).collect(),
        (None, Some(text)) => vec![text.to_owned()],
        (None, None) => vec![case["input"].as_str().unwrap().to_owned()],
    };
    let texts = match context["proto"].as_str() {
        Some("fastpath") => texts.iter().map(|text| format!("SELECT {text}")).collect(),
        _ => texts,
    };
    let mut state = SessionState::default();
    let (mut effects, mut irreversible, mut unbounded) = (Vec::new(), false, false);
    for text in texts {
        match script::parse(&text) {
            Err(_) => effects.push(Effect::Unrecognized),
            Ok(script) => {
                for judged in judge_all(&script, catalogue, &state) {
                    state.apply(&judged);
                    for touch in &judged.touches {
                        effects.push(touch.effect);
                        irreversible |= touch.irreversible && !touch.effect.is_only_read();
                        unbounded |= touch.effect.has(Facet::Unbounded);
                    }
                }
            }
        }
    }
    let effect = effects.into_iter().reduce(Effect::join).map_or("read", |it| it.word().as_str());
    serde_json::json!({
        "id": case["id"], "effect": effect, "irreversible": irreversible, "unbounded": unbounded,
    })
}
