//! Recovery points in an object store: sealed before they leave, complete when their description is there.
//!
//! A point is two objects at the most: `points/UPSTREAM/ID.data` with its streams, cut into sealed chunks,
//! and `points/UPSTREAM/ID.info`, written last, whose presence makes it complete. Small streams lie in the
//! description itself.

mod form;
mod reader;
mod seal;
mod store;
mod sweep;
mod writer;

#[cfg(test)]
mod tests;

pub use seal::{RecoveryKey, RecoveryKeys};
pub use store::{PointStore, PointStoreParts, local};
pub use sweep::{SWEEP_MINUTES, Sweeper};

/// Clear bytes in one sealed chunk.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Sealed bytes that are gathered before they are sent off; object stores take no smaller pieces than 5 MiB.
pub const UPLOAD_BYTES: usize = 8 << 20;
/// Pieces that object stores take for one object.
const UPLOAD_PIECES_MAX: u64 = 10_000;
/// The most clear bytes of one point.
pub const POINT_BYTES_MAX: u64 = 64 << 30;
/// The most streams of one point.
pub const PARTS_MAX: usize = 4_096;
/// The most bytes in the name of a stream.
pub const PART_NAME_BYTES_MAX: usize = 200;
/// The most bytes of a manifest.
pub const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// The most points that are listed; a place with more is not listed in part.
pub const POINTS_LISTED_MAX: usize = 200_000;
/// Descriptions that are read side by side.
const INFOS_AT_ONCE: usize = 8;
/// Chunks that are fetched with one request.
const CHUNKS_PER_FETCH: usize = 8;
/// How old streams without a description must be to count as left behind.
const ORPHAN_HOURS_MIN: u64 = 24;

// A point of the largest size fits into the pieces that an object may have.
const _: () = assert!(POINT_BYTES_MAX / (UPLOAD_BYTES as u64) <= UPLOAD_PIECES_MAX);
