//! Journal, sessions, approvals, secrets: the embedded store.
