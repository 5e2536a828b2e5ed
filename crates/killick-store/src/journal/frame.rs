//! Frames: how entries lie in the head before they are in full bundles.
//!
//! Each frame is bound to the one before it, so that what is left of a failed write is never taken for the frame that
//! should stand there. Each names the first entry of its group: a group is written only after the one before it is on
//! the disk, so a damaged frame with a later group behind it was once durable. That is damage, not a torn write.

use sha2::{Digest as _, Sha256};

/// Bytes of the header of the head.
pub(super) const HEAD_HEADER_BYTES: usize = 16 + 8 + CHECK_BYTES;
/// Bytes in front of each entry.
pub(super) const FRAME_HEADER_BYTES: usize = 4 + 4 + 4 + 8 + 8 + CHECK_BYTES + CHECK_BYTES;
/// Bytes of details that an entry may have, encrypted.
pub(super) const SEALED_BYTES_MAX: usize = 1 << 20;

const CHECK_BYTES: usize = 16;
const HEAD_MAGIC: &[u8; 16] = b"killick-head/1\n\0";
const FRAME_MAGIC: &[u8; 4] = b"kfrm";

/// The link that a frame carries to the one before it.
pub(super) type Check = [u8; CHECK_BYTES];

/// Why the head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeadError {
    #[error("its first bytes are not those of a head of version 1")]
    Header,
    #[error("the frame of entry {index} is damaged, and frames behind it are not")]
    Damaged { index: u64 },
}

/// A head as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    /// The first entry it holds.
    pub(super) start: u64,
    pub(super) frames: Vec<Frame<'a>>,
    /// Where the next frame goes.
    pub(super) end: usize,
    /// The link that the next frame carries.
    pub(super) link: Check,
    /// Bytes of an unfinished write behind the last frame.
    pub(super) torn_bytes: usize,
}

/// One entry with its encrypted details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) entry: &'a [u8],
    pub(super) sealed: &'a [u8],
}

/// Writes the header of a head that begins with entry `start`; returns it with the link of the first frame.
pub(super) fn head_header(start: u64) -> (Vec<u8>, Check) {
    let mut bytes = HEAD_MAGIC.to_vec();
    bytes.extend_from_slice(&start.to_be_bytes());
    let check = check_of(&[&bytes]);
    bytes.extend_from_slice(&check);
    (bytes, check)
}

/// Appends a frame; returns the link of the next one.
pub(super) fn push(
    out: &mut Vec<u8>,
    index: u64,
    group: u64,
    link: &Check,
    frame: Frame<'_>,
) -> Check {
    let begin = out.len();
    out.extend_from_slice(FRAME_MAGIC);
    // Both lengths are checked where entries come in, and fit.
    out.extend_from_slice(&u32::try_from(frame.entry.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&u32::try_from(frame.sealed.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&index.to_be_bytes());
    out.extend_from_slice(&group.to_be_bytes());
    out.extend_from_slice(link);
    let check = check_of(&[out.get(begin..).unwrap_or_default(), frame.entry, frame.sealed]);
    out.extend_from_slice(&check);
    out.extend_from_slice(frame.entry);
    out.extend_from_slice(frame.sealed);
    check
}

/// Returns how many bytes a frame takes.
pub(super) const fn len_bytes(entry: usize, sealed: usize) -> usize {
    FRAME_HEADER_BYTES.saturating_add(entry).saturating_add(sealed)
}

/// Reads a head.
pub(super) fn parse(bytes: &[u8]) -> Result<Head<'_>, HeadError> {
    let (header, _) = bytes.split_first_chunk::<HEAD_HEADER_BYTES>().ok_or(HeadError::Header)?;
    let start = header
        .strip_prefix(HEAD_MAGIC)
        .and_then(<[u8]>::first_chunk)
        .map(|start| u64::from_be_bytes(*start))
        .ok_or(HeadError::Header)?;
    let (expected, mut link) = head_header(start);
    if expected != *header {
        return Err(HeadError::Header);
    }
    let mut head = Head { start, frames: Vec::new(), end: HEAD_HEADER_BYTES, link, torn_bytes: 0 };
    let mut index = start;
    loop {
        let rest = bytes.get(head.end..).unwrap_or_default();
        let Some(raw) = raw_frame(rest).filter(|raw| raw.index == index && raw.link == link) else {
            if rest.iter().all(|byte| *byte == 0) {
                return Ok(head);
            }
            if is_followed_by_a_later_group(rest, index) {
                return Err(HeadError::Damaged { index });
            }
            head.torn_bytes = rest.len();
            return Ok(head);
        };
        link = raw.check;
        head.link = link;
        head.end = head.end.saturating_add(raw.len_bytes);
        head.frames.push(raw.frame);
        index = index.saturating_add(1);
    }
}

struct Raw<'a> {
    index: u64,
    group: u64,
    link: Check,
    check: Check,
    len_bytes: usize,
    frame: Frame<'a>,
}

/// Reads a frame that is whole in itself, wherever it may belong.
fn raw_frame(bytes: &[u8]) -> Option<Raw<'_>> {
    let rest = bytes.strip_prefix(FRAME_MAGIC)?;
    let (entry_len, rest) = rest.split_first_chunk()?;
    let (sealed_len, rest) = rest.split_first_chunk()?;
    let (index, rest) = rest.split_first_chunk()?;
    let (group, rest) = rest.split_first_chunk()?;
    let (link, rest) = rest.split_first_chunk()?;
    let (check, rest) = rest.split_first_chunk()?;
    let entry_len = usize::try_from(u32::from_be_bytes(*entry_len)).ok()?;
    let sealed_len = usize::try_from(u32::from_be_bytes(*sealed_len)).ok()?;
    if entry_len > killick_tlog::bundle::ENTRY_BYTES_MAX || sealed_len > SEALED_BYTES_MAX {
        return None;
    }
    let (entry, rest) = rest.split_at_checked(entry_len)?;
    let (sealed, _) = rest.split_at_checked(sealed_len)?;
    let checked = bytes.get(..FRAME_HEADER_BYTES.saturating_sub(CHECK_BYTES))?;
    (check_of(&[checked, entry, sealed]) == *check).then_some(Raw {
        index: u64::from_be_bytes(*index),
        group: u64::from_be_bytes(*group),
        link: *link,
        check: *check,
        len_bytes: len_bytes(entry_len, sealed_len),
        frame: Frame { entry, sealed },
    })
}

fn is_followed_by_a_later_group(rest: &[u8], index: u64) -> bool {
    rest.windows(FRAME_MAGIC.len())
        .enumerate()
        .filter(|(_, window)| window == FRAME_MAGIC)
        .filter_map(|(at, _)| raw_frame(rest.get(at..)?))
        .any(|raw| raw.index > index && raw.group > index)
}

fn check_of(parts: &[&[u8]]) -> Check {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// Puts a check in front of bytes that are kept as a whole file.
pub(super) fn with_check(bytes: &[u8]) -> Vec<u8> {
    [check_of(&[bytes]).as_slice(), bytes].concat()
}

/// Takes the check off again; `None` when it does not fit.
pub(super) fn without_check(bytes: &[u8]) -> Option<&[u8]> {
    let (check, rest) = bytes.split_first_chunk::<CHECK_BYTES>()?;
    (check_of(&[rest]) == *check).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head of three groups: entries 256; 257 and 258; 259.
    fn head() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut link) = head_header(256);
        let mut ends = vec![bytes.len()];
        for (index, group) in [(256, 256), (257, 257), (258, 257), (259, 259)] {
            let entry = format!("entry {index}");
            let frame = Frame { entry: entry.as_bytes(), sealed: b"sealed" };
            link = push(&mut bytes, index, group, &link, frame);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn a_head_cut_anywhere_gives_the_frames_before_the_cut() {
        let (bytes, ends) = head();
        for cut in 0..=bytes.len() {
            let read = parse(&bytes[..cut]);
            if cut < HEAD_HEADER_BYTES {
                assert_eq!(read, Err(HeadError::Header));
                continue;
            }
            let read = read.unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!((read.frames.len(), read.end), (whole, ends[whole]), "cut at {cut}");
            assert_eq!(read.torn_bytes, cut - ends[whole]);
        }
    }

    #[test]
    fn zeros_behind_the_last_frame_are_its_end() {
        let (mut bytes, ends) = head();
        bytes.resize(bytes.len() + 500, 0);
        let read = parse(&bytes).unwrap();
        assert_eq!((read.end, read.torn_bytes), (ends[4], 0));
    }

    #[test]
    fn a_flipped_bit_before_a_later_group_is_damage_not_a_torn_write() {
        let (bytes, ends) = head();
        for at in 0..ends[4] {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let read = parse(&bytes);
                if at < HEAD_HEADER_BYTES {
                    assert_eq!(read, Err(HeadError::Header));
                } else if at < ends[3] {
                    assert!(matches!(read, Err(HeadError::Damaged { .. })), "byte {at}");
                } else {
                    let read = read.unwrap();
                    assert_eq!(read.frames.len(), 3);
                    assert_ne!(read.torn_bytes, 0);
                }
            }
        }
    }

    #[test]
    fn what_a_failed_write_left_is_not_taken_for_the_frames_that_follow() {
        let (bytes, ends) = head();
        // The group of 257 and 258 failed, and 257 was then written anew, with another text of the same length.
        let mut again = bytes[..ends[1]].to_vec();
        let link = parse(&bytes[..ends[1]]).unwrap().link;
        push(&mut again, 257, 257, &link, Frame { entry: b"entry abc", sealed: b"sealed" });
        assert_eq!(again.len(), ends[2]);
        again.extend_from_slice(&bytes[ends[2]..ends[3]]);
        let read = parse(&again).unwrap();
        assert_eq!(read.frames.len(), 2);
        assert_eq!(read.torn_bytes, ends[3] - ends[2]);
    }

    #[test]
    fn a_checked_file_shows_any_change() {
        let bytes = with_check(b"some bytes");
        assert_eq!(without_check(&bytes), Some(b"some bytes".as_slice()));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert_eq!(without_check(&changed), None);
        }
        assert_eq!(without_check(b"short"), None);
    }

    proptest::proptest! {
        #[test]
        fn bytes_are_never_a_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let (mut head, _) = head_header(0);
            head.extend_from_slice(FRAME_MAGIC);
            head.extend_from_slice(&bytes);
            let _ = parse(&head);
        }
    }
}
