//! Frames of a client: a tag, a length that counts itself, a body.

use bytes::{Buf as _, Bytes, BytesMut};

/// The most bytes of one message from a client: bind values and COPY data are the large ones.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// Bytes that are made room for at a time.
const READ_BYTES: usize = 16 << 10;
/// The least room that is read into.
const READ_BYTES_MIN: usize = 2 << 10;

/// One message, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The message's type.
    pub tag: u8,
    whole: Bytes,
}

impl Frame {
    /// Returns the body, without tag and length.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.whole.slice(5.min(self.whole.len())..)
    }

    /// Returns the message as it came.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.whole.clone()
    }
}

/// A length that no message can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {len_bytes} bytes, allowed are 4 to {FRAME_BYTES_MAX}")]
pub struct FrameLengthError {
    /// What the client said.
    pub len_bytes: usize,
}

/// Cuts a client's bytes into frames, wherever the network cut them.
#[derive(Debug, Default)]
pub struct FrameReader {
    pending: BytesMut,
}

impl FrameReader {
    /// Returns an empty reader.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Returns the place for more bytes, with room in it.
    pub fn buffer(&mut self) -> &mut BytesMut {
        // Most messages are small: the room is used up before other is made.
        if self.pending.capacity().saturating_sub(self.pending.len()) < READ_BYTES_MIN {
            self.pending.reserve(READ_BYTES);
        }
        &mut self.pending
    }

    /// Returns how many bytes wait.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Returns the next frame; `None` when more bytes are needed.
    ///
    /// # Errors
    /// The length cannot be.
    pub fn pull(&mut self) -> Result<Option<Frame>, FrameLengthError> {
        let Some(mut head) = self.pending.get(..5) else { return Ok(None) };
        let tag = head.get_u8();
        let len_bytes = head.get_u32() as usize;
        if !(4..=FRAME_BYTES_MAX).contains(&len_bytes) {
            return Err(FrameLengthError { len_bytes });
        }
        let whole = len_bytes.saturating_add(1);
        if self.pending.len() < whole {
            return Ok(None);
        }
        Ok(Some(Frame { tag, whole: self.pending.split_to(whole).freeze() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_same_wherever_the_network_cuts() {
        let mut stream = Vec::new();
        for (tag, body) in [(b'Q', &b"SELECT 1\0"[..]), (b'S', b""), (b'd', b"abc")] {
            stream.push(tag);
            stream.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
            stream.extend(body);
        }
        for cut in 0..=stream.len() {
            let mut reader = FrameReader::new();
            let mut tags = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                reader.push(part);
                while let Some(frame) = reader.pull().unwrap() {
                    tags.push((frame.tag, frame.body().len()));
                }
            }
            assert_eq!(tags, [(b'Q', 9), (b'S', 0), (b'd', 3)], "cut at {cut}");
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_an_error_and_not_a_wait() {
        for len in [0_u32, 3, u32::MAX, 65 << 20] {
            let mut reader = FrameReader::new();
            reader.push(b"Q");
            reader.push(&len.to_be_bytes());
            assert!(reader.pull().is_err(), "{len}");
        }
    }
}
