//! A Merkle log in the C2SP formats: entries, tiles, checkpoints, proofs, offline verification.
//!
//! The crate is pure: it reads a log through [`files::LogFiles`] and never opens a file itself. Hashing is that of
//! RFC 6962, the files are those of C2SP tlog-tiles, a checkpoint is a C2SP signed note, so that any auditor's
//! tools can read a record.

pub mod bundle;
pub mod checkpoint;
pub mod entry;
pub mod files;
pub mod growth;
pub mod hash;
pub mod note;
pub mod proof;
pub mod tile;
pub mod tree;
pub mod verify;

pub use checkpoint::Checkpoint;
pub use entry::{Entry, EntryError, Header, Kind, Subject};
pub use files::LogFiles;
pub use growth::Growth;
pub use hash::Hash;
pub use note::{SigningKey, VerifyingKey};
pub use tile::Tile;
pub use tree::Frontier;
