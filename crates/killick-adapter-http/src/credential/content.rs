//! Credentials in what a body, or the value of a query parameter, says. Best effort: named keys, known
//! shapes, and words to be compared.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::authorization;
use super::document::{self, Manner};
use super::names::{self, Named};
use super::shape;
use super::sighting::{Collector, Place};
use crate::body::{self, ContentType};
use crate::judge::RequestView;

/// The deepest nesting of texts inside texts that is read (JSON in a string of JSON).
const TEXTS_DEEP_MAX: usize = 4;

/// The most JSON values behind each other in one text; a text with more is looked through as nearly JSON.
const VALUES_MAX: usize = 1000;

/// What is looked through.
#[derive(Clone, Copy)]
pub(super) enum Site<'a> {
    /// The body.
    Body,
    /// The value of a query parameter, by the name as it may be shown.
    Query(&'a str),
}

impl Site<'_> {
    fn key(&self, path: String) -> Place {
        match self {
            Self::Body => Place::BodyKey(path),
            Self::Query(name) => Place::Query(format!("{name} {path}")),
        }
    }

    /// The place of a known shape; `whole` when the value is nothing but it.
    fn shape(&self, path: String, whole: bool) -> Place {
        match self {
            Self::Body => Place::BodyShape(path),
            Self::Query(name) if whole && path == "$" => Place::Query((*name).to_owned()),
            Self::Query(name) => Place::Query(format!("{name} {path}")),
        }
    }

    fn word(&self, path: &str) -> String {
        match self {
            Self::Body => path.to_owned(),
            Self::Query(name) => format!("query {name} {path}"),
        }
    }
}

/// Looks through a body.
pub(super) fn body(request: &RequestView, out: &mut Collector<'_>) {
    // What cannot be decoded is refused by the judgement; until then its bytes are looked at as they are.
    let decoded = body::decode(request).unwrap_or_else(|_| request.body.clone());
    if decoded.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(&decoded);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut walk = Walk::new(out, Site::Body);
    // What begins like JSON is read as JSON, whatever it says it is.
    let begins_like_json = text.trim_start().starts_with(['{', '[', '"']);
    if begins_like_json && walk.json(text) {
        return;
    }
    if begins_like_json {
        walk.literals(text, Manner::NearlyJson);
    }
    match ContentType::of(request) {
        ContentType::Form => walk.form(text),
        ContentType::Multipart => walk.multipart(text),
        ContentType::Graphql => walk.graphql(text),
        ContentType::Json => walk.nearly_json(text),
        ContentType::Unsaid | ContentType::Text | ContentType::Other => walk.anything(text),
    }
}

/// Looks through the value of a query parameter that is not a credential's by its key.
pub(super) fn query_value(key: &str, shown: &str, value: &str, out: &mut Collector<'_>) {
    let mut walk = Walk::new(out, Site::Query(shown));
    walk.string(key, Named::No, false, value);
}

/// A way through a text.
struct Walk<'w, 'p> {
    out: &'w mut Collector<'p>,
    site: Site<'w>,
    path: Vec<String>,
    texts: usize,
}

impl<'w, 'p> Walk<'w, 'p> {
    fn new(out: &'w mut Collector<'p>, site: Site<'w>) -> Self {
        Self { out, site, path: Vec::new(), texts: 0 }
    }

    fn place(&self) -> String {
        joined(&self.path)
    }

    /// Looks at one text that stands behind a key.
    fn string(&mut self, key: &str, named: Named, own: bool, value: &str) {
        if is_credential(key, named, own, value) {
            self.credential(value);
        } else {
            if shape::holds_private_key(value) {
                self.out.see(self.site.shape(self.place(), false), value.as_bytes());
            }
            for found in shape::known_shapes(value) {
                let place = self.site.shape(self.place(), found == value);
                self.out.see(place, found.as_bytes());
            }
        }
        let (site, path) = (self.site, &self.path);
        self.out.words.take(value, &|| site.word(&joined(path)));
        self.inside(key, value);
    }

    /// Notes a value behind a credential's key; `Bearer TOKEN` without its scheme.
    fn credential(&mut self, value: &str) {
        if !value.contains(' ') {
            return self.out.see(self.site.key(self.place()), value.as_bytes());
        }
        for (_, bytes) in authorization::parts(value.as_bytes()) {
            self.out.see(self.site.key(self.place()), &bytes);
        }
    }

    /// Looks at a key of a body: an agent may write a credential there too.
    fn key(&mut self, key: &str) {
        for found in shape::known_shapes(key) {
            self.out.see(self.site.shape(self.place(), false), found.as_bytes());
        }
        let site = self.site;
        self.out.words.take(key, &|| site.word("$"));
    }

    /// Looks at a text for another one inside it.
    fn inside(&mut self, key: &str, value: &str) {
        if self.texts >= TEXTS_DEEP_MAX {
            return;
        }
        self.texts = self.texts.saturating_add(1);
        let key = names::plain_key(key);
        let document = matches!(key.as_str(), "query" | "mutation" | "document" | "operations");
        if value.trim_start().starts_with(['{', '[', '"']) && self.json(value) {
            // It was JSON, and not a document that begins with a brace.
        } else if document && document::looks_like_graphql(value) {
            self.literals(value, Manner::Graphql);
        }
        self.texts = self.texts.saturating_sub(1);
    }

    /// Walks through one JSON value, or several behind each other; returns whether that is all there is.
    fn json(&mut self, text: &str) -> bool {
        let mut values = serde_json::Deserializer::from_str(text);
        let depth = self.path.len();
        for at in 0..VALUES_MAX {
            if values.end().is_ok() {
                return at > 0;
            }
            let seed = Value { walk: self, key: "", named: Named::No, own: false };
            let read = seed.deserialize(&mut values);
            self.path.truncate(depth);
            if read.is_err() {
                return false;
            }
        }
        values.end().is_ok()
    }

    fn nearly_json(&mut self, text: &str) {
        self.plain(text);
        self.literals(text, Manner::NearlyJson);
    }

    fn graphql(&mut self, text: &str) {
        self.plain(text);
        self.literals(text, Manner::Graphql);
    }

    fn literals(&mut self, text: &str, manner: Manner) {
        for literal in document::literals(text, manner) {
            let own = names::is_own_key(&self.out.positions.body, &literal.name);
            let step = if literal.name.is_empty() { "literal" } else { &literal.name };
            self.path.push(format!(".{}", names::shown(step)));
            self.string(&literal.name, names::key_name(&literal.name), own, &literal.value);
            self.path.pop();
        }
    }

    fn form(&mut self, text: &str) {
        for pair in text.split(['&', ';']) {
            let (key, value) = pair.split_once('=').unwrap_or(("", pair));
            let (key, value) = (unescaped(key), unescaped(value));
            self.named_string(&key, &value);
        }
    }

    fn named_string(&mut self, key: &str, value: &str) {
        let own = names::is_own_key(&self.out.positions.body, key);
        let named = names::key_name(key);
        self.path.push(format!(".{}", names::shown(key)));
        self.string(key, named, own, value);
        self.key(key);
        self.path.pop();
    }

    /// Reads parts by their delimiter lines, whatever boundary was announced.
    fn multipart(&mut self, text: &str) {
        let boundary = text.lines().find(|line| line.starts_with("--")).map(str::trim_end);
        let Some(boundary) = boundary.filter(|boundary| boundary.len() > 2) else {
            return self.form(text);
        };
        for part in text.split(boundary) {
            let (head, content) = part
                .split_once("\r\n\r\n")
                .or_else(|| part.split_once("\n\n"))
                .unwrap_or(("", part));
            let content = content.trim_end_matches(['\r', '\n']);
            let key = part_name(head);
            self.named_string(&key, content);
        }
    }

    fn plain(&mut self, text: &str) {
        self.string("", Named::No, false, text);
    }

    /// Looks at a text of which nothing is known.
    fn anything(&mut self, text: &str) {
        if document::looks_like_graphql(text) {
            return self.graphql(text);
        }
        self.plain(text);
        if text.starts_with("--") {
            self.multipart(text);
        } else if text.contains('=') && !text.trim().contains(char::is_whitespace) {
            self.form(text);
        }
    }
}

fn joined(path: &[String]) -> String {
    path.iter().fold(String::from("$"), |text, step| text + step)
}

fn is_credential(key: &str, named: Named, own: bool, value: &str) -> bool {
    if own {
        return !value.trim().is_empty();
    }
    match named {
        Named::No => false,
        Named::Often => is_secret_by_look(key, value),
        Named::Nearly => is_plausible(value),
        Named::Always => !shape::is_no_credential(value),
    }
}

/// Decides by the value where the key does not. Behind `token` or `secret` a random value is a credential;
/// behind `key` or `code` it must not be a UUID or a path, for those are identifiers.
pub(super) fn is_secret_by_look(key: &str, value: &str) -> bool {
    let identifier = shape::is_uuid(value) || !shape::is_one_piece(value);
    shape::is_random_for_its_name(value) && (names::names_a_secret(key) || !identifier)
}

/// Returns whether a value could be a credential at all: one piece, and no path or address.
pub(super) fn is_plausible(value: &str) -> bool {
    value.len() >= 4
        && !value.contains(char::is_whitespace)
        && !value.starts_with('/')
        && !value.contains("://")
        && !shape::is_no_credential(value)
}

/// Undoes a form's escapes, leniently.
pub(super) fn unescaped(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

fn part_name(head: &str) -> String {
    let found = head.split([';', '\n']).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("name").then(|| value.trim().trim_matches('"').to_owned())
    });
    found.unwrap_or_default()
}

/// Walks through a JSON value without building it; both of two equal keys are seen.
struct Value<'v, 'w, 'p, 'k> {
    walk: &'v mut Walk<'w, 'p>,
    key: &'k str,
    named: Named,
    own: bool,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl Value<'_, '_, '_, '_> {
    fn number(self, text: &str) {
        // A short number under such a key is a setting.
        if text.len() >= 4 && (self.own || self.named == Named::Always) {
            let place = self.walk.site.key(self.walk.place());
            self.walk.out.see(place, text.as_bytes());
        }
    }
}

impl<'de> Visitor<'de> for Value<'_, '_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.number(&value.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.number(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.number(&value.to_string());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.walk.string(self.key, self.named, self.own, value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut at = 0_usize;
        loop {
            self.walk.path.push(format!("[{at}]"));
            let (named, own) = (self.named, self.own);
            let seed = Value { walk: &mut *self.walk, key: self.key, named, own };
            let item = items.next_element_seed(seed)?;
            self.walk.path.pop();
            if item.is_none() {
                return Ok(());
            }
            at = at.saturating_add(1);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(key) = fields.next_key::<String>()? {
            let own = self.own || names::is_own_key(&self.walk.out.positions.body, &key);
            let mut named = names::key_name(&key);
            // `{"password": {"value": "..."}}`
            if matches!(names::plain_key(&key).as_str(), "value" | "plaintext") {
                named = named.max(self.named);
            }
            self.walk.path.push(format!(".{}", names::shown(&key)));
            self.walk.key(&key);
            fields.next_value_seed(Value { walk: &mut *self.walk, key: &key, named, own })?;
            self.walk.path.pop();
        }
        Ok(())
    }
}
