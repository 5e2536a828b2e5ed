//! Keys and the approver's passphrase: replaced.

use std::sync::Arc;

use killick_model::record::Kind;
use serde_json::json;

use super::{Acting, Administration, Answered, done, off_loop};
use crate::protocol::{AdminCode, AdminError, KeyKind};
use crate::secret::Secret;

impl Administration {
    pub(super) async fn key_rotate(&self, by: &Acting<'_>, key: KeyKind) -> Answered {
        self.on_record(by, Kind::Configuration, "key rotate", json!({ "key": key })).await?;
        match key {
            KeyKind::Store => {
                let vault = Arc::clone(&self.parts.vault);
                off_loop(move || Ok(vault.rotate_key()?)).await?;
                Ok(done("everything in the store is sealed under a fresh key"))
            }
            KeyKind::Recovery => {
                let count = self.parts.recovery.rotate_key().await.map_err(|why| {
                    AdminError::new(
                        AdminCode::Unavailable,
                        format!(
                            "{why}; points that were not reached still open with the former key"
                        ),
                        "run the command again",
                    )
                })?;
                Ok(done(format!("{count} recovery points are under a fresh key")))
            }
            KeyKind::Record => {
                let record = Arc::clone(&self.parts.record);
                let public = off_loop(move || Ok(record.rotate_signing_key()?)).await?;
                Ok(done(format!(
                    "checkpoints are signed with a fresh key; hand it to those who verify: {public}"
                )))
            }
        }
    }

    pub(super) async fn passphrase_change(
        &self,
        by: &Acting<'_>,
        former: Option<Secret>,
        next: Secret,
    ) -> Answered {
        let Some(former) = former else {
            return Err(AdminError::new(
                AdminCode::ProofNeeded,
                "the former passphrase is needed; nothing was changed",
                "type it when asked",
            ));
        };
        self.on_record(by, Kind::Configuration, "passphrase change", json!({})).await?;
        let proof = Arc::clone(&self.parts.proof);
        let changed = off_loop(move || Ok(proof.change(former.expose(), next.expose()))).await?;
        changed.map_err(|why| {
            AdminError::invalid(
                format!("{why}; the former passphrase stays good"),
                "choose a passphrase of at least 8 bytes",
            )
        })?;
        Ok(done("the passphrase is changed"))
    }
}
