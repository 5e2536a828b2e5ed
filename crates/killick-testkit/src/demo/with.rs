//! Act 2: the same requests meet the gateway.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::Request;
use http_body_util::Full;

use super::narrator::Narrator;
use super::{API, OnDisk, Tokens, deletion_of, world};
use crate::connect_router::PROVIDER_HOSTS;
use crate::gateway::{AGENT, AgentSession, Gateway, GatewayOptions, Said};
use crate::practice::{PracticeWorld, ids};

/// The grace period of the demo; the pack says 48 hours.
const GRACE: Duration = Duration::from_secs(3);
/// What the gateway may take beyond it.
const GRACE_SLACK: Duration = Duration::from_secs(2);
/// How long a frozen agent's connection may stay open.
const CUT_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long it is waited for that at all.
const STREAM_WAIT_MAX: Duration = Duration::from_secs(20);
/// The shipped policies.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/default.cedar");
/// The owner's own.
const OWN_RULE: &str = r#"@id("volumes-take-a-human") @because("deleting a volume takes a human and a grace period")
forbid (principal, action == Killick::Action::"railway.volumeDelete", resource)
unless { context has approved && context has survivable };
"#;

struct Act<'a> {
    narrator: &'a Narrator,
    world: PracticeWorld,
    gateway: Gateway,
    agent: AgentSession,
    production_files: usize,
}

pub(super) async fn play(
    narrator: &Narrator,
    dir: &Path,
    tokens: &Tokens,
    binary: PathBuf,
) -> anyhow::Result<()> {
    let world = world(dir, tokens).await?;
    let production_files = OnDisk::production(&world).files();
    let options = GatewayOptions::of(binary).with_grace(&format!("{}s", GRACE.as_secs()));
    let gateway = Gateway::start(dir, options, &world).await?;
    let agent = gateway.session("staging").await?;
    narrator.say("A human opened a session; the agent holds a placeholder, no credential.")?;
    narrator.command("eval \"$(killick session open --agent coder --environment staging ...)\"")?;
    let act = Act { narrator, world, gateway, agent, production_files };
    act.stray(&tokens.stray).await?;
    act.brokered().await?;
    act.own_rule(dir).await?;
    act.asked_parked_cancelled().await?;
    act.asked_parked_sent().await?;
    act.frozen().await?;
    act.proved().await?;
    act.world.shutdown().await;
    Ok(())
}

impl Act<'_> {
    async fn stray(&self, token: &str) -> anyhow::Result<()> {
        self.narrator.say("1. The same call, with the token from the file.")?;
        self.narrator
            .command(&format!("curl {API} -H \"Authorization: Bearer $FOUND_TOKEN\" -d '...'"))?;
        let said = self.delete(ids::VOLUME_PRODUCTION, token).await?;
        let refusal = refused(&said, "foreign-credential")?;
        self.narrator.shown(&refusal)?;
        ensure!(self.world.requests().is_empty(), "the provider was asked");
        self.still_whole("Refused; the provider saw nothing.")
    }

    async fn brokered(&self) -> anyhow::Result<()> {
        self.narrator
            .say("2. The same call, with the placeholder: the credential itself is good.")?;
        self.narrator.command(&format!(
            "curl {API} -H \"Authorization: Bearer $RAILWAY_API_TOKEN\" -d '...'"
        ))?;
        let said = self.delete(ids::VOLUME_PRODUCTION, &self.agent.surrogate).await?;
        let refusal = refused(&said, "cross-environment")?;
        ensure!(refusal.contains("production"), "the environment is not named: {refusal}");
        self.narrator.shown(&refusal)?;
        self.still_whole("Refused; looked up at the provider, not believed from the agent.")
    }

    async fn own_rule(&self, dir: &Path) -> anyhow::Result<()> {
        self.narrator.say("3. The owner wants to be asked about volumes anywhere.")?;
        let file = dir.join("volumes.cedar");
        std::fs::write(&file, OWN_RULE)?;
        self.narrator.command("cat volumes.cedar")?;
        self.narrator.shown(OWN_RULE)?;
        self.narrator.command("killick policy set default.cedar volumes.cedar")?;
        let path = file.to_str().context("the directory's name is no text")?;
        let set = self.gateway.done(&["policy", "set", SHIPPED, path]).await?;
        self.narrator.shown(&set)?;
        Ok(())
    }

    async fn asked_parked_cancelled(&self) -> anyhow::Result<()> {
        self.narrator.say("4. The agent wants to delete the volume of staging.")?;
        let pending = self.asked_and_parked(true).await?;
        self.narrator.command(&format!("killick pending cancel {pending}"))?;
        let cancelled = self.gateway.done(&["pending", "cancel", &pending]).await?;
        self.narrator.shown(&cancelled)?;
        tokio::time::sleep(GRACE.saturating_add(GRACE_SLACK)).await;
        ensure!(OnDisk::staging(&self.world).files() > 0, "the cancelled deletion was sent");
        self.narrator.good("Cancelled within its grace period; the data is there.")?;
        Ok(())
    }

    async fn asked_parked_sent(&self) -> anyhow::Result<()> {
        self.narrator.say("5. It asks once more, and nobody cancels.")?;
        self.asked_and_parked(false).await?;
        let began = Instant::now();
        let disk = OnDisk::staging(&self.world);
        while disk.files() > 0 {
            let late = began.elapsed() > GRACE.saturating_add(GRACE_SLACK);
            ensure!(!late, "the deletion was not sent: {}", self.gateway.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let sent = self.world.requests();
        let sent = sent.iter().filter(|it| it.asked_for("mutation.volumeDelete")).count();
        ensure!(sent == 1, "the deletion was sent {sent} times");
        self.still_whole("Sent once, after its grace period: staging's volume is deleted.")
    }

    /// The agent asks, a human says yes, the agent sends again and is told to wait.
    async fn asked_and_parked(&self, loud: bool) -> anyhow::Result<String> {
        let said = self.delete(ids::VOLUME_STAGING, &self.agent.surrogate).await?;
        refused(&said, "approval-needed")?;
        let request = member(&said, "request")?;
        if loud {
            self.narrator.shown(&format!("approval-needed: request {request}"))?;
            self.narrator.command(&format!("killick request show {request}"))?;
            let shown = self.gateway.done(&["request", "show", &request]).await?;
            ensure!(shown.contains("staging"), "the environment is not shown: {shown}");
            self.narrator.shown(&shown)?;
        }
        self.narrator.command(&format!("killick request approve {request}"))?;
        let approved = self.gateway.done(&["request", "approve", &request]).await?;
        // It shows once more what is approved; the last line is what it says of itself.
        self.narrator.shown(approved.lines().last().unwrap_or_default())?;
        let said = self.delete(ids::VOLUME_STAGING, &self.agent.surrogate).await?;
        refused(&said, "pending")?;
        let pending = member(&said, "pending")?;
        ensure!(OnDisk::staging(&self.world).files() > 0, "the deletion was not parked");
        let grace = GRACE.as_secs();
        self.narrator.good(&format!("Approved, sent again, parked for {grace} s as {pending}."))?;
        Ok(pending)
    }

    async fn frozen(&self) -> anyhow::Result<()> {
        self.narrator.say("6. The agent reads a long stream. Its owner freezes it.")?;
        let mut connection = self.agent.connect(PROVIDER_HOSTS[0]).await?;
        let request = Request::get("/slow-stream").body(Full::default())?;
        let mut stream = connection.stream(request).await?;
        ensure!(stream.piece().await.is_some(), "the stream does not flow");
        self.narrator.command(&format!("killick agent freeze {AGENT}"))?;
        let began = Instant::now();
        let freezing = self.gateway.done(&["agent", "freeze", AGENT]);
        let ending = async {
            while stream.piece().await.is_some() {}
            began.elapsed()
        };
        let (frozen, cut) = tokio::join!(freezing, tokio::time::timeout(STREAM_WAIT_MAX, ending));
        self.narrator.shown(&frozen?)?;
        let cut = cut.context("the connection stays open")?;
        ensure!(cut < CUT_WAIT_MAX, "the connection closed after {} ms", cut.as_millis());
        let answer = self.agent.send(PROVIDER_HOSTS[0], self.agent.request("{}")?).await?;
        ensure!(answer.code() == "frozen", "not frozen: {answer:?}");
        self.narrator.good(&format!(
            "Its open connection closed {} ms after the command was started; nothing of it passes.",
            cut.as_millis()
        ))?;
        Ok(())
    }

    async fn proved(&self) -> anyhow::Result<()> {
        self.narrator.say("7. All of it is on the record, and nobody changed it.")?;
        self.gateway.done(&["checkpoint", "publish"]).await?;
        self.narrator.command("killick log verify")?;
        let said = self.gateway.verify().await?;
        ensure!(said.status.success(), "the record cannot be proved: {said:#?}");
        self.narrator.shown(&said.stdout)?;
        Ok(())
    }

    async fn delete(&self, volume: &str, token: &str) -> anyhow::Result<Said> {
        let header = format!("Authorization: Bearer {token}");
        self.agent.curl(&[API, "-H", &header, "-d", &deletion_of(volume)]).await
    }

    fn still_whole(&self, what: &str) -> anyhow::Result<()> {
        OnDisk::production(&self.world).must_have(self.production_files)?;
        self.narrator.good(&format!("{what} Production: {} files.", self.production_files))?;
        Ok(())
    }
}

/// Returns the words of a refusal, which must have a code.
fn refused(said: &Said, code: &str) -> anyhow::Result<String> {
    let found = member(said, "code")?;
    ensure!(found == code, "`{found}` instead of `{code}`: {said:#?}");
    Ok(format!("{code}: {}\n{}", member(said, "because")?, member(said, "not_done")?))
}

/// Reads a member of a refusal.
fn member(said: &Said, name: &str) -> anyhow::Result<String> {
    let json = said.json()?;
    let found = json.pointer(&format!("/errors/0/extensions/{name}"));
    let found = found.and_then(serde_json::Value::as_str);
    Ok(found.with_context(|| format!("the answer has no {name}: {said:#?}"))?.to_owned())
}
