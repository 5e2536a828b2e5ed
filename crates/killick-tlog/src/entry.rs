//! Entries: what one line of the record says, in bytes that mean the same for ever.
//!
//! An entry is a small header in clear and a salted commitment to its details. The details lie beside the log,
//! encrypted, so that they can be erased while every proof stays valid. The bytes are canonical: one entry has one
//! spelling, and a reader refuses every other.

mod wire;

use sha2::{Digest as _, Sha256};

use crate::bundle::ENTRY_BYTES_MAX;
use crate::hash::hex;

/// Bytes of one text in a header.
pub const HEADER_TEXT_BYTES_MAX: usize = 512;
/// Sessions in a chain, from the root to the one that acts.
pub const CHAIN_SESSIONS_MAX: usize = 16;
/// Policies an entry can name.
pub const POLICIES_MAX: usize = 64;
/// Bytes of the salt in front of details.
pub const SALT_BYTES: usize = 32;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// What an entry is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// Every kind, in the order of a call's path.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the word that stands in the record.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Reads a word of the record; `None` for a word that this version does not know.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A call came in.
    Call = "call",
    /// The decision point answered.
    Decision = "decision",
    /// An obligation was met, or was not.
    Obligation = "obligation",
    /// A call is about to be sent on.
    Sent = "sent",
    /// What came of a call.
    Outcome = "outcome",
    /// A human was asked.
    Request = "request",
    /// A human answered.
    Approval = "approval",
    /// A standing yes was given or taken back.
    Grant = "grant",
    /// A call waits for its grace period.
    Pending = "pending",
    /// An agent was frozen.
    Freeze = "freeze",
    /// An agent was thawed.
    Thaw = "thaw",
    /// A session was opened, narrowed or closed.
    Session = "session",
    /// An agent was added, changed or removed.
    Agent = "agent",
    /// A credential was added, rotated or removed.
    Credential = "credential",
    /// The configuration or a policy changed.
    Configuration = "configuration",
    /// An agent's standing changed.
    Standing = "standing",
    /// A foreign credential was seen.
    Foreign = "foreign",
    /// A known credential was taken out of a body.
    Redaction = "redaction",
    /// A break-glass was opened or ended.
    BreakGlass = "break_glass",
    /// The gateway made a call of its own.
    Errand = "errand",
    /// A call was refused before it was decided.
    Refusal = "refusal",
    /// A checkpoint left the machine.
    CheckpointPublished = "checkpoint_published",
    /// The gateway started.
    Start = "start",
    /// The gateway stopped.
    Stop = "stop",
    /// Another step of administration.
    Admin = "admin",
}

/// Whose agent it is: a subject at an issuer, never free text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Who vouches for the subject.
    pub issuer: String,
    /// Who it is, in the issuer's words.
    pub subject: String,
}

/// The plain part of an entry: small, without payload and without secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the entry is about.
    pub kind: Kind,
    /// The call that the entry belongs to.
    pub call: Option<String>,
    /// The session that acts.
    pub session: Option<String>,
    /// The agent that the session is of.
    pub agent: Option<String>,
    /// Whose agent it is.
    pub owner: Option<Subject>,
    /// The human who did it, where a human did.
    pub by: Option<String>,
    /// The sessions from the first one down to the one that acts.
    pub chain: Vec<String>,
    /// The action in the policies' words.
    pub action: Option<String>,
    /// The effect in one word.
    pub effect: Option<String>,
    /// What was decided.
    pub verdict: Option<String>,
    /// Where the objects live.
    pub environment: Option<String>,
    /// The upstream, by name.
    pub upstream: Option<String>,
    /// The credential, by name.
    pub credential: Option<String>,
    /// The code of the reason.
    pub reason: Option<String>,
    /// What came of it.
    pub outcome: Option<String>,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// How many objects it touches.
    pub objects: Option<u64>,
}

impl Header {
    /// Returns a header that says nothing but its kind.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            call: None,
            session: None,
            agent: None,
            owner: None,
            by: None,
            chain: Vec::new(),
            action: None,
            effect: None,
            verdict: None,
            environment: None,
            upstream: None,
            credential: None,
            reason: None,
            outcome: None,
            policies: Vec::new(),
            objects: None,
        }
    }

    /// Returns the header with every text made fit for the record by [`header_text`], and its lists cut to length.
    #[must_use]
    pub fn fitted(mut self) -> Self {
        let optional = [
            &mut self.call,
            &mut self.session,
            &mut self.agent,
            &mut self.by,
            &mut self.action,
            &mut self.effect,
            &mut self.verdict,
            &mut self.environment,
            &mut self.upstream,
            &mut self.credential,
            &mut self.reason,
            &mut self.outcome,
        ];
        let owner = self.owner.iter_mut().flat_map(|o| [&mut o.issuer, &mut o.subject]);
        self.chain.truncate(CHAIN_SESSIONS_MAX);
        self.policies.truncate(POLICIES_MAX);
        let lists = self.chain.iter_mut().chain(self.policies.iter_mut());
        for text in optional.into_iter().flatten().chain(owner).chain(lists) {
            if !text_is_right(text) {
                *text = header_text(text);
            }
        }
        self
    }

    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let optional = [
            ("call", &self.call),
            ("session", &self.session),
            ("agent", &self.agent),
            ("by", &self.by),
            ("action", &self.action),
            ("effect", &self.effect),
            ("verdict", &self.verdict),
            ("environment", &self.environment),
            ("upstream", &self.upstream),
            ("credential", &self.credential),
            ("reason", &self.reason),
            ("outcome", &self.outcome),
        ];
        let owner = self.owner.iter();
        let owner = owner.flat_map(|o| [("owner", o.issuer.as_str()), ("owner", &o.subject)]);
        optional
            .into_iter()
            .filter_map(|(field, text)| Some((field, text.as_deref()?)))
            .chain(owner)
            .chain(self.chain.iter().map(|text| ("chain", text.as_str())))
            .chain(self.policies.iter().map(|text| ("policies", text.as_str())))
    }
}

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The tenant whose record this is.
    pub tenant: String,
    /// The gateway that wrote the entry.
    pub node: String,
    /// When it was written, in milliseconds since 1970.
    pub time_unix_ms: u64,
    /// The plain part.
    pub header: Header,
    /// The salted commitment to the details, if the entry has any.
    pub details_commitment: Option<Commitment>,
}

/// Why an entry cannot be written, or bytes are not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The bytes do not begin as an entry does.
    #[error("the bytes are not an entry")]
    NotAnEntry,
    /// The entry is of a version that this reader does not know.
    #[error("the entry is of version `{version}`, this reader knows {}", Entry::VERSION)]
    UnknownVersion {
        /// The version that the entry states.
        version: String,
    },
    /// The entry is of a kind that this reader does not know.
    #[error("the entry is of a kind that this reader does not know")]
    UnknownKind,
    /// The bytes are not of an entry's form.
    #[error("the entry is malformed")]
    Form,
    /// The bytes say an entry in another spelling than its canonical one.
    #[error("the entry is not in its canonical form")]
    NotCanonical,
    /// A text is too long or holds a control character.
    #[error(
        "`{field}` has more than {HEADER_TEXT_BYTES_MAX} bytes, is empty or holds a control character"
    )]
    Text {
        /// Name of the field.
        field: &'static str,
    },
    /// A list is too long.
    #[error("`{field}` lists too many")]
    List {
        /// Name of the field.
        field: &'static str,
    },
    /// The entry is longer than the log can hold.
    #[error("the entry has {len_bytes} bytes, allowed are {ENTRY_BYTES_MAX}")]
    TooLong {
        /// Bytes of the entry.
        len_bytes: usize,
    },
}

impl Entry {
    /// The version of the bytes that this crate writes.
    pub const VERSION: u32 = 1;

    /// Writes the canonical bytes.
    ///
    /// # Errors
    /// A text or a list is longer than an entry may hold.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        self.check()?;
        let bytes = wire::encode(self)?;
        match bytes.len() {
            0..=ENTRY_BYTES_MAX => Ok(bytes),
            len_bytes => Err(EntryError::TooLong { len_bytes }),
        }
    }

    /// Writes the canonical bytes but for the time, for a writer that sets it later.
    ///
    /// # Errors
    /// As for [`Self::encode`].
    pub fn into_timeless(mut self) -> Result<Timeless, EntryError> {
        self.time_unix_ms = u64::MAX;
        wire::split_at_time(self.encode()?)
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// The bytes are not the canonical bytes of an entry of a known version.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLong { len_bytes: bytes.len() });
        }
        let entry = wire::decode(bytes)?;
        if entry.encode()? == bytes { Ok(entry) } else { Err(EntryError::NotCanonical) }
    }

    fn check(&self) -> Result<(), EntryError> {
        let own = [("tenant", self.tenant.as_str()), ("node", self.node.as_str())];
        if let Some((field, _)) =
            own.into_iter().chain(self.header.texts()).find(|(_, text)| !text_is_right(text))
        {
            return Err(EntryError::Text { field });
        }
        if self.header.chain.len() > CHAIN_SESSIONS_MAX {
            return Err(EntryError::List { field: "chain" });
        }
        if self.header.policies.len() > POLICIES_MAX {
            return Err(EntryError::List { field: "policies" });
        }
        Ok(())
    }
}

/// The bytes of an entry around its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeless {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Timeless {
    /// Returns the canonical bytes of the entry as written at this time.
    #[must_use]
    pub fn at(mut self, time_unix_ms: u64) -> Vec<u8> {
        let time = time_unix_ms.to_string();
        self.before.reserve_exact(time.len().saturating_add(self.after.len()));
        self.before.extend_from_slice(time.as_bytes());
        self.before.extend_from_slice(&self.after);
        self.before
    }

    /// Returns the most bytes that the entry can have.
    #[must_use]
    pub fn len_bytes_max(&self) -> usize {
        self.before.len().saturating_add(self.after.len()).saturating_add(TIME_DIGITS_MAX)
    }
}

const TIME_DIGITS_MAX: usize = 20;

/// A salted SHA-256 of details: it shows that they are unchanged, and nothing of what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// Commits to details under a random salt.
    #[must_use]
    pub fn to(salt: &[u8; SALT_BYTES], details: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(salt);
        hasher.update(details);
        Self(hasher.finalize().into())
    }

    /// Returns the bytes of the commitment.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Writes the commitment as hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Reads 64 lower-case hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = (nibble(*high)? << 4) | nibble(*low)?;
        }
        Some(Self(bytes))
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

/// Makes any text fit for a header: control characters become `\u{fffd}`, the rest is cut to length.
#[must_use]
pub fn header_text(raw: &str) -> String {
    let mut text = String::new();
    for c in raw.chars() {
        let c = if is_control(c) { char::REPLACEMENT_CHARACTER } else { c };
        if text.len().saturating_add(c.len_utf8()) > HEADER_TEXT_BYTES_MAX {
            break;
        }
        text.push(c);
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

fn text_is_right(text: &str) -> bool {
    (1..=HEADER_TEXT_BYTES_MAX).contains(&text.len()) && !text.contains(is_control)
}

/// Says whether a character could move a terminal's cursor or turn the direction of a line.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;
