//! Names that say that a credential stands behind them, and names that say that none does.

/// Headers that carry a credential by convention, beside a pack's own.
const KEY_HEADERS: [&str; 66] = [
    "access-token",
    "api-key",
    "api-token",
    "apikey",
    "auth",
    "auth-key",
    "auth-token",
    "authentication",
    "authorization-token",
    "bearer",
    "cf-access-client-secret",
    "cf-access-jwt-assertion",
    "cf-access-token",
    "circle-token",
    "client-cert",
    "client-secret",
    "credential",
    "credentials",
    "dd-api-key",
    "dd-application-key",
    "deploy-token",
    "fastly-key",
    "id-token",
    "job-token",
    "jwt",
    "ocp-apim-subscription-key",
    "password",
    "private-token",
    "secret",
    "session",
    "session-token",
    "signature",
    "ssl-client-cert",
    "token",
    "x-access-key",
    "x-access-token",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-api-key",
    "x-api-token",
    "x-apikey",
    "x-auth",
    "x-auth-key",
    "x-auth-token",
    "x-authorization",
    "x-client-cert",
    "x-client-secret",
    "x-deploy-token",
    "x-forwarded-access-token",
    "x-forwarded-authorization",
    "x-forwarded-client-cert",
    "x-github-token",
    "x-goog-api-key",
    "x-goog-iap-jwt-assertion",
    "x-hasura-admin-secret",
    "x-honeycomb-team",
    "x-jfrog-art-api",
    "x-original-authorization",
    "x-sentry-auth",
    "x-service-token",
    "x-session",
    "x-ssl-client-cert",
    "x-token",
    "x-vault-token",
];

/// Ends of header names that carry a credential.
const KEY_ENDS: [&str; 12] = [
    "-accesskey",
    "-api-key",
    "-apikey",
    "-assertion",
    "-authorization",
    "-credential",
    "-credentials",
    "-jwt",
    "-password",
    "-secret",
    "-signature",
    "-token",
];

/// Ends of header names that carry a credential unless the value is plain words.
const LIKELY_ENDS: [&str; 2] = ["-auth", "-key"];

/// Headers whose values may look random and are no credential. What stands in them is still compared
/// with known credentials and known shapes.
const FREE_HEADERS: [&str; 64] = [
    "access-control-request-headers",
    "access-control-request-method",
    "b3",
    "baggage",
    "cache-control",
    "cache-key",
    "cdn-loop",
    "connection",
    "correlation-id",
    "csrf-token",
    "date",
    "depth",
    "destination",
    "digest",
    "dnt",
    "etag",
    "expect",
    "from",
    "github-api-version",
    "host",
    "idempotency-key",
    "keep-alive",
    "last-event-id",
    "newrelic",
    "notion-version",
    "origin",
    "pragma",
    "prefer",
    "priority",
    "proxy-connection",
    "range",
    "referer",
    "repr-digest",
    "request-context",
    "request-id",
    "save-data",
    "sforce-query-options",
    "surrogate-key",
    "te",
    "traceparent",
    "tracestate",
    "uber-trace-id",
    "user-agent",
    "want-content-digest",
    "want-digest",
    "x-amzn-trace-id",
    "x-app",
    "x-cache-key",
    "x-client-name",
    "x-client-version",
    "x-cloud-trace-context",
    "x-continuation-token",
    "x-csrf-token",
    "x-correlation-id",
    "x-idempotency-key",
    "x-note",
    "x-partition-key",
    "x-request-id",
    "x-requested-with",
    "x-routing-key",
    "x-source",
    "x-trace-id",
    "x-user-agent",
    "x-xsrf-token",
];

/// Beginnings of such headers.
const FREE_BEGINS: [&str; 38] = [
    "accept",
    "amz-sdk-",
    "anthropic-",
    "apollo-",
    "apollographql-client-",
    "cargo-",
    "content-",
    "docker-",
    "git-",
    "graphql-",
    "grpc-",
    "if-",
    "linear-",
    "npm-",
    "openai-",
    "pacote-",
    "sec-",
    "sentry-",
    "stripe-",
    "tus-",
    "upload-",
    "x-amz-",
    "x-apollo-",
    "x-b3-",
    "x-cargo-",
    "x-datadog-",
    "x-github-",
    "x-gitlab-",
    "x-goog-",
    "x-honeycomb-trace",
    "x-ms-",
    "x-npm-",
    "x-railway-",
    "x-shopify-",
    "x-stainless-",
    "x-terraform-",
    "x-vercel-",
    "yarn-",
];

/// Ends of header names behind which an identifier stands.
const ID_ENDS: [&str; 22] = [
    "account-id",
    "app-id",
    "build-id",
    "client-id",
    "correlation-id",
    "deployment-id",
    "device-id",
    "environment-id",
    "installation-id",
    "instance-id",
    "operation-id",
    "org-id",
    "organization-id",
    "project-id",
    "request-id",
    "service-id",
    "span-id",
    "team-id",
    "tenant-id",
    "trace-id",
    "transaction-id",
    "workspace-id",
];

/// What the name of a header says about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderName {
    /// A credential stands here, whatever it looks like.
    Key,
    /// A credential stands here, unless the value is plain words.
    Likely,
    /// Something that may look random and is none.
    Free,
    /// An identifier: a UUID says nothing.
    Identifier,
    /// Nobody knows.
    Unknown,
}

/// Says what the name of a header, in lower case, means.
pub(super) fn header_name(name: &str) -> HeaderName {
    if FREE_HEADERS.contains(&name) {
        return HeaderName::Free;
    }
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    // `sec-websocket-key` and the like belong to a protocol.
    let by_end = !name.starts_with("sec-");
    if KEY_HEADERS.contains(&name) || (by_end && ends(&KEY_ENDS)) {
        return HeaderName::Key;
    }
    if by_end && ends(&LIKELY_ENDS) {
        return HeaderName::Likely;
    }
    if FREE_BEGINS.iter().any(|begin| name.starts_with(begin)) {
        return HeaderName::Free;
    }
    if ID_ENDS.iter().any(|end| {
        name.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('-'))
    }) {
        return HeaderName::Identifier;
    }
    HeaderName::Unknown
}

/// How strongly a key says that a credential stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    /// It does not.
    No,
    /// Often: when the value is random.
    Often,
    /// Nearly always: when the value has no blanks and is no URL.
    Nearly,
    /// Always.
    Always,
}

/// Keys that carry a credential, without `_`, `-` and blanks, lower case.
const ALWAYS: [&str; 51] = [
    "accesskeysecret",
    "accesstoken",
    "adminpassword",
    "apikey",
    "apisecret",
    "apitoken",
    "authkey",
    "authorization",
    "authtoken",
    "awsaccesskeyid",
    "awssecretaccesskey",
    "bearertoken",
    "clientassertion",
    "clientsecret",
    "encryptionkey",
    "githubtoken",
    "gitlabtoken",
    "hapikey",
    "idtoken",
    "jobtoken",
    "jwt",
    "masterkey",
    "npmtoken",
    "oauthtoken",
    "oauthtokensecret",
    "passphrase",
    "passwd",
    "password",
    "personalaccesstoken",
    "privatekey",
    "privatetoken",
    "railwaytoken",
    "refreshtoken",
    "secretaccesskey",
    "secretkey",
    "serviceaccountkey",
    "sessiontoken",
    "signingkey",
    "signingsecret",
    "subscriptionkey",
    "userpassword",
    "webhooksecret",
    "xamzcredential",
    "xamzsecuritytoken",
    "xamzsignature",
    "xapikey",
    "xauthtoken",
    "xgoogcredential",
    "xgoogsignature",
    "consumersecret",
    "oauthsignature",
];

/// Ends of keys that nearly always carry one (`DB_PASSWORD`, `stripeSecretKey`).
const NEARLY_ENDS: [&str; 12] = [
    "accesstoken",
    "apikey",
    "apitoken",
    "authtoken",
    "clientsecret",
    "passphrase",
    "password",
    "privatekey",
    "pwd",
    "refreshtoken",
    "secretaccesskey",
    "secretkey",
];

/// Keys that often carry one.
const OFTEN: [&str; 13] = [
    "assertion",
    "auth",
    "code",
    "credential",
    "key",
    "pat",
    "secret",
    "session",
    "sessionid",
    "sig",
    "signature",
    "ticket",
    "token",
];

/// Says what a key of a body means.
pub(super) fn key_name(key: &str) -> Named {
    key_components(key).map(|part| component(&part)).max().unwrap_or(Named::No)
}

/// Says what a key of a query means. A query ends in logs and referrers, so a short signature or token in
/// one is a bearer's proof more often than in a body.
pub(super) fn query_key_name(key: &str) -> Named {
    let often_is_nearly = ["token", "sig", "signature", "secret"];
    let nearly = key_components(key).any(|part| often_is_nearly.contains(&part.as_str()));
    key_name(key).max(if nearly { Named::Nearly } else { Named::No })
}

/// Returns the pieces of a key (`user[password]`, `input.apiKey`) in one spelling.
fn key_components(key: &str) -> impl Iterator<Item = String> + '_ {
    key.split(['[', ']', '.', '/', ':']).map(plain_key).filter(|part| !part.is_empty())
}

fn component(part: &str) -> Named {
    if ALWAYS.contains(&part) {
        Named::Always
    } else if NEARLY_ENDS.iter().any(|end| part.ends_with(end)) {
        Named::Nearly
    } else if OFTEN.contains(&part) {
        Named::Often
    } else {
        Named::No
    }
}

/// Returns a key in the one spelling in which keys are compared.
pub(super) fn plain_key(key: &str) -> String {
    key.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '\0'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Returns whether a key is one of a pack's own.
pub(super) fn is_own_key(own: &[String], key: &str) -> bool {
    !own.is_empty()
        && key_components(key).any(|part| own.iter().any(|known| plain_key(known) == part))
}

/// The most characters of a name that is repeated in a refusal.
const SHOWN_CHARS_MAX: usize = 64;

/// Returns a name as it may be shown: an agent may write a credential where a name belongs.
pub(super) fn shown(name: &str) -> String {
    let plain = name.len() <= SHOWN_CHARS_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.[]$@:".contains(&b));
    let harmless =
        plain && super::shape::known_shape(name).is_none() && !super::shape::looks_random(name);
    if harmless { name.to_owned() } else { "(unnamed)".to_owned() }
}

/// Returns whether a key that only often names a credential names no identifier: behind it even a UUID is
/// a credential.
pub(super) fn names_a_secret(key: &str) -> bool {
    key_components(key).any(|part| {
        matches!(part.as_str(), "token" | "secret" | "credential" | "pat" | "sig" | "signature")
    })
}
