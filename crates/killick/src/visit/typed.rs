//! The one credential that a human typed for a look: lent, and kept nowhere.

use killick_gate::Departure;
use killick_gate::ports::{Fingerprint, Lease, Recognised, Surrogate, Vault, VaultError};
use killick_model::admin::CredentialInfo;
use killick_model::{CallId, CredentialName, SessionId, UnixMillis, UpstreamName};
use zeroize::Zeroizing;

/// A credential as it was typed, however short: a server may ask for none.
pub(super) struct Typed {
    pub(super) info: CredentialInfo,
    pub(super) value: Zeroizing<Vec<u8>>,
}

fn nothing_is_kept() -> VaultError {
    VaultError::Failed("nothing is kept for a look".into())
}

impl Vault for Typed {
    fn recognise(&self, _: &SessionId, _: &[u8]) -> Recognised {
        Recognised::Unknown
    }

    fn lend(&self, _: &Departure, upstream: &UpstreamName, _: &str) -> Result<Lease, VaultError> {
        if *upstream == self.info.upstream {
            Ok(Lease { info: self.info.clone(), value: self.value.clone() })
        } else {
            Err(VaultError::NotBound(upstream.clone()))
        }
    }

    fn bound(&self, upstream: &UpstreamName, _: &str) -> Option<CredentialInfo> {
        (*upstream == self.info.upstream).then(|| self.info.clone())
    }

    fn fingerprint(&self, _: &[u8]) -> Fingerprint {
        Fingerprint([0; 32])
    }

    fn is_known(&self, value: &[u8]) -> bool {
        value == self.value.as_slice()
    }

    fn remember_foreign(
        &self,
        _: Fingerprint,
        _: &SessionId,
        _: &str,
        _: &CallId,
        _: UnixMillis,
    ) -> Result<(), VaultError> {
        Err(nothing_is_kept())
    }

    fn remember_derived(&self, _: &SessionId, _: &str, _: &[u8]) -> Result<(), VaultError> {
        Err(nothing_is_kept())
    }

    fn mint_surrogates(&self, _: &SessionId) -> Result<Vec<Surrogate>, VaultError> {
        Err(nothing_is_kept())
    }

    fn leaks(&self, _: &[u8]) -> bool {
        // There is no agent whom anything could be shown to; what could be it is not let pass all the same.
        true
    }

    fn credential_put(&self, _: &CredentialInfo, _: Zeroizing<Vec<u8>>) -> Result<(), VaultError> {
        Err(nothing_is_kept())
    }

    fn credentials(&self) -> Result<Vec<CredentialInfo>, VaultError> {
        Ok(vec![self.info.clone()])
    }

    fn credential_remove(&self, _: &CredentialName) -> Result<(), VaultError> {
        Err(nothing_is_kept())
    }

    fn rotate_key(&self) -> Result<(), VaultError> {
        Err(nothing_is_kept())
    }
}
