//! Packs in directories: the only place here that reads files.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::{PACK_FILE_BYTES_MAX, Pack, PackSet, Problem, load};

/// The files that a pack may have.
pub const FILES: [&str; 4] = ["pack.toml", "operations.toml", "resolvers.toml", "schema.graphql"];
/// The most packs in one directory.
pub const PACKS_MAX: usize = 1000;

/// Returns every mistake of the pack in a directory; none means that it loads.
#[must_use]
pub fn check(dir: &Path) -> Vec<Problem> {
    load_pack(dir).err().unwrap_or_default()
}

/// Reads the pack in a directory.
///
/// # Errors
/// Every mistake that was found, by file and line.
pub fn load_pack(dir: &Path) -> Result<Pack, Vec<Problem>> {
    let about_folder = |message: String| {
        vec![Problem {
            file: String::new(),
            line: 0,
            message,
            help: "a pack is one folder, see docs/guide/pack-format.md".into(),
        }]
    };
    let folder = dir
        .canonicalize()
        .ok()
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .ok_or_else(|| about_folder(format!("`{}` cannot be read as a folder", dir.display())))?;
    let files = read_files(dir).map_err(|error| about_folder(error.to_string()))?;
    load(&folder, &files)
}

/// Reads every pack in the folders of a directory, by name.
///
/// # Errors
/// Every mistake in any of them; one broken pack refuses all, so that none is missed silently.
pub fn load_dir(dir: &Path) -> Result<PackSet, Vec<Problem>> {
    let mut packs = Vec::new();
    let mut problems = Vec::new();
    for folder in folders(dir).map_err(|error| {
        vec![Problem {
            file: dir.display().to_string(),
            line: 0,
            message: error.to_string(),
            help: "name a directory that holds packs".into(),
        }]
    })? {
        match load_pack(&folder) {
            Ok(pack) => packs.push(pack),
            Err(found) => problems.extend(found.into_iter().map(|problem| Problem {
                file: format!("{}/{}", folder.display(), problem.file),
                ..problem
            })),
        }
    }
    if problems.is_empty() { Ok(PackSet::new(packs)) } else { Err(problems) }
}

fn folders(dir: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.join("pack.toml").is_file() {
            found.push(path);
        }
        if found.len() > PACKS_MAX {
            return Err(io::Error::other(format!("more than {PACKS_MAX} packs")));
        }
    }
    found.sort();
    Ok(found)
}

fn read_files(dir: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for name in FILES {
        let path = dir.join(name);
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(io::Error::other(format!("{name}: {error}"))),
            Ok(meta) if meta.len() > PACK_FILE_BYTES_MAX as u64 => {
                return Err(io::Error::other(format!(
                    "{name} is larger than {PACK_FILE_BYTES_MAX} bytes"
                )));
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        files.insert(name.to_owned(), text);
    }
    Ok(files)
}
