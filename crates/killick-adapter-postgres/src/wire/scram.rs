//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), both sides, sans-IO.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use killick_model::admin::ScramVerifier;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The mechanism without channel binding.
pub const PLAIN: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding.
pub const PLUS: &str = "SCRAM-SHA-256-PLUS";
/// Rounds that a server may ask for; more would only cost time.
const ITERATIONS_MAX: u32 = 10_000_000;

/// The exchange failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// A message is not what the mechanism says.
    #[error("a message of the login is not SCRAM")]
    Malformed,
    /// The other side does not know the password.
    #[error("the password does not fit")]
    Wrong,
    /// The channel is not the one that was bound.
    #[error("the login is bound to another connection")]
    Channel,
}

fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, ScramError> {
    part.and_then(|it| it.strip_prefix(name)).ok_or(ScramError::Malformed)
}

fn printable(nonce: &str) -> bool {
    (1..=512).contains(&nonce.len()) && nonce.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

/// The client's side: the gateway at a server.
pub struct Client {
    binding: Option<Vec<u8>>,
    /// Whether the server offered channel binding, which a man in the middle might have hidden.
    offered: bool,
    first_bare: String,
    password: Zeroizing<Vec<u8>>,
    expected: Option<[u8; 32]>,
}

impl Client {
    /// Begins. `binding` is `tls-server-end-point` when the server offers PLUS over TLS.
    #[must_use]
    pub fn new(
        password: Zeroizing<Vec<u8>>,
        nonce: &str,
        binding: Option<Vec<u8>>,
        tls: bool,
    ) -> Self {
        let offered = tls && binding.is_none();
        Self { binding, offered, first_bare: format!("n=,r={nonce}"), password, expected: None }
    }

    /// Returns the mechanism.
    #[must_use]
    pub fn mechanism(&self) -> &'static str {
        if self.binding.is_some() { PLUS } else { PLAIN }
    }

    fn gs2(&self) -> &'static str {
        match (&self.binding, self.offered) {
            (Some(_), _) => "p=tls-server-end-point,,",
            // The gateway could bind, and saw no offer: a server that did offer finds out here.
            (None, true) => "y,,",
            (None, false) => "n,,",
        }
    }

    /// Returns the first message.
    #[must_use]
    pub fn first(&self) -> String {
        format!("{}{}", self.gs2(), self.first_bare)
    }

    /// Answers the server's first message.
    ///
    /// # Errors
    /// It is not SCRAM.
    pub fn last(&mut self, opening: &str) -> Result<String, ScramError> {
        let mut parts = opening.split(',');
        let nonce = attribute(parts.next(), "r=")?;
        let salt =
            STANDARD.decode(attribute(parts.next(), "s=")?).map_err(|_| ScramError::Malformed)?;
        let iterations: u32 =
            attribute(parts.next(), "i=")?.parse().map_err(|_| ScramError::Malformed)?;
        let own = self.first_bare.rsplit("r=").next().unwrap_or_default();
        let grown = nonce.len() > own.len() && nonce.starts_with(own) && printable(nonce);
        if !grown || !(1..=ITERATIONS_MAX).contains(&iterations) {
            return Err(ScramError::Malformed);
        }
        let mut channel = self.gs2().as_bytes().to_vec();
        channel.extend_from_slice(self.binding.as_deref().unwrap_or_default());
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(&channel));
        let message = format!("{},{opening},{without_proof}", self.first_bare);
        let salted = Zeroizing::new(ScramVerifier::salted(&self.password, &salt, iterations));
        let client_key = Zeroizing::new(ScramVerifier::keyed(&*salted, b"Client Key"));
        let stored_key = Sha256::digest(*client_key);
        let signature = ScramVerifier::keyed(&stored_key, message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let server_key = ScramVerifier::keyed(&*salted, b"Server Key");
        self.expected = Some(ScramVerifier::keyed(&server_key, message.as_bytes()));
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Checks that the server knows the password too.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self, server_last: &str) -> Result<(), ScramError> {
        let signature = server_last
            .strip_prefix("v=")
            .and_then(|raw| STANDARD.decode(raw.split(',').next().unwrap_or_default()).ok())
            .ok_or(ScramError::Wrong)?;
        let expected = self.expected.as_ref().ok_or(ScramError::Malformed)?;
        if bool::from(signature.as_slice().ct_eq(expected)) {
            Ok(())
        } else {
            Err(ScramError::Wrong)
        }
    }
}

/// The server's side: the gateway towards an agent.
pub struct Server {
    verifier: ScramVerifier,
    /// Whether the verifier is of somebody; a made-up one keeps names from being probed.
    known: bool,
    gs2: String,
    first_bare: String,
    opening: String,
    nonce: String,
}

impl Server {
    /// Takes the client's first message.
    ///
    /// # Errors
    /// It is not SCRAM, or asks for a binding that is not offered.
    pub fn new(
        verifier: Option<ScramVerifier>,
        mock_salt: &[u8; 16],
        client_first: &str,
        nonce: &str,
    ) -> Result<Self, ScramError> {
        let known = verifier.is_some();
        let verifier = verifier.unwrap_or_else(|| ScramVerifier {
            salt: mock_salt.to_vec(),
            iterations: ScramVerifier::ITERATIONS,
            stored_key: vec![0; 32],
            server_key: vec![0; 32],
        });
        let mut halves = client_first.splitn(3, ',');
        let (flag, authzid) = (halves.next(), halves.next());
        let bare = halves.next().ok_or(ScramError::Malformed)?;
        let flag = flag.filter(|it| matches!(*it, "n" | "y")).ok_or(ScramError::Channel)?;
        let authzid = authzid.filter(|it| it.is_empty()).ok_or(ScramError::Malformed)?;
        let mut parts = bare.split(',');
        attribute(parts.next(), "n=")?;
        let client_nonce = attribute(parts.next(), "r=")?;
        if !printable(client_nonce) {
            return Err(ScramError::Malformed);
        }
        let nonce = format!("{client_nonce}{nonce}");
        let opening =
            format!("r={nonce},s={},i={}", STANDARD.encode(&verifier.salt), verifier.iterations);
        Ok(Self {
            verifier,
            known,
            gs2: format!("{flag},{authzid},"),
            first_bare: bare.to_owned(),
            opening,
            nonce,
        })
    }

    /// Returns the server's first message.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.opening
    }

    /// Checks the client's last message and returns the server's.
    ///
    /// # Errors
    /// The client does not know the password, or it is not SCRAM.
    pub fn last(&self, client_last: &str) -> Result<String, ScramError> {
        let (without_proof, proof) = client_last.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let proof = STANDARD.decode(proof).map_err(|_| ScramError::Malformed)?;
        let mut parts = without_proof.split(',');
        let channel =
            STANDARD.decode(attribute(parts.next(), "c=")?).map_err(|_| ScramError::Malformed)?;
        if channel != self.gs2.as_bytes() {
            return Err(ScramError::Channel);
        }
        if attribute(parts.next(), "r=")? != self.nonce || proof.len() != 32 {
            return Err(ScramError::Malformed);
        }
        let message = format!("{},{},{without_proof}", self.first_bare, self.opening);
        let signature = ScramVerifier::keyed(&self.verifier.stored_key, message.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let fits = Sha256::digest(&client_key).as_slice().ct_eq(&self.verifier.stored_key);
        if !bool::from(fits) || !self.known {
            return Err(ScramError::Wrong);
        }
        let signed = ScramVerifier::keyed(&self.verifier.server_key, message.as_bytes());
        Ok(format!("v={}", STANDARD.encode(signed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(password: &str) -> Client {
        Client::new(
            Zeroizing::new(password.as_bytes().to_vec()),
            "rOprNGfwEbeRWgbNEkqO",
            None,
            false,
        )
    }

    #[test]
    fn the_example_of_rfc_7677_comes_out() {
        // The example names a user, PostgreSQL's clients name none; the messages are the RFC's own.
        let mut client = client("pencil");
        client.first_bare = "n=user,r=rOprNGfwEbeRWgbNEkqO".into();
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let last = client.last(server).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(client.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert_eq!(
            client.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="),
            Err(ScramError::Wrong)
        );
    }

    fn exchange(verifier: Option<ScramVerifier>, password: &str) -> Result<(), ScramError> {
        let mut client = client(password);
        let server = Server::new(verifier, &[1; 16], &client.first(), "abc")?;
        let last = client.last(server.first())?;
        client.check(&server.last(&last)?)
    }

    #[test]
    fn both_sides_agree_on_the_password_and_on_nothing_else() {
        let verifier = ScramVerifier::of(b"ksess_1", &[7; 16]);
        assert_eq!(exchange(Some(verifier.clone()), "ksess_1"), Ok(()));
        assert_eq!(exchange(Some(verifier), "ksess_2"), Err(ScramError::Wrong));
        assert_eq!(exchange(None, "ksess_1"), Err(ScramError::Wrong));
    }

    #[test]
    fn a_server_that_does_not_grow_the_nonce_is_not_believed() {
        let mut client = client("x");
        assert!(client.last("r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=4096").is_err());
        assert!(client.last("r=other,s=AAAA,i=4096").is_err());
        assert!(client.last("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=0").is_err());
    }
}
