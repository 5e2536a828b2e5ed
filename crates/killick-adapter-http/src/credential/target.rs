//! Credentials in the request's target: user information, path and query.

use super::content;
use super::names::{self, Named};
use super::shape;
use super::sighting::{Collector, Place};
use crate::judge::RequestView;

/// Looks at host, path and query.
pub(super) fn look(request: &RequestView, out: &mut Collector<'_>) {
    for host in std::iter::once(request.host.as_bytes()).chain(request.header("host")) {
        if let Some(at) = host.iter().rposition(|byte| *byte == b'@') {
            user_info(
                &String::from_utf8_lossy(host.get(..at).unwrap_or_default()),
                &|| Place::UserInfo,
                out,
            );
        }
    }
    path(&request.path, out);
    for (_, piece) in pieces(request.query.as_deref().unwrap_or_default()) {
        query_piece(piece, out);
    }
}

fn path(path: &str, out: &mut Collector<'_>) {
    if path.contains("://") {
        address(path, &|| Place::UserInfo, out);
    }
    let text = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    for found in shape::known_shapes(&text).chain(bot_token(&text)) {
        out.see(Place::UserInfo, found.as_bytes());
    }
    out.words.take(&text, &|| "path".to_owned());
}

/// Finds the token that bots of one messenger put into the path: `/bot123456789:AA.../sendMessage`.
fn bot_token(path: &str) -> Option<&str> {
    path.split('/').filter_map(|segment| segment.strip_prefix("bot")).find(|token| {
        token.split_once(':').is_some_and(|(id, secret)| {
            id.len() >= 6 && id.bytes().all(|b| b.is_ascii_digit()) && secret.len() >= 30
        })
    })
}

/// Splits a query at its separators, each piece with the separator before it.
fn pieces(query: &str) -> impl Iterator<Item = (Option<char>, &str)> {
    let mut before = None;
    // Some servers take a semicolon for an ampersand.
    query.split_inclusive(['&', ';']).map(move |piece| {
        let separator = before;
        before = piece.chars().last().filter(|c| matches!(c, '&' | ';'));
        (separator, piece.strip_suffix(['&', ';']).unwrap_or(piece))
    })
}

fn query_piece(piece: &str, out: &mut Collector<'_>) {
    let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
    let (key, value) = (content::unescaped(key), content::unescaped(value));
    let shown = names::shown(&key);
    for found in shape::known_shapes(&key) {
        out.see(Place::Query(shown.clone()), found.as_bytes());
    }
    out.words.take(&key, &|| "query".to_owned());
    if is_credential(&key, &value, out) {
        out.see(Place::Query(shown), value.as_bytes());
        return;
    }
    content::query_value(&key, &shown, &value, out);
    if value.contains("://") {
        address(&value, &|| Place::Query(shown.clone()), out);
    }
}

fn is_credential(key: &str, value: &str, out: &Collector<'_>) -> bool {
    if names::is_own_key(&out.positions.query, key) {
        return !value.trim().is_empty();
    }
    match names::query_key_name(key) {
        Named::No => false,
        Named::Often => content::is_secret_by_look(key, value),
        // A page number is no token.
        Named::Nearly => {
            content::is_plausible(value)
                && !(value.len() < 8 && value.bytes().all(|b| b.is_ascii_digit()))
        }
        Named::Always => !shape::is_no_credential(value),
    }
}

/// Looks at an address inside a value: its user information and the keys of its query.
pub(super) fn address(text: &str, place: &dyn Fn() -> Place, out: &mut Collector<'_>) {
    let Some((_, rest)) = text.split_once("://") else { return };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((info, _)) = authority.rsplit_once('@') {
        user_info(info, place, out);
    }
    let query = rest.split_once(['?', '#']).map_or("", |(_, query)| query);
    for piece in query.split(['&', ';', '#', '?']) {
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        let (key, value) = (content::unescaped(key), content::unescaped(value));
        if is_credential(&key, &value, out) {
            out.see(place(), value.as_bytes());
        }
    }
}

/// Looks at `user:password`. A user alone may be the token.
fn user_info(info: &str, place: &dyn Fn() -> Place, out: &mut Collector<'_>) {
    let (user, password) = info.split_once(':').unwrap_or((info, ""));
    for part in [user, password] {
        let part = content::unescaped(part);
        let harmless = password.is_empty() && shape::is_wordlike(&part);
        if !harmless {
            out.see(place(), part.as_bytes());
        }
    }
}

/// Returns a query without the pieces in which a credential stands; all else as it was written.
pub(super) fn query_without(query: &str, out: &mut Collector<'_>) -> Option<String> {
    let mut kept = String::new();
    let mut all = true;
    for (separator, piece) in pieces(query) {
        let before = out.positions_seen();
        query_piece(piece, out);
        if out.positions_seen() > before {
            all = false;
            continue;
        }
        if !kept.is_empty() {
            kept.push(separator.unwrap_or('&'));
        }
        kept.push_str(piece);
    }
    if all { Some(query.to_owned()) } else { Some(kept).filter(|kept| !kept.is_empty()) }
}
