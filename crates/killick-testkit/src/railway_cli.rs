//! The provider's own command-line client.
