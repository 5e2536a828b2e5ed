//! Every way in which the fields of a request for one operation can be read.

use killick_model::{Code, Refusal};

use crate::body::{self, Json};

/// Ways to read one request that are judged; one with more is refused untold.
pub(super) const WAYS_MAX: usize = 8;

/// Keys that mean something to a GraphQL server.
const KEYS: [&str; 4] = ["query", "operationName", "variables", "extensions"];

/// One request for one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// The document.
    pub(crate) text: String,
    /// The operation to run.
    pub(crate) operation_name: Option<String>,
    /// Its variables.
    pub(crate) variables: Vec<(String, Json)>,
    /// Whether files may take the place of nulls in the variables.
    pub(crate) files: bool,
}

/// What the fields of a request for one operation come to.
#[derive(Debug)]
pub(super) enum Reading {
    /// A document in one way, or in several; then `doubt` says why.
    Documents { elements: Vec<Element>, doubt: Option<&'static str> },
    /// No document.
    Opaque(&'static str),
}

/// Reads the fields of a request; `beside` are those that its address holds beside its body.
///
/// # Errors
/// A field is not what it should be, or a way to read them is none that can be judged.
pub(super) fn read(
    fields: &[(String, Json)],
    beside: &[(String, Json)],
) -> Result<Reading, Refusal> {
    let mut found = Found::default();
    for (key, value) in fields {
        found.take(key, value)?;
    }
    if !beside.is_empty() {
        found.doubt.get_or_insert("the query string of a POST says what the body should say");
    }
    for (key, value) in beside {
        found.take(key, value)?;
    }
    // A server that goes by the exact spelling in the body finds nothing there.
    let exact = |key: &str| fields.iter().any(|(name, _)| name == key);
    if !exact("query") {
        found.documents.push(None);
    }
    if !exact("operationName") {
        found.names.push(None);
    }
    if !exact("variables") {
        found.variables.push(Vec::new());
    }
    found.ways(fields.iter().all(|(key, _)| is_key(key) && !key.eq_ignore_ascii_case("extensions")))
}

/// Returns whether a key means something to a GraphQL server, if it does not mind the case.
pub(super) fn is_key(key: &str) -> bool {
    KEYS.iter().any(|known| known.eq_ignore_ascii_case(key))
}

pub(super) fn ambiguous(because: impl Into<String>) -> Refusal {
    Refusal::new(Code::AmbiguousBody, because)
}

/// The values that each field may have.
#[derive(Default)]
struct Found {
    seen: Vec<&'static str>,
    documents: Vec<Option<String>>,
    names: Vec<Option<String>>,
    variables: Vec<Vec<(String, Json)>>,
    doubt: Option<&'static str>,
}

impl Found {
    fn take(&mut self, key: &str, value: &Json) -> Result<(), Refusal> {
        let Some(known) = KEYS.into_iter().find(|known| known.eq_ignore_ascii_case(key)) else {
            return Ok(());
        };
        if known != key {
            self.doubt.get_or_insert("a key differs from a key of GraphQL by its case alone");
        }
        if self.seen.contains(&known) {
            self.doubt.get_or_insert("a key of GraphQL stands twice");
        }
        self.seen.push(known);
        match (known, value) {
            ("query", Json::String(text)) => self.documents.push(Some(text.clone())),
            ("query", Json::Null) => self.documents.push(None),
            ("operationName", Json::String(name)) => {
                self.names.push(Some(name.clone()).filter(|name| !name.is_empty()));
            }
            ("operationName", Json::Null) => self.names.push(None),
            ("variables", Json::Object(given)) => self.variables.push(given.clone()),
            ("variables", Json::Null) => self.variables.push(Vec::new()),
            ("variables", Json::String(inner)) => self.variables_text(inner)?,
            ("extensions", _) => {}
            (_, _) => {
                return Err(ambiguous(
                    "`query`, `operationName` or `variables` is not what it should be",
                ));
            }
        }
        Ok(())
    }

    fn variables_text(&mut self, inner: &str) -> Result<(), Refusal> {
        let no_object = || ambiguous("`variables` is a text that is no JSON object");
        let ways = body::ways(inner, WAYS_MAX).map_err(|_| no_object())?;
        if ways.doubt.is_some() {
            self.doubt.get_or_insert("a key stands twice in `variables`");
        }
        for value in ways.values {
            self.variables.push(match value {
                Json::Object(given) => given,
                Json::Null => Vec::new(),
                Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
                    return Err(no_object());
                }
            });
        }
        Ok(())
    }

    // Every value of one field with every value of the others.
    fn ways(mut self, nothing_else: bool) -> Result<Reading, Refusal> {
        let doubted = self.doubt.map(ambiguous);
        if self.documents.iter().all(Option::is_none) {
            let because = "no document: a stored one is known to the provider alone";
            return doubted.map_or(Ok(Reading::Opaque(because)), Err);
        }
        // Without a document, and without any key that could name a stored one, nothing runs.
        if self.documents.contains(&None) && !nothing_else {
            return Err(doubted.unwrap_or_else(|| ambiguous("a document that not all find")));
        }
        self.documents.retain(Option::is_some);
        distinct(&mut self.documents);
        distinct(&mut self.names);
        distinct(&mut self.variables);
        let (names, variables) = (self.names.len(), self.variables.len());
        let ways = self.documents.len().saturating_mul(names).saturating_mul(variables);
        if ways > WAYS_MAX {
            return Err(doubted.unwrap_or_else(|| ambiguous("more ways to read it than judged")));
        }
        let mut elements = Vec::with_capacity(ways);
        for text in self.documents.into_iter().flatten() {
            for operation_name in &self.names {
                for variables in &self.variables {
                    elements.push(Element {
                        text: text.clone(),
                        operation_name: operation_name.clone(),
                        variables: variables.clone(),
                        files: false,
                    });
                }
            }
        }
        Ok(Reading::Documents { elements, doubt: self.doubt })
    }
}

/// Drops what stands there before.
pub(crate) fn distinct<T: PartialEq>(all: &mut Vec<T>) {
    let mut kept: Vec<T> = Vec::with_capacity(all.len());
    for one in all.drain(..) {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    *all = kept;
}
