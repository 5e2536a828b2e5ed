//! Reads the tree: Rust sources, pages, names of folders.

use std::io;
use std::path::Path;

/// A text file of the repository.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The path from the workspace root, with `/`.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
}

impl Source {
    /// Returns the lines with their numbers, counted from 1.
    pub(crate) fn numbered_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// Whether the file holds tests only, by where it lies.
    ///
    /// `tests.rs` counts: it is the file of a `#[cfg(test)] mod tests;`.
    pub(crate) fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "e2e" | "fuzz"))
    }
}

/// Returns every Rust source of the repository.
pub(crate) fn rust(root: &Path) -> io::Result<Vec<Source>> {
    with_extension(root, "rs")
}

/// Returns every Markdown page of the repository.
pub(crate) fn markdown(root: &Path) -> io::Result<Vec<Source>> {
    with_extension(root, "md")
}

/// Returns the names of the folders in `dir`; a `dir` that does not exist has none.
pub(crate) fn folder_names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn with_extension(root: &Path, extension: &str) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|it| it == extension) {
                let text = std::fs::read_to_string(&path)?;
                let path = path.strip_prefix(root).unwrap_or(&path);
                found.push(Source { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

#[cfg(test)]
pub(crate) fn fixture(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_known_by_their_place() {
        for path in ["crates/killick/tests/kill.rs", "crates/a/src/b/tests.rs", "e2e/x.rs"] {
            assert!(fixture(path, "").is_test(), "{path}");
        }
        for path in ["crates/a/src/contests.rs", "crates/killick-testkit/src/lib.rs"] {
            assert!(!fixture(path, "").is_test(), "{path}");
        }
    }

    #[test]
    fn the_walk_finds_this_file_and_skips_the_build() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let found = rust(root).unwrap();
        assert!(found.iter().any(|source| source.path == "xtask/src/sources.rs"));
        assert!(found.iter().all(|source| !source.path.starts_with("target/")));
    }
}
