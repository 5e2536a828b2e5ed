//! From a parsed statement and the catalogue to what it would do.
