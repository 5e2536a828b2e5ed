//! Declared databases, and what was destroyed there.

use killick_gate::ports::{Damage, Store};
use killick_model::database::{Database, DatabaseLimits, DatabaseTls};
use killick_model::{EnvironmentName, Owner, UnixMillis, UpstreamName};

use super::samples::NOW;
use crate::limits::DAMAGE_KEPT_MILLIS;

fn database(name: &str, host: &str) -> Database {
    Database {
        name: UpstreamName::parse(name).unwrap(),
        host: host.into(),
        port: 5432,
        database: "shop".into(),
        user: "app".into(),
        tls: DatabaseTls::Verify,
        private_address: false,
        environment: EnvironmentName::parse("staging").unwrap(),
        role: None,
        read_role: None,
        limits: DatabaseLimits::default(),
        lives_on: None,
        added: UnixMillis(NOW),
    }
}

pub(super) fn databases_are_replaced_and_removed(store: &dyn Store) {
    store.database_put(&database("main", "one.example")).unwrap();
    store.database_put(&database("main", "two.example")).unwrap();
    store.database_put(&database("other", "one.example")).unwrap();
    let all = store.databases().unwrap();
    assert_eq!(all, [database("main", "two.example"), database("other", "one.example")]);
    let main = UpstreamName::parse("main").unwrap();
    store.database_remove(&main).unwrap();
    assert!(super::missing(store.database_remove(&main)));
    assert_eq!(store.databases().unwrap().len(), 1);
}

pub(super) fn damage_is_summed_by_owner_and_environment_since_a_moment(store: &dyn Store) {
    let owner = |name: &str| Owner { issuer: "local".into(), subject: name.into() };
    let staging = EnvironmentName::parse("staging").unwrap();
    let preview = EnvironmentName::parse("preview").unwrap();
    let some = |rows, objects| Damage { rows, objects };
    let add = |who: &str, place, damage, at| {
        store.damage_add(&owner(who), place, damage, UnixMillis(at)).unwrap();
    };
    add("alice", &staging, some(10, 0), NOW);
    add("alice", &staging, some(5, 1), NOW + 10);
    add("alice", &preview, some(100, 0), NOW + 10);
    add("bob", &staging, some(1_000, 0), NOW + 10);
    let since = |at| store.damage_since(&owner("alice"), &staging, UnixMillis(at)).unwrap();
    assert_eq!(since(NOW), some(15, 1));
    assert_eq!(since(NOW + 1), some(5, 1));
    assert_eq!(since(NOW + 11), Damage::default());
    add("alice", &staging, some(u64::MAX, 0), NOW + 20);
    assert!(since(NOW).rows > i64::MAX.unsigned_abs() - 1, "the sum stops at the most there is");
    add("alice", &staging, some(1, 0), NOW + 30 + DAMAGE_KEPT_MILLIS);
    assert_eq!(since(0), some(1, 0), "what is older than is kept is forgotten");
}
