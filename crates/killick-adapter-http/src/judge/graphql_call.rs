//! Judging a request to a GraphQL path.

use bytes::Bytes;
use killick_model::admin::Upstream;
use killick_model::{
    Action, BackupsFate, CallDigest, Effect, Facet, Part, Recovery, Refusal, Severity,
};

use super::part::{account, part};
use super::schema::invalid;
use super::{AnswerSpot, CanonicalRequest, Creation, Judged, RequestView};
use super::{headers_to_pass_on, too_many};
use crate::body::Json;
use crate::graphql::{
    Chosen, DocumentError, Doubt, Element, Envelope, RootField, canonical, choose, distinct,
    envelope, excerpt, revealing, shorten,
};
use crate::pack::{Pack, Root};

static NO_VARIABLES: Json = Json::Object(Vec::new());

/// Destroying or administering root fields of one call from which on they are a bulk.
const BULK_LEN_MIN: usize = 10;

/// Judges a request to a GraphQL path of a pack.
pub(super) fn judge(
    pack: &Pack,
    upstream: &Upstream,
    request: &RequestView,
) -> Result<Judged, Refusal> {
    let headers = headers_to_pass_on(request, &pack.positions);
    let call = |batch| Call { pack, upstream, batch };
    match envelope(request)? {
        Envelope::Opaque { because, body } => {
            opaque(pack, upstream, request, headers, because, body)
        }
        Envelope::Documents { elements, batch } => {
            call(batch).sum(&elements).judged(upstream, request, headers, batch)
        }
        Envelope::Doubtful { elements, doubt, body } => {
            let mut sum = call(false).sum(&elements);
            let mut ambiguous = None;
            match doubt {
                Doubt::Ambiguous(because) => ambiguous = Some(because),
                Doubt::Invalid(because) => sum.invalid = Some(because.to_owned()),
            }
            let canonical = as_it_came(pack, request, headers, body);
            let digest = digest_of(b"graphql-doubtful", upstream, request, &canonical.body);
            let told = sum.judged(upstream, request, Vec::new(), false)?;
            Ok(Judged { canonical, digest, ambiguous, ..told })
        }
    }
}

// Of a call that is not understood in one way, nothing is written anew.
fn as_it_came(
    pack: &Pack,
    request: &RequestView,
    headers: Vec<(String, String)>,
    body: Bytes,
) -> CanonicalRequest {
    CanonicalRequest {
        method: request.method.clone(),
        path_and_query: super::rest_call::path_and_query(request, &pack.positions),
        headers,
        body,
    }
}

fn digest_of(kind: &[u8], upstream: &Upstream, request: &RequestView, body: &[u8]) -> CallDigest {
    CallDigest::of(&[
        kind,
        upstream.name.as_str().as_bytes(),
        request.method.as_bytes(),
        request.path.as_bytes(),
        request.query.as_deref().unwrap_or_default().as_bytes(),
        body,
    ])
}

fn opaque(
    pack: &Pack,
    upstream: &Upstream,
    request: &RequestView,
    headers: Vec<(String, String)>,
    because: &str,
    body: Bytes,
) -> Result<Judged, Refusal> {
    let name = format!("{}.graphql", pack.name);
    let part = Part::unrecognized(name, account(&upstream.name), because);
    let digest = digest_of(b"graphql-opaque", upstream, request, &body);
    Ok(Judged {
        action: Action::new(vec![part], format!("{} {}", request.method, request.path))
            .map_err(|error| too_many(&error))?,
        canonical: as_it_came(pack, request, headers, body),
        digest,
        invalid: None,
        ambiguous: None,
        creates: Vec::new(),
        answer_secrets: Vec::new(),
        graphql: true,
    })
}

/// What the elements of a call come to.
#[derive(Default)]
struct Sum {
    parts: Vec<Part>,
    bodies: Vec<Json>,
    meanings: Vec<String>,
    excerpts: Vec<String>,
    invalid: Option<String>,
    creates: Vec<Creation>,
    answer_secrets: Vec<AnswerSpot>,
}

impl Sum {
    fn judged(
        mut self,
        upstream: &Upstream,
        request: &RequestView,
        mut headers: Vec<(String, String)>,
        batch: bool,
    ) -> Result<Judged, Refusal> {
        self.mark_bulk();
        self.shorten();
        headers.retain(|(name, _)| name != "content-type");
        headers.push(("content-type".into(), "application/json".into()));
        let body = if batch {
            Json::Array(self.bodies)
        } else {
            self.bodies.into_iter().next().unwrap_or(Json::Null)
        };
        let mut meaning: Vec<&[u8]> = vec![
            b"graphql",
            upstream.name.as_str().as_bytes(),
            if batch { b"batch" } else { b"single" },
        ];
        meaning.extend(self.meanings.iter().map(String::as_bytes));
        Ok(Judged {
            action: Action::new(self.parts, shorten(self.excerpts.join(" ")))
                .map_err(|error| too_many(&error))?,
            canonical: CanonicalRequest {
                method: "POST".into(),
                path_and_query: request.path.clone(),
                headers,
                body: Bytes::from(body.encode()),
            },
            digest: CallDigest::of(&meaning),
            invalid: self.invalid,
            ambiguous: None,
            creates: self.creates,
            answer_secrets: self.answer_secrets,
            graphql: true,
        })
    }

    // One by one they look bounded; together they empty what they are pointed at.
    fn mark_bulk(&mut self) {
        let grave = |part: &Part| match part.effect {
            Effect::Known { severity: Severity::Destroy, .. } => true,
            Effect::Known { severity: Severity::Read | Severity::Write, facets } => {
                facets.has(Facet::Administers)
            }
            Effect::Unrecognized => false,
        };
        if self.parts.iter().filter(|part| grave(part)).count() >= BULK_LEN_MIN {
            for part in self.parts.iter_mut().filter(|part| grave(part)) {
                part.effect = part.effect.with(Facet::Unbounded);
            }
        }
    }

    // A call with more operations than one may hold is not sent. What repeats itself is told once.
    fn shorten(&mut self) {
        let operations = self.parts.len();
        if operations <= Action::PARTS_MAX {
            return;
        }
        distinct(&mut self.parts);
        let limit = Action::PARTS_MAX;
        self.invalid =
            Some(format!("the call holds {operations} operations, judged are at most {limit}"));
    }
}

struct Call<'a> {
    pack: &'a Pack,
    upstream: &'a Upstream,
    batch: bool,
}

impl Call<'_> {
    fn sum(&self, elements: &[Element]) -> Sum {
        let mut sum = Sum::default();
        for (at, element) in elements.iter().enumerate() {
            self.element(at, element, &mut sum);
        }
        sum
    }

    fn element(&self, at: usize, element: &Element, sum: &mut Sum) {
        let chosen = match choose(element) {
            Ok(chosen) => chosen,
            Err(error) => return self.unchosen(element, error, sum),
        };
        let Some(canonical) = canonical(&chosen, &element.variables) else {
            return self.unchosen(element, DocumentError::Syntax, sum);
        };
        let first = sum.parts.len();
        for field in &chosen.fields {
            self.field(at, &chosen, field, sum);
        }
        if chosen.fields.is_empty() {
            sum.parts.push(self.unrecognized("nothing that is known to run"));
        }
        let schema = self.pack.graphql.as_ref().and_then(|api| api.schema.as_deref());
        if let Some(schema) = schema {
            let variables = canonical.body.get("variables").unwrap_or(&NO_VARIABLES);
            if let Some(why) = invalid(schema, &canonical.text, variables) {
                sum.invalid.get_or_insert(why);
            }
        }
        let ids: Vec<&str> = sum
            .parts
            .iter()
            .skip(first)
            .flat_map(|part| &part.objects)
            .flat_map(|object| std::iter::once(object).chain(object.within.as_deref()))
            .map(|object| object.id.as_str())
            .collect();
        sum.excerpts.push(excerpt(&chosen, &ids));
        sum.bodies.push(canonical.body);
        sum.meanings.push(canonical.meaning);
    }

    // What cannot be chosen is sent, if ever, as the document that came.
    fn unchosen(&self, element: &Element, error: DocumentError, sum: &mut Sum) {
        sum.parts.push(self.unrecognized(&error.to_string()));
        sum.excerpts.push("(unreadable document)".into());
        let mut fields = vec![("query".to_owned(), Json::String(element.text.clone()))];
        if let Some(name) = &element.operation_name {
            fields.push(("operationName".into(), Json::String(name.clone())));
        }
        if !element.variables.is_empty() {
            fields.push(("variables".into(), Json::Object(element.variables.clone())));
        }
        let body = Json::Object(fields);
        sum.meanings.push(body.encode());
        sum.bodies.push(body);
    }

    fn unrecognized(&self, why: &str) -> Part {
        Part::unrecognized(format!("{}.graphql", self.pack.name), account(&self.upstream.name), why)
    }

    fn field(&self, at: usize, chosen: &Chosen, field: &RootField, sum: &mut Sum) {
        let name = format!("{}.{}", self.pack.name, field.name);
        if is_introspection(chosen.root, &field.name) {
            sum.parts.push(Part {
                operation: name,
                effect: Effect::READ,
                irreversible: false,
                backups: BackupsFate::Survive,
                objects: vec![account(&self.upstream.name)],
                recovery: Recovery::default(),
                why: "asks for the schema".into(),
            });
            return;
        }
        let Some(operation) = self.pack.operations.get(&(chosen.root, field.name.clone())) else {
            let why = format!("the pack knows no {} `{}`", chosen.root.as_str(), field.name);
            sum.parts.push(Part::unrecognized(name, account(&self.upstream.name), why));
            return;
        };
        let spot = |at_path: String| AnswerSpot {
            batch: self.batch.then_some(at),
            response_key: Some(field.response_key.clone()),
            at: at_path,
        };
        let mut judged = part(operation, name.clone(), &self.upstream.name, &field.arguments);
        let mut secrets = judged.answer_secrets;
        if let Some(api) = &self.pack.graphql {
            let below = revealing(api, chosen, field);
            if !below.is_empty() {
                judged.part.effect = judged.part.effect.with(Facet::Reveals);
            }
            secrets.extend(below);
        }
        sum.answer_secrets.extend(secrets.into_iter().map(spot));
        if let Some(creates) = &operation.creates {
            sum.creates.push(Creation {
                operation: name,
                spot: spot(creates.at.clone()),
                kind: creates.kind.clone(),
            });
        }
        sum.parts.push(judged.part);
    }
}

fn is_introspection(root: Root, field: &str) -> bool {
    match root {
        Root::Query => matches!(field, "__schema" | "__type" | "__typename"),
        Root::Mutation | Root::Subscription => field == "__typename",
    }
}
