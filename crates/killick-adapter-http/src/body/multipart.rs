//! Forms in parts with a boundary (RFC 7578), read strictly.

use crate::judge::RequestView;

/// The most parts that are read.
const PARTS_MAX: usize = 16;
/// The most bytes of the head of a part.
const PART_HEAD_BYTES_MAX: usize = 1024;
/// The longest boundary (RFC 2046).
const BOUNDARY_BYTES_MAX: usize = 70;

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormPart<'a> {
    /// Its name.
    pub(crate) name: String,
    /// Whether it is a file.
    pub(crate) is_file: bool,
    /// Its content type without parameters, lower case.
    pub(crate) content_type: Option<String>,
    /// Its content.
    pub(crate) content: &'a [u8],
}

/// Reads a `multipart/form-data` body. `None` when there is any doubt about where its parts begin
/// and end, or what they are called.
pub(crate) fn multipart<'a>(request: &RequestView, body: &'a [u8]) -> Option<Vec<FormPart<'a>>> {
    let boundary = boundary(request)?;
    let first = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(first.as_bytes())?;
    let mut parts = Vec::new();
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        if parts.len() >= PARTS_MAX {
            return None;
        }
        let end = find(after, between.as_bytes())?;
        let (part, behind) = after.split_at_checked(end)?;
        parts.push(read_part(part)?);
        rest = behind.get(between.len()..)?;
    }
    // Nothing but a line break may follow: what stands behind the end is read by some.
    (matches!(rest, b"--" | b"--\r\n") && !parts.is_empty()).then_some(parts)
}

fn boundary(request: &RequestView) -> Option<String> {
    let mut values = request.header("content-type");
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = std::str::from_utf8(value).ok()?;
    let mut pieces = text.split(';');
    if !pieces.next()?.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut found = None;
    for piece in pieces {
        let (name, value) = piece.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        if name == "charset" {
            continue;
        }
        if name != "boundary" || found.is_some() {
            return None;
        }
        found = Some(unquoted(value.trim())?);
    }
    found.filter(|boundary| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b);
        (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()) && boundary.bytes().all(plain)
    })
}

// A quote inside, or an escape, is read differently by different servers.
fn unquoted(value: &str) -> Option<String> {
    let inner = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    (!inner.contains(['"', '\\', '%'])).then(|| inner.to_owned())
}

fn read_part(part: &[u8]) -> Option<FormPart<'_>> {
    let end = find(part.get(..part.len().min(PART_HEAD_BYTES_MAX))?, b"\r\n\r\n")?;
    let (head, content) = part.split_at_checked(end)?;
    let content = content.get(4..)?;
    let head = std::str::from_utf8(head).ok()?;
    let mut disposition = None;
    let mut content_type = None;
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        if line.contains(['\r', '\n', '\0']) || line.starts_with([' ', '\t']) {
            return None;
        }
        let place = match name.to_ascii_lowercase().as_str() {
            "content-disposition" => &mut disposition,
            "content-type" => &mut content_type,
            _ => return None,
        };
        if place.replace(value.trim()).is_some() {
            return None;
        }
    }
    let (name, is_file) = read_disposition(disposition?)?;
    let content_type = content_type
        .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    Some(FormPart { name, is_file, content_type, content })
}

fn read_disposition(text: &str) -> Option<(String, bool)> {
    let mut pieces = text.split(';');
    if !pieces.next()?.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut is_file) = (None, false);
    for piece in pieces {
        let (key, value) = piece.split_once('=')?;
        let value = unquoted(value.trim())?;
        match key.trim().to_ascii_lowercase().as_str() {
            "name" if name.is_none() => name = Some(value),
            "filename" if !is_file => is_file = true,
            _ => return None,
        }
    }
    Some((name?, is_file))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: &str) -> RequestView {
        RequestView {
            tls: true,
            method: "POST".into(),
            host: "api.example.com".into(),
            port: 443,
            path: "/graphql".into(),
            query: None,
            headers: vec![("content-type".into(), kind.as_bytes().to_vec())],
            body: bytes::Bytes::new(),
            body_complete: true,
        }
    }

    fn read(kind: &str, body: &str) -> Option<Vec<(String, bool, String)>> {
        let parts = multipart(&request(kind), body.as_bytes())?;
        let text = |content: &[u8]| String::from_utf8_lossy(content).into_owned();
        Some(parts.iter().map(|p| (p.name.clone(), p.is_file, text(p.content))).collect())
    }

    const KIND: &str = "multipart/form-data; boundary=x";
    const A: &str = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";

    #[test]
    fn parts_are_read_with_their_names() {
        let body = format!(
            "{A}1\r\n--x\r\ncontent-disposition: form-data; name=b; filename=\"f.txt\"\r\n\
             Content-Type: text/plain\r\n\r\n2\r\n3\r\n--x--\r\n"
        );
        let wanted = vec![
            ("a".to_owned(), false, "1".to_owned()),
            ("b".to_owned(), true, "2\r\n3".to_owned()),
        ];
        for kind in [
            KIND,
            "Multipart/Form-Data;boundary=\"x\"",
            "multipart/form-data; boundary=x;charset=utf-8",
        ] {
            assert_eq!(read(kind, &body), Some(wanted.clone()), "{kind}");
        }
    }

    #[test]
    fn what_readers_differ_on_is_not_read() {
        for (kind, body) in [
            (KIND, String::new()),
            (KIND, "--x--".to_owned()),
            (KIND, format!("before\r\n{A}1\r\n--x--")),
            (KIND, format!("{A}1\r\n--x--behind")),
            (KIND, format!("{A}1\r\n--x--\r\n{A}2\r\n--x--")),
            (KIND, format!("{A}1\r\n--x")),
            (KIND, format!("{A}1\r\n--xy\r\n2\r\n--x--")),
            (KIND, format!("{A}1")),
            (KIND, A.replace("\r\n", "\n") + "1\n--x--"),
            (KIND, A.replace("name=", "filename=") + "1\r\n--x--"),
            (KIND, A.replace("\"a\"", "\"a\"; name=\"b\"") + "1\r\n--x--"),
            (KIND, A.replace("\"a\"", "\"a\"; name*=utf-8''b") + "1\r\n--x--"),
            (KIND, A.replace("\"a\"", "\"a\\\"b\"") + "1\r\n--x--"),
            (KIND, A.replace("\"a\"", "\"%61\"") + "1\r\n--x--"),
            (
                KIND,
                A.replace("Content-D", "Content-Transfer-Encoding: base64\r\nContent-D")
                    + "1\r\n--x--",
            ),
            (KIND, A.replace("form-data; n", "form-data;\r\n n") + "1\r\n--x--"),
            (
                KIND,
                A.replace("Content-D", "Content-Disposition: form-data; name=b\r\nContent-D")
                    + "1\r\n--x--",
            ),
            ("multipart/form-data", format!("{A}1\r\n--x--")),
            ("multipart/form-data; boundary=", format!("{A}1\r\n--x--")),
            ("multipart/form-data; boundary=x; boundary=y", format!("{A}1\r\n--x--")),
            ("multipart/mixed; boundary=x", format!("{A}1\r\n--x--")),
            ("multipart/form-data; boundary=\"x y\"", format!("{A}1\r\n--x--")),
        ] {
            assert_eq!(read(kind, &body), None, "{kind} {body}");
        }
        let many = format!("{A}1\r\n").repeat(PARTS_MAX + 1) + "--x--";
        assert_eq!(read(KIND, &many), None);
    }
}
