//! Runs the practice world on its own.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser;
use killick_testkit::connect_router::{ConnectRouter, PROVIDER_HOSTS};
use killick_testkit::practice::{PracticeOptions, PracticeWorld, ids};
use tokio::signal::unix::{SignalKind, signal};

/// A provider to practise on: real requests, real deletions, throw-away everything.
#[derive(Debug, Parser)]
#[command(name = "practice-world")]
struct Arguments {
    /// Where volumes keep their bytes
    #[arg(long)]
    dir: PathBuf,
    /// Write the port to this file when it is known
    #[arg(long)]
    port_file: Option<PathBuf>,
    /// Write the certificate authority to this file
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Append every request to this file before it is executed
    #[arg(long)]
    request_log: Option<PathBuf>,
    /// The port to listen on; a free one when absent
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The account token; random when absent
    #[arg(long)]
    account_token: Option<String>,
    /// The second account token; random when absent
    #[arg(long)]
    stray_token: Option<String>,
    /// Offer HTTP/2 as well
    #[arg(long)]
    http2: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let world = PracticeWorld::start(PracticeOptions {
        request_log: arguments.request_log,
        port: arguments.port,
        account_token: arguments.account_token,
        stray_token: arguments.stray_token,
        http2: arguments.http2,
        ..PracticeOptions::in_dir(arguments.dir)
    })
    .await?;
    let router = ConnectRouter::start(&PROVIDER_HOSTS, world.addr).await?;
    let mut ended = signal(SignalKind::terminate())?;
    if let Some(path) = arguments.ca_file {
        std::fs::write(path, &world.ca_pem)?;
    }
    let announcement = serde_json::json!({
        "addr": world.addr.to_string(),
        "plain_addr": world.plain_addr.to_string(),
        "url": world.url(),
        "connect_proxy": router.url(),
        "account_token": world.account_token,
        "stray_token": world.stray_token,
        "project_token": world.project_token,
        "volume_production": ids::VOLUME_PRODUCTION,
        "volume_production_dir": world.volume_dir(ids::VOLUME_PRODUCTION),
        "volume_staging": ids::VOLUME_STAGING,
        "volume_staging_dir": world.volume_dir(ids::VOLUME_STAGING),
    });
    writeln!(std::io::stdout().lock(), "{announcement}")?;
    // Last: who waits for this file may begin.
    if let Some(path) = arguments.port_file {
        std::fs::write(path, world.addr.port().to_string())?;
    }
    tokio::select! {
        _ = ended.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    world.shutdown().await;
    Ok(())
}
