use super::*;

fn error(text: &str) -> String {
    Config::parse("killick.toml", text).unwrap_err().to_string()
}

#[test]
fn what_init_writes_is_read_and_means_the_defaults() {
    let text = template("127.0.0.1:7070".parse().unwrap(), "node-1");
    assert_eq!(Config::parse("killick.toml", &text), Ok(Config::default()));
    assert_eq!(Config::parse("killick.toml", ""), Ok(Config::default()));
    assert_eq!(LISTEN_DEFAULT, Config::default().gateway.listen.to_string());
}

#[test]
fn an_unknown_setting_is_shown_where_it_stands() {
    assert_eq!(
        error("[gateway]\nlisten = \"127.0.0.1:1\"\nlisen = 1\n"),
        "killick.toml:3:1: unknown field `lisen`, expected `listen` or `extra_roots`\n\
         \u{20} |\n\
         3 | lisen = 1\n\
         \u{20} | ^"
    );
}

#[test]
fn a_wrong_value_is_shown_where_it_stands() {
    for (text, first_line) in [
        (
            "[production]\nwithout_fence = \"readwrite\"\n",
            "killick.toml:2:17: unknown variant `readwrite`, expected `read-only` or `read-write`",
        ),
        (
            "[recovery]\ngrace = \"48\"\n",
            "killick.toml:2:9: a duration is a number and a unit in quotes: \"30m\", \"48h\"",
        ),
        ("[recovery]\ngrace = \"99d\"\n", "killick.toml:2:9: a grace period is at most 30 days"),
        ("tenant = \"A B\"\n", "killick.toml:1:10: a name has 1 to 40 characters of a-z 0-9 -"),
        (
            "[record]\ncheckpoint_interval = \"1ms\"\n",
            "killick.toml:2:23: checkpoints are signed every 100ms to 1h",
        ),
    ] {
        assert_eq!(error(text).lines().next(), Some(first_line), "{text}");
        assert!(error(text).lines().last().is_some_and(|line| line.ends_with('^')), "{text}");
    }
    assert!(error("[record]\npublish = [\"http://plain.example\"]\n").contains("dir:/absolute"));
    assert!(error("[record]\npublish = [\"dir:relative\"]\n").contains("dir:/absolute"));
    assert!(error("[gateway]\nlisten = \"localhost\"\n").starts_with("killick.toml:2:10: "));
    assert!(error("[gateway\n").starts_with("killick.toml:1:"));
}

#[test]
fn a_hostile_line_is_shown_harmlessly() {
    let shown = error("lisen = \"\u{202e}\u{200b}x\"\n");
    assert!(!shown.contains('\u{202e}') && !shown.contains('\u{200b}'));
}
