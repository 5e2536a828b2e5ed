//! The upstream's answer on its way back: counted, looked through for lent credentials, settled.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use killick_gate::InFlight;
use killick_gate::ports::Vault;
use killick_model::Outcome;

/// A body towards the agent.
pub(super) type AnswerBody = UnsyncBoxBody<Bytes, AnswerError>;

/// The answer ends here.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    /// The upstream's connection broke.
    #[error("the upstream ended its answer early")]
    Upstream(#[from] hyper::Error),
    /// The answer carries a credential that was lent for the call.
    #[error("the answer carries a credential of the gateway")]
    Leak,
}

/// Bytes of an answer that the gateway reads as a whole, to learn what was created.
pub(super) const ANSWER_READ_BYTES_MAX: usize = 1 << 20;

/// Bytes kept of the last piece, so that a credential cut in two is still seen.
const OVERLAP_BYTES: usize = 1024;

/// Looks for lent credentials in a stream of pieces.
pub(super) struct LeakWatch {
    vault: Arc<dyn Vault>,
    tail: BytesMut,
}

impl LeakWatch {
    pub(super) fn new(vault: Arc<dyn Vault>) -> Self {
        Self { vault, tail: BytesMut::new() }
    }

    /// Returns whether a credential stands in the piece or across its seam with the one before.
    pub(super) fn leaks(&mut self, piece: &[u8]) -> bool {
        if self.vault.leaks(piece) {
            return true;
        }
        let head = piece.get(..OVERLAP_BYTES.min(piece.len())).unwrap_or_default();
        let seam_leaks = !self.tail.is_empty() && {
            self.tail.extend_from_slice(head);
            self.vault.leaks(&self.tail)
        };
        if piece.len() >= OVERLAP_BYTES {
            self.tail.clear();
            let from = piece.len().saturating_sub(OVERLAP_BYTES);
            self.tail.extend_from_slice(piece.get(from..).unwrap_or_default());
        } else {
            if self.tail.is_empty() {
                self.tail.extend_from_slice(piece);
            }
            let surplus = self.tail.len().saturating_sub(OVERLAP_BYTES);
            let kept = self.tail.split_off(surplus);
            self.tail = kept;
        }
        seam_leaks
    }
}

/// A streamed answer: passes pieces on, counts them, settles the call when it ends.
pub(super) struct Streamed {
    pub(super) inner: Incoming,
    pub(super) in_flight: Option<InFlight>,
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) watch: Option<LeakWatch>,
}

impl Streamed {
    fn settle(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.settle(Outcome::Answered {
                status: self.status,
                failed: self.status >= 400,
                bytes: self.bytes,
            });
        }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                this.settle();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                // Dropping the guard says `unknown`: part of the answer is missing.
                this.in_flight = None;
                Poll::Ready(Some(Err(AnswerError::Upstream(error))))
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(piece) => {
                    if this.watch.as_mut().is_some_and(|watch| watch.leaks(&piece)) {
                        tracing::error!("an answer carried a lent credential and was cut");
                        this.in_flight = None;
                        return Poll::Ready(Some(Err(AnswerError::Leak)));
                    }
                    this.bytes = this.bytes.saturating_add(piece.len() as u64);
                    if this.inner.is_end_stream() {
                        this.settle();
                    }
                    Poll::Ready(Some(Ok(Frame::data(piece))))
                }
                // Trailers are not passed on: nobody judged them.
                Err(_trailers) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && self.in_flight.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
