//! PostgreSQL's own regression suite, as `scripts/regress-suite.sh` fetches it, and its files run by the real `psql`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::{Client, Server};

/// How long one file may take.
const FILE_SECONDS_MAX: u64 = 300;
/// What the suite's own driver sets for the database.
const SETTINGS: [&str; 6] = [
    "lc_messages = 'C'",
    "lc_monetary = 'C'",
    "lc_numeric = 'C'",
    "lc_time = 'C'",
    "bytea_output = 'hex'",
    "timezone_abbreviations = 'Default'",
];

/// Options of a server that the suite runs at: nothing runs by itself, so that what is written was said by somebody.
pub const SERVER_OPTIONS: [&str; 5] = [
    "autovacuum=off",
    "max_prepared_transactions=10",
    "max_wal_size=8GB",
    "checkpoint_timeout=1h",
    "wal_level=replica",
];

/// The suite, in a place where the server can read it.
#[derive(Debug)]
pub struct Suite {
    directory: TempDir,
    /// Its files, in the order in which they build on each other.
    pub files: Vec<String>,
}

impl Suite {
    /// Finds the suite that was fetched; `None` when it was not.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn find() -> std::io::Result<Option<Self>> {
        let tools = std::env::var_os("KILLICK_TOOLS").map(PathBuf::from).or_else(|| {
            std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/killick/tools"))
        });
        let Some(Ok(entries)) = tools.map(std::fs::read_dir) else { return Ok(None) };
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.join("parallel_schedule").exists())
            .collect();
        found.sort();
        let Some(from) = found.pop() else { return Ok(None) };
        let directory = TempDir::with_prefix("killick-regress-")?;
        let to = directory.path();
        for part in ["sql", "data", "expected"] {
            copy(&from.join(part), &to.join(part))?;
        }
        std::fs::create_dir(to.join("results"))?;
        // The server reads and writes there as a user of its own.
        let opened = Command::new("chmod").args(["-R", "a+rwX"]).arg(to).status()?;
        if !opened.success() {
            return Err(std::io::Error::other("the suite cannot be made readable for the server"));
        }
        let schedule = std::fs::read_to_string(from.join("parallel_schedule"))?;
        let files = schedule
            .lines()
            .filter_map(|line| line.strip_prefix("test:"))
            .flat_map(str::split_whitespace)
            .filter(|name| to.join("sql").join(format!("{name}.sql")).exists())
            .map(str::to_owned)
            .collect();
        Ok(Some(Self { directory, files }))
    }

    /// Returns the text of a file.
    ///
    /// # Panics
    /// It is not there.
    #[must_use]
    pub fn text(&self, file: &str) -> String {
        let path = self.directory.path().join("sql").join(format!("{file}.sql"));
        String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
    }

    /// Makes a database as the suite's own driver does.
    ///
    /// # Panics
    /// The server refuses.
    pub fn database(server: &Server, name: &str, template: &str) {
        let mut direct = Client::connect(&server.url("postgres")).unwrap();
        let mut say = |text: String| {
            let answer = direct.query(&text).unwrap();
            assert!(answer.went_well(), "{text}: {answer:?}");
        };
        say(format!("CREATE DATABASE {name} TEMPLATE {template}"));
        for setting in SETTINGS {
            say(format!("ALTER DATABASE {name} SET {}", setting.replace('=', "TO")));
        }
    }

    /// Runs a file with the real `psql` as the suite's own driver does, and returns all that it said.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn run(&self, file: &str, url: &str) -> Output {
        let directory = self.directory.path();
        let here = directory.display().to_string();
        let sql = directory.join("sql").join(format!("{file}.sql"));
        let psql = "exec timeout \"$0\" psql -X -a -q -v HIDE_TABLEAM=on -v HIDE_TOAST_COMPRESSION=on \"$1\" <\"$2\" 2>&1";
        Command::new("sh")
            .args(["-c", psql, &FILE_SECONDS_MAX.to_string(), url])
            .arg(sql)
            .current_dir(directory)
            .env("PGTZ", "PST8PDT")
            .env("PGDATESTYLE", "Postgres, MDY")
            .env("PGAPPNAME", format!("pg_regress/{file}"))
            .env("PGGSSENCMODE", "disable")
            .env("LC_ALL", "C")
            .env("PG_ABS_SRCDIR", &here)
            .env("PG_ABS_BUILDDIR", &here)
            .env("PG_LIBDIR", &here)
            .env("PG_DLSUFFIX", ".so")
            .stdin(Stdio::null())
            .output()
            .expect("psql is installed; run scripts/setup.sh")
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
