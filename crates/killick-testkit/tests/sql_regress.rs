//! PostgreSQL's own regression suite: every text that its server accepts is parsed, and none that is judged a read
//! writes, as the server's own books say.
//!
//! `make regress` fetches the suite and runs all of it; `KILLICK_REGRESS` names files, or `all`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "tests fail by panicking and print what they measured"
)]

mod regress;

use std::io::Write as _;

use killick_testkit::postgres::{SERVER_OPTIONS, Server, Suite};
use regress::Watcher;

/// Files that are run when nobody says otherwise: rows, functions, rules, locks, cursors, settings.
const SAMPLE: [&str; 8] = [
    "test_setup",
    "select_into",
    "returning",
    "sequence",
    "rules",
    "portals",
    "rangefuncs",
    "largeobject",
];
/// Texts out of ten thousand that the parser may refuse although the server accepts them.
const UNPARSED_PER_10_000_MAX: usize = 1;

#[test]
fn no_text_of_the_servers_own_suite_that_is_judged_a_read_writes() {
    let Some(suite) = Suite::find().unwrap() else {
        eprintln!("skipped: the suite is not fetched, run scripts/regress-suite.sh");
        return;
    };
    let asked = std::env::var("KILLICK_REGRESS").unwrap_or_else(|_| SAMPLE.join(" "));
    let files: Vec<String> = match asked.as_str() {
        "all" => suite.files.clone(),
        names => names.split_whitespace().map(str::to_owned).collect(),
    };
    let server = Server::start_set(&SERVER_OPTIONS);
    let _ = server.sql("postgres", "CREATE EXTENSION pg_walinspect");
    Suite::database(&server, "regression", "template0");
    let watcher = Watcher::before(&server);
    let url = server.url("regression");
    let url = url.replace(&format!(":{}/", server.port()), &format!(":{}/", watcher.port));
    let outputs = std::env::var_os("KILLICK_REGRESS_OUTPUT").map(std::path::PathBuf::from);
    for file in &files {
        watcher.tally.lock().file.clone_from(file);
        let began = std::time::Instant::now();
        let output = suite.run(file, &url);
        eprintln!("{file}: {:.1} s", began.elapsed().as_secs_f64());
        if let Some(directory) = &outputs {
            let mut to = std::fs::File::create(directory.join(format!("{file}.out"))).unwrap();
            to.write_all(&output.stdout).unwrap();
        }
    }
    let tally = watcher.tally.lock();
    eprintln!("{}", tally.report());
    assert!(tally.accepted > files.len(), "the suite did not run");
    let unparsed = tally.unparsed.len();
    assert!(unparsed * 10_000 <= tally.accepted * UNPARSED_PER_10_000_MAX, "{:?}", tally.unparsed);
    assert!(tally.wrote.is_empty(), "judged as reads, and wrote: {:#?}", tally.wrote);
    assert!(tally.unread.is_empty(), "{:?}", tally.unread);
}
