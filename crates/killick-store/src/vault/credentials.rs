//! Stored credentials: which are taken, and which one a path gets.

use killick_gate::ports::StoreError;
use killick_model::admin::{CredentialInfo, Injection};
use killick_model::{CredentialName, UpstreamName};
use rusqlite::Transaction;

use crate::database::{count, failed, from_text, rows, shut, to_text};
use crate::limits::check_room;
use crate::seal::{Place, SealKey};
use crate::vault::memory::{Held, secret_part};
use crate::vault::surrogate::Shape;

/// Credentials that can be stored.
pub const CREDENTIALS_MAX: usize = 256;
/// The most bytes of a credential.
pub const CREDENTIAL_BYTES_MAX: usize = 16 << 10;
/// The fewest bytes of a credential's secret part. A shorter one stands in ordinary text by chance,
/// so that no leak of it could be told.
pub const SECRET_BYTES_MIN: usize = 6;
/// The most bytes of a path prefix.
const PATH_PREFIX_BYTES_MAX: usize = 1_024;

pub(super) fn put(
    tx: &Transaction<'_>,
    key: &SealKey,
    info: &CredentialInfo,
    value: &[u8],
) -> Result<(), StoreError> {
    let name = info.name.as_str();
    check(info, value)?;
    let others = rows(tx, "SELECT row FROM credentials WHERE name <> ?1", [name], |row| {
        row.get::<_, String>(0)
    })?;
    check_room("credentials", others.len(), CREDENTIALS_MAX)?;
    for other in others {
        let other: CredentialInfo = from_text("credentials", &other)?;
        if !info.own && !other.own && info.upstream == other.upstream && same_prefix(info, &other) {
            return Err(StoreError::Exists(format!(
                "credential `{}` for the same upstream and path",
                other.name
            )));
        }
    }
    forget_rebound(tx, info)?;
    let sealed = key.seal(Place { table: "credentials", id: name }, value).map_err(shut)?;
    tx.execute(
        "INSERT INTO credentials (name, row, value) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET row = excluded.row, value = excluded.value",
        (name, to_text(info)?, sealed),
    )
    .map_err(failed)?;
    Ok(())
}

/// A surrogate was given for one upstream; it must not follow its credential to another.
fn forget_rebound(tx: &Transaction<'_>, info: &CredentialInfo) -> Result<(), StoreError> {
    let before =
        rows(tx, "SELECT row FROM credentials WHERE name = ?1", [info.name.as_str()], |row| {
            row.get::<_, String>(0)
        })?;
    for text in before {
        let before: CredentialInfo = from_text("credentials", &text)?;
        if before.upstream != info.upstream || before.own != info.own {
            tx.execute("DELETE FROM surrogates WHERE credential = ?1", [info.name.as_str()])
                .map_err(failed)?;
        }
    }
    Ok(())
}

fn check(info: &CredentialInfo, value: &[u8]) -> Result<(), StoreError> {
    let refuse = |why: String| Err(StoreError::Failed(why));
    if value.len() > CREDENTIAL_BYTES_MAX {
        return refuse(format!("a credential has at most {CREDENTIAL_BYTES_MAX} bytes"));
    }
    if secret_part(&info.injection, value).len() < SECRET_BYTES_MIN {
        return refuse(format!("a credential's secret has at least {SECRET_BYTES_MIN} bytes"));
    }
    if info.injection == Injection::Basic && !value.contains(&b':') {
        return refuse("a basic credential is written USER:PASSWORD".into());
    }
    // It is put into a header: a line break in it would be a header of its own.
    if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return refuse("a credential holds a line break or a zero byte".into());
    }
    let prefix = &info.path_prefix;
    if !(prefix.is_empty() || prefix.starts_with('/')) || prefix.len() > PATH_PREFIX_BYTES_MAX {
        return refuse("a path prefix begins with `/`".into());
    }
    if let Err(error) = Shape::parse(&info.surrogate) {
        return refuse(error.to_string());
    }
    Ok(())
}

pub(super) fn list(tx: &Transaction<'_>) -> Result<Vec<CredentialInfo>, StoreError> {
    rows(tx, "SELECT row FROM credentials ORDER BY name", [], |row| row.get::<_, String>(0))?
        .iter()
        .map(|text| from_text("credentials", text))
        .collect()
}

pub(super) fn remove(tx: &Transaction<'_>, name: &CredentialName) -> Result<(), StoreError> {
    if count(tx, "SELECT count(*) FROM credentials WHERE name = ?1", [name.as_str()])? == 0 {
        return Err(StoreError::Missing(format!("credential `{name}`")));
    }
    tx.execute("DELETE FROM credentials WHERE name = ?1", [name.as_str()]).map_err(failed)?;
    Ok(())
}

/// Returns the credential with the longest prefix that is a beginning of the path by whole segments.
/// The agent's own logins are not bound: they are passed on, not injected.
pub(super) fn bound<'a>(held: &'a [Held], upstream: &UpstreamName, path: &str) -> Option<&'a Held> {
    held.iter()
        .filter(|one| {
            !one.info.own && one.info.upstream == *upstream && covers(&one.info.path_prefix, path)
        })
        .max_by_key(|one| trimmed(&one.info.path_prefix).len())
}

fn covers(prefix: &str, path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.strip_prefix(trimmed(prefix)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn trimmed(prefix: &str) -> &str {
    prefix.trim_end_matches('/')
}

fn same_prefix(one: &CredentialInfo, other: &CredentialInfo) -> bool {
    trimmed(&one.path_prefix) == trimmed(&other.path_prefix)
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_prefix_covers_whole_segments_only() {
        for (prefix, path) in
            [("", "/x"), ("/", "/"), ("/api", "/api"), ("/api", "/api/v1"), ("/api/", "/api?x=1")]
        {
            assert!(covers(prefix, path), "{prefix} {path}");
        }
        for (prefix, path) in [
            ("/api", "/apix"),
            ("/api", "/"),
            ("/api", "/API"),
            ("/api", "x/api"),
            ("/a/b", "/a?/b"),
        ] {
            assert!(!covers(prefix, path), "{prefix} {path}");
        }
    }
}
