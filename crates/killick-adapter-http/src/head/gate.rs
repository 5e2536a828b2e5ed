//! A sans-IO filter: raw bytes in, vetted bytes out.

use bytes::{Bytes, BytesMut};
use killick_model::Code;

use super::Violation;
use super::lines::{Framing, Head, check_head};

/// The most bytes of one head, the blank line included.
pub const HEAD_BYTES_MAX: usize = 32 << 10;
/// The most header lines of one head.
pub const HEADERS_MAX: usize = 100;
/// The most bytes of a request target.
pub const TARGET_BYTES_MAX: usize = 16 << 10;
/// The most bytes of a chunk's size line.
const CHUNK_LINE_BYTES_MAX: usize = 64;

/// Which connection the head came on; it says which forms of target fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// The proxy port itself: absolute-form, or CONNECT with authority-form.
    Proxy,
    /// Inside a tunnel or behind the reverse proxy: origin-form.
    Origin,
}

/// Where on the connection the next byte stands.
#[derive(Debug)]
enum At {
    Head,
    Sized { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    LastLine,
    Connect,
    Tunnel,
    Stopped(Violation),
}

/// Lets only well-formed HTTP/1.1 requests through (RFC 9112). Follows each body, so that the next head on
/// the connection is checked too. Where the network cuts makes no difference.
#[derive(Debug)]
pub struct HeadGate {
    leg: Leg,
    pending: BytesMut,
    at: At,
}

impl HeadGate {
    /// Makes a gate for one connection.
    #[must_use]
    pub fn new(leg: Leg) -> Self {
        Self { leg, pending: BytesMut::new(), at: At::Head }
    }

    /// Takes bytes from the connection.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Returns vetted bytes; `None` means push more.
    ///
    /// # Errors
    /// A violation is final: every later pull returns it again.
    pub fn pull(&mut self) -> Result<Option<Bytes>, Violation> {
        let pulled = match &self.at {
            At::Stopped(violation) => return Err(violation.clone()),
            At::Connect => Ok(None),
            At::Tunnel => Ok(self.take(self.pending.len())),
            At::Head => self.pull_head(),
            At::Sized { left } => Ok(self.pull_body(*left, |left| At::Sized { left }, At::Head)),
            At::ChunkData { left } => {
                Ok(self.pull_body(*left, |left| At::ChunkData { left }, At::ChunkEnd))
            }
            At::ChunkSize => self.pull_chunk_size(),
            At::ChunkEnd => self.pull_blank(At::ChunkSize),
            At::LastLine => self.pull_blank(At::Head),
        };
        if let Err(violation) = &pulled {
            self.at = At::Stopped(violation.clone());
        }
        pulled
    }

    /// Tells the gate that a CONNECT was accepted: bytes pass from now on as they are. Until then
    /// bytes after a CONNECT are held back.
    pub fn open_tunnel(&mut self) {
        if matches!(self.at, At::Connect) {
            self.at = At::Tunnel;
        }
    }

    /// Returns whether a CONNECT head passed and bytes behind it are held back.
    #[must_use]
    pub fn awaits_tunnel(&self) -> bool {
        matches!(self.at, At::Connect)
    }

    fn take(&mut self, count: usize) -> Option<Bytes> {
        (count > 0).then(|| self.pending.split_to(count.min(self.pending.len())).freeze())
    }

    fn pull_head(&mut self) -> Result<Option<Bytes>, Violation> {
        let end = head_end(&self.pending)?;
        let Some(end) = end else {
            // What is there must already be the beginning of a head: a bare LF is found before the end is.
            return if self.pending.len() > HEAD_BYTES_MAX { Err(too_long()) } else { Ok(None) };
        };
        if end > HEAD_BYTES_MAX {
            return Err(too_long());
        }
        let bytes = self.pending.split_to(end).freeze();
        let Head { framing, connect } = check_head(&bytes, self.leg)?;
        self.at = match framing {
            _ if connect => At::Connect,
            Framing::None => At::Head,
            Framing::Length(left) => At::Sized { left },
            Framing::Chunked => At::ChunkSize,
        };
        Ok(Some(bytes))
    }

    fn pull_body(&mut self, left: u64, more: impl Fn(u64) -> At, after: At) -> Option<Bytes> {
        let there = u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        let count = left.min(there);
        let rest = left.saturating_sub(count);
        let bytes = self.take(usize::try_from(count).unwrap_or(usize::MAX));
        self.at = if rest == 0 { after } else { more(rest) };
        bytes
    }

    fn pull_chunk_size(&mut self) -> Result<Option<Bytes>, Violation> {
        let bad = || Violation::new(Code::MalformedHead, "a chunk's size line is not strict");
        let Some(line) = line_end(&self.pending, CHUNK_LINE_BYTES_MAX).map_err(|()| bad())? else {
            return Ok(None);
        };
        let digits = self.pending.get(..line.saturating_sub(2)).unwrap_or_default();
        // Extensions are read differently by different servers, and nobody needs them.
        let plain = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
        let size = std::str::from_utf8(digits).ok().and_then(|d| u64::from_str_radix(d, 16).ok());
        let (Some(size), true) = (size, plain) else { return Err(bad()) };
        self.at = if size == 0 { At::LastLine } else { At::ChunkData { left: size } };
        Ok(self.take(line))
    }

    /// Takes exactly CR LF. After the last chunk anything else would be a trailer.
    fn pull_blank(&mut self, after: At) -> Result<Option<Bytes>, Violation> {
        match self.pending.get(..2.min(self.pending.len())) {
            Some([] | [b'\r']) | None => Ok(None),
            Some([b'\r', b'\n']) => {
                self.at = after;
                Ok(self.take(2))
            }
            Some(_) => Err(Violation::new(
                Code::MalformedHead,
                "a chunk does not end where it says, or trailers follow the body",
            )),
        }
    }
}

fn too_long() -> Violation {
    Violation::new(Code::MalformedHead, format!("the head is longer than {HEAD_BYTES_MAX} bytes"))
}

/// Returns where the head ends, blank line included; refuses a line break that is not CR LF at once.
fn head_end(bytes: &[u8]) -> Result<Option<usize>, Violation> {
    let mut from = 0;
    while let Some(at) = bytes.get(from..).and_then(|rest| rest.iter().position(|b| *b == b'\n')) {
        let at = from.saturating_add(at);
        let before = at.checked_sub(1).and_then(|i| bytes.get(i));
        if before != Some(&b'\r') {
            return Err(Violation::new(
                Code::MalformedHead,
                "a line ends without a carriage return",
            ));
        }
        let blank = at.checked_sub(3).and_then(|i| bytes.get(i..=at)) == Some(b"\r\n\r\n");
        if blank || at == 1 {
            return Ok(Some(at.saturating_add(1)));
        }
        from = at.saturating_add(1);
    }
    Ok(None)
}

fn line_end(bytes: &[u8], line_bytes_max: usize) -> Result<Option<usize>, ()> {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) if at >= line_bytes_max => Err(()),
        Some(at) => match at.checked_sub(1).and_then(|i| bytes.get(i)) {
            Some(b'\r') => Ok(Some(at.saturating_add(1))),
            Some(_) | None => Err(()),
        },
        None if bytes.len() >= line_bytes_max => Err(()),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(leg: Leg, pieces: &[&[u8]]) -> (Vec<u8>, Option<Violation>) {
        let mut gate = HeadGate::new(leg);
        let mut out = Vec::new();
        for piece in pieces {
            gate.push(piece);
            loop {
                match gate.pull() {
                    Ok(Some(bytes)) => out.extend_from_slice(&bytes),
                    Ok(None) => break,
                    Err(violation) => return (out, Some(violation)),
                }
            }
        }
        (out, None)
    }

    const GOOD: &[&[u8]] = &[
        b"GET /a?b=c HTTP/1.1\r\nHost: api.test\r\nAccept: */*\r\n\r\n",
        b"POST /g HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n\r\nbodyGET / HTTP/1.1\r\nHost: api.test\r\n\r\n",
        b"POST /g HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nA\r\n0123456789\r\n0\r\n\r\n",
        b"POST /g HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\nGET /b HTTP/1.1\r\nHost: api.test\r\n\r\n",
    ];

    #[test]
    fn plain_requests_pass_unchanged_wherever_the_network_cuts() {
        for whole in GOOD {
            assert_eq!(run(Leg::Origin, &[whole]), (whole.to_vec(), None));
            for cut in 0..=whole.len() {
                let (a, b) = whole.split_at(cut);
                assert_eq!(run(Leg::Origin, &[a, b]), (whole.to_vec(), None), "cut at {cut}");
            }
            let bytes: Vec<&[u8]> = whole.chunks(1).collect();
            assert_eq!(run(Leg::Origin, &bytes), (whole.to_vec(), None));
        }
    }

    const BAD: &[(&str, &[u8])] = &[
        ("bare LF", b"GET / HTTP/1.1\nHost: a\n\n"),
        ("bare LF in a header", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
        ("obs-fold", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
        ("blank before colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        ("no host", b"GET / HTTP/1.1\r\nX: a\r\n\r\n"),
        ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ("two lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
        ("a list of lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx"),
        ("a signed length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx"),
        ("length and chunked", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("another coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("a coding with a tab", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"),
        ("two codings", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("chunk extension", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n"),
        ("chunk size with prefix", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n"),
        ("chunk longer than it says", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n"),
        ("trailer", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n"),
        ("announced trailer", b"POST / HTTP/1.1\r\nHost: a\r\nTrailer: x\r\nContent-Length: 0\r\n\r\n"),
        ("HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"),
        ("HTTP/0.9", b"GET /\r\n\r\n"),
        ("two blanks", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("NUL", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
        ("upper half", b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("lower-case method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("upgrade", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
        ("h2c", b"GET / HTTP/1.1\r\nHost: a\r\nHTTP2-Settings: AA\r\n\r\n"),
        ("h2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("absolute target in a tunnel", b"GET http://b.test/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("CONNECT in a tunnel", b"CONNECT b.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n"),
        ("unknown expectation", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 0\r\n\r\n"),
        ("fragment", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("leading blank line", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("asterisk", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];

    #[test]
    fn what_two_servers_could_read_differently_is_refused_wherever_the_network_cuts() {
        for (what, whole) in BAD {
            for cut in 0..=whole.len() {
                let (a, b) = whole.split_at(cut);
                let (_, violation) = run(Leg::Origin, &[a, b]);
                assert!(violation.is_some(), "{what} passed, cut at {cut}");
            }
        }
    }

    #[test]
    fn a_second_request_behind_a_body_is_checked_too() {
        let whole = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxyGET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
        let (out, violation) = run(Leg::Origin, &[whole]);
        assert!(out.ends_with(b"xy"));
        assert!(violation.is_some());
    }

    #[test]
    fn limits_hold() {
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_MAX));
        assert!(run(Leg::Origin, &[many.as_bytes()]).1.is_some());
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(TARGET_BYTES_MAX));
        assert!(run(Leg::Origin, &[long.as_bytes()]).1.is_some());
        let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(HEAD_BYTES_MAX));
        assert!(run(Leg::Origin, &[endless.as_bytes()]).1.is_some());
    }

    #[test]
    fn bytes_behind_a_connect_wait_until_it_is_accepted() {
        let mut gate = HeadGate::new(Leg::Proxy);
        let head = b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n";
        gate.push(head);
        gate.push(b"\x16\x03\x01");
        assert_eq!(gate.pull().unwrap().unwrap(), &head[..]);
        assert_eq!(gate.pull(), Ok(None));
        assert!(gate.awaits_tunnel());
        gate.open_tunnel();
        assert_eq!(gate.pull().unwrap().unwrap(), &b"\x16\x03\x01"[..]);
    }

    #[test]
    fn the_proxy_leg_takes_absolute_targets_and_connect_only() {
        let ok: &[&[u8]] = &[b"GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n"];
        for whole in ok {
            assert_eq!(run(Leg::Proxy, &[whole]).1, None);
        }
        let bad: &[&[u8]] = &[
            b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n",
            b"GET https://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
            b"GET http://u:p@a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
            b"CONNECT a.test HTTP/1.1\r\nHost: a.test\r\n\r\n",
            b"CONNECT u@a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
            b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nContent-Length: 3\r\n\r\nabc",
            b"GET ftp://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
        ];
        for whole in bad {
            assert!(run(Leg::Proxy, &[whole]).1.is_some(), "{}", String::from_utf8_lossy(whole));
        }
    }
}
