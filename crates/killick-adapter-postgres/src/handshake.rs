//! See the crate's own words.
