use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let help = Cli::command().render_long_help().to_string();
    for word in [
        "init",
        "up",
        "status",
        "doctor",
        "agent",
        "session",
        "upstream",
        "credential",
        "request",
        "grant",
        "break-glass",
        "pending",
        "policy",
        "log",
        "checkpoint",
        "key",
        "passphrase",
        "explain",
        "pack",
        "completion",
        "help",
        "Exit status",
    ] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn no_secret_is_ever_an_argument() {
    fn walk(command: &clap::Command, path: &str) {
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str();
            assert!(
                !matches!(name, "value" | "secret" | "token" | "password" | "passphrase"),
                "{path} --{name}"
            );
            assert_eq!(
                argument.get_env().map(|it| it.to_string_lossy().into_owned()),
                (name == "home").then(|| crate::home::VARIABLE.to_owned()),
                "{path} --{name}: nothing but the directory is taken from the environment"
            );
        }
        for below in command.get_subcommands() {
            walk(below, &format!("{path} {}", below.get_name()));
        }
    }
    walk(&Cli::command(), "killick");
}

#[test]
fn a_session_is_opened_with_the_least_that_is_needed() {
    let line = "killick session open --agent a --environment staging --task t";
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    let Command::Session(SessionCommand::Open(args)) = cli.command else { panic!("{cli:?}") };
    assert_eq!(args.ttl, 8 * 3_600_000);
    assert!(!args.fence && args.scope.effects.is_empty());
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    for line in [
        "killick agent add UPPER",
        "killick session open --agent a --environment staging --task t --ttl 8",
        "killick upstream add x --declare production",
        "killick grant add --session s-1 --effect everything --count 1 --ttl 1h",
        "killick explain",
        "killick log show not_an_id",
        "killick database add a --url postgres://h/d --environment staging --lock-timeout 0s",
        "killick database add a --url postgres://h/d --environment staging --wal-max 99999999999GB",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

#[test]
fn sizes_are_numbers_of_bytes_or_of_powers_of_two() {
    for (raw, expected) in [("0", 0), ("512MB", 512 << 20), ("16GB", 16 << 30)] {
        let line =
            format!("killick database add a --url postgres://h/d --environment ci --wal-max {raw}");
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Database(DatabaseCommand::Add(args)) = cli.command else { panic!("{cli:?}") };
        assert_eq!(args.limits.wal_max, Some(expected));
    }
}
