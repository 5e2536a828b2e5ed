use super::*;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{Notify, oneshot};

const LONG: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(50);

/// A door at which the listed come in turn, and then nobody.
struct Queue(Mutex<Vec<io::Result<Option<DuplexStream>>>>);

impl Entrance for Queue {
    type Peer = ();

    async fn next(&self) -> io::Result<Option<(Stream, ())>> {
        let came = self.0.lock().pop();
        match came {
            Some(Ok(stream)) => Ok(stream.map(|stream| (Box::new(stream) as Stream, ()))),
            Some(Err(error)) => Err(error),
            None => std::future::pending().await,
        }
    }
}

fn queue(mut came: Vec<io::Result<Option<DuplexStream>>>) -> Queue {
    came.reverse();
    Queue(Mutex::new(came))
}

fn visitors(count: usize) -> (Vec<DuplexStream>, Vec<io::Result<Option<DuplexStream>>>) {
    (0..count).map(|_| duplex(64)).map(|(near, far)| (near, Ok(Some(far)))).unzip()
}

async fn greet(mut stream: Stream, (): ()) {
    stream.write_all(b"hello").await.unwrap();
}

async fn heard(stream: &mut DuplexStream) -> String {
    let mut got = String::new();
    timeout(LONG, stream.read_to_string(&mut got)).await.unwrap().unwrap();
    got
}

#[tokio::test]
async fn a_panic_a_lost_connection_and_a_failing_kernel_do_not_close_the_door() {
    let (mut near, mut came) = visitors(3);
    came.insert(1, Err(io::ErrorKind::Other.into()));
    came.insert(1, Ok(None));
    let count = AtomicUsize::new(0);
    let handler = move |stream: Stream, peer: ()| {
        let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            assert!(!is_first, "the first visitor meets a bug");
            greet(stream, peer).await;
        }
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let door =
        tokio::spawn(serve(queue(came), 8, handler, async move { drop(stopped.await) }, LONG));
    assert_eq!(heard(&mut near[0]).await, "");
    assert_eq!(heard(&mut near[1]).await, "hello");
    assert_eq!(heard(&mut near[2]).await, "hello");
    stop.send(()).unwrap();
    timeout(LONG, door).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_full_door_lets_the_next_in_when_one_leaves() {
    let (mut near, came) = visitors(3);
    let inside = Arc::new(AtomicUsize::new(0));
    let leave = Arc::new(Notify::new());
    let handler = {
        let (inside, leave) = (inside.clone(), leave.clone());
        move |stream: Stream, ()| {
            let (inside, leave) = (inside.clone(), leave.clone());
            async move {
                inside.fetch_add(1, Ordering::SeqCst);
                leave.notified().await;
                drop(stream);
            }
        }
    };
    let door = tokio::spawn(serve(queue(came), 2, handler, std::future::pending(), LONG));
    tokio::time::sleep(SHORT).await;
    assert_eq!(inside.load(Ordering::SeqCst), 2);
    leave.notify_one();
    assert_eq!(heard(&mut near[0]).await, "");
    tokio::time::sleep(SHORT).await;
    assert_eq!(inside.load(Ordering::SeqCst), 3);
    door.abort();
}

#[tokio::test]
async fn a_stop_waits_for_the_open_ones_and_then_cuts() {
    for (drain, said) in [(LONG, "hello"), (SHORT, "")] {
        let (mut near, came) = visitors(2);
        let handler = |stream: Stream, peer: ()| async move {
            tokio::time::sleep(SHORT * 4).await;
            greet(stream, peer).await;
        };
        let stop = tokio::time::sleep(SHORT);
        let started = std::time::Instant::now();
        timeout(LONG, serve(queue(came), 8, handler, stop, drain)).await.unwrap();
        assert!(started.elapsed() < LONG);
        assert_eq!(heard(&mut near[0]).await, said);
        assert_eq!(heard(&mut near[1]).await, said);
    }
}

#[tokio::test]
async fn a_stop_is_heard_while_the_kernel_fails() {
    let came = (0..1_000).map(|_| Err(io::ErrorKind::Other.into())).collect();
    let stop = tokio::time::sleep(SHORT);
    timeout(LONG, serve(queue(came), 8, greet, stop, LONG)).await.unwrap();
}
