//! Programs that have to be on the gateway's machine: the one that dumps a database whole.

use killick_model::readiness::{Finding, Layer, LayerState};

use super::findings::version_text;

/// The name of the program that dumps a database.
pub const DUMP: &str = "pg_dump";
/// The most bytes of a program that are looked through.
pub const PROGRAM_BYTES_MAX: u64 = 16 << 20;

/// What stands before the version in the program itself.
const MARK: &[u8] = b"pg_dump (PostgreSQL) ";

/// Returns the major version that a dump program says of itself, without running it; a wrapper has none.
#[must_use]
pub fn version_in(program: &[u8]) -> Option<u32> {
    let at = program.windows(MARK.len()).position(|window| window == MARK)?;
    let rest = program.get(at.saturating_add(MARK.len())..)?;
    let digits: Vec<u8> = rest.iter().take(4).copied().take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// Says whether the dump program that would be run, of this version, can dump a server.
#[must_use]
pub fn finding(server: u32, program: Option<u32>) -> Finding {
    let needed = server.div_euclid(10_000);
    let good = program.is_some_and(|it| it >= needed);
    let found = match program {
        None => format!("{DUMP} is not on this machine; the server is {}", version_text(server)),
        Some(it) => {
            format!("{DUMP} {it} is on this machine; the server is {}", version_text(server))
        }
    };
    Finding {
        layer: Layer::Undo,
        about: "snapshots".into(),
        state: if good { LayerState::Holds } else { LayerState::Missing },
        found,
        remedy: (!good)
            .then(|| format!("install {DUMP} {needed} or later: an older one refuses the server")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_program_says_its_version_and_an_older_one_is_not_enough() {
        assert_eq!(version_in(b"\0\0pg_dump (PostgreSQL) 15.13 (Debian)\0"), Some(15));
        assert_eq!(version_in(b"#!/usr/bin/perl -wT\n# wrapper"), None);
        assert_eq!(finding(150_013, Some(17)).state, LayerState::Holds);
        assert_eq!(finding(180_001, Some(15)).state, LayerState::Missing);
        assert_eq!(finding(150_013, None).state, LayerState::Missing);
    }
}
