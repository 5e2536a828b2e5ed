//! PostgreSQL's own regression suite, run by the real `psql` at the server and again through the gateway: what the
//! gateway does not refuse prints the same.
//!
//! `make regress` fetches the suite and runs all of it; `KILLICK_REGRESS` names files, or `all`. A break-glass stands
//! open, so that policy refuses nothing and what is compared is the wire: what still is refused, no policy permits.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "tests fail by panicking and print what they measured"
)]

use std::collections::BTreeMap;
use std::path::Path;

use killick_testkit::gateway::{Gateway, GatewayOptions};
use killick_testkit::postgres::{Client, SERVER_OPTIONS, Server, Suite};
use tempfile::TempDir;

/// Files that later ones build on; they are run at the server alone.
const SET_UP: [&str; 8] = [
    "test_setup",
    "create_misc",
    "create_index",
    "create_view",
    "create_aggregate",
    "create_operator",
    "create_type",
    "create_function_sql",
];
/// Files that are run when nobody says otherwise: errors and their places, COPY, cursors, transactions, psql's own.
const SAMPLE: [&str; 8] =
    ["boolean", "int4", "strings", "transactions", "returning", "portals", "copy2", "psql"];
/// Files that are about the whole server or about time, and differ from one run to the next without any gateway.
const LEFT_OUT: [&str; 4] = ["tablespace", "database", "stats", "infinite_recurse"];

/// What became of one file.
#[derive(Debug, Default)]
struct Compared {
    /// Pieces of output that are equal.
    equal: usize,
    /// Pieces in which the gateway refuses.
    refused: usize,
    /// Pieces that differ behind a refusal in the same file: something was not made, or a transaction failed.
    after: usize,
    /// Pieces that differ for no such reason.
    different: Vec<String>,
}

/// Cuts what `psql -a` printed behind each line of its input.
fn pieces<'a>(output: &'a str, input: &'a str) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut lines = output.lines().peekable();
    let mut all: Vec<(&str, Vec<&str>)> = vec![("", Vec::new())];
    for said in input.lines() {
        let mut behind = Vec::new();
        let rest = lines.clone();
        while lines.peek().is_some_and(|line| *line != said) {
            behind.extend(lines.next());
        }
        if lines.next().is_none() {
            // It was not echoed: `psql` skipped it.
            lines = rest;
            continue;
        }
        if let Some((_, last)) = all.last_mut() {
            last.extend(behind);
        }
        all.push((said, Vec::new()));
    }
    if let Some((_, last)) = all.last_mut() {
        last.extend(lines);
    }
    all
}

fn compare(direct: &str, through: &str, input: &str) -> Compared {
    let mut compared = Compared::default();
    let (direct, through) = (pieces(direct, input), pieces(through, input));
    for ((said, wanted), (_, got)) in direct.iter().zip(&through) {
        if wanted == got {
            compared.equal += usize::from(!wanted.is_empty());
        } else if got.iter().any(|line| line.contains("killick ")) {
            compared.refused += 1;
        } else if compared.refused > 0 {
            compared.after += 1;
        } else {
            compared
                .different
                .push(format!("{said}\n    direct:  {wanted:?}\n    through: {got:?}"));
        }
    }
    compared
}

/// A server with the suite's databases, and a gateway before it.
struct Stage {
    server: Server,
    gateway: Gateway,
    suite: Suite,
    _dir: TempDir,
}

impl Stage {
    async fn open(suite: Suite) -> Self {
        let server = Server::start_set(&SERVER_OPTIONS);
        Suite::database(&server, "base", "template0");
        for file in SET_UP {
            let _ = suite.run(file, &server.url("base"));
        }
        Suite::database(&server, "regression", "base");
        let dir = TempDir::new().unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_killick"));
        let mut gateway =
            Gateway::init(dir.path(), GatewayOptions::of(binary), None).await.unwrap();
        gateway.up().await.unwrap();
        gateway.done(&["agent", "add", "coder"]).await.unwrap();
        let url = server.url("regression");
        let place = ["--environment", "staging", "--private-address"];
        let add = ["database", "add", "regression", "--url", &url];
        gateway.done(&[&add[..], &place].concat()).await.unwrap();
        let why = ["--reason", "compare what is printed", "--ttl", "4h"];
        gateway
            .done(&[&["break-glass", "open", "--agent", "coder"][..], &why].concat())
            .await
            .unwrap();
        Self { server, gateway, suite, _dir: dir }
    }

    /// Puts the database back to where every file begins, and takes away roles that a file left.
    fn afresh(&self) {
        // Transactions that a file left prepared keep the database from going.
        let mut inside = Client::connect(&self.server.url("regression")).unwrap();
        for row in inside.query("SELECT gid FROM pg_prepared_xacts").unwrap().rows {
            let name = row[0].clone().unwrap().replace('\'', "''");
            inside.query(&format!("ROLLBACK PREPARED '{name}'")).unwrap();
        }
        drop(inside);
        let mut direct = Client::connect(&self.server.url("postgres")).unwrap();
        let dropped = direct.query("DROP DATABASE regression WITH (FORCE)").unwrap();
        assert!(dropped.went_well(), "{dropped:?}");
        let roles = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'regress%'";
        for row in direct.query(roles).unwrap().rows {
            let role = row[0].clone().unwrap().replace('"', "\"\"");
            direct.query(&format!("DROP OWNED BY \"{role}\" CASCADE")).unwrap();
            direct.query(&format!("DROP ROLE \"{role}\"")).unwrap();
        }
        Suite::database(&self.server, "regression", "base");
    }

    async fn compare(&self, file: &str) -> Compared {
        self.afresh();
        let direct = self.suite.run(file, &self.server.url("regression"));
        self.afresh();
        let base = ["session", "open", "--agent", "coder", "--environment", "staging"];
        let opened =
            self.gateway.json(&[&base[..], &["--task", "compare"]].concat()).await.unwrap();
        let url = opened["environment"]["DATABASE_URL"].as_str().unwrap();
        let through = self.suite.run(file, url);
        let session = url.split("//").nth(1).unwrap().split(':').next().unwrap();
        self.gateway.done(&["session", "close", session]).await.unwrap();
        let text =
            |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
        if let Some(kept) = std::env::var_os("KILLICK_REGRESS_OUTPUT") {
            let kept = Path::new(&kept);
            std::fs::write(kept.join(format!("{file}.direct")), &direct.stdout).unwrap();
            std::fs::write(kept.join(format!("{file}.through")), &through.stdout).unwrap();
        }
        compare(&text(&direct), &text(&through), &self.suite.text(file))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_does_not_refuse_prints_as_it_does_at_the_server() {
    let Some(suite) = Suite::find().unwrap() else {
        eprintln!("skipped: the suite is not fetched, run scripts/regress-suite.sh");
        return;
    };
    let asked = std::env::var("KILLICK_REGRESS").unwrap_or_else(|_| SAMPLE.join(" "));
    let files: Vec<String> = match asked.as_str() {
        "all" => suite
            .files
            .iter()
            .filter(|it| !SET_UP.contains(&it.as_str()) && !LEFT_OUT.contains(&it.as_str()))
            .cloned()
            .collect(),
        names => names.split_whitespace().map(str::to_owned).collect(),
    };
    let stage = Stage::open(suite).await;
    let mut all = BTreeMap::new();
    for file in files {
        let compared = stage.compare(&file).await;
        eprintln!(
            "{file}: {} equal, {} refused, {} behind a refusal, {} different",
            compared.equal,
            compared.refused,
            compared.after,
            compared.different.len()
        );
        for one in compared.different.iter().take(3) {
            eprintln!("  {one}");
        }
        all.insert(file, compared);
    }
    let sum = |of: fn(&Compared) -> usize| all.values().map(of).sum::<usize>();
    let whole = all.values().filter(|it| it.refused == 0 && it.different.is_empty()).count();
    eprintln!(
        "{} files, {whole} of them without a difference; {} pieces of output are equal, {} refused, {} behind a refusal, {} \
         different",
        all.len(),
        sum(|it| it.equal),
        sum(|it| it.refused),
        sum(|it| it.after),
        sum(|it| it.different.len())
    );
    let unknown: Vec<&String> = all
        .iter()
        .filter(|(file, it)| !it.different.is_empty() && known(file).is_none())
        .map(|(file, _)| file)
        .collect();
    assert!(unknown.is_empty(), "these print something else through the gateway: {unknown:?}");
}

/// Why a file is known to print something else.
fn known(file: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(name, _)| *name == file).map(|(_, why)| *why)
}

/// Files that are known to print something else, and why.
const KNOWN: [(&str, &str); 7] = [
    (
        "transactions",
        "the gateway's own default of read-only shows where nobody began a transaction",
    ),
    ("guc", "`DISCARD ALL` and settings that are the gateway's own do not go through"),
    ("combocid", "what the gateway asks inside of a transaction counts as commands of it"),
    ("temp", "the temporary schema was looked at before the transaction that is to be prepared"),
    (
        "privileges",
        "it takes from everybody a function of the server's that the catalogue is read with",
    ),
    ("alter_table", "what cannot run inside of a transaction is named by its text"),
    ("subscription", "what cannot run inside of a transaction is named by its text"),
];
