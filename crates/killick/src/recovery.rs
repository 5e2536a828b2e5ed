//! Where recovery points are kept: the place, its key, its credential.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, bail};
use killick_admin::ports::Recovery;
use killick_gate::points::Points;
use killick_gate::ports::BoxFuture;
use killick_model::rehearsal::{Rehearsals, Work};
use killick_model::{PointId, UpstreamName};
use killick_net::{S3Options, s3};
use killick_recover::Works;
use killick_recover::points::{PointStore, PointStoreParts, RecoveryKey, RecoveryKeys, local};
use killick_store::{FileKey, KeyProvider as _};
use zeroize::Zeroizing;

use crate::config::{Config, Place};
use crate::home::Home;

/// What the recovery key is derived for.
const PURPOSE: &str = "killick-recovery/1";
/// The most bytes of a file of assertions.
const ASSERTIONS_BYTES_MAX: u64 = 256 << 10;
/// The variables that a credential for an object store is taken from, as its own clients name them.
const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";
const SECRET_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";

/// Recovery points as the daemon has them.
pub(crate) struct Recoveries {
    home: Home,
    points: Arc<PointStore>,
    /// One rotation at a time.
    rotating: tokio::sync::Mutex<()>,
    /// Snapshots and rehearsals, once there is something to take them of.
    works: OnceLock<Arc<Works>>,
    assertions: Option<PathBuf>,
}

impl Recoveries {
    /// Opens the place that the configuration names. A key that an older home lacks is made.
    ///
    /// # Errors
    /// The place or the key cannot be had.
    pub(crate) fn open(home: &Home, config: &Config) -> anyhow::Result<Self> {
        if !home.recovery_key().exists() {
            make_key(home)?;
        }
        let recovery = &config.recovery;
        let (store, prefix) = match recovery.place_in(home) {
            Place::Folder(folder) => (local(&folder)?, String::new()),
            Place::Bucket { bucket, prefix } => {
                let options = s3_options(config, bucket)?;
                (s3(options).context("[recovery] place cannot be used")?, prefix)
            }
        };
        let points = PointStore::new(PointStoreParts {
            store,
            place: recovery.place_in(home).to_string(),
            prefix,
            keys: keys_of(home)?,
            retention_millis: u64::from(recovery.retention_days).saturating_mul(86_400_000),
            bytes_max: recovery.bytes_max,
        });
        Ok(Self {
            home: home.clone(),
            points: Arc::new(points),
            rotating: tokio::sync::Mutex::default(),
            works: OnceLock::new(),
            assertions: recovery.assertions.clone(),
        })
    }

    /// Returns the place.
    pub(crate) fn store(&self) -> &Arc<PointStore> {
        &self.points
    }

    /// Tells who takes snapshots.
    pub(crate) fn know(&self, works: &Arc<Works>) {
        // A second one would be a mistake of the wiring, and changes nothing.
        let _ = self.works.set(Arc::clone(works));
    }

    fn works(&self) -> Result<&Arc<Works>, String> {
        self.works.get().ok_or_else(|| "the gateway has not started yet".to_owned())
    }

    /// Reads the configured assertions.
    fn assertions(&self) -> Result<String, String> {
        let Some(path) = &self.assertions else { return Ok(String::new()) };
        let failed =
            |error: std::io::Error| format!("the assertions in {}: {error}", path.display());
        if std::fs::metadata(path).map_err(failed)?.len() > ASSERTIONS_BYTES_MAX {
            return Err(format!("{} is longer than is read", path.display()));
        }
        std::fs::read_to_string(path).map_err(failed)
    }

    async fn rotate(&self) -> anyhow::Result<usize> {
        let _alone = self.rotating.lock().await;
        let (current, former) = (self.home.recovery_key(), self.home.recovery_former_key());
        if former.exists() {
            // An earlier rotation was cut off: points may still be under its former key.
            self.points.replace_keys(keys_of(&self.home)?).await?;
            std::fs::remove_file(&former)?;
        }
        let next = current.with_extension("next.key");
        if next.exists() {
            std::fs::remove_file(&next)?;
        }
        FileKey::create(&next)?;
        std::fs::hard_link(&current, &former)?;
        std::fs::rename(&next, &current)?;
        std::fs::File::open(self.home.root())?.sync_all()?;
        let count = self.points.replace_keys(keys_of(&self.home)?).await?;
        std::fs::remove_file(&former)?;
        self.points.replace_keys(keys_of(&self.home)?).await?;
        Ok(count)
    }
}

impl Recovery for Recoveries {
    fn points(&self) -> Arc<dyn Points> {
        Arc::clone(&self.points) as Arc<dyn Points>
    }

    fn rotate_key(&self) -> BoxFuture<'_, Result<usize, String>> {
        Box::pin(async move { self.rotate().await.map_err(|error| format!("{error:#}")) })
    }

    fn snapshot(&self, database: &UpstreamName, by: String) -> Result<(), String> {
        self.works()?.snapshot(database, Some(by))
    }

    fn rehearse<'a>(
        &'a self,
        database: &'a UpstreamName,
        by: String,
        assertions: Option<String>,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let assertions = match assertions {
                Some(given) => given,
                None => self.assertions()?,
            };
            self.works()?.rehearse(database, Some(by), assertions).await
        })
    }

    fn restore<'a>(
        &'a self,
        database: &'a UpstreamName,
        point: &'a PointId,
        into: String,
        by: String,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.works()?.restore(database, point, into, Some(by)).await })
    }

    fn work(&self, database: &UpstreamName) -> Option<Work> {
        self.works().ok()?.work(database)
    }

    fn rehearsals(&self) -> BoxFuture<'_, Result<Vec<Rehearsals>, String>> {
        Box::pin(async move { self.works()?.rehearsals().await })
    }
}

/// Makes the recovery key, unless points lie in the home already that another one sealed.
///
/// # Errors
/// Points are there whose key is lost, or the key cannot be written.
pub(crate) fn make_key(home: &Home) -> anyhow::Result<PathBuf> {
    let path = home.recovery_key();
    if home.points().join("points").exists() {
        bail!(
            "{} is missing, but recovery points are there that it seals; nothing was made. Bring the \
             key back from your backup",
            path.display()
        );
    }
    FileKey::create(&path)?;
    Ok(path)
}

fn keys_of(home: &Home) -> anyhow::Result<RecoveryKeys> {
    let read = |path: &Path| -> anyhow::Result<RecoveryKey> {
        let key = FileKey::at(path).master_key().context("the recovery key cannot be had")?;
        Ok(RecoveryKey::new(key.derived(PURPOSE)))
    };
    let former = home.recovery_former_key();
    let former = if former.exists() { vec![read(&former)?] } else { Vec::new() };
    Ok(RecoveryKeys::new(read(&home.recovery_key())?, former))
}

fn s3_options(config: &Config, bucket: String) -> anyhow::Result<S3Options> {
    let variable = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let needed = |name: &str| {
        variable(name).with_context(|| {
            format!("[recovery] place is an object store, but ${name} is not set for the gateway")
        })
    };
    let mut extra_roots_pem = Vec::new();
    for path in &config.gateway.extra_roots {
        let pem = std::fs::read_to_string(path)
            .with_context(|| format!("the root certificate {} cannot be read", path.display()))?;
        extra_roots_pem.push(pem);
    }
    Ok(S3Options {
        bucket,
        endpoint: config.recovery.endpoint.clone(),
        region: config.recovery.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
        access_key: needed(ACCESS_KEY)?,
        secret_key: Zeroizing::new(needed(SECRET_KEY)?),
        session_token: variable(SESSION_TOKEN).map(Zeroizing::new),
        extra_roots_pem,
    })
}
