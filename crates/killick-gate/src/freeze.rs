//! Freeze: a number that grows. Every permit remembers it; a grown number kills the permit and cuts the stream.

use std::collections::HashMap;
use std::sync::Arc;

use killick_model::{AgentName, Code, SessionId};
use parking_lot::RwLock;
use tokio::sync::watch;

/// The state of one agent or session, as open connections see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Epoch {
    number: u64,
    stopped: Option<Code>,
}

#[derive(Debug)]
struct Line(watch::Sender<Epoch>);

impl Line {
    fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(Epoch::default())))
    }

    fn stop(&self, code: Code) {
        self.0.send_modify(|epoch| {
            epoch.number = epoch.number.saturating_add(1);
            epoch.stopped = Some(code);
        });
    }

    fn go_on(&self) {
        // The number stays grown: what was permitted before the freeze stays dead.
        self.0.send_modify(|epoch| epoch.stopped = None);
    }
}

/// The freeze epochs of all agents and sessions.
#[derive(Debug, Default)]
pub struct Standings {
    agents: RwLock<HashMap<AgentName, Arc<Line>>>,
    sessions: RwLock<HashMap<SessionId, Arc<Line>>>,
}

impl Standings {
    /// Returns a lifeline for a session: it dies when the agent is frozen or any session of the chain ends.
    #[must_use]
    pub fn lifeline(&self, agent: &AgentName, chain: &[SessionId]) -> Lifeline {
        let mut lines = vec![line_of(&self.agents, agent)];
        lines.extend(chain.iter().map(|session| line_of(&self.sessions, session)));
        Lifeline::of(lines)
    }

    /// Freezes an agent: every unsent permit dies, open streams close.
    pub fn freeze(&self, agent: &AgentName) {
        line_of(&self.agents, agent).stop(Code::Frozen);
    }

    /// Lets an agent go on. What was permitted before stays dead.
    pub fn thaw(&self, agent: &AgentName) {
        line_of(&self.agents, agent).go_on();
    }

    /// Ends a session and everything opened below it.
    pub fn end_session(&self, session: &SessionId) {
        line_of(&self.sessions, session).stop(Code::SessionEnded);
    }
}

fn line_of<K: Clone + Eq + std::hash::Hash>(
    map: &RwLock<HashMap<K, Arc<Line>>>,
    key: &K,
) -> Arc<Line> {
    if let Some(line) = map.read().get(key) {
        return Arc::clone(line);
    }
    Arc::clone(map.write().entry(key.clone()).or_insert_with(Line::new))
}

/// What a permit and an open stream hang on.
#[derive(Clone, Debug)]
pub struct Lifeline {
    lines: Arc<[(Arc<Line>, u64)]>,
}

impl Lifeline {
    /// Returns the lifeline of a call of the gateway's own, made for no session: nothing cuts it.
    #[must_use]
    pub(crate) fn own() -> Self {
        Self::of(Vec::new())
    }

    fn of(lines: Vec<Arc<Line>>) -> Self {
        Self {
            lines: lines
                .into_iter()
                .map(|line| {
                    let number = line.0.borrow().number;
                    (line, number)
                })
                .collect(),
        }
    }

    /// Returns the lifeline at the present epoch: what a fresh permit hangs on.
    #[must_use]
    pub fn renewed(&self) -> Self {
        Self::of(self.lines.iter().map(|(line, _)| Arc::clone(line)).collect())
    }

    /// Checks that nothing was frozen or ended since the lifeline was made.
    ///
    /// # Errors
    /// Says what happened.
    pub fn check(&self) -> Result<(), Code> {
        for (line, number) in self.lines.iter() {
            let epoch = *line.0.borrow();
            if let Some(code) = epoch.stopped {
                return Err(code);
            }
            if epoch.number != *number {
                return Err(Code::Frozen);
            }
        }
        Ok(())
    }

    /// Waits until something is frozen or ended; returns what.
    pub async fn cut(&self) -> Code {
        loop {
            let mut receivers: Vec<_> =
                self.lines.iter().map(|(line, _)| line.0.subscribe()).collect();
            if let Err(code) = self.check() {
                return code;
            }
            // Subscribed before checking, so no change falls between.
            let mut waits: Vec<_> =
                receivers.iter_mut().map(|receiver| Box::pin(receiver.changed())).collect();
            std::future::poll_fn(|context| {
                let any = waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready());
                if any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
    }
}

use std::future::Future as _;

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (AgentName, SessionId) {
        (AgentName::parse("coder").unwrap(), SessionId::parse("s-1").unwrap())
    }

    #[test]
    fn a_permit_from_before_a_freeze_stays_dead_after_the_thaw() {
        let (agent, session) = names();
        let standings = Standings::default();
        let old = standings.lifeline(&agent, std::slice::from_ref(&session));
        assert_eq!(old.check(), Ok(()));
        standings.freeze(&agent);
        assert_eq!(old.check(), Err(Code::Frozen));
        standings.thaw(&agent);
        assert_eq!(old.check(), Err(Code::Frozen));
        assert_eq!(old.renewed().check(), Ok(()));
    }

    #[test]
    fn ending_a_parent_ends_the_child() {
        let (agent, parent) = names();
        let child = SessionId::parse("s-2").unwrap();
        let standings = Standings::default();
        let line = standings.lifeline(&agent, &[parent.clone(), child]);
        standings.end_session(&parent);
        assert_eq!(line.check(), Err(Code::SessionEnded));
    }

    #[tokio::test]
    async fn an_open_stream_learns_of_a_freeze_while_it_waits() {
        let (agent, session) = names();
        let standings = Arc::new(Standings::default());
        let line = standings.lifeline(&agent, &[session]);
        let waiting = tokio::spawn(async move { line.cut().await });
        tokio::task::yield_now().await;
        standings.freeze(&agent);
        assert_eq!(waiting.await.unwrap(), Code::Frozen);
    }
}
