//! A webhook as a place that keeps checkpoints, so that a rollback of the whole record is found.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use killick_net::Webhook;
use killick_store::journal::CheckpointSink;

/// What the body is said to be: a signed note is text.
const NOTE_TYPE: &str = "text/plain; charset=utf-8";

/// Returns the sink that posts each checkpoint to an address of the configuration.
///
/// # Errors
/// The address is not https, or has parts that are not sent.
pub(crate) fn sink(address: &str) -> anyhow::Result<Arc<dyn CheckpointSink>> {
    let webhook =
        killick_net::webhook(address, &[]).context("a place in `record.publish` cannot be used")?;
    Ok(Arc::new(WebhookSink(webhook)))
}

/// The receiver compares sizes: what it keeps cannot be asked back by a post.
#[derive(Debug)]
struct WebhookSink(Webhook);

impl CheckpointSink for WebhookSink {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn publish(&self, note: &str, _size: u64) -> io::Result<()> {
        self.0.post(note, NOTE_TYPE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    #[test]
    fn a_checkpoint_is_posted_as_the_note_it_is() {
        let note = "killick.example/log\n1\nAAAA\n\n\u{2014} killick.example/log BBBB\n";
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/s3cret", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"BBBB\n") {
                let mut some = [0; 1024];
                let taken = stream.read(&mut some).unwrap();
                assert_ne!(taken, 0, "the note was cut");
                seen.extend_from_slice(&some[..taken]);
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            String::from_utf8(seen).unwrap()
        });
        let sink = sink(&address).unwrap();
        assert!(!sink.name().contains("s3cret"), "status would show the webhook's secret");
        sink.publish(note, 1).unwrap();
        let seen = server.join().unwrap();
        assert!(seen.starts_with("POST /s3cret HTTP/1.1\r\n"));
        assert_eq!(seen.split_once("\r\n\r\n").unwrap().1, note);
    }

    #[test]
    fn an_address_that_is_not_https_is_refused_when_the_daemon_starts() {
        for address in ["http://hook.example/", "https://user:pw@hook.example/", "hook.example"] {
            assert!(sink(address).is_err(), "{address}");
        }
    }
}
