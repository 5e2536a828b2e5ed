//! Laws of the judgement, with the labelled statements as seeds and a live catalogue to judge by.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::path::Path;
use std::sync::OnceLock;

use killick_model::Effect;
use killick_sql::catalogue::{Catalogue, read};
use killick_sql::judge::{SessionState, judge_all};
use killick_sql::script;
use killick_testkit::postgres::Server;
use proptest::prelude::*;

/// Tables of the fixture that stand in many statements.
const TABLES: &[&str] = &["users", "orders", "sessions", "audit_log"];

/// Words behind which the scanner looks at the next one before it knows what they are.
const LOOKS_AHEAD: &[&str] = &["not", "nulls", "with", "without", "format", "uescape"];

struct World {
    catalogue: Catalogue,
    texts: Vec<String>,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/sql");
        let server = Server::start();
        for role in ["app_owner", "analyst", "agent_ro", "agent_rw", "temp_role"] {
            let _ = server.sql("postgres", &format!("CREATE ROLE {role}"));
        }
        let _ = server.sql("postgres", "CREATE DATABASE fixture");
        server.load("fixture", &folder.join("fixture.sql"));
        let answers: Vec<String> =
            read::QUERIES.iter().map(|query| server.sql("fixture", query.sql)).collect();
        let lines = std::fs::read_to_string(folder.join("statements.jsonl")).unwrap();
        let texts = lines
            .lines()
            .flat_map(|line| {
                let case: serde_json::Value = serde_json::from_str(line).unwrap();
                case["texts"].as_array().unwrap().clone()
            })
            .map(|text| text.as_str().unwrap().to_owned())
            .collect();
        World { catalogue: read::build(&answers).unwrap(), texts }
    })
}

fn level(text: &str) -> u8 {
    let Ok(script) = script::parse(text) else {
        return Effect::Unrecognized.word().level();
    };
    judge_all(&script, &world().catalogue, &SessionState::default())
        .iter()
        .flat_map(|judged| judged.touches.iter().map(|touch| touch.effect))
        .reduce(Effect::join)
        .map_or(0, |effect| effect.word().level())
}

/// One of the labelled texts.
fn seed() -> impl Strategy<Value = String> {
    any::<prop::sample::Index>().prop_map(|at| at.get(&world().texts).clone())
}

/// A piece of a text: what may be written in another way without another meaning, and what may not.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Blank(&'a str),
    Word(&'a str),
    Other(&'a str),
}

/// Which piece a stretch of a text is.
#[derive(Clone, Copy)]
enum Make {
    Blank,
    Word,
    Other,
}

/// Cuts a text into pieces the way the server's scanner does, as far as blanks and words are concerned.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, make): (usize, Make) = if first.is_ascii_whitespace() {
            (run(rest, |c| c.is_ascii_whitespace()), Make::Blank)
        } else if rest.starts_with("--") {
            (rest.find('\n').unwrap_or(rest.len()), Make::Other)
        } else if rest.starts_with("/*") {
            (comment(rest), Make::Other)
        } else if first == '\'' {
            (quoted(rest, '\'', escapes(&all)), Make::Other)
        } else if first == '"' {
            (quoted(rest, '"', false), Make::Other)
        } else if let Some(length) = dollars(rest) {
            (length, Make::Other)
        } else if first.is_ascii_alphabetic() || first == '_' {
            (run(rest, |c| c.is_ascii_alphanumeric() || c == '_' || c == '$'), Make::Word)
        } else {
            (first.len_utf8(), Make::Other)
        };
        let (piece, more) = rest.split_at(length.max(1));
        all.push(match make {
            Make::Blank => Piece::Blank(piece),
            Make::Word => Piece::Word(piece),
            Make::Other => Piece::Other(piece),
        });
        rest = more;
    }
    all
}

fn run(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !of(c)).unwrap_or(text.len())
}

fn escapes(before: &[Piece<'_>]) -> bool {
    matches!(before.last(), Some(Piece::Word("e" | "E")))
}

fn quoted(text: &str, quote: char, backslash: bool) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if backslash && c == '\\' {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

fn comment(text: &str) -> usize {
    let (mut deep, mut at) = (0, 0);
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        if rest.starts_with("/*") {
            deep += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            deep -= 1;
            at += 2;
            if deep == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn dollars(text: &str) -> Option<usize> {
    let tag = run(text.strip_prefix('$')?, |c| c.is_ascii_alphanumeric() || c == '_') + 2;
    let open = text.get(..tag).filter(|it| it.ends_with('$'))?;
    if open.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) {
        return None;
    }
    let close = text.get(tag..)?.find(open)?;
    Some(tag + close + tag)
}

/// Writes a text in another way that means the same.
fn rewritten(text: &str, mut choice: impl FnMut(usize) -> usize) -> String {
    let pieces = pieces(text);
    let mut out = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            // Between two strings a line break joins them, and a blank does not: left as it is.
            Piece::Blank(blank) if beside_strings(&pieces, at) => out.push_str(blank),
            Piece::Blank(blank) => {
                let forms =
                    [*blank, " ", "\n", "\t \n", "\r\n", " /* a; DROP TABLE b */ ", " -- 'x\n"];
                // The library's scanner looks one word ahead behind these, and takes a comment for it: the text is
                // refused as one that cannot be read.
                let looks_ahead = matches!(at.checked_sub(1).and_then(|it| pieces.get(it)), Some(Piece::Word(word))
                    if LOOKS_AHEAD.iter().any(|it| word.eq_ignore_ascii_case(it)));
                let most = if looks_ahead { forms.len() - 2 } else { forms.len() };
                out.push_str(forms[choice(most)]);
            }
            Piece::Word(word) if TABLES.contains(word) && choice(2) == 0 => {
                out.extend(["\"", word, "\""]);
            }
            Piece::Word(word) => match choice(4) {
                0 => out.push_str(&word.to_ascii_uppercase()),
                1 => out.push_str(&word.to_ascii_lowercase()),
                _ => out.push_str(word),
            },
            Piece::Other(other) => out.push_str(other),
        }
    }
    out
}

fn beside_strings(pieces: &[Piece<'_>], at: usize) -> bool {
    let string = |it: Option<&Piece<'_>>| matches!(it, Some(Piece::Other(text)) if text.starts_with(['\'', '-', '/']));
    string(at.checked_sub(1).and_then(|it| pieces.get(it))) || string(pieces.get(at + 1))
}

/// Breaks a text: pieces go, come twice, trade places, or are cut in the middle.
fn broken(text: &str, mut choice: impl FnMut(usize) -> usize) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=choice(4) {
        if chars.is_empty() {
            break;
        }
        let from = choice(chars.len());
        let to = (from + 1 + choice(12)).min(chars.len());
        match choice(4) {
            0 => drop(chars.drain(from..to)),
            1 => {
                let again: Vec<char> = chars.get(from..to).unwrap_or_default().to_vec();
                let repeated = again.iter().cycle().take(again.len() * (1 + choice(40)));
                let repeated: Vec<char> = repeated.copied().collect();
                chars.splice(from..from, repeated);
            }
            2 => {
                let other = choice(chars.len());
                chars.swap(from, other);
            }
            _ => {
                const ODD: &[char] =
                    &['(', ')', '\'', '"', ';', '$', '\\', '\u{b}', '\u{202e}', '*'];
                chars.insert(from, ODD[choice(ODD.len())]);
            }
        }
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_statement_behind_others_never_makes_the_text_milder(texts in prop::collection::vec(seed(), 1..4), more in seed()) {
        let text = texts.join(";\n");
        let longer = format!("{text};\n{more}");
        prop_assert!(level(&longer) >= level(&text), "{longer}");
        let led = format!("SELECT 1;\n{text}");
        prop_assert!(level(&led) >= level(&text), "{led}");
    }

    #[test]
    fn blanks_comments_case_and_quotes_never_change_the_judgement(
        text in seed(),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 400),
    ) {
        let mut next = choices.iter().cycle();
        let other = rewritten(&text, |of| next.next().map_or(0, |it| it.index(of)));
        prop_assert_eq!(level(&other), level(&text), "{}\n---\n{}", text, other);
    }

    #[test]
    fn whatever_a_text_is_broken_into_is_judged_without_a_panic(
        text in seed(),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let mut next = choices.iter().cycle();
        let other = broken(&text, |of| next.next().map_or(0, |it| it.index(of.max(1))));
        let _ = level(&other);
        let _ = killick_sql::mask::masked(&other);
    }
}
