//! Moments and spans as people read them, in UTC.

use killick_model::UnixMillis;

const DAY_SECONDS: u64 = 86_400;

/// Returns a moment as `2026-04-24 09:41:07Z`.
pub(crate) fn moment(at: UnixMillis) -> String {
    let seconds = at.0 / 1_000;
    let (year, month, day) = date(seconds / DAY_SECONDS);
    let rest = seconds % DAY_SECONDS;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

/// Returns the days since the epoch as a date (Howard Hinnant's civil-from-days).
#[expect(
    clippy::arithmetic_side_effects,
    reason = "days of 64-bit milliseconds are far from the ends"
)]
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Returns a span with its two largest units (`3h 12m`).
pub(crate) fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..DAY_SECONDS => format!("{}h {}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / DAY_SECONDS, seconds / 3_600 % 24),
    }
}

/// Returns a moment with how far it is from another (`in 3h 12m`, `5m 2s ago`).
pub(crate) fn relative(at: UnixMillis, now: UnixMillis) -> String {
    if at >= now {
        format!("in {}", span(at.since_millis(now)))
    } else {
        format!("{} ago", span(now.since_millis(at)))
    }
}

/// Reads a moment: `2026-04-24`, `2026-04-24T09:41:07Z`, or Unix milliseconds.
pub(crate) fn parse(raw: &str) -> Option<UnixMillis> {
    if raw.len() > 10 && raw.bytes().all(|byte| byte.is_ascii_digit()) {
        return raw.parse().ok().map(UnixMillis);
    }
    let (day, time) = match raw.split_once(['T', ' ']) {
        Some((day, time)) => (day, time.strip_suffix('Z').unwrap_or(time)),
        None => (raw, "00:00:00"),
    };
    let mut parts = day.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, date) = (parts.next()??, parts.next()??, parts.next()??);
    let mut clock = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute) = (clock.next()??, clock.next()??);
    let second = clock.next().unwrap_or(Some(0))?;
    let fits = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&date)
        && hour < 24
        && minute < 60
        && second < 60;
    if !fits || parts.next().is_some() || clock.next().is_some() {
        return None;
    }
    let seconds = days(year, month, date)
        .checked_mul(DAY_SECONDS)?
        .checked_add(hour.checked_mul(3_600)?)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second)?;
    Some(UnixMillis(seconds.checked_mul(1_000)?))
}

#[expect(clippy::arithmetic_side_effects, reason = "the caller holds years within four digits")]
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let of_era_years = year % 400;
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let of_era = of_era_years * 365 + of_era_years / 4 - of_era_years / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written_alike() {
        for (text, millis) in [
            ("1970-01-01 00:00:00Z", 0),
            ("2000-02-29 12:00:00Z", 951_825_600_000),
            ("2026-04-24 09:41:07Z", 1_777_023_667_000),
            ("2100-03-01 00:00:00Z", 4_107_542_400_000),
        ] {
            assert_eq!(moment(UnixMillis(millis)), text);
            assert_eq!(parse(text), Some(UnixMillis(millis)));
            assert_eq!(parse(&text.replace(' ', "T")), Some(UnixMillis(millis)));
        }
        assert_eq!(parse("2026-04-24").map(moment).unwrap(), "2026-04-24 00:00:00Z");
        for wrong in ["", "yesterday", "2026-13-01", "2026-04-24T25:00:00Z", "2026-04-24T1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn spans_have_two_units() {
        assert_eq!(span(59_999), "59s");
        assert_eq!(span(3_600_000), "1h 0m");
        assert_eq!(span(90_061_000), "1d 1h");
        assert_eq!(relative(UnixMillis(0), UnixMillis(61_000)), "1m 1s ago");
    }
}
