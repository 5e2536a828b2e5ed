//! Messages of PostgreSQL's wire, just enough to count, cut and read them.

use std::io::{self, Read};

/// Bytes of a tag and a length.
const HEAD_BYTES: usize = 5;
/// The largest message that a test takes.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its kind; 0 for the first one of a client, which has none.
    pub tag: u8,
    /// What follows the length.
    pub body: Vec<u8>,
}

impl Frame {
    /// Reads one message; the first of a client has no tag.
    ///
    /// # Errors
    /// The stream ends or fails, or carries something else.
    pub fn read(from: &mut impl Read, tagged: bool) -> io::Result<Self> {
        let mut head = [0_u8; HEAD_BYTES];
        let head = if tagged { &mut head[..] } else { &mut head[1..] };
        from.read_exact(head)?;
        let tag = if tagged { head[0] } else { 0 };
        let length = &head[head.len() - 4..];
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        if !(4..=FRAME_BYTES_MAX).contains(&length) {
            return Err(io::Error::other(format!("a message of {length} bytes")));
        }
        let mut body = vec![0; length - 4];
        from.read_exact(&mut body)?;
        Ok(Self { tag, body })
    }

    /// Returns the message as it is on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        encoded(self.tag, &self.body)
    }
}

/// Returns a message as it is on the wire; tag 0 stands for none.
pub(super) fn encoded(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + HEAD_BYTES);
    if tag != 0 {
        out.push(tag);
    }
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
    out
}
