//! The incident and all its variants, each with the token that lay around and brokered: none of
//! them reaches the provider. Its harmless neighbours do.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod stage;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use killick_testkit::gateway::{AgentSession, Answer};
use killick_testkit::practice::ids;
use serde_json::Value;
use stage::{HOST, Stage, delete_volume, passed, read_volumes, refused};

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/scenarios/pocketos.json");

fn scenario() -> Value {
    serde_json::from_str(&std::fs::read_to_string(SCENARIO).unwrap()).unwrap()
}

/// Sends a call of the scenario with a token in its place.
async fn send(agent: &AgentSession, call: &Value, token: &str) -> Answer {
    let host = call["host"].as_str().unwrap_or(HOST);
    let mut request = Request::post("/graphql/v2");
    for (name, value) in call["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap().replace("{{TOKEN}}", token));
    }
    let body = call["body"].as_str().unwrap().to_owned();
    agent.send(host, request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap()
}

#[tokio::test]
async fn no_form_of_the_incident_reaches_the_provider_with_the_stray_token() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    for call in scenario()["calls"].as_array().unwrap() {
        let answer = send(&agent, call, &stage.world.stray_token).await;
        assert_eq!(answer.code(), call["stray"], "{}: {answer:#?}", call["name"]);
        assert!(answer.found("not_done").contains("nothing was sent"), "{answer:#?}");
        assert!(answer.found("next_step").contains("Do not look for another"), "{answer:#?}");
    }
    let seen = stage.world.requests();
    assert!(seen.is_empty(), "the provider saw {seen:#?}");
    assert!(stage.production_is_whole());
}

#[tokio::test]
async fn no_form_of_the_incident_reaches_the_provider_brokered() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    for call in scenario()["calls"].as_array().unwrap() {
        let answer = send(&agent, call, &agent.surrogate).await;
        assert_eq!(answer.code(), call["brokered"], "{}: {answer:#?}", call["name"]);
        assert!(answer.found("not_done").contains("nothing was sent"), "{answer:#?}");
    }
    let mutations = stage.mutations();
    assert!(mutations.is_empty(), "the provider saw {mutations:#?}");
    // The gateway itself looked, with the credential that it keeps.
    assert!(stage.world.requests().iter().all(|it| it.principal == "account"));
    assert!(stage.production_is_whole());
}

#[tokio::test]
async fn the_refusal_names_the_environment_that_was_found() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let request = agent.request(&delete_volume(ids::VOLUME_PRODUCTION)).unwrap();
    let answer = agent.send(HOST, request).await.unwrap();
    refused(&answer, "cross-environment");
    let because = answer.found("because");
    assert!(because.contains("production") && because.contains("staging"), "{because}");
}

#[tokio::test]
async fn the_harmless_neighbours_pass() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    for call in scenario()["neighbours"].as_array().unwrap() {
        let request = agent.request(call["body"].as_str().unwrap()).unwrap();
        let answer = agent.send(HOST, request).await.unwrap();
        assert!(answer.passed(), "{}: {answer:#?}", call["name"]);
        let field = call["root_field"].as_str().unwrap();
        assert!(stage.count(field) > 0, "{field} never came");
    }
    // Every one of them went with the credential that the gateway keeps.
    let carried = |it: &killick_testkit::practice::SeenRequest| it.principal == "account";
    assert!(stage.world.requests().iter().all(carried));
}

#[tokio::test]
async fn a_stray_token_is_refused_wherever_a_credential_can_stand() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let stray = &stage.world.stray_token;
    let basic = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(format!("{stray}:"))
    };
    let headers = [
        ("authorization", format!("Bearer {stray}")),
        ("authorization", format!("bearer  {stray}")),
        ("authorization", format!("token {stray}")),
        ("authorization", stray.clone()),
        ("authorization", format!("Basic {basic}")),
        ("proxy-authorization", format!("Bearer {stray}")),
        ("project-access-token", stray.clone()),
        ("x-api-key", stray.clone()),
        ("x-auth-token", stray.clone()),
        ("x-request-tag", stray.clone()),
        ("cookie", format!("session={stray}")),
        ("cookie", format!("theme=dark; rw.auth={stray}")),
        ("user-agent", format!("deploy/{stray}")),
        ("referer", format!("https://railway.com/?token={stray}")),
    ];
    for (name, value) in headers {
        let body = Full::new(Bytes::from(read_volumes()));
        let request = Request::post("/graphql/v2")
            .header("content-type", "application/json")
            .header(name, value)
            .body(body)
            .unwrap();
        let answer = agent.send(HOST, request).await.unwrap();
        assert_eq!(answer.code(), "foreign-credential", "in {name}: {answer:#?}");
    }
    for query in [
        format!("token={stray}"),
        format!("access_token={stray}"),
        format!("api_key={stray}"),
        format!("x={stray}"),
        format!("t%6Fken={stray}"),
    ] {
        let request = Request::post(format!("/graphql/v2?{query}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(read_volumes())))
            .unwrap();
        let answer = agent.send(HOST, request).await.unwrap();
        assert_eq!(answer.code(), "foreign-credential", "in ?{query}: {answer:#?}");
    }
    let mut body: Value = serde_json::from_str(&read_volumes()).unwrap();
    body["variables"] = serde_json::json!({"token": stray});
    let answer = agent.send(HOST, agent.request(&body.to_string()).unwrap()).await.unwrap();
    refused(&answer, "foreign-credential");
    let seen = stage.world.requests();
    assert!(seen.is_empty(), "the provider saw {seen:#?}");
    // What was seen is on the record, and the token is not.
    let record = stage.gateway.done(&["log", "export"]).await.unwrap();
    assert!(record.contains("foreign-credential") && !record.contains(stray.as_str()));
}

#[tokio::test]
async fn beside_a_good_placeholder_a_stray_token_is_refused_too() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let mut request = agent.request(&read_volumes()).unwrap();
    let stray = stage.world.stray_token.parse().unwrap();
    request.headers_mut().insert("project-access-token", stray);
    refused(&agent.send(HOST, request).await.unwrap(), "foreign-credential");
    // Twice the same header: the second one does not hide behind the first.
    let body = read_volumes();
    let raw = format!(
        "POST /graphql/v2 HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        agent.surrogate,
        stage.world.stray_token,
        body.len()
    );
    let answer = agent.raw(HOST, raw.as_bytes()).await.unwrap();
    assert!(!answer.code().is_empty(), "{answer:#?}");
    assert!(stage.world.requests().is_empty());
}

#[tokio::test]
async fn the_printed_curl_is_refused() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let body = r#"{"query":"mutation { volumeDelete(volumeId: \"3d2c42fb-0000-4000-8000-000000000001\") }"}"#;
    let url = "https://backboard.railway.app/graphql/v2";
    let stray = format!("Authorization: Bearer {}", stage.world.stray_token);
    let said = agent.curl(&["-X", "POST", url, "-H", &stray, "-d", body]).await.unwrap();
    assert!(said.stdout.contains("foreign-credential"), "{said:#?}");
    let brokered = format!("Authorization: Bearer {}", agent.surrogate);
    let said = agent.curl(&["-X", "POST", url, "-H", &brokered, "-d", body]).await.unwrap();
    assert!(said.stdout.contains("cross-environment"), "{said:#?}");
    // Without any credential the gateway's own is put in, and the judgement is the same.
    let said = agent.curl(&["-X", "POST", url, "-d", body]).await.unwrap();
    assert!(said.stdout.contains("cross-environment"), "{said:#?}");
    assert!(stage.mutations().is_empty());
    assert!(stage.production_is_whole());
    // And a look passes, from the very same client.
    let said = agent.curl(&["-X", "POST", url, "-d", &read_volumes()]).await.unwrap();
    assert!(said.stdout.contains("pg-data"), "{said:#?}");
}

#[tokio::test]
async fn hosts_that_nobody_declared_are_refused() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    for host in ["localhost", "127.0.0.1", "169.254.169.254"] {
        let answer = agent.send(host, agent.request("{}").unwrap()).await.unwrap();
        refused(&answer, "undeclared-upstream");
    }
    let get = |token: &str| {
        let request = Request::get("/");
        let request = match token {
            "" => request,
            token => request.header("authorization", format!("Bearer {token}")),
        };
        request.body(Full::new(Bytes::new())).unwrap()
    };
    for host in ["example.com", "backboard.railway.xyz"] {
        refused(&agent.send(host, get("")).await.unwrap(), "undeclared-upstream");
    }
    for host in ["localhost", "127.0.0.1", "169.254.169.254"] {
        let answer = agent.send(host, get("")).await.unwrap();
        let codes = ["undeclared-upstream", "forbidden-address"];
        assert!(codes.contains(&answer.code()), "{host}: {answer:#?}");
    }
    // A credential is seen there too, before anything else is said of the host.
    let stray = &stage.world.stray_token;
    refused(&agent.send("example.com", get(stray)).await.unwrap(), "foreign-credential");
    let placed = agent.send("example.com", get(&agent.surrogate)).await.unwrap();
    refused(&placed, "misplaced-surrogate");
    // And a host that is declared, in the tunnel to another.
    let mut request = agent.request(&read_volumes()).unwrap();
    request.headers_mut().insert("host", "example.com".parse().unwrap());
    refused(&agent.send(HOST, request).await.unwrap(), "host-mismatch");
    assert!(stage.world.requests().is_empty());
    passed(&agent.send(HOST, agent.request(&read_volumes()).unwrap()).await.unwrap());
}

#[tokio::test]
async fn without_a_session_nothing_passes() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let nobody = agent.with(&format!("ksess_{}", "0".repeat(64)), &agent.surrogate);
    refused(
        &nobody.send(HOST, agent.request(&read_volumes()).unwrap()).await.unwrap(),
        "no-session",
    );
    assert!(stage.world.requests().is_empty());
}
