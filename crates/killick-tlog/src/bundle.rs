//! Bundles: up to 256 entries in one file, each behind its length (C2SP tlog-tiles).

use crate::tile::TILE_WIDTH;

/// Bytes an entry may have; its length travels in 16 bits.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;
/// Bytes a bundle may have.
pub const BUNDLE_BYTES_MAX: usize = 256 * (2 + ENTRY_BYTES_MAX);

const _: () = assert!(TILE_WIDTH == 256);

/// Why bytes are not a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// An entry is longer than its length field can say.
    #[error("an entry has {len_bytes} bytes, allowed are {ENTRY_BYTES_MAX}")]
    EntryTooLong {
        /// Bytes of the entry.
        len_bytes: usize,
    },
    /// The bundle ends inside an entry.
    #[error("the bundle ends inside its entry {position}")]
    Truncated {
        /// Place of the entry in the bundle.
        position: usize,
    },
    /// The bundle holds more entries than a bundle may.
    #[error("the bundle holds more than {TILE_WIDTH} entries")]
    TooMany,
}

/// Appends an entry to the bytes of a bundle.
///
/// # Errors
/// The entry is too long.
pub fn push(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), BundleError> {
    let len = u16::try_from(entry.len())
        .map_err(|_| BundleError::EntryTooLong { len_bytes: entry.len() })?;
    bundle.extend_from_slice(&len.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Splits a bundle into its entries.
///
/// # Errors
/// The bytes end inside an entry, or there are too many entries.
pub fn entries(bundle: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        let truncated = BundleError::Truncated { position: entries.len() };
        if entries.len() as u64 == TILE_WIDTH {
            return Err(BundleError::TooMany);
        }
        let (len, behind) = rest.split_first_chunk().ok_or(truncated)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (entry, behind) = behind.split_at_checked(len).ok_or(truncated)?;
        entries.push(entry);
        rest = behind;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_cut_anywhere_but_between_entries_is_refused() {
        let mut bundle = Vec::new();
        let mut edges = vec![0];
        for entry in [b"one".as_slice(), b"", b"three"] {
            push(&mut bundle, entry).unwrap();
            edges.push(bundle.len());
        }
        for cut in 0..=bundle.len() {
            let read = entries(bundle.get(..cut).unwrap());
            assert_eq!(read.is_ok(), edges.contains(&cut), "{cut}");
        }
    }

    #[test]
    fn lengths_are_big_endian_and_bounded() {
        let mut bundle = Vec::new();
        push(&mut bundle, &[b'x'; 258]).unwrap();
        assert_eq!(bundle.get(..3), Some([1, 2, b'x'].as_slice()));
        assert!(push(&mut bundle, &vec![0; ENTRY_BYTES_MAX]).is_ok());
        assert_eq!(
            push(&mut bundle, &vec![0; ENTRY_BYTES_MAX + 1]),
            Err(BundleError::EntryTooLong { len_bytes: ENTRY_BYTES_MAX + 1 })
        );
        let many = [0_u8, 0].repeat(257);
        assert_eq!(entries(&many), Err(BundleError::TooMany));
    }

    proptest::proptest! {
        #[test]
        fn entries_come_back_as_they_went_in(
            all in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..300), 0..=256)
        ) {
            let mut bundle = Vec::new();
            for entry in &all {
                push(&mut bundle, entry).unwrap();
            }
            proptest::prop_assert_eq!(entries(&bundle).unwrap(), all);
        }

        #[test]
        fn bytes_are_never_a_panic(bytes: Vec<u8>) {
            let _ = entries(&bytes);
        }
    }
}
