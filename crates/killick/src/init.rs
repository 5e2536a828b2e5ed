//! `killick init`: everything a gateway needs, made once, without a question.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use killick_admin::policies;
use killick_admin::protocol::PolicyText;
use killick_gate::ports::Store as _;
use killick_model::time::Clock;
use killick_net::{Ca, SystemClock};
use killick_policy::PolicySource;
use killick_store::{FileKey, KeyProvider, Passphrase, SqliteStore};
use killick_tlog::SigningKey;
use zeroize::Zeroizing;

use crate::cli::InitArgs;
use crate::commands::{Ended, Session};
use crate::config::{self, Config};
use crate::failure::Exit;
use crate::home::Home;
use crate::recovery;
use crate::secret_input;
use crate::show::Tone;

/// Letters of a passphrase that people can read to each other: no 0, o, 1, l, i, u, v.
const LETTERS: &[u8; 29] = b"abcdefghjkmnpqrstwxyz23456789";
/// Letters in a group.
const GROUP_LETTERS: usize = 5;
/// Groups of a passphrase.
const GROUPS: usize = 4;
/// Bytes from here on would make some letters likelier than others.
const UNFAIR_FROM: usize = 256 / LETTERS.len() * LETTERS.len();
/// Random bits that the passphrase must have.
const ENTROPY_BITS_MIN: usize = 80;

// 29 letters carry more than 4.85 bits each.
const _: () = assert!(GROUPS * GROUP_LETTERS * 485 / 100 >= ENTROPY_BITS_MIN);

/// Files with a system's root certificates, in the order in which they are looked for.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
];

/// What was there and what was made.
#[derive(Debug, Default)]
pub(crate) struct Made {
    lines: Vec<String>,
    changed: bool,
}

impl Made {
    fn made(&mut self, what: &str, path: &Path) {
        self.changed = true;
        self.lines.push(format!("made   {what}: {}", path.display()));
    }

    fn kept(&mut self, what: &str, path: &Path) {
        self.lines.push(format!("kept   {what}: {}", path.display()));
    }
}

pub(crate) fn init(session: &Session, args: &InitArgs) -> Ended {
    let given = session.passphrase_given()?;
    let (made, fresh) = establish(&session.home, args, given)?;
    let screen = &session.screen;
    if screen.json {
        screen.json(&serde_json::json!({
            "home": session.home.root(), "changed": made.changed,
            "steps": made.lines, "passphrase": fresh.as_ref().map(|it| it.as_str()),
        }));
        return Ok(Exit::Done);
    }
    for line in &made.lines {
        screen.line(screen.tone(Tone::Quiet, line));
    }
    if !made.changed {
        screen.line("Everything is there already; nothing was changed.");
        return Ok(Exit::Done);
    }
    if let Some(passphrase) = fresh {
        screen.line("");
        screen.line("The approver's passphrase, shown this once. Keep it where no agent reads:");
        screen.line(format!("    {}", screen.tone(Tone::Strong, &passphrase)));
    }
    screen.line("");
    screen.line("Next:");
    for hint in [
        "killick up                                   # in a terminal of its own",
        "killick agent add coder",
        "killick pack list                            # which providers are known",
        "killick upstream add NAME --pack PACK",
        "killick credential add NAME --upstream NAME  # asks for the value",
        "eval \"$(killick session open --agent coder --environment staging --task 'fix the login')\"",
        "killick doctor                               # what is enforced, what is not",
    ] {
        screen.line(format!("    {hint}"));
    }
    Ok(Exit::Done)
}

/// Makes what is missing. Returns the passphrase when it was generated here.
pub(crate) fn establish(
    home: &Home,
    args: &InitArgs,
    given: Option<Zeroizing<String>>,
) -> anyhow::Result<(Made, Option<Zeroizing<String>>)> {
    let mut made = Made::default();
    let clock = Arc::new(SystemClock::start());
    folder(home.root(), &mut made)?;
    if args.rotate_ca {
        set_aside(home, &mut made)?;
    }
    let key = master_key(home, &mut made)?;
    certificate(home, clock.as_ref(), &mut made)?;
    bundle(home, &mut made)?;
    configuration(home, args, &mut made)?;
    record_keys(home, &mut made)?;
    recovery_key(home, &mut made)?;
    let store = store(home, key, &mut made)?;
    let fresh = passphrase(&store, clock, home, given, &mut made)?;
    Ok((made, fresh))
}

fn folder(path: &Path, made: &mut Made) -> anyhow::Result<()> {
    if path.is_dir() {
        let found = std::fs::metadata(path)?.mode();
        if found & 0o077 != 0 {
            bail!(
                "{} can be entered by others (mode {:o}); nothing was made. Mend it with \
                 `chmod 700 {}`",
                path.display(),
                found & 0o7777,
                path.display()
            );
        }
        made.kept("directory", path);
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    made.made("directory", path);
    Ok(())
}

fn master_key(home: &Home, made: &mut Made) -> anyhow::Result<FileKey> {
    let path = home.master_key();
    if path.exists() {
        made.kept("master key", &path);
        return Ok(FileKey::at(&path));
    }
    if home.store().exists() {
        bail!(
            "{} is missing, but a store is there that it seals; nothing was made. Bring the key \
             back from your backup",
            path.display()
        );
    }
    let key = FileKey::create(&path)?;
    made.made("master key (0600)", &path);
    Ok(key)
}

/// Takes the certificate authority away. Its key is removed: nothing it signed must be signed again.
fn set_aside(home: &Home, made: &mut Made) -> anyhow::Result<()> {
    let former = home.ca().with_extension("former.pem");
    for path in [home.ca_key(), home.ca_bundle()] {
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
    }
    if home.ca().exists() {
        std::fs::rename(home.ca(), &former)?;
        made.lines.push(format!("moved  former certificate authority: {}", former.display()));
    }
    made.changed = true;
    Ok(())
}

fn certificate(home: &Home, clock: &dyn Clock, made: &mut Made) -> anyhow::Result<()> {
    let (certificate, key) = (home.ca(), home.ca_key());
    match (certificate.exists(), key.exists()) {
        (true, true) => {
            made.kept("certificate authority", &certificate);
            return Ok(());
        }
        (false, false) => {}
        (true, false) | (false, true) => bail!(
            "of {} and {} one is missing; nothing was made. Bring it back, or move the other one \
             away to make a fresh certificate authority",
            certificate.display(),
            key.display()
        ),
    }
    let fresh = Ca::create(clock.now())?;
    write_once(&key, fresh.key_pem.as_bytes(), 0o600)?;
    write_once(&certificate, fresh.certificate_pem.as_bytes(), 0o644)?;
    made.made("certificate authority", &certificate);
    Ok(())
}

/// The system's roots and the gateway's own, so that a client that knows one file trusts both.
fn bundle(home: &Home, made: &mut Made) -> anyhow::Result<()> {
    let path = home.ca_bundle();
    let own = std::fs::read_to_string(home.ca())?;
    if std::fs::read_to_string(&path).is_ok_and(|text| text.contains(own.trim())) {
        made.kept("roots for clients", &path);
        return Ok(());
    }
    let system = SYSTEM_ROOTS.iter().find_map(|path| std::fs::read_to_string(path).ok());
    let text = format!("{}\n{own}", system.as_deref().map_or("", str::trim_end));
    let unfinished = path.with_extension("unfinished");
    std::fs::write(&unfinished, text)?;
    std::fs::rename(&unfinished, &path)?;
    made.made("roots for clients", &path);
    if system.is_none() {
        made.lines.push(
            "note   no roots of the system were found: clients trust the gateway alone".into(),
        );
    }
    Ok(())
}

fn configuration(home: &Home, args: &InitArgs, made: &mut Made) -> anyhow::Result<()> {
    let path = home.config();
    if path.exists() {
        Config::load(&path)?;
        made.kept("configuration", &path);
        return Ok(());
    }
    write_once(&path, config::template(args.listen, "node-1").as_bytes(), 0o600)?;
    made.made("configuration", &path);
    Ok(())
}

/// The key that signs checkpoints, the key that wraps the keys of details, and the public key to hand out.
fn record_keys(home: &Home, made: &mut Made) -> anyhow::Result<()> {
    let (key, public, details) = (home.record_key(), home.record_public(), home.details_key());
    if key.exists() {
        let text = Zeroizing::new(std::fs::read_to_string(&key)?);
        let signing = SigningKey::parse(text.trim())?;
        if public.exists() {
            made.kept("record's public key", &public);
        } else {
            write_once(&public, format!("{}\n", signing.public()).as_bytes(), 0o644)?;
            made.made("record's public key", &public);
        }
    } else if home.record().exists() {
        bail!(
            "{} is missing, but a record is there that it signs; nothing was made. Bring the key \
             back from your backup",
            key.display()
        );
    } else {
        let mut seed = Zeroizing::new([0_u8; SigningKey::SEED_BYTES]);
        fill(seed.as_mut_slice())?;
        let mut label = [0_u8; 6];
        fill(&mut label)?;
        let name = format!("killick/{:012x}", label_number(label));
        let signing = SigningKey::from_seed(&name, &seed)?;
        write_once(&key, signing.to_secret_text().as_bytes(), 0o600)?;
        write_once(&public, format!("{}\n", signing.public()).as_bytes(), 0o644)?;
        made.made("record's signing key (0600)", &key);
        made.made("record's public key", &public);
    }
    if details.exists() {
        made.kept("record's details key", &details);
    } else if home.record().exists() {
        bail!(
            "{} is missing, but a record is there whose details it wraps; nothing was made. Bring \
             the key back from your backup",
            details.display()
        );
    } else {
        FileKey::create(&details)?;
        made.made("record's details key (0600)", &details);
    }
    Ok(())
}

/// The key that wraps the keys of recovery points. It is on no other machine: whoever loses it loses them.
fn recovery_key(home: &Home, made: &mut Made) -> anyhow::Result<()> {
    let path = home.recovery_key();
    if path.exists() {
        made.kept("recovery key", &path);
    } else {
        recovery::make_key(home)?;
        made.made("recovery key (0600)", &path);
    }
    Ok(())
}

fn store(home: &Home, key: FileKey, made: &mut Made) -> anyhow::Result<SqliteStore> {
    let path = home.store();
    let was_there = path.exists();
    let provider: Arc<dyn KeyProvider> = Arc::new(key);
    let store = SqliteStore::open(&path, provider)
        .with_context(|| format!("the store in {} cannot be opened", path.display()))?;
    if was_there {
        made.kept("store", &path);
    } else {
        made.made("store", &path);
    }
    if store.setting(policies::SETTING)?.is_some() {
        made.kept("policies", &path);
    } else {
        let shipped = policies::encode(&[PolicyText::from(PolicySource::shipped())])?;
        store.setting_put(policies::SETTING, &shipped)?;
        made.made("policies, as shipped", &path);
    }
    Ok(store)
}

fn passphrase(
    store: &SqliteStore,
    clock: Arc<SystemClock>,
    home: &Home,
    given: Option<Zeroizing<String>>,
    made: &mut Made,
) -> anyhow::Result<Option<Zeroizing<String>>> {
    let proof = Passphrase::of(store, clock);
    if proof.is_set()? {
        made.kept("approver's passphrase", &home.store());
        return Ok(None);
    }
    if let Some(given) = given {
        proof.set(&given)?;
        made.made("approver's passphrase, as given", &home.store());
        return Ok(None);
    }
    let fresh = generate()?;
    proof.set(&fresh)?;
    made.made("approver's passphrase", &home.store());
    Ok(Some(fresh))
}

/// Returns groups of letters with more than [`ENTROPY_BITS_MIN`] random bits.
fn generate() -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(GROUPS * (GROUP_LETTERS + 1)));
    let mut letters = 0_usize;
    while letters < GROUPS * GROUP_LETTERS {
        let mut byte = Zeroizing::new([0_u8; 1]);
        fill(byte.as_mut_slice())?;
        let [byte] = byte.map(usize::from);
        let letter = byte.checked_rem(LETTERS.len()).and_then(|at| LETTERS.get(at));
        let Some(letter) = letter.filter(|_| byte < UNFAIR_FROM) else { continue };
        if letters > 0 && letters.is_multiple_of(GROUP_LETTERS) {
            text.push('-');
        }
        text.push(char::from(*letter));
        letters = letters.saturating_add(1);
    }
    Ok(text)
}

fn label_number(label: [u8; 6]) -> u64 {
    label.into_iter().fold(0, |number, byte| (number << 8) | u64::from(byte))
}

fn fill(bytes: &mut [u8]) -> anyhow::Result<()> {
    getrandom::fill(bytes).map_err(|_| anyhow::anyhow!("the system gives no randomness"))
}

/// Writes a file that must not be there yet, whole or not at all.
fn write_once(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let unfinished = path.with_extension("unfinished");
    // What an interrupted run left behind is in nobody's use.
    if unfinished.exists() {
        std::fs::remove_file(&unfinished)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&unfinished)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // A link fails where a rename would replace: nothing that is there is ever written over.
    std::fs::hard_link(&unfinished, path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    std::fs::remove_file(&unfinished)?;
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

impl Session {
    /// Returns the passphrase that was given for a gateway to be made; none asks for one.
    fn passphrase_given(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        let args = self.passphrase_args();
        if args.passphrase_stdin || args.passphrase_file.is_some() {
            return secret_input::passphrase(args, "Passphrase").map(Some);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
