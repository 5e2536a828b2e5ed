//! Grants and break-glass: what lets more through than one call.

use killick_gate::ports::StoreError;
use killick_gate::{Blocking as _, ids};
use killick_model::record::{Draft, Kind};
use killick_model::request::{BreakGlass, Grant};
use killick_model::{AgentName, EffectWord, SessionId};
use serde_json::json;

use super::sessions::no_randomness;
use super::{Acting, Administration, Answered, done, plain_text};
use crate::protocol::{AdminError, Reply};

/// The most uses of one grant.
pub(super) const GRANT_COUNT_MAX: u32 = 1_000;
/// The longest a grant lives.
pub(super) const GRANT_MILLIS_MAX: u64 = 24 * 3_600_000;
/// The most objects of one grant.
const GRANT_OBJECTS_MAX: usize = 128;
/// The longest object of a grant.
const GRANT_OBJECT_BYTES_MAX: usize = 600;
/// The fewest bytes of a reason: a reason says something.
const REASON_BYTES_MIN: usize = 10;
/// The longest reason.
const REASON_BYTES_MAX: usize = 1_000;

/// What a grant is asked with.
pub(super) struct GrantAsk {
    pub(super) session: SessionId,
    pub(super) effect: EffectWord,
    pub(super) objects: Vec<String>,
    pub(super) count: u32,
    pub(super) ttl_millis: u64,
}

impl Administration {
    pub(super) async fn grant_add(&self, by: &Acting<'_>, ask: GrantAsk) -> Answered {
        check_grant(&ask)?;
        let now = self.parts.gate.now();
        let sessions = self.parts.gate.on_store(|store| store.sessions()).await?;
        let session = sessions
            .into_iter()
            .map(|(session, _)| session)
            .find(|session| session.principal.session == ask.session)
            .filter(|session| super::sessions::is_open(session, now))
            .ok_or_else(|| {
                AdminError::missing(
                    format!("open session `{}`", ask.session),
                    "look at `killick session list`",
                )
            })?;
        let grant = Grant {
            id: ids::grant_id().map_err(no_randomness)?,
            session: ask.session,
            effect: ask.effect,
            objects: ask.objects,
            left: ask.count,
            expires: now.plus_millis(ask.ttl_millis).min(session.principal.expires),
            by: by.caller.owner.clone(),
        };
        let mut entry = Draft::new(Kind::Grant).of_principal(&session.principal);
        entry.effect = Some(grant.effect);
        self.on_record_as(by, entry, "grant add", json!({ "grant": grant })).await?;
        let kept = grant.clone();
        self.parts.gate.on_store(move |store| store.grant_add(&kept)).await?;
        Ok(Reply::Grants(vec![grant]))
    }

    pub(super) async fn grant_list(&self) -> Answered {
        let now = self.parts.gate.now();
        let mut grants = self.parts.gate.on_store(|store| store.grants()).await?;
        grants.retain(|grant| grant.expires > now && grant.left > 0);
        Ok(Reply::Grants(grants))
    }

    pub(super) async fn grant_remove(&self, by: &Acting<'_>, id: String) -> Answered {
        let grants = self.parts.gate.on_store(|store| store.grants()).await?;
        if !grants.iter().any(|grant| grant.id == id) {
            let shown: String = id.chars().filter(char::is_ascii_graphic).take(40).collect();
            return Err(StoreError::Missing(format!("grant {shown}")).into());
        }
        self.on_record(by, Kind::Grant, "grant remove", json!({ "grant": id })).await?;
        let gone = id.clone();
        self.parts.gate.on_store(move |store| store.grant_remove(&gone)).await?;
        Ok(done(format!("grant `{id}` is taken back")))
    }

    pub(super) async fn break_glass_open(
        &self,
        by: &Acting<'_>,
        agent: AgentName,
        reason: String,
        ttl_millis: u64,
    ) -> Answered {
        plain_text("the reason", &reason, REASON_BYTES_MAX)?;
        if reason.trim().len() < REASON_BYTES_MIN {
            return Err(AdminError::invalid(
                format!("a reason has at least {REASON_BYTES_MIN} characters"),
                "say what happened: the reason stands on every listing and in the record",
            ));
        }
        if ttl_millis == 0 || ttl_millis > BreakGlass::OPEN_MILLIS_MAX {
            return Err(AdminError::invalid(
                "a break-glass stays open for at most 4 hours",
                "choose another --ttl",
            ));
        }
        self.find_agent(&agent).await?;
        let glass = BreakGlass {
            agent,
            reason,
            by: by.caller.owner.clone(),
            expires: self.parts.gate.now().plus_millis(ttl_millis),
        };
        let details = json!({ "break_glass": glass });
        self.on_record(by, Kind::BreakGlass, "break-glass open", details).await?;
        tracing::warn!(agent = %glass.agent, by = %glass.by, "a break-glass is open");
        let kept = glass.clone();
        self.parts.gate.on_store(move |store| store.break_glass_open(&kept)).await?;
        Ok(Reply::BreakGlasses(vec![glass]))
    }

    pub(super) async fn break_glass_list(&self) -> Answered {
        let now = self.parts.gate.now();
        let open = self.parts.gate.on_store(move |store| store.break_glasses(now)).await?;
        Ok(Reply::BreakGlasses(open))
    }

    pub(super) async fn break_glass_end(&self, by: &Acting<'_>, agent: AgentName) -> Answered {
        let details = json!({ "agent": agent });
        self.on_record(by, Kind::BreakGlass, "break-glass end", details).await?;
        let ended = agent.clone();
        self.parts.gate.on_store(move |store| store.break_glass_end(&ended)).await?;
        Ok(done(format!("the break-glass of agent `{agent}` has ended")))
    }
}

fn check_grant(ask: &GrantAsk) -> Result<(), AdminError> {
    match ask.effect {
        EffectWord::Read | EffectWord::Write | EffectWord::Administer => {}
        EffectWord::Destroy | EffectWord::Unrecognized => {
            return Err(AdminError::invalid(
                format!("there is no grant for `{}`", ask.effect),
                "each such call is asked for by itself: `killick request approve`",
            ));
        }
    }
    if ask.effect == EffectWord::Read && ask.objects.is_empty() {
        return Err(AdminError::invalid(
            "reading is granted by the name of what is read",
            "name it with --objects (`database:main`)",
        ));
    }
    if !(1..=GRANT_COUNT_MAX).contains(&ask.count) {
        return Err(AdminError::invalid(
            format!("a grant is good for 1 to {GRANT_COUNT_MAX} calls"),
            "choose another --count",
        ));
    }
    if !(1..=GRANT_MILLIS_MAX).contains(&ask.ttl_millis) {
        return Err(AdminError::invalid(
            "a grant lives for at most 24 hours",
            "choose another --ttl",
        ));
    }
    if ask.objects.len() > GRANT_OBJECTS_MAX {
        return Err(AdminError::invalid(
            format!("a grant names at most {GRANT_OBJECTS_MAX} objects"),
            "give a second grant",
        ));
    }
    ask.objects
        .iter()
        .try_for_each(|object| plain_text("an object", object, GRANT_OBJECT_BYTES_MAX))
}
