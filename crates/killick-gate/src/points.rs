//! Where recovery points are kept: a port. What goes in is sealed, and comes out only as a whole.

use killick_model::point::{PointHead, PointInfo};
use killick_model::{PointId, UpstreamName};

use crate::ports::BoxFuture;

/// A recovery point cannot be kept or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// The place that keeps them failed: it is full, gone, or says no.
    #[error("recovery points cannot be kept: {0}")]
    Failed(String),
    /// It is larger than one point may be.
    #[error("the recovery point is larger than {bytes_max} bytes")]
    Large {
        /// The most bytes, in clear.
        bytes_max: u64,
    },
    /// No complete point has this id.
    #[error("there is no recovery point {0}")]
    Missing(PointId),
    /// What is kept was changed, cut off, or sealed under another key.
    #[error("the recovery point {0} does not open: changed, cut off, or sealed under another key")]
    Shut(PointId),
}

/// A recovery point that is being taken. Dropped unfinished, it never existed.
pub trait PointWriter: Send {
    /// Ends the stream before and begins the next one.
    ///
    /// The error says that nothing of the point counts.
    fn part<'a>(&'a mut self, name: &'a str) -> BoxFuture<'a, Result<(), PointError>>;

    /// Adds bytes to the stream that was begun last. Memory does not grow with what is written.
    ///
    /// The error says that nothing of the point counts.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), PointError>>;

    /// Makes the point complete and durable.
    ///
    /// The error says that nothing of the point counts.
    fn finish(
        self: Box<Self>,
        manifest: serde_json::Value,
    ) -> BoxFuture<'static, Result<PointInfo, PointError>>;
}

/// One stream of a recovery point, read from its beginning.
pub trait PointReader: Send {
    /// Returns the next bytes; `None` after the last ones, which were checked to be the last.
    ///
    /// The error says that what was read so far must not be used.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, PointError>>;
}

/// Where recovery points are kept: off-site, sealed with a key that no agent's environment sees.
///
/// A finished point does not change. Each method fails when the place does, and says so.
pub trait Points: Send + Sync {
    /// Says where that is, for people (`file:///var/…`, `s3://bucket/…`); no secret stands in it.
    fn place(&self) -> String;

    /// Begins a point.
    fn begin(&self, head: PointHead) -> BoxFuture<'_, Result<Box<dyn PointWriter>, PointError>>;

    /// Finds a complete point.
    fn find<'a>(&'a self, id: &'a PointId) -> BoxFuture<'a, Result<PointInfo, PointError>>;

    /// Reads one stream of a point.
    fn read<'a>(
        &'a self,
        id: &'a PointId,
        part: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn PointReader>, PointError>>;

    /// Lists complete points of one upstream, or of all, newest first.
    fn list<'a>(
        &'a self,
        upstream: Option<&'a UpstreamName>,
    ) -> BoxFuture<'a, Result<Vec<PointInfo>, PointError>>;

    /// Removes a point. The proof was checked, and the record written, by the caller.
    fn remove<'a>(&'a self, id: &'a PointId) -> BoxFuture<'a, Result<(), PointError>>;
}

/// No place for recovery points: where nothing is ever destroyed.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

impl Nowhere {
    fn says_no<T: Send + 'static>() -> BoxFuture<'static, Result<T, PointError>> {
        Box::pin(async { Err(PointError::Failed("no place for them is set up".into())) })
    }
}

impl Points for Nowhere {
    fn place(&self) -> String {
        "nowhere".into()
    }

    fn begin(&self, _: PointHead) -> BoxFuture<'_, Result<Box<dyn PointWriter>, PointError>> {
        Self::says_no()
    }

    fn find<'a>(&'a self, _: &'a PointId) -> BoxFuture<'a, Result<PointInfo, PointError>> {
        Self::says_no()
    }

    fn read<'a>(
        &'a self,
        _: &'a PointId,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn PointReader>, PointError>> {
        Self::says_no()
    }

    fn list<'a>(
        &'a self,
        _: Option<&'a UpstreamName>,
    ) -> BoxFuture<'a, Result<Vec<PointInfo>, PointError>> {
        Self::says_no()
    }

    fn remove<'a>(&'a self, _: &'a PointId) -> BoxFuture<'a, Result<(), PointError>> {
        Self::says_no()
    }
}
