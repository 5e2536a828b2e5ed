//! Credentials: stored, listed without values, rotated, removed.

use std::sync::Arc;

use killick_gate::Blocking as _;
use killick_model::CredentialName;
use killick_model::admin::{CredentialInfo, Injection};
use killick_model::record::{Draft, Kind};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Acting, Administration, Answered, done, off_loop};
use crate::protocol::{AdminCode, AdminError, CredentialAsk, Reply};
use crate::secret::Secret;

/// The longest path prefix.
const PATH_PREFIX_BYTES_MAX: usize = 500;
/// The fewest bytes of a value: a shorter one would be found in harmless text everywhere.
const VALUE_BYTES_MIN: usize = 8;

impl Administration {
    pub(super) async fn credential_add(&self, by: &Acting<'_>, ask: CredentialAsk) -> Answered {
        let (info, value) = self.credential_asked(ask).await?;
        if self.find_credential(&info.name).await.is_ok() {
            return Err(AdminError::new(
                AdminCode::Exists,
                format!("credential {} exists already; nothing was changed", info.name),
                format!("replace its value with `killick credential rotate {}`", info.name),
            ));
        }
        let mut entry = Draft::new(Kind::Credential);
        entry.credential = Some(info.name.clone());
        entry.upstream = Some(info.upstream.clone());
        let details = json!({ "credential": info });
        self.on_record_as(by, entry, "credential add", details).await?;
        let message = format!(
            "credential `{}` is stored for upstream `{}`; sessions opened from here on get a surrogate",
            info.name, info.upstream
        );
        self.put(info, value).await?;
        Ok(done(message))
    }

    async fn credential_asked(
        &self,
        ask: CredentialAsk,
    ) -> Result<(CredentialInfo, Zeroizing<Vec<u8>>), AdminError> {
        let value = checked_value(&ask.value)?;
        let upstreams = self.parts.gate.on_store(|store| store.upstreams()).await?;
        let upstream =
            upstreams.into_iter().find(|it| it.name == ask.upstream).ok_or_else(|| {
                AdminError::missing(
                    format!("upstream `{}`", ask.upstream),
                    format!("declare it first: `killick upstream add {}`", ask.upstream),
                )
            })?;
        let pack = upstream.pack.as_deref().and_then(|name| self.parts.rest.pack_info(name));
        let from_pack = pack.as_ref().map(|pack| pack.inject.clone());
        let word = ask.injection.or(from_pack).unwrap_or_else(|| "bearer".into());
        let injection = Injection::parse(&word).ok_or_else(|| {
            AdminError::invalid(
                format!("`{}` is no way of injection", word.escape_debug()),
                "use bearer, basic, header:NAME, query:NAME or cookie:NAME",
            )
        })?;
        let prefix = &ask.path_prefix;
        let plain = prefix.starts_with('/')
            && prefix.len() <= PATH_PREFIX_BYTES_MAX
            && prefix.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b'?' | b'#'))
            && !prefix.contains("..");
        if !plain {
            return Err(AdminError::invalid(
                format!("`{}` is no plain path prefix", prefix.escape_debug()),
                "begin with `/`; leave `%`, `?`, `#` and `..` out",
            ));
        }
        let surrogate = ask.surrogate.or_else(|| pack.map(|pack| pack.surrogate));
        let info = CredentialInfo {
            name: ask.name,
            upstream: ask.upstream,
            path_prefix: ask.path_prefix,
            injection,
            surrogate: surrogate.unwrap_or_else(|| "opaque".into()),
            own: ask.own,
            added: self.parts.gate.now(),
            rotated: None,
        };
        Ok((info, value))
    }

    pub(super) async fn credential_list(&self) -> Answered {
        let vault = Arc::clone(&self.parts.vault);
        Ok(Reply::Credentials(off_loop(move || Ok(vault.credentials()?)).await?))
    }

    pub(super) async fn credential_rotate(
        &self,
        by: &Acting<'_>,
        name: CredentialName,
        value: Secret,
    ) -> Answered {
        let value = checked_value(&value)?;
        let mut info = self.find_credential(&name).await?;
        info.rotated = Some(self.parts.gate.now());
        let mut entry = Draft::new(Kind::Credential);
        entry.credential = Some(name.clone());
        entry.upstream = Some(info.upstream.clone());
        let details = json!({ "credential": info });
        self.on_record_as(by, entry, "credential rotate", details).await?;
        self.put(info, value).await?;
        Ok(done(format!("credential `{name}` has another value; surrogates stay as they are")))
    }

    pub(super) async fn credential_remove(
        &self,
        by: &Acting<'_>,
        name: CredentialName,
    ) -> Answered {
        let info = self.find_credential(&name).await?;
        let mut entry = Draft::new(Kind::Credential);
        entry.credential = Some(name.clone());
        entry.upstream = Some(info.upstream.clone());
        let details = json!({ "credential": info });
        self.on_record_as(by, entry, "credential remove", details).await?;
        let (vault, gone) = (Arc::clone(&self.parts.vault), name.clone());
        off_loop(move || Ok(vault.credential_remove(&gone)?)).await?;
        Ok(done(format!("credential `{name}` is removed")))
    }

    async fn find_credential(&self, name: &CredentialName) -> Result<CredentialInfo, AdminError> {
        let vault = Arc::clone(&self.parts.vault);
        let all = off_loop(move || Ok(vault.credentials()?)).await?;
        all.into_iter().find(|info| info.name == *name).ok_or_else(|| {
            AdminError::missing(format!("credential `{name}`"), "look at `killick credential list`")
        })
    }

    async fn put(&self, info: CredentialInfo, value: Zeroizing<Vec<u8>>) -> Result<(), AdminError> {
        let vault = Arc::clone(&self.parts.vault);
        off_loop(move || Ok(vault.credential_put(&info, value)?)).await
    }
}

/// A value goes into heads of calls, so it must be one line of printable ASCII. The error never holds it.
fn checked_value(value: &Secret) -> Result<Zeroizing<Vec<u8>>, AdminError> {
    let bytes = value.expose().as_bytes();
    if !(VALUE_BYTES_MIN..=CredentialAsk::VALUE_BYTES_MAX).contains(&bytes.len()) {
        return Err(AdminError::invalid(
            format!(
                "the value has {} bytes, allowed are {VALUE_BYTES_MIN} to {}; nothing was stored",
                bytes.len(),
                CredentialAsk::VALUE_BYTES_MAX
            ),
            "give the value alone, on standard input",
        ));
    }
    if !bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(AdminError::invalid(
            "the value holds a line break or another character that no header may hold; nothing was stored",
            "give the value alone, as one line",
        ));
    }
    Ok(Zeroizing::new(bytes.to_vec()))
}
