//! The agent's end: its messages, and what is written back.

use bytes::{Bytes, BytesMut};
use killick_gate::ports::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use crate::wire::frame::{Frame, FrameReader};

/// Bytes that are collected before they are written.
const WRITE_BYTES: usize = 32 << 10;
/// Bytes of further messages that are read while the server works.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// The agent is gone or speaks nonsense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The stream failed or ended.
    #[error("the client's connection ended")]
    Gone,
    /// A message that cannot be.
    #[error("{0}")]
    Nonsense(String),
}

/// The agent's end of a session.
pub(crate) struct Client {
    read: ReadHalf<Stream>,
    write: WriteHalf<Stream>,
    input: FrameReader,
    output: BytesMut,
}

impl Client {
    /// Takes a stream whose start-up is done.
    pub(crate) fn new(stream: Stream, leftover: &BytesMut) -> Self {
        let (read, write) = tokio::io::split(stream);
        let mut input = FrameReader::new();
        input.push(leftover);
        Self { read, write, input, output: BytesMut::with_capacity(8 << 10) }
    }

    /// Returns the next message, if it is there in whole.
    pub(crate) fn ready(&mut self) -> Result<Option<Frame>, ClientError> {
        self.input.pull().map_err(|error| ClientError::Nonsense(error.to_string()))
    }

    /// Returns the next message. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Frame, ClientError> {
        loop {
            if let Some(frame) = self.ready()? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// Reads on without taking a message out: to learn that the agent is gone while the server works.
    /// Never returns while the agent is there. Cancel-safe.
    pub(crate) async fn gone(&mut self) -> ClientError {
        loop {
            if self.input.pending_bytes() >= AHEAD_BYTES_MAX {
                std::future::pending::<()>().await;
            }
            if let Err(error) = self.fill().await {
                return error;
            }
        }
    }

    /// Reads more bytes. Cancel-safe.
    pub(crate) async fn fill(&mut self) -> Result<(), ClientError> {
        match self.read.read_buf(self.input.buffer()).await {
            Ok(0) | Err(_) => Err(ClientError::Gone),
            Ok(_) => Ok(()),
        }
    }

    /// Returns the bytes that wait to be written.
    pub(crate) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Adds bytes, and writes when enough have come together.
    pub(crate) async fn pass(&mut self, bytes: &Bytes) -> Result<(), ClientError> {
        if self.output.len().saturating_add(bytes.len()) <= WRITE_BYTES {
            self.output.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush().await?;
        if bytes.len() >= WRITE_BYTES {
            return self.write.write_all(bytes).await.map_err(|_| ClientError::Gone);
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what waits.
    pub(crate) async fn flush(&mut self) -> Result<(), ClientError> {
        if !self.output.is_empty() {
            self.write.write_all(&self.output).await.map_err(|_| ClientError::Gone)?;
            self.output.clear();
        }
        self.write.flush().await.map_err(|_| ClientError::Gone)
    }

    /// Ends the stream as TLS wants it, so that what was written last is believed to be the last.
    pub(crate) async fn close(&mut self) {
        let _ = self.write.shutdown().await;
    }
}
