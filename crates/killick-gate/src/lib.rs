//! The door: undecided, permitted, recorded.
