//! A disk that fails: at every operation, in every way, nothing acknowledged is lost.

use super::*;
use crate::journal::sim::{Fault, SimFs};

/// What was acknowledged as durable: its place and its call.
type Acknowledged = Vec<(u64, String)>;

/// Appends for a while, through bundles and publications, and notes what was acknowledged.
async fn work(
    fs: &SimFs,
    label: &str,
    acknowledged: &mut Acknowledged,
) -> Result<(), JournalError> {
    let journal = Journal::open_on(Arc::new(fs.clone()), options())?;
    let mut outcome = Ok(());
    for number in 0..24_u32 {
        let call = format!("{label}-{number}");
        let new = entry(&call, if number % 2 == 0 { "s-1" } else { "s-2" });
        let durability = if number % 4 == 3 { Durability::Bounded } else { Durability::Durable };
        match journal.append(new, durability).await {
            Ok(appended) if durability == Durability::Durable => {
                acknowledged.push((appended.index, call));
            }
            Ok(_) => {}
            Err(error) => outcome = Err(error),
        }
        if number == 12 {
            let _ = journal.publish().await;
        }
    }
    journal.close().await;
    outcome
}

fn check(fs: &SimFs, acknowledged: &Acknowledged, case: &str) {
    let report = verified(&fs.files());
    assert!(report.is_sound() || report.log.checkpoint.is_none(), "{case}: {report}");
    run(async {
        let journal = Journal::open_on(Arc::new(fs.clone()), options())
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        let stored: Vec<_> = journal.iter_from(0).collect();
        for (index, call) in acknowledged {
            let stored = stored.get(usize::try_from(*index).unwrap());
            let stored = stored.unwrap_or_else(|| panic!("{case}: {index} is lost")).as_ref();
            let stored = stored.unwrap_or_else(|error| panic!("{case}: {index} {error}"));
            assert_eq!(stored.entry.header.call.as_ref(), Some(call), "{case}");
            let known = Details::Known(serde_json::json!({ "of": call }));
            assert_eq!(stored.details, known, "{case}: {index}");
        }
        journal.append(entry("after", "s-1"), Durability::Durable).await.unwrap();
        journal.close().await;
    });
    let report = verified(&fs.files());
    assert!(report.is_sound(), "{case}: {report}");
    assert!(report.log.signed_size() > acknowledged.len() as u64, "{case}");
}

/// A log with a bundle behind it, so that faults meet full and partial tiles.
fn with_a_past() -> (SimFs, Acknowledged) {
    let fs = SimFs::default();
    let mut acknowledged = Vec::new();
    run(async {
        let journal = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        for number in 0..248 {
            let call = format!("past-{number}");
            let appended = journal.append(entry(&call, "s-1"), Durability::Bounded).await.unwrap();
            acknowledged.push((appended.index, call));
        }
        journal.close().await;
    });
    (fs, acknowledged)
}

fn every_operation(fault: Fault) {
    let (past, before) = with_a_past();
    let past = past.files();
    let counted = SimFs::holding(&past);
    run(work(&counted, "count", &mut Vec::new())).unwrap();
    let operations = counted.operations();
    for operation in 1..=operations {
        let case = format!("{fault:?} at operation {operation}");
        let fs = SimFs::holding(&past);
        fs.fail_at(operation, fault);
        let mut acknowledged = before.clone();
        // Whether it succeeds depends on the fault; what counts is what it said.
        let _ = run(work(&fs, "one", &mut acknowledged));
        let found = fs.cut(random(operation));
        check(&found, &acknowledged, &case);
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_disk_is_full_from_any_operation_on() {
    every_operation(Fault::Full);
}

#[test]
fn nothing_acknowledged_is_lost_when_any_operation_fails() {
    every_operation(Fault::Error);
}

#[test]
fn nothing_acknowledged_is_lost_when_any_write_is_short() {
    every_operation(Fault::ShortWrite);
}

#[test]
fn nothing_acknowledged_is_lost_when_any_write_is_torn() {
    every_operation(Fault::TornWrite);
}

#[test]
fn nothing_acknowledged_is_lost_when_any_sync_fails() {
    every_operation(Fault::Sync);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_cut_at_any_operation() {
    every_operation(Fault::PowerCut);
}

#[test]
fn nothing_acknowledged_is_lost_when_a_journal_is_opened_anew_after_a_fault_and_then_cut() {
    for fault in [Fault::Sync, Fault::TornWrite, Fault::Full] {
        let counted = SimFs::default();
        run(work(&counted, "count", &mut Vec::new())).unwrap();
        for operation in (1..=counted.operations()).step_by(3) {
            let case = format!("{fault:?} at operation {operation}, opened anew");
            let fs = SimFs::default();
            fs.fail_at(operation, fault);
            let mut acknowledged = Vec::new();
            let _ = run(work(&fs, "one", &mut acknowledged));
            let fs = fs.repaired();
            run(work(&fs, "two", &mut acknowledged)).unwrap_or_else(|e| panic!("{case}: {e}"));
            check(&fs.cut(random(operation)), &acknowledged, &case);
        }
    }
}

#[test]
fn a_failed_sync_poisons_the_journal_for_every_later_append() {
    let fs = SimFs::default();
    run(async {
        let mut slow = options();
        slow.checkpoint_interval = Duration::from_hours(1);
        let journal = Journal::open_on(Arc::new(fs.clone()), slow).unwrap();
        journal.append(entry("fine", "s"), Durability::Durable).await.unwrap();
        journal.publish().await.unwrap();
        let reservation = journal.reserve().unwrap();
        fs.fail_at(1, Fault::Sync);
        let refused = journal.append(entry("lost", "s"), Durability::Durable).await;
        assert!(matches!(refused, Err(JournalError::Failed(_))));
        for durability in [Durability::Durable, Durability::Bounded] {
            let refused = journal.append(entry("later", "s"), durability).await;
            assert!(matches!(refused, Err(JournalError::Failed(_))), "{durability:?}");
        }
        assert!(matches!(journal.reserve(), Err(JournalError::Failed(_))));
        let outcome = NewEntry::new(Kind::Outcome);
        assert!(matches!(reservation.settle(outcome), Err(JournalError::Failed(_))));
        assert!(journal.health().refuses.is_some());
        journal.close().await;
        let journal = Journal::open_on(Arc::new(fs.repaired()), options()).unwrap();
        journal.append(entry("again", "s"), Durability::Durable).await.unwrap();
    });
}

#[test]
fn a_full_disk_refuses_calls_and_still_takes_the_outcomes_it_promised() {
    let fs = SimFs::default();
    run(async {
        let journal = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        journal.append(entry("sent", "s"), Durability::Durable).await.unwrap();
        let reservations: Vec<_> = (0..8).map(|_| journal.reserve().unwrap()).collect();
        assert!(matches!(journal.reserve(), Err(JournalError::Full)), "no more than was set aside");
        fs.set_full(true);
        // What was set aside beyond the reserve is used up first.
        let mut refused = 0;
        for number in 0..20 {
            let mut new = entry(&format!("big-{number}"), "s");
            new.details = Some(serde_json::json!("x".repeat(400_000)));
            match journal.append(new, Durability::Durable).await {
                Ok(_) => {}
                Err(JournalError::Full) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused >= 5, "{refused}");
        let expected = journal.len();
        for (number, reservation) in (0..).zip(reservations) {
            let mut outcome = NewEntry::new(Kind::Outcome);
            outcome.header.call = Some(format!("c-{number}"));
            outcome.header.outcome = Some("unknown".into());
            // Larger than what was set aside: kept without its details.
            outcome.details = Some(serde_json::json!("x".repeat(300_000)));
            reservation.settle(outcome).unwrap();
        }
        for _ in 0..1_000 {
            if journal.len() == expected + 8 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let outcomes = journal.tail(8).unwrap();
        assert!(outcomes.iter().all(|stored| stored.entry.header.kind == Kind::Outcome));
        fs.set_full(false);
        journal.append(entry("space again", "s"), Durability::Durable).await.unwrap();
        assert!(journal.reserve().is_ok());
        journal.close().await;
        let report = verified(&fs.files());
        assert!(report.is_sound(), "{report}");
    });
}

#[test]
fn a_full_disk_can_still_be_opened_and_read() {
    let (fs, acknowledged) = with_a_past();
    let fs = SimFs::holding(&fs.files());
    fs.set_full(true);
    run(async {
        let journal = Journal::open_on(Arc::new(fs.clone()), options()).unwrap();
        assert_eq!(journal.len(), acknowledged.len() as u64);
        let refused = journal.append(entry("c", "s-1"), Durability::Durable).await;
        assert!(matches!(refused, Err(JournalError::Full)));
        let refused = journal.append(entry("c", "s-1"), Durability::Bounded).await;
        assert!(matches!(refused, Err(JournalError::Full)));
        assert!(matches!(journal.reserve(), Err(JournalError::Full)));
        fs.set_full(false);
        journal.append(entry("c", "s-1"), Durability::Durable).await.unwrap();
        journal.close().await;
    });
    check(&fs.cut(random(1)), &acknowledged, "opened full");
}

#[test]
fn a_fault_is_met_at_all() {
    let fs = SimFs::default();
    for fault in Fault::ALL {
        let fs = fs.repaired();
        fs.fail_at(5, fault);
        let _ = run(work(&fs, "one", &mut Vec::new()));
        assert!(!fs.is_fault_due(), "{fault:?}");
    }
}
