//! What stands between `psql` and the server: every text is judged before it is sent, and the server's own books
//! say afterwards whether it wrote.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

pub mod oracle;
pub mod tally;

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use killick_model::{Effect, EffectWord};
use killick_sql::catalogue::{Catalogue, read};
use killick_sql::judge::{SessionState, judge_all};
use killick_sql::judged::{Group, Judged, Kind};
use killick_sql::script;
use killick_testkit::postgres::{Frame, Server};
use parking_lot::Mutex;

use oracle::Oracle;
use tally::{Seen, Tally};

/// Stands before a server and watches.
pub struct Watcher {
    pub port: u16,
    pub tally: Arc<Mutex<Tally>>,
}

type Kept = Arc<Mutex<HashMap<String, Arc<Catalogue>>>>;

impl Watcher {
    pub fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tally = Arc::new(Mutex::new(Tally::default()));
        let kept = Kept::default();
        let (to, monitor) = (server.port(), server.url("postgres"));
        let shared = Arc::clone(&tally);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let (tally, kept) = (Arc::clone(&shared), Arc::clone(&kept));
                let monitor = monitor.clone();
                thread::spawn(move || {
                    let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
                    let mut broken = Broken(Some(Arc::clone(&tally)));
                    let mut watch = Watch::new(client, server, tally, kept, Oracle::new(&monitor));
                    // A connection ends when one side is gone; what was seen until then counts.
                    let _ended = watch.run();
                    broken.0 = None;
                });
            }
        });
        Self { port, tally }
    }
}

/// Says that a watcher died, so that what it did not see is not taken for harmless.
struct Broken(Option<Arc<Mutex<Tally>>>);

impl Drop for Broken {
    fn drop(&mut self) {
        if let Some(tally) = &self.0 {
            tally.lock().unread.push("a watcher died".into());
        }
    }
}

/// One connection.
struct Watch {
    client: TcpStream,
    from_client: io::BufReader<TcpStream>,
    server: TcpStream,
    from_server: io::BufReader<TcpStream>,
    tally: Arc<Mutex<Tally>>,
    kept: Kept,
    oracle: Oracle,
    process: u32,
    status: u8,
    catalogue: Arc<Catalogue>,
    fingerprint: String,
    stale: bool,
    state: SessionState,
}

impl Watch {
    fn new(
        client: TcpStream,
        server: TcpStream,
        tally: Arc<Mutex<Tally>>,
        kept: Kept,
        oracle: Oracle,
    ) -> Self {
        for end in [&client, &server] {
            end.set_nodelay(true).unwrap();
        }
        Self {
            from_client: io::BufReader::new(client.try_clone().unwrap()),
            from_server: io::BufReader::new(server.try_clone().unwrap()),
            client,
            server,
            tally,
            kept,
            oracle,
            process: 0,
            status: b'I',
            catalogue: Arc::new(Catalogue::default()),
            fingerprint: String::new(),
            stale: true,
            state: SessionState::default(),
        }
    }

    fn run(&mut self) -> io::Result<()> {
        let first = Frame::read(&mut self.from_client, false)?;
        self.server.write_all(&first.bytes())?;
        self.relay()?;
        loop {
            let frame = Frame::read(&mut self.from_client, true)?;
            match frame.tag {
                b'Q' => {
                    let text = String::from_utf8_lossy(&frame.body[..frame.body.len() - 1]);
                    let text = text.into_owned();
                    self.statement(&text, &frame)?;
                }
                b'S' | b'F' => {
                    self.server.write_all(&frame.bytes())?;
                    self.relay()?;
                }
                _ => self.server.write_all(&frame.bytes())?,
            }
        }
    }

    /// Passes the server's answer on until it is ready again; returns whether something failed.
    fn relay(&mut self) -> io::Result<bool> {
        let mut failed = false;
        loop {
            let frame = Frame::read(&mut self.from_server, true)?;
            self.client.write_all(&frame.bytes())?;
            match frame.tag {
                b'E' => failed = true,
                b'K' => self.process = u32::from_be_bytes(frame.body[..4].try_into().unwrap()),
                // SCRAM: each of these is answered.
                b'R' if matches!(frame.body[3], 10 | 11) => {
                    let answer = Frame::read(&mut self.from_client, true)?;
                    self.server.write_all(&answer.bytes())?;
                }
                b'G' => loop {
                    let data = Frame::read(&mut self.from_client, true)?;
                    self.server.write_all(&data.bytes())?;
                    if matches!(data.tag, b'c' | b'f') {
                        break;
                    }
                },
                b'Z' => {
                    self.status = frame.body[0];
                    return Ok(failed);
                }
                _ => {}
            }
        }
    }

    fn statement(&mut self, text: &str, frame: &Frame) -> io::Result<()> {
        let parsed = script::parse(text);
        let mut judged = Vec::new();
        if let Ok(script) = &parsed
            && !script.is_empty()
        {
            judged = judge_all(script, &self.catalogue, &self.state);
            if self.stale && self.status != b'E' && needs_to_know(&judged) {
                self.look_again()?;
                judged = judge_all(script, &self.catalogue, &self.state);
            }
        }
        let empty = parsed.as_ref().is_ok_and(script::Script::is_empty);
        let controls = judged.iter().any(|it| is_control(&it.kind));
        let word = word(&judged);
        let watched = !controls
            && self.status != b'E'
            && matches!(word, EffectWord::Read | EffectWord::Unrecognized);
        let before = if watched { Some(self.oracle.look(self.process)) } else { None };
        self.server.write_all(&frame.bytes())?;
        let failed = self.relay()?;
        let wrote = before.and_then(|before| self.oracle.wrote(self.process, &before));
        if !failed {
            for one in &judged {
                self.state.apply(one);
            }
        }
        self.stale |=
            judged.iter().any(|it| changes_definitions(it)) || controls || parsed.is_err();
        if !empty {
            self.tally.lock().add(&Seen {
                text,
                accepted: !failed,
                error: parsed.as_ref().err().map(ToString::to_string),
                word: if parsed.is_err() { EffectWord::Unrecognized } else { word },
                judged: &judged,
                wrote,
            });
        }
        Ok(())
    }

    /// Runs a query of our own in the session, between two of its statements.
    fn own(&mut self, sql: &str) -> io::Result<Result<String, String>> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.server.write_all(&Frame { tag: b'Q', body }.bytes())?;
        let mut value = Err("no row".to_owned());
        loop {
            let frame = Frame::read(&mut self.from_server, true)?;
            match frame.tag {
                b'D' => value = Ok(String::from_utf8_lossy(&frame.body[6..]).into_owned()),
                b'E' => value = Err(String::from_utf8_lossy(&frame.body).replace('\0', " ")),
                b'A' | b'N' | b'S' => self.client.write_all(&frame.bytes())?,
                b'Z' => {
                    self.status = frame.body[0];
                    return Ok(value);
                }
                _ => {}
            }
        }
    }

    fn look_again(&mut self) -> io::Result<()> {
        let sql = format!(
            "SELECT concat_ws('|', ({}), current_database()::text, current_schemas(true)::text, current_user::text)",
            read::FINGERPRINT
        );
        let Ok(found) = self.own(&sql)? else { return Ok(()) };
        self.stale = false;
        self.state.uncertain = false;
        if found == self.fingerprint {
            return Ok(());
        }
        let kept = self.kept.lock().get(&found).cloned();
        let catalogue = if let Some(kept) = kept {
            kept
        } else {
            let mut answers = Vec::new();
            for query in read::QUERIES {
                match self.own(query.sql)? {
                    Ok(answer) => answers.push(answer),
                    Err(why) => {
                        let mut tally = self.tally.lock();
                        let line = format!("{}: {}: {why}", tally.file, query.name);
                        tally.blind.push(line);
                        return Ok(());
                    }
                }
            }
            self.tally.lock().catalogues += 1;
            match read::build(&answers) {
                Ok(built) => Arc::new(built),
                Err(error) => {
                    self.tally.lock().unread.push(error.to_string());
                    return Ok(());
                }
            }
        };
        let mut all = self.kept.lock();
        if all.len() > 8 {
            all.clear();
        }
        all.insert(found.clone(), Arc::clone(&catalogue));
        self.fingerprint = found;
        self.catalogue = catalogue;
        self.state.made.clear();
        Ok(())
    }
}

/// Returns whether a judgement may be another one when the catalogue is up to date.
fn needs_to_know(judged: &[Arc<Judged>]) -> bool {
    let settled =
        judged.iter().any(|it| is_control(&it.kind) || matches!(it.kind, Kind::Session { .. }));
    !settled && matches!(word(judged), EffectWord::Read | EffectWord::Unrecognized)
}

fn changes_definitions(judged: &Judged) -> bool {
    matches!(judged.kind, Kind::Session { .. })
        || judged.touches.iter().any(|touch| {
            !matches!(
                touch.group,
                Group::Select
                    | Group::Insert
                    | Group::Update
                    | Group::Delete
                    | Group::CopyIn
                    | Group::CopyOut
            )
        })
}

fn is_control(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Begin { .. }
            | Kind::Commit { .. }
            | Kind::Rollback { .. }
            | Kind::Savepoint { .. }
            | Kind::RollbackTo { .. }
            | Kind::Release { .. }
    )
}

fn word(judged: &[Arc<Judged>]) -> EffectWord {
    judged
        .iter()
        .flat_map(|it| &it.touches)
        .map(|touch| touch.effect)
        .reduce(Effect::join)
        .map_or(EffectWord::Read, Effect::word)
}
