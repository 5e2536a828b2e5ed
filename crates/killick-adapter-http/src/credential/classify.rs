//! Issued, own, derived or foreign.

use killick_model::CredentialName;

use super::shape;
use super::sighting::{Place, Scheme, Sighting};

/// What the gateway knows of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// A surrogate of this session for this upstream.
    IssuedHere {
        /// The credential it stands for.
        credential: CredentialName,
    },
    /// A surrogate of ours, but of another session, upstream or environment.
    IssuedElsewhere,
    /// The agent's registered login at this upstream.
    Own,
    /// What this upstream handed this session.
    Derived,
    /// A credential seen before that is none of these.
    KnownForeign,
    /// Never seen.
    Unknown,
}

/// Compares bytes with what the gateway knows; keyed hashes behind it, never plain values.
pub trait Recognise {
    /// Says what is known of the bytes.
    fn recognise(&self, bytes: &[u8]) -> Recognised;
}

/// What a request's credentials come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialVerdict {
    /// Nothing stands where a credential stands.
    Clean,
    /// Only credentials that may stand there.
    Good {
        /// Surrogates seen, each once; the driver injects what they stand for.
        issued: Vec<CredentialName>,
        /// Sightings, by index, that pass as they are: own and derived.
        keep: Vec<usize>,
    },
    /// Something else stands there.
    Foreign {
        /// Where, each once.
        places: Vec<Place>,
        /// The sightings among them, by index, to be fingerprinted: those that are more than a plain word.
        sightings: Vec<usize>,
    },
    /// A surrogate of ours stands where it must not.
    Misplaced {
        /// Where.
        places: Vec<Place>,
    },
}

/// Decides the class of every sighting; the worst one is the verdict.
#[must_use]
pub fn classify(sightings: &[Sighting], known: &dyn Recognise) -> CredentialVerdict {
    let mut found = Findings::default();
    let mut at = 0;
    while let Some(seen) = sightings.get(at) {
        let behind = at.saturating_add(1);
        match (basic_user(seen), sightings.get(behind)) {
            (Some(header), Some(next)) if is_password(next, header) => {
                found.pair(at, seen, next, known);
                at = behind.saturating_add(1);
                continue;
            }
            (Some(_) | None, Some(_) | None) => found.single(at, seen, known),
        }
        at = behind;
    }
    found.verdict(sightings)
}

fn basic_user(seen: &Sighting) -> Option<&str> {
    if let Place::Authorization { header, scheme: Scheme::BasicUser } = &seen.place {
        Some(header)
    } else {
        None
    }
}

fn is_password(seen: &Sighting, of_header: &str) -> bool {
    matches!(
        &seen.place,
        Place::Authorization { header, scheme: Scheme::BasicPassword } if header == of_header
    )
}

/// Passwords that fill the place when the user name is the token.
const FILLERS: [&[u8]; 7] =
    [b"x-oauth-basic", b"x-access-token", b"oauth2", b"git", b"x", b"X", b"api_token"];

#[derive(Default)]
struct Findings {
    issued: Vec<CredentialName>,
    keep: Vec<usize>,
    foreign: Vec<usize>,
    misplaced: Vec<usize>,
}

impl Findings {
    fn single(&mut self, at: usize, seen: &Sighting, known: &dyn Recognise) {
        let recognised = known.recognise(&seen.bytes);
        match &seen.place {
            // A signature is made over other bytes than those that are sent, by a key that is not ours.
            Place::Authorization { scheme: Scheme::SigV4, .. } => self.foreign.push(at),
            Place::Authorization { .. }
            | Place::Header(_)
            | Place::UnknownHeader(_)
            | Place::Cookie(_) => self.position(at, recognised, true),
            // Inside a value, or in the path, it cannot be taken out without changing the call.
            Place::Query(name) => self.position(at, recognised, !name.contains(' ')),
            Place::UserInfo | Place::BodyKey(_) | Place::BodyShape(_) => {
                self.position(at, recognised, false);
            }
            Place::BodyWord(_) => match recognised {
                Recognised::KnownForeign => self.foreign.push(at),
                Recognised::IssuedHere { .. } | Recognised::IssuedElsewhere => {
                    self.misplaced.push(at);
                }
                Recognised::Own | Recognised::Derived | Recognised::Unknown => {}
            },
        }
    }

    fn position(&mut self, at: usize, recognised: Recognised, injected: bool) {
        match recognised {
            Recognised::IssuedHere { credential } if injected => self.issue(credential),
            Recognised::IssuedHere { .. } | Recognised::IssuedElsewhere => self.misplaced.push(at),
            Recognised::Own | Recognised::Derived => self.keep.push(at),
            Recognised::KnownForeign | Recognised::Unknown => self.foreign.push(at),
        }
    }

    /// A user name is no secret beside a password that may stand there, and the other way round where a
    /// word only fills the password's place.
    fn pair(&mut self, at: usize, user: &Sighting, password: &Sighting, known: &dyn Recognise) {
        let behind = at.saturating_add(1);
        let user_is = known.recognise(&user.bytes);
        let password_is = known.recognise(&password.bytes);
        let is_filler = FILLERS.contains(&password.bytes.as_slice());
        match (user_is, password_is) {
            (Recognised::KnownForeign, password_is) => {
                self.foreign.push(at);
                self.position(behind, password_is, true);
            }
            (Recognised::IssuedElsewhere, password_is) => {
                self.misplaced.push(at);
                self.position(behind, password_is, true);
            }
            (Recognised::Unknown, Recognised::IssuedHere { credential }) => self.issue(credential),
            (Recognised::Unknown, password_is) => {
                // The header is kept whole with an own password, so its user must be a plain name.
                if is_like_a_credential(&user.bytes) {
                    self.foreign.push(at);
                }
                self.position(behind, password_is, true);
            }
            (user_is, Recognised::Unknown) if is_filler => self.position(at, user_is, true),
            (user_is, password_is) => {
                self.position(at, user_is, true);
                self.position(behind, password_is, true);
            }
        }
    }

    fn issue(&mut self, credential: CredentialName) {
        if !self.issued.contains(&credential) {
            self.issued.push(credential);
        }
    }

    fn verdict(self, sightings: &[Sighting]) -> CredentialVerdict {
        let places = |of: &[usize]| {
            let mut places: Vec<Place> = Vec::new();
            for seen in of.iter().filter_map(|at| sightings.get(*at)) {
                // User and password of one header are one place to whoever reads it.
                let name = seen.place.to_string();
                if !places.iter().any(|place| place.to_string() == name) {
                    places.push(seen.place.clone());
                }
            }
            places
        };
        if !self.foreign.is_empty() {
            let telling =
                |at: &usize| sightings.get(*at).is_some_and(|seen| shape::is_telling(&seen.bytes));
            return CredentialVerdict::Foreign {
                places: places(&self.foreign),
                sightings: self.foreign.into_iter().filter(telling).collect(),
            };
        }
        if !self.misplaced.is_empty() {
            return CredentialVerdict::Misplaced { places: places(&self.misplaced) };
        }
        if self.issued.is_empty() && self.keep.is_empty() {
            CredentialVerdict::Clean
        } else {
            CredentialVerdict::Good { issued: self.issued, keep: self.keep }
        }
    }
}

fn is_like_a_credential(user: &[u8]) -> bool {
    shape::is_telling(user) || std::str::from_utf8(user).is_err()
}
