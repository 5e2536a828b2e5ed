use super::*;

use crate::host::parse_host;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn loaded() -> Ca {
    let fresh = Ca::create(NOW).unwrap();
    Ca::load(&fresh.certificate_pem, &fresh.key_pem, NOW).unwrap()
}

fn later(days: u64) -> UnixMillis {
    NOW.plus_millis(days.saturating_mul(DAY_MILLIS))
}

#[test]
fn a_ca_has_two_years_and_a_name_of_its_own() {
    let (one, other) = (Ca::create(NOW).unwrap(), Ca::create(NOW).unwrap());
    let der = CertificateDer::from_pem_slice(one.certificate_pem.as_bytes()).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert!(parsed.subject().to_string().starts_with("CN=Killick CA "));
    assert!(parsed.is_ca());
    assert_ne!(one.certificate_pem, other.certificate_pem);
    assert_ne!(*one.key_pem, *other.key_pem);
    let ca = Ca::load(&one.certificate_pem, &one.key_pem, NOW).unwrap();
    assert_eq!(ca.not_after(), later(CA_DAYS_MAX));
    assert!(!ca.certificate_pem().contains("PRIVATE"));
}

#[test]
fn a_ca_of_another_pair_or_of_no_use_is_refused() {
    let (one, other) = (Ca::create(NOW).unwrap(), Ca::create(NOW).unwrap());
    let load = |certificate: &str, key: &str, now| Ca::load(certificate, key, now).err();
    assert_eq!(load(&one.certificate_pem, &other.key_pem, NOW), Some(CaError::Mismatch));
    assert_eq!(load(&one.certificate_pem, "", NOW), Some(CaError::Key));
    assert_eq!(load(&one.certificate_pem, &one.certificate_pem, NOW), Some(CaError::Key));
    assert!(matches!(load("", &one.key_pem, NOW), Some(CaError::Certificate(_))));
    assert!(matches!(load(&one.key_pem, &one.key_pem, NOW), Some(CaError::Certificate(_))));
    let expired = load(&one.certificate_pem, &one.key_pem, later(CA_DAYS_MAX));
    assert_eq!(expired, Some(CaError::Expired));
}

#[test]
fn a_leaf_is_no_ca() {
    let key = KeyPair::generate().unwrap();
    let plain = CertificateParams::default().self_signed(&key).unwrap();
    let got = Ca::load(&plain.pem(), &key.serialize_pem(), NOW).err();
    assert_eq!(got, Some(CaError::Certificate("it is not the certificate of a CA")));
    let leaf = loaded().sign(&parse_host("a.example").unwrap(), &key, NOW).unwrap();
    assert!(expiry_of_ca(&leaf.certificate).is_err());
}

#[test]
fn a_leaf_names_one_host_for_a_week_and_never_outlives_its_ca() {
    let ca = loaded();
    let key = KeyPair::generate().unwrap();
    for (host, now, ends) in [
        ("a.example", NOW, later(LEAF_DAYS_MAX)),
        ("127.0.0.1", later(10), later(10 + LEAF_DAYS_MAX)),
        ("2001:db8::1", later(CA_DAYS_MAX - 1), later(CA_DAYS_MAX)),
    ] {
        let leaf = ca.sign(&parse_host(host).unwrap(), &key, now).unwrap();
        assert_eq!(leaf.not_after, ends, "{host}");
        let (_, parsed) = x509_parser::parse_x509_certificate(&leaf.certificate).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 1, "{host}");
        let seconds = |at: UnixMillis| i64::try_from(at.0 / 1_000).unwrap();
        assert_eq!(parsed.validity().not_after.timestamp(), seconds(ends), "{host}");
        assert!(parsed.validity().not_before.timestamp() <= seconds(now) - 86_400, "{host}");
    }
    let late = ca.sign(&parse_host("a.example").unwrap(), &key, later(CA_DAYS_MAX));
    assert_eq!(late.err(), Some(CaError::Expired));
}

#[test]
fn no_two_leaves_share_a_serial_number() {
    let ca = loaded();
    let key = KeyPair::generate().unwrap();
    let host = parse_host("a.example").unwrap();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..64 {
        let leaf = ca.sign(&host, &key, NOW).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&leaf.certificate).unwrap();
        assert!(seen.insert(parsed.raw_serial().to_vec()));
        assert_eq!(parsed.raw_serial().len(), SERIAL_BYTES);
    }
}
