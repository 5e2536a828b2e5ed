//! A stream whose bytes pass the strict head check before anybody reads them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use killick_gate::ports::Stream;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::head::{HeadGate, Leg, Violation};

/// Bytes read from the stream at a time.
const READ_BYTES: usize = 16 << 10;

/// Where the filter leaves what it found. The library is handed a request of the filter's own instead of
/// the offending bytes, so that the refusal comes in order behind the answers to earlier requests.
#[derive(Debug)]
pub(super) struct Findings {
    violation: Mutex<Option<Violation>>,
    marker: String,
}

impl Findings {
    /// Returns the violation if the request is the filter's own: its path is known to nobody else.
    pub(super) fn at(&self, path: &str) -> Option<Violation> {
        if path == self.marker { self.violation.lock().clone() } else { None }
    }

    /// Returns the violation found so far, for a body that ended in an error.
    pub(super) fn so_far(&self) -> Option<Violation> {
        self.violation.lock().clone()
    }
}

/// The filtered stream.
pub(super) struct Filtered {
    inner: Stream,
    gate: HeadGate,
    vetted: Bytes,
    findings: Arc<Findings>,
    ended: bool,
    buffer: Box<[u8]>,
}

impl Filtered {
    /// Filters a stream of which `begun` was read already.
    pub(super) fn new(inner: Stream, leg: Leg, begun: &[u8], nonce: &str) -> (Self, Arc<Findings>) {
        let mut gate = HeadGate::new(leg);
        gate.push(begun);
        let findings = Arc::new(Findings {
            violation: Mutex::new(None),
            marker: format!("/killick-refused-{nonce}"),
        });
        let filtered = Self {
            inner,
            gate,
            vetted: Bytes::new(),
            findings: Arc::clone(&findings),
            ended: false,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        };
        (filtered, findings)
    }

    fn stop_at(&mut self, violation: Violation) {
        let own = format!(
            "GET {} HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n",
            self.findings.marker
        );
        *self.findings.violation.lock() = Some(violation);
        self.vetted = Bytes::from(own);
        self.ended = true;
    }
}

impl AsyncRead for Filtered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.vetted.has_remaining() {
                let take = self.vetted.len().min(out.remaining());
                let part = self.vetted.split_to(take);
                out.put_slice(&part);
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            match self.gate.pull() {
                Ok(Some(bytes)) => self.vetted = bytes,
                Err(violation) => self.stop_at(violation),
                Ok(None) => {
                    let this = &mut *self;
                    let mut read = ReadBuf::new(&mut this.buffer);
                    ready!(Pin::new(&mut this.inner).poll_read(context, &mut read))?;
                    if read.filled().is_empty() {
                        this.ended = true;
                    } else {
                        this.gate.push(read.filled());
                    }
                }
            }
        }
    }
}

impl AsyncWrite for Filtered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// A stream of which some bytes were read already.
pub(super) struct Begun {
    pub(super) bytes: Bytes,
    pub(super) inner: Stream,
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.has_remaining() {
            let take = self.bytes.len().min(out.remaining());
            let part = self.bytes.split_to(take);
            out.put_slice(&part);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(context, out)
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
