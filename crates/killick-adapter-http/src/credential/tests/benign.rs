//! Requests as ordinary programs send them: nothing in them is a credential.

use super::*;

const UUID: &str = "3d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d10";

fn clean(view: &RequestView) {
    assert_eq!(verdict(view), CredentialVerdict::Clean, "{view:?} {:?}", look(view));
}

#[test]
fn heads_of_ordinary_clients_are_clean() {
    for headers in [
        // curl, wget
        vec![("user-agent", "curl/8.5.0"), ("accept", "*/*")],
        vec![("user-agent", "Wget/1.21.4"), ("accept-encoding", "identity")],
        // git over HTTP
        vec![
            ("user-agent", "git/2.43.0"),
            ("accept", "application/x-git-upload-pack-result"),
            ("content-type", "application/x-git-upload-pack-request"),
            ("git-protocol", "version=2"),
            ("pragma", "no-cache"),
        ],
        // cargo
        vec![
            ("user-agent", "cargo/1.95.0 (0a1b2c3d4 2026-09-01)"),
            ("cargo-protocol", "version=1"),
        ],
        // npm
        vec![
            ("user-agent", "npm/10.2.4 node/v20.11.0 linux x64 workspaces/false"),
            ("npm-session", "4f9d8a7b6c5e4d3c"),
            ("npm-command", "install"),
            ("npm-auth-type", "web"),
            ("pacote-version", "17.0.6"),
            ("pacote-req-type", "packument"),
            ("pacote-pkg-id", "registry:@types/node@^20.0.0"),
            ("pacote-integrity", "sha512-n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="),
            ("if-none-match", "W/\"4f9d8a7b6c5e4d3c2b1a0f9e8d7c6b5a\""),
        ],
        // pip
        vec![
            (
                "user-agent",
                "pip/24.0 {\"ci\":null,\"cpu\":\"x86_64\",\"openssl_version\":\"OpenSSL 3.0.13 30 Jan 2024\"}",
            ),
            ("cache-control", "max-age=0"),
            ("accept", "application/vnd.pypi.simple.v1+json, text/html; q=0.1"),
        ],
        // Go, Node, Python, Java
        vec![("user-agent", "Go-http-client/2.0"), ("accept-encoding", "gzip")],
        vec![("user-agent", "node"), ("sec-fetch-mode", "cors"), ("accept-language", "*")],
        vec![("user-agent", "python-requests/2.31.0"), ("connection", "keep-alive")],
        vec![("user-agent", "okhttp/4.12.0"), ("accept-charset", "UTF-8")],
        // the Railway client
        vec![
            ("user-agent", "CLI 5.71.0"),
            ("x-source", "CLI 5.71.0"),
            ("x-railway-opencode-protocols", "1,2"),
            ("x-railway-agent", "3d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d10"),
            ("content-type", "application/json"),
            ("accept", "*/*"),
        ],
        // browsers and their fetch
        vec![
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0.0.0"),
            ("sec-ch-ua", "\"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\""),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("origin", "https://railway.app"),
            ("referer", "https://railway.app/project/3d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d10?tab=a"),
            ("upgrade-insecure-requests", "1"),
            ("dnt", "1"),
            ("priority", "u=1, i"),
        ],
        // tracing and idempotency
        vec![("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")],
        vec![("tracestate", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")],
        vec![("baggage", "sentry-trace_id=4bf92f3577b34da6a3ce929d0e0e4736,sentry-release=1")],
        vec![("sentry-trace", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1")],
        vec![("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1")],
        vec![("x-b3-traceid", "80f198ee56343ba864fe8b2a57d3eff7")],
        vec![("x-amzn-trace-id", "Root=1-67891233-abcdef012345678912345678")],
        vec![("x-cloud-trace-context", "105445aa7843bc8bf206b12000100000/1;o=1")],
        vec![("x-datadog-trace-id", "8448337654387654321"), ("x-datadog-parent-id", "1")],
        vec![("x-request-id", UUID), ("x-correlation-id", UUID), ("request-id", UUID)],
        vec![("x-ms-client-request-id", UUID), ("x-client-request-id", UUID)],
        vec![("idempotency-key", UUID), ("x-idempotency-key", "4f9d8a7b6c5e4d3c2b1a0f9e8d7c6b5a")],
        // conditions, ranges, digests
        vec![("if-match", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\"")],
        vec![("range", "bytes=0-1023"), ("if-range", "\"33a64df551425fcc55e4d42a148795d9\"")],
        vec![
            ("content-md5", "Q2hlY2sgSW50ZWdyaXR5IQ=="),
            ("digest", "sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="),
        ],
        vec![(
            "x-amz-content-sha256",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        )],
        vec![
            ("x-amz-target", "AmazonEC2ContainerServiceV20141113.ListClusters"),
            ("x-amz-date", "20261122T213000Z"),
        ],
        // programming kits of model providers
        vec![
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "prompt-caching-2024-07-31"),
            ("x-stainless-runtime-version", "v20.11.0"),
            ("x-stainless-retry-count", "0"),
            ("openai-organization", "org-AbCdEf0123456789GhIjKlMn"),
        ],
        // GraphQL clients
        vec![
            ("apollographql-client-name", "web"),
            ("apollographql-client-version", "4f9d8a7b6c5e4d3c2b1a0f9e"),
        ],
        vec![
            ("x-apollo-operation-id", "4f9d8a7b6c5e4d3c2b1a0f9e8d7c6b5a4f9d8a7b"),
            ("apollo-require-preflight", "true"),
        ],
        // identifiers
        vec![
            ("x-project-id", UUID),
            ("x-tenant-id", "4f9d8a7b6c5e4d3c2b1a0f9e"),
            ("team-id", UUID),
        ],
        vec![("x-github-api-version", "2022-11-28"), ("accept", "application/vnd.github+json")],
        vec![("x-csrf-token", "dGhpcyBpcyBhIHNlY3JldCB0b2tlbg1x")],
        vec![(
            "content-type",
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
        )],
        vec![("x-note", "DELETE"), ("x-custom", "some words, 42 of them")],
        vec![("x-sort-key", "name"), ("cache-key", "a/b-c"), ("x-dedup-key", "nightly-2026-11-22")],
        vec![("prefer", "wait=30"), ("expect", "100-continue"), ("te", "trailers")],
        vec![("content-length", "123456789012"), ("transfer-encoding", "chunked")],
        vec![("authorization", ""), ("cookie", ""), ("x-api-key", " ")],
        vec![("authorization", "Bearer"), ("authorization", "Basic ")],
    ] {
        clean(&with(&headers));
    }
}

#[test]
fn ordinary_targets_are_clean() {
    for target in [
        "/",
        "/graphql/v2",
        "/graphql/v2?query=%7Bme%7Bid%7D%7D",
        "/graphql/v2?query=query(%24id%3AString!)%7Bproject(id%3A%24id)%7Bname%7D%7D&variables=%7B%22id%22%3A%223d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d10%22%7D",
        "/graphql/v2?q=volumeUpdate",
        "/project/3d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d10/service/3d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d11",
        "/repos/acme/prod/commits/33a64df551425fcc55e4d42a148795d9f25f89d4",
        "/repos/acme/prod/actions/runs?event=delete&per_page=100&page=2",
        "/search?q=password+reset+token&sort=updated",
        "/search?key=PROJ-1234&code=US",
        "/items?key=3d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d10",
        "/items?id=3d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d10",
        "/items?page_token=CAUQAA4f9d8a7b6c5e4d3c2b1a&pageToken=CAUQAA4f9d8a7b6c5e4d3c2b1a",
        "/items?cursor=eyJvZmZzZXQiOjEwMH0%3D&after=Y3Vyc29yOnYyOpHOABc",
        "/items?token=2&auth=true&signature=false",
        "/cb?redirect=https%3A%2F%2Fexample.com%2Fa%3Fb%3Dc",
        "/cb?clone=https%3A%2F%2Fgit%40github.com%2Facme%2Fprod.git",
        "/bucket/key-marker?list-type=2&key-marker=a/b/c",
        "/bot/status",
        "/x?access_token=&api_key=",
        "/eyJub3QiOiJhIHRva2VuIn0.txt",
    ] {
        clean(&get(target));
    }
}

#[test]
fn ordinary_bodies_are_clean() {
    for (content_type, body) in BODIES {
        clean(&post(content_type, *body));
    }
}

const BODIES: &[(&str, &str)] = &[
    (
        "application/json",
        r#"{"query":"mutation { volumeDelete(volumeId: \"3d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d10\") }"}"#,
    ),
    (
        "application/json",
        r#"{"query":"query($id: String!) { project(id: $id) { name } }","variables":{"id":"3d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d10"}}"#,
    ),
    (
        "application/json",
        r#"{"query":"mutation { apiTokenDelete(id: \"3d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d10\") }"}"#,
    ),
    ("application/json", r#"{"query":"{ token: me { id } password: me { email } }"}"#),
    (
        "application/json",
        r#"{"query":"mutation { variableUpsert(input: {name: \"PORT\", value: \"8080\"}) }"}"#,
    ),
    ("application/json", r#"{"query":"mutation { passwordReset(email: \"a@b.c\") }"}"#),
    (
        "application/json",
        r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"b78b3d5cd4ec1776b5f959e49b1d81cbba9cdc8171dac933fcdb28955019374c"}}}"#,
    ),
    (
        "application/json",
        r#"{"operationName":"Deploy","variables":{"input":{"commitSha":"33a64df551425fcc55e4d42a148795d9f25f89d4"}}}"#,
    ),
    (
        "application/json",
        r#"{"title":"The password field is wrong","body":"token expired, see api_key docs"}"#,
    ),
    (
        "application/json",
        r#"{"messages":[{"role":"user","content":"How do I rotate a password or an access_token?"}],"max_tokens":4096}"#,
    ),
    (
        "application/json",
        r#"{"content":"cHJpbnRsbiEoImhlbGxvIik7CmZuIG1haW4oKSB7fQ==","sha":"33a64df551425fcc55e4d42a148795d9f25f89d4"}"#,
    ),
    (
        "application/json",
        r#"{"cursor":"eyJvZmZzZXQiOjEwMCwiaWQiOjd9","next_token":"CAUQAA4f9d8a7b6c5e4d3c2b1a"}"#,
    ),
    ("application/json", r#"{"url":"postgres://app@db.internal:5432/app"}"#),
    (
        "application/json",
        r#"{"variables":{"DATABASE_URL":"${{Postgres.DATABASE_URL}}","API_KEY":"${{shared.API_KEY}}"}}"#,
    ),
    (
        "application/json",
        r#"{"public_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7dQ0qkP3r5K8Qw2vT1xY"}"#,
    ),
    (
        "application/json",
        "{\"pem\":\"-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\"}",
    ),
    ("application/json", "[]"),
    ("application/json", "null"),
    (
        "application/x-www-form-urlencoded",
        "name=Delete+Key&email=a%40b.c&id=3d2c42fb-5f3e-4d0a-8f77-2f4a7b1c9d10",
    ),
    ("application/x-www-form-urlencoded", "password=&token=&grant_type=client_credentials"),
    ("application/graphql", "{ me { id email } }"),
    ("text/plain", "just a line of text: password rules are described below"),
    ("text/plain", "a=b"),
    ("application/octet-stream", "\u{0}\u{1}\u{2}binary"),
    (
        "application/x-git-upload-pack-request",
        "0032want 0a53e9ddeaddad63ad106860237bbf53411d11a7\n0000",
    ),
    ("application/xml", "<Delete><Key>a/b/c</Key></Delete>"),
    ("", "hello"),
    ("", ""),
    (
        "multipart/form-data; boundary=----b7MA4YWxkTrZu0gW",
        "------b7MA4YWxkTrZu0gW\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello\r\n------b7MA4YWxkTrZu0gW--\r\n",
    ),
];
