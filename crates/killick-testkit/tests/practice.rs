//! The practice world does what a provider would do, on disk and over the wire.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod wire;

use killick_testkit::practice::{PracticeOptions, PracticeWorld, ids};
use serde_json::{Value, json};

use wire::Caller;

async fn world() -> (tempfile::TempDir, PracticeWorld, Caller) {
    let dir = tempfile::tempdir().unwrap();
    let mut options = PracticeOptions::in_dir(dir.path().join("disk"));
    options.request_log = Some(dir.path().join("requests.jsonl"));
    let world = PracticeWorld::start(options).await.unwrap();
    let caller = Caller::of(&world);
    (dir, world, caller)
}

#[tokio::test]
async fn volume_delete_takes_the_data_and_its_backups() {
    let (_dir, world, caller) = world().await;
    let volume = world.volume_dir(ids::VOLUME_PRODUCTION);
    assert!(volume.join("vi1/data/reservations.db").metadata().unwrap().len() > 1_000_000);
    assert!(volume.join("vi1/backups/b1/reservations.db").exists());
    let answer = caller
        .query(&format!("mutation {{ volumeDelete(volumeId: \"{}\") }}", ids::VOLUME_PRODUCTION))
        .await;
    assert_eq!(answer, json!({"data": {"volumeDelete": true}}));
    assert!(!volume.exists());
    let answer =
        caller.query("{ volumeInstanceBackupList(volumeInstanceId: \"vi1\") { id } }").await;
    assert_eq!(answer["errors"][0]["message"], "VolumeInstance not found");
    assert!(world.volume_dir(ids::VOLUME_STAGING).join("vi2/data/reservations.db").exists());
}

#[tokio::test]
async fn every_disguise_of_the_same_mutation_deletes() {
    let id = ids::VOLUME_PRODUCTION;
    let json_body = |query: &str| json!({ "query": query }).to_string();
    let plain = format!("mutation {{ volumeDelete(volumeId: \"{id}\") }}");
    let disguises: Vec<(&str, Option<&str>, String)> = vec![
        ("no content type", None, json_body(&plain)),
        ("a form that is JSON", Some("application/x-www-form-urlencoded"), json_body(&plain)),
        ("the query as a body", Some("application/graphql"), plain.clone()),
        ("an alias", None, json_body(&format!("mutation {{ ok: volumeDelete(volumeId: \"{id}\") }}"))),
        (
            "a fragment",
            None,
            json_body(&format!(
                "mutation M {{ ...F }} fragment F on Mutation {{ volumeDelete(volumeId: \"{id}\") }}"
            )),
        ),
        (
            "another operation first",
            None,
            json!({
                "query": format!("query Q {{ me {{ id }} }} mutation D {{ volumeDelete(volumeId: \"{id}\") }}"),
                "operationName": "D",
            })
            .to_string(),
        ),
        (
            "a directive",
            None,
            json!({
                "query": format!("mutation ($no: Boolean!) {{ volumeDelete(volumeId: \"{id}\") @skip(if: $no) }}"),
                "variables": {"no": false},
            })
            .to_string(),
        ),
        (
            "a default of a variable",
            None,
            json_body(&format!("mutation ($v: String! = \"{id}\") {{ volumeDelete(volumeId: $v) }}")),
        ),
        (
            "a batch",
            None,
            json!([{"query": "{ me { id } }"}, {"query": plain}]).to_string(),
        ),
        (
            "a state",
            None,
            json_body(&format!(
                "mutation {{ volumeInstanceUpdate(volumeId: \"{id}\", input: {{state: DELETED}}) }}"
            )),
        ),
        ("a whole project", None, json_body("mutation { projectScheduleDeleteForce(id: \"p-0001\") }")),
        (
            "a patch",
            None,
            json!({
                "query": "mutation ($p: EnvironmentConfig) { environmentPatchCommit(environmentId: \"env-prod\", patch: $p) }",
                "variables": {"p": {"volumes": {id: {"isDeleted": true}}}},
            })
            .to_string(),
        ),
    ];
    for (name, content_type, body) in disguises {
        let (_dir, world, caller) = world().await;
        let (status, answer) = caller.post("/graphql/v2", content_type, &body).await;
        assert_eq!(status, 200, "{name}: {answer}");
        assert!(!world.volume_dir(id).exists(), "{name}: {answer}");
    }
}

#[tokio::test]
async fn what_a_directive_skips_does_not_happen() {
    let (_dir, world, caller) = world().await;
    let body = json!({
        "query": "mutation ($no: Boolean!) { volumeDelete(volumeId: \"3d2c42fb-0000-4000-8000-000000000001\") @skip(if: $no) }",
        "variables": {"no": true},
    });
    let (_, answer) = caller.post("/graphql/v2", None, &body.to_string()).await;
    assert_eq!(answer, json!({"data": {}}));
    assert!(world.volume_dir(ids::VOLUME_PRODUCTION).exists());
}

#[tokio::test]
async fn a_mutation_by_get_is_refused_and_a_query_is_answered() {
    let (_dir, world, caller) = world().await;
    let path = "/graphql/v2?query=mutation%7BprojectDelete(id%3A%22p-0001%22)%7D";
    let (status, _) = caller.get(path).await;
    assert_eq!(status, 405);
    assert!(world.object("Project", ids::PROJECT).is_some());
    let (status, answer) = caller.get("/graphql/v2?query=%7Bme%7Bid%7D%7D").await;
    assert_eq!((status, answer), (200, json!({"data": {"me": {"id": "u-0001"}}})));
}

#[tokio::test]
async fn without_a_token_that_works_nothing_is_answered() {
    let (_dir, world, caller) = world().await;
    let wrong = uuid_like();
    for token in [None, Some(wrong.as_str())] {
        let caller = caller.with_token(token);
        for document in [
            "{ me { id } }",
            "mutation { volumeDelete(volumeId: \"3d2c42fb-0000-4000-8000-000000000001\") }",
        ] {
            let answer = caller.query(document).await;
            assert_eq!(answer["errors"][0]["message"], "Not Authorized", "{document}");
        }
    }
    assert!(world.volume_dir(ids::VOLUME_PRODUCTION).exists());
    let project = caller.with_token(Some(&world.project_token));
    let answer = project
        .query("mutation { volumeDelete(volumeId: \"3d2c42fb-0000-4000-8000-000000000001\") }")
        .await;
    assert_eq!(answer["errors"][0]["message"], "Not Authorized");
    let answer = project.query("{ projectToken { environment { name } } }").await;
    assert_eq!(answer["data"]["projectToken"]["environment"]["name"], "staging");
}

fn uuid_like() -> String {
    "00000000-0000-4000-8000-00000000dead".to_owned()
}

#[tokio::test]
async fn a_minted_token_works_until_it_is_deleted() {
    let (_dir, world, caller) = world().await;
    let answer = caller.query("mutation { apiTokenCreate(input: {name: \"ci\"}) }").await;
    let minted = answer["data"]["apiTokenCreate"].as_str().unwrap().to_owned();
    let other = caller.with_token(Some(&minted));
    assert_eq!(other.query("{ me { id } }").await["data"]["me"]["id"], "u-0001");
    assert_eq!(world.requests().last().unwrap().principal, "ci");
    let tokens = caller.query("{ apiTokens { edges { node { id name } } } }").await;
    let edges = tokens["data"]["apiTokens"]["edges"].as_array().unwrap().clone();
    let id = edges.iter().find(|edge| edge["node"]["name"] == "ci").unwrap()["node"]["id"].clone();
    caller.query(&format!("mutation {{ apiTokenDelete(id: {id}) }}")).await;
    assert_eq!(other.query("{ me { id } }").await["errors"][0]["message"], "Not Authorized");
}

#[tokio::test]
async fn a_collection_that_replaces_wipes_what_it_does_not_name() {
    let (_dir, world, caller) = world().await;
    let upsert = |replace: bool| {
        json!({
            "query": "mutation ($i: VariableCollectionUpsertInput!) { variableCollectionUpsert(input: $i) }",
            "variables": {"i": {
                "projectId": "p-0001", "environmentId": "env-prod", "serviceId": "s-1",
                "variables": {"NEW": "1"}, "replace": replace,
            }},
        })
        .to_string()
    };
    let url =
        |world: &PracticeWorld| world.variable(ids::PRODUCTION, ids::SERVICE_API, "DATABASE_URL");
    caller.post("/graphql/v2", None, &upsert(false)).await;
    assert!(url(&world).is_some());
    caller.post("/graphql/v2", None, &upsert(true)).await;
    assert_eq!(url(&world), None);
    assert_eq!(world.variable(ids::PRODUCTION, ids::SERVICE_API, "NEW").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_restore_brings_the_backup_back_and_loses_what_came_after() {
    let (_dir, world, caller) = world().await;
    let data = world.data_dir(ids::VOLUME_STAGING, ids::VOLUME_INSTANCE_STAGING);
    std::fs::remove_file(data.join("customers.db")).unwrap();
    assert!(data.join(ids::FILE_IN_NO_BACKUP).exists());
    let answer = caller
        .query("mutation { volumeInstanceBackupRestore(volumeInstanceId: \"vi2\", volumeInstanceBackupId: \"b2\") { workflowId } }")
        .await;
    assert!(answer["errors"].is_null(), "{answer}");
    assert!(data.join("customers.db").exists());
    assert!(!data.join(ids::FILE_IN_NO_BACKUP).exists());
}

#[tokio::test]
async fn a_backup_lives_and_dies_with_its_volume() {
    let (_dir, world, caller) = world().await;
    let create = "mutation { volumeInstanceBackupCreate(volumeInstanceId: \"vi2\", name: \"mine\") { workflowId } }";
    caller.query(create).await;
    let listed =
        caller.query("{ volumeInstanceBackupList(volumeInstanceId: \"vi2\") { id name } }").await;
    let backup = listed["data"]["volumeInstanceBackupList"][1].clone();
    assert_eq!(backup["name"], "mine");
    let saved = world
        .volume_dir(ids::VOLUME_STAGING)
        .join("vi2/backups")
        .join(backup["id"].as_str().unwrap())
        .join(ids::FILE_IN_NO_BACKUP);
    assert!(saved.exists());
    caller
        .query(&format!("mutation {{ volumeDelete(volumeId: \"{}\") }}", ids::VOLUME_STAGING))
        .await;
    assert!(!saved.exists());
}

#[tokio::test]
async fn every_request_is_in_the_file_before_it_is_answered() {
    let (dir, world, caller) = world().await;
    caller.query("mutation { projectScheduleDelete(id: \"p-0001\") }").await;
    let (status, _) = caller.get("/echo").await;
    assert_eq!(status, 200);
    let file = std::fs::read_to_string(dir.path().join("requests.jsonl")).unwrap();
    let lines: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["root_fields"], json!(["mutation.projectScheduleDelete"]));
    assert_eq!(lines[0]["principal"], "account");
    assert_eq!(lines[1]["path"], "/echo");
    let seen = world.requests();
    assert_eq!(seen[0].executed[0].field, "mutation.projectScheduleDelete");
    assert_eq!(seen[0].executed[0].arguments, json!({"id": "p-0001"}));
    assert_eq!(seen[0].header("authorization"), Some(&*format!("Bearer {}", world.account_token)));
}

#[tokio::test]
async fn a_field_that_is_not_in_the_schema_is_not_executed() {
    let (_dir, world, caller) = world().await;
    let body =
        json!({"query": "mutation { projectDelete(id: \"p-0001\") undoVolumeDelete(id: \"v\") }"});
    let (status, answer) = caller.post("/graphql/v2", None, &body.to_string()).await;
    assert_eq!(status, 400);
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("undoVolumeDelete"));
    assert!(world.object("Project", ids::PROJECT).is_some());
}

#[tokio::test]
async fn what_is_not_simulated_says_so() {
    let (_dir, _world, caller) = world().await;
    let answer = caller.query("mutation { userDelete }").await;
    assert_eq!(answer["errors"][0]["message"], "not simulated: userDelete");
    assert_eq!(answer["data"], Value::Null);
}

#[tokio::test]
async fn a_connection_is_paged_and_names_its_types() {
    let (_dir, _world, caller) = world().await;
    let answer = caller
        .query("{ project(id: \"p-0001\") { services(first: 1, after: \"0\") { edges { node { __typename id } } pageInfo { hasNextPage endCursor } } } }")
        .await;
    let services = &answer["data"]["project"]["services"];
    assert_eq!(services["edges"], json!([{"node": {"__typename": "Service", "id": "s-db"}}]));
    assert_eq!(services["pageInfo"], json!({"hasNextPage": true, "endCursor": "1"}));
}

#[tokio::test]
async fn a_known_hash_runs_its_document_and_an_unknown_one_nothing() {
    let (_dir, world, caller) = world().await;
    let with = |query: Option<&str>| {
        let extensions = json!({"persistedQuery": {"version": 1, "sha256Hash": "h"}});
        match query {
            Some(query) => json!({"query": query, "extensions": extensions}).to_string(),
            None => json!({"extensions": extensions}).to_string(),
        }
    };
    let (_, answer) = caller.post("/graphql/v2", None, &with(None)).await;
    assert_eq!(answer["errors"][0]["message"], "PersistedQueryNotFound");
    caller
        .post(
            "/graphql/v2",
            None,
            &with(Some("mutation { projectScheduleDelete(id: \"p-0001\") }")),
        )
        .await;
    caller.query("mutation { projectScheduleDeleteCancel(id: \"p-0001\") }").await;
    assert_eq!(world.object("Project", ids::PROJECT).unwrap()["deletedAt"], Value::Null);
    caller.post("/graphql/v2", None, &with(None)).await;
    assert!(world.object("Project", ids::PROJECT).unwrap()["deletedAt"].is_string());
}
