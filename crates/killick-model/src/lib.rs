//! The words of Killick as types: no I/O, no async.
