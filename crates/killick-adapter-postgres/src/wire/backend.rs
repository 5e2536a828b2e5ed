//! Messages of a server: what the gateway looks into, and what it writes where it is the server.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::frontend::{framed, put_text};

/// Returns the body of a whole message.
#[must_use]
pub fn body(frame: &Bytes) -> Bytes {
    frame.slice(5.min(frame.len())..)
}

fn text(rest: &[u8]) -> Option<(&str, &[u8])> {
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (text, rest) = rest.split_at_checked(end)?;
    Some((std::str::from_utf8(text).ok()?, rest.get(1..)?))
}

/// Reads `ParameterStatus`: name and value.
#[must_use]
pub fn parameter(frame: &Bytes) -> Option<(&str, &str)> {
    let (name, rest) = text(frame.get(5..)?)?;
    let (value, _) = text(rest)?;
    Some((name, value))
}

/// Reads the tag of `CommandComplete`.
#[must_use]
pub fn command_tag(frame: &Bytes) -> Option<&str> {
    text(frame.get(5..)?).map(|(tag, _)| tag)
}

/// Reads SQLSTATE and message of an `ErrorResponse` or a notice.
#[must_use]
pub fn error_text(frame: &Bytes) -> (String, String) {
    let (mut sqlstate, mut message) = ("XX000".to_owned(), "the server gave no reason".to_owned());
    let mut rest = frame.get(5..).unwrap_or_default();
    while let Some((&field, after)) = rest.split_first() {
        if field == 0 {
            break;
        }
        let Some(end) = after.iter().position(|byte| *byte == 0) else { break };
        let value = String::from_utf8_lossy(after.get(..end).unwrap_or_default()).into_owned();
        match field {
            b'C' => sqlstate = value,
            b'M' => message = value,
            _ => {}
        }
        rest = after.get(end.saturating_add(1)..).unwrap_or_default();
    }
    (sqlstate, message)
}

/// Reads the values of a `DataRow`.
#[must_use]
pub fn row_values(frame: &Bytes) -> Option<Vec<Option<Bytes>>> {
    let mut rest = body(frame);
    let count = rest.try_get_u16().ok()?;
    let mut values = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let length = rest.try_get_u32().ok()?;
        if length == u32::MAX {
            values.push(None);
            continue;
        }
        let length = length as usize;
        if length > rest.len() {
            return None;
        }
        values.push(Some(rest.split_to(length)));
    }
    rest.is_empty().then_some(values)
}

/// Writes a `DataRow`.
pub fn encode_row(out: &mut BytesMut, values: &[Option<Bytes>]) {
    framed(out, b'D', |out| {
        out.put_u16(u16::try_from(values.len()).unwrap_or(u16::MAX));
        for value in values {
            match value {
                None => out.put_u32(u32::MAX),
                Some(bytes) => {
                    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                    out.put_slice(bytes);
                }
            }
        }
    });
}

/// Writes a `RowDescription` again without its last columns.
#[must_use]
pub fn without_last_columns(frame: &Bytes, last: usize) -> Option<BytesMut> {
    let mut rest = frame.get(5..)?;
    let count = usize::from(rest.try_get_u16().ok()?);
    let kept = count.checked_sub(last)?;
    let mut out = BytesMut::with_capacity(frame.len());
    let mut left = rest;
    for _ in 0..kept {
        let (_, after) = text(left)?;
        left = after.get(18..)?;
    }
    let fields = rest.get(..rest.len().checked_sub(left.len())?)?;
    framed(&mut out, b'T', |out| {
        out.put_u16(u16::try_from(kept).unwrap_or(u16::MAX));
        out.put_slice(fields);
    });
    Some(out)
}

/// Reads how many columns a `RowDescription` has.
#[must_use]
pub fn columns(frame: &Bytes) -> usize {
    frame.get(5..).and_then(|mut rest| rest.try_get_u16().ok()).map_or(0, usize::from)
}

/// Writes an `ErrorResponse`.
pub fn encode_error(
    out: &mut BytesMut,
    severity: &str,
    sqlstate: &str,
    message: &str,
    detail: Option<&str>,
    hint: Option<&str>,
) {
    let more = [(b'D', detail), (b'H', hint)];
    encode_report(out, b'E', &more, severity, (sqlstate, message));
}

/// Writes a `NoticeResponse` of severity `WARNING`.
pub fn encode_warning(out: &mut BytesMut, sqlstate: &str, message: &str) {
    encode_report(out, b'N', &[], "WARNING", (sqlstate, message));
}

fn encode_report(
    out: &mut BytesMut,
    tag: u8,
    more: &[(u8, Option<&str>)],
    severity: &str,
    (sqlstate, message): (&str, &str),
) {
    framed(out, tag, |out| {
        let fields = [(b'S', severity), (b'V', severity), (b'C', sqlstate), (b'M', message)];
        let fields = fields.into_iter().map(|(field, value)| (field, Some(value)));
        let fields = fields.chain(more.iter().copied());
        for (field, value) in fields {
            if let Some(value) = value {
                out.put_u8(field);
                put_text(out, &value.replace('\0', " "));
            }
        }
        out.put_u8(0);
    });
}

/// Returns an `ErrorResponse` whose place in the text is moved on by so many characters; `None` where it names none.
#[must_use]
pub fn moved_error(frame: &Bytes, by: usize) -> Option<Bytes> {
    if by == 0 {
        return None;
    }
    let fields = frame.get(5..)?;
    let place = fields.split(|byte| *byte == 0).find(|field| field.first() == Some(&b'P'))?;
    let at: usize = std::str::from_utf8(place.get(1..)?).ok()?.parse().ok()?;
    let mut out = BytesMut::with_capacity(frame.len().saturating_add(8));
    framed(&mut out, *frame.first()?, |out| {
        for field in fields.split(|byte| *byte == 0).take_while(|field| !field.is_empty()) {
            if field.first() == Some(&b'P') {
                out.put_u8(b'P');
                put_text(out, &at.saturating_add(by).to_string());
            } else {
                out.put_slice(field);
                out.put_u8(0);
            }
        }
        out.put_u8(0);
    });
    Some(out.freeze())
}

/// Writes `CommandComplete`.
pub fn encode_complete(out: &mut BytesMut, tag: &str) {
    framed(out, b'C', |out| put_text(out, tag));
}

/// Writes `ReadyForQuery`.
pub fn encode_ready(out: &mut BytesMut, status: u8) {
    framed(out, b'Z', |out| out.put_u8(status));
}

/// Writes `ParameterStatus`.
pub fn encode_parameter(out: &mut BytesMut, name: &str, value: &str) {
    framed(out, b'S', |out| {
        put_text(out, name);
        put_text(out, value);
    });
}

/// Writes `BackendKeyData`.
pub fn encode_key(out: &mut BytesMut, process: u32, key: &[u8]) {
    framed(out, b'K', |out| {
        out.put_u32(process);
        out.put_slice(key);
    });
}

/// Writes an Authentication message of a kind, with its data.
pub fn encode_authentication(out: &mut BytesMut, kind: u32, data: &[u8]) {
    framed(out, b'R', |out| {
        out.put_u32(kind);
        out.put_slice(data);
    });
}

/// Writes `NegotiateProtocolVersion`: the version that is spoken, and options that are not known.
pub fn encode_negotiate(out: &mut BytesMut, version: u32, options: &[&str]) {
    framed(out, b'v', |out| {
        out.put_u32(version);
        out.put_u32(u32::try_from(options.len()).unwrap_or(u32::MAX));
        for option in options {
            put_text(out, option);
        }
    });
}

/// Writes a message without a body (`ParseComplete` `1`, `BindComplete` `2`, `CloseComplete` `3`, `NoData` `n`).
pub fn encode_bare(out: &mut BytesMut, tag: u8) {
    framed(out, tag, |_| ());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_error_moves_with_the_statement() {
        let mistake_at = |at: &str| {
            let mut out = BytesMut::new();
            framed(&mut out, b'E', |out| {
                for field in ["C42601", "Msyntax error", &format!("P{at}"), ""] {
                    put_text(out, field);
                }
            });
            out.freeze()
        };
        let frame = mistake_at("7");
        assert_eq!(moved_error(&frame, 10), Some(mistake_at("17")));
        assert_eq!(moved_error(&frame, 0), None);
        let mut out = BytesMut::new();
        encode_error(&mut out, "ERROR", "42501", "P7", None, None);
        assert_eq!(moved_error(&out.freeze(), 10), None);
    }

    #[test]
    fn columns_at_the_end_are_taken_away_and_the_others_stay_as_they_were() {
        let mut out = BytesMut::new();
        framed(&mut out, b'T', |out| {
            out.put_u16(3);
            for name in ["id", "a b", "_killick"] {
                put_text(out, name);
                out.put_slice(&[7; 18]);
            }
        });
        let whole = out.freeze();
        let short = without_last_columns(&whole, 1).unwrap().freeze();
        assert_eq!(columns(&short), 2);
        assert!(!short.windows(8).any(|it| it == b"_killick"));
        assert!(without_last_columns(&whole, 4).is_none());
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let mut out = BytesMut::new();
        let values = vec![Some(Bytes::from_static(b"x")), None, Some(Bytes::new())];
        encode_row(&mut out, &values);
        assert_eq!(row_values(&out.freeze()), Some(values));
        assert_eq!(row_values(&Bytes::from_static(b"D\0\0\0\x0a\0\x01\0\0\0\xff")), None);
    }
}
