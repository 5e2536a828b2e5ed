//! Where recovery points lie, and whether one disk could take them along.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Finding;
use crate::config::{Config, Place};
use crate::home::Home;

const CHECK: &str = "recovery points";

/// Says where they lie.
pub(super) fn look(home: &Home, config: &Config) -> Finding {
    match config.recovery.place_in(home) {
        Place::Bucket { .. } => {
            Finding::ok(CHECK, format!("kept in {}", config.recovery.place_in(home)))
        }
        Place::Folder(folder) => folder_found(home.root(), &folder),
    }
}

fn folder_found(home: &Path, folder: &Path) -> Finding {
    let device = |path: &Path| {
        path.ancestors().find_map(|it| std::fs::metadata(it).ok()).map(|found| found.dev())
    };
    let shown = folder.display();
    if device(home) == device(folder) {
        return Finding::not_enforced(
            CHECK,
            format!(
                "they lie in {shown}, on the gateway's own disk: what takes the disk takes them along"
            ),
            "set [recovery] place to another machine's directory, or to a bucket (docs/guide/recovery.md)",
        );
    }
    Finding::ok(CHECK, format!("kept in {shown}, on another disk than the gateway's own"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn points_on_the_gateways_own_disk_are_said_to_be_unprotected() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(Some(folder.path())).unwrap();
        let finding = look(&home, &Config::default());
        assert_eq!(finding.state, State::NotEnforced);
        let text = "[recovery]\nplace = \"file:///proc/points\"\n";
        let elsewhere = Config::parse("killick.toml", text).unwrap();
        assert_eq!(look(&home, &elsewhere).state, State::Ok);
        let text = "[recovery]\nplace = \"s3://bucket\"\n";
        let bucket = Config::parse("killick.toml", text).unwrap();
        assert_eq!(look(&home, &bucket).state, State::Ok);
    }
}
