//! The form in which a point lies at its place: an `info` object, and `data` where it is not small.

use killick_gate::points::PointError;
use killick_model::point::PointInfo;
use killick_model::{PointId, UpstreamName};
use object_store::path::Path;

use super::seal::{
    KEY_NAME_BYTES, OfPoint, Place, PointKey, RecoveryKeys, SEAL_BYTES, SealError, WRAPPED_BYTES,
};
use super::{CHUNK_BYTES, MANIFEST_BYTES_MAX, PARTS_MAX};

/// What every `info` object begins with.
const MAGIC: &[u8; 16] = b"killick-point/1\n";
/// Bytes before the sealed text.
const HEAD_BYTES: usize = MAGIC.len() + KEY_NAME_BYTES + WRAPPED_BYTES;
/// Bytes that say how long the description is.
const LEN_BYTES: usize = 4;
/// The most sealed bytes that lie in the `info` object itself: one object to make durable, not two.
pub(super) const INLINE_BYTES_MAX: usize = 256 << 10;
/// The most bytes of an `info` object; one that is longer is not read.
pub(super) const INFO_BYTES_MAX: u64 =
    (HEAD_BYTES + MANIFEST_BYTES_MAX + PARTS_MAX * 512 + INLINE_BYTES_MAX + (64 << 10)) as u64;
/// How the name of an `info` object ends.
const INFO: &str = ".info";
/// How the name of a `data` object ends.
const DATA: &str = ".data";

/// What an `info` object holds.
pub(super) struct Opened {
    pub(super) info: PointInfo,
    pub(super) key: PointKey,
    /// The streams, where they are small.
    pub(super) inline: Option<Vec<u8>>,
}

/// Returns the folder of an upstream's points.
pub(super) fn folder(prefix: &Path, upstream: &UpstreamName) -> Path {
    prefix.clone().join("points").join(upstream.as_str())
}

/// Returns where the description of a point lies.
pub(super) fn info_path(prefix: &Path, upstream: &UpstreamName, id: &PointId) -> Path {
    folder(prefix, upstream).join(format!("{id}{INFO}"))
}

/// Returns where the streams of a point lie.
pub(super) fn data_path(prefix: &Path, upstream: &UpstreamName, id: &PointId) -> Path {
    folder(prefix, upstream).join(format!("{id}{DATA}"))
}

/// One object at the place, as its name says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A description: the point is complete.
    Info(PointId),
    /// Streams, of a point that may not be complete.
    Data(PointId),
}

/// Reads the last segment of an object's name; what is none of ours is passed over.
pub(super) fn named(path: &Path) -> Option<Named> {
    let name = path.filename()?;
    if let Some(id) = name.strip_suffix(INFO) {
        return PointId::parse(id).ok().map(Named::Info);
    }
    name.strip_suffix(DATA).and_then(|id| PointId::parse(id).ok()).map(Named::Data)
}

/// Returns how many chunks a stream has: one at the least, so that even an empty one is sealed.
pub(super) const fn chunks(bytes: u64) -> u64 {
    let whole = bytes.div_ceil(CHUNK_BYTES as u64);
    if whole == 0 { 1 } else { whole }
}

/// Returns how many bytes a stream takes, sealed.
pub(super) const fn sealed_bytes(bytes: u64) -> u64 {
    bytes.saturating_add(chunks(bytes).saturating_mul(SEAL_BYTES as u64))
}

/// Seals a description.
pub(super) fn seal_info(
    info: &PointInfo,
    inline: Option<&[u8]>,
    key: &PointKey,
    keys: &RecoveryKeys,
) -> Result<Vec<u8>, PointError> {
    let failed = |why: &str| PointError::Failed(why.to_owned());
    let of = OfPoint { upstream: &info.head.upstream, id: &info.head.id };
    let said = serde_json::to_vec(&(info, inline.is_some()))
        .map_err(|_| failed("its description cannot be written"))?;
    let len = u32::try_from(said.len()).map_err(|_| failed("its description is too long"))?;
    let mut clear = len.to_be_bytes().to_vec();
    clear.extend_from_slice(&said);
    clear.extend_from_slice(inline.unwrap_or_default());
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&keys.current().name());
    out.extend_from_slice(&key.wrapped(keys.current(), of).map_err(no_randomness)?);
    key.seal(of, Place::Info, &clear, &mut out).map_err(no_randomness)?;
    Ok(out)
}

/// Opens a description that was found under a name, and checks that it belongs there.
pub(super) fn open_info(
    bytes: &[u8],
    upstream: &UpstreamName,
    id: &PointId,
    keys: &RecoveryKeys,
) -> Result<Opened, PointError> {
    opened(bytes, upstream, id, keys).ok_or_else(|| PointError::Shut(id.clone()))
}

fn opened(
    bytes: &[u8],
    upstream: &UpstreamName,
    id: &PointId,
    keys: &RecoveryKeys,
) -> Option<Opened> {
    let (key, sealed) = point_key(bytes, upstream, id, keys)?;
    let of = OfPoint { upstream, id };
    let clear = key.open(of, Place::Info, sealed).ok()?;
    let (len, rest) = clear.split_at_checked(LEN_BYTES)?;
    let len = usize::try_from(u32::from_be_bytes(len.try_into().ok()?)).ok()?;
    let (said, streams) = rest.split_at_checked(len)?;
    let (info, is_inline): (PointInfo, bool) = serde_json::from_slice(said).ok()?;
    if info.head.upstream != *upstream || info.head.id != *id {
        return None;
    }
    let inline = is_inline.then(|| streams.to_vec());
    Some(Opened { info, key, inline })
}

fn point_key<'a>(
    bytes: &'a [u8],
    upstream: &UpstreamName,
    id: &PointId,
    keys: &RecoveryKeys,
) -> Option<(PointKey, &'a [u8])> {
    let rest = bytes.strip_prefix(MAGIC.as_slice())?;
    let (name, rest) = rest.split_at_checked(KEY_NAME_BYTES)?;
    let (wrapped, sealed) = rest.split_at_checked(WRAPPED_BYTES)?;
    let of = OfPoint { upstream, id };
    let key = PointKey::unwrap(wrapped, keys.named(name)?, of).ok()?;
    Some((key, sealed))
}

/// Wraps the point's key anew; `None` when the current recovery key wraps it already.
pub(super) fn rewrapped(
    bytes: &[u8],
    upstream: &UpstreamName,
    id: &PointId,
    keys: &RecoveryKeys,
) -> Result<Option<Vec<u8>>, PointError> {
    let shut = || PointError::Shut(id.clone());
    let current = keys.current().name();
    let name = bytes.get(MAGIC.len()..MAGIC.len().saturating_add(KEY_NAME_BYTES));
    if name == Some(current.as_slice()) {
        return Ok(None);
    }
    let (key, sealed) = point_key(bytes, upstream, id, keys).ok_or_else(shut)?;
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&current);
    let of = OfPoint { upstream, id };
    out.extend_from_slice(&key.wrapped(keys.current(), of).map_err(no_randomness)?);
    out.extend_from_slice(sealed);
    Ok(Some(out))
}

pub(super) fn no_randomness(error: SealError) -> PointError {
    PointError::Failed(match error {
        SealError::NoRandomness => "the system gives no randomness".into(),
        SealError::Shut => "it cannot be sealed".into(),
    })
}
