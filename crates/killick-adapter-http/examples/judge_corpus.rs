//! Reads written requests, one JSON object a line, and writes what each would do.
//!
//! `cargo run -p killick-adapter-http --example judge_corpus -- packs < requests.jsonl`

use std::io::{BufRead as _, Write as _};
use std::path::Path;

use killick_adapter_http::explain::{Told, judge_effect, read};
use killick_adapter_http::pack::source::load_dir;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "packs".into());
    let packs = match load_dir(Path::new(&dir)) {
        Ok(packs) => packs,
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            return Err(format!("{} mistakes in the packs", problems.len()).into());
        }
    };
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line: serde_json::Value = serde_json::from_str(&line?)?;
        let told = read(&line).map_or_else(|_| Told::refused(), |view| judge_effect(&packs, &view));
        let mut answer = serde_json::to_value(told)?;
        if let (Some(fields), Some(id)) = (answer.as_object_mut(), line.get("id")) {
            fields.insert("id".into(), id.clone());
        }
        writeln!(out, "{answer}")?;
    }
    Ok(())
}
