//! A place that fails: full, gone, or in the middle of a piece.

use std::fmt;

use super::*;

/// A store that takes a number of writes and fails from there on, like a disk that is full.
#[derive(Debug)]
struct Failing {
    inner: InMemory,
    left: Arc<AtomicUsize>,
    /// Whether a write that fails arrived all the same, as when only the answer was lost.
    arrives: bool,
    aborted: Arc<AtomicBool>,
    largest: Arc<AtomicUsize>,
}

impl Failing {
    fn after(writes: usize, arrives: bool) -> Self {
        Self {
            inner: InMemory::new(),
            left: Arc::new(AtomicUsize::new(writes)),
            arrives,
            aborted: Arc::default(),
            largest: Arc::default(),
        }
    }
}

fn full() -> object_store::Error {
    let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
    object_store::Error::Generic { store: "failing", source: Box::new(source) }
}

fn spend(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| it.checked_sub(1)).is_ok()
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

#[derive(Debug)]
struct FailingUpload {
    inner: Box<dyn MultipartUpload>,
    left: Arc<AtomicUsize>,
    aborted: Arc<AtomicBool>,
    largest: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl MultipartUpload for FailingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.largest.fetch_max(data.content_length(), Ordering::SeqCst);
        if spend(&self.left) { self.inner.put_part(data) } else { Box::pin(async { Err(full()) }) }
    }
    async fn complete(&mut self) -> object_store::Result<PutResult> {
        if spend(&self.left) { self.inner.complete().await } else { Err(full()) }
    }
    async fn abort(&mut self) -> object_store::Result<()> {
        self.aborted.store(true, Ordering::SeqCst);
        self.inner.abort().await
    }
}

#[async_trait::async_trait]
impl ObjectStore for Failing {
    async fn put_opts(
        &self,
        at: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if spend(&self.left) {
            return self.inner.put_opts(at, payload, options).await;
        }
        if self.arrives {
            self.inner.put_opts(at, payload, options).await?;
        }
        Err(full())
    }
    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(FailingUpload {
            inner: self.inner.put_multipart_opts(at, options).await?,
            left: Arc::clone(&self.left),
            aborted: Arc::clone(&self.aborted),
            largest: Arc::clone(&self.largest),
        }))
    }
    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(at, options).await
    }
    fn delete_stream(
        &self,
        all: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(all)
    }
    fn list(&self, under: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(under)
    }
    async fn list_with_delimiter(&self, under: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(under).await
    }
    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        how: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

async fn attempt(points: &PointStore, len: usize) -> Result<PointInfo, PointError> {
    let mut writer = points.begin(head("k-1", "main")).await?;
    writer.part("rows").await?;
    for piece in bytes(len, 1).chunks(300_000) {
        writer.write(piece).await?;
    }
    writer.finish(serde_json::Value::Null).await
}

#[tokio::test]
async fn a_place_that_is_full_at_any_write_leaves_no_point() {
    for len in [10, INLINE_BYTES_MAX + 1, 2 * UPLOAD_BYTES + 5] {
        for arrives in [false, true] {
            for writes in 0.. {
                let points = over(Arc::new(Failing::after(writes, arrives)));
                match attempt(&points, len).await {
                    Ok(_) => {
                        assert_eq!(points.list(None).await.unwrap().len(), 1);
                        assert!(writes > 0);
                        break;
                    }
                    Err(error) => assert!(matches!(error, PointError::Failed(_)), "{error}"),
                }
                assert_eq!(points.list(None).await.unwrap(), [], "{len} bytes, {writes} writes");
                let id = "k-1".parse().unwrap();
                assert_eq!(points.find(&id).await, Err(PointError::Missing(id)));
            }
        }
    }
}

#[tokio::test]
async fn what_was_begun_and_dropped_never_existed() {
    let store = Arc::new(Failing::after(usize::MAX, false));
    let points = over(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let mut writer = points.begin(head("k-1", "main")).await.unwrap();
    writer.part("rows").await.unwrap();
    writer.write(&bytes(2 * UPLOAD_BYTES, 1)).await.unwrap();
    assert_eq!(points.list(None).await.unwrap(), []);
    drop(writer);
    while !store.aborted.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    assert_eq!(points.list(None).await.unwrap(), []);
    assert_eq!(store.list(None).try_collect::<Vec<_>>().await.unwrap(), []);
}

#[tokio::test]
async fn memory_does_not_grow_with_what_is_written() {
    let store = Arc::new(Failing::after(usize::MAX, false));
    let points = over(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let info = attempt(&points, 5 * UPLOAD_BYTES).await.unwrap();
    let largest = store.largest.load(Ordering::SeqCst);
    assert!(largest <= UPLOAD_BYTES + CHUNK_BYTES + seal::SEAL_BYTES, "{largest} bytes at once");
    let mut reader = points.read(&info.head.id, "rows").await.unwrap();
    while let Some(bytes) = reader.next().await.unwrap() {
        assert!(bytes.len() <= CHUNK_BYTES);
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("place");
    let points = over(local(&place).unwrap());
    std::fs::remove_dir_all(&place).unwrap();
    std::fs::write(&place, "in the way").unwrap();
    assert!(matches!(attempt(&points, 10).await, Err(PointError::Failed(_))));
    assert!(matches!(attempt(&points, 2 * UPLOAD_BYTES).await, Err(PointError::Failed(_))));
    assert!(local(&place).is_err());
}
