//! Listeners, dialer, TLS, time: the only crate that opens sockets.
