//! Reading one stream of a point: chunk by chunk, each checked to be the one that belongs there.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use killick_gate::points::{PointError, PointReader};
use killick_gate::ports::BoxFuture;
use killick_model::point::PointInfo;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::form;
use super::seal::{OfPoint, Place, PointKey, SEAL_BYTES};
use super::store::said;
use super::{CHUNK_BYTES, CHUNKS_PER_FETCH};

/// Where the sealed streams lie.
pub(super) enum Source {
    /// In the description.
    Inline(Bytes),
    /// In an object beside it.
    Object(Arc<dyn ObjectStore>, Path),
}

/// One stream of a point.
pub(super) struct Reader {
    source: Source,
    info: PointInfo,
    key: PointKey,
    part: usize,
    /// Where the next sealed chunk begins.
    offset: u64,
    /// Clear bytes that were not read yet.
    left: u64,
    /// The number of the next chunk.
    number: u64,
    chunks: u64,
    fetched: VecDeque<Bytes>,
    broken: Option<PointError>,
}

impl Reader {
    pub(super) fn new(
        source: Source,
        info: PointInfo,
        key: PointKey,
        name: &str,
    ) -> Result<Self, PointError> {
        let missing = || PointError::Failed(format!("the recovery point has no stream `{name}`"));
        let part = info.parts.iter().position(|part| part.name == name).ok_or_else(missing)?;
        let before = info.parts.iter().take(part);
        let offset = before.fold(0_u64, |sum, it| sum.saturating_add(form::sealed_bytes(it.bytes)));
        let left = info.parts.get(part).map_or(0, |part| part.bytes);
        Ok(Self {
            source,
            info,
            key,
            part,
            offset,
            left,
            number: 0,
            chunks: form::chunks(left),
            fetched: VecDeque::new(),
            broken: None,
        })
    }

    async fn pull(&mut self) -> Result<Option<Vec<u8>>, PointError> {
        if self.number == self.chunks {
            return Ok(None);
        }
        if self.fetched.is_empty() {
            self.fetch().await?;
        }
        let shut = || PointError::Shut(self.info.head.id.clone());
        let sealed = self.fetched.pop_front().ok_or_else(shut)?;
        let part = self.info.parts.get(self.part).ok_or_else(shut)?;
        let place = Place::Chunk {
            part: self.part,
            name: &part.name,
            number: self.number,
            last: self.number.saturating_add(1) == self.chunks,
        };
        let of = OfPoint { upstream: &self.info.head.upstream, id: &self.info.head.id };
        let clear = self.key.open(of, place, &sealed).map_err(|_| shut())?;
        self.number = self.number.saturating_add(1);
        Ok(Some(clear))
    }

    /// Fetches a few chunks at once: a request for each would wait for the place each time.
    async fn fetch(&mut self) -> Result<(), PointError> {
        let mut lengths = Vec::with_capacity(CHUNKS_PER_FETCH);
        let ahead = self.chunks.saturating_sub(self.number);
        for _ in 0..ahead.min(CHUNKS_PER_FETCH as u64) {
            let clear = self.left.min(CHUNK_BYTES as u64);
            self.left = self.left.saturating_sub(clear);
            lengths.push(clear.saturating_add(SEAL_BYTES as u64));
        }
        let all = lengths.iter().fold(0_u64, |sum, it| sum.saturating_add(*it));
        let end = self.offset.saturating_add(all);
        let mut bytes = self.bytes_of(self.offset..end).await?;
        self.offset = end;
        for length in lengths {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > bytes.len() {
                return Err(PointError::Shut(self.info.head.id.clone()));
            }
            self.fetched.push_back(bytes.split_to(length));
        }
        Ok(())
    }

    async fn bytes_of(&self, range: std::ops::Range<u64>) -> Result<Bytes, PointError> {
        let shut = || PointError::Shut(self.info.head.id.clone());
        match &self.source {
            Source::Inline(bytes) => {
                let at = |it: u64| usize::try_from(it).map_err(|_| shut());
                let (start, end) = (at(range.start)?, at(range.end)?);
                if end > bytes.len() { Err(shut()) } else { Ok(bytes.slice(start..end)) }
            }
            Source::Object(store, path) => match store.get_range(path, range.clone()).await {
                Ok(bytes) => Ok(bytes),
                Err(object_store::Error::NotFound { .. }) => Err(shut()),
                // A place says in its own words that an object ends before the range does.
                Err(error) => match store.head(path).await {
                    Ok(found) if found.size < range.end => Err(shut()),
                    Ok(_) | Err(_) => Err(said(&error)),
                },
            },
        }
    }
}

impl PointReader for Reader {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, PointError>> {
        Box::pin(async move {
            if let Some(error) = &self.broken {
                return Err(error.clone());
            }
            let pulled = self.pull().await;
            if let Err(error) = &pulled {
                self.broken = Some(error.clone());
            }
            pulled
        })
    }
}
