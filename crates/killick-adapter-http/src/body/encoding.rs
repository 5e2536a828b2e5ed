//! Undoing content encodings within a bound, and insisting on UTF-8.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use killick_model::{Code, Refusal};

use crate::judge::RequestView;

/// The most bytes of a body that is judged, before and after its content encoding is undone.
pub const BODY_JUDGED_BYTES_MAX: usize = 1 << 20;

/// The most content codings that are undone, one inside the other.
const CODINGS_MAX: usize = 2;

/// Returns the body without content encoding.
///
/// # Errors
/// It is too large, not whole, in a coding that is not undone, or damaged.
pub fn decode(request: &RequestView) -> Result<Bytes, Refusal> {
    let body = unpack(request)?;
    match charset(request) {
        Charset::Utf8 => Ok(body),
        Charset::Utf16 | Charset::Latin1 | Charset::Other => {
            Err(ambiguous("a charset other than UTF-8"))
        }
    }
}

/// Returns the body without content encoding, whatever its charset.
pub(crate) fn unpack(request: &RequestView) -> Result<Bytes, Refusal> {
    if !request.body_complete || request.body.len() > BODY_JUDGED_BYTES_MAX {
        return Err(Refusal::new(
            Code::BodyTooLarge,
            format!("the body is larger than the {BODY_JUDGED_BYTES_MAX} bytes that are judged"),
        ));
    }
    let mut codings = Vec::new();
    for value in request.header("content-encoding") {
        let text =
            std::str::from_utf8(value).map_err(|_| ambiguous("content-encoding is not text"))?;
        codings.extend(text.split(',').map(|coding| coding.trim().to_ascii_lowercase()));
    }
    codings.retain(|coding| coding != "identity");
    if codings.len() > CODINGS_MAX {
        return Err(ambiguous("more content codings than are undone"));
    }
    if codings.len() > 1 && codings.iter().any(|coding| coding != "gzip" && coding != "x-gzip") {
        return Err(ambiguous("different content codings one inside the other"));
    }
    let mut body = request.body.clone();
    for coding in codings.iter().rev() {
        body = match coding.as_str() {
            "gzip" | "x-gzip" => inflate_gzip(&body)?,
            "deflate" => inflate_zlib(&body)?,
            _ => return Err(ambiguous("a content coding that is not undone")),
        };
    }
    Ok(body)
}

fn ambiguous(because: &str) -> Refusal {
    Refusal::new(Code::AmbiguousBody, because)
}

// Bytes behind the first member would be read by one decoder and dropped by another.
fn inflate_gzip(body: &[u8]) -> Result<Bytes, Refusal> {
    let mut decoder = GzDecoder::new(body);
    let out = inflate(&mut decoder)?;
    if decoder.into_inner().is_empty() {
        Ok(out)
    } else {
        Err(ambiguous("bytes stand behind the end of the compressed body"))
    }
}

// By the standard in zlib's wrapping; many clients leave it away, and servers take both. What has
// the wrapping and its checksum is not taken for the other.
fn inflate_zlib(body: &[u8]) -> Result<Bytes, Refusal> {
    let mut decoder = ZlibDecoder::new(body);
    let (out, rest) = match inflate(&mut decoder) {
        Ok(out) => (out, decoder.into_inner()),
        Err(wrapped) => {
            let mut bare = DeflateDecoder::new(body);
            (inflate(&mut bare).map_err(|_| wrapped)?, bare.into_inner())
        }
    };
    if rest.is_empty() {
        Ok(out)
    } else {
        Err(ambiguous("bytes stand behind the end of the compressed body"))
    }
}

fn inflate(decoder: impl Read) -> Result<Bytes, Refusal> {
    let mut out = Vec::new();
    let bound = (BODY_JUDGED_BYTES_MAX as u64).saturating_add(1);
    decoder
        .take(bound)
        .read_to_end(&mut out)
        .map_err(|_| ambiguous("the compressed body is damaged"))?;
    if out.len() > BODY_JUDGED_BYTES_MAX {
        return Err(Refusal::new(
            Code::BodyTooLarge,
            format!(
                "the body unpacks to more than the {BODY_JUDGED_BYTES_MAX} bytes that are judged"
            ),
        ));
    }
    Ok(Bytes::from(out))
}

/// What a request says of the letters of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    /// Nothing, or UTF-8.
    Utf8,
    /// UTF-16 of either order.
    Utf16,
    /// One byte a letter, the lower half as in ASCII.
    Latin1,
    /// Anything else, or two that differ.
    Other,
}

fn charset(request: &RequestView) -> Charset {
    let mut said: Option<Charset> = None;
    for value in request.header("content-type") {
        let text = String::from_utf8_lossy(value).to_ascii_lowercase();
        for parameter in text.split(';').skip(1) {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            if name.trim() != "charset" {
                continue;
            }
            let one = match value.trim().trim_matches('"') {
                "utf-8" | "utf8" | "us-ascii" => Charset::Utf8,
                "utf-16" | "utf-16le" | "utf-16be" | "utf16" => Charset::Utf16,
                "iso-8859-1" | "latin1" | "windows-1252" => Charset::Latin1,
                _ => Charset::Other,
            };
            said = match said {
                None => Some(one),
                Some(before) if before == one => Some(one),
                Some(_) => Some(Charset::Other),
            };
        }
    }
    said.unwrap_or(Charset::Utf8)
}

/// Returns the texts that a body could be for a server that goes by its charset, or finds one out.
/// They are for telling what it would do; such a body is not sent.
pub(crate) fn texts_by_charset(request: &RequestView, body: &[u8]) -> Vec<String> {
    let own = text(body).filter(|text| !text.contains('\0')).map(str::to_owned);
    let found: Vec<Option<String>> = match charset(request) {
        Charset::Utf8 | Charset::Utf16 => {
            vec![own, utf16(body, u16::from_le_bytes), utf16(body, u16::from_be_bytes)]
        }
        Charset::Latin1 => vec![own, Some(body.iter().copied().map(char::from).collect())],
        Charset::Other => Vec::new(),
    };
    found.into_iter().flatten().collect()
}

fn utf16(body: &[u8], unit: impl Fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = body.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    let text = String::from_utf16(&units).ok()?;
    Some(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

/// Returns a decoded body as text, without the byte order mark.
#[must_use]
pub(crate) fn text(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    Some(text.strip_prefix('\u{feff}').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn request(coding: &str, body: Vec<u8>) -> RequestView {
        RequestView {
            tls: true,
            method: "POST".into(),
            host: "api.example.com".into(),
            port: 443,
            path: "/".into(),
            query: None,
            headers: vec![("content-encoding".into(), coding.as_bytes().to_vec())],
            body: body.into(),
            body_complete: true,
        }
    }

    #[test]
    fn a_bomb_is_refused_without_being_unpacked() {
        let bomb = gzip(&vec![0; BODY_JUDGED_BYTES_MAX + 1]);
        assert_eq!(decode(&request("gzip", bomb)).unwrap_err().code, Code::BodyTooLarge);
    }

    #[test]
    fn what_decoders_differ_on_is_refused() {
        let good = gzip(b"{}");
        let mut two = good.clone();
        two.extend(gzip(b"{\"a\":1}"));
        let mut trailing = good.clone();
        trailing.push(0);
        let mut cut = good.clone();
        cut.truncate(good.len() - 1);
        for (coding, body) in [
            ("gzip", two),
            ("gzip", trailing),
            ("gzip", cut),
            ("gzip", b"{}".to_vec()),
            ("br", good.clone()),
            ("gzip, deflate", good.clone()),
            ("gzip, gzip, gzip", gzip(&gzip(&good))),
            ("zstd", good.clone()),
            ("", good.clone()),
        ] {
            assert_eq!(
                decode(&request(coding, body)).unwrap_err().code,
                Code::AmbiguousBody,
                "{coding}"
            );
        }
        assert_eq!(decode(&request("gzip", good.clone())).unwrap(), "{}");
        assert_eq!(decode(&request("gzip, gzip", gzip(&good))).unwrap(), "{}");
    }

    #[test]
    fn an_incomplete_body_is_not_judged_by_its_beginning() {
        let cut = RequestView { body_complete: false, ..request("identity", b"{}".to_vec()) };
        assert_eq!(decode(&cut).unwrap_err().code, Code::BodyTooLarge);
    }
}
