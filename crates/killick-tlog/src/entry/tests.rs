use proptest::prelude::*;

use super::*;

fn small() -> Entry {
    Entry {
        tenant: "t".into(),
        node: "n".into(),
        time_unix_ms: 5,
        header: Header::new(Kind::Refusal),
        details_commitment: None,
    }
}

fn text() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,40}".prop_map(|text| header_text(&text))
}

prop_compose! {
    fn any_header()(
        kind in proptest::sample::select(Kind::ALL),
        optional in proptest::collection::vec(proptest::option::of(text()), 12),
        owner in proptest::option::of((text(), text())),
        chain in proptest::collection::vec(text(), 0..4),
        policies in proptest::collection::vec(text(), 0..4),
        objects in proptest::option::of(any::<u64>()),
    ) -> Header {
        let mut optional = optional.into_iter();
        let mut next = || optional.next().flatten();
        Header {
            kind, call: next(), session: next(), agent: next(),
            owner: owner.map(|(issuer, subject)| Subject { issuer, subject }),
            by: next(), chain, action: next(), effect: next(), verdict: next(), environment: next(),
            upstream: next(), credential: next(), reason: next(), outcome: next(), policies, objects,
        }
    }
}

prop_compose! {
    fn any_entry()(
        tenant in text(), node in text(), time_unix_ms: u64, header in any_header(),
        details in proptest::option::of(any::<[u8; 32]>()),
    ) -> Entry {
        let details_commitment = details.map(|salt| Commitment::to(&salt, b"{}"));
        Entry { tenant, node, time_unix_ms, header, details_commitment }
    }
}

/// The bytes of version 1, kept as they are: a change of this text is a change of the format.
#[test]
fn the_bytes_of_version_one_do_not_change() {
    let entry = Entry {
        tenant: "default".into(),
        node: "gw-1".into(),
        time_unix_ms: 1_790_000_000_123,
        header: Header {
            kind: Kind::Decision,
            call: Some("c-01".into()),
            session: Some("s-02".into()),
            agent: Some("deploy-bot".into()),
            owner: Some(Subject { issuer: "local".into(), subject: "1000".into() }),
            by: Some("local:alice".into()),
            chain: vec!["s-01".into(), "s-02".into()],
            action: Some("railway:\"volumeDelete\"".into()),
            effect: Some("destroy".into()),
            verdict: Some("deny".into()),
            environment: Some("production".into()),
            upstream: Some("railway".into()),
            credential: Some("railway-token".into()),
            reason: Some("KL-ENVIRONMENT".into()),
            outcome: None,
            policies: vec!["no-cross".into()],
            objects: Some(1),
        },
        details_commitment: Some(Commitment::to(&[7; 32], b"{}")),
    };
    let expected = concat!(
        "killick-entry/1\n",
        r#"{"action":"railway:\"volumeDelete\"","agent":"deploy-bot","by":"local:alice","call":"c-01","#,
        r#""chain":["s-01","s-02"],"credential":"railway-token","#,
        r#""details_commitment":"605dcbfd3c387c45b6db7e7b1fb961bdd75d762260c4879b3c3b4f15edacad42","#,
        r#""effect":"destroy","environment":"production","kind":"decision","node":"gw-1","#,
        r#""objects":1,"owner":{"issuer":"local","subject":"1000"},"policies":["no-cross"],"#,
        r#""reason":"KL-ENVIRONMENT","session":"s-02","tenant":"default","#,
        r#""time_unix_ms":1790000000123,"upstream":"railway","verdict":"deny"}"#,
    );
    let bytes = entry.encode().unwrap();
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
    assert_eq!(Entry::decode(&bytes), Ok(entry));
}

#[test]
fn another_spelling_of_an_entry_is_refused() {
    let canonical = String::from_utf8(small().encode().unwrap()).unwrap();
    assert_eq!(
        canonical,
        "killick-entry/1\n{\"kind\":\"refusal\",\"node\":\"n\",\"tenant\":\"t\",\"time_unix_ms\":5}"
    );
    for (from, to) in [
        ("{\"kind\"", "{ \"kind\""),
        ("\"n\"", "\"\\u006e\""),
        ("\"node\":\"n\",\"tenant\":\"t\"", "\"tenant\":\"t\",\"node\":\"n\""),
        ("{\"kind\"", "{\"call\":null,\"kind\""),
        ("{\"kind\"", "{\"chain\":[],\"kind\""),
        ("{\"kind\"", "{\"kind\":\"call\",\"kind\""),
        ("\"time_unix_ms\":5", "\"time_unix_ms\":5,\"later\":1"),
        (":5}", ":5.0}"),
        (":5}", ":05}"),
        (":5}", ":5}\n"),
        (":5}", ":5}{}"),
        ("\"kind\":\"refusal\"", "\"kind\":\"Refusal\""),
        ("killick-entry/1\n", "killick-entry/1\r\n"),
        ("killick-entry/1\n", "killick-entry/01\n"),
        ("\"n\"", "\"n\\u0007\""),
        ("\"n\"", "\"\""),
    ] {
        let other = canonical.replacen(from, to, 1);
        assert_ne!(other, canonical);
        assert!(Entry::decode(other.as_bytes()).is_err(), "{other}");
    }
}

#[test]
fn an_unknown_version_or_kind_is_refused_by_name() {
    let later = b"killick-entry/2\n{\"whatever\":true}";
    assert_eq!(Entry::decode(later), Err(EntryError::UnknownVersion { version: "2".into() }));
    let canonical = String::from_utf8(small().encode().unwrap()).unwrap();
    let later = canonical.replace("refusal", "rehearsal");
    assert_eq!(Entry::decode(later.as_bytes()), Err(EntryError::UnknownKind));
    assert_eq!(Entry::decode(b""), Err(EntryError::NotAnEntry));
    assert_eq!(Entry::decode(b"killick-entry/1"), Err(EntryError::NotAnEntry));
}

#[test]
fn a_field_past_its_limit_is_refused_before_it_is_written() {
    let long = "x".repeat(HEADER_TEXT_BYTES_MAX + 1);
    let mut entry = small();
    entry.header.action = Some(long.clone());
    assert_eq!(entry.encode(), Err(EntryError::Text { field: "action" }));
    entry.header = entry.header.fitted();
    assert!(entry.encode().is_ok());
    entry.header.chain = vec!["s".into(); CHAIN_SESSIONS_MAX + 1];
    assert_eq!(entry.encode(), Err(EntryError::List { field: "chain" }));
    entry.header.chain.clear();
    entry.header.policies = vec!["\"".repeat(HEADER_TEXT_BYTES_MAX); POLICIES_MAX];
    assert!(matches!(entry.encode(), Err(EntryError::TooLong { .. })));
    entry.tenant = "a\u{1b}[2J".into();
    assert_eq!(entry.encode(), Err(EntryError::Text { field: "tenant" }));
}

#[test]
fn a_text_cannot_forge_a_line_or_move_a_cursor() {
    assert_eq!(
        header_text("ok\n\u{1b}[31mred\u{202e}txt\u{9b}"),
        "ok\u{fffd}\u{fffd}[31mred\u{fffd}txt\u{fffd}"
    );
    assert_eq!(header_text(""), "-");
    assert!(header_text(&"\u{1f980}".repeat(400)).len() <= HEADER_TEXT_BYTES_MAX);
}

#[test]
fn a_commitment_reads_only_its_own_form() {
    let commitment = Commitment::to(&[1; SALT_BYTES], b"details");
    assert_eq!(Commitment::from_hex(&commitment.to_hex()), Some(commitment));
    assert_ne!(commitment, Commitment::to(&[2; SALT_BYTES], b"details"));
    let upper = commitment.to_hex().to_uppercase();
    for text in ["", "00", &upper, "0g", &format!("{}0", commitment.to_hex())] {
        assert_eq!(Commitment::from_hex(text), None);
    }
}

proptest! {
    #[test]
    fn an_entry_comes_back_as_it_went_in(entry in any_entry()) {
        let bytes = entry.encode().unwrap();
        prop_assert_eq!(Entry::decode(&bytes), Ok(entry));
    }

    #[test]
    fn a_time_set_later_gives_the_same_bytes(entry in any_entry()) {
        let timeless = entry.clone().into_timeless().unwrap();
        prop_assert!(timeless.len_bytes_max() >= entry.encode().unwrap().len());
        prop_assert_eq!(timeless.at(entry.time_unix_ms), entry.encode().unwrap());
    }

    #[test]
    fn two_entries_never_share_their_bytes(one in any_entry(), two in any_entry()) {
        prop_assert_eq!(one.encode() == two.encode(), one == two);
    }

    #[test]
    fn changed_bytes_are_refused_or_mean_something_else(entry in any_entry(), at: usize, bit in 0_u8..8) {
        let mut bytes = entry.encode().unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert_ne!(Entry::decode(&bytes), Ok(entry));
    }

    #[test]
    fn bytes_are_never_a_panic(bytes: Vec<u8>) {
        let _ = Entry::decode(&bytes);
        let _ = Entry::decode(&[b"killick-entry/1\n".as_slice(), &bytes].concat());
    }

    #[test]
    fn any_text_can_be_made_fit(raw: String) {
        prop_assert!(text_is_right(&header_text(&raw)));
    }
}
