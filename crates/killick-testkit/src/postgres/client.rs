//! A client that does exactly what it is told, one message at a time, and says exactly what came back.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::frame::{Frame, encoded};

/// How long a test waits for an answer before it calls it lost.
const ANSWER_WAIT_MAX: Duration = Duration::from_mins(2);
/// Version 3.0 of the protocol.
const VERSION: u32 = 3 << 16;

/// A logged-in connection. Dropped, it ends without a goodbye.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: io::BufReader<TcpStream>,
    process: u32,
}

/// What came back before the server was ready again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Rows of every result, values as text.
    pub rows: Vec<Vec<Option<String>>>,
    /// Command tags, in order.
    pub tags: Vec<String>,
    /// What failed.
    pub errors: Vec<Said>,
    /// What was said beside.
    pub notices: Vec<Said>,
    /// `I`, `T` or `E`, as the server says where it stands.
    pub status: u8,
}

/// An error or a notice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its five characters.
    pub sqlstate: String,
    /// Its words.
    pub message: String,
    /// Details, if there are any.
    pub detail: String,
}

impl Answer {
    /// Returns whether nothing failed.
    #[must_use]
    pub fn went_well(&self) -> bool {
        self.errors.is_empty()
    }

    /// Returns the first value of the first row, empty where there is none.
    #[must_use]
    pub fn value(&self) -> String {
        self.rows.first().and_then(|row| row.first().cloned().flatten()).unwrap_or_default()
    }
}

impl Client {
    /// Logs in at an address as `postgres://user:password@host:port/database`, without TLS.
    ///
    /// # Errors
    /// The connection fails, or the server refuses.
    pub fn connect(url: &str) -> io::Result<Self> {
        let url = Url::parse(url).map_err(io::Error::other)?;
        let host = url.host_str().unwrap_or("127.0.0.1");
        let stream = TcpStream::connect((host, url.port().unwrap_or(5432)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
        let input = io::BufReader::new(stream.try_clone()?);
        let mut client = Self { stream, input, process: 0 };
        client.log_in(&url)?;
        Ok(client)
    }

    fn log_in(&mut self, url: &Url) -> io::Result<()> {
        let mut body = VERSION.to_be_bytes().to_vec();
        let database = url.path().trim_start_matches('/');
        for text in ["user", url.username(), "database", database] {
            zero_ended(&mut body, text);
        }
        body.push(0);
        self.send(0, &body)?;
        let password = url.password().unwrap_or_default();
        let mut scram = Scram::default();
        loop {
            let frame = self.receive()?;
            match frame.tag {
                b'R' => match frame.body.split_first_chunk::<4>() {
                    Some(([0, 0, 0, 0 | 12], _)) => {}
                    Some(([0, 0, 0, 10], _)) => {
                        let first = scram.first();
                        let mut body = b"SCRAM-SHA-256\0".to_vec();
                        body.extend_from_slice(
                            &u32::try_from(first.len()).unwrap_or(0).to_be_bytes(),
                        );
                        body.extend_from_slice(first.as_bytes());
                        self.send(b'p', &body)?;
                    }
                    Some(([0, 0, 0, 11], opening)) => {
                        let last = scram.last(password, &String::from_utf8_lossy(opening))?;
                        self.send(b'p', last.as_bytes())?;
                    }
                    _ => return Err(io::Error::other("another way to log in is asked for")),
                },
                b'K' => {
                    if let Some(process) = frame.body.first_chunk::<4>() {
                        self.process = u32::from_be_bytes(*process);
                    }
                }
                b'E' => return Err(io::Error::other(said(&frame.body).message)),
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    /// Returns the number of the server's process, as the server said it.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.process
    }

    /// Sends one message.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, tag: u8, body: &[u8]) -> io::Result<()> {
        self.stream.write_all(&encoded(tag, body))
    }

    /// Waits for one message.
    ///
    /// # Errors
    /// The connection is gone, or nothing comes.
    pub fn receive(&mut self) -> io::Result<Frame> {
        Frame::read(&mut self.input, true)
    }

    /// Sends a text in the simple protocol and waits for all that is answered. COPY gets no data.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn query(&mut self, text: &str) -> io::Result<Answer> {
        self.copy(text, &[])
    }

    /// Sends a text in the simple protocol, and data where the server asks for some.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn copy(&mut self, text: &str, data: &[&str]) -> io::Result<Answer> {
        let mut body = Vec::new();
        zero_ended(&mut body, text);
        self.send(b'Q', &body)?;
        self.answer(data)
    }

    /// Sends statements in the extended protocol, each with its values as text, and one Sync behind them.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn series(&mut self, statements: &[(&str, &[&str])]) -> io::Result<Answer> {
        for (text, values) in statements {
            self.send_parse("", text)?;
            self.send_execute("", values)?;
        }
        self.send(b'S', &[])?;
        self.answer(&[])
    }

    /// Has a statement prepared under a name.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn prepare(&mut self, name: &str, text: &str) -> io::Result<Answer> {
        self.send_parse(name, text)?;
        self.send(b'S', &[])?;
        self.answer(&[])
    }

    /// Has a prepared statement executed.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn execute(&mut self, name: &str, values: &[&str]) -> io::Result<Answer> {
        self.send_execute(name, values)?;
        self.send(b'S', &[])?;
        self.answer(&[])
    }

    /// Binds a statement to a portal of this name and fetches its first rows.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn fetch(&mut self, portal: &str, text: &str, rows: u32) -> io::Result<Answer> {
        self.send_parse("", text)?;
        let mut body = Vec::new();
        zero_ended(&mut body, portal);
        body.extend_from_slice(&[0; 7]);
        self.send(b'B', &body)?;
        self.fetch_on(portal, rows)
    }

    /// Fetches further rows of a portal.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn fetch_on(&mut self, portal: &str, rows: u32) -> io::Result<Answer> {
        let mut body = Vec::new();
        zero_ended(&mut body, portal);
        body.extend_from_slice(&rows.to_be_bytes());
        self.send(b'E', &body)?;
        self.send(b'S', &[])?;
        self.answer(&[])
    }

    fn send_parse(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut body = Vec::new();
        zero_ended(&mut body, name);
        zero_ended(&mut body, text);
        body.extend_from_slice(&[0, 0]);
        self.send(b'P', &body)
    }

    fn send_execute(&mut self, name: &str, values: &[&str]) -> io::Result<()> {
        let mut body = vec![0];
        zero_ended(&mut body, name);
        body.extend_from_slice(&[0, 0]);
        body.extend_from_slice(&u16::try_from(values.len()).unwrap_or(0).to_be_bytes());
        for value in values {
            body.extend_from_slice(&u32::try_from(value.len()).unwrap_or(0).to_be_bytes());
            body.extend_from_slice(value.as_bytes());
        }
        body.extend_from_slice(&[0, 0]);
        self.send(b'B', &body)?;
        self.send(b'E', &[0, 0, 0, 0, 0])
    }

    /// Waits for all that is answered, up to the server being ready; COPY gets this data.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn answer(&mut self, data: &[&str]) -> io::Result<Answer> {
        let mut answer = Answer::default();
        loop {
            let frame = match self.receive() {
                Ok(frame) => frame,
                Err(error) => return Err(lost(error, &answer)),
            };
            match frame.tag {
                b'D' => answer.rows.push(row(&frame.body)),
                b'C' => answer.tags.push(text(&frame.body)),
                b'E' => answer.errors.push(said(&frame.body)),
                b'N' => answer.notices.push(said(&frame.body)),
                b'G' => {
                    for line in data {
                        self.send(b'd', line.as_bytes())?;
                    }
                    self.send(b'c', &[])?;
                }
                b'Z' => {
                    answer.status = frame.body.first().copied().unwrap_or_default();
                    return Ok(answer);
                }
                _ => {}
            }
        }
    }
}

/// An end of the connection, with the last words that came before it.
fn lost(error: io::Error, answer: &Answer) -> io::Error {
    match answer.errors.last() {
        Some(last) => io::Error::new(error.kind(), format!("{}: {}", last.sqlstate, last.message)),
        None => error,
    }
}

fn zero_ended(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|it| *it == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn said(body: &[u8]) -> Said {
    let mut all = Said::default();
    for field in body.split(|it| *it == 0) {
        let Some((kind, rest)) = field.split_first() else { continue };
        let rest = String::from_utf8_lossy(rest).into_owned();
        match kind {
            b'C' => all.sqlstate = rest,
            b'M' => all.message = rest,
            b'D' => all.detail = rest,
            _ => {}
        }
    }
    all
}

fn row(body: &[u8]) -> Vec<Option<String>> {
    let mut rest = body.get(2..).unwrap_or_default();
    let mut values = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        // -1 is NULL.
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            values.push(None);
            rest = after;
            continue;
        };
        let (value, after) = after.split_at(length.min(after.len()));
        values.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    values
}

/// SCRAM-SHA-256 without channel binding, the client's side.
#[derive(Default)]
struct Scram {
    nonce: String,
}

impl Scram {
    fn first(&mut self) -> String {
        self.nonce = uuid::Uuid::new_v4().simple().to_string();
        format!("n,,n=,r={}", self.nonce)
    }

    fn last(&self, password: &str, opening: &str) -> io::Result<String> {
        let part = |name: &str| opening.split(',').find_map(|it| it.strip_prefix(name));
        let (nonce, salt, rounds) = (part("r="), part("s="), part("i="));
        let (Some(nonce), Some(salt), Some(rounds)) = (nonce, salt, rounds) else {
            return Err(io::Error::other("the login is not SCRAM"));
        };
        let salt = STANDARD.decode(salt).map_err(io::Error::other)?;
        let rounds: u32 = rounds.parse().map_err(io::Error::other)?;
        let mut block = salt;
        block.extend_from_slice(&[0, 0, 0, 1]);
        let mut salted = keyed(password.as_bytes(), &block);
        let mut last = salted;
        for _ in 1..rounds {
            last = keyed(password.as_bytes(), &last);
            salted.iter_mut().zip(last).for_each(|(sum, it)| *sum ^= it);
        }
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("n=,r={},{opening},{without_proof}", self.nonce);
        let key = keyed(&salted, b"Client Key");
        let signature = keyed(&Sha256::digest(key), message.as_bytes());
        let proof: Vec<u8> = key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }
}

fn keyed(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length of key will do");
    mac.update(message);
    mac.finalize().into_bytes().into()
}
