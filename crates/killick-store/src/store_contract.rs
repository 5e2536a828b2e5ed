//! What any engine of the store must do. An engine's own test calls [`run`].

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    reason = "a contract test stops at the first breach"
)]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use killick_gate::ports::{Awaiting, Store, StoreError};
use killick_model::admin::Standing;
use killick_model::request::{AccessRequest, Pending, PendingState, RequestState};
use killick_model::{AgentName, EffectWord, SessionId, UnixMillis};

use crate::limits::CREATED_PER_SESSION_MAX;

mod databases;
pub mod samples;

use samples::{NOW, agent, answer, glass, grant, object, pending, request, session, upstream};

/// Threads of a race.
const RACERS: usize = 16;

/// Runs every test of the contract, each on a fresh engine.
pub fn run(make: impl Fn() -> Box<dyn Store>) {
    for test in [
        agents_are_added_once_and_known_by_name,
        a_session_needs_its_agent_and_a_token_of_its_own,
        closing_a_session_again_does_not_move_its_end,
        upstreams_are_replaced_and_removed,
        a_request_comes_back_as_it_was_asked,
        asking_again_gives_the_request_that_is_there,
        an_expired_request_neither_answers_nor_counts,
        requests_are_budgeted_for_agent_and_owner,
        what_ended_stays_ended,
        a_move_from_another_state_changes_nothing,
        an_approval_is_spent_by_one_of_many,
        asking_at_once_opens_one_request,
        budgets_hold_in_a_race,
        a_parked_call_waits_once_and_is_sent_once,
        parked_calls_are_budgeted,
        canonical_forms_are_bounded,
        a_grant_is_spent_as_often_as_it_says_and_no_longer,
        a_grant_never_covers_destroy,
        break_glass_ends_with_its_time_and_its_agent,
        a_session_owns_what_it_created_and_nothing_else,
        created_objects_are_bounded,
        settings_are_kept,
        databases::databases_are_replaced_and_removed,
        databases::damage_is_summed_by_owner_and_environment_since_a_moment,
        what_waits_for_a_session_is_counted,
        a_generation_has_grown_when_a_write_returns,
        what_is_not_there_is_missing,
    ] {
        test(make().as_ref());
    }
}

fn failed(result: Result<impl Sized, StoreError>) -> bool {
    matches!(result, Err(StoreError::Failed(_)))
}

fn missing(result: Result<impl Sized, StoreError>) -> bool {
    matches!(result, Err(StoreError::Missing(_)))
}

fn exists(result: Result<impl Sized, StoreError>) -> bool {
    matches!(result, Err(StoreError::Exists(_)))
}

fn budget(result: Result<impl Sized, StoreError>) -> bool {
    matches!(result, Err(StoreError::Budget { .. }))
}

/// Runs `act` in many threads at the same moment; returns how many said yes.
fn race(act: impl Fn(usize) -> bool + Sync) -> usize {
    let (start, won) = (Barrier::new(RACERS), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for at in 0..RACERS {
            let (start, won, act) = (&start, &won, &act);
            scope.spawn(move || {
                start.wait();
                if act(at) {
                    won.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    won.into_inner()
}

fn agents_are_added_once_and_known_by_name(store: &dyn Store) {
    let deploy = agent("deploy");
    store.agent_add(&deploy).unwrap();
    assert!(exists(store.agent_add(&deploy)));
    store.agent_standing(&deploy.name, Standing::Frozen).unwrap();
    assert!(exists(store.agent_add(&deploy)), "adding again must not thaw");
    let agents = store.agents().unwrap();
    assert_eq!(agents.len(), 1);
    assert_eq!(agents.first().unwrap().standing, Standing::Frozen);
    store.agent_remove(&deploy.name).unwrap();
    assert!(store.agents().unwrap().is_empty());
}

fn a_session_needs_its_agent_and_a_token_of_its_own(store: &dyn Store) {
    let (one, two) = (session("s-1", "deploy"), session("s-2", "deploy"));
    assert!(missing(store.session_add(&one, &[1; 32])));
    store.agent_add(&agent("deploy")).unwrap();
    store.session_add(&one, &[1; 32]).unwrap();
    assert!(exists(store.session_add(&two, &[1; 32])), "one token, two sessions");
    assert!(exists(store.session_add(&one, &[2; 32])), "one session, two tokens");
    store.session_add(&two, &[2; 32]).unwrap();
    assert_eq!(store.sessions().unwrap(), [(one, [1; 32]), (two, [2; 32])]);
}

fn closing_a_session_again_does_not_move_its_end(store: &dyn Store) {
    store.agent_add(&agent("deploy")).unwrap();
    let one = session("s-1", "deploy");
    store.session_add(&one, &[1; 32]).unwrap();
    store.session_close(&one.principal.session, UnixMillis(5)).unwrap();
    store.session_close(&one.principal.session, UnixMillis(9)).unwrap();
    let (closed, _) = store.sessions().unwrap().remove(0);
    assert_eq!(closed.closed, Some(UnixMillis(5)));
}

fn upstreams_are_replaced_and_removed(store: &dyn Store) {
    let mut harbour = upstream("harbour");
    store.upstream_put(&harbour).unwrap();
    harbour.port = 8443;
    store.upstream_put(&harbour).unwrap();
    assert_eq!(store.upstreams().unwrap(), [harbour.clone()]);
    store.upstream_remove(&harbour.name).unwrap();
    assert!(missing(store.upstream_remove(&harbour.name)));
}

fn a_request_comes_back_as_it_was_asked(store: &dyn Store) {
    let asked = request("r-1", "s-1", "deploy", b"delete v1");
    assert_eq!(store.request_open(&asked, b"canonical").unwrap(), asked);
    assert_eq!(store.request(&asked.id).unwrap(), asked);
    assert_eq!(store.request_canonical(&asked.id).unwrap().as_slice(), b"canonical");
    let answer = answer();
    let (open, approved) = (RequestState::Open, RequestState::Approved);
    let until = Some(UnixMillis(NOW + 60_000));
    assert!(store.request_move(&asked.id, open, approved, Some(&answer), until, true).unwrap());
    let expected = AccessRequest {
        state: approved,
        answer: Some(answer),
        expires: UnixMillis(NOW + 60_000),
        send_when_approved: true,
        ..asked.clone()
    };
    assert_eq!(store.request(&asked.id).unwrap(), expected);
    assert!(store.request_claim_sending(&asked.id).unwrap());
    assert!(!store.request_claim_sending(&asked.id).unwrap(), "one approval is sent once");
    let expected = AccessRequest { send_when_approved: false, ..expected };
    let spent = RequestState::Spent;
    assert!(store.request_move(&asked.id, approved, spent, None, None, false).unwrap());
    let expected = AccessRequest { state: spent, ..expected };
    assert_eq!(store.request(&asked.id).unwrap(), expected, "spending keeps the answer");
    assert_eq!(store.requests(1).unwrap(), [expected]);
    assert!(store.requests(0).unwrap().is_empty());
}

fn asking_again_gives_the_request_that_is_there(store: &dyn Store) {
    let first = request("r-1", "s-1", "deploy", b"delete v1");
    store.request_open(&first, b"x").unwrap();
    let again = request("r-2", "s-1", "deploy", b"delete v1");
    assert_eq!(store.request_open(&again, b"y").unwrap().id, first.id);
    assert_eq!(store.request_canonical(&first.id).unwrap().as_slice(), b"x");
    let (open, approved, spent) = (RequestState::Open, RequestState::Approved, RequestState::Spent);
    store.request_move(&first.id, open, approved, Some(&answer()), None, false).unwrap();
    assert_eq!(store.request_open(&again, b"y").unwrap().state, approved);
    let other = request("r-3", "s-2", "deploy", b"delete v1");
    assert_eq!(store.request_open(&other, b"z").unwrap().id, other.id, "another session's");
    store.request_move(&first.id, approved, spent, None, None, false).unwrap();
    assert_eq!(store.request_open(&again, b"y").unwrap().id, again.id, "a spent one is over");
    let found = store.request_find(&first.principal.session, &first.digest, open).unwrap();
    assert_eq!(found.unwrap().id, again.id);
}

fn an_expired_request_neither_answers_nor_counts(store: &dyn Store) {
    for at in 0..AccessRequest::OPEN_PER_AGENT_MAX {
        let name = format!("r-{at}");
        store.request_open(&request(&name, "s-1", "deploy", name.as_bytes()), b"x").unwrap();
    }
    let mut later = request("r-later", "s-1", "deploy", b"r-0");
    later.asked = UnixMillis(NOW + AccessRequest::OPEN_MILLIS_MAX);
    later.expires = later.asked.plus_millis(1_000);
    assert_eq!(store.request_open(&later, b"x").unwrap().id, later.id);
    let first = store.request(&samples::request_id("r-0")).unwrap();
    assert_eq!(first.state, RequestState::Expired);
    let (open, approved) = (RequestState::Open, RequestState::Approved);
    assert!(!store.request_move(&first.id, open, approved, None, None, false).unwrap());
    let mut over = request("r-over", "s-1", "deploy", b"over");
    over.expires = over.asked;
    assert!(failed(store.request_open(&over, b"x")), "it ends before it begins");
}

fn requests_are_budgeted_for_agent_and_owner(store: &dyn Store) {
    let open = |at: usize, agent: &str| {
        let name = format!("r-{at}");
        store.request_open(&request(&name, "s-1", agent, name.as_bytes()), b"x")
    };
    let per_agent = AccessRequest::OPEN_PER_AGENT_MAX;
    for at in 0..AccessRequest::OPEN_PER_OWNER_MAX {
        open(at, &format!("agent-{}", at / per_agent)).unwrap();
        if at == per_agent - 1 {
            assert!(budget(open(900, "agent-0")), "the agent's own budget");
        }
    }
    assert!(budget(open(901, "fresh-agent")), "a fresh name does not buy a fresh budget");
    let mut stranger = request("r-902", "s-9", "stranger", b"other");
    stranger.principal.owner = killick_model::Owner::parse("local:bob").unwrap();
    store.request_open(&stranger, b"x").unwrap();
    let first = samples::request_id("r-0");
    let (open_state, denied) = (RequestState::Open, RequestState::Denied);
    store.request_move(&first, open_state, denied, Some(&answer()), None, false).unwrap();
    open(903, "fresh-agent").unwrap();
}

fn what_ended_stays_ended(store: &dyn Store) {
    let states = [
        RequestState::Open,
        RequestState::Approved,
        RequestState::Spent,
        RequestState::Denied,
        RequestState::Expired,
    ];
    let asked = request("r-1", "s-1", "deploy", b"delete v1");
    store.request_open(&asked, b"x").unwrap();
    let (open, approved, spent) = (RequestState::Open, RequestState::Approved, RequestState::Spent);
    assert!(!store.request_move(&asked.id, open, spent, None, None, false).unwrap());
    store.request_move(&asked.id, open, approved, Some(&answer()), None, false).unwrap();
    store.request_move(&asked.id, approved, spent, None, None, false).unwrap();
    for from in states {
        for to in states {
            assert!(!store.request_move(&asked.id, from, to, None, None, false).unwrap());
        }
    }
    assert_eq!(store.request(&asked.id).unwrap().state, spent);
}

fn a_move_from_another_state_changes_nothing(store: &dyn Store) {
    let asked = request("r-1", "s-1", "deploy", b"delete v1");
    store.request_open(&asked, b"x").unwrap();
    let (approved, spent) = (RequestState::Approved, RequestState::Spent);
    let until = Some(UnixMillis(u64::MAX));
    assert!(!store.request_move(&asked.id, approved, spent, Some(&answer()), until, true).unwrap());
    assert_eq!(store.request(&asked.id).unwrap(), asked);
}

fn an_approval_is_spent_by_one_of_many(store: &dyn Store) {
    let asked = request("r-1", "s-1", "deploy", b"delete v1");
    store.request_open(&asked, b"x").unwrap();
    let (open, approved, spent) = (RequestState::Open, RequestState::Approved, RequestState::Spent);
    store.request_move(&asked.id, open, approved, Some(&answer()), None, false).unwrap();
    let won = race(|_| store.request_move(&asked.id, approved, spent, None, None, false).unwrap());
    assert_eq!(won, 1);
}

fn asking_at_once_opens_one_request(store: &dyn Store) {
    let opened = race(|at| {
        let asked = request(&format!("r-{at}"), "s-1", "deploy", b"the same");
        store.request_open(&asked, b"x").unwrap().id == asked.id
    });
    assert_eq!(opened, 1);
    assert_eq!(store.requests(100).unwrap().len(), 1);
}

fn budgets_hold_in_a_race(store: &dyn Store) {
    let opened = race(|at| {
        let name = format!("r-{at}");
        store.request_open(&request(&name, "s-1", "deploy", name.as_bytes()), b"x").is_ok()
    });
    assert_eq!(opened, AccessRequest::OPEN_PER_AGENT_MAX);
}

fn a_parked_call_waits_once_and_is_sent_once(store: &dyn Store) {
    let parked = pending("p-1", "s-1", "deploy", b"delete v1");
    store.pending_add(&parked, b"canonical").unwrap();
    assert!(exists(store.pending_add(&pending("p-2", "s-1", "deploy", b"delete v1"), b"x")));
    assert_eq!(store.pending(&parked.id).unwrap(), parked);
    assert_eq!(store.pending_canonical(&parked.id).unwrap().as_slice(), b"canonical");
    let found = store.pending_find(&parked.principal.session, &parked.digest).unwrap();
    assert_eq!(found, Some(parked.clone()));
    let (waiting, sending) = (PendingState::Waiting, PendingState::Sending);
    let won = race(|at| {
        let to = if at.is_multiple_of(2) { sending } else { PendingState::Cancelled };
        store.pending_move(&parked.id, waiting, to).unwrap()
    });
    assert_eq!(won, 1, "sent or cancelled, never both");
    assert_eq!(store.pending_find(&parked.principal.session, &parked.digest).unwrap(), None);
    let state = store.pending(&parked.id).unwrap().state;
    assert!(!store.pending_move(&parked.id, state, waiting).unwrap(), "it cannot wait again");
    let again = pending("p-3", "s-1", "deploy", b"delete v1");
    store.pending_add(&again, b"x").unwrap();
    assert_eq!(store.pendings(1).unwrap(), [again]);
    assert_eq!(store.pendings(9).unwrap().len(), 2);
}

fn what_waits_for_a_session_is_counted(store: &dyn Store) {
    let of = |session: &str| store.awaiting(&SessionId::parse(session).unwrap()).unwrap();
    let parked = pending("p-1", "s-1", "deploy", b"delete v1");
    store.pending_add(&parked, b"x").unwrap();
    let asked = request("r-1", "s-1", "deploy", b"delete v2");
    store.request_open(&asked, b"x").unwrap();
    assert_eq!(of("s-1"), Awaiting { parked: 1, approved: 0 });
    let (open, approved, spent) = (RequestState::Open, RequestState::Approved, RequestState::Spent);
    store.request_move(&asked.id, open, approved, Some(&answer()), None, false).unwrap();
    assert_eq!(of("s-1"), Awaiting { parked: 1, approved: 1 });
    assert_eq!(of("s-2"), Awaiting::default(), "another session");
    store.request_move(&asked.id, approved, spent, None, None, false).unwrap();
    store.pending_move(&parked.id, PendingState::Waiting, PendingState::Cancelled).unwrap();
    assert_eq!(of("s-1"), Awaiting::default());
}

fn a_generation_has_grown_when_a_write_returns(store: &dyn Store) {
    let Some(mut before) = store.generation() else { return };
    let mut grown = |what: &str| {
        let after = store.generation().unwrap();
        assert!(after > before, "{what}");
        before = after;
    };
    store.pending_add(&pending("p-1", "s-1", "deploy", b"delete v1"), b"x").unwrap();
    grown("a parked call");
    let asked = request("r-1", "s-1", "deploy", b"delete v2");
    store.request_open(&asked, b"x").unwrap();
    grown("a request");
    let (open, approved) = (RequestState::Open, RequestState::Approved);
    store.request_move(&asked.id, open, approved, Some(&answer()), None, false).unwrap();
    grown("an answer");
    store.agent_add(&agent("deploy")).unwrap();
    grown("an agent");
    store.break_glass_open(&glass("deploy")).unwrap();
    grown("a break-glass");
    let still = store.generation();
    store.grants().unwrap();
    store.pendings(9).unwrap();
    assert_eq!(store.generation(), still, "a read is no write");
}

fn parked_calls_are_budgeted(store: &dyn Store) {
    for at in 0..Pending::WAITING_PER_AGENT_MAX {
        let name = format!("p-{at}");
        store.pending_add(&pending(&name, "s-1", "deploy", name.as_bytes()), b"x").unwrap();
    }
    let next = pending("p-next", "s-2", "deploy", b"next");
    assert!(budget(store.pending_add(&next, b"x")), "another session of the same agent");
    store.pending_add(&pending("p-other", "s-3", "other", b"next"), b"x").unwrap();
    let first = samples::pending_id("p-0");
    let (waiting, sending) = (PendingState::Waiting, PendingState::Sending);
    store.pending_move(&first, waiting, sending).unwrap();
    assert!(budget(store.pending_add(&next, b"x")), "being sent still counts");
    store.pending_move(&first, sending, PendingState::Sent).unwrap();
    store.pending_add(&next, b"x").unwrap();
}

fn canonical_forms_are_bounded(store: &dyn Store) {
    let long = vec![b'x'; Pending::CANONICAL_BYTES_MAX + 1];
    assert!(budget(store.request_open(&request("r-1", "s-1", "deploy", b"a"), &long)));
    assert!(budget(store.pending_add(&pending("p-1", "s-1", "deploy", b"a"), &long)));
    assert!(store.requests(9).unwrap().is_empty() && store.pendings(9).unwrap().is_empty());
}

fn a_grant_is_spent_as_often_as_it_says_and_no_longer(store: &dyn Store) {
    let mut given = grant("g-1", 5);
    store.grant_add(&given).unwrap();
    assert!(exists(store.grant_add(&given)), "adding again must not refill");
    assert!(!store.grant_spend("g-1", given.expires).unwrap(), "it ended");
    assert_eq!(race(|_| store.grant_spend("g-1", UnixMillis(NOW)).unwrap()), 5);
    given.left = 0;
    assert_eq!(store.grants().unwrap(), [given]);
    let last = grant("g-2", 1);
    store.grant_add(&last).unwrap();
    assert_eq!(race(|_| store.grant_spend("g-2", UnixMillis(NOW)).unwrap()), 1);
    assert!(!store.grant_spend("g-none", UnixMillis(NOW)).unwrap());
    store.grant_remove("g-2").unwrap();
    assert!(!store.grant_spend("g-2", UnixMillis(NOW)).unwrap());
    assert!(missing(store.grant_remove("g-2")));
}

fn a_grant_never_covers_destroy(store: &dyn Store) {
    for effect in [EffectWord::Destroy, EffectWord::Unrecognized] {
        let mut given = grant("g-1", 5);
        given.effect = effect;
        assert!(failed(store.grant_add(&given)));
    }
    assert!(store.grants().unwrap().is_empty());
}

fn break_glass_ends_with_its_time_and_its_agent(store: &dyn Store) {
    let deploy = agent("deploy");
    let open = glass("deploy");
    assert!(missing(store.break_glass_open(&open)));
    store.agent_add(&deploy).unwrap();
    store.break_glass_open(&open).unwrap();
    assert_eq!(store.break_glasses(UnixMillis(NOW)).unwrap(), std::slice::from_ref(&open));
    assert!(store.break_glasses(open.expires).unwrap().is_empty());
    store.agent_remove(&deploy.name).unwrap();
    store.agent_add(&deploy).unwrap();
    assert!(store.break_glasses(UnixMillis(NOW)).unwrap().is_empty(), "it outlived its agent");
    store.break_glass_open(&open).unwrap();
    store.break_glass_end(&deploy.name).unwrap();
    assert!(store.break_glasses(UnixMillis(NOW)).unwrap().is_empty());
    assert!(missing(store.break_glass_end(&deploy.name)));
}

fn a_session_owns_what_it_created_and_nothing_else(store: &dyn Store) {
    store.agent_add(&agent("deploy")).unwrap();
    let (one, two) = (session("s-1", "deploy"), session("s-2", "deploy"));
    let (mine, theirs) = (&one.principal.session, &two.principal.session);
    assert!(missing(store.created_add(mine, &object("volume", "v1"))));
    store.session_add(&one, &[1; 32]).unwrap();
    store.session_add(&two, &[2; 32]).unwrap();
    let volume = object("volume", "v1");
    store.created_add(mine, &volume).unwrap();
    store.created_add(mine, &volume).unwrap();
    assert!(store.created_by(mine, &volume).unwrap());
    assert!(!store.created_by(theirs, &volume).unwrap());
    assert!(!store.created_by(mine, &object("service", "v1")).unwrap());
    assert!(!store.created_by(mine, &object("volume", "v")).unwrap());
    let mut elsewhere = object("volume", "v1");
    elsewhere.upstream = killick_model::UpstreamName::parse("fly").unwrap();
    assert!(!store.created_by(mine, &elsewhere).unwrap());
    let mut within = volume.clone();
    within.within = Some(Box::new(object("environment", "e1")));
    assert!(store.created_by(mine, &within).unwrap(), "its own object, meant somewhere");
    let mut instance = object("service", "s1");
    instance.within = Some(Box::new(object("environment", "e1")));
    store.created_add(mine, &instance).unwrap();
    assert!(!store.created_by(mine, &object("service", "s1")).unwrap(), "there alone");
    let nameless = object("volume", "");
    store.created_add(mine, &nameless).unwrap();
    assert!(!store.created_by(mine, &nameless).unwrap(), "an unnamed object could be any");
}

fn created_objects_are_bounded(store: &dyn Store) {
    store.agent_add(&agent("deploy")).unwrap();
    let one = session("s-1", "deploy");
    store.session_add(&one, &[1; 32]).unwrap();
    let id = &one.principal.session;
    // The whole bound takes long on an engine that is durable at every step; its last step counts.
    for at in 0..8 {
        store.created_add(id, &object("volume", &format!("v{at}"))).unwrap();
    }
    assert!((0..8).all(|at| store.created_by(id, &object("volume", &format!("v{at}"))).unwrap()));
    const { assert!(CREATED_PER_SESSION_MAX > 8) };
}

fn settings_are_kept(store: &dyn Store) {
    assert_eq!(store.setting("production_waiver").unwrap(), None);
    store.setting_put("production_waiver", "on").unwrap();
    store.setting_put("production_waiver", "off").unwrap();
    assert_eq!(store.setting("production_waiver").unwrap().as_deref(), Some("off"));
    assert!(budget(store.setting_put("long", &"x".repeat(crate::limits::SETTING_BYTES_MAX))));
}

fn what_is_not_there_is_missing(store: &dyn Store) {
    let name = AgentName::parse("nobody").unwrap();
    assert!(missing(store.agent_standing(&name, Standing::Good)));
    assert!(missing(store.agent_remove(&name)));
    assert!(missing(store.session_close(&SessionId::parse("s-0").unwrap(), UnixMillis(1))));
    let request = samples::request_id("r-0");
    assert!(missing(store.request(&request)));
    assert!(missing(store.request_canonical(&request)));
    let (open, denied) = (RequestState::Open, RequestState::Denied);
    assert!(missing(store.request_move(&request, open, denied, None, None, false)));
    let pending = samples::pending_id("p-0");
    assert!(missing(store.pending(&pending)));
    assert!(missing(store.pending_canonical(&pending)));
    let (waiting, sending) = (PendingState::Waiting, PendingState::Sending);
    assert!(missing(store.pending_move(&pending, waiting, sending)));
}
