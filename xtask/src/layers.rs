//! The picture of the layers (ADR 0001) against what the manifests declare.

use crate::finding::Finding;
use serde_json::Value;

/// What a crate may depend on inside the workspace, as a normal or build dependency.
enum May {
    /// These crates and no other.
    Only(&'static [&'static str]),
    /// Every crate but the test support.
    AnythingButTests,
    /// Every crate: it is never part of the product.
    Anything,
}

/// A crate's place in the house.
struct Place {
    name: &'static str,
    may: May,
}

const TESTKIT: &str = "killick-testkit";

const PICTURE: &[Place] = &[
    // L0
    Place { name: "killick-model", may: May::Only(&[]) },
    // L1, pure
    Place { name: "killick-sql", may: May::Only(&["killick-model"]) },
    Place { name: "killick-policy", may: May::Only(&["killick-model"]) },
    Place { name: "killick-tlog", may: May::Only(&["killick-model"]) },
    Place { name: "killick-behaviour", may: May::Only(&["killick-model"]) },
    // L2
    Place {
        name: "killick-gate",
        may: May::Only(&["killick-model", "killick-policy", "killick-behaviour", "killick-tlog"]),
    },
    Place { name: "killick-net", may: May::Only(&["killick-gate", "killick-model"]) },
    Place {
        name: "killick-store",
        may: May::Only(&["killick-gate", "killick-model", "killick-tlog"]),
    },
    // L3
    Place { name: "killick-adapter-http", may: ADAPTER },
    Place { name: "killick-adapter-postgres", may: ADAPTER },
    Place { name: "killick-recover", may: May::Only(&["killick-gate", "killick-model"]) },
    // L4
    Place { name: "killick-admin", may: ABOVE_THE_GATE },
    Place { name: "killick-scan", may: ABOVE_THE_GATE },
    Place { name: "killick-sandbox", may: ABOVE_THE_GATE },
    Place { name: "killick-console", may: ABOVE_THE_GATE },
    // L5
    Place { name: "killick", may: May::AnythingButTests },
    // Beside the house
    Place { name: TESTKIT, may: May::Anything },
    Place { name: "xtask", may: May::Only(&[]) },
];

/// No adapter knows another, and none decides, stores or dials.
const ADAPTER: May = May::Only(&["killick-gate", "killick-model", "killick-sql"]);

/// L4 renders and serves what the gate knows; it knows no adapter.
const ABOVE_THE_GATE: May = May::Only(&[
    "killick-behaviour",
    "killick-gate",
    "killick-model",
    "killick-net",
    "killick-policy",
    "killick-recover",
    "killick-store",
    "killick-tlog",
]);

/// Libraries that stay behind one door, with the crates that may hold the key.
const WRAPPED: &[(&str, &[&str])] = &[
    ("cedar-policy", &["killick-policy"]),
    ("rcgen", &["killick-net", TESTKIT]),
    ("rusqlite", &["killick-store"]),
    ("rustls", &["killick-net", TESTKIT]),
    ("rustls-native-certs", &["killick-net", TESTKIT]),
    ("tokio-rustls", &["killick-net", TESTKIT]),
];

/// Crates whose work is a function of its arguments.
const PURE: &[&str] =
    &["killick-model", "killick-sql", "killick-policy", "killick-tlog", "killick-behaviour"];

/// What a pure crate cannot need.
const IMPURE: &[&str] =
    &["async-std", "axum", "hyper", "hyper-util", "reqwest", "smol", "socket2", "tokio", "ureq"];

/// Returns every edge that the picture forbids, from `cargo metadata --no-deps`.
pub(crate) fn check(metadata: &Value) -> Vec<Finding> {
    let Some(packages) = metadata["packages"].as_array().filter(|found| !found.is_empty()) else {
        return vec![Finding::at("cargo metadata", "lists no packages, so nothing can be cleared")];
    };
    let members: Vec<&str> = packages.iter().filter_map(|it| it["name"].as_str()).collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(place) = PICTURE.iter().find(|place| place.name == name) else {
            findings.push(Finding::at(
                name,
                "has no place in the picture: give it one in ADR 0001 and xtask/src/layers.rs",
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            // Cargo says null for a normal dependency.
            let is_dev = dependency["kind"].as_str() == Some("dev");
            let wrong = if members.contains(&to) || to.starts_with("killick") {
                forbidden_inside(place, to, is_dev)
            } else {
                forbidden_outside(name, to, is_dev)
            };
            findings.extend(wrong.map(|what| Finding::at(format!("{name} -> {to}"), what)));
        }
    }
    findings
}

fn forbidden_inside(place: &Place, to: &str, is_dev: bool) -> Option<&'static str> {
    if to == TESTKIT {
        let fine = is_dev || matches!(place.may, May::Anything);
        return (!fine).then_some("test support is a dev-dependency or nothing");
    }
    match &place.may {
        May::Only(allowed) if allowed.contains(&to) => None,
        May::Only(_) => Some("the picture has no such edge"),
        May::AnythingButTests | May::Anything => None,
    }
}

fn forbidden_outside(name: &str, to: &str, is_dev: bool) -> Option<&'static str> {
    if is_dev {
        return None;
    }
    let wrapped = WRAPPED.iter().any(|(library, keys)| *library == to && !keys.contains(&name));
    if wrapped {
        return Some("this library stays behind the crate that wraps it");
    }
    (PURE.contains(&name) && IMPURE.contains(&to)).then_some("a pure crate does no I/O")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The findings for one crate with one dependency, in a workspace that holds both.
    fn edge(from: &str, to: &str, kind: Option<&str>) -> Vec<Finding> {
        let mut packages = vec![json!({
            "name": from,
            "dependencies": [{ "name": to, "kind": kind }],
        })];
        if PICTURE.iter().any(|place| place.name == to) {
            packages.push(json!({ "name": to, "dependencies": [] }));
        }
        check(&json!({ "packages": packages }))
    }

    #[test]
    fn an_edge_that_the_picture_forbids_is_found() {
        for (from, to) in [
            ("killick-model", "killick-gate"),
            ("killick-policy", "killick-store"),
            ("killick-tlog", "killick-policy"),
            ("killick-gate", "killick-net"),
            ("killick-gate", "killick-store"),
            ("killick-net", "killick-policy"),
            ("killick-adapter-http", "killick-policy"),
            ("killick-adapter-http", "killick-store"),
            ("killick-adapter-http", "killick-net"),
            ("killick-adapter-http", "killick-adapter-postgres"),
            ("killick-console", "killick-adapter-http"),
            ("killick-recover", "killick"),
        ] {
            assert_eq!(edge(from, to, None).len(), 1, "{from} -> {to}");
            assert_eq!(edge(from, to, Some("build")).len(), 1, "build: {from} -> {to}");
            assert_eq!(edge(from, to, Some("dev")).len(), 1, "dev: {from} -> {to}");
        }
    }

    #[test]
    fn an_edge_of_the_picture_passes() {
        for (from, to) in [
            ("killick-gate", "killick-policy"),
            ("killick-net", "killick-gate"),
            ("killick-store", "killick-tlog"),
            ("killick-adapter-http", "killick-gate"),
            ("killick", "killick-adapter-http"),
            ("killick-console", "killick-store"),
        ] {
            assert_eq!(edge(from, to, None), [], "{from} -> {to}");
        }
    }

    #[test]
    fn test_support_never_reaches_the_product() {
        for from in ["killick", "killick-net", "killick-model"] {
            assert_eq!(edge(from, TESTKIT, None).len(), 1, "{from}");
            assert_eq!(edge(from, TESTKIT, Some("dev")), [], "{from}");
        }
    }

    #[test]
    fn a_wrapped_library_stays_behind_its_crate() {
        for (from, to) in [
            ("killick-adapter-http", "rustls"),
            ("killick", "tokio-rustls"),
            ("killick-store", "rcgen"),
            ("killick-tlog", "rusqlite"),
            ("killick-gate", "cedar-policy"),
        ] {
            assert_eq!(edge(from, to, None).len(), 1, "{from} -> {to}");
            assert_eq!(edge(from, to, Some("dev")), [], "dev: {from} -> {to}");
        }
        assert_eq!(edge("killick-net", "rustls", None), []);
        assert_eq!(edge("killick-store", "rusqlite", None), []);
        assert_eq!(edge("killick-policy", "cedar-policy", None), []);
    }

    #[test]
    fn a_pure_crate_has_no_runtime() {
        assert_eq!(edge("killick-tlog", "tokio", None).len(), 1);
        assert_eq!(edge("killick-store", "tokio", None), []);
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        assert_eq!(edge("killick-extra", "serde", None).len(), 1);
        assert_eq!(edge("killick-model", "killick-extra", None).len(), 1);
    }

    #[test]
    fn a_graph_without_packages_clears_nothing() {
        assert_eq!(check(&json!({})).len(), 1);
        assert_eq!(check(&json!({ "packages": [] })).len(), 1);
    }
}
