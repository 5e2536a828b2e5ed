//! Names to objects, the way the server resolves them.
