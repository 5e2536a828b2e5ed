//! Whoever can write at the place cannot make a point say something else.

use super::*;

/// A place with one point in it, small or with an object of its own.
async fn place(len: usize) -> (Arc<InMemory>, PointStore, PointId) {
    let store = Arc::new(InMemory::new());
    let points = over(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let (one, two) = (bytes(len, 1), bytes(len / 2 + 3, 2));
    let info = take(&points, head("k-1", "main"), &[("one", &one), ("two", &two)]).await;
    (store, points, info.head.id)
}

async fn object(store: &InMemory, path: &Path) -> Vec<u8> {
    store.get(path).await.unwrap().bytes().await.unwrap().to_vec()
}

fn info_of(id: &str) -> Path {
    form::info_path(&"killick".into(), &"main".parse().unwrap(), &id.parse().unwrap())
}

fn data_of(id: &str) -> Path {
    form::data_path(&"killick".into(), &"main".parse().unwrap(), &id.parse().unwrap())
}

async fn whole(points: &PointStore, id: &PointId) -> Result<(), PointError> {
    points.find(id).await?;
    read(points, id, "one").await?;
    read(points, id, "two").await.map(drop)
}

#[tokio::test]
async fn one_changed_or_missing_byte_of_a_small_point_is_found() {
    let (store, points, id) = place(60).await;
    let path = info_of("k-1");
    let good = object(&store, &path).await;
    whole(&points, &id).await.unwrap();
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        store.put(&path, changed.into()).await.unwrap();
        assert_eq!(whole(&points, &id).await, Err(PointError::Shut(id.clone())), "byte {at}");
        store.put(&path, good[..at].to_vec().into()).await.unwrap();
        assert_eq!(whole(&points, &id).await, Err(PointError::Shut(id.clone())), "cut at {at}");
    }
}

#[tokio::test]
async fn a_changed_byte_anywhere_in_a_large_stream_is_found() {
    let (store, points, id) = place(CHUNK_BYTES + 40).await;
    let path = data_of("k-1");
    let good = object(&store, &path).await;
    whole(&points, &id).await.unwrap();
    let edge = CHUNK_BYTES + seal::SEAL_BYTES;
    let near = |at: usize| at.saturating_sub(45)..(at + 45).min(good.len());
    let mut places: Vec<usize> = near(0).chain(near(edge)).chain(near(good.len())).collect();
    places.extend((0..good.len()).step_by(good.len() / 40));
    for at in places {
        let mut changed = good.clone();
        changed[at] ^= 0x80;
        store.put(&path, changed.into()).await.unwrap();
        assert_eq!(whole(&points, &id).await, Err(PointError::Shut(id.clone())), "byte {at}");
    }
    for cut in [0, 1, edge - 1, edge, edge + 1, good.len() - 1] {
        store.put(&path, good[..cut].to_vec().into()).await.unwrap();
        assert_eq!(whole(&points, &id).await, Err(PointError::Shut(id.clone())), "cut at {cut}");
    }
    store.delete(&path).await.unwrap();
    assert_eq!(whole(&points, &id).await, Err(PointError::Shut(id.clone())), "no streams at all");
}

#[tokio::test]
async fn chunks_cannot_change_places_nor_come_from_another_point() {
    let (store, points, id) = place(3 * CHUNK_BYTES).await;
    let path = data_of("k-1");
    let good = object(&store, &path).await;
    let chunk = CHUNK_BYTES + seal::SEAL_BYTES;
    let mut swapped = good[chunk..2 * chunk].to_vec();
    swapped.extend_from_slice(&good[..chunk]);
    swapped.extend_from_slice(&good[2 * chunk..]);
    store.put(&path, swapped.into()).await.unwrap();
    assert_eq!(whole(&points, &id).await, Err(PointError::Shut(id.clone())), "swapped");
    let mut twice = good[..chunk].to_vec();
    twice.extend_from_slice(&good[..chunk]);
    twice.extend_from_slice(&good[2 * chunk..]);
    store.put(&path, twice.into()).await.unwrap();
    assert_eq!(whole(&points, &id).await, Err(PointError::Shut(id.clone())), "one twice");
    let (one, two) = (bytes(3 * CHUNK_BYTES, 1), bytes(3 * CHUNK_BYTES / 2 + 3, 2));
    take(&points, head("k-2", "main"), &[("one", &one), ("two", &two)]).await;
    let other = object(&store, &data_of("k-2")).await;
    store.put(&path, other.into()).await.unwrap();
    assert_eq!(whole(&points, &id).await, Err(PointError::Shut(id.clone())), "another's streams");
}

#[tokio::test]
async fn a_description_under_another_name_does_not_open() {
    let (store, points, _) = place(60).await;
    let good = object(&store, &info_of("k-1")).await;
    store.put(&info_of("k-2"), good.clone().into()).await.unwrap();
    let id: PointId = "k-2".parse().unwrap();
    assert_eq!(points.find(&id).await, Err(PointError::Shut(id.clone())));
    let elsewhere =
        form::info_path(&"killick".into(), &"other".parse().unwrap(), &"k-3".parse().unwrap());
    store.put(&elsewhere, good.into()).await.unwrap();
    let id: PointId = "k-3".parse().unwrap();
    assert_eq!(points.find(&id).await, Err(PointError::Shut(id)));
    assert_eq!(points.list(None).await.unwrap().len(), 1, "the good one is listed all the same");
}
