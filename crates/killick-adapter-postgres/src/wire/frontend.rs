//! Messages of a client: read strictly, and written by the gateway where it is the client.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::frame::Frame;

/// Values that one Bind may carry, by the protocol's own number.
const VALUES_MAX: usize = 65_535;

/// A message of a client after its start-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text of statements.
    Query {
        /// The text.
        sql: String,
    },
    /// A statement to be prepared.
    Parse {
        /// Its name, empty for the unnamed one.
        name: String,
        /// Its text.
        sql: String,
        /// Types of its parameters, as far as the client declares them.
        types: Vec<u32>,
    },
    /// A prepared statement with values.
    Bind(Bind),
    /// What would come back.
    Describe {
        /// `S` statement or `P` portal.
        kind: u8,
        /// Its name.
        name: String,
    },
    /// Run a portal.
    Execute {
        /// Its name.
        portal: String,
        /// Rows to return at the most, 0 for all.
        rows_max: u32,
    },
    /// Forget a statement or portal.
    Close {
        /// `S` statement or `P` portal.
        kind: u8,
        /// Its name.
        name: String,
    },
    /// The end of a series.
    Sync,
    /// Send what there is.
    Flush,
    /// Data for COPY.
    CopyData,
    /// The end of the data.
    CopyDone,
    /// The client gives the COPY up.
    CopyFail,
    /// A function by its number.
    FunctionCall {
        /// The number.
        oid: u32,
        /// How many arguments it is given.
        arguments: usize,
    },
    /// The client leaves.
    Terminate,
    /// A password or a step of SASL.
    Password,
}

/// Bind, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The portal to make.
    pub portal: String,
    /// The statement to make it of.
    pub statement: String,
    /// Formats of the values: none for text, one for all, or one each.
    pub formats: Vec<i16>,
    /// The values.
    pub values: Vec<Option<Bytes>>,
    /// Formats of the results, by the same rule.
    pub results: Vec<i16>,
}

/// A message that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It ends before it should, or goes on after.
    #[error("a message of type {0} has the wrong length")]
    Length(u8),
    /// A text in it is not UTF-8.
    #[error("a message of type {0} holds a text that is not UTF-8")]
    Encoding(u8),
    /// No client sends it.
    #[error("a message of type {0}, which no client sends here")]
    Type(u8),
}

struct Reader {
    rest: Bytes,
    tag: u8,
}

impl Reader {
    fn wrong(&self) -> MessageError {
        MessageError::Length(self.tag)
    }

    fn text(&mut self) -> Result<String, MessageError> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or(self.wrong())?;
        let raw = self.rest.split_to(end);
        self.rest.advance(1);
        std::str::from_utf8(&raw).map(str::to_owned).map_err(|_| MessageError::Encoding(self.tag))
    }

    fn byte(&mut self) -> Result<u8, MessageError> {
        self.rest.try_get_u8().map_err(|_| self.wrong())
    }

    fn number16(&mut self) -> Result<i16, MessageError> {
        self.rest.try_get_i16().map_err(|_| self.wrong())
    }

    fn count(&mut self) -> Result<usize, MessageError> {
        // The protocol counts in 16 bits without a sign.
        let count = usize::from(self.number16()?.cast_unsigned());
        if count > VALUES_MAX { Err(self.wrong()) } else { Ok(count) }
    }

    fn number32(&mut self) -> Result<u32, MessageError> {
        self.rest.try_get_u32().map_err(|_| self.wrong())
    }

    fn formats(&mut self) -> Result<Vec<i16>, MessageError> {
        let count = self.count()?;
        (0..count).map(|_| self.number16()).collect()
    }

    fn value(&mut self) -> Result<Option<Bytes>, MessageError> {
        let length = self.number32()?;
        if length == u32::MAX {
            return Ok(None);
        }
        let length = length as usize;
        if length > self.rest.len() {
            return Err(self.wrong());
        }
        Ok(Some(self.rest.split_to(length)))
    }

    fn end(&self) -> Result<(), MessageError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.wrong()) }
    }
}

/// Reads a message.
///
/// # Errors
/// It cannot be read in one way only.
pub fn decode(frame: &Frame) -> Result<Message, MessageError> {
    let mut reader = Reader { rest: frame.body(), tag: frame.tag };
    let message = match frame.tag {
        b'Q' => Message::Query { sql: reader.text()? },
        b'P' => {
            let (name, sql) = (reader.text()?, reader.text()?);
            let count = reader.count()?;
            let types = (0..count).map(|_| reader.number32()).collect::<Result<_, _>>()?;
            Message::Parse { name, sql, types }
        }
        b'B' => Message::Bind(bind(&mut reader)?),
        b'D' | b'C' => {
            let kind = reader.byte()?;
            if !matches!(kind, b'S' | b'P') {
                return Err(reader.wrong());
            }
            let name = reader.text()?;
            if frame.tag == b'D' {
                Message::Describe { kind, name }
            } else {
                Message::Close { kind, name }
            }
        }
        b'E' => Message::Execute { portal: reader.text()?, rows_max: reader.number32()? },
        b'S' => Message::Sync,
        b'H' => Message::Flush,
        b'X' => Message::Terminate,
        b'c' => Message::CopyDone,
        b'F' => return function_call(reader),
        b'd' => return Ok(Message::CopyData),
        b'f' => return Ok(Message::CopyFail),
        b'p' => return Ok(Message::Password),
        tag => return Err(MessageError::Type(tag)),
    };
    reader.end()?;
    Ok(message)
}

fn bind(reader: &mut Reader) -> Result<Bind, MessageError> {
    let (portal, statement) = (reader.text()?, reader.text()?);
    let formats = reader.formats()?;
    let count = reader.count()?;
    let values = (0..count).map(|_| reader.value()).collect::<Result<_, _>>()?;
    let results = reader.formats()?;
    Ok(Bind { portal, statement, formats, values, results })
}

fn function_call(mut reader: Reader) -> Result<Message, MessageError> {
    let oid = reader.number32()?;
    reader.formats()?;
    let arguments = reader.count()?;
    for _ in 0..arguments {
        reader.value()?;
    }
    reader.number16()?;
    reader.end()?;
    Ok(Message::FunctionCall { oid, arguments })
}

/// Writes a message whose body `fill` writes.
pub(crate) fn framed(out: &mut BytesMut, tag: u8, fill: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let at = out.len();
    out.put_u32(0);
    fill(out);
    let length = u32::try_from(out.len().saturating_sub(at)).unwrap_or(u32::MAX);
    if let Some(slot) = out.get_mut(at..at.saturating_add(4)) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}

pub(crate) fn put_text(out: &mut BytesMut, text: &str) {
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
}

/// Writes Query.
pub fn encode_query(out: &mut BytesMut, sql: &str) {
    framed(out, b'Q', |out| put_text(out, sql));
}

/// Writes Parse.
pub fn encode_parse(out: &mut BytesMut, name: &str, sql: &str, types: &[u32]) {
    framed(out, b'P', |out| {
        put_text(out, name);
        put_text(out, sql);
        put_count(out, types.len());
        for kind in types {
            out.put_u32(*kind);
        }
    });
}

/// Writes Bind.
pub fn encode_bind(
    out: &mut BytesMut,
    portal: &str,
    statement: &str,
    formats: &[i16],
    values: &[Option<Bytes>],
    results: &[i16],
) {
    framed(out, b'B', |out| {
        put_text(out, portal);
        put_text(out, statement);
        put_count(out, formats.len());
        for format in formats {
            out.put_i16(*format);
        }
        put_count(out, values.len());
        for value in values {
            match value {
                None => out.put_u32(u32::MAX),
                Some(bytes) => {
                    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                    out.put_slice(bytes);
                }
            }
        }
        put_count(out, results.len());
        for format in results {
            out.put_i16(*format);
        }
    });
}

/// Writes Describe.
pub fn encode_describe(out: &mut BytesMut, kind: u8, name: &str) {
    framed(out, b'D', |out| {
        out.put_u8(kind);
        put_text(out, name);
    });
}

/// Writes Execute.
pub fn encode_execute(out: &mut BytesMut, portal: &str, rows_max: u32) {
    framed(out, b'E', |out| {
        put_text(out, portal);
        out.put_u32(rows_max);
    });
}

/// Writes Close.
pub fn encode_close(out: &mut BytesMut, kind: u8, name: &str) {
    framed(out, b'C', |out| {
        out.put_u8(kind);
        put_text(out, name);
    });
}

/// Writes Sync.
pub fn encode_sync(out: &mut BytesMut) {
    framed(out, b'S', |_| ());
}

/// Writes Flush.
pub fn encode_flush(out: &mut BytesMut) {
    framed(out, b'H', |_| ());
}

/// Writes `CopyData`.
pub fn encode_copy_data(out: &mut BytesMut, data: &[u8]) {
    framed(out, b'd', |out| out.put_slice(data));
}

/// Writes `CopyDone`.
pub fn encode_copy_done(out: &mut BytesMut) {
    framed(out, b'c', |_| ());
}

/// Writes `CopyFail`.
pub fn encode_copy_fail(out: &mut BytesMut, why: &str) {
    framed(out, b'f', |out| put_text(out, why));
}

/// Writes Terminate.
pub fn encode_terminate(out: &mut BytesMut) {
    framed(out, b'X', |_| ());
}

/// Writes a password or a step of SASL.
pub fn encode_password(out: &mut BytesMut, body: &[u8]) {
    framed(out, b'p', |out| out.put_slice(body));
}

/// Writes the start-up packet of protocol 3.0.
pub fn encode_startup(out: &mut BytesMut, parameters: &[(String, String)]) {
    let at = out.len();
    out.put_u32(0);
    out.put_u32(0x0003_0000);
    for (name, value) in parameters {
        put_text(out, name);
        put_text(out, value);
    }
    out.put_u8(0);
    let length = u32::try_from(out.len().saturating_sub(at)).unwrap_or(u32::MAX);
    if let Some(slot) = out.get_mut(at..at.saturating_add(4)) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}

/// Writes a request to cancel what a backend does.
pub fn encode_cancel(out: &mut BytesMut, process: u32, key: &[u8]) {
    out.put_u32(u32::try_from(key.len()).unwrap_or(u32::MAX).saturating_add(12));
    out.put_u32(80_877_102);
    out.put_u32(process);
    out.put_slice(key);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::frame::FrameReader;

    fn read(bytes: &[u8]) -> Result<Message, MessageError> {
        let mut reader = FrameReader::new();
        reader.push(bytes);
        decode(&reader.pull().unwrap().unwrap())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = BytesMut::new();
        let values = vec![Some(Bytes::from_static(b"7")), None];
        encode_bind(&mut out, "p", "s", &[0, 1], &values, &[1]);
        let bind = Bind {
            portal: "p".into(),
            statement: "s".into(),
            formats: vec![0, 1],
            values,
            results: vec![1],
        };
        assert_eq!(read(&out), Ok(Message::Bind(bind)));
        let mut out = BytesMut::new();
        encode_parse(&mut out, "s", "SELECT $1", &[23]);
        let parse = Message::Parse { name: "s".into(), sql: "SELECT $1".into(), types: vec![23] };
        assert_eq!(read(&out), Ok(parse));
    }

    #[test]
    fn a_message_with_more_or_less_in_it_than_it_says_is_refused() {
        for raw in
            [&b"Q\0\0\0\x0aSELECT"[..], b"Q\0\0\0\x07a\0b", b"E\0\0\0\x05\0", b"C\0\0\0\x06X\0"]
        {
            assert!(matches!(read(raw), Err(MessageError::Length(_))), "{raw:?}");
        }
        assert_eq!(read(b"Q\0\0\0\x06\xff\0"), Err(MessageError::Encoding(b'Q')));
        assert_eq!(read(b"W\0\0\0\x04"), Err(MessageError::Type(b'W')));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(tag in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = vec![tag];
            bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
            bytes.extend(&body);
            let _ = read(&bytes);
        }
    }
}
