//! Judging a request to a GraphQL path.

use apollo_compiler::ast::Document;
use bytes::Bytes;
use killick_model::admin::Upstream;
use killick_model::{Action, BackupsFate, CallDigest, Effect, Facet, Part, Recovery, Refusal};

use super::part::{account, part};
use super::{AnswerSpot, CanonicalRequest, Creation, Judged, RequestView};
use super::{headers_to_pass_on, too_many};
use crate::body::Json;
use crate::graphql::{
    Chosen, DocumentError, Element, Envelope, RootField, canonical, choose, envelope, excerpt,
    revealing,
};
use crate::pack::{Pack, Root};

/// The most bytes of what is told about an invalid document.
const INVALID_BYTES_MAX: usize = 300;

/// Judges a request to a GraphQL path of a pack.
pub(super) fn judge(
    pack: &Pack,
    upstream: &Upstream,
    request: &RequestView,
) -> Result<Judged, Refusal> {
    let mut headers = headers_to_pass_on(request, &pack.positions);
    match envelope(request)? {
        Envelope::Opaque { because, body } => {
            opaque(pack, upstream, request, headers, because, body)
        }
        Envelope::Documents { elements, batch } => {
            headers.retain(|(name, _)| name != "content-type");
            headers.push(("content-type".into(), "application/json".into()));
            let call = Call { pack, upstream, batch };
            let mut sum = Sum::default();
            for (at, element) in elements.iter().enumerate() {
                call.element(at, element, &mut sum);
            }
            let body = if batch {
                Json::Array(sum.bodies)
            } else {
                sum.bodies.into_iter().next().unwrap_or(Json::Null)
            };
            let mut meaning: Vec<&[u8]> = vec![
                b"graphql",
                upstream.name.as_str().as_bytes(),
                if batch { b"batch" } else { b"single" },
            ];
            meaning.extend(sum.meanings.iter().map(String::as_bytes));
            let digest = CallDigest::of(&meaning);
            Ok(Judged {
                action: Action::new(sum.parts, crate::graphql::shorten(sum.excerpts.join(" ")))
                    .map_err(|error| too_many(&error))?,
                canonical: CanonicalRequest {
                    method: "POST".into(),
                    path_and_query: request.path.clone(),
                    headers,
                    body: Bytes::from(body.encode()),
                },
                digest,
                invalid: sum.invalid,
                creates: sum.creates,
                answer_secrets: sum.answer_secrets,
                graphql: true,
            })
        }
    }
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
    let digest = CallDigest::of(&[
        b"graphql-opaque",
        upstream.name.as_str().as_bytes(),
        request.method.as_bytes(),
        request.path.as_bytes(),
        request.query.as_deref().unwrap_or_default().as_bytes(),
        &body,
    ]);
    Ok(Judged {
        action: Action::new(vec![part], format!("{} {}", request.method, request.path))
            .map_err(|error| too_many(&error))?,
        canonical: CanonicalRequest {
            method: request.method.clone(),
            path_and_query: super::rest_call::path_and_query(request, &pack.positions),
            headers,
            body,
        },
        digest,
        invalid: None,
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

struct Call<'a> {
    pack: &'a Pack,
    upstream: &'a Upstream,
    batch: bool,
}

impl Call<'_> {
    fn element(&self, at: usize, element: &Element, sum: &mut Sum) {
        let chosen = choose(&element.text, element.operation_name.as_deref(), &element.variables);
        let chosen = match chosen {
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
        if let Some(invalid) = self.invalid(&canonical.text) {
            sum.invalid.get_or_insert(invalid);
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

    fn invalid(&self, text: &str) -> Option<String> {
        let schema = self.pack.graphql.as_ref()?.schema.as_deref()?;
        let document = Document::parse(text, "document.graphql").ok()?;
        let failed = document.to_executable_validate(schema).err()?;
        let first = failed.errors.iter().next().map(|error| error.error.to_string());
        let mut message =
            first.unwrap_or_else(|| "not valid for the schema".into()).replace('\n', " ");
        if message.len() > INVALID_BYTES_MAX {
            let mut end = INVALID_BYTES_MAX;
            while !message.is_char_boundary(end) {
                end = end.saturating_sub(1);
            }
            message.truncate(end);
        }
        Some(message)
    }
}

fn is_introspection(root: Root, field: &str) -> bool {
    match root {
        Root::Query => matches!(field, "__schema" | "__type" | "__typename"),
        Root::Mutation | Root::Subscription => field == "__typename",
    }
}
