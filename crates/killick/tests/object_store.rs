//! Recovery points in a real S3 server: what is kept there comes back, and nothing counts that is not whole.
//!
//! `scripts/object-store.sh` installs the server; it is run here, and does nothing where it is there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use killick_gate::points::{PointError, Points};
use killick_model::point::{PointHead, PointInfo, PointKind};
use killick_model::{PointId, UnixMillis};
use killick_net::{S3Options, s3};
use killick_recover::points::{
    CHUNK_BYTES, POINT_BYTES_MAX, PointStore, PointStoreParts, RecoveryKey, RecoveryKeys,
    UPLOAD_BYTES,
};
use zeroize::Zeroizing;

const BUCKET: &str = "points";

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/object-store.sh");
        let said = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(said.status.success(), "the object store cannot be installed");
        let program = String::from_utf8(said.stdout).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program.trim())
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        server.curl(&["-X", "PUT"], BUCKET);
        server
    }

    fn address(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Speaks to the server around the library.
    fn curl(&self, arguments: &[&str], path: &str) -> Vec<u8> {
        let said = Command::new("curl")
            .args(["-sS", "--fail"])
            .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "id:hush"])
            .args(arguments)
            .arg(self.address(path))
            .output()
            .unwrap();
        assert!(said.status.success(), "{path}: {}", String::from_utf8_lossy(&said.stderr));
        said.stdout
    }

    fn points(&self, key: u8) -> PointStore {
        let store = s3(S3Options {
            bucket: BUCKET.into(),
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            region: "eu-central-1".into(),
            access_key: "practice".into(),
            secret_key: Zeroizing::new("practice-secret".into()),
            session_token: None,
            extra_roots_pem: Vec::new(),
        });
        PointStore::new(PointStoreParts {
            store: store.unwrap(),
            place: format!("s3://{BUCKET}/of/killick"),
            prefix: "of/killick".into(),
            keys: RecoveryKeys::new(RecoveryKey::new(Zeroizing::new([key; 32])), Vec::new()),
            retention_millis: 1_000,
            bytes_max: POINT_BYTES_MAX,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn head(id: &str) -> PointHead {
    PointHead {
        id: PointId::parse(id).unwrap(),
        kind: PointKind::Snapshot,
        upstream: "main".parse().unwrap(),
        environment: "staging".parse().unwrap(),
        taken: UnixMillis(1_777_000_000_000),
        call: None,
        session: None,
    }
}

fn rows(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

async fn take(points: &PointStore, id: &str, rows: &[u8]) -> Result<PointInfo, PointError> {
    let mut writer = points.begin(head(id)).await?;
    writer.part("rows").await?;
    for piece in rows.chunks(700_001) {
        writer.write(piece).await?;
    }
    writer.finish(serde_json::json!({ "rows": rows.len() })).await
}

async fn read(points: &PointStore, id: &PointId) -> Result<Vec<u8>, PointError> {
    let mut reader = points.read(id, "rows").await?;
    let mut out = Vec::new();
    while let Some(bytes) = reader.next().await? {
        out.extend_from_slice(&bytes);
    }
    Ok(out)
}

#[tokio::test(flavor = "multi_thread")]
async fn points_in_a_real_object_store_come_back_whole_or_not_at_all() {
    let mut server = Server::start();
    let points = server.points(1);
    points.probe().await.unwrap();
    for (id, len) in [
        ("k-small", 10),
        ("k-one", CHUNK_BYTES + 1),
        ("k-many", 2 * UPLOAD_BYTES + CHUNK_BYTES + 9),
    ] {
        let rows = rows(len);
        let info = take(&points, id, &rows).await.unwrap();
        assert!(read(&points, &info.head.id).await.unwrap() == rows, "{id}");
        assert_eq!(points.find(&info.head.id).await.unwrap(), info);
    }
    assert_eq!(points.list(None).await.unwrap().len(), 3);

    let many = PointId::parse("k-many").unwrap();
    let other_key = server.points(2);
    assert_eq!(other_key.find(&many).await, Err(PointError::Shut(many.clone())));

    let path = format!("{BUCKET}/of/killick/points/main/k-many.data");
    let mut data = server.curl(&[], &path);
    let middle = data.len() / 2;
    data[middle] ^= 1;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &data).unwrap();
    server.curl(&["-T", &file.path().display().to_string()], &path);
    assert_eq!(read(&points, &many).await, Err(PointError::Shut(many.clone())));
    std::fs::write(file.path(), &data[..middle]).unwrap();
    server.curl(&["-T", &file.path().display().to_string()], &path);
    assert_eq!(read(&points, &many).await, Err(PointError::Shut(many.clone())));

    points.remove(&many).await.unwrap();
    assert_eq!(points.find(&many).await, Err(PointError::Missing(many.clone())));
    assert_eq!(points.list(None).await.unwrap().len(), 2);

    server.child.kill().unwrap();
    server.child.wait().unwrap();
    for len in [10, 2 * UPLOAD_BYTES] {
        let failed = take(&points, "k-late", &rows(len)).await;
        assert!(matches!(failed, Err(PointError::Failed(_))), "{failed:?}");
    }
}
