//! REST and GraphQL: strict heads, credentials by position, effects from packs.
