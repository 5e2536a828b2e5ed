//! `killick agent`

use killick_admin::protocol::{Command, Reply};
use killick_model::admin::Standing;

use super::{Ended, Session, unexpected};
use crate::cli::AgentCommand;
use crate::failure::Exit;
use crate::show::Tone;
use crate::show::moment::moment;

pub(super) fn agent(session: &Session, command: AgentCommand) -> Ended {
    match command {
        AgentCommand::Add { name, owner, groups } => session.ask_done(Command::AgentAdd {
            name,
            owner,
            groups: groups.into_iter().collect(),
        }),
        AgentCommand::List => list(session),
        AgentCommand::Freeze { name, reason } => {
            session.ask_done(Command::AgentFreeze { name, reason })
        }
        AgentCommand::Thaw { name } => session.ask_done(Command::AgentThaw { name }),
        AgentCommand::Remove { name } => session.ask_done(Command::AgentRemove { name }),
    }
}

fn list(session: &Session) -> Ended {
    let Reply::Agents(agents) = session.ask(Command::AgentList {})? else {
        return Err(unexpected());
    };
    super::status::warn_of_break_glasses(session)?;
    let screen = &session.screen;
    if screen.json {
        screen.json(&agents);
        return Ok(Exit::Done);
    }
    let rows = agents.iter().map(|agent| {
        let standing = match agent.standing {
            Standing::Good => "good",
            Standing::Watched => "watched",
            Standing::Frozen => "FROZEN",
        };
        vec![
            agent.name.to_string(),
            standing.into(),
            agent.owner.to_string(),
            agent.groups.iter().cloned().collect::<Vec<_>>().join(", "),
            moment(agent.added),
        ]
    });
    screen.table(
        &["agent", "standing", "owner", "groups", "added"],
        rows.collect(),
        "No agents. Add one with `killick agent add NAME`.",
    );
    if agents.iter().any(|agent| agent.standing == Standing::Frozen) {
        screen.line(screen.tone(Tone::Loud, "A frozen agent goes on after `killick agent thaw`."));
    }
    Ok(Exit::Done)
}
