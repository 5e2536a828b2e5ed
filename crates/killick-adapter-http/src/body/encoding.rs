//! Undoing content encodings within a bound, and insisting on UTF-8.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::{GzDecoder, ZlibDecoder};
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
    if !request.body_complete || request.body.len() > BODY_JUDGED_BYTES_MAX {
        return Err(Refusal::new(
            Code::BodyTooLarge,
            format!("the body is larger than the {BODY_JUDGED_BYTES_MAX} bytes that are judged"),
        ));
    }
    charset(request)?;
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

fn inflate_zlib(body: &[u8]) -> Result<Bytes, Refusal> {
    let mut decoder = ZlibDecoder::new(body);
    let out = inflate(&mut decoder)?;
    if decoder.into_inner().is_empty() {
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

fn charset(request: &RequestView) -> Result<(), Refusal> {
    for value in request.header("content-type") {
        let text = String::from_utf8_lossy(value).to_ascii_lowercase();
        for parameter in text.split(';').skip(1) {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            if name.trim() == "charset" && !matches!(value, "utf-8" | "utf8" | "us-ascii") {
                return Err(ambiguous("a charset other than UTF-8"));
            }
        }
    }
    Ok(())
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
