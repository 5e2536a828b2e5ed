//! What lies around in this shell that an agent started from it would find.

use std::ffi::OsString;

use super::Finding;
use crate::home::Home;
use crate::{adapters, daemon, environment};

/// Endings of names that hold credentials.
const ENDINGS: &[&str] = &[
    "_TOKEN",
    "_API_KEY",
    "_APIKEY",
    "_SECRET",
    "_SECRET_KEY",
    "_ACCESS_KEY",
    "_PASSWORD",
    "_PASSWD",
    "_PRIVATE_KEY",
    "_CREDENTIALS",
];

/// Whole names that hold credentials, or addresses with credentials in them.
const NAMES: &[&str] = &["DATABASE_URL", "PGPASSWORD", "MYSQL_PWD", "REDIS_URL", "MONGODB_URI"];

/// What the gateway's own variables begin with.
const OWN_PREFIX: &str = "KILLICK_";

/// Looks for credentials in the environment of this process. Names alone are shown, never values.
pub(super) fn look(home: &Home) -> Vec<Finding> {
    let of_packs: Vec<String> = daemon::load_packs(home)
        .map(|packs| adapters::pack_infos(&packs))
        .unwrap_or_default()
        .into_iter()
        .flat_map(|pack| pack.variables)
        .collect();
    vec![judged(std::env::vars_os().collect(), &of_packs)]
}

pub(super) fn judged(variables: Vec<(OsString, OsString)>, of_packs: &[String]) -> Finding {
    // In a session's own environment the packs' variables hold surrogates.
    let in_session = variables.iter().any(|(name, _)| name == environment::SESSION);
    let mut found: Vec<String> = variables
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| !name.starts_with(OWN_PREFIX))
        .filter(|name| {
            let upper = name.to_ascii_uppercase();
            let of_pack = of_packs.contains(name);
            let speaks = ENDINGS.iter().any(|ending| upper.ends_with(ending))
                || NAMES.contains(&upper.as_str());
            if of_pack { !in_session } else { speaks }
        })
        .collect();
    found.sort();
    if found.is_empty() {
        return Finding::ok("this shell", "no variable looks like a credential");
    }
    Finding::not_enforced(
        "this shell",
        format!("agents started from it find what looks like credentials in {}", found.join(", ")),
        "give them to the gateway (`killick credential add`) and start agents without them",
    )
}
