use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::keys::{FileKey, KeyProvider};

const RIGHT: &str = "correct horse battery";
const START: u64 = 1_000_000;

struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    folder: tempfile::TempDir,
    clock: Arc<Hand>,
}

impl World {
    fn new() -> (Self, Passphrase) {
        let folder = tempfile::tempdir().unwrap();
        FileKey::create(&folder.path().join("master.key")).unwrap();
        let world = Self { folder, clock: Arc::new(Hand(AtomicU64::new(START))) };
        let proof = world.open();
        (world, proof)
    }

    fn store(&self) -> SqliteStore {
        let key: Arc<dyn KeyProvider> =
            Arc::new(FileKey::at(&self.folder.path().join("master.key")));
        SqliteStore::open(&self.folder.path().join("state"), key).unwrap()
    }

    fn open(&self) -> Passphrase {
        Passphrase::cheap(&self.store(), Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    fn pass_seconds(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds.saturating_mul(1_000), Ordering::SeqCst);
    }
}

fn words(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

#[test]
fn nothing_is_accepted_before_one_is_set() {
    let (_world, proof) = World::new();
    assert!(!proof.is_set().unwrap());
    assert_eq!(proof.check(&words("")), Err(ProofError::Unset));
    assert_eq!(proof.check(&words(RIGHT)), Err(ProofError::Unset));
}

#[test]
fn it_is_set_once_and_changed_with_the_former_one_only() {
    let (_world, proof) = World::new();
    assert_eq!(proof.set(&words("short")), Err(PassphraseError::Length));
    assert_eq!(
        proof.set(&words(&"x".repeat(PASSPHRASE_BYTES_MAX + 1))),
        Err(PassphraseError::Length)
    );
    proof.set(&words(RIGHT)).unwrap();
    assert_eq!(proof.set(&words("another one")), Err(PassphraseError::Exists));
    assert_eq!(proof.check(&words(RIGHT)), Ok(()));
    assert_eq!(
        proof.change(&words("a wrong one"), &words("another one")),
        Err(PassphraseError::Former(ProofError::Wrong))
    );
    assert_eq!(proof.check(&words(RIGHT)), Ok(()));
    proof.change(&words(RIGHT), &words("another one")).unwrap();
    assert_eq!(proof.check(&words(RIGHT)), Err(ProofError::Wrong));
    assert_eq!(proof.check(&words("another one")), Ok(()));
}

#[test]
fn what_is_nearly_right_is_wrong() {
    let (_world, proof) = World::new();
    proof.set(&words(RIGHT)).unwrap();
    for wrong in ["", "correct horse batter", "correct horse battery ", "Correct horse battery"] {
        assert_eq!(proof.check(&words(wrong)), Err(ProofError::Wrong), "{wrong}");
    }
    assert_eq!(proof.check(&words(&"x".repeat(1 << 20))), Err(ProofError::Wrong));
}

#[test]
fn after_five_wrong_ones_each_try_costs_twice_the_wait_even_the_right_one() {
    let (world, proof) = World::new();
    proof.set(&words(RIGHT)).unwrap();
    for _ in 0..WRONG_FREE_MAX {
        assert_eq!(proof.check(&words("a wrong one")), Err(ProofError::Wrong));
    }
    for wait_seconds in [2, 4, 8, 16] {
        assert_eq!(proof.check(&words(RIGHT)), Err(ProofError::Slow { wait_seconds }));
        world.pass_seconds(wait_seconds - 1);
        assert_eq!(proof.check(&words(RIGHT)), Err(ProofError::Slow { wait_seconds: 1 }));
        world.pass_seconds(1);
        assert_eq!(proof.check(&words("a wrong one")), Err(ProofError::Wrong));
    }
    world.pass_seconds(32);
    assert_eq!(proof.check(&words(RIGHT)), Ok(()));
    assert_eq!(proof.check(&words("a wrong one")), Err(ProofError::Wrong));
    assert_eq!(proof.check(&words(RIGHT)), Ok(()), "the count begins anew");
}

#[test]
fn a_restart_forgets_no_failure() {
    let (world, proof) = World::new();
    proof.set(&words(RIGHT)).unwrap();
    for _ in 0..WRONG_FREE_MAX {
        let _ = world.open().check(&words("a wrong one"));
    }
    assert!(matches!(world.open().check(&words(RIGHT)), Err(ProofError::Slow { .. })));
}

#[test]
fn many_tries_at_once_are_not_free() {
    let (_world, proof) = World::new();
    proof.set(&words(RIGHT)).unwrap();
    let wrong = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                if proof.check(&words("a wrong one")) == Err(ProofError::Wrong) {
                    wrong.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(wrong.into_inner(), WRONG_FREE_MAX);
}

#[test]
fn two_gateways_on_one_file_share_the_count() {
    let (world, proof) = World::new();
    proof.set(&words(RIGHT)).unwrap();
    let other = world.open();
    let tries = [&proof, &other, &proof, &other, &proof, &other];
    let answers = tries.map(|proof| proof.check(&words("a wrong one")));
    assert_eq!(answers[4], Err(ProofError::Wrong));
    assert!(matches!(answers[5], Err(ProofError::Slow { .. })));
}

#[test]
fn a_clock_set_back_locks_nobody_out_for_longer_than_the_rule() {
    let (world, proof) = World::new();
    proof.set(&words(RIGHT)).unwrap();
    world.pass_seconds(365 * 86_400);
    for _ in 0..WRONG_FREE_MAX {
        let _ = proof.check(&words("a wrong one"));
    }
    world.clock.0.store(START, Ordering::SeqCst);
    assert!(matches!(proof.check(&words(RIGHT)), Err(ProofError::Slow { wait_seconds: 3_600 })));
    world.pass_seconds(3_600);
    assert_eq!(proof.check(&words(RIGHT)), Ok(()));
}

#[test]
fn waits_grow_to_the_limit_and_never_past_it() {
    let waits: Vec<u64> = (0..100).map(wait_after).collect();
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!(waits[4], 0);
    assert_eq!(waits[5], 2_000);
    assert_eq!(waits[99], WAIT_MILLIS_MAX);
    assert_eq!(wait_after(u32::MAX), WAIT_MILLIS_MAX);
}

#[test]
fn the_passphrase_and_its_hash_are_in_no_file_and_no_text() {
    let (world, proof) = World::new();
    proof.set(&words(RIGHT)).unwrap();
    for file in std::fs::read_dir(world.folder.path().join("state")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for hidden in [RIGHT.as_bytes(), b"$argon2id$"] {
            assert!(!bytes.windows(hidden.len()).any(|window| window == hidden));
        }
    }
    assert_eq!(format!("{proof:?}"), "Passphrase(..)");
    let error = proof.check(&words("a wrong one")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("a wrong one"));
}

#[test]
fn the_product_costs_64_mib_and_three_passes() {
    let (world, _) = World::new();
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let proof = Passphrase::of(&world.store(), clock);
    assert_eq!((proof.cost.m_cost(), proof.cost.t_cost()), (65_536, 3));
    proof.set(&words(RIGHT)).unwrap();
    assert_eq!(proof.check(&words(RIGHT)), Ok(()));
    assert_eq!(proof.check(&words("a wrong one")), Err(ProofError::Wrong));
}

#[test]
fn a_rotation_of_keys_keeps_the_passphrase() {
    let (world, proof) = World::new();
    proof.set(&words(RIGHT)).unwrap();
    proof.database.rotate_key().unwrap();
    assert_eq!(proof.check(&words(RIGHT)), Ok(()));
    drop(proof);
    assert_eq!(world.open().check(&words(RIGHT)), Ok(()));
}
