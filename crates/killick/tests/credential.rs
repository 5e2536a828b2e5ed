//! The agent never holds a credential: what it holds is good in one place only.
#![allow(clippy::unwrap_used, clippy::similar_names, reason = "tests fail by panicking")]

mod stage;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use killick_testkit::gateway::PASSPHRASE;
use stage::{HOST, Stage, passed, read_volumes, refused};

fn get(path: &str, surrogate: &str) -> Request<Full<Bytes>> {
    let authorization = format!("Bearer {surrogate}");
    Request::get(path).header("authorization", authorization).body(Full::default()).unwrap()
}

#[tokio::test]
async fn the_credential_is_put_in_behind_the_agents_back() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    passed(&agent.send(HOST, agent.request(&read_volumes()).unwrap()).await.unwrap());
    let seen = stage.world.requests();
    assert!(!seen.is_empty());
    for request in seen {
        let expected = format!("Bearer {}", stage.world.account_token);
        assert_eq!(request.header("authorization"), Some(expected.as_str()));
        let all = format!("{request:?}");
        assert!(!all.contains(&agent.surrogate) && !all.contains(&agent.token), "{all}");
        assert!(request.header("proxy-authorization").is_none());
    }
}

#[tokio::test]
async fn what_the_agent_is_handed_holds_no_credential() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let handed = format!("{:?}", agent.environment);
    assert!(!handed.contains(&stage.world.account_token));
    assert!(!handed.contains(PASSPHRASE));
    assert!(!agent.surrogate.is_empty());
    assert_eq!(agent.variable("RAILWAY_API_TOKEN"), Some(agent.surrogate.as_str()));
    let listed = stage.gateway.done(&["credential", "list", "--json"]).await.unwrap();
    assert!(!listed.contains(&stage.world.account_token), "{listed}");
}

#[tokio::test]
async fn a_placeholder_of_another_session_is_refused() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let other = stage.gateway.session("staging").await.unwrap();
    assert_ne!(agent.surrogate, other.surrogate);
    let request = other.request(&read_volumes()).unwrap();
    refused(&agent.send(HOST, request).await.unwrap(), "misplaced-surrogate");
    assert!(stage.world.requests().is_empty());
}

#[tokio::test]
async fn a_placeholder_is_refused_at_another_upstream() {
    let stage = Stage::open().await;
    let dial = stage.world.addr.to_string();
    let add = ["upstream", "add", "elsewhere", "--host", "localhost", "--declare", "shared"];
    let place = ["--dial", &dial, "--private-address"];
    stage.gateway.done(&[&add[..], &place[..]].concat()).await.unwrap();
    let agent = stage.gateway.session("staging").await.unwrap();
    let answer = agent.send("localhost", get("/k1", &agent.surrogate)).await.unwrap();
    refused(&answer, "misplaced-surrogate");
    let answer = agent.send("localhost", get("/k1", &agent.token)).await.unwrap();
    assert!(!answer.code().is_empty(), "the session's token was sent on: {answer:#?}");
    let plain = Request::get("/echo").body(Full::default()).unwrap();
    let answer = agent.send("localhost", plain).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:#?}");
    // Nothing is put in where nothing is bound.
    assert!(!answer.body.contains("authorization"), "{answer:#?}");
}

#[tokio::test]
async fn an_answer_that_shows_the_credential_is_withheld() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let mut connection = agent.connect(HOST).await.unwrap();
    let answer = connection.send(get("/echo", &agent.surrogate)).await;
    // Refused or cut: in no case does the agent see it.
    let shown = format!("{answer:?}");
    assert!(!shown.contains(&stage.world.account_token), "{shown}");
    let place = format!("/cookie?value={}", stage.world.account_token);
    let answer = agent.send(HOST, get(&place, &agent.surrogate)).await;
    assert!(!format!("{answer:?}").contains(&stage.world.account_token));
}

#[tokio::test]
async fn a_redirect_is_the_agents_own_to_follow() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let path = "/redirect?to=https://collector.example.com/take";
    let answer = agent.send(HOST, get(path, &agent.surrogate)).await.unwrap();
    assert_eq!(answer.status, 302, "{answer:#?}");
    assert_eq!(stage.world.requests().len(), 1);
    // Followed by a client that takes its credentials along: the host is not declared.
    let authorization = format!("Authorization: Bearer {}", agent.surrogate);
    let url = format!("https://{HOST}{path}");
    let said = agent.curl(&["-L", "--location-trusted", "-H", &authorization, &url]).await.unwrap();
    assert!(said.stdout.contains("\"code\":\"misplaced-surrogate\""), "{said:#?}");
    assert_eq!(stage.world.requests().len(), 2, "only the redirect itself was asked for again");
}

#[tokio::test]
async fn a_cookie_of_the_upstream_is_good_there_and_nowhere_else() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    let value = "5f3c1e0a9b7d4c2e8f6a1b3c5d7e9f01";
    let with_cookie = |path: &str| {
        let mut request = get(path, &agent.surrogate);
        request.headers_mut().insert("cookie", format!("session={value}").parse().unwrap());
        request
    };
    // Before anybody handed it out it is foreign.
    refused(&agent.send(HOST, with_cookie("/k1")).await.unwrap(), "foreign-credential");
    let path = format!("/cookie?value={value}");
    let handed = agent.send(HOST, get(&path, &agent.surrogate)).await.unwrap();
    if handed.code() == "foreign-credential" {
        // A value that was seen as foreign stays so, in a query too: take one of the upstream's own.
        let handed = agent.send(HOST, get("/cookie", &agent.surrogate)).await.unwrap();
        let cookie = handed.headers.get("set-cookie").unwrap().to_str().unwrap().to_owned();
        let cookie = cookie.split(';').next().unwrap();
        let mut request = get("/status?code=200", &agent.surrogate);
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        let answer = agent.send(HOST, request).await.unwrap();
        assert_eq!(answer.code(), "", "{answer:#?}");
        let other = stage.gateway.session("staging").await.unwrap();
        let mut request = get("/status?code=200", &other.surrogate);
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        refused(&other.send(HOST, request).await.unwrap(), "foreign-credential");
    }
}

#[tokio::test]
async fn a_rotated_credential_is_used_at_once_and_the_placeholder_stays() {
    let stage = Stage::open().await;
    let agent = stage.gateway.session("staging").await.unwrap();
    passed(&agent.send(HOST, agent.request(&read_volumes()).unwrap()).await.unwrap());
    let rotate = ["credential", "rotate", "railway-account"];
    let value = format!("{}\n", stage.world.project_token);
    let said = stage.gateway.cli_with(PASSPHRASE, &rotate, &value).await.unwrap();
    assert_eq!(said.code(), 0, "{said:#?}");
    let before = stage.world.requests().len();
    let _answer = agent.send(HOST, agent.request(&read_volumes()).unwrap()).await.unwrap();
    let seen = stage.world.requests();
    assert!(seen.len() > before);
    assert!(seen.iter().skip(before).all(|it| it.principal == "project"), "{seen:#?}");
    // Without a credential nothing is sent.
    stage.gateway.done(&["credential", "remove", "railway-account"]).await.unwrap();
    let before = stage.world.requests().len();
    let answer = agent.send(HOST, agent.request(&read_volumes()).unwrap()).await.unwrap();
    assert!(!answer.code().is_empty(), "{answer:#?}");
    assert_eq!(stage.world.requests().len(), before);
}
