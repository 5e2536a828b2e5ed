//! The machine's clock, made monotone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use killick_model::UnixMillis;
use killick_model::time::Clock;

/// The wall clock that never goes back and never stands still while the process lives.
///
/// It follows the wall clock forward (a machine that slept wakes up to expired approvals). When the
/// wall clock is set back it runs on from where it was: otherwise what expired would live again.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    /// The largest distance seen between the wall clock and the time since the start.
    ahead_millis: AtomicU64,
}

impl SystemClock {
    /// Starts the clock.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now(), ahead_millis: AtomicU64::new(0) }
    }

    fn at(&self, wall_millis: u64, since_start_millis: u64) -> UnixMillis {
        let ahead = wall_millis.saturating_sub(since_start_millis);
        let before = self.ahead_millis.fetch_max(ahead, Ordering::AcqRel);
        UnixMillis(since_start_millis.saturating_add(before.max(ahead)))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        let since_start = millis(self.started.elapsed());
        // A wall clock before 1970 is no answer; the largest distance seen stands in for it.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis);
        self.at(wall, since_start)
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_set_back_does_not_turn_time_back_or_stop_it() {
        let clock = SystemClock::start();
        let seen = [(10_000, 0), (10_010, 10), (4_000, 20), (4_500, 520), (20_000, 600), (0, 700)]
            .map(|(wall, since_start)| clock.at(wall, since_start).0);
        assert_eq!(seen, [10_000, 10_010, 10_020, 10_520, 20_000, 20_100]);
    }

    #[test]
    fn the_present_is_after_this_was_written_and_does_not_go_back() {
        let clock = SystemClock::start();
        let first = clock.now();
        assert!(first.0 > 1_700_000_000_000);
        let mut last = first;
        for _ in 0..1_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
