//! The server's end: what it sends, cut into messages and runs of rows; what is sent to it.

use std::collections::BTreeMap;

use bytes::{Buf as _, Bytes, BytesMut};
use killick_gate::Departure;
use killick_gate::points::{PointError, PointReader, PointWriter};
use killick_gate::ports::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use crate::wire::{backend, frontend};

/// Bytes read at a time.
const READ_BYTES: usize = 64 << 10;
/// The least room that is read into.
const READ_BYTES_MIN: usize = 16 << 10;
/// Bytes of answers that are read while data is written.
const AHEAD_BYTES_MAX: usize = 16 << 20;
/// The most bytes of a message that is looked at whole.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Rows that the gateway's own statements may return.
const OWN_ROWS_MAX: usize = 2_100_000;
/// Bytes of rows that are handed to a recovery point at a time.
const COPY_BLOCK_BYTES: usize = 128 << 10;
/// The name of the gateway's own prepared statement and portal; the agent's may not begin so.
pub(crate) const OWN_NAME: &str = "_killick";

/// What came from the server.
pub(crate) enum Piece {
    /// Rows or COPY data, whole frames or parts of a large one: passed on as they are.
    Rows(Bytes),
    /// A message, whole, with its head.
    Message(u8, Bytes),
}

/// The connection to the server broke or it spoke nonsense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The stream failed or ended.
    #[error("the server's connection ended")]
    Gone,
    /// A message that cannot be.
    #[error("the server sent what is not PostgreSQL's protocol: {0}")]
    Nonsense(String),
    /// The server refused one of the gateway's own statements.
    #[error("{message} ({sqlstate})")]
    Refused {
        /// Its code.
        sqlstate: String,
        /// Its words.
        message: String,
        /// The message as it came, to be passed on where the agent's own statement is at fault.
        frame: Bytes,
    },
}

impl ServerError {
    /// Returns whether the server only said no, and the connection goes on.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// Rows could not be carried between a server and a recovery point.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// The server's side.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The point's side.
    #[error(transparent)]
    Point(#[from] PointError),
}

/// The server's end of a session.
pub(crate) struct Server {
    read: ReadHalf<Stream>,
    write: WriteHalf<Stream>,
    input: BytesMut,
    /// Bytes of a large row still to be passed on.
    row_left: usize,
    output: BytesMut,
    /// What the server reported of its settings.
    pub(crate) parameters: BTreeMap<String, String>,
    /// Messages for the agent that came between (notices, notifications, changed settings).
    pub(crate) asides: Vec<Bytes>,
}

impl Server {
    /// Takes a logged-in stream.
    pub(crate) fn new(
        stream: Stream,
        leftover: BytesMut,
        parameters: BTreeMap<String, String>,
    ) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self {
            read,
            write,
            input: leftover,
            row_left: 0,
            output: BytesMut::with_capacity(4 << 10),
            parameters,
            asides: Vec::new(),
        }
    }

    /// Returns the bytes that wait to be sent.
    pub(crate) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Sends what waits, for a recorded call.
    pub(crate) async fn send(&mut self, _for: &Departure) -> Result<(), ServerError> {
        if !self.output.is_empty() {
            self.write.write_all(&self.output).await.map_err(|_| ServerError::Gone)?;
            self.write.flush().await.map_err(|_| ServerError::Gone)?;
            self.output.clear();
        }
        Ok(())
    }

    /// Sends bytes of the agent's (COPY data) for a recorded call.
    pub(crate) async fn pass(&mut self, on: &Departure, bytes: &[u8]) -> Result<(), ServerError> {
        self.send(on).await?;
        let mut left = bytes;
        while !left.is_empty() {
            let ahead = self.input.len() < AHEAD_BYTES_MAX;
            let Self { read, write, input, .. } = self;
            tokio::select! {
                written = write.write(left) => {
                    let written @ 1.. = written.map_err(|_| ServerError::Gone)? else {
                        return Err(ServerError::Gone);
                    };
                    left = left.get(written..).unwrap_or_default();
                }
                // A server that waits until its notices are read takes no more data.
                filled = fill(read, input), if ahead => filled?,
            }
        }
        Ok(())
    }

    /// Returns the next piece, if it is there without waiting.
    pub(crate) fn ready(&mut self) -> Result<Option<Piece>, ServerError> {
        if self.row_left > 0 {
            if self.input.is_empty() {
                return Ok(None);
            }
            let take = self.row_left.min(self.input.len());
            self.row_left = self.row_left.saturating_sub(take);
            return Ok(Some(Piece::Rows(self.input.split_to(take).freeze())));
        }
        let run = self.whole_rows()?;
        if run > 0 {
            return Ok(Some(Piece::Rows(self.input.split_to(run).freeze())));
        }
        let Some((tag, length)) = head(&self.input, 0)? else { return Ok(None) };
        if is_row(tag) {
            // A row that is not here in whole: what there is of it goes on, the rest as it comes.
            if length <= READ_BYTES {
                return Ok(None);
            }
            let take = self.input.len().min(length);
            self.row_left = length.saturating_sub(take);
            return Ok(Some(Piece::Rows(self.input.split_to(take).freeze())));
        }
        if length > MESSAGE_BYTES_MAX {
            return Err(ServerError::Nonsense(format!("a message of {length} bytes")));
        }
        if self.input.len() < length {
            return Ok(None);
        }
        let frame = self.input.split_to(length).freeze();
        if tag == b'S' {
            self.note_parameter(&frame);
        }
        Ok(Some(Piece::Message(tag, frame)))
    }

    /// Returns the next piece. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Piece, ServerError> {
        loop {
            if let Some(piece) = self.ready()? {
                return Ok(piece);
            }
            fill(&mut self.read, &mut self.input).await?;
        }
    }

    /// Returns the next whole frame, rows included: for answers that the gateway looks into. Cancel-safe.
    pub(crate) async fn frame(&mut self) -> Result<(u8, Bytes), ServerError> {
        loop {
            if let Some((tag, length)) = head(&self.input, 0)? {
                if length > MESSAGE_BYTES_MAX.saturating_mul(64) {
                    return Err(ServerError::Nonsense(format!("a row of {length} bytes")));
                }
                if self.input.len() >= length {
                    let frame = self.input.split_to(length).freeze();
                    if tag == b'S' {
                        self.note_parameter(&frame);
                    }
                    return Ok((tag, frame));
                }
            }
            fill(&mut self.read, &mut self.input).await?;
        }
    }

    /// Returns how many bytes of whole rows stand at the front.
    fn whole_rows(&self) -> Result<usize, ServerError> {
        let mut run = 0;
        while let Some((tag, length)) = head(&self.input, run)? {
            let end = run.saturating_add(length);
            if !is_row(tag) || end > self.input.len() {
                break;
            }
            run = end;
        }
        Ok(run)
    }

    fn note_parameter(&mut self, frame: &Bytes) {
        if let Some((name, value)) = backend::parameter(frame) {
            self.parameters.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Runs one statement of the gateway's own beside what the agent has prepared, and returns its rows.
    /// The agent's unnamed statement and portal stay as they are.
    pub(crate) async fn own(
        &mut self,
        on: &Departure,
        sql: &str,
    ) -> Result<Vec<Vec<Option<String>>>, ServerError> {
        self.ask_own(sql);
        self.send(on).await?;
        self.own_answer().await
    }

    /// Runs statements of the gateway's own, one after the other, with one wait for all of them. After one that the
    /// server refuses the rest is run all the same; the first refusal is what is returned.
    pub(crate) async fn own_all(
        &mut self,
        on: &Departure,
        statements: &[&str],
    ) -> Result<Vec<Vec<Vec<Option<String>>>>, ServerError> {
        for sql in statements {
            self.ask_own(sql);
        }
        self.send(on).await?;
        let (mut answers, mut refused) = (Vec::with_capacity(statements.len()), None);
        for _ in statements {
            match self.own_answer().await {
                Ok(rows) => answers.push(rows),
                Err(error) if error.is_refusal() => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        refused.map_or(Ok(answers), Err)
    }

    /// Has the server read a text without running it, and returns what it finds wrong. A transaction that is open
    /// fails with it.
    pub(crate) async fn mistake_in(
        &mut self,
        on: &Departure,
        text: &str,
    ) -> Result<Option<Bytes>, ServerError> {
        let out = &mut self.output;
        frontend::encode_close(out, b'S', OWN_NAME);
        frontend::encode_parse(out, OWN_NAME, text, &[]);
        frontend::encode_close(out, b'S', OWN_NAME);
        frontend::encode_sync(out);
        self.send(on).await?;
        Ok(match self.until_ready().await? {
            Some(ServerError::Refused { frame, .. }) => Some(frame),
            Some(other) => return Err(other),
            None => None,
        })
    }

    /// Writes one statement of the gateway's own for sending.
    pub(crate) fn ask_own(&mut self, sql: &str) {
        let out = &mut self.output;
        // One that failed left its portal behind, in a transaction that is only to be rolled back.
        frontend::encode_close(out, b'P', OWN_NAME);
        frontend::encode_close(out, b'S', OWN_NAME);
        frontend::encode_parse(out, OWN_NAME, sql, &[]);
        frontend::encode_bind(out, OWN_NAME, OWN_NAME, &[], &[], &[]);
        frontend::encode_execute(out, OWN_NAME, 0);
        frontend::encode_close(out, b'P', OWN_NAME);
        // The agent sees what is prepared in its session.
        frontend::encode_close(out, b'S', OWN_NAME);
        frontend::encode_sync(out);
    }

    /// Runs one `COPY … TO STDOUT` of the gateway's own into the stream of a recovery point; returns the rows.
    /// Where the point cannot take them, the rest is read and dropped, so that the connection stays usable.
    pub(crate) async fn own_copy_out(
        &mut self,
        on: &Departure,
        sql: &str,
        into: &mut dyn PointWriter,
    ) -> Result<u64, CopyError> {
        self.ask_own(sql);
        self.send(on).await?;
        let (mut rows, mut refused, mut full) = (0_u64, None, None);
        let mut block = Vec::with_capacity(COPY_BLOCK_BYTES.saturating_mul(2));
        loop {
            let (tag, frame) = self.frame().await?;
            match tag {
                b'd' => {
                    rows = rows.saturating_add(1);
                    block.extend_from_slice(frame.get(5..).unwrap_or_default());
                    if block.len() >= COPY_BLOCK_BYTES && full.is_none() {
                        full = into.write(&block).await.err();
                        block.clear();
                    } else if full.is_some() {
                        block.clear();
                    }
                }
                b'E' => refused = Some(frame),
                b'N' | b'A' | b'S' => self.asides.push(frame),
                b'Z' => break,
                _ => {}
            }
        }
        if let Some(frame) = refused {
            let (sqlstate, message) = backend::error_text(&frame);
            return Err(ServerError::Refused { sqlstate, message, frame }.into());
        }
        if full.is_none() && !block.is_empty() {
            full = into.write(&block).await.err();
        }
        full.map_or(Ok(rows), |error| Err(CopyError::Point(error)))
    }

    /// Runs one `COPY … FROM STDIN` of the gateway's own from the stream of a recovery point. Only on a connection
    /// of the gateway's own: it ends what an agent has prepared without a name.
    pub(crate) async fn own_copy_in(
        &mut self,
        on: &Departure,
        sql: &str,
        from: &mut dyn PointReader,
    ) -> Result<(), CopyError> {
        frontend::encode_query(&mut self.output, sql);
        self.send(on).await?;
        loop {
            let (tag, frame) = self.frame().await?;
            match tag {
                b'G' => break,
                b'E' => {
                    self.until_ready().await?;
                    let (sqlstate, message) = backend::error_text(&frame);
                    return Err(ServerError::Refused { sqlstate, message, frame }.into());
                }
                b'N' | b'A' | b'S' => self.asides.push(frame),
                _ => {}
            }
        }
        let shut = loop {
            match from.next().await {
                Ok(Some(bytes)) => {
                    frontend::encode_copy_data(&mut self.output, &bytes);
                    self.send(on).await?;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        match &shut {
            None => frontend::encode_copy_done(&mut self.output),
            Some(_) => frontend::encode_copy_fail(&mut self.output, "what was kept does not open"),
        }
        self.send(on).await?;
        let refused = self.until_ready().await?;
        match (shut, refused) {
            (Some(error), _) => Err(CopyError::Point(error)),
            (None, Some(error)) => Err(error.into()),
            (None, None) => Ok(()),
        }
    }

    /// Runs a text of statements of the gateway's own. Only on a connection of the gateway's own.
    pub(crate) async fn own_text(&mut self, on: &Departure, text: &str) -> Result<(), ServerError> {
        frontend::encode_query(&mut self.output, text);
        self.send(on).await?;
        self.until_ready().await?.map_or(Ok(()), Err)
    }

    /// Reads up to `ReadyForQuery`; returns the error on the way, if there was one.
    async fn until_ready(&mut self) -> Result<Option<ServerError>, ServerError> {
        let mut refused = None;
        loop {
            let (tag, frame) = self.frame().await?;
            match tag {
                b'E' => {
                    let (sqlstate, message) = backend::error_text(&frame);
                    refused = Some(ServerError::Refused { sqlstate, message, frame });
                }
                b'N' | b'A' | b'S' => self.asides.push(frame),
                b'Z' => return Ok(refused),
                _ => {}
            }
        }
    }

    /// Writes BEGIN for what follows in the same write. No Sync stands behind it: where it fails the server skips
    /// all that follows, so that nothing runs outside of the transaction that it was judged in.
    pub(crate) fn ask_begin(&mut self, begin: &str) {
        let out = &mut self.output;
        frontend::encode_close(out, b'S', OWN_NAME);
        frontend::encode_parse(out, OWN_NAME, begin, &[]);
        frontend::encode_bind(out, OWN_NAME, OWN_NAME, &[], &[], &[]);
        frontend::encode_execute(out, OWN_NAME, 0);
        frontend::encode_close(out, b'P', OWN_NAME);
        // The agent sees what is prepared in its session.
        frontend::encode_close(out, b'S', OWN_NAME);
    }

    /// Reads the answer to [`Self::ask_begin`].
    pub(crate) async fn begun(&mut self) -> Result<(), ServerError> {
        // Answers that are due once BEGIN has run: portal and statement are closed.
        let mut due: Option<u8> = None;
        loop {
            let (tag, frame) = self.frame().await?;
            match (tag, due) {
                (b'C', _) => due = Some(2),
                (b'3', Some(1)) => return Ok(()),
                (b'3', Some(left)) => due = Some(left.saturating_sub(1)),
                (b'E', _) => {
                    let (sqlstate, message) = backend::error_text(&frame);
                    return Err(ServerError::Refused { sqlstate, message, frame });
                }
                (b'N' | b'A' | b'S', _) => self.asides.push(frame),
                _ => {}
            }
        }
    }

    /// Reads the answer to one statement of the gateway's own.
    pub(crate) async fn own_answer(&mut self) -> Result<Vec<Vec<Option<String>>>, ServerError> {
        let mut rows = Vec::new();
        let mut refused = None;
        loop {
            let (tag, frame) = self.frame().await?;
            match tag {
                b'D' => {
                    if rows.len() >= OWN_ROWS_MAX {
                        return Err(ServerError::Nonsense("too many rows".into()));
                    }
                    rows.push(text_row(&frame)?);
                }
                b'E' => refused = Some(frame),
                b'N' | b'A' | b'S' => self.asides.push(frame),
                b'Z' => break,
                _ => {}
            }
        }
        match refused {
            None => Ok(rows),
            Some(frame) => {
                let (sqlstate, message) = backend::error_text(&frame);
                Err(ServerError::Refused { sqlstate, message, frame })
            }
        }
    }
}

/// Reads more bytes. Cancel-safe.
async fn fill(read: &mut ReadHalf<Stream>, input: &mut BytesMut) -> Result<(), ServerError> {
    // Most answers are small: the room is used up before other is made.
    if input.capacity().saturating_sub(input.len()) < READ_BYTES_MIN {
        input.reserve(READ_BYTES);
    }
    match read.read_buf(input).await {
        Ok(0) | Err(_) => Err(ServerError::Gone),
        Ok(_) => Ok(()),
    }
}

fn is_row(tag: u8) -> bool {
    matches!(tag, b'D' | b'd')
}

/// Returns the tag and the whole length of the frame that begins at an offset.
fn head(input: &BytesMut, at: usize) -> Result<Option<(u8, usize)>, ServerError> {
    let Some(mut rest) = input.get(at..) else { return Ok(None) };
    if rest.len() < 5 {
        return Ok(None);
    }
    let tag = rest.get_u8();
    let length = rest.get_u32() as usize;
    if length < 4 {
        return Err(ServerError::Nonsense(format!("a length of {length}")));
    }
    Ok(Some((tag, length.saturating_add(1))))
}

fn text_row(frame: &Bytes) -> Result<Vec<Option<String>>, ServerError> {
    let values = backend::row_values(frame)
        .ok_or_else(|| ServerError::Nonsense("a row that cannot be read".into()))?;
    Ok(values
        .into_iter()
        .map(|value| value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        .collect())
}
