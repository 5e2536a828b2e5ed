//! The place itself: finding, listing, removing, and wrapping keys anew.

use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use killick_gate::points::{PointError, PointReader, PointWriter, Points};
use killick_gate::ports::BoxFuture;
use killick_model::point::{PointHead, PointInfo};
use killick_model::{PointId, UnixMillis, UpstreamName};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use parking_lot::RwLock;

use super::form::{self, INFO_BYTES_MAX, Named};
use super::reader::{Reader, Source};
use super::seal::RecoveryKeys;
use super::writer::{Destination, Writer};
use super::{INFOS_AT_ONCE, ORPHAN_HOURS_MIN, POINT_BYTES_MAX, POINTS_LISTED_MAX};

/// What a place for recovery points is made of.
pub struct PointStoreParts {
    /// Where objects are put.
    pub store: Arc<dyn ObjectStore>,
    /// What the place is called, for people; no secret stands in it.
    pub place: String,
    /// What every name there begins with; empty for nothing.
    pub prefix: String,
    /// The recovery keys.
    pub keys: RecoveryKeys,
    /// How long a point is kept.
    pub retention_millis: u64,
    /// The most bytes of one point, in clear; never more than [`POINT_BYTES_MAX`].
    pub bytes_max: u64,
}

/// Recovery points in an object store.
pub struct PointStore {
    place: String,
    to: RwLock<Destination>,
}

/// Opens a directory of this machine, or of one that is mounted here, as a place for recovery points.
///
/// What is written there is synced to its disk, names included, before a write counts.
///
/// # Errors
/// The directory cannot be made or opened.
pub fn local(folder: &FilePath) -> Result<Arc<dyn ObjectStore>, PointError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let failed = |error: std::io::Error| {
        PointError::Failed(format!("{} cannot be used: {error}", folder.display()))
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| said(&error))?;
    Ok(Arc::new(store.with_fsync(true)))
}

/// Says why the place failed. Names of objects hold no secret; a place's words are cut.
pub(super) fn said(error: &object_store::Error) -> PointError {
    const CHARS_MAX: usize = 300;
    let text = error.to_string();
    let plain: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CHARS_MAX).collect();
    PointError::Failed(plain)
}

impl PointStore {
    /// Builds it. Nothing is read or written yet.
    #[must_use]
    pub fn new(parts: PointStoreParts) -> Self {
        let PointStoreParts { store, place, prefix, keys, retention_millis, bytes_max } = parts;
        let bytes_max = bytes_max.min(POINT_BYTES_MAX);
        let prefix = Path::from(prefix.as_str());
        let to = Destination { store, prefix, keys, bytes_max, retention_millis };
        Self { place, to: RwLock::new(to) }
    }

    /// Lists points whose time has passed.
    ///
    /// # Errors
    /// The place fails.
    pub async fn expired(&self, now: UnixMillis) -> Result<Vec<PointInfo>, PointError> {
        let mut all = self.all(None).await?;
        all.retain(|info| info.expires <= now);
        Ok(all)
    }

    /// Removes streams whose description never came: what a gateway that died half-way left.
    ///
    /// # Errors
    /// The place fails.
    pub async fn remove_orphans(&self, now: UnixMillis) -> Result<usize, PointError> {
        let to = self.to();
        let names = to.names(None).await?;
        let complete: std::collections::HashSet<&PointId> = names
            .iter()
            .filter_map(|(name, _, _)| if let Named::Info(id) = name { Some(id) } else { None })
            .collect();
        let mut removed = 0_usize;
        for (name, _, meta) in &names {
            let Named::Data(id) = name else { continue };
            let written = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0);
            let age_millis = now.since_millis(UnixMillis(written));
            if !complete.contains(id) && age_millis > ORPHAN_HOURS_MIN * 3_600_000 {
                to.delete(&meta.location).await?;
                removed = removed.saturating_add(1);
            }
        }
        Ok(removed)
    }

    /// Takes other recovery keys and wraps the key of every point under the current one.
    ///
    /// Points that were taken meanwhile are wrapped by it already; those that do not open are left as they
    /// are, and counted in the error.
    ///
    /// # Errors
    /// The place fails; what was not wrapped yet still opens with the former key.
    pub async fn replace_keys(&self, keys: RecoveryKeys) -> Result<usize, PointError> {
        self.to.write().keys = keys;
        let to = self.to();
        let mut count = 0_usize;
        for (name, upstream, meta) in to.names(None).await? {
            let Named::Info(id) = name else { continue };
            let bytes = to.info_bytes(&meta.location, &id).await?;
            if let Some(again) = form::rewrapped(&bytes, &upstream, &id, &to.keys)? {
                to.store.put(&meta.location, again.into()).await.map_err(|error| said(&error))?;
                count = count.saturating_add(1);
            }
        }
        Ok(count)
    }

    /// Checks that the place takes, returns and forgets an object.
    ///
    /// # Errors
    /// It does not.
    pub async fn probe(&self) -> Result<(), PointError> {
        const BYTES: &[u8] = b"killick was here\n";
        let to = self.to();
        let path = to.prefix.clone().join("probe");
        to.store.put(&path, BYTES.into()).await.map_err(|error| said(&error))?;
        let found = to.store.get(&path).await.map_err(|error| said(&error))?;
        let found = found.bytes().await.map_err(|error| said(&error))?;
        to.delete(&path).await?;
        if found == BYTES {
            Ok(())
        } else {
            Err(PointError::Failed("the place returns other bytes than it was given".into()))
        }
    }

    fn to(&self) -> Destination {
        self.to.read().clone()
    }

    async fn all(&self, upstream: Option<&UpstreamName>) -> Result<Vec<PointInfo>, PointError> {
        let to = self.to();
        let names = to.names(upstream).await?;
        let infos = names.into_iter().filter_map(|(name, upstream, meta)| match name {
            Named::Info(id) => Some((id, upstream, meta.location)),
            Named::Data(_) => None,
        });
        let reading = infos.map(|(id, upstream, path)| {
            let to = &to;
            async move { to.opened(&path, &upstream, &id).await }
        });
        let read: Vec<_> =
            futures_util::stream::iter(reading).buffer_unordered(INFOS_AT_ONCE).collect().await;
        let (mut infos, mut shut) = (Vec::new(), None);
        for result in read {
            match result {
                Ok(opened) => infos.push(opened.info),
                // Removed while the listing went on.
                Err(PointError::Missing(_)) => {}
                Err(PointError::Shut(id)) => {
                    tracing::warn!(point = %id, "a recovery point does not open");
                    shut = Some(id);
                }
                Err(error) => return Err(error),
            }
        }
        // One that was tampered with must not hide the others; a wrong key must not look like none.
        match shut {
            Some(id) if infos.is_empty() => return Err(PointError::Shut(id)),
            Some(_) | None => {}
        }
        infos.sort_by(|a, b| {
            (b.head.taken, b.head.id.as_str()).cmp(&(a.head.taken, a.head.id.as_str()))
        });
        Ok(infos)
    }
}

impl Destination {
    /// Lists what lies at the place and is ours.
    async fn names(
        &self,
        upstream: Option<&UpstreamName>,
    ) -> Result<Vec<(Named, UpstreamName, ObjectMeta)>, PointError> {
        let folder = match upstream {
            Some(name) => form::folder(&self.prefix, name),
            None => self.prefix.clone().join("points"),
        };
        let mut out = Vec::new();
        let mut listing = self.store.list(Some(&folder));
        while let Some(meta) = listing.try_next().await.map_err(|error| said(&error))? {
            let Some(name) = form::named(&meta.location) else { continue };
            let Some(upstream) = upstream_of(&meta.location) else { continue };
            if out.len() >= POINTS_LISTED_MAX {
                return Err(PointError::Failed(
                    "the place holds more points than are listed".into(),
                ));
            }
            out.push((name, upstream, meta));
        }
        Ok(out)
    }

    async fn info_bytes(&self, path: &Path, id: &PointId) -> Result<Bytes, PointError> {
        let missing = |error: &object_store::Error| {
            if matches!(error, object_store::Error::NotFound { .. }) {
                PointError::Missing(id.clone())
            } else {
                said(error)
            }
        };
        let found = self.store.get(path).await.map_err(|error| missing(&error))?;
        if found.meta.size > INFO_BYTES_MAX {
            return Err(PointError::Shut(id.clone()));
        }
        found.bytes().await.map_err(|error| missing(&error))
    }

    async fn opened(
        &self,
        path: &Path,
        upstream: &UpstreamName,
        id: &PointId,
    ) -> Result<form::Opened, PointError> {
        let bytes = self.info_bytes(path, id).await?;
        form::open_info(&bytes, upstream, id, &self.keys)
    }

    /// Opens the description of a point whose upstream is not known.
    async fn find(&self, id: &PointId) -> Result<form::Opened, PointError> {
        let points = self.prefix.clone().join("points");
        let found =
            self.store.list_with_delimiter(Some(&points)).await.map_err(|error| said(&error))?;
        for folder in found.common_prefixes {
            let Some(upstream) = folder.filename().and_then(named_upstream) else {
                continue;
            };
            let path = form::info_path(&self.prefix, &upstream, id);
            match self.opened(&path, &upstream, id).await {
                Err(PointError::Missing(_)) => {}
                other => return other,
            }
        }
        Err(PointError::Missing(id.clone()))
    }

    async fn delete(&self, path: &Path) -> Result<(), PointError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(said(&error)),
        }
    }
}

/// Returns the upstream in whose folder an object lies.
fn upstream_of(path: &Path) -> Option<UpstreamName> {
    let parts: Vec<_> = path.parts().collect();
    let folder = parts.len().checked_sub(2).and_then(|at| parts.get(at))?;
    named_upstream(folder.as_ref())
}

/// The library writes a segment that is all dots in percent signs, since it would mean another folder.
fn named_upstream(segment: &str) -> Option<UpstreamName> {
    UpstreamName::parse(&segment.replace("%2E", ".")).ok()
}

impl Points for PointStore {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn begin(&self, head: PointHead) -> BoxFuture<'_, Result<Box<dyn PointWriter>, PointError>> {
        let writer = Writer::begin(self.to(), head);
        Box::pin(async move { writer.map(|it| Box::new(it) as Box<dyn PointWriter>) })
    }

    fn find<'a>(&'a self, id: &'a PointId) -> BoxFuture<'a, Result<PointInfo, PointError>> {
        let to = self.to();
        Box::pin(async move { to.find(id).await.map(|opened| opened.info) })
    }

    fn read<'a>(
        &'a self,
        id: &'a PointId,
        part: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn PointReader>, PointError>> {
        let to = self.to();
        Box::pin(async move {
            let form::Opened { info, key, inline } = to.find(id).await?;
            let source = if let Some(bytes) = inline {
                Source::Inline(bytes.into())
            } else {
                let path = form::data_path(&to.prefix, &info.head.upstream, id);
                Source::Object(Arc::clone(&to.store), path)
            };
            Ok(Box::new(Reader::new(source, info, key, part)?) as Box<dyn PointReader>)
        })
    }

    fn list<'a>(
        &'a self,
        upstream: Option<&'a UpstreamName>,
    ) -> BoxFuture<'a, Result<Vec<PointInfo>, PointError>> {
        Box::pin(self.all(upstream))
    }

    fn remove<'a>(&'a self, id: &'a PointId) -> BoxFuture<'a, Result<(), PointError>> {
        let to = self.to();
        Box::pin(async move {
            let upstream = to.find(id).await?.info.head.upstream;
            // The description first: without it there is no point, whatever else fails.
            to.delete(&form::info_path(&to.prefix, &upstream, id)).await?;
            to.delete(&form::data_path(&to.prefix, &upstream, id)).await
        })
    }
}
