//! A Merkle log in C2SP tlog-tiles form: entries, checkpoints, proofs, offline verification.
