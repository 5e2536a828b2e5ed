//! Access requests in `SQLite`.

use killick_gate::ports::StoreError;
use killick_model::principal::Owner;
use killick_model::request::{AccessRequest, Answer, RequestState};
use killick_model::{CallDigest, RequestId, SessionId, UnixMillis};
use rusqlite::{OptionalExtension as _, Row, Transaction};
use zeroize::Zeroizing;

use crate::database::{
    count, exists_or_failed, failed, from_column, from_text, rows, shut, to_column, to_text,
};
use crate::limits::{REQUESTS_DONE_MAX, check_canonical, check_room};
use crate::seal::{Place, SealKey};
use crate::states::{request_may_move, request_state, request_word};

const COLUMNS: &str = "row, state, expires, send_when_approved, answer";

/// A change of state, made only from the state it was decided on.
pub(super) struct Move<'a> {
    pub(super) from: RequestState,
    pub(super) to: RequestState,
    pub(super) answer: Option<&'a Answer>,
    pub(super) expires: Option<UnixMillis>,
    pub(super) send_when_approved: bool,
}

pub(super) fn open(
    tx: &Transaction<'_>,
    key: &SealKey,
    request: &AccessRequest,
    canonical: &[u8],
) -> Result<AccessRequest, StoreError> {
    check_canonical(canonical)?;
    if request.state != RequestState::Open || request.expires <= request.asked {
        return Err(StoreError::Failed("a request begins open and ends after it was asked".into()));
    }
    expire(tx, request.asked)?;
    let (session, digest) = (&request.principal.session, &request.digest);
    for state in [RequestState::Open, RequestState::Approved] {
        if let Some(there) = find(tx, session, digest, state)? {
            return Ok(there);
        }
    }
    check_budgets(tx, request)?;
    let sealed = key.seal(place(&request.id), canonical).map_err(shut)?;
    tx.execute(
        "INSERT INTO requests (id, session, agent, owner, digest, state, asked, expires,
             send_when_approved, answer, row, canonical)
         VALUES (?1, ?2, ?3, ?4, ?5, 'open', ?6, ?7, ?8, NULL, ?9, ?10)",
        rusqlite::params![
            request.id.as_str(),
            session.as_str(),
            request.principal.agent.as_str(),
            owner_key(&request.principal.owner)?,
            digest.to_string(),
            to_column(request.asked),
            to_column(request.expires),
            request.send_when_approved,
            to_text(request)?,
            sealed,
        ],
    )
    .map_err(|error| exists_or_failed(error, format!("request `{}`", request.id)))?;
    forget_done(tx)?;
    one(tx, &request.id)
}

/// Moves what ended unanswered or unused to `expired`, so that it stands in nobody's way.
fn expire(tx: &Transaction<'_>, now: UnixMillis) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE requests SET state = 'expired'
         WHERE state IN ('open', 'approved') AND expires <= ?1",
        [to_column(now)],
    )
    .map_err(failed)?;
    Ok(())
}

fn check_budgets(tx: &Transaction<'_>, request: &AccessRequest) -> Result<(), StoreError> {
    let principal = &request.principal;
    let agent = count(
        tx,
        "SELECT count(*) FROM requests WHERE state = 'open' AND agent = ?1",
        [principal.agent.as_str()],
    )?;
    let what = format!("requests of agent `{}`", principal.agent);
    check_room(&what, agent, AccessRequest::OPEN_PER_AGENT_MAX)?;
    let owner = count(
        tx,
        "SELECT count(*) FROM requests WHERE state = 'open' AND owner = ?1",
        [owner_key(&principal.owner)?],
    )?;
    let what = format!("requests of owner `{}`", principal.owner);
    check_room(&what, owner, AccessRequest::OPEN_PER_OWNER_MAX)
}

/// JSON, since `ISSUER:SUBJECT` could be divided in two ways.
fn owner_key(owner: &Owner) -> Result<String, StoreError> {
    to_text(owner)
}

fn forget_done(tx: &Transaction<'_>) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM requests WHERE state NOT IN ('open', 'approved') AND rowid NOT IN (
             SELECT rowid FROM requests WHERE state NOT IN ('open', 'approved')
             ORDER BY asked DESC, rowid DESC LIMIT ?1)",
        [i64::try_from(REQUESTS_DONE_MAX).unwrap_or(i64::MAX)],
    )
    .map_err(failed)?;
    Ok(())
}

pub(super) fn one(tx: &Transaction<'_>, id: &RequestId) -> Result<AccessRequest, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM requests WHERE id = ?1");
    let found = tx.query_row(&sql, [id.as_str()], columns).optional().map_err(failed)?;
    found.ok_or_else(|| missing(id))?.into_request()
}

pub(super) fn list(
    tx: &Transaction<'_>,
    rows_max: usize,
) -> Result<Vec<AccessRequest>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM requests ORDER BY asked DESC, rowid DESC LIMIT ?1");
    rows(tx, &sql, [i64::try_from(rows_max).unwrap_or(i64::MAX)], columns)?
        .into_iter()
        .map(Columns::into_request)
        .collect()
}

pub(super) fn find(
    tx: &Transaction<'_>,
    session: &SessionId,
    digest: &CallDigest,
    state: RequestState,
) -> Result<Option<AccessRequest>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM requests WHERE session = ?1 AND digest = ?2 AND state = ?3
         ORDER BY asked DESC, rowid DESC LIMIT 1"
    );
    tx.query_row(&sql, (session.as_str(), digest.to_string(), request_word(state)), columns)
        .optional()
        .map_err(failed)?
        .map(Columns::into_request)
        .transpose()
}

pub(super) fn canonical(
    tx: &Transaction<'_>,
    key: &SealKey,
    id: &RequestId,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let sealed: Option<Vec<u8>> = tx
        .query_row("SELECT canonical FROM requests WHERE id = ?1", [id.as_str()], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    key.open(place(id), &sealed.ok_or_else(|| missing(id))?).map_err(shut)
}

pub(super) fn set_state(
    tx: &Transaction<'_>,
    id: &RequestId,
    change: &Move<'_>,
) -> Result<bool, StoreError> {
    if !request_may_move(change.from, change.to) {
        return Ok(false);
    }
    let answer = change.answer.map(to_text).transpose()?;
    let moved = tx
        .execute(
            "UPDATE requests SET state = ?3, answer = coalesce(?4, answer),
                 expires = coalesce(?5, expires),
                 send_when_approved = max(send_when_approved, ?6)
             WHERE id = ?1 AND state = ?2",
            (
                id.as_str(),
                request_word(change.from),
                request_word(change.to),
                answer,
                change.expires.map(to_column),
                change.send_when_approved,
            ),
        )
        .map_err(failed)?;
    if moved == 0 {
        one(tx, id)?;
    }
    Ok(moved == 1)
}

pub(super) fn claim_sending(tx: &Transaction<'_>, id: &RequestId) -> Result<bool, StoreError> {
    let claimed = tx
        .execute(
            "UPDATE requests SET send_when_approved = 0
             WHERE id = ?1 AND state = ?2 AND send_when_approved = 1",
            (id.as_str(), request_word(RequestState::Approved)),
        )
        .map_err(failed)?;
    if claimed == 0 {
        one(tx, id)?;
    }
    Ok(claimed == 1)
}

fn place(id: &RequestId) -> Place<'_> {
    Place { table: "requests", id: id.as_str() }
}

fn missing(id: &RequestId) -> StoreError {
    StoreError::Missing(format!("request `{id}`"))
}

/// What can change stands in columns of its own and wins over the row's text.
struct Columns {
    row: String,
    state: String,
    expires: i64,
    send_when_approved: bool,
    answer: Option<String>,
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        row: row.get(0)?,
        state: row.get(1)?,
        expires: row.get(2)?,
        send_when_approved: row.get(3)?,
        answer: row.get(4)?,
    })
}

impl Columns {
    fn into_request(self) -> Result<AccessRequest, StoreError> {
        let mut request: AccessRequest = from_text("requests", &self.row)?;
        request.state = request_state(&self.state)
            .ok_or_else(|| StoreError::Failed("a row of `requests` cannot be read".into()))?;
        request.expires = from_column(self.expires);
        request.send_when_approved = self.send_when_approved;
        request.answer =
            self.answer.map(|text| from_text::<Answer>("requests", &text)).transpose()?;
        Ok(request)
    }
}
