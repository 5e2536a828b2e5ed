//! Lets the server's own tool speak to a server where the gateway is logged in.

use bytes::BytesMut;
use killick_gate::ports::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::handshake::server::LoggedIn;
use crate::wire::backend;

/// The longest start-up packet, as PostgreSQL has it.
const STARTUP_BYTES_MAX: usize = 10_000;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// Welcomes the tool, and passes bytes on until either side ends.
///
/// What it says of user, database and settings at its start does not count: the gateway is logged in.
pub(super) async fn relay(mut tool: Stream, server: LoggedIn) -> Result<(), String> {
    let gone = |_| "the tool left before it began".to_owned();
    start_up(&mut tool).await?;
    let mut out = BytesMut::new();
    backend::encode_authentication(&mut out, 0, &[]);
    for (name, value) in &server.parameters {
        backend::encode_parameter(&mut out, name, value);
    }
    // A key of nobody's: what the tool does is cancelled by ending its connection.
    backend::encode_key(&mut out, 0, &[0; 4]);
    backend::encode_ready(&mut out, b'I');
    out.extend_from_slice(&server.leftover);
    tool.write_all(&out).await.map_err(gone)?;
    tool.flush().await.map_err(gone)?;
    let mut stream = server.stream;
    // How it ends is what the tool says: a cut is an error of its own there.
    let _ = tokio::io::copy_bidirectional(&mut tool, &mut stream).await;
    Ok(())
}

async fn start_up(tool: &mut Stream) -> Result<(), String> {
    let wrong = || "the tool does not begin as the protocol does".to_owned();
    for _ in 0..3 {
        let len = tool.read_u32().await.map_err(|_| wrong())? as usize;
        if !(8..=STARTUP_BYTES_MAX).contains(&len) {
            return Err(wrong());
        }
        let code = tool.read_u32().await.map_err(|_| wrong())?;
        let mut rest = vec![0; len.saturating_sub(8)];
        tool.read_exact(&mut rest).await.map_err(|_| wrong())?;
        match code {
            SSL_REQUEST | GSS_REQUEST => {
                tool.write_all(b"N").await.map_err(|_| wrong())?;
                tool.flush().await.map_err(|_| wrong())?;
            }
            _ if code >> 16 == 3 => return Ok(()),
            _ => return Err(wrong()),
        }
    }
    Err(wrong())
}
