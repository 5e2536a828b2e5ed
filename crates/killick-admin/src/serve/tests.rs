use std::path::{Path, PathBuf};

use killick_net::listen_admin;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::*;
use crate::stage::{PASSPHRASE, Stage};

struct Served {
    _folder: tempfile::TempDir,
    path: PathBuf,
    _stop: oneshot::Sender<()>,
}

async fn served(own_uid: u32) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("admin.sock");
    let door = listen_admin(&path).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stage = Stage::open().await;
    let administration = Arc::new(stage.administration);
    let options = ServeOptions { own_uid, admin_uids: Vec::new() };
    tokio::spawn(serve(door, administration, options, async {
        let _ = stopped.await;
    }));
    Served { _folder: folder, path, _stop: stop }
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Sends raw bytes and returns status and body.
async fn raw(path: &Path, request: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

fn posted(headers: &str, body: &str) -> String {
    format!(
        "POST /v1/command HTTP/1.1\r\nhost: killick\r\nconnection: close\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

const LIST: &str = r#"{"command":{"agent_list":{}}}"#;

#[tokio::test]
async fn the_gateways_own_user_is_answered() {
    let served = served(me()).await;
    let (status, body) = raw(&served.path, &posted("", LIST)).await;
    assert_eq!(status, 200, "{body}");
    let reply: Reply = serde_json::from_str(&body).unwrap();
    let Reply::Agents(agents) = reply else { panic!("{body}") };
    assert_eq!(agents.len(), 2);
}

#[tokio::test]
async fn whatever_carries_what_agents_carry_is_refused() {
    let served = served(me()).await;
    let token = format!("ksess_{}", "ab".repeat(32));
    let list = LIST.to_owned();
    let noted =
        format!(r#"{{"command":{{"agent_freeze":{{"name":"coder","reason":"{token}"}}}}}}"#);
    for (headers, body) in [
        ("killick-session: anything\r\n".to_owned(), &list),
        ("authorization: Bearer anything\r\n".to_owned(), &list),
        ("proxy-authorization: Basic eDp5\r\n".to_owned(), &list),
        ("cookie: a=b\r\n".to_owned(), &list),
        (format!("x-anything: {token}\r\n"), &list),
        (String::new(), &noted),
    ] {
        let (status, answer) = raw(&served.path, &posted(&headers, body)).await;
        let error: AdminError = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, error.code), (403, AdminCode::NotAdmitted), "{headers}");
        assert!(!answer.contains(&token), "{headers}");
    }
}

#[tokio::test]
async fn another_user_is_refused() {
    // Root may do everything on the machine anyway, so the check is on the options alone.
    let options = ServeOptions { own_uid: 1000, admin_uids: vec![1001] };
    for (uid, admitted) in [(0, true), (1000, true), (1001, true), (1002, false), (65534, false)] {
        let peer = AdminPeer { uid, gid: 0, pid: None };
        assert_eq!(options.admits(&peer), admitted, "{uid}");
    }
    if me() != ROOT_UID {
        let served = served(me().wrapping_add(1)).await;
        let (status, _) = raw(&served.path, &posted("", LIST)).await;
        assert_eq!(status, 403);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_without_being_repeated() {
    let served = served(me()).await;
    let wrong = format!(r#"{{"command":{{"agent_list":{{}}}},"proof":"{PASSPHRASE}","more":1}}"#);
    let long = format!(r#"{{"command":"{}"}}"#, "x".repeat(COMMAND_BYTES_MAX));
    for body in [wrong.as_str(), "{", "[]", r#"{"command":{"unheard_of":{}}}"#, long.as_str()] {
        let (status, answer) = raw(&served.path, &posted("", body)).await;
        assert_eq!(status, 400, "{answer}");
        assert!(!answer.contains(PASSPHRASE));
    }
    for head in ["GET /v1/command", "POST /v2/command", "POST /"] {
        let request = posted("", LIST).replacen("POST /v1/command", head, 1);
        assert_eq!(raw(&served.path, &request).await.0, 404, "{head}");
    }
}

#[tokio::test]
async fn a_proof_travels_with_its_command_and_is_kept_for_no_other() {
    let served = served(me()).await;
    let thaw = |proof: &str| {
        posted("", &format!(r#"{{"command":{{"agent_thaw":{{"name":"stopped"}}}}{proof}}}"#))
    };
    assert_eq!(raw(&served.path, &thaw("")).await.0, 403);
    let proved = thaw(&format!(r#","proof":"{PASSPHRASE}""#));
    assert_eq!(raw(&served.path, &proved).await.0, 200);
    assert_eq!(raw(&served.path, &thaw("")).await.0, 403);
}

#[test]
fn a_user_is_named_by_the_machines_list_or_by_number() {
    let list = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n\
                b\u{202e}b:x:1001:1001::/:/bin/sh\n";
    assert_eq!(name_in(list, 1000).as_deref(), Some("alice"));
    assert_eq!(name_in(list, 1001), None);
    assert_eq!(name_in(list, 7), None);
    assert_eq!(local_owner(u32::MAX - 7).subject, format!("uid-{}", u32::MAX - 7));
}

#[test]
fn only_a_whole_session_token_is_one() {
    assert!(holds_session_token(format!("x ksess_{} y", "0f".repeat(32)).as_bytes()));
    assert!(!holds_session_token(b"ksess_0f"));
    assert!(!holds_session_token(format!("ksess_{}", "zz".repeat(32)).as_bytes()));
}
