//! Act 1: nothing stands between the agent and the provider.

use std::path::Path;

use anyhow::ensure;
use tokio::process::Command;

use super::narrator::Narrator;
use super::{API, OnDisk, Tokens, deletion_of, world};
use crate::connect_router::{ConnectRouter, PROVIDER_HOSTS};
use crate::gateway::said;
use crate::practice::ids;

pub(super) async fn play(narrator: &Narrator, dir: &Path, tokens: &Tokens) -> anyhow::Result<()> {
    let world = world(dir, tokens).await?;
    let router = ConnectRouter::start(&PROVIDER_HOSTS, world.addr).await?;
    let roots = dir.join("roots.pem");
    std::fs::write(&roots, &world.ca_pem)?;
    let disk = OnDisk::production(&world);
    let files = disk.files();
    ensure!(files > 0, "the practice world has no data");
    narrator.say(&format!(
        "Production's volume pg-data: {files} files on the disk, its two backups among them."
    ))?;
    narrator.command(&format!("curl {API} -H \"Authorization: Bearer $FOUND_TOKEN\" \\"))?;
    narrator.shown(&format!("-d '{}'", deletion_of(ids::VOLUME_PRODUCTION)))?;
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--noproxy", "", "--proxy", &router.url(), "--cacert"])
        .arg(&roots)
        .args([API, "-H", &format!("Authorization: Bearer {}", tokens.stray)])
        .args(["-d", &deletion_of(ids::VOLUME_PRODUCTION)]);
    let said = said(&mut curl, "").await?;
    narrator.shown(&said.stdout)?;
    ensure!(said.stdout.contains("true"), "the deletion failed: {said:#?}");
    disk.must_have(0)?;
    narrator.bad("Data and backups are gone: 0 files are left.")?;
    world.shutdown().await;
    Ok(())
}
