//! Letting a client in: TLS, start-up packet, SCRAM with the session's token.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use killick_gate::ports::{Stream, Streams};
use killick_model::admin::ScramVerifier;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::wire::backend;
use crate::wire::frame::FrameReader;
use crate::wire::scram;

/// How long a client may take from its first byte to the last of its login.
pub const HANDSHAKE_SECONDS_MAX: u64 = 15;
/// The longest start-up packet, as PostgreSQL has it.
const STARTUP_BYTES_MAX: usize = 10_000;
/// The newest version that is spoken.
const NEWEST: u32 = 0x0003_0002;
/// The longest step of SASL.
const SASL_BYTES_MAX: usize = 4_096;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
const TLS_HANDSHAKE: u8 = 0x16;

/// What came of a connection.
pub enum Arrived<T> {
    /// A client that proved its token.
    Client(Box<Welcome<T>>),
    /// Somebody who wants a statement cancelled.
    Cancel {
        /// The process number that the gateway gave out.
        process: u32,
        /// The key that it gave out.
        key: Bytes,
        /// Closed when the request is done with.
        stream: Stream,
    },
}

/// A client that proved its token. It was told so, and waits for the rest.
pub struct Welcome<T> {
    /// The stream, clear.
    pub stream: Stream,
    /// Whether keys that cancel may be longer than four bytes, as from version 3.2 on.
    pub long_keys: bool,
    /// Bytes that came already.
    pub leftover: BytesMut,
    /// Who it is.
    pub session: T,
    /// The database that it asks for.
    pub database: String,
    /// Its other start-up parameters.
    pub parameters: Vec<(String, String)>,
}

/// A client that is not let in. It was told why, where it could be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WelcomeError {
    /// It left, or took too long.
    #[error("the client left during its login")]
    Left,
    /// It does not speak the protocol.
    #[error("{0}")]
    Nonsense(String),
    /// Its token is not good.
    #[error("the login as `{user}` failed")]
    Login {
        /// The name that it gave.
        user: String,
    },
}

/// Who may come in.
pub trait Door<T>: Send + Sync {
    /// Returns what checks the token of a user, if there is one.
    fn verifier(&self, user: &str) -> Option<ScramVerifier>;
    /// Returns the session of a user whose token was proven.
    fn proven(&self, user: &str) -> Option<T>;
}

/// Lets a client in.
///
/// # Errors
/// It is not let in.
pub async fn welcome<T>(
    stream: Stream,
    streams: &dyn Streams,
    host: &str,
    door: &dyn Door<T>,
) -> Result<Arrived<T>, WelcomeError> {
    let limit = Duration::from_secs(HANDSHAKE_SECONDS_MAX);
    timeout(limit, begin(stream, streams, host, door)).await.unwrap_or(Err(WelcomeError::Left))
}

/// A byte that was looked at goes back in front of the stream.
fn with_front(front: &[u8], stream: Stream) -> Stream {
    let (read, write) = tokio::io::split(stream);
    Box::new(tokio::io::join(
        tokio::io::AsyncReadExt::chain(std::io::Cursor::new(front.to_vec()), read),
        write,
    ))
}

async fn begin<T>(
    mut stream: Stream,
    streams: &dyn Streams,
    host: &str,
    door: &dyn Door<T>,
) -> Result<Arrived<T>, WelcomeError> {
    let mut secured = false;
    let mut asked = 0_u8;
    let first = stream.read_u8().await.map_err(|_| WelcomeError::Left)?;
    stream = with_front(&[first], stream);
    if first == TLS_HANDSHAKE {
        stream = secure(stream, streams, host).await?;
        secured = true;
    }
    loop {
        let packet = packet(&mut stream).await?;
        let mut rest = packet.clone();
        let code =
            rest.try_get_u32().map_err(|_| nonsense("a start-up packet without a version"))?;
        match code {
            SSL_REQUEST if !secured && asked & 1 == 0 => {
                asked |= 1;
                write(&mut stream, b"S").await?;
                stream = secure(stream, streams, host).await?;
                secured = true;
            }
            GSS_REQUEST if !secured && asked & 2 == 0 => {
                asked |= 2;
                write(&mut stream, b"N").await?;
            }
            CANCEL_REQUEST => {
                let process =
                    rest.try_get_u32().map_err(|_| nonsense("a cancel request cut short"))?;
                return Ok(Arrived::Cancel { process, key: rest, stream });
            }
            _ if code >> 16 == 3 => return start(stream, code, &rest, door).await,
            _ => {
                let why = format!("unsupported frontend protocol {}.{}", code >> 16, code & 0xffff);
                return Err(tell(&mut stream, "0A000", &why).await);
            }
        }
    }
}

/// Puts TLS on; whatever the client sent in clear behind its request is taken for part of the handshake, and
/// fails there (CVE-2021-23214).
async fn secure(stream: Stream, streams: &dyn Streams, host: &str) -> Result<Stream, WelcomeError> {
    let accepted = streams
        .accept_tls_as(stream, host, "postgresql")
        .await
        .map_err(|error| nonsense(&error.to_string()))?;
    Ok(accepted.stream)
}

async fn packet(stream: &mut Stream) -> Result<Bytes, WelcomeError> {
    let length = stream.read_u32().await.map_err(|_| WelcomeError::Left)? as usize;
    if !(8..=STARTUP_BYTES_MAX).contains(&length) {
        return Err(nonsense("a start-up packet of an impossible length"));
    }
    let mut bytes = vec![0; length.saturating_sub(4)];
    stream.read_exact(&mut bytes).await.map_err(|_| WelcomeError::Left)?;
    Ok(bytes.into())
}

async fn start<T>(
    mut stream: Stream,
    version: u32,
    rest: &Bytes,
    door: &dyn Door<T>,
) -> Result<Arrived<T>, WelcomeError> {
    let parameters = match parameters(rest) {
        Ok(parameters) => parameters,
        Err(why) => return Err(tell(&mut stream, "08P01", why).await),
    };
    let value =
        |name: &str| parameters.iter().find(|(it, _)| it == name).map(|(_, value)| value.clone());
    let Some(user) = value("user").filter(|it| !it.is_empty()) else {
        return Err(tell(&mut stream, "28000", "no user name was given").await);
    };
    if value("replication").is_some_and(|it| !matches!(it.as_str(), "false" | "off" | "no" | "0")) {
        let why = "a replication connection would carry everything past the gateway; it is refused";
        return Err(tell(&mut stream, "42501", why).await);
    }
    let options: Vec<&str> = parameters
        .iter()
        .filter(|(name, _)| name.starts_with("_pq_."))
        .map(|(name, _)| name.as_str())
        .collect();
    let spoken = version.min(NEWEST);
    if version > NEWEST || !options.is_empty() {
        let mut out = BytesMut::new();
        backend::encode_negotiate(&mut out, spoken, &options);
        write(&mut stream, &out).await?;
    }
    let mut input = FrameReader::new();
    let Some(session) = prove(&mut stream, &mut input, &user, door).await? else {
        let why = format!(
            "the login as \"{user}\" failed: user and password are a session's id and token"
        );
        tell(&mut stream, "28P01", &why).await;
        return Err(WelcomeError::Login { user });
    };
    let database = value("database").unwrap_or_else(|| user.clone());
    let parameters = parameters
        .into_iter()
        .filter(|(name, _)| {
            !matches!(name.as_str(), "user" | "database" | "replication")
                && !name.starts_with("_pq_.")
        })
        .collect();
    let leftover = input.buffer().split();
    let long_keys = spoken == NEWEST;
    let welcome = Welcome { stream, long_keys, leftover, session, database, parameters };
    Ok(Arrived::Client(Box::new(welcome)))
}

fn parameters(rest: &Bytes) -> Result<Vec<(String, String)>, &'static str> {
    let mut texts = Vec::new();
    let mut left = rest.as_ref();
    while let Some(end) = left.iter().position(|byte| *byte == 0) {
        let text = left.get(..end).unwrap_or_default();
        left = left.get(end.saturating_add(1)..).unwrap_or_default();
        if text.is_empty() && texts.len() % 2 == 0 {
            break;
        }
        texts.push(
            String::from_utf8(text.to_vec()).map_err(|_| "a start-up parameter is not UTF-8")?,
        );
    }
    if !left.is_empty() || texts.len() % 2 != 0 {
        return Err("the start-up packet cannot be read");
    }
    let mut all: Vec<(String, String)> = Vec::new();
    let mut pairs = texts.into_iter();
    while let (Some(name), Some(value)) = (pairs.next(), pairs.next()) {
        // A server takes the last one; who reads the first would be told something else.
        if all.iter().any(|(it, _)| *it == name) {
            return Err("a start-up parameter is given twice");
        }
        all.push((name, value));
    }
    Ok(all)
}

async fn prove<T>(
    stream: &mut Stream,
    input: &mut FrameReader,
    user: &str,
    door: &dyn Door<T>,
) -> Result<Option<T>, WelcomeError> {
    let mut out = BytesMut::new();
    backend::encode_authentication(&mut out, 10, &[scram::PLAIN.as_bytes(), b"\0\0"].concat());
    write(stream, &out).await?;
    let initial = sasl(stream, input).await?;
    let name_end =
        initial.iter().position(|b| *b == 0).ok_or_else(|| nonsense("SASL without a name"))?;
    if initial.get(..name_end) != Some(scram::PLAIN.as_bytes()) {
        return Ok(None);
    }
    let first = initial.get(name_end.saturating_add(5)..).unwrap_or_default();
    let (nonce, mock_salt) = (fresh_nonce()?, mock_salt(user));
    let first = String::from_utf8(first.to_vec()).map_err(|_| nonsense("SASL that is no text"))?;
    let Ok(server) = scram::Server::new(door.verifier(user), &mock_salt, &first, &nonce) else {
        return Ok(None);
    };
    let mut out = BytesMut::new();
    backend::encode_authentication(&mut out, 11, server.first().as_bytes());
    write(stream, &out).await?;
    let last = sasl(stream, input).await?;
    let last = String::from_utf8(last.to_vec()).map_err(|_| nonsense("SASL that is no text"))?;
    let Ok(proof) = server.last(&last) else { return Ok(None) };
    let Some(session) = door.proven(user) else { return Ok(None) };
    let mut out = BytesMut::new();
    backend::encode_authentication(&mut out, 12, proof.as_bytes());
    backend::encode_authentication(&mut out, 0, &[]);
    write(stream, &out).await?;
    Ok(Some(session))
}

/// A salt that stays the same for a name that nobody has, so that asking twice tells nothing.
fn mock_salt(user: &str) -> [u8; 16] {
    static KEY: std::sync::OnceLock<[u8; 32]> = std::sync::OnceLock::new();
    let key = KEY.get_or_init(|| {
        let mut key = [0; 32];
        // Without randomness the nonce fails as well, and nobody is let in.
        let _ = getrandom::fill(&mut key);
        key
    });
    let mut salt = [0; 16];
    let hash = ScramVerifier::keyed(key, user.as_bytes());
    salt.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    salt
}

/// Returns a fresh nonce.
///
/// # Errors
/// The system gives no randomness.
pub fn fresh_nonce() -> Result<String, WelcomeError> {
    use base64::Engine as _;
    let mut bytes = [0_u8; 18];
    getrandom::fill(&mut bytes).map_err(|_| nonsense("the system gives no randomness"))?;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}

async fn sasl(stream: &mut Stream, input: &mut FrameReader) -> Result<Bytes, WelcomeError> {
    loop {
        match input.pull() {
            Ok(Some(frame)) if frame.tag == b'p' => return Ok(frame.body()),
            Ok(Some(_)) => return Err(nonsense("another message inside of the login")),
            Ok(None) if input.pending_bytes() > SASL_BYTES_MAX => {
                return Err(nonsense("a step of the login that is too long"));
            }
            Ok(None) => {}
            Err(error) => return Err(nonsense(&error.to_string())),
        }
        match stream.read_buf(input.buffer()).await {
            Ok(0) | Err(_) => return Err(WelcomeError::Left),
            Ok(_) => {}
        }
    }
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> Result<(), WelcomeError> {
    stream.write_all(bytes).await.map_err(|_| WelcomeError::Left)?;
    stream.flush().await.map_err(|_| WelcomeError::Left)
}

async fn tell(stream: &mut Stream, sqlstate: &str, why: &str) -> WelcomeError {
    let mut out = BytesMut::new();
    backend::encode_error(&mut out, "FATAL", sqlstate, why, None, None);
    // Whether it listens does not matter.
    let _ = write(stream, &out).await;
    nonsense(why)
}

fn nonsense(why: &str) -> WelcomeError {
    WelcomeError::Nonsense(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_given_twice_is_refused_and_so_is_a_packet_cut_short() {
        let good = Bytes::from_static(b"user\0a\0database\0b\0\0");
        assert_eq!(parameters(&good).unwrap().len(), 2);
        assert!(parameters(&Bytes::from_static(b"user\0a\0user\0b\0\0")).is_err());
        assert!(parameters(&Bytes::from_static(b"user\0a\0\0x\0")).is_err());
        assert!(parameters(&Bytes::from_static(b"user\0\xff\0\0")).is_err());
        assert!(parameters(&Bytes::from_static(b"options\0\0\0")).is_ok());
    }
}
