//! The world as it is when it starts: one project, two environments, real data in both.

use std::fs;
use std::io;

use serde_json::{Value, json};

use super::changes::{
    bucket_row, deployment_row, environment_row, project_row, service_instance_row, service_row,
};
use super::state::State;
use super::volumes::{backup_row, instance_row};
use super::{extras, mutations, state};

/// When everything that was there at the start was made.
pub(super) const MADE_AT: &str = "2026-01-12T09:00:00.000Z";

/// The ids that a test or a demo names.
pub mod ids {
    /// The only workspace.
    pub const WORKSPACE: &str = "ws-0001";
    /// The project `fleet`.
    pub const PROJECT: &str = "p-0001";
    /// Its environment `production`.
    pub const PRODUCTION: &str = "env-prod";
    /// Its environment `staging`.
    pub const STAGING: &str = "env-staging";
    /// The service `api`.
    pub const SERVICE_API: &str = "s-1";
    /// The service `postgres`, which the volumes are attached to.
    pub const SERVICE_DATABASE: &str = "s-db";
    /// The service `scratch`, which nobody would miss.
    pub const SERVICE_SCRATCH: &str = "s-scratch";
    /// The volume `pg-data`: production's data, and every backup of it.
    pub const VOLUME_PRODUCTION: &str = "3d2c42fb-0000-4000-8000-000000000001";
    /// The volume `pg-data-staging`.
    pub const VOLUME_STAGING: &str = "7be41d90-0000-4000-8000-000000000002";
    /// The instance of `pg-data`.
    pub const VOLUME_INSTANCE_PRODUCTION: &str = "vi1";
    /// The instance of `pg-data-staging`.
    pub const VOLUME_INSTANCE_STAGING: &str = "vi2";
    /// The newest backup of production.
    pub const BACKUP_PRODUCTION: &str = "b1";
    /// An older backup of production.
    pub const BACKUP_PRODUCTION_OLDER: &str = "b0";
    /// The backup of staging.
    pub const BACKUP_STAGING: &str = "b2";
    /// The bucket `fleet-exports`.
    pub const BUCKET: &str = "bk-1";
    /// A file on both volumes that was written after their last backup.
    pub const FILE_IN_NO_BACKUP: &str = "reservations-since-the-backup.db";
    /// The service `nightly`, a function.
    pub const SERVICE_FUNCTION: &str = "s-fn";
    /// A sandbox in staging.
    pub const SANDBOX: &str = "sb-1";
    /// A checkpoint of it.
    pub const CHECKPOINT: &str = "clean";
    /// A cloud agent in staging, `builder`.
    pub const CLOUD_AGENT: &str = "ca-1";
    /// The workspace's template `fleet`.
    pub const TEMPLATE: &str = "t-1";
    /// The account's SSH key `laptop`.
    pub const SSH_KEY: &str = "k-1";
    /// The project's feature flag `checkout`.
    pub const FLAG: &str = "f-1";
    /// The custom domain of `api` in production.
    pub const DOMAIN_PRODUCTION: &str = "cd-prod";
    /// The custom domain of `api` in staging.
    pub const DOMAIN_STAGING: &str = "cd-staging";
}

/// Bytes of the largest file on a production volume. Staging holds an eighth.
const FILE_BYTES: usize = 2 << 20;

/// Fills an empty world.
pub(super) fn plant(state: &mut State) -> io::Result<()> {
    state.put("Workspace", json!({
        "id": ids::WORKSPACE, "name": "Fleet Rentals", "team": null, "teamId": null, "plan": "PRO",
        "createdAt": MADE_AT, "updatedAt": MADE_AT,
    }));
    state.put("Project", project_row(ids::PROJECT, "fleet", ids::WORKSPACE, ids::PRODUCTION));
    for (id, name) in [
        (ids::SERVICE_API, "api"),
        (ids::SERVICE_DATABASE, "postgres"),
        (ids::SERVICE_SCRATCH, "scratch"),
        (ids::SERVICE_FUNCTION, "nightly"),
    ] {
        state.put("Service", service_row(id, name, ids::PROJECT));
    }
    state.put("Bucket", bucket_row(ids::BUCKET, "fleet-exports", ids::PROJECT));
    plant_environment(state, &PRODUCTION)?;
    plant_environment(state, &STAGING)?;
    extras::plant(state);
    let kinds = [
        "Project",
        "Environment",
        "Service",
        "ServiceInstance",
        "Bucket",
        "Variable",
        "VolumeInstance",
        "Deployment",
    ];
    for kind in kinds {
        state.set_all(kind, "createdAt", &json!(MADE_AT));
        state.set_all(kind, "updatedAt", &json!(MADE_AT));
    }
    Ok(())
}

/// The services and what they are made from, a repository or an image.
const SOURCES: [(&str, &str); 4] = [
    (ids::SERVICE_API, "example/fleet"),
    (ids::SERVICE_DATABASE, "ghcr.io/railwayapp-templates/postgres-ssl:16"),
    (ids::SERVICE_SCRATCH, "example/scratch"),
    (ids::SERVICE_FUNCTION, "ghcr.io/railwayapp/function-bun:1.4.0"),
];

/// What differs between the two environments.
struct Plan {
    id: &'static str,
    name: &'static str,
    suffix: &'static str,
    domain: (&'static str, &'static str),
    volume: (&'static str, &'static str, &'static str),
    size_mb: u32,
    backups: &'static [(&'static str, &'static str, &'static str)],
    file_bytes: usize,
}

const PRODUCTION: Plan = Plan {
    id: ids::PRODUCTION,
    name: "production",
    suffix: "prod",
    domain: (ids::DOMAIN_PRODUCTION, "fleet.example.net"),
    volume: (ids::VOLUME_PRODUCTION, ids::VOLUME_INSTANCE_PRODUCTION, "pg-data"),
    size_mb: 51_200,
    backups: &[
        (ids::BACKUP_PRODUCTION_OLDER, "Weekly backup", "2026-04-12T03:00:00.000Z"),
        (ids::BACKUP_PRODUCTION, "Daily backup", "2026-04-23T03:00:00.000Z"),
    ],
    file_bytes: FILE_BYTES,
};

const STAGING: Plan = Plan {
    id: ids::STAGING,
    name: "staging",
    suffix: "staging",
    domain: (ids::DOMAIN_STAGING, "staging.fleet.example.net"),
    volume: (ids::VOLUME_STAGING, ids::VOLUME_INSTANCE_STAGING, "pg-data-staging"),
    size_mb: 5_000,
    backups: &[(ids::BACKUP_STAGING, "Daily backup", "2026-04-23T03:00:00.000Z")],
    file_bytes: FILE_BYTES / 8,
};

fn plant_environment(state: &mut State, plan: &Plan) -> io::Result<()> {
    state.put("Environment", environment_row(plan.id, plan.name, ids::PROJECT));
    for (service, source) in SOURCES {
        let instance = format!("si-{service}-{}", plan.suffix);
        state.put("ServiceInstance", service_instance_row(&instance, service, plan.id, source));
        let deployment = format!("d-{service}-{}", plan.suffix);
        state.put("Deployment", deployment_row(&deployment, ids::PROJECT, service, plan.id));
    }
    let (domain_id, domain) = plan.domain;
    state.put(
        "CustomDomain",
        json!({
            "id": domain_id, "domain": domain, "environmentId": plan.id,
            "serviceId": ids::SERVICE_API, "projectId": ids::PROJECT, "targetPort": 8080,
            "syncStatus": "ACTIVE", "isRailwayDomain": false,
            "createdAt": MADE_AT, "updatedAt": MADE_AT,
        }),
    );
    state.put(
        "ServiceDomain",
        json!({
            "id": format!("sd-{}", plan.suffix),
            "domain": format!("api-{}.up.railway.app", plan.suffix), "suffix": "up.railway.app",
            "environmentId": plan.id, "serviceId": ids::SERVICE_API, "projectId": ids::PROJECT,
            "targetPort": 8080, "syncStatus": "ACTIVE", "createdAt": MADE_AT, "updatedAt": MADE_AT,
        }),
    );
    plant_variables(state, plan);
    plant_volume(state, plan)
}

fn plant_variables(state: &mut State, plan: &Plan) {
    let scope = |service: &str| {
        let scope = json!({"environmentId": plan.id, "serviceId": service});
        scope.as_object().cloned().unwrap_or_default()
    };
    let api: state::Row = scope(ids::SERVICE_API);
    let url = format!("postgres://app:practice-{0}@postgres-{0}.internal/fleet", plan.suffix);
    mutations::upsert_variable(state, &api, "DATABASE_URL", &url);
    mutations::upsert_variable(state, &api, "LOG_LEVEL", "info");
    let database = scope(ids::SERVICE_DATABASE);
    let password = format!("practice-{}", plan.suffix);
    mutations::upsert_variable(state, &database, "POSTGRES_PASSWORD", &password);
}

fn plant_volume(state: &mut State, plan: &Plan) -> io::Result<()> {
    let (volume, instance, name) = plan.volume;
    state.put(
        "Volume",
        json!({
            "id": volume, "name": name, "projectId": ids::PROJECT, "createdAt": MADE_AT,
        }),
    );
    let service = Some(ids::SERVICE_DATABASE);
    let mount = "/var/lib/postgresql/data";
    let row = instance_row(instance, volume, plan.id, service, mount, plan.size_mb);
    state.put("VolumeInstance", row);
    state.disk.create(volume, instance)?;
    let data = state.disk.data(volume, instance);
    for (table, parts) in [("reservations", 1), ("customers", 2), ("payments", 4)] {
        let bytes = plan.file_bytes.checked_div(parts).unwrap_or(plan.file_bytes);
        fs::write(data.join(format!("{table}.db")), table_file(table, bytes))?;
    }
    for (backup, name, made_at) in plan.backups {
        state.disk.back_up(volume, instance, backup)?;
        state.put("VolumeInstanceBackup", backup_row(backup, instance, name, made_at));
    }
    fs::write(data.join(ids::FILE_IN_NO_BACKUP), table_file("reservations-since", 4_096))?;
    Ok(())
}

/// Makes the bytes of a table: lines that a reader would know again.
fn table_file(table: &str, bytes: usize) -> Vec<u8> {
    let mut file = format!("practice table {table}\n").into_bytes();
    let mut number = 0_u32;
    while file.len() < bytes {
        file.extend_from_slice(format!("{table},{number:08},fleet-rentals\n").as_bytes());
        number = number.saturating_add(1);
    }
    file
}

/// Returns the account's user.
pub(super) fn user() -> Value {
    json!({
        "id": "u-0001", "name": "Practice Owner", "email": "owner@example.net",
        "username": "owner", "createdAt": MADE_AT, "lastLogin": MADE_AT,
        "registrationStatus": "ONBOARDED", "has2FA": false, "isAdmin": false,
        "featureFlags": ["CLOUD_AGENTS"],
    })
}
