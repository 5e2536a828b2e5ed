//! The two doors, from outside.
#![expect(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use killick_gate::ports::Stream;
use killick_net::{AdminPeer, DoorError, UnixDoor, listen_admin, listen_tcp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;

const LONG: Duration = Duration::from_secs(5);

async fn answer(peer: String, mut stream: Stream) {
    stream.write_all(peer.as_bytes()).await.unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

/// Opens the door and sends every visitor what the kernel says of it.
fn open(door: UnixDoor) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let handler = |stream, peer: AdminPeer| answer(format!("{peer:?}"), stream);
    let stopped = async move { drop(stopped.await) };
    (stop, tokio::spawn(door.serve(handler, stopped, LONG)))
}

#[tokio::test]
async fn an_agents_connection_comes_with_its_address() {
    let door = listen_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = door.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let handler = |stream, peer: std::net::SocketAddr| answer(peer.to_string(), stream);
    let open = tokio::spawn(door.serve(handler, async move { drop(stopped.await) }, LONG));
    let mut visitor = TcpStream::connect(address).await.unwrap();
    let mut heard = String::new();
    visitor.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, visitor.local_addr().unwrap().to_string());
    assert!(matches!(listen_tcp(address).await, Err(DoorError::Listen { .. })));
    stop.send(()).unwrap();
    open.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_operators_socket_is_for_this_user_and_names_its_peer() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run").join("admin.sock");
    let (stop, open) = open(listen_admin(&path).await.unwrap());
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let mut visitor = UnixStream::connect(&path).await.unwrap();
    let mut heard = String::new();
    visitor.read_to_string(&mut heard).await.unwrap();
    let this = AdminPeer {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        pid: i32::try_from(std::process::id()).ok(),
    };
    assert_eq!(heard, format!("{this:?}"));
    stop.send(()).unwrap();
    open.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_is_replaced_only_when_nobody_answers() {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let path = home.path().join("admin.sock");
    // Left by a gateway that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let (stop, open) = open(listen_admin(&path).await.unwrap());
    assert!(matches!(listen_admin(&path).await, Err(DoorError::Busy { .. })));
    let mut heard = String::new();
    UnixStream::connect(&path).await.unwrap().read_to_string(&mut heard).await.unwrap();
    assert!(heard.contains("uid"));
    stop.send(()).unwrap();
    open.await.unwrap();

    // Answered by somebody who takes no part in the lock.
    let stranger = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert!(matches!(listen_admin(&path).await, Err(DoorError::Busy { .. })));
    assert!(path.exists());
    drop(stranger);
    listen_admin(&path).await.unwrap();
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let path = home.path().join("admin.sock");
    fs::write(&path, "keep me").unwrap();
    assert!(matches!(listen_admin(&path).await, Err(DoorError::NotASocket { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "keep me");

    let elsewhere = home.path().join("elsewhere.sock");
    drop(std::os::unix::net::UnixListener::bind(&elsewhere).unwrap());
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(matches!(listen_admin(&path).await, Err(DoorError::NotASocket { .. })));
    assert!(elsewhere.exists());
}

#[tokio::test]
async fn a_directory_that_others_may_enter_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("admin.sock");
    for open_mode in [0o755, 0o770, 0o701, 0o777] {
        fs::set_permissions(home.path(), fs::Permissions::from_mode(open_mode)).unwrap();
        let got = listen_admin(&path).await;
        assert!(matches!(got, Err(DoorError::NotPrivate { .. })), "{open_mode:o}");
        assert!(!path.exists());
        assert_eq!(mode(home.path()), open_mode);
    }
}
