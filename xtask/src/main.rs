//! Checks of the house itself, each of which can fail: `cargo xtask` runs all, `cargo xtask NAME` one.
//!
//! A check is a pure function from what it reads (sources, pages, the package graph) to findings, so
//! that its tests can hand it a tree that breaks the rule.

mod docs;
mod finding;
mod layers;
mod licences;
mod limits;
mod named_tests;
mod one_folder;
mod refusal_pages;
mod sockets;
mod sources;
mod tokens;

use finding::Finding;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What went wrong before a check could answer.
type Failure = Box<dyn std::error::Error>;

/// One check: its name on the command line, the rule in a sentence, and the function that runs it.
struct Check {
    name: &'static str,
    rule: &'static str,
    run: fn(&Path) -> Result<Vec<Finding>, Failure>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "layers",
        rule: "a crate depends only on what the picture in ADR 0001 allows",
        run: |root| Ok(layers::check(&declared_packages(root)?)),
    },
    Check {
        name: "one-folder",
        rule: "a protocol lives in one folder, a provider in one pack",
        run: |root| {
            let providers = sources::folder_names(&root.join("packs"))?;
            Ok(one_folder::check(&sources::rust(root)?, &providers))
        },
    },
    Check {
        name: "sockets",
        rule: "only killick-net opens sockets, starts processes and asks for the time",
        run: |root| Ok(sockets::check(&sources::rust(root)?)),
    },
    Check {
        name: "limits",
        rule: "files stay short, nothing is left undone, modules have names of the field",
        run: |root| Ok(limits::check(&sources::rust(root)?)),
    },
    Check {
        name: "docs",
        rule: "what a page names is there: ADRs, links, tests, a page for each refusal",
        run: |root| {
            let pages = sources::markdown(root)?;
            let mut findings = docs::check(&pages, |path| root.join(path).exists());
            let sources = sources::rust(root)?;
            findings.extend(named_tests::check(&sources, &pages));
            findings.extend(refusal_pages::check(&sources, &pages));
            Ok(findings)
        },
    },
    Check {
        name: "licences",
        rule: "every dependency has an allowed licence and comes from the registry",
        run: |root| {
            let deny = std::fs::read_to_string(root.join("deny.toml"))?;
            licences::check(&resolved_packages(root)?, &deny)
        },
    },
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match run(&wanted, &workspace_root()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the checks named, or all, and says whether the house stands.
fn run(wanted: &[String], root: &Path) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    let mut stands = true;
    for check in chosen(wanted)? {
        let findings = (check.run)(root)?;
        let mark = if findings.is_empty() { "ok  " } else { "FAIL" };
        writeln!(out, "{mark} {:<11} {}", check.name, check.rule)?;
        for finding in &findings {
            writeln!(out, "     {finding}")?;
        }
        stands &= findings.is_empty();
    }
    Ok(stands)
}

/// Returns the checks asked for; a name that is no check is an error, never a silent pass.
fn chosen(wanted: &[String]) -> Result<Vec<&'static Check>, Failure> {
    if wanted.is_empty() {
        return Ok(CHECKS.iter().collect());
    }
    wanted
        .iter()
        .map(|name| {
            CHECKS.iter().find(|check| check.name == name).ok_or_else(|| {
                let known: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
                format!("no check `{name}`; there are: {}", known.join(", ")).into()
            })
        })
        .collect()
}

/// The workspace is the folder above this crate's manifest.
fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Returns the workspace's own packages with the dependencies their manifests declare.
fn declared_packages(root: &Path) -> Result<serde_json::Value, Failure> {
    cargo_metadata(root, &["--no-deps"])
}

/// Returns every package of the dependency graph.
fn resolved_packages(root: &Path) -> Result<serde_json::Value, Failure> {
    cargo_metadata(root, &["--filter-platform", "x86_64-unknown-linux-gnu"])
}

fn cargo_metadata(root: &Path, more: &[&str]) -> Result<serde_json::Value, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        .args(more)
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_check_is_an_error_and_not_a_pass() {
        assert!(chosen(&["layer".to_owned()]).is_err());
        assert_eq!(chosen(&["layers".to_owned()]).unwrap().len(), 1);
        assert_eq!(chosen(&[]).unwrap().len(), CHECKS.len());
    }

    #[test]
    fn the_workspace_root_is_the_folder_with_the_crates() {
        assert!(workspace_root().join("crates/killick-model").is_dir());
    }
}
