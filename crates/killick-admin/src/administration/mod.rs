//! Commands, done: proved, checked, put on the record, then carried out. In that order.

mod agents;
mod credentials;
mod databases;
mod keys;
mod points;
mod policy;
mod record;
mod requests;
mod sessions;
mod standing_yes;
mod status;
mod undo;
mod upstreams;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use killick_gate::Gate;
use killick_gate::ports::{Durability, ProofError, RecordError, StoreError, Vault, VaultError};
use killick_model::record::{Draft, Kind};
use killick_model::{Owner, UnixMillis};

use crate::ports::{ChangeProof, ReadRecord, ReadRecordError, Reconfigure, Recovery};
use crate::proof;
use crate::protocol::{AdminCode, AdminError, Command, Envelope, Reply};
use crate::secret::Secret;

/// Who stands at the socket, by the kernel's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user id.
    pub uid: u32,
    /// The user as an owner (`local:alice`).
    pub owner: Owner,
}

/// What the administration point is built from.
pub struct AdministrationParts {
    /// The gate.
    pub gate: Arc<Gate>,
    /// The vault.
    pub vault: Arc<dyn Vault>,
    /// The approver's proof.
    pub proof: Arc<dyn ChangeProof>,
    /// The record, to read.
    pub record: Arc<dyn ReadRecord>,
    /// The rest of the gateway.
    pub rest: Arc<dyn Reconfigure>,
    /// Recovery points.
    pub recovery: Arc<dyn Recovery>,
    /// Where agents reach the gateway (`http://127.0.0.1:7070`).
    pub gateway: String,
    /// The file with the roots that clients must trust.
    pub ca_bundle: String,
    /// The gateway's version.
    pub version: String,
    /// The user id that the gateway runs under.
    pub uid: u32,
}

/// The administration point.
pub struct Administration {
    parts: AdministrationParts,
    started: UnixMillis,
}

/// A step that was recorded and may now be done.
///
/// INVARIANT: made by [`Administration::on_record`] alone; every change asks for one.
struct OnRecord(());

type Answered = Result<Reply, AdminError>;

impl Administration {
    /// Builds the administration point.
    #[must_use]
    pub fn new(parts: AdministrationParts) -> Self {
        let started = parts.gate.now();
        Self { parts, started }
    }

    /// Does what a caller asks, when it may.
    ///
    /// # Errors
    /// Says what was not done, why, and what to do next.
    pub async fn execute(&self, caller: &Caller, envelope: Envelope) -> Answered {
        let Envelope { command, proof, as_owner } = envelope;
        if proof::of(&command).is_needed() {
            self.prove(caller, &command, proof.as_ref()).await?;
        }
        let by = Acting { caller, claims: as_owner };
        self.dispatch(&by, command, proof).await
    }

    async fn dispatch(&self, by: &Acting<'_>, command: Command, proof: Option<Secret>) -> Answered {
        match command {
            Command::Status {} => self.status().await,
            Command::AgentAdd { name, owner, groups } => {
                self.agent_add(by, name, owner, groups).await
            }
            Command::AgentList {} => self.agent_list().await,
            Command::AgentFreeze { name, reason } => self.agent_freeze(by, name, reason).await,
            Command::AgentThaw { name } => self.agent_thaw(by, name).await,
            Command::AgentRemove { name } => self.agent_remove(by, name).await,
            Command::SessionOpen(ask) => self.session_open(by, ask).await,
            Command::SessionList { all } => self.session_list(all).await,
            Command::SessionClose { session } => self.session_close(by, session).await,
            Command::DatabaseAdd(ask) => self.database_add(by, *ask).await,
            Command::DatabaseList {} => self.database_list().await,
            Command::DatabasePrepare { name, ask } => self.database_prepare(by, name, &ask).await,
            Command::DatabaseCatalogue { name } => self.database_catalogue(by, name).await,
            Command::DatabaseRemove { name } => self.database_remove(by, name).await,
            Command::Undo(ask) => self.undo(by, *ask).await,
            Command::PointList { database } => self.point_list(database).await,
            Command::PointShow { id } => self.point_show(id).await,
            Command::PointRemove { id } => self.point_remove(by, id).await,
            Command::SnapshotBegin { database } => self.snapshot_begin(by, database).await,
            Command::RehearseBegin { database, assertions } => {
                self.rehearse_begin(by, database, assertions).await
            }
            Command::RestoreBegin { database, point, into } => {
                self.restore_begin(by, database, point, into).await
            }
            Command::WorkShow { database } => self.work_show(&database),
            Command::RehearsalList {} => self.rehearsal_list().await,
            Command::UpstreamAdd(ask) => self.upstream_add(by, ask).await,
            Command::UpstreamList {} => self.upstream_list().await,
            Command::UpstreamRemove { name } => self.upstream_remove(by, name).await,
            Command::CredentialAdd(ask) => self.credential_add(by, ask).await,
            Command::CredentialList {} => self.credential_list().await,
            Command::CredentialRotate { name, value } => {
                self.credential_rotate(by, name, value).await
            }
            Command::CredentialRemove { name } => self.credential_remove(by, name).await,
            Command::RequestList { all } => self.request_list(all).await,
            Command::RequestShow { id } => self.request_show(id).await,
            Command::RequestApprove { id, send, note } => {
                self.request_answer(by, id, requests::Said::Yes { send }, note).await
            }
            Command::RequestDeny { id, note } => {
                self.request_answer(by, id, requests::Said::No, note).await
            }
            Command::GrantAdd { session, effect, objects, count, ttl_millis } => {
                let ask = standing_yes::GrantAsk { session, effect, objects, count, ttl_millis };
                self.grant_add(by, ask).await
            }
            Command::GrantList {} => self.grant_list().await,
            Command::GrantRemove { id } => self.grant_remove(by, id).await,
            Command::BreakGlassOpen { agent, reason, ttl_millis } => {
                self.break_glass_open(by, agent, reason, ttl_millis).await
            }
            Command::BreakGlassList {} => self.break_glass_list().await,
            Command::BreakGlassEnd { agent } => self.break_glass_end(by, agent).await,
            Command::PendingList { all } => self.pending_list(all).await,
            Command::PendingCancel { id } => self.pending_cancel(by, id).await,
            Command::PolicyShow {} => self.policy_show().await,
            Command::PolicyCheck { sources } => self.policy_check(sources).await,
            Command::PolicySet { sources } => self.policy_set(by, sources).await,
            Command::RecordRead { from, max } => self.record_read(from, max).await,
            Command::RecordTail { max } => self.record_tail(max).await,
            Command::RecordFind { call } => self.record_find(call).await,
            Command::CheckpointPublish {} => self.checkpoint_publish(by).await,
            Command::KeyRotate { key } => self.key_rotate(by, key).await,
            Command::PassphraseChange { next } => self.passphrase_change(by, proof, next).await,
            Command::PackList {} => Ok(Reply::Packs(self.parts.rest.packs())),
            Command::PackDrift { name } => self.pack_drift(&name).await,
            Command::Explain { line, session } => self.explain(&line, session),
        }
    }

    /// Checks the passphrase. A wrong one is on the record too: somebody is guessing.
    async fn prove(
        &self,
        caller: &Caller,
        command: &Command,
        presented: Option<&Secret>,
    ) -> Result<(), AdminError> {
        let Some(presented) = presented else {
            return Err(AdminError::new(
                AdminCode::ProofNeeded,
                "this needs the approver's passphrase; nothing was changed",
                "run the command again on a terminal and type the passphrase, or give it with \
                 --passphrase-stdin or --passphrase-file",
            ));
        };
        let proof = Arc::clone(&self.parts.proof);
        let typed = presented.expose().clone();
        let checked = tokio::task::spawn_blocking(move || proof.check(&typed))
            .await
            .unwrap_or_else(|error| Err(ProofError::Failed(error.to_string())));
        let Err(error) = checked else { return Ok(()) };
        let mut entry = Draft::new(Kind::Configuration);
        entry.by = Some(caller.owner.to_string());
        entry.verdict = Some("unproved".into());
        entry.operation = Some(command.word().into());
        entry.details = serde_json::json!({ "uid": caller.uid, "why": error.to_string() });
        if let Err(error) = self.parts.gate.record_port().append(entry, Durability::Bounded).await {
            tracing::warn!(%error, "a passphrase that was not accepted could not be recorded");
        }
        Err(AdminError::new(
            AdminCode::ProofRefused,
            format!("{error}; nothing was changed"),
            match error {
                ProofError::Wrong => "try again; further wrong ones make you wait",
                ProofError::Slow { .. } => "wait, then try again",
                ProofError::Unset => "run `killick init`",
                ProofError::Failed(_) => "run `killick doctor`",
            },
        ))
    }

    /// Puts a step on the record; only then may it be done.
    async fn on_record(
        &self,
        by: &Acting<'_>,
        kind: Kind,
        operation: &str,
        details: serde_json::Value,
    ) -> Result<OnRecord, AdminError> {
        self.on_record_as(by, Draft::new(kind), operation, details).await
    }

    async fn on_record_as(
        &self,
        by: &Acting<'_>,
        mut entry: Draft,
        operation: &str,
        details: serde_json::Value,
    ) -> Result<OnRecord, AdminError> {
        entry.by = Some(by.caller.owner.to_string());
        entry.operation = Some(operation.to_owned());
        entry.details = serde_json::json!({
            "step": details, "uid": by.caller.uid, "claims_to_act_for": by.claims,
        });
        match self.parts.gate.note(entry).await {
            Ok(()) => Ok(OnRecord(())),
            Err(error) => Err(record_error(&error)),
        }
    }
}

/// Who acts, and for whom they say to act.
struct Acting<'a> {
    caller: &'a Caller,
    claims: Option<Owner>,
}

fn record_error(error: &RecordError) -> AdminError {
    AdminError::new(
        AdminCode::RecordUnavailable,
        format!("{error}; what is not on the record is not done, so nothing was changed"),
        "make room on the disk, then run `killick doctor`",
    )
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Exists(_) => Self::new(
                AdminCode::Exists,
                format!("{error}; nothing was changed"),
                "choose another name, or remove the other one first",
            ),
            StoreError::Missing(_) => Self::new(
                AdminCode::Missing,
                format!("{error}; nothing was changed"),
                "look at the listing for the right name",
            ),
            StoreError::Budget { .. } => Self::new(
                AdminCode::Limit,
                format!("{error}; nothing was changed"),
                "close or remove what is no longer needed first",
            ),
            StoreError::Failed(_) => {
                Self::new(AdminCode::StoreUnavailable, error.to_string(), "run `killick doctor`")
            }
        }
    }
}

impl From<VaultError> for AdminError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::NotBound(_) => Self::new(
                AdminCode::Missing,
                error.to_string(),
                "bind one with `killick credential add`",
            ),
            VaultError::Failed(_) => {
                Self::new(AdminCode::StoreUnavailable, error.to_string(), "run `killick doctor`")
            }
        }
    }
}

impl From<ReadRecordError> for AdminError {
    fn from(error: ReadRecordError) -> Self {
        Self::new(
            AdminCode::RecordUnavailable,
            error.to_string(),
            "run `killick log verify`, then `killick doctor`",
        )
    }
}

fn done(message: impl Into<String>) -> Reply {
    Reply::Done { message: message.into() }
}

/// Runs work that blocks off the event loop.
async fn off_loop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AdminError> + Send + 'static,
) -> Result<T, AdminError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(AdminError::new(
            AdminCode::StoreUnavailable,
            format!("the work was lost: {error}"),
            "run `killick doctor`",
        ))
    })
}

/// Refuses text that a terminal or a listing would not show as it is.
fn plain_text(what: &str, text: &str, len_bytes_max: usize) -> Result<(), AdminError> {
    if text.trim().is_empty() || text.len() > len_bytes_max {
        return Err(AdminError::invalid(
            format!("{what} has {} bytes, allowed are 1 to {len_bytes_max}", text.len()),
            "say it in other words",
        ));
    }
    if text.chars().any(is_treacherous) {
        return Err(AdminError::invalid(
            format!("{what} holds control or direction characters"),
            "leave them out",
        ));
    }
    Ok(())
}

/// Returns whether a character changes how the text around it is shown.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{061c}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl Command {
    /// Returns the command in the words of the command line.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Status {} => "status",
            Self::AgentAdd { .. } => "agent add",
            Self::AgentList {} => "agent list",
            Self::AgentFreeze { .. } => "agent freeze",
            Self::AgentThaw { .. } => "agent thaw",
            Self::AgentRemove { .. } => "agent remove",
            Self::SessionOpen(_) => "session open",
            Self::SessionList { .. } => "session list",
            Self::SessionClose { .. } => "session close",
            Self::DatabaseAdd(_) => "database add",
            Self::DatabaseList {} => "database list",
            Self::DatabasePrepare { .. } => "database prepare",
            Self::DatabaseCatalogue { .. } => "database catalogue",
            Self::DatabaseRemove { .. } => "database remove",
            Self::Undo(_) => "undo",
            Self::PointList { .. } => "point list",
            Self::PointShow { .. } => "point show",
            Self::PointRemove { .. } => "point remove",
            Self::SnapshotBegin { .. } => "snapshot",
            Self::RehearseBegin { .. } => "rehearse",
            Self::RestoreBegin { .. } => "restore",
            Self::WorkShow { .. } => "snapshot show",
            Self::RehearsalList {} => "rehearsal list",
            Self::UpstreamAdd(_) => "upstream add",
            Self::UpstreamList {} => "upstream list",
            Self::UpstreamRemove { .. } => "upstream remove",
            Self::CredentialAdd(_) => "credential add",
            Self::CredentialList {} => "credential list",
            Self::CredentialRotate { .. } => "credential rotate",
            Self::CredentialRemove { .. } => "credential remove",
            Self::RequestList { .. } => "request list",
            Self::RequestShow { .. } => "request show",
            Self::RequestApprove { .. } => "request approve",
            Self::RequestDeny { .. } => "request deny",
            Self::GrantAdd { .. } => "grant add",
            Self::GrantList {} => "grant list",
            Self::GrantRemove { .. } => "grant remove",
            Self::BreakGlassOpen { .. } => "break-glass open",
            Self::BreakGlassList {} => "break-glass list",
            Self::BreakGlassEnd { .. } => "break-glass end",
            Self::PendingList { .. } => "pending list",
            Self::PendingCancel { .. } => "pending cancel",
            Self::PolicyShow {} => "policy show",
            Self::PolicyCheck { .. } => "policy check",
            Self::PolicySet { .. } => "policy set",
            Self::RecordRead { .. } => "log read",
            Self::RecordTail { .. } => "log tail",
            Self::RecordFind { .. } => "log show",
            Self::CheckpointPublish {} => "checkpoint publish",
            Self::KeyRotate { .. } => "key rotate",
            Self::PassphraseChange { .. } => "passphrase change",
            Self::PackList {} => "pack list",
            Self::PackDrift { .. } => "pack drift",
            Self::Explain { .. } => "explain",
        }
    }
}
