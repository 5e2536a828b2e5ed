//! Where the gateway keeps what is its own: one directory, for its user alone.

use std::path::{Path, PathBuf};

/// The variable that names the directory.
pub(crate) const VARIABLE: &str = "KILLICK_HOME";

/// The directory and what stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// Points at a directory, or at `~/.killick`.
    pub(crate) fn at(given: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = given {
            return Ok(Self(std::path::absolute(path)?));
        }
        let user = std::env::home_dir().filter(|path| path.is_absolute()).ok_or_else(|| {
            anyhow::anyhow!("there is no home directory; name one with --home or ${VARIABLE}")
        })?;
        Ok(Self(user.join(".killick")))
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    /// The configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("killick.toml")
    }

    /// The administration socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("run").join("admin.sock")
    }

    /// The key that seals the store's key.
    pub(crate) fn master_key(&self) -> PathBuf {
        self.0.join("master.key")
    }

    /// The store.
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// The record.
    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("record")
    }

    /// The public keys that checkpoints of the record are verified with, one a line.
    pub(crate) fn record_public(&self) -> PathBuf {
        self.0.join("record.pub")
    }

    /// The private key that signs checkpoints of the record.
    pub(crate) fn record_key(&self) -> PathBuf {
        self.0.join("record.key")
    }

    /// The key that wraps the keys of the record's details.
    pub(crate) fn details_key(&self) -> PathBuf {
        self.0.join("details.key")
    }

    /// The key that wraps the keys of recovery points.
    pub(crate) fn recovery_key(&self) -> PathBuf {
        self.0.join("recovery.key")
    }

    /// The key before it, while points are wrapped anew.
    pub(crate) fn recovery_former_key(&self) -> PathBuf {
        self.0.join("recovery.former.key")
    }

    /// Recovery points, where the configuration names no other place.
    pub(crate) fn points(&self) -> PathBuf {
        self.0.join("points")
    }

    /// The certificate of the gateway's CA.
    pub(crate) fn ca(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The private key of the gateway's CA.
    pub(crate) fn ca_key(&self) -> PathBuf {
        self.0.join("ca.key")
    }

    /// The system's roots and the gateway's CA, for clients.
    pub(crate) fn ca_bundle(&self) -> PathBuf {
        self.0.join("ca-bundle.pem")
    }

    /// The owner's own packs, beside those that are shipped.
    pub(crate) fn packs(&self) -> PathBuf {
        self.0.join("packs")
    }
}
