use std::ffi::OsString;

use killick_model::admin::{CredentialInfo, Injection, Upstream};

use super::running::{declared, separation};
use super::*;
use crate::cli::InitArgs;
use crate::home::Home;

fn of<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
    findings.iter().find(|it| it.check == check).unwrap_or_else(|| panic!("{check}: {findings:?}"))
}

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(Some(&folder.path().join("home"))).unwrap();
    let args = InitArgs { listen: "127.0.0.1:7070".parse().unwrap(), rotate_ca: false };
    crate::init::establish(&home, &args, None).unwrap();
    (folder, home)
}

#[test]
fn what_init_made_is_in_order() {
    let (_folder, home) = home();
    let findings = files::look(&home);
    assert!(findings.iter().all(|it| it.state != State::Broken), "{findings:?}");
    for check in ["permissions", "certificate authority", "packs", "passphrase", "policies"] {
        assert_eq!(of(&findings, check).state, State::Ok, "{check}");
    }
}

#[test]
fn a_key_that_others_may_read_is_broken_and_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, home) = home();
    std::fs::set_permissions(home.ca_key(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let findings = files::look(&home);
    let finding = of(&findings, "permissions");
    assert_eq!(finding.state, State::Broken);
    assert!(finding.found.contains("ca.key has mode 644"), "{finding:?}");
}

#[test]
fn a_missing_key_and_a_missing_directory_are_broken() {
    let (_folder, lost) = home();
    std::fs::remove_file(lost.record_key()).unwrap();
    assert_eq!(of(&files::look(&lost), "permissions").state, State::Broken);
    let nowhere = Home::at(Some(std::path::Path::new("/nonexistent/killick"))).unwrap();
    assert_eq!(of(&files::look(&nowhere), "directory").state, State::Broken);
}

#[test]
fn the_same_user_is_said_to_protect_nothing() {
    let finding = separation(1000, 1000);
    assert_eq!(finding.state, State::NotEnforced);
    assert!(finding.found.contains("NOT protected"));
    assert_eq!(separation(999, 1000).state, State::Ok);
}

#[test]
fn a_waiver_and_an_open_port_are_not_enforced() {
    let text =
        "[gateway]\nlisten = \"0.0.0.0:7070\"\n[production]\nwithout_fence = \"read-write\"\n";
    let findings = configured(&Config::parse("killick.toml", text).unwrap());
    assert_eq!(of(&findings, "listening").state, State::NotEnforced);
    assert!(of(&findings, "production").found.contains("WAIVER"));
    let findings = configured(&Config::default());
    assert_eq!(of(&findings, "listening").state, State::Ok);
    assert_eq!(of(&findings, "production").state, State::Ok);
}

fn upstream(name: &str, tls: bool) -> Upstream {
    Upstream {
        name: name.parse().unwrap(),
        hosts: vec!["a.example".into()],
        port: 443,
        tls,
        pack: None,
        declared: None,
        model_provider: false,
        dial: None,
        writes_by_method: false,
        private_address: false,
    }
}

#[test]
fn an_upstream_without_a_credential_is_named() {
    let credential = CredentialInfo {
        name: "c".parse().unwrap(),
        upstream: "one".parse().unwrap(),
        path_prefix: "/".into(),
        injection: Injection::Bearer,
        surrogate: "opaque".into(),
        own: false,
        added: killick_model::UnixMillis(0),
        rotated: None,
    };
    let findings = declared(&[upstream("one", true), upstream("two", false)], &[credential]);
    assert!(of(&findings, "credentials").found.contains("two"));
    assert!(!of(&findings, "credentials").found.contains("one:"));
    assert!(of(&findings, "upstream TLS").found.contains("two"));
}

fn variables(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    list.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

#[test]
fn a_credential_in_the_shell_is_named_and_its_value_is_not_shown() {
    let packs = ["HARBOUR_KEY_OF_OLD".to_owned()];
    let finding = shell::judged(
        variables(&[
            ("GITHUB_TOKEN", "s3cr3t"),
            ("HARBOUR_KEY_OF_OLD", "s3cr3t"),
            ("EMPTY_TOKEN", ""),
            ("PATH", "/bin"),
            ("KILLICK_TOKEN", "s3cr3t"),
        ]),
        &packs,
    );
    assert_eq!(finding.state, State::NotEnforced);
    assert!(finding.found.contains("GITHUB_TOKEN, HARBOUR_KEY_OF_OLD"), "{finding:?}");
    assert!(!format!("{finding:?}").contains("s3cr3t"));
    assert!(!finding.found.contains("EMPTY_TOKEN") && !finding.found.contains("KILLICK_"));
}

#[test]
fn a_surrogate_in_its_sessions_environment_is_no_credential() {
    let packs = ["HARBOUR_TOKEN".to_owned()];
    let list = variables(&[("HARBOUR_TOKEN", "surrogate"), (environment_session(), "ksess_")]);
    assert_eq!(shell::judged(list, &packs).state, State::Ok);
    let list = variables(&[("HARBOUR_TOKEN", "real")]);
    assert_eq!(shell::judged(list, &packs).state, State::NotEnforced);
}

const fn environment_session() -> &'static str {
    crate::environment::SESSION
}
