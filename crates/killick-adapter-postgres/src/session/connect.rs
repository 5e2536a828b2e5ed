//! Bringing both sides together: who comes, to which database, as which role.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use killick_gate::ports::{Stream, Target};
use killick_gate::{Departure, ErrandKind, InFlight, LiveSession};
use killick_model::admin::ScramVerifier;
use killick_model::database::{Database, DatabaseTls};
use killick_model::{Code, Refusal, SessionId};
use killick_sql::judge::{SessionState, SettingLimits};

use super::adapter::PostgresAdapter;
use super::call::{SqlCall, login_part};
use super::cancel::{Cancel, Turn, cancel, fresh_key};
use super::client::Client;
use super::engine::{End, Session};
use super::refusal;
use super::server::Server;
use super::transaction::{Place, Work};
use super::unit::Settle as _;
use crate::handshake::client::{Arrived, Door, Welcome, WelcomeError, welcome};
use crate::handshake::server::{LoggedIn, Login, LoginError, ask_tls, log_in};
use crate::inspect::Known;
use crate::wire::{backend, frontend};

/// Start-up parameters of an agent that go on to the server: they change how things look.
const PASSED_ON: &[&str] = &[
    "application_name",
    "client_encoding",
    "datestyle",
    "extra_float_digits",
    "intervalstyle",
    "timezone",
];

struct Sessions<'a>(&'a PostgresAdapter);

impl Door<Arc<LiveSession>> for Sessions<'_> {
    fn verifier(&self, user: &str) -> Option<ScramVerifier> {
        self.0.gate.sessions().verifier(&SessionId::parse(user).ok()?)
    }

    fn proven(&self, user: &str) -> Option<Arc<LiveSession>> {
        let id = SessionId::parse(user).ok()?;
        self.0.gate.sessions().proven(&id, self.0.gate.now()).ok()
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(adapter: Arc<PostgresAdapter>, stream: Stream, peer: SocketAddr) {
    let streams = Arc::clone(&adapter.streams);
    let host = adapter.host.clone();
    match welcome(stream, streams.as_ref(), &host, &Sessions(&adapter)).await {
        Ok(Arrived::Client(welcome)) => serve_client(&adapter, *welcome).await,
        Ok(Arrived::Cancel { process, key, stream }) => {
            cancel(&adapter, process, &key, stream).await;
        }
        Err(WelcomeError::Login { .. }) => {
            let refusal = Refusal::new(Code::NoSession, "no session has this id and token");
            let from = serde_json::json!({ "peer": peer.to_string() });
            adapter.gate.refuse(None, None, refusal, from).await;
        }
        Err(error) => tracing::debug!(%error, %peer, "a client was not let in"),
    }
}

async fn serve_client(adapter: &Arc<PostgresAdapter>, welcome: Welcome<Arc<LiveSession>>) {
    let Welcome { stream, long_keys, leftover, session: live, database, parameters } = welcome;
    let mut client = Client::new(stream, &leftover);
    let opened = match open(adapter, &live, &database, &parameters).await {
        Ok(opened) => opened,
        Err(refusal) => {
            let nothing = serde_json::Value::Null;
            let refusal = adapter.gate.refuse(Some(&live), None, refusal, nothing).await;
            return say_fatal(&mut client, &refusal).await;
        }
    };
    let Opened { database, departure, in_flight, mut server, process, key } = opened;
    let known = Known::read(
        &adapter.catalogues,
        &database.name,
        &mut server,
        &departure,
        adapter.gate.now(),
    )
    .await;
    let known = match known {
        Ok(known) => known,
        Err(error) => {
            let refusal =
                in_flight.refuse(Refusal::new(Code::UpstreamUnreachable, error.to_string()));
            let nothing = serde_json::Value::Null;
            let refusal = adapter.gate.refuse(Some(&live), None, refusal, nothing).await;
            return say_fatal(&mut client, &refusal).await;
        }
    };
    let Some((own_process, own_key)) = fresh_key(long_keys) else { return };
    greet(&mut client, &server, own_process, &own_key);
    let departure = Arc::new(departure);
    let turn = Arc::new(Turn::default());
    let cancel = Arc::new(Cancel {
        departure: Arc::clone(&departure),
        database: Arc::clone(&database),
        own_key,
        process,
        key,
        turn: Arc::clone(&turn),
    });
    adapter.admit_cancel(own_process, Arc::clone(&cancel));
    let held = &database.limits;
    let limits = SettingLimits {
        statement_millis_max: held.statement_millis_max,
        lock_millis_max: held.lock_millis_max,
        idle_millis_max: held.idle_millis_max,
    };
    let mut session = Session {
        adapter: Arc::clone(adapter),
        live: Arc::clone(&live),
        database,
        departure,
        client,
        server,
        known,
        state: SessionState {
            limits: Some(limits),
            defaults_are_ours: true,
            ..SessionState::default()
        },
        guarded: false,
        fetching: false,
        held_tag: None,
        expected: VecDeque::new(),
        place: Place::Idle,
        before: 0,
        work: Work::default(),
        statements: HashMap::new(),
        portals: HashMap::new(),
        turn,
        cancel,
        writes: false,
        unsynced: false,
        skipping: false,
    };
    let ended = tokio::select! {
        end = session.run() => Ok(end),
        code = live.lifeline.cut() => Err(code),
    };
    adapter.cancels.write().remove(&own_process);
    match ended {
        Ok(End::Left) => {
            // What is open is rolled back at once, and the server's log says nothing of a broken connection.
            session.server.output().clear();
            frontend::encode_terminate(session.server.output());
            let departure = Arc::clone(&session.departure);
            let _ = session.server.send(&departure).await;
        }
        Ok(End::ServerGone) => {
            let gone = Refusal::new(
                Code::UpstreamUnreachable,
                "the connection to the database server ended",
            );
            say_fatal(&mut session.client, &gone).await;
        }
        Ok(End::Nonsense(why)) => {
            let out = session.client.output();
            backend::encode_error(out, "FATAL", "08P01", &why, None, None);
            let _ = session.client.flush().await;
        }
        Err(code) => {
            let stopped = Refusal::new(
                code,
                "the agent was frozen or its session ended; what was open is rolled back",
            );
            say_fatal(&mut session.client, &stopped).await;
        }
    }
    in_flight.answered(false);
}

/// A session at the server of a declared database.
struct Opened {
    database: Arc<Database>,
    departure: Departure,
    in_flight: InFlight,
    server: Server,
    process: u32,
    key: Vec<u8>,
}

async fn open(
    adapter: &Arc<PostgresAdapter>,
    live: &Arc<LiveSession>,
    name: &str,
    asked: &[(String, String)],
) -> Result<Opened, Refusal> {
    let database = adapter.database(name).ok_or_else(|| {
        Refusal::new(
            Code::UndeclaredUpstream,
            format!("no database is declared under the name `{name}`"),
        )
    })?;
    let (database, granted) = as_whom(adapter, live, database).await?;
    let parameters = parameters(&database, asked)?;
    let upstream = &database.name;
    let call = SqlCall::new(
        upstream.clone(),
        vec![login_part(upstream, granted.as_deref())],
        format!("log in at `{upstream}`"),
        Vec::new(),
        std::collections::BTreeMap::new(),
    )?;
    let credential = adapter.vault.bound(upstream, "/").map(|info| info.name);
    let recorded = adapter.gate.errand(live, ErrandKind::Session, call, credential).await?;
    let (_, departure, in_flight, _) = recorded.depart()?;
    match log_in_at(adapter, &database, &departure, &parameters).await {
        Ok(LoggedIn { stream, leftover, parameters, process, key }) => {
            let server = Server::new(stream, leftover, parameters);
            Ok(Opened { database, departure, in_flight, server, process, key: key.to_vec() })
        }
        Err(why) => Err(in_flight.refuse(Refusal::new(Code::UpstreamUnreachable, why))),
    }
}

/// Says as which role a session comes in. At a production database that is not its own it reads, under a role for
/// reading and by a human's grant; the grant is told, for the record.
async fn as_whom(
    adapter: &PostgresAdapter,
    live: &LiveSession,
    database: Arc<Database>,
) -> Result<(Arc<Database>, Option<String>), Refusal> {
    let home = &live.principal.environment;
    if database.environment == *home || !super::facts::is_production(&database.environment) {
        return Ok((database, None));
    }
    let (name, lives_in) = (&database.name, &database.environment);
    let Some(role) = &database.read_role else {
        let why = format!("database `{name}` lives in {lives_in}, and the session in {home}");
        let next = format!(
            "A human may let others read it: killick database add {name} --replace --read-role ROLE, with a role \
             from killick database prepare {name} --read-only"
        );
        return Err(Refusal::new(Code::CrossEnvironment, why).with_next_step(next));
    };
    let object = super::call::database_ref(name);
    let Some(grant) = adapter.gate.spend_reading(live, &object).await? else {
        let why = format!("nobody granted this session of {home} to read `{name}` in {lives_in}");
        let next = format!(
            "A human may: killick grant add --session {} --effect read --objects {} --count 5 --ttl 1h (each connection uses it once)",
            live.principal.session,
            object.label()
        );
        return Err(Refusal::new(Code::CrossEnvironment, why).with_next_step(next));
    };
    let reading = Database { role: Some(role.clone()), ..Database::clone(&database) };
    Ok((Arc::new(reading), Some(grant)))
}

pub(crate) async fn log_in_at(
    adapter: &Arc<PostgresAdapter>,
    database: &Database,
    departure: &Departure,
    parameters: &[(String, String)],
) -> Result<LoggedIn, String> {
    let (stream, end_point) = reach(adapter, database, departure).await?;
    let lease = adapter.vault.lend(departure, &database.name, "/").map_err(|it| it.to_string())?;
    let login = Login {
        user: &database.user,
        database: &database.database,
        password: &lease.value,
        tls: database.tls != DatabaseTls::Off,
        end_point: end_point.as_deref(),
        parameters,
    };
    log_in(stream, &login).await.map_err(|error| match error {
        LoginError::Refused { sqlstate, message } => {
            format!("the server refused the gateway's login: {message} ({sqlstate})")
        }
        other => other.to_string(),
    })
}

pub(crate) async fn reach(
    adapter: &Arc<PostgresAdapter>,
    database: &Database,
    departure: &Departure,
) -> Result<(Stream, Option<Vec<u8>>), String> {
    let target = Target {
        host: database.host.clone(),
        port: database.port,
        tls: false,
        dial: None,
        private_address: database.private_address,
    };
    let mut stream =
        adapter.streams.connect(departure, &target).await.map_err(|error| error.to_string())?;
    if database.tls == DatabaseTls::Off {
        return Ok((stream, None));
    }
    if !ask_tls(&mut stream).await.map_err(|error| error.to_string())? {
        return Err("the server does not speak TLS; the password was not sent".into());
    }
    let upgraded = adapter
        .streams
        .upgrade(departure, stream, &database.host, &database.tls, Some("postgresql"))
        .await
        .map_err(|error| error.to_string())?;
    Ok((upgraded.stream, upgraded.end_point))
}

/// Returns the start-up parameters: the agent's harmless ones, and the gateway's own as the session's defaults, so
/// that RESET leads back to them.
fn parameters(
    database: &Database,
    asked: &[(String, String)],
) -> Result<Vec<(String, String)>, Refusal> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in asked {
        let lower = name.to_ascii_lowercase();
        let utf8 =
            ["utf8", "utf-8", "unicode", "'utf-8'"].iter().any(|it| value.eq_ignore_ascii_case(it));
        match lower.as_str() {
            "client_encoding" if !utf8 => {
                return Err(refused_option(
                    name,
                    "a text could mean something else in another encoding",
                ));
            }
            _ if PASSED_ON.contains(&lower.as_str()) => all.push((name.clone(), value.clone())),
            // The gateway's own are set below; others are settings of a session, set by a statement that is judged.
            "options" if value.trim().is_empty() => {}
            _ => return Err(refused_option(name, "set it by a statement, which is judged")),
        }
    }
    let limits = &database.limits;
    let mut options = format!(
        "-c default_transaction_read_only=on -c standard_conforming_strings=on -c backslash_quote=safe_encoding \
         -c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={}",
        limits.statement_millis_max, limits.lock_millis_max, limits.idle_millis_max
    );
    if let Some(role) = &database.role {
        options.push_str(" -c role=");
        options.push_str(&role.replace('\\', "\\\\").replace(' ', "\\ "));
    }
    all.push(("options".into(), options));
    Ok(all)
}

fn refused_option(name: &str, why: &str) -> Refusal {
    Refusal::new(Code::Forbidden, format!("the start-up parameter `{name}` is not taken: {why}"))
}

/// Returns the statements that set the gateway's own settings anew.
pub(crate) fn own_settings(database: &Database) -> Vec<String> {
    let limits = &database.limits;
    let mut all = vec![
        "SET SESSION AUTHORIZATION DEFAULT".to_owned(),
        "SET default_transaction_read_only = on".to_owned(),
        "SET standard_conforming_strings = on".to_owned(),
        format!("SET statement_timeout = {}", limits.statement_millis_max),
        format!("SET lock_timeout = {}", limits.lock_millis_max),
    ];
    if let Some(role) = &database.role {
        all.push(format!("SET ROLE \"{}\"", role.replace('"', "\"\"")));
    }
    all
}

fn greet(client: &mut Client, server: &Server, process: u32, key: &[u8]) {
    let out = client.output();
    for (name, value) in &server.parameters {
        // The default is the gateway's own way of refusing writes; to the agent the session may write.
        let value = if name == "default_transaction_read_only" { "off" } else { value };
        backend::encode_parameter(out, name, value);
    }
    backend::encode_key(out, process, key);
    backend::encode_ready(out, b'I');
}

async fn say_fatal(client: &mut Client, refused: &Refusal) {
    let fields = refusal::fields(refused);
    let (detail, hint) = (Some(fields.detail.as_str()), Some(fields.hint.as_str()));
    backend::encode_error(client.output(), "FATAL", fields.sqlstate, &fields.message, detail, hint);
    // Whether it listens does not matter.
    let _ = client.flush().await;
    client.close().await;
}
