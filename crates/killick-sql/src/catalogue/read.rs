//! The queries of the inspector, and their rows turned into a snapshot.
