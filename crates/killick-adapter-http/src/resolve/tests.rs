use std::path::Path;

use killick_model::{Tier, UpstreamName};
use serde_json::{Value, json};

use super::*;
use crate::pack::source::load_pack;

fn pack() -> Arc<Pack> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs/railway");
    Arc::new(load_pack(&dir).unwrap())
}

fn upstream() -> Upstream {
    Upstream {
        name: UpstreamName::parse("railway").unwrap(),
        hosts: vec!["backboard.railway.app".into()],
        port: 443,
        tls: true,
        pack: Some("railway".into()),
        declared: None,
        model_provider: false,
        dial: None,
        writes_by_method: false,
        private_address: false,
    }
}

fn object(kind: &str, id: &str) -> ObjectRef {
    let upstream = UpstreamName::parse("railway").unwrap();
    ObjectRef { upstream, kind: kind.into(), id: id.into(), within: None }
}

fn asked(resolution: &Resolution) -> Value {
    serde_json::from_slice(&resolution.next().unwrap().body).unwrap()
}

fn volumes(nodes: &Value) -> Value {
    json!({ "data": { "projects": { "edges": [{ "node": { "id": "p", "name": "fleet", "volumes": {
        "edges": nodes } } }] } } })
}

fn volume_node(id: &str, environment: &str) -> Value {
    json!({ "node": { "id": id, "name": "pg-data", "createdAt": "2026-01-01T00:00:00Z", "volumeInstances": { "edges": [
        { "node": { "id": "vi-1", "sizeMB": 5000, "currentSizeMB": 1024.5, "serviceId": "s-db",
                    "environment": { "id": "env-prod", "name": environment } } } ] } } })
}

fn run_volume(first: &Value) -> ObjectFacts {
    let mut resolution = Resolution::start(&pack(), &upstream(), &object("volume", "v-1"));
    resolution.answer(200, first);
    while resolution.next().is_some() {
        let body = asked(&resolution);
        let query = body["query"].as_str().unwrap();
        if query.contains("BackupList") {
            assert_eq!(body["variables"]["id"], "vi-1");
            resolution.answer(200, &json!({ "data": { "volumeInstanceBackupList": [{ "id": "b-2" }, { "id": "b-1" }] } }));
        } else {
            resolution.answer(
                200,
                &json!({ "data": { "service": { "id": "s-db", "name": "postgres" } } }),
            );
        }
    }
    resolution.finish()
}

#[test]
fn a_volume_is_found_with_its_environment_size_backups_and_dependants() {
    let found = run_volume(&volumes(&json!([
        volume_node("other", "staging"),
        volume_node("v-1", "production")
    ])));
    assert!(found.resolved);
    assert_eq!(found.environment.tier(), Tier::Production);
    assert_eq!(found.name.as_deref(), Some("pg-data"));
    assert_eq!(found.size_mb, Some(1025));
    assert_eq!(found.backups, ["b-1", "b-2"]);
    assert_eq!(found.dependants, ["postgres"]);
    assert_eq!(found.material.get("size_mb").map(|fact| fact.value), Some(1025));
}

#[test]
fn what_is_not_found_or_found_twice_is_unknown() {
    for nodes in [
        json!([]),
        json!([volume_node("other", "staging")]),
        json!([volume_node("v-1", "staging"), volume_node("v-1", "staging")]),
    ] {
        let found = run_volume(&volumes(&nodes));
        assert!(!found.resolved);
        assert!(found.environment.counts_as_production());
    }
}

#[test]
fn an_answer_with_errors_or_another_status_is_no_answer() {
    for (status, body) in [
        (
            200,
            json!({ "errors": [{ "message": "Not Authorized" }], "data": volumes(&json!([volume_node("v-1", "staging")]))["data"] }),
        ),
        (500, volumes(&json!([volume_node("v-1", "staging")]))),
        (200, json!({ "errors": "no", "data": null })),
    ] {
        let mut resolution = Resolution::start(&pack(), &upstream(), &object("volume", "v-1"));
        resolution.answer(status, &body);
        assert!(resolution.next().is_none());
        assert!(!resolution.finish().resolved);
    }
}

#[test]
fn an_environment_whose_name_only_looks_like_staging_is_unknown() {
    let found = run_volume(&volumes(&json!([volume_node("v-1", "stagıng")])));
    assert_eq!(found.environment.tier(), Tier::Unknown);
}

#[test]
fn an_id_that_looks_like_a_placeholder_or_like_a_document_stays_a_value() {
    let evil = "{in}\") { id } } mutation { volumeDelete(volumeId:\"x";
    let resolution = Resolution::start(&pack(), &upstream(), &object("environment", evil));
    let body = asked(&resolution);
    assert_eq!(body["variables"]["id"], evil);
    assert!(!body["query"].as_str().unwrap().contains("volumeDelete"));
}

#[test]
fn the_number_of_errands_is_bounded() {
    let many: Vec<Value> = (0..50)
        .map(|at| {
            json!({ "node": { "id": format!("vi-{at}"), "currentSizeMB": 1, "serviceId": null,
            "environment": { "id": "e", "name": "staging" } } })
        })
        .collect();
    let node = json!([{ "node": { "id": "v-1", "name": "n", "createdAt": "t", "volumeInstances": { "edges": many } } }]);
    let mut resolution = Resolution::start(&pack(), &upstream(), &object("volume", "v-1"));
    resolution.answer(200, &volumes(&node));
    let mut errands = 1;
    while resolution.next().is_some() {
        resolution.answer(200, &json!({ "data": { "volumeInstanceBackupList": [] } }));
        errands += 1;
    }
    assert_eq!(errands, ERRANDS_PER_OBJECT_MAX);
    // Not everything was asked, so nothing is known.
    assert!(!resolution.finish().resolved);
}

#[test]
fn an_object_is_in_the_environment_that_narrows_it_only_if_the_provider_agrees() {
    let mut variables = object("service_in", "x");
    variables.kind = "service".into();
    variables.id = "s-1".into();
    variables.within = Some(Box::new(object("environment", "env-staging")));
    let service = |environments: &[&str]| {
        let edges: Vec<Value> = environments
            .iter()
            .map(|name| json!({ "node": { "id": name, "name": name } }))
            .collect();
        json!({ "data": { "service": { "id": "s-1", "name": "api", "createdAt": "t",
            "project": { "id": "p", "name": "fleet", "environments": { "edges": edges } } } } })
    };
    let environment = json!({ "data": { "environment": { "id": "env-staging", "name": "staging", "projectId": "p",
        "createdAt": "t", "serviceInstances": { "edges": [] }, "volumeInstances": { "edges": [] } } } });
    let run = |first: &Value| {
        let mut resolution = Resolution::start(&pack(), &upstream(), &variables);
        resolution.answer(200, first);
        while resolution.next().is_some() {
            resolution.answer(200, &environment);
        }
        resolution.finish()
    };
    let agreed = run(&service(&["production", "staging"]));
    assert_eq!(agreed.environment.to_string(), "staging");
    let elsewhere = run(&service(&["production"]));
    assert_eq!(elsewhere.environment.tier(), Tier::Unknown);
}

fn resolved_instance() -> ObjectFacts {
    let mut facts = ObjectFacts::unresolved(object("volume", "v-1"));
    facts.extra.insert("instance_id".into(), vec!["vi-1".into()]);
    facts
}

#[test]
fn a_point_counts_as_taken_only_when_the_provider_lists_a_new_one_and_locked_it() {
    let list = |ids: &[&str]| {
        let all: Vec<Value> =
            ids.iter().map(|id| json!({ "id": id, "name": "killick", "createdAt": "t" })).collect();
        json!({ "data": { "volumeInstanceBackupList": all } })
    };
    let mut taking =
        PointTaking::start(&pack(), &upstream(), "volume_backup", &resolved_instance());
    assert!(matches!(taking.next(), PointStep::Read(_)));
    taking.answer(200, &list(&["old"]));
    assert!(matches!(taking.next(), PointStep::Write(_)));
    taking.answer(200, &json!({ "data": { "volumeInstanceBackupCreate": { "workflowId": "w" } } }));
    assert!(matches!(taking.next(), PointStep::Read(_)));
    taking.answer(200, &list(&["old"]));
    assert!(matches!(taking.next(), PointStep::ReadLater(_)));
    taking.answer(200, &list(&["old", "fresh"]));
    let PointStep::Write(lock) = taking.next() else { panic!("not locked") };
    let body: Value = serde_json::from_slice(&lock.body).unwrap();
    assert_eq!(body["variables"], json!({ "id": "vi-1", "point": "fresh" }));
    taking.answer(200, &json!({ "data": { "volumeInstanceBackupLock": true } }));
    let PointStep::Taken { ids, locked } = taking.next() else { panic!("not taken") };
    assert_eq!((ids, locked), (vec!["fresh".to_owned()], true));
}

#[test]
fn a_point_that_never_appears_is_not_taken() {
    let empty = json!({ "data": { "volumeInstanceBackupList": [] } });
    let mut taking =
        PointTaking::start(&pack(), &upstream(), "volume_backup", &resolved_instance());
    for _ in 0..PointTaking::POLLS_MAX + 5 {
        taking.answer(200, &empty);
    }
    assert!(matches!(taking.next(), PointStep::Failed { .. }));
    let nothing = ObjectFacts::unresolved(object("volume", "v-1"));
    let taking = PointTaking::start(&pack(), &upstream(), "volume_backup", &nothing);
    assert!(matches!(taking.next(), PointStep::Failed { .. }));
}
