//! Issued, own, derived: what may stand where, and what must not.

use super::*;

fn issued() -> CredentialVerdict {
    CredentialVerdict::Good { issued: vec![credential()], keep: Vec::new() }
}

#[test]
fn a_surrogate_is_good_at_every_position_that_is_injected() {
    for headers in [
        vec![("authorization", format!("Bearer {ISSUED}"))],
        vec![("Authorization", format!("bearer  {ISSUED} "))],
        vec![("authorization", format!("token {ISSUED}"))],
        vec![("authorization", ISSUED.to_owned())],
        vec![("authorization", format!("Basic {}", base64(&format!("user:{ISSUED}"))))],
        vec![("authorization", format!("Basic {}", base64(&format!(":{ISSUED}"))))],
        vec![("authorization", format!("Basic {}", base64(&format!("{ISSUED}:"))))],
        vec![("authorization", format!("Basic {}", base64(ISSUED)))],
        vec![("authorization", format!("Basic {}", base64(&format!("{ISSUED}:x-oauth-basic"))))],
        vec![("authorization", format!("Basic {}", base64(&format!("x-access-token:{ISSUED}"))))],
        vec![("authorization", format!("Basic {}", base64(&format!("{ISSUED}:{ISSUED}"))))],
        vec![("project-access-token", ISSUED.to_owned())],
        vec![("x-api-key", format!("Bearer {ISSUED}"))],
        vec![("x-whatever", ISSUED.to_owned())],
        vec![("cookie", format!("session={ISSUED}"))],
        vec![
            ("authorization", format!("Bearer {ISSUED}")),
            ("project-access-token", ISSUED.to_owned()),
        ],
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(verdict(&with(&headers)), issued(), "{headers:?}");
    }
    for query in [
        format!("access_token={ISSUED}"),
        format!("a=b&deploy={ISSUED}&c=d"),
        format!("token={}", ISSUED.replace('-', "%2D")),
    ] {
        assert_eq!(verdict(&get(&format!("/x?{query}"))), issued(), "{query}");
    }
}

#[test]
fn a_surrogate_of_another_session_is_misplaced_everywhere() {
    for view in [
        with(&[("authorization", &format!("Bearer {ELSEWHERE}"))]),
        with(&[("authorization", &format!("Basic {}", base64(&format!("u:{ELSEWHERE}"))))]),
        with(&[("authorization", &format!("Basic {}", base64(&format!("{ELSEWHERE}:{ISSUED}"))))]),
        with(&[("project-access-token", ELSEWHERE)]),
        with(&[("x-request-id", ELSEWHERE)]),
        with(&[("cookie", &format!("a={ELSEWHERE}"))]),
        get(&format!("/x?access_token={ELSEWHERE}")),
        get(&format!("/x?q={ELSEWHERE}")),
        get(&format!("/{ELSEWHERE}")),
        json(&format!("{{\"password\":\"{ELSEWHERE}\"}}")),
        json(&format!("{{\"id\":\"{ELSEWHERE}\"}}")),
        post("", format!("mutation {{ a(id: \"{ELSEWHERE}\") }}")),
    ] {
        assert!(is_misplaced(&view), "{view:?}");
    }
}

#[test]
fn a_surrogate_that_cannot_be_taken_out_is_misplaced() {
    for view in [
        json(&format!("{{\"password\":\"{ISSUED}\"}}")),
        json(&format!("{{\"variables\":{{\"id\":\"{ISSUED}\"}}}}")),
        json(&format!("{{\"query\":\"{{a(id:\\\"{ISSUED}\\\")}}\"}}")),
        json(&format!("{{\"a\":\"text with {ISSUED} in it\"}}")),
        json(&format!("{{\"authorization\":\"Bearer {ISSUED}\"}}")),
        post("text/plain", format!("token={ISSUED}")),
        get(&format!("/{ISSUED}/x")),
        get(&format!("/x?variables=%7B%22password%22%3A%22{ISSUED}%22%7D")),
        with(&[("user-agent", &format!("a ({ISSUED})"))]),
    ] {
        assert!(is_misplaced(&view), "{view:?}");
    }
}

#[test]
fn own_and_derived_credentials_are_kept() {
    for (headers, count) in [
        (vec![("authorization", format!("Bearer {OWN}"))], 1),
        (vec![("authorization", OWN.to_owned())], 1),
        (vec![("authorization", format!("Basic {}", base64(&format!("git:{OWN}"))))], 1),
        (vec![("x-api-key", OWN.to_owned())], 1),
        (vec![("cookie", format!("a={DERIVED}; b={DERIVED}"))], 2),
        (vec![("cookie", format!("a={DERIVED}")), ("authorization", format!("Bearer {OWN}"))], 2),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let seen = look(&with(&headers));
        let CredentialVerdict::Good { issued, keep } = classify(&seen, &Vault) else {
            panic!("{headers:?}");
        };
        assert!(issued.is_empty());
        assert_eq!(keep.len(), count, "{headers:?}");
        for at in keep {
            let value = std::str::from_utf8(&seen[at].bytes).unwrap();
            assert!([OWN, DERIVED].contains(&value));
        }
    }
}

#[test]
fn an_own_password_does_not_carry_a_stray_user() {
    let basic = |pair: &str| format!("Basic {}", base64(pair));
    for pair in [
        format!("{STRAY}:{OWN}"),
        format!("{KNOWN}:{OWN}"),
        format!("ghp_16C7e42F292c6912E7710c838347Ae178B4a:{OWN}"),
        format!("{OWN}:{STRAY}"),
        format!("{ISSUED}:{STRAY}"),
        format!("{STRAY}:x-oauth-basic"),
        "alice:x-oauth-basic".to_owned(),
        format!("Tr0ub4dor&3x:{OWN}"),
        format!("{KNOWN}:{ISSUED}"),
    ] {
        assert_eq!(foreign(&with(&[("authorization", &basic(&pair))])).len(), 1, "{pair}");
    }
}

#[test]
fn the_worst_class_is_the_verdict() {
    let both = with(&[("authorization", &format!("Bearer {ELSEWHERE}")), ("x-api-key", STRAY)]);
    assert_eq!(foreign(&both), ["header x-api-key"]);
    let misplaced =
        with(&[("authorization", &format!("Bearer {ISSUED}")), ("x-api-key", ELSEWHERE)]);
    assert!(is_misplaced(&misplaced));
    assert_eq!(classify(&[], &Vault), CredentialVerdict::Clean);
}

#[test]
fn a_place_is_named_once() {
    let twice = with(&[("x-api-key", "one-1x1x1x1"), ("x-api-key", "two-2y2y2y2")]);
    match verdict(&twice) {
        CredentialVerdict::Foreign { places, sightings } => {
            assert_eq!(places.len(), 1);
            assert_eq!(sightings.len(), 2);
        }
        other @ (CredentialVerdict::Clean
        | CredentialVerdict::Good { .. }
        | CredentialVerdict::Misplaced { .. }) => panic!("{other:?}"),
    }
}

#[test]
fn plain_words_are_refused_at_a_position_and_not_remembered() {
    // Remembering `staging` would refuse every later call with that word.
    for view in [
        with(&[("cookie", "env=staging-eu-1")]),
        with(&[("authorization", &format!("Basic {}", base64("alice:password")))]),
        json("{\"password\":\"staging\"}"),
    ] {
        match verdict(&view) {
            CredentialVerdict::Foreign { places, sightings } => {
                assert_eq!(places.len(), 1);
                assert!(sightings.is_empty());
            }
            other @ (CredentialVerdict::Clean
            | CredentialVerdict::Good { .. }
            | CredentialVerdict::Misplaced { .. }) => panic!("{other:?}"),
        }
    }
    match verdict(&with(&[("authorization", &format!("Bearer {STRAY}"))])) {
        CredentialVerdict::Foreign { sightings, .. } => assert_eq!(sightings, [0]),
        other @ (CredentialVerdict::Clean
        | CredentialVerdict::Good { .. }
        | CredentialVerdict::Misplaced { .. }) => panic!("{other:?}"),
    }
}

#[test]
fn what_stands_in_the_body_is_told_from_what_stands_in_the_head() {
    let view = RequestView {
        headers: with(&[("x-request-id", KNOWN), ("x-api-key", STRAY), ("cookie", "a=b")]).headers,
        query: Some(format!("q={KNOWN}1&token={STRAY}")),
        path: "/aA1bB2cC3".into(),
        ..json("{\"a\":\"dD4eE5fF6\",\"password\":\"p\",\"b\":\"ghp_0123456789abcdefghij\"}")
    };
    for seen in look(&view) {
        let of_the_body = [&b"dD4eE5fF6"[..], b"p", b"ghp_0123456789abcdefghij"];
        assert_eq!(
            seen.place.is_in_body(),
            of_the_body.contains(&seen.bytes.as_slice()),
            "{}",
            seen.place
        );
    }
}
