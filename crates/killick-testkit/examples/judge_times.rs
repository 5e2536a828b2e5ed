//! How long one statement's judgement takes: read and judged anew, and where its class is remembered.
//!
//! `judge_times ANSWERS` takes the answers of the inspector's queries, one a line, of a database made by `pgbench -i`
//! (`judge_lines queries` prints the queries).

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example prints, stops at what is wrong, and measures"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use killick_sql::catalogue::read;
use killick_sql::judge::{SessionState, judge};
use killick_sql::{class, script};

const ROUNDS: u32 = 20_000;

const STATEMENTS: &[&str] = &[
    "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;",
    "SELECT abalance FROM pgbench_accounts WHERE aid = $1;",
    "UPDATE pgbench_accounts SET abalance = abalance + -331 WHERE aid = 4711;",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (7, 3, 4711, -331, CURRENT_TIMESTAMP);",
    "DELETE FROM pgbench_history WHERE tid = 7 AND aid = 4711",
    "SELECT a.aid, b.bbalance, count(*), lower(a.filler) FROM pgbench_accounts a JOIN pgbench_branches b USING (bid) \
     WHERE a.abalance BETWEEN 1 AND 500 AND b.filler LIKE 'x%' GROUP BY 1, 2, 4 ORDER BY 3 DESC LIMIT 20",
    "WITH gone AS (DELETE FROM pgbench_history WHERE mtime < now() RETURNING *) SELECT count(*) FROM gone",
    "BEGIN",
];

fn median_nanos(mut act: impl FnMut()) -> u128 {
    let mut times: Vec<u128> = (0..9)
        .map(|_| {
            let began = Instant::now();
            (0..ROUNDS).for_each(|_| act());
            began.elapsed().as_nanos() / u128::from(ROUNDS)
        })
        .collect();
    times.sort_unstable();
    times.get(4).copied().unwrap_or_default()
}

fn main() {
    let answers = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let answers: Vec<String> = answers.lines().map(str::to_owned).collect();
    let catalogue = read::build(&answers).unwrap();
    let state = SessionState::default();
    println!("{:>10} {:>10} {:>10}  microseconds", "read", "judged", "remembered");
    for text in STATEMENTS {
        let read = median_nanos(|| drop(black_box(script::parse(black_box(text)))));
        let whole = median_nanos(|| {
            let script = script::parse(black_box(text)).unwrap();
            drop(black_box(judge(&script, 0, &catalogue, &state)));
        });
        let key = |text: &str| class::class_of(text).map_or_else(|| text.to_owned(), |it| it.key);
        let kept = HashMap::from([(key(text), 0_u64)]);
        let remembered = median_nanos(|| {
            black_box(kept.get(&key(black_box(text))));
        });
        let micros = |nanos: u128| format!("{}.{:02}", nanos / 1_000, nanos % 1_000 / 10);
        let shown: String = text.chars().take(70).collect();
        println!("{:>10} {:>10} {:>10}  {shown}", micros(read), micros(whole), micros(remembered));
    }
}
