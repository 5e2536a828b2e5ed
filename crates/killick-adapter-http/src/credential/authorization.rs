//! What stands in an authorization header.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::sighting::Scheme;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Takes the value of an authorization header apart. Nothing but blanks yields nothing; what is not
/// understood is one credential, whole.
pub(super) fn parts(value: &[u8]) -> Vec<(Scheme, Zeroizing<Vec<u8>>)> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return Vec::new();
    }
    let whole = |scheme| vec![(scheme, Zeroizing::new(value.to_vec()))];
    let mut words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let scheme = words.next().unwrap_or_default().to_ascii_lowercase();
    let (token, more) = (words.next(), words.next());
    if scheme.starts_with(b"aws") {
        return whole(Scheme::SigV4);
    }
    let known = SCHEMES.contains(&scheme.as_slice());
    match (token, more) {
        // A known scheme without a credential is none; any other single word is one.
        (None, _) if known => Vec::new(),
        (Some(token), None) if scheme == b"basic" => {
            basic(token).unwrap_or_else(|| whole(Scheme::Other))
        }
        (Some(token), None) if known && is_token68(token) => {
            vec![(Scheme::Bearer, Zeroizing::new(token.to_vec()))]
        }
        (Some(_) | None, _) => whole(Scheme::Other),
    }
}

/// Schemes that carry one token. Behind any other word the whole value is the credential: an own login that
/// is passed on must not carry a stray one in the place of its scheme.
const SCHEMES: [&[u8]; 20] = [
    b"api-key",
    b"apikey",
    b"basic",
    b"bearer",
    b"bot",
    b"digest",
    b"dpop",
    b"geniekey",
    b"jwt",
    b"key",
    b"klaviyo-api-key",
    b"negotiate",
    b"ntlm",
    b"oauth",
    b"pat",
    b"private-token",
    b"splunk",
    b"sso-key",
    b"token",
    b"vapid",
];

/// Decodes `user:password`, leniently: what some server would decode must be seen.
fn basic(token: &[u8]) -> Option<Vec<(Scheme, Zeroizing<Vec<u8>>)>> {
    let pair = [&STANDARD, &URL_SAFE]
        .into_iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, LENIENT).decode(token).ok())
        .map(Zeroizing::new)?;
    let (user, password) = match pair.iter().position(|byte| *byte == b':') {
        Some(colon) => pair.split_at_checked(colon)?,
        None => (pair.as_slice(), &b""[..]),
    };
    let password = password.get(1..).unwrap_or_default();
    let mut found = Vec::new();
    for (scheme, part) in [(Scheme::BasicUser, user), (Scheme::BasicPassword, password)] {
        if !part.is_empty() {
            found.push((scheme, Zeroizing::new(part.to_vec())));
        }
    }
    Some(found)
}

// RFC 9110 11.2; a list or a parameter is not one token.
fn is_token68(token: &[u8]) -> bool {
    let end = token.iter().rposition(|byte| *byte != b'=').map_or(0, |at| at.saturating_add(1));
    token.get(..end).is_some_and(|rest| {
        !rest.is_empty() && rest.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~+/:".contains(b))
    })
}
