//! Time as a value: the core takes it as an argument and never asks a clock.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Returns the moment `millis` later, stopping at the end of time.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Returns the milliseconds from `earlier` to this moment, zero when it is not earlier.
    #[must_use]
    pub const fn since_millis(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where the present moment comes from; tests bring their own.
pub trait Clock: Send + Sync {
    /// Returns the present moment.
    fn now(&self) -> UnixMillis;
}

/// Parses a duration as people write it: `90s`, `30m`, `8h`, `2d`, `500ms`. Returns milliseconds.
#[must_use]
pub fn parse_duration_millis(raw: &str) -> Option<u64> {
    let raw = raw.trim();
    let digits = raw.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = raw.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let unit_millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_do_not_overflow() {
        assert_eq!(parse_duration_millis("8h"), Some(28_800_000));
        assert_eq!(parse_duration_millis("250ms"), Some(250));
        assert_eq!(parse_duration_millis("8"), None);
        assert_eq!(parse_duration_millis("-1h"), None);
        assert_eq!(parse_duration_millis("99999999999999999999d"), None);
        assert_eq!(parse_duration_millis("9999999999999999d"), None);
    }
}
