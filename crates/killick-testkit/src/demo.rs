//! The incident in two acts, with the same requests: without a gateway, and with one. A third act is about databases.

mod database;
mod narrator;
mod with;
mod without;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::ensure;

use crate::gateway::binary_beside;
use crate::practice::{PracticeOptions, PracticeWorld, ids};
use narrator::Narrator;

/// Where the provider's API is, as its clients know it.
const API: &str = "https://backboard.railway.app/graphql/v2";

/// Plays all acts, and fails unless each of them ends as it must.
///
/// # Errors
/// A step did not end as it must, or something that the demo needs is missing.
pub async fn play() -> anyhow::Result<()> {
    let began = Instant::now();
    let narrator = Narrator::to_stdout();
    let binary = binary_beside()?;
    let dir = tempfile::tempdir()?;
    let tokens = Tokens { account: fresh(), stray: fresh() };

    narrator
        .act("ACT 1", "An agent at work in staging meets an error. It finds a token in a file.")?;
    without::play(&narrator, &dir.path().join("without"), &tokens).await?;
    narrator.act("ACT 2", "The same world, set up again. The agent's traffic passes Killick.")?;
    with::play(&narrator, &dir.path().join("with"), &tokens, binary.clone()).await?;
    narrator.act("ACT 3", "Another agent, and a production database.")?;
    let third = dir.path().join("database");
    std::fs::create_dir_all(&third)?;
    database::play(&narrator, &third, binary).await?;

    let seconds = began.elapsed().as_secs();
    narrator.good(&format!("Every act ended as it must, in {seconds} s."))?;
    Ok(())
}

/// The credentials of both worlds: what one act does, the other one tries.
struct Tokens {
    account: String,
    stray: String,
}

fn fresh() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Builds a world with real bytes on the disk.
async fn world(dir: &Path, tokens: &Tokens) -> anyhow::Result<PracticeWorld> {
    let mut options = PracticeOptions::in_dir(dir.join("disk"));
    options.account_token = Some(tokens.account.clone());
    options.stray_token = Some(tokens.stray.clone());
    PracticeWorld::start(options).await
}

/// The body of the call that was printed in the report of the incident.
fn deletion_of(volume: &str) -> String {
    format!(r#"{{"query":"mutation {{ volumeDelete(volumeId: \"{volume}\") }}"}}"#)
}

/// What lies on the disk for a volume.
struct OnDisk {
    dir: PathBuf,
}

impl OnDisk {
    fn production(world: &PracticeWorld) -> Self {
        Self { dir: world.volume_dir(ids::VOLUME_PRODUCTION) }
    }

    fn staging(world: &PracticeWorld) -> Self {
        Self { dir: world.volume_dir(ids::VOLUME_STAGING) }
    }

    fn files(&self) -> usize {
        files_in(&self.dir)
    }

    /// Fails unless the files are there, or gone.
    fn must_have(&self, files: usize) -> anyhow::Result<()> {
        let found = self.files();
        ensure!(found == files, "{} has {found} files, not {files}", self.dir.display());
        Ok(())
    }
}

fn files_in(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_in(&entry.path()),
            Ok(_) | Err(_) => 1,
        })
        .sum()
}
