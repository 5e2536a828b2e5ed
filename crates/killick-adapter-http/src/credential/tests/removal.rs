//! What is left of a request when its credentials are taken out.

use proptest::prelude::*;

use super::super::without_credentials;
use super::*;

fn taken_out(view: &RequestView) -> RequestView {
    without_credentials(view, &positions())
}

#[test]
fn every_credential_of_the_head_goes_and_all_else_stays() {
    let authorization = format!("Bearer {ISSUED}");
    let cookie = format!("a={DERIVED}");
    let mut view = with(&[
        ("Authorization", &authorization),
        ("authorization", ""),
        ("proxy-authorization", &authorization),
        ("cookie", &cookie),
        ("project-access-token", ISSUED),
        ("x-api-key", ISSUED),
        ("x-whatever", ISSUED),
        ("x-other", "plain"),
        ("X-Request-Id", STRAY),
        ("content-type", "application/json"),
    ]);
    view.query = Some(format!("a=%7b1%7D&access_token={ISSUED}&b=2;c&%61pi_key=x&d"));
    view.body = Bytes::from_static(b"{}");
    let left = taken_out(&view);
    let names: Vec<&str> = left.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "x-other", "X-Request-Id", "content-type"]);
    assert_eq!(left.query.as_deref(), Some("a=%7b1%7D&b=2;c&d"));
    assert_eq!((left.body, left.path), (view.body, view.path));
}

#[test]
fn a_query_without_credentials_stays_as_it_was_written() {
    for query in ["", "&", "a=b", "a=%61&&b;c=+", "a=b&", ";;", "query=%7Bme%7Bid%7D%7D"] {
        assert_eq!(taken_out(&get(&format!("/x?{query}"))).query.as_deref(), Some(query));
    }
    assert_eq!(taken_out(&get("/x")).query, None);
    let only = get(&format!("/x?access_token={ISSUED}"));
    assert_eq!(taken_out(&only).query, None);
    for (query, left) in [
        (format!("token={ISSUED}&a=b"), "a=b"),
        (format!("a=b&token={ISSUED}"), "a=b"),
        (format!("a=b;token={ISSUED};c=d"), "a=b;c=d"),
        (format!("a=b&token={ISSUED}&token={ISSUED}"), "a=b"),
    ] {
        let view = get(&format!("/x?{query}"));
        assert_eq!(taken_out(&view).query.as_deref(), Some(left), "{query}");
    }
}

fn is_of_the_head(place: &Place) -> bool {
    match place {
        Place::Authorization { .. }
        | Place::Header(_)
        | Place::UnknownHeader(_)
        | Place::Cookie(_)
        | Place::Query(_) => true,
        Place::UserInfo | Place::BodyKey(_) | Place::BodyShape(_) | Place::BodyWord(_) => false,
    }
}

fn any_header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = prop_oneof![
        "[a-z][a-z-]{0,14}(-key|-token|-id)?",
        Just("authorization".to_owned()),
        Just("Cookie".to_owned()),
        Just("user-agent".to_owned()),
        Just("referer".to_owned()),
    ];
    let value = prop_oneof![
        "[ -~\t]{0,60}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(format!("Bearer {STRAY}").into_bytes()),
        Just(STRAY.as_bytes().to_vec()),
        Just(b"https://u:p4ssw0rdX@h/?token=abcdef#access_token=1".to_vec()),
    ];
    (name, value)
}

fn any_query() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        "[a-z%0-9\\[\\]]{0,8}".boxed(),
        Just("access_token".to_owned()).boxed(),
        Just("%74oken".to_owned()).boxed(),
        Just("variables".to_owned()).boxed(),
    ];
    let value = prop_oneof![
        "[ -~]{0,20}".boxed(),
        Just(STRAY.to_owned()).boxed(),
        Just("%7B%22password%22%3A%22x%22%7D".to_owned()).boxed(),
    ];
    let pair = (key, value, prop_oneof![Just("&"), Just(";"), Just("&&")]);
    proptest::collection::vec(pair, 0..6).prop_map(|pairs| {
        let pieces = pairs.iter().flat_map(|(key, value, join)| [key, "=", value, *join]);
        pieces.collect::<String>()
    })
}

proptest! {
    #[test]
    fn nothing_of_the_head_is_left(
        headers in proptest::collection::vec(any_header(), 0..6),
        query in proptest::option::of(any_query()),
    ) {
        let view = RequestView { query, headers, ..get("/x") };
        let left = taken_out(&view);
        for seen in look(&left) {
            prop_assert!(!is_of_the_head(&seen.place), "{} is left", seen.place);
        }
        let again = taken_out(&left);
        prop_assert_eq!(again.headers, left.headers);
        prop_assert_eq!(again.query, left.query);
    }

    #[test]
    fn nothing_makes_it_panic(
        path in ".{0,60}",
        host in ".{0,20}",
        query in proptest::option::of(".{0,80}"),
        headers in proptest::collection::vec((".{0,20}", proptest::collection::vec(any::<u8>(), 0..60)), 0..5),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let view = RequestView { path, host, query, headers, body: body.into(), ..get("/x") };
        let _ = verdict(&view);
        let _ = taken_out(&view);
    }

    #[test]
    fn no_text_makes_it_panic(
        body in "[{}\\[\\]\"':,=&;\\\\#$a-z\u{e9}\u{1f600}\\-\n ]{0,120}",
        content_type in prop_oneof![
            Just("application/json"), Just("application/graphql"), Just("multipart/form-data"),
            Just("application/x-www-form-urlencoded"), Just(""),
        ],
    ) {
        let _ = verdict(&post(content_type, body.clone()));
        let wrapped = serde_json::json!({ "query": body.clone(), "variables": body }).to_string();
        let _ = verdict(&json(&wrapped));
    }

    #[test]
    fn a_password_is_found_wherever_it_stands(
        steps in proptest::collection::vec("[a-z]{1,6}", 0..6),
        password in "[!-~]{1,20}",
    ) {
        prop_assume!(!super::super::shape::is_no_credential(&password));
        let mut value = serde_json::json!({ "password": password });
        for step in steps {
            value = if step.len() % 2 == 0 {
                serde_json::json!([value])
            } else {
                serde_json::json!({ step: value })
            };
        }
        prop_assert!(!foreign(&json(&value.to_string())).is_empty());
    }
}
