//! Taking a point: streams are cut into chunks, sealed, sent off; the description comes last.

use std::sync::Arc;

use killick_gate::points::{PointError, PointWriter};
use killick_gate::ports::BoxFuture;
use killick_model::point::{PointHead, PointInfo, PointPart};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _};

use super::form::{self, INLINE_BYTES_MAX};
use super::seal::{OfPoint, Place, PointKey, RecoveryKeys};
use super::store::said;
use super::{CHUNK_BYTES, MANIFEST_BYTES_MAX, PART_NAME_BYTES_MAX, PARTS_MAX, UPLOAD_BYTES};

/// Where the sealed bytes of one point go.
#[derive(Clone)]
pub(super) struct Destination {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: object_store::path::Path,
    pub(super) keys: RecoveryKeys,
    pub(super) bytes_max: u64,
    pub(super) retention_millis: u64,
}

/// A point that is being taken.
pub(super) struct Writer {
    to: Destination,
    head: PointHead,
    key: PointKey,
    parts: Vec<PointPart>,
    /// Clear bytes of the chunk that is not full yet.
    chunk: Vec<u8>,
    /// The number of that chunk in its stream.
    number: u64,
    /// Sealed bytes that were not sent off yet.
    sealed: Vec<u8>,
    upload: Option<Box<dyn MultipartUpload>>,
    bytes: u64,
    /// Why nothing of the point counts any more.
    broken: Option<PointError>,
}

impl Writer {
    pub(super) fn begin(to: Destination, head: PointHead) -> Result<Self, PointError> {
        Ok(Self {
            to,
            head,
            key: PointKey::fresh().map_err(form::no_randomness)?,
            parts: Vec::new(),
            chunk: Vec::new(),
            number: 0,
            sealed: Vec::new(),
            upload: None,
            bytes: 0,
            broken: None,
        })
    }

    /// Remembers a failure: whoever goes on after one meets it again.
    async fn unless_broken(
        &mut self,
        step: impl AsyncFnOnce(&mut Self) -> Result<(), PointError>,
    ) -> Result<(), PointError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        // A step that is dropped half-way leaves the point broken as well.
        self.broken = Some(PointError::Failed("writing it was cut off".into()));
        match step(self).await {
            Ok(()) => {
                self.broken = None;
                Ok(())
            }
            Err(error) => {
                self.broken = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn begin_part(&mut self, name: &str) -> Result<(), PointError> {
        let failed = |why: &str| Err(PointError::Failed(why.to_owned()));
        let plain =
            (1..=PART_NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
        if !plain {
            return failed("the name of a stream is empty, too long, or holds control characters");
        }
        if self.parts.iter().any(|part| part.name == name) {
            return failed("two streams have the same name");
        }
        if self.parts.len() >= PARTS_MAX {
            return failed("it has too many streams");
        }
        self.end_part().await?;
        self.parts.push(PointPart { name: name.to_owned(), bytes: 0 });
        self.number = 0;
        Ok(())
    }

    async fn add(&mut self, mut bytes: &[u8]) -> Result<(), PointError> {
        let Some(part) = self.parts.last_mut() else {
            return Err(PointError::Failed("no stream was begun".into()));
        };
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.to.bytes_max {
            return Err(PointError::Large { bytes_max: self.to.bytes_max });
        }
        part.bytes = part.bytes.saturating_add(bytes.len() as u64);
        while !bytes.is_empty() {
            // A full chunk is sealed when more comes: only then it is not the last one.
            if self.chunk.len() == CHUNK_BYTES {
                self.seal_chunk(false).await?;
            }
            let room = CHUNK_BYTES.saturating_sub(self.chunk.len());
            let (fits, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.chunk.extend_from_slice(fits);
            bytes = rest;
        }
        Ok(())
    }

    async fn end_part(&mut self) -> Result<(), PointError> {
        if self.parts.is_empty() { Ok(()) } else { self.seal_chunk(true).await }
    }

    async fn seal_chunk(&mut self, last: bool) -> Result<(), PointError> {
        let Some(part) = self.parts.last() else { return Ok(()) };
        let place = Place::Chunk {
            part: self.parts.len().saturating_sub(1),
            name: &part.name,
            number: self.number,
            last,
        };
        let of = OfPoint { upstream: &self.head.upstream, id: &self.head.id };
        self.key.seal(of, place, &self.chunk, &mut self.sealed).map_err(form::no_randomness)?;
        self.chunk.clear();
        self.number = self.number.saturating_add(1);
        if self.sealed.len() >= UPLOAD_BYTES { self.send_off().await } else { Ok(()) }
    }

    async fn send_off(&mut self) -> Result<(), PointError> {
        let path = form::data_path(&self.to.prefix, &self.head.upstream, &self.head.id);
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(self.to.store.put_multipart(&path).await.map_err(|it| said(&it))?),
        };
        let bytes = std::mem::take(&mut self.sealed);
        upload.put_part(bytes.into()).await.map_err(|error| said(&error))
    }

    async fn complete(&mut self, manifest: serde_json::Value) -> Result<PointInfo, PointError> {
        let manifest_bytes = serde_json::to_vec(&manifest).map_or(usize::MAX, |it| it.len());
        if manifest_bytes > MANIFEST_BYTES_MAX {
            return Err(PointError::Failed("its manifest is too long".into()));
        }
        self.end_part().await?;
        let is_small = self.upload.is_none() && self.sealed.len() <= INLINE_BYTES_MAX;
        if !is_small {
            self.send_the_rest().await?;
        }
        let info = PointInfo {
            head: self.head.clone(),
            parts: std::mem::take(&mut self.parts),
            expires: self.head.taken.plus_millis(self.to.retention_millis),
            manifest,
        };
        let inline = is_small.then_some(self.sealed.as_slice());
        let sealed = form::seal_info(&info, inline, &self.key, &self.to.keys)?;
        let path = form::info_path(&self.to.prefix, &self.head.upstream, &self.head.id);
        self.to.store.put(&path, sealed.into()).await.map_err(|error| said(&error))?;
        Ok(info)
    }

    async fn send_the_rest(&mut self) -> Result<(), PointError> {
        if self.upload.is_none() {
            let path = form::data_path(&self.to.prefix, &self.head.upstream, &self.head.id);
            let bytes = std::mem::take(&mut self.sealed);
            return match self.to.store.put(&path, bytes.into()).await {
                Ok(_) => Ok(()),
                Err(error) => Err(said(&error)),
            };
        }
        if !self.sealed.is_empty() {
            self.send_off().await?;
        }
        match &mut self.upload {
            Some(upload) => upload.complete().await.map_err(|error| said(&error))?,
            None => return Ok(()),
        };
        self.upload = None;
        Ok(())
    }

    /// Takes away what a failed end may have left. A place that does not answer keeps it: it then
    /// describes a change that never happened, which nothing on the record names.
    async fn clean_up(&mut self) {
        let (upstream, id) = (&self.head.upstream, &self.head.id);
        for path in [
            form::info_path(&self.to.prefix, upstream, id),
            form::data_path(&self.to.prefix, upstream, id),
        ] {
            match self.to.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => {
                    tracing::warn!(point = %id, %error, "an unfinished recovery point could not be removed");
                }
            }
        }
    }
}

impl PointWriter for Writer {
    fn part<'a>(&'a mut self, name: &'a str) -> BoxFuture<'a, Result<(), PointError>> {
        Box::pin(self.unless_broken(async move |this: &mut Self| this.begin_part(name).await))
    }

    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), PointError>> {
        Box::pin(self.unless_broken(async move |this: &mut Self| this.add(bytes).await))
    }

    fn finish(
        mut self: Box<Self>,
        manifest: serde_json::Value,
    ) -> BoxFuture<'static, Result<PointInfo, PointError>> {
        Box::pin(async move {
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
            let finished = self.complete(manifest).await;
            if finished.is_err() {
                self.clean_up().await;
            }
            finished
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        // What was uploaded in part lies there, and is paid for, until somebody says that it is not wanted.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "an unfinished recovery point could not be taken back");
                }
            }));
        }
    }
}
