#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

mod faults;
mod life;
#[expect(clippy::await_holding_lock, reason = "a stalled disk is a lock that is held")]
mod limits;
mod tampering;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use killick_tlog::verify::Against;
use killick_tlog::{Kind, SigningKey};
use zeroize::Zeroizing;

use super::*;

const ORIGIN: &str = "log.example/gw-1";

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[seed; 32]).unwrap()
}

/// Options of a journal that publishes often and waits long enough for a busy machine.
fn options() -> JournalOptions {
    let time = AtomicU64::new(1_790_000_000_000);
    let clock: Clock = Arc::new(move || time.fetch_add(1, Ordering::Relaxed));
    let master = Zeroizing::new([9; 32]);
    JournalOptions {
        reserve_bytes: 64 * 1024,
        checkpoint_interval: Duration::from_millis(5),
        durable_wait_max: Duration::from_secs(30),
        ..JournalOptions::new("default", "gw-1", signing_key(1), master, clock)
    }
}

fn entry(call: &str, session: &str) -> NewEntry {
    let mut new = NewEntry::new(Kind::Call);
    new.header.call = Some(call.to_owned());
    new.header.session = Some(session.to_owned());
    new.header.agent = Some("bot".to_owned());
    new.details = Some(serde_json::json!({ "of": call }));
    new
}

fn verified(files: &BTreeMap<String, Vec<u8>>) -> JournalReport {
    verified_against(files, &[])
}

fn verified_against(files: &BTreeMap<String, Vec<u8>>, published: &[Vec<u8>]) -> JournalReport {
    let keys = [signing_key(1).public().clone()];
    verify(files, Against { keys: &keys, origin: Some(ORIGIN), published })
}

/// A small generator, so that a failing case can be run again from its number.
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

/// Runs a test's future on a runtime of its own.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
