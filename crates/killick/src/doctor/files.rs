//! What stands in the gateway's directory: modes, keys, packs, policies, passphrase, space, time.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use killick_model::UnixMillis;
use killick_net::Ca;
use killick_store::{EnvironmentKey, Passphrase, SqliteStore};
use killick_tlog::checkpoint::{CHECKPOINT_FILE, Checkpoint};

use super::Finding;
use crate::commands::now;
use crate::daemon;
use crate::home::Home;
use crate::show::moment::{moment, span};

/// Free space below which little time is left.
const FREE_BYTES_LOW: u64 = 1 << 30;
/// Free space below which the record is about to refuse.
const FREE_BYTES_MIN: u64 = 64 << 20;
/// How long before its end a CA is spoken of.
const CA_WARNING_MILLIS: u64 = 30 * 86_400_000;
/// A moment that is past for certain: a clock before it is wrong.
const PAST: UnixMillis = UnixMillis(1_767_225_600_000);
/// How far the record's last moment may lie ahead of the clock.
const CLOCK_SLACK_MILLIS: u64 = 60_000;

/// Looks at everything that needs no running gateway.
pub(super) fn look(home: &Home) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !home.root().is_dir() {
        findings.push(Finding::broken(
            "directory",
            format!("{} is not there", home.root().display()),
            "run `killick init`",
        ));
        return findings;
    }
    findings.push(modes(home));
    findings.extend(master_in_environment(home));
    findings.push(space(home.root()));
    findings.push(authority(home, now()));
    findings.push(roots(home));
    findings.push(packs(home));
    findings.extend(store(home));
    findings.push(checkpoint(home));
    findings.push(clock(home, now()));
    findings
}

/// Nobody but the owner may read what is secret, nor enter the directory.
fn modes(home: &Home) -> Finding {
    let mut wrong = Vec::new();
    let owner = std::fs::metadata(home.root()).map_or(u32::MAX, |it| it.uid());
    let mut look = |path: &Path, others: u32, needed: bool| match std::fs::symlink_metadata(path) {
        Ok(found) => {
            if found.mode() & others != 0 {
                wrong.push(format!("{} has mode {:o}", path.display(), found.mode() & 0o7777));
            }
            if found.uid() != owner {
                wrong.push(format!("{} belongs to user {}", path.display(), found.uid()));
            }
        }
        Err(error) if needed => wrong.push(format!("{}: {error}", path.display())),
        Err(_) => {}
    };
    look(home.root(), 0o077, true);
    let from_environment = std::env::var_os(EnvironmentKey::VARIABLE).is_some();
    look(&home.master_key(), 0o177, !from_environment);
    for path in [home.ca_key(), home.record_key(), home.details_key(), home.recovery_key()] {
        look(&path, 0o177, true);
    }
    for path in [home.store(), home.record()] {
        look(&path, 0o077, false);
    }
    for path in [home.config(), home.ca(), home.ca_bundle(), home.record_public()] {
        // Others may read these where they get that far; nobody but the owner may write.
        look(&path, 0o022, true);
    }
    if wrong.is_empty() {
        return Finding::ok("permissions", "keys and store are for their owner alone");
    }
    let path = home.root().display();
    Finding::broken(
        "permissions",
        wrong.join("\n"),
        format!("chmod 700 {path}; chmod 600 {path}/*.key; run `killick init` for what is missing"),
    )
}

fn master_in_environment(home: &Home) -> Option<Finding> {
    let used = !home.master_key().exists() && std::env::var_os(EnvironmentKey::VARIABLE).is_some();
    used.then(|| {
        Finding::not_enforced(
            "master key",
            format!(
                "it comes from ${}, which every process of the same user can read",
                EnvironmentKey::VARIABLE
            ),
            "keep it in a file of the gateway's own user",
        )
    })
}

fn space(root: &Path) -> Finding {
    let free = match rustix::fs::statvfs(root) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            return Finding::broken("disk", error.to_string(), "look at the file system");
        }
    };
    let shown = format!("{} MiB free", free >> 20);
    if free < FREE_BYTES_MIN {
        let found = format!("{shown}: the record is about to refuse calls");
        Finding::broken("disk", found, "make room")
    } else if free < FREE_BYTES_LOW {
        Finding::not_enforced("disk", shown, "make room before the record refuses calls")
    } else {
        Finding::ok("disk", shown)
    }
}

fn authority(home: &Home, now: UnixMillis) -> Finding {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| error.to_string());
    let loaded = read(&home.ca())
        .and_then(|certificate| Ok((certificate, zeroize::Zeroizing::new(read(&home.ca_key())?))))
        .and_then(|(certificate, key)| {
            Ca::load(&certificate, &key, now).map_err(|error| error.to_string())
        });
    match loaded {
        Err(why) => Finding::broken(
            "certificate authority",
            why,
            "run `killick init --rotate-ca`, then restart the gateway",
        ),
        Ok(ca) if ca.not_after().since_millis(now) < CA_WARNING_MILLIS => Finding::not_enforced(
            "certificate authority",
            format!("it ends in {}", span(ca.not_after().since_millis(now))),
            "run `killick init --rotate-ca`, restart the gateway, open sessions anew",
        ),
        Ok(ca) => {
            Finding::ok("certificate authority", format!("good until {}", moment(ca.not_after())))
        }
    }
}

fn roots(home: &Home) -> Finding {
    let own = std::fs::read_to_string(home.ca()).unwrap_or_default();
    let bundle = std::fs::read_to_string(home.ca_bundle()).unwrap_or_default();
    if !own.is_empty() && bundle.contains(own.trim()) {
        return Finding::ok("roots for clients", home.ca_bundle().display().to_string());
    }
    Finding::broken(
        "roots for clients",
        format!("{} does not hold the gateway's own authority", home.ca_bundle().display()),
        "run `killick init`",
    )
}

fn packs(home: &Home) -> Finding {
    match daemon::load_packs(home) {
        Ok(packs) => Finding::ok("packs", format!("{} are good", packs.iter().count())),
        Err(error) => Finding::broken(
            "packs",
            format!("{error:#}"),
            format!("mend or remove what is in {}", home.packs().display()),
        ),
    }
}

/// Passphrase and policies, from the store.
fn store(home: &Home) -> Vec<Finding> {
    if !home.store().is_dir() {
        return vec![Finding::broken("store", "it is not there", "run `killick init`")];
    }
    let store = match SqliteStore::open(&home.store(), daemon::master_of(home)) {
        Ok(store) => store,
        Err(error) => {
            return vec![Finding::broken(
                "store",
                error.to_string(),
                "run this as the gateway's own user; bring back the master key that belongs to it",
            )];
        }
    };
    let mut findings = Vec::new();
    let clock = std::sync::Arc::new(killick_net::SystemClock::start());
    findings.push(match Passphrase::of(&store, clock).is_set() {
        Ok(true) => Finding::ok("passphrase", "one is set: nothing is approved without it"),
        Ok(false) => {
            Finding::broken("passphrase", "none is set", "run `killick init`, which sets one")
        }
        Err(error) => Finding::broken("passphrase", error.to_string(), "look at the store"),
    });
    let policies = daemon::load_packs(home)
        .and_then(|packs| daemon::load_policies(&store, &packs).map(|pdp| pdp.len()));
    findings.push(match policies {
        Ok(count) => Finding::ok("policies", format!("{count} are good")),
        Err(error) => Finding::broken(
            "policies",
            format!("{error:#}"),
            "set good ones with `killick policy set`; nothing is permitted meanwhile",
        ),
    });
    findings
}

/// The newest checkpoint must be signed by a known key. The whole record is `killick log verify`'s work.
fn checkpoint(home: &Home) -> Finding {
    let path = home.record().join(CHECKPOINT_FILE);
    let note = match std::fs::read(&path) {
        Ok(note) => note,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::ok("record", "nothing is signed yet");
        }
        Err(error) => {
            return Finding::broken("record", error.to_string(), "look at the record's directory");
        }
    };
    let opened =
        crate::record::public_keys(home).map_err(|error| error.to_string()).and_then(|keys| {
            match Checkpoint::open(&note, &keys) {
                Ok((checkpoint, _)) => Ok(checkpoint.size()),
                Err(error) => Err(error.to_string()),
            }
        });
    match opened {
        Ok(size) => Finding::ok(
            "record",
            format!(
                "the last checkpoint is good, over {size} entries; prove all of them with `killick log verify`"
            ),
        ),
        Err(why) => Finding::broken(
            "record",
            format!("the last checkpoint is not good: {why}"),
            "run `killick log verify`, and keep the directory as it is",
        ),
    }
}

fn clock(home: &Home, now: UnixMillis) -> Finding {
    let written = std::fs::metadata(home.record().join(CHECKPOINT_FILE))
        .and_then(|found| found.modified())
        .ok()
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
        .and_then(|since| u64::try_from(since.as_millis()).ok());
    let ahead = written.map_or(0, |at| UnixMillis(at).since_millis(now));
    if now < PAST || ahead > CLOCK_SLACK_MILLIS {
        return Finding::broken(
            "clock",
            format!("it says {}, which is before what happened already", moment(now)),
            "set the machine's clock; what expires depends on it",
        );
    }
    Finding::ok("clock", moment(now))
}
