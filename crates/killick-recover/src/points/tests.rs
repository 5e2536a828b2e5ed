use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use killick_gate::points::{PointError, Points as _};
use killick_model::point::{PointHead, PointInfo, PointKind};
use killick_model::{EnvironmentName, PointId, UnixMillis, UpstreamName};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, UploadPart,
};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::form::INLINE_BYTES_MAX;
use super::*;

mod damage;
mod failing;

const TAKEN: UnixMillis = UnixMillis(1_777_000_000_000);
const DAY_MILLIS: u64 = 86_400_000;

fn key(byte: u8) -> RecoveryKey {
    RecoveryKey::new(Zeroizing::new([byte; 32]))
}

fn keys(byte: u8) -> RecoveryKeys {
    RecoveryKeys::new(key(byte), Vec::new())
}

fn over(store: Arc<dyn ObjectStore>) -> PointStore {
    PointStore::new(PointStoreParts {
        store,
        place: "memory".into(),
        prefix: "killick".into(),
        keys: keys(1),
        retention_millis: 30 * DAY_MILLIS,
        bytes_max: POINT_BYTES_MAX,
    })
}

fn head(id: &str, upstream: &str) -> PointHead {
    PointHead {
        id: PointId::parse(id).unwrap(),
        kind: PointKind::Images,
        upstream: UpstreamName::parse(upstream).unwrap(),
        environment: EnvironmentName::parse("staging").unwrap(),
        taken: TAKEN,
        call: None,
        session: None,
    }
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed).wrapping_add(1);
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}

async fn take(points: &PointStore, head: PointHead, parts: &[(&str, &[u8])]) -> PointInfo {
    let mut writer = points.begin(head).await.unwrap();
    for (name, bytes) in parts {
        writer.part(name).await.unwrap();
        writer.write(bytes).await.unwrap();
    }
    writer.finish(serde_json::json!({ "tables": parts.len() })).await.unwrap()
}

async fn read(points: &PointStore, id: &PointId, part: &str) -> Result<Vec<u8>, PointError> {
    let mut reader = points.read(id, part).await?;
    let mut out = Vec::new();
    while let Some(bytes) = reader.next().await? {
        out.extend_from_slice(&bytes);
    }
    Ok(out)
}

#[tokio::test]
async fn what_goes_in_comes_out_at_every_boundary_of_a_chunk() {
    let points = over(Arc::new(InMemory::new()));
    let chunk = CHUNK_BYTES;
    let lens =
        [0, 1, INLINE_BYTES_MAX, chunk - 1, chunk, chunk + 1, 2 * chunk, UPLOAD_BYTES + chunk + 7];
    for (at, len) in lens.into_iter().enumerate() {
        let (one, two) = (bytes(len, 1), bytes(3, 2));
        let id = format!("k-{at}");
        let info = take(&points, head(&id, "main"), &[("one", &one)]).await;
        assert_eq!(read(&points, &info.head.id, "one").await.unwrap(), one, "{len} bytes");
        let id = format!("k-many-{at}");
        let parts: [(&str, &[u8]); 4] =
            [("first", &two), ("one", &one), ("empty", &[]), ("last", &two)];
        let info = take(&points, head(&id, "main"), &parts).await;
        for (name, expected) in parts {
            assert_eq!(read(&points, &info.head.id, name).await.unwrap(), expected, "{len} {name}");
        }
        assert_eq!(info.bytes(), (len + 6) as u64);
        assert_eq!(points.find(&info.head.id).await.unwrap(), info);
    }
}

#[tokio::test]
async fn a_point_without_streams_holds_its_manifest() {
    let points = over(Arc::new(InMemory::new()));
    let info = take(&points, head("k-1", "main"), &[]).await;
    assert_eq!(
        points.find(&info.head.id).await.unwrap().manifest,
        serde_json::json!({"tables": 0})
    );
    assert!(matches!(read(&points, &info.head.id, "rows").await, Err(PointError::Failed(_))));
}

#[tokio::test]
async fn listings_are_of_one_upstream_or_all_and_begin_with_the_newest() {
    let points = over(Arc::new(InMemory::new()));
    for (at, (id, upstream)) in
        [("k-a", "main"), ("k-b", "other"), ("k-c", "main"), ("k-d", "..")].into_iter().enumerate()
    {
        let mut head = head(id, upstream);
        head.taken = TAKEN.plus_millis(at as u64);
        take(&points, head, &[("rows", b"x")]).await;
    }
    let ids = |all: Vec<PointInfo>| -> Vec<String> {
        all.into_iter().map(|info| info.head.id.to_string()).collect()
    };
    assert_eq!(ids(points.list(None).await.unwrap()), ["k-d", "k-c", "k-b", "k-a"]);
    let main = UpstreamName::parse("main").unwrap();
    assert_eq!(ids(points.list(Some(&main)).await.unwrap()), ["k-c", "k-a"]);
    let id = PointId::parse("k-c").unwrap();
    points.remove(&id).await.unwrap();
    assert_eq!(points.find(&id).await, Err(PointError::Missing(id.clone())));
    assert_eq!(points.remove(&id).await, Err(PointError::Missing(id)));
    assert_eq!(ids(points.list(Some(&main)).await.unwrap()), ["k-a"]);
    let dots = PointId::parse("k-d").unwrap();
    assert_eq!(read(&points, &dots, "rows").await.unwrap(), b"x");
}

#[tokio::test]
async fn a_point_lasts_in_a_directory_and_is_for_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("points-of-killick");
    let big = bytes(UPLOAD_BYTES + 5, 9);
    let id = {
        let points = over(local(&place).unwrap());
        points.probe().await.unwrap();
        take(&points, head("k-1", "main"), &[("rows", &big)]).await.head.id
    };
    let points = over(local(&place).unwrap());
    assert_eq!(read(&points, &id, "rows").await.unwrap(), big);
    assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn nothing_in_clear_lies_at_the_place() {
    let store = Arc::new(InMemory::new());
    let points = over(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let canary = b"canary-of-a-row".repeat(20_000);
    for id in ["k-1", "k-2"] {
        let rows: &[u8] = if id == "k-1" { b"canary-of-a-row" } else { &canary };
        let mut writer = points.begin(head(id, "main")).await.unwrap();
        writer.part("canary-of-a-row").await.unwrap();
        writer.write(rows).await.unwrap();
        writer.finish(serde_json::json!({ "table": "canary-of-a-row" })).await.unwrap();
    }
    let mut seen = 0;
    for meta in store.list(None).try_collect::<Vec<_>>().await.unwrap() {
        let bytes = store.get(&meta.location).await.unwrap().bytes().await.unwrap();
        assert!(!bytes.windows(6).any(|it| it == b"canary"), "{}", meta.location);
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[tokio::test]
async fn a_point_has_limits_and_says_which() {
    let parts = PointStoreParts {
        store: Arc::new(InMemory::new()),
        place: "memory".into(),
        prefix: String::new(),
        keys: keys(1),
        retention_millis: DAY_MILLIS,
        bytes_max: 10,
    };
    let points = PointStore::new(parts);
    let mut writer = points.begin(head("k-1", "main")).await.unwrap();
    assert!(writer.write(b"x").await.is_err(), "no stream was begun");
    let mut writer = points.begin(head("k-2", "main")).await.unwrap();
    writer.part("rows").await.unwrap();
    writer.write(&[0; 10]).await.unwrap();
    let large = Err(PointError::Large { bytes_max: 10 });
    assert_eq!(writer.write(&[0]).await, large);
    assert_eq!(writer.write(&[]).await, large);
    assert!(writer.finish(serde_json::Value::Null).await.is_err());
    let mut writer = points.begin(head("k-3", "main")).await.unwrap();
    writer.part("rows").await.unwrap();
    assert!(writer.part("rows").await.is_err(), "the same name twice");
    for name in ["", "a\nb", &"n".repeat(PART_NAME_BYTES_MAX + 1)] {
        let mut writer = points.begin(head("k-4", "main")).await.unwrap();
        assert!(writer.part(name).await.is_err(), "{name:?}");
    }
    let writer = points.begin(head("k-5", "main")).await.unwrap();
    let long = serde_json::Value::String("m".repeat(MANIFEST_BYTES_MAX));
    assert!(writer.finish(long).await.is_err());
    let mut writer = points.begin(head("k-6", "main")).await.unwrap();
    for at in 0..PARTS_MAX {
        writer.part(&at.to_string()).await.unwrap();
    }
    assert!(writer.part("one more").await.is_err());
    assert_eq!(points.list(None).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_expired_is_named_and_nothing_else() {
    let points = over(Arc::new(InMemory::new()));
    let info = take(&points, head("k-1", "main"), &[("rows", b"x")]).await;
    assert_eq!(info.expires, TAKEN.plus_millis(30 * DAY_MILLIS));
    let before = UnixMillis(info.expires.0 - 1);
    assert_eq!(points.expired(before).await.unwrap(), []);
    assert_eq!(points.expired(info.expires).await.unwrap(), [info]);
}

#[tokio::test]
async fn streams_that_were_left_behind_are_removed_after_a_day() {
    let store = Arc::new(InMemory::new());
    let points = over(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let rows = bytes(CHUNK_BYTES, 1);
    let kept = take(&points, head("k-1", "main"), &[("rows", &rows)]).await;
    let left = form::data_path(&"killick".into(), &kept.head.upstream, &"k-2".parse().unwrap());
    store.put(&left, "streams of a point that died".into()).await.unwrap();
    let written = store.head(&left).await.unwrap().last_modified.timestamp_millis();
    let now = UnixMillis(u64::try_from(written).unwrap());
    assert_eq!(points.remove_orphans(now).await.unwrap(), 0);
    let later = now.plus_millis(ORPHAN_HOURS_MIN * 3_600_000 + 1);
    assert_eq!(points.remove_orphans(later).await.unwrap(), 1);
    assert!(store.head(&left).await.is_err());
    assert_eq!(read(&points, &kept.head.id, "rows").await.unwrap(), rows);
}

#[tokio::test]
async fn another_key_wraps_every_point_and_the_former_one_opens_none() {
    let store = Arc::new(InMemory::new());
    let points = over(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let rows = bytes(CHUNK_BYTES + 1, 1);
    let id = take(&points, head("k-1", "main"), &[("rows", &rows)]).await.head.id;
    let both = RecoveryKeys::new(key(2), vec![key(1)]);
    assert_eq!(points.replace_keys(both.clone()).await.unwrap(), 1);
    assert_eq!(points.replace_keys(both).await.unwrap(), 0, "it is wrapped already");
    assert_eq!(read(&points, &id, "rows").await.unwrap(), rows);
    let former = over(Arc::clone(&store) as Arc<dyn ObjectStore>);
    assert_eq!(former.find(&id).await, Err(PointError::Shut(id.clone())));
    assert_eq!(former.list(None).await, Err(PointError::Shut(id.clone())));
    points.replace_keys(keys(2)).await.unwrap();
    assert_eq!(read(&points, &id, "rows").await.unwrap(), rows);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_streams_in_any_pieces_come_out_as_they_went_in(
        streams in proptest::collection::vec(
            proptest::collection::vec(0_usize..(CHUNK_BYTES + CHUNK_BYTES / 2), 0..4), 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let points = over(Arc::new(InMemory::new()));
            let mut writer = points.begin(head("k-1", "main")).await.unwrap();
            let mut expected = Vec::new();
            for (at, pieces) in streams.iter().enumerate() {
                writer.part(&format!("part {at}")).await.unwrap();
                let mut whole = Vec::new();
                for (nth, len) in pieces.iter().enumerate() {
                    let piece = bytes(*len, u8::try_from(at * 7 + nth).unwrap());
                    writer.write(&piece).await.unwrap();
                    whole.extend_from_slice(&piece);
                }
                expected.push(whole);
            }
            let info = writer.finish(serde_json::Value::Null).await.unwrap();
            for (at, whole) in expected.iter().enumerate() {
                let got = read(&points, &info.head.id, &format!("part {at}")).await.unwrap();
                assert!(got == *whole, "part {at}");
            }
        });
    }
}
