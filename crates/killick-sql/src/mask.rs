//! A statement as people may see it: literals masked.
