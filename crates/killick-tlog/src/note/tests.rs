use super::*;

/// The note and the key that the Go project publishes as the example of its signed notes.
const PUBLISHED_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PUBLISHED_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, &[seed; 32]).unwrap()
}

#[test]
fn the_published_example_is_accepted_and_no_mutation_of_it() {
    let keys = [VerifyingKey::parse(PUBLISHED_KEY).unwrap()];
    assert_eq!(keys[0].to_string(), PUBLISHED_KEY);
    let (text, signer) = open(PUBLISHED_NOTE, &keys).unwrap();
    assert!(text.ends_with("problem is.\n"));
    assert_eq!(signer.name(), "PeterNeumann");
    for at in 0..PUBLISHED_NOTE.len() {
        for bit in 0..8 {
            let mut bytes = PUBLISHED_NOTE.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let Ok(mutated) = String::from_utf8(bytes) else { continue };
            assert!(open(&mutated, &keys).is_err(), "bit {bit} of byte {at}");
        }
    }
    for cut in (0..PUBLISHED_NOTE.len()).filter(|cut| PUBLISHED_NOTE.is_char_boundary(*cut)) {
        assert!(open(&PUBLISHED_NOTE[..cut], &keys).is_err());
    }
}

#[test]
fn a_note_of_an_unknown_key_is_refused_and_the_key_named() {
    let note = sign("text\n", &[&key("log.example/a", 1)]).unwrap();
    let other = [key("log.example/a", 2).public().clone()];
    let refused = open(&note, &other).unwrap_err();
    assert!(matches!(&refused, NoteError::NoKnownKey { named } if named.contains("log.example/a")));
    assert!(open(&note, &[]).is_err());
}

#[test]
fn a_rotated_key_is_accepted_beside_the_one_before() {
    let (before, after) = (key("log.example/a", 1), key("log.example/a", 2));
    let keys = [before.public().clone(), after.public().clone()];
    for signer in [&before, &after] {
        let note = sign("text\n", &[signer]).unwrap();
        assert_eq!(open(&note, &keys).unwrap().1, signer.public());
    }
    let both = sign("text\n", &[&before, &after]).unwrap();
    assert!(open(&both, &keys[..1]).is_ok());
    assert!(open(&both, &keys[1..]).is_ok());
}

#[test]
fn a_bad_signature_of_a_known_key_spoils_a_good_one() {
    let (one, two) = (key("one", 1), key("two", 2));
    let keys = [one.public().clone(), two.public().clone()];
    let good = sign("text\n", &[&one]).unwrap();
    let other = sign("other text\n", &[&two]).unwrap();
    let line = other.lines().last().unwrap();
    let spoilt = format!("{good}{line}\n");
    assert_eq!(open(&spoilt, &keys), Err(NoteError::Signature { key: "two".into() }));
    assert!(open(&spoilt, &keys[..1]).is_ok());
}

#[test]
fn a_text_that_no_note_may_have_is_not_signed() {
    for text in ["", "no line break", "tab\there\n", "nul\0\n", "cr\r\n"] {
        assert!(sign(text, &[&key("one", 1)]).is_err(), "{text:?}");
    }
}

#[test]
fn a_key_reads_back_and_a_changed_key_does_not() {
    let signer = key("log.example/a", 7);
    let secret = signer.to_secret_text();
    assert_eq!(SigningKey::parse(&secret).unwrap().public(), signer.public());
    let public = signer.public().to_string();
    assert_eq!(&VerifyingKey::parse(&public).unwrap(), signer.public());
    for at in 0..public.len() {
        let mut bytes = public.as_bytes().to_vec();
        bytes[at] ^= 1;
        let Ok(mutated) = String::from_utf8(bytes) else { continue };
        assert!(VerifyingKey::parse(&mutated).is_err(), "byte {at}");
    }
    for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b"] {
        assert_eq!(SigningKey::from_seed(name, &[0; 32]).unwrap_err(), KeyError::Name);
    }
}

#[test]
fn a_signing_key_never_shows_its_secret() {
    let signer = key("log.example/a", 7);
    let secret = signer.to_secret_text();
    let seed = secret.rsplit('+').next().unwrap();
    assert!(!format!("{signer:?}").contains(seed));
}
