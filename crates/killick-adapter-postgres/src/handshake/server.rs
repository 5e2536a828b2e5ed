//! Logging in at a server, as the user whose password the vault holds.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use killick_gate::ports::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::wire::scram;
use crate::wire::{backend, frontend};

/// How long a server may take to let the gateway in.
pub const LOGIN_SECONDS_MAX: u64 = 20;
/// The most bytes of a message during the login.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// What a login needs.
pub struct Login<'a> {
    /// The user.
    pub user: &'a str,
    /// The database.
    pub database: &'a str,
    /// The password.
    pub password: &'a Zeroizing<Vec<u8>>,
    /// Whether TLS is on the stream.
    pub tls: bool,
    /// `tls-server-end-point` of the server's certificate.
    pub end_point: Option<&'a [u8]>,
    /// Further start-up parameters.
    pub parameters: &'a [(String, String)],
}

/// A session at a server.
pub struct LoggedIn {
    /// The stream.
    pub stream: Stream,
    /// Bytes that came already.
    pub leftover: BytesMut,
    /// What the server reported of its settings.
    pub parameters: BTreeMap<String, String>,
    /// The server's process.
    pub process: u32,
    /// The key that cancels what it does.
    pub key: Bytes,
}

/// The server did not let the gateway in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// It broke off, or took too long.
    #[error("the server broke the login off")]
    Gone,
    /// It refused.
    #[error("the server refused the login: {message} ({sqlstate})")]
    Refused {
        /// Its code.
        sqlstate: String,
        /// Its words.
        message: String,
    },
    /// It asks for what the gateway does not do.
    #[error("{0}")]
    Unsupported(String),
}

/// Asks a server for TLS; returns whether it is willing.
///
/// # Errors
/// The stream broke, or the server does not speak the protocol.
pub async fn ask_tls(stream: &mut Stream) -> Result<bool, LoginError> {
    stream.write_all(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]).await.map_err(|_| LoginError::Gone)?;
    stream.flush().await.map_err(|_| LoginError::Gone)?;
    match stream.read_u8().await {
        Ok(b'S') => Ok(true),
        Ok(b'N') => Ok(false),
        Ok(_) => {
            Err(LoginError::Unsupported("the server does not speak PostgreSQL's protocol".into()))
        }
        Err(_) => Err(LoginError::Gone),
    }
}

/// Logs in.
///
/// # Errors
/// The server does not let the gateway in.
pub async fn log_in(stream: Stream, login: &Login<'_>) -> Result<LoggedIn, LoginError> {
    let limit = Duration::from_secs(LOGIN_SECONDS_MAX);
    let conversation = Conversation { stream, input: BytesMut::new() };
    timeout(limit, conversation.log_in(login)).await.unwrap_or(Err(LoginError::Gone))
}

struct Conversation {
    stream: Stream,
    input: BytesMut,
}

impl Conversation {
    async fn say(&mut self, bytes: &[u8]) -> Result<(), LoginError> {
        self.stream.write_all(bytes).await.map_err(|_| LoginError::Gone)?;
        self.stream.flush().await.map_err(|_| LoginError::Gone)
    }

    async fn hear(&mut self) -> Result<(u8, Bytes), LoginError> {
        loop {
            if let Some(mut head) = self.input.get(..5) {
                let tag = head.get_u8();
                let length = (head.get_u32() as usize).saturating_add(1);
                if !(5..=MESSAGE_BYTES_MAX).contains(&length) {
                    return Err(LoginError::Unsupported("the server sent nonsense".into()));
                }
                if self.input.len() >= length {
                    return Ok((tag, self.input.split_to(length).freeze()));
                }
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return Err(LoginError::Gone),
                Ok(_) => {}
            }
        }
    }

    async fn log_in(mut self, login: &Login<'_>) -> Result<LoggedIn, LoginError> {
        let mut parameters = vec![
            ("user".to_owned(), login.user.to_owned()),
            ("database".to_owned(), login.database.to_owned()),
        ];
        parameters.extend_from_slice(login.parameters);
        let mut out = BytesMut::new();
        frontend::encode_startup(&mut out, &parameters);
        self.say(&out).await?;
        self.authenticate(login).await?;
        let (mut reported, mut process, mut key) = (BTreeMap::new(), 0, Bytes::new());
        loop {
            let (tag, frame) = self.hear().await?;
            match tag {
                b'S' => {
                    if let Some((name, value)) = backend::parameter(&frame) {
                        reported.insert(name.to_owned(), value.to_owned());
                    }
                }
                b'K' => {
                    let mut body = backend::body(&frame);
                    process = body.try_get_u32().unwrap_or(0);
                    key = body;
                }
                b'E' => return Err(refused(&frame)),
                b'Z' => break,
                _ => {}
            }
        }
        let Self { stream, input } = self;
        Ok(LoggedIn { stream, leftover: input, parameters: reported, process, key })
    }

    async fn authenticate(&mut self, login: &Login<'_>) -> Result<(), LoginError> {
        loop {
            let (tag, frame) = self.hear().await?;
            match tag {
                b'E' => return Err(refused(&frame)),
                b'N' | b'v' => continue,
                b'R' => {}
                _ => return Err(LoginError::Unsupported("the server sent nonsense".into())),
            }
            let mut body = backend::body(&frame);
            match body.try_get_u32().unwrap_or(u32::MAX) {
                0 => return Ok(()),
                3 if login.tls => {
                    let mut password = login.password.clone();
                    password.push(0);
                    let mut out = BytesMut::new();
                    frontend::encode_password(&mut out, &password);
                    self.say(&out).await?;
                }
                3 => {
                    return Err(LoginError::Unsupported(
                        "the server asks for the password in clear, without TLS; it was not sent"
                            .into(),
                    ));
                }
                10 => self.scram(login, &body).await?,
                5 => {
                    return Err(LoginError::Unsupported(
                        "the server asks for MD5, which is broken; set password_encryption = \
                         'scram-sha-256' and the password anew"
                            .into(),
                    ));
                }
                kind => {
                    return Err(LoginError::Unsupported(format!(
                        "the server asks for authentication of kind {kind}, which is not supported"
                    )));
                }
            }
        }
    }

    async fn scram(&mut self, login: &Login<'_>, offered: &Bytes) -> Result<(), LoginError> {
        let offers = |name: &str| offered.split(|b| *b == 0).any(|it| it == name.as_bytes());
        let binding = login.end_point.filter(|_| offers(scram::PLUS)).map(<[u8]>::to_vec);
        if binding.is_none() && !offers(scram::PLAIN) {
            return Err(LoginError::Unsupported("the server offers no login that is known".into()));
        }
        let nonce = super::client::fresh_nonce()
            .map_err(|error| LoginError::Unsupported(error.to_string()))?;
        let can_bind = login.tls && login.end_point.is_some();
        let mut client = scram::Client::new(login.password.clone(), &nonce, binding, can_bind);
        let first = client.first();
        let mut body = client.mechanism().as_bytes().to_vec();
        body.push(0);
        body.extend(u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes());
        body.extend_from_slice(first.as_bytes());
        self.step(&body).await?;
        let wrong = |error: scram::ScramError| LoginError::Unsupported(error.to_string());
        let last = client.last(&self.heard(11).await?).map_err(wrong)?;
        self.step(last.as_bytes()).await?;
        client.check(&self.heard(12).await?).map_err(wrong)
    }

    async fn step(&mut self, body: &[u8]) -> Result<(), LoginError> {
        let mut out = BytesMut::new();
        frontend::encode_password(&mut out, body);
        self.say(&out).await
    }

    async fn heard(&mut self, kind: u32) -> Result<String, LoginError> {
        let (tag, frame) = self.hear().await?;
        let mut body = backend::body(&frame);
        if tag == b'E' {
            return Err(refused(&frame));
        }
        if tag != b'R' || body.try_get_u32().ok() != Some(kind) {
            return Err(LoginError::Unsupported("the server broke the login's order".into()));
        }
        String::from_utf8(body.to_vec())
            .map_err(|_| LoginError::Unsupported("a step of the login is no text".into()))
    }
}

fn refused(frame: &Bytes) -> LoginError {
    let (sqlstate, message) = backend::error_text(frame);
    LoginError::Refused { sqlstate, message }
}
