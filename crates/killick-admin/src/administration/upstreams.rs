//! Upstreams: declared, listed, taken back.

use std::net::SocketAddr;

use killick_gate::Blocking as _;
use killick_gate::ports::StoreError;
use killick_model::admin::Upstream;
use killick_model::record::{Draft, Kind};
use killick_model::{Tier, UpstreamName};
use serde_json::json;

use super::{Acting, Administration, Answered, done};
use crate::protocol::{AdminError, Reply, UpstreamAsk};

/// The most host names of one upstream.
const HOSTS_MAX: usize = 16;
const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;

impl Administration {
    pub(super) async fn upstream_add(&self, by: &Acting<'_>, ask: UpstreamAsk) -> Answered {
        let replace = ask.replace;
        let upstream = self.upstream_asked(ask)?;
        let (declared, databases) =
            self.parts.gate.on_store(|store| Ok((store.upstreams()?, store.databases()?))).await?;
        // Credentials, scopes and policies know both by name alone.
        if databases.iter().any(|database| database.name == upstream.name) {
            return Err(AdminError::new(
                crate::protocol::AdminCode::Exists,
                format!("`{}` is the name of a database; nothing was changed", upstream.name),
                "choose another name",
            ));
        }
        let former = declared.iter().find(|other| other.name == upstream.name);
        if former.is_some() && !replace {
            return Err(AdminError::new(
                crate::protocol::AdminCode::Exists,
                format!("upstream {} exists already; nothing was changed", upstream.name),
                "add --replace to change it",
            ));
        }
        let taken = declared.iter().filter(|other| other.name != upstream.name).find(|other| {
            other.port == upstream.port
                && other.hosts.iter().any(|host| upstream.hosts.contains(host))
        });
        if let Some(other) = taken {
            return Err(AdminError::invalid(
                format!("upstream `{}` has one of these hosts at this port already", other.name),
                "a host belongs to one upstream; remove the other one first",
            ));
        }
        let mut entry = Draft::new(Kind::Configuration);
        entry.upstream = Some(upstream.name.clone());
        let details = json!({ "upstream": upstream, "former": former });
        self.on_record_as(by, entry, "upstream add", details).await?;
        let message = format!(
            "upstream `{}` is declared: {} port {}",
            upstream.name,
            upstream.hosts.join(", "),
            upstream.port
        );
        self.parts.gate.on_store(move |store| store.upstream_put(&upstream)).await?;
        self.tell_upstreams().await?;
        Ok(done(message))
    }

    fn upstream_asked(&self, ask: UpstreamAsk) -> Result<Upstream, AdminError> {
        let pack = match &ask.pack {
            None => None,
            Some(name) => Some(self.parts.rest.pack_info(name).ok_or_else(|| {
                AdminError::missing(
                    format!("pack `{name}`"),
                    "look at `killick pack list`, or leave --pack away: calls are then judged by method",
                )
            })?),
        };
        let asked =
            if ask.hosts.is_empty() { pack.as_ref().map(|it| it.hosts.clone()) } else { None };
        let hosts = asked.unwrap_or(ask.hosts);
        if hosts.is_empty() || hosts.len() > HOSTS_MAX {
            return Err(AdminError::invalid(
                format!("an upstream has 1 to {HOSTS_MAX} hosts, not {}", hosts.len()),
                "name them with --host, or name a --pack that knows them",
            ));
        }
        if hosts.iter().any(|host| host.contains('*')) {
            return Err(AdminError::invalid(
                format!(
                    "the hosts are patterns ({}), and an upstream has exact ones",
                    hosts.join(", ")
                ),
                "name your own with --host, beside --pack",
            ));
        }
        let hosts = hosts.iter().map(|host| exact_host(host)).collect::<Result<Vec<_>, _>>()?;
        if let Some(dial) = &ask.dial
            && dial.parse::<SocketAddr>().is_err()
        {
            return Err(AdminError::invalid(
                format!("`{}` is not ADDRESS:PORT", dial.escape_debug()),
                "write an IP address and a port (`127.0.0.1:8443`)",
            ));
        }
        match ask.declared {
            None | Some(Tier::Shared | Tier::Development) => {}
            Some(Tier::Other | Tier::Production | Tier::Unknown) => {
                return Err(AdminError::invalid(
                    "an upstream is declared `shared` or `development`",
                    "leave --declare away: what is not declared counts as production",
                ));
            }
        }
        let default_port = match (&pack, ask.tls) {
            (Some(pack), true) => pack.port,
            (None, true) => HTTPS_PORT,
            (_, false) => HTTP_PORT,
        };
        Ok(Upstream {
            name: ask.name,
            hosts,
            port: ask.port.unwrap_or(default_port),
            tls: ask.tls,
            pack: ask.pack,
            declared: ask.declared,
            model_provider: ask.model_provider,
            dial: ask.dial,
            writes_by_method: ask.writes_by_method,
            private_address: ask.private_address,
        })
    }

    pub(super) async fn upstream_list(&self) -> Answered {
        Ok(Reply::Upstreams(self.parts.gate.on_store(|store| store.upstreams()).await?))
    }

    pub(super) async fn upstream_remove(&self, by: &Acting<'_>, name: UpstreamName) -> Answered {
        let declared = self.parts.gate.on_store(|store| store.upstreams()).await?;
        if !declared.iter().any(|upstream| upstream.name == name) {
            return Err(StoreError::Missing(format!("upstream {name}")).into());
        }
        let mut entry = Draft::new(Kind::Configuration);
        entry.upstream = Some(name.clone());
        let details = json!({ "upstream": name });
        self.on_record_as(by, entry, "upstream remove", details).await?;
        let gone = name.clone();
        self.parts.gate.on_store(move |store| store.upstream_remove(&gone)).await?;
        self.tell_upstreams().await?;
        Ok(done(format!("upstream `{name}` is no longer reachable; its credentials are kept")))
    }

    async fn tell_upstreams(&self) -> Result<(), AdminError> {
        let upstreams = self.parts.gate.on_store(|store| store.upstreams()).await?;
        self.parts.rest.upstreams_changed(upstreams);
        Ok(())
    }
}

/// A declared host is one exact name, as TLS and Host carry it; no pattern.
fn exact_host(raw: &str) -> Result<String, AdminError> {
    let lower = raw.to_ascii_lowercase();
    let parsed = killick_net::parse_host(&lower).map_err(|error| {
        AdminError::invalid(
            format!("`{}` is not a host: {error}", raw.escape_debug()),
            "name one exact host, without scheme, port or path",
        )
    })?;
    Ok(match parsed {
        killick_net::HostKind::Name(_) | killick_net::HostKind::Ip(_) => lower,
    })
}
