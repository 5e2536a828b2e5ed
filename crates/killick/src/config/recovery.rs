//! `[recovery]`: grace periods, and where recovery points are kept.

use std::fmt;
use std::path::{Path, PathBuf};

use killick_recover::points::POINT_BYTES_MAX;
use serde::{Deserialize, Deserializer};

use super::duration;
use crate::home::Home;

/// The longest grace period.
const GRACE_MILLIS_MAX: u64 = 30 * 86_400_000;
/// How long a point is kept unless the configuration says otherwise.
const RETENTION_DAYS: u32 = 30;
/// The longest time that a point is kept.
const RETENTION_DAYS_MAX: u32 = 3_650;
/// The shortest time between two snapshots by schedule.
const SNAPSHOT_EVERY_MILLIS_MIN: u64 = 60_000;
/// The slowest that a snapshot may be taken: slower, and it would never end.
const SNAPSHOT_BYTES_PER_SECOND_MIN: u64 = 64 << 10;
/// The longest text of a region or an address.
const TEXT_BYTES_MAX: usize = 200;

/// `[recovery]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Recovery {
    /// A grace period in place of the packs' own, in milliseconds.
    #[serde(deserialize_with = "grace", rename = "grace")]
    pub(crate) grace_millis: Option<u64>,
    /// Where recovery points are kept; a folder of the gateway's own directory when absent.
    pub(crate) place: Option<Place>,
    /// The address of an object store; the region's own when absent.
    #[serde(deserialize_with = "text")]
    pub(crate) endpoint: Option<String>,
    /// The region of the place.
    #[serde(deserialize_with = "text")]
    pub(crate) region: Option<String>,
    /// How long a point is kept.
    #[serde(deserialize_with = "retention")]
    pub(crate) retention_days: u32,
    /// The most bytes of one point.
    #[serde(deserialize_with = "bytes_max")]
    pub(crate) bytes_max: u64,
    /// How often every database is copied whole, in milliseconds; never by itself when absent.
    #[serde(deserialize_with = "every", rename = "snapshot_every")]
    pub(crate) snapshot_every_millis: Option<u64>,
    /// How fast a snapshot may be taken, in bytes a second; as fast as it goes when absent.
    #[serde(deserialize_with = "speed")]
    pub(crate) snapshot_bytes_per_second: Option<u64>,
    /// A file of SQL queries that must each return true after a snapshot was restored.
    pub(crate) assertions: Option<PathBuf>,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            grace_millis: None,
            place: None,
            endpoint: None,
            region: None,
            retention_days: RETENTION_DAYS,
            bytes_max: POINT_BYTES_MAX,
            snapshot_every_millis: None,
            snapshot_bytes_per_second: None,
            assertions: None,
        }
    }
}

impl Recovery {
    /// Returns where recovery points are kept.
    pub(crate) fn place_in(&self, home: &Home) -> Place {
        self.place.clone().unwrap_or_else(|| Place::Folder(home.points()))
    }
}

/// A place for recovery points.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Place {
    /// A directory, at best one of another machine.
    Folder(PathBuf),
    /// A bucket of an object store that speaks S3.
    Bucket {
        /// Its name.
        bucket: String,
        /// What every name in it begins with; empty for nothing.
        prefix: String,
    },
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(raw: String) -> Result<Self, Self::Error> {
        let wrong = || "a place is written file:///absolute/path or s3://BUCKET/PREFIX".to_owned();
        if let Some(path) = raw.strip_prefix("file://") {
            let path = Path::new(path);
            return if path.is_absolute() { Ok(Self::Folder(path.into())) } else { Err(wrong()) };
        }
        let rest = raw.strip_prefix("s3://").ok_or_else(wrong)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |text: &str, more: &str| {
            text.len() <= TEXT_BYTES_MAX
                && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let dots = prefix.split('/').any(|part| part == "." || part == "..");
        if bucket.is_empty() || !plain(bucket, "-.") || !plain(prefix, "-._/") || dots {
            return Err(wrong());
        }
        Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

fn grace<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let millis = duration(deserializer)?;
    if millis > GRACE_MILLIS_MAX {
        return Err(serde::de::Error::custom("a grace period is at most 30 days"));
    }
    Ok(Some(millis))
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = String::deserialize(deserializer)?;
    if raw.is_empty() || raw.len() > TEXT_BYTES_MAX || raw.chars().any(char::is_control) {
        return Err(serde::de::Error::custom(
            "a text of 1 to 200 bytes without control characters",
        ));
    }
    Ok(Some(raw))
}

fn retention<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let days = u32::deserialize(deserializer)?;
    if (1..=RETENTION_DAYS_MAX).contains(&days) {
        Ok(days)
    } else {
        Err(serde::de::Error::custom("points are kept for 1 to 3650 days"))
    }
}

fn every<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let millis = duration(deserializer)?;
    if millis < SNAPSHOT_EVERY_MILLIS_MIN {
        return Err(serde::de::Error::custom("snapshots are taken once a minute at the most"));
    }
    Ok(Some(millis))
}

fn speed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let bytes = u64::deserialize(deserializer)?;
    if bytes < SNAPSHOT_BYTES_PER_SECOND_MIN {
        return Err(serde::de::Error::custom("a snapshot takes 65536 bytes a second at the least"));
    }
    Ok(Some(bytes))
}

fn bytes_max<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let bytes = u64::deserialize(deserializer)?;
    if (1..=POINT_BYTES_MAX).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(serde::de::Error::custom(format!("a point has 1 to {POINT_BYTES_MAX} bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_bucket_and_nothing_that_only_looks_like_one() {
        for good in ["file:///var/points", "s3://bucket", "s3://my.bucket-1/some/prefix"] {
            assert_eq!(Place::try_from(good.to_owned()).unwrap().to_string(), good);
        }
        for wrong in [
            "/var/points",
            "file://relative",
            "s3://",
            "s3:///prefix",
            "s3://id:secret@bucket",
            "s3://bucket/../other",
            "https://s3.example.com/bucket",
        ] {
            assert!(Place::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
