//! What a shell must have so that an agent's clients go through the gateway.

use clap::ValueEnum;
use zeroize::Zeroizing;

/// How the environment is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// `export` lines for sh, bash, zsh
    Sh,
    /// `set -gx` lines for fish
    Fish,
    /// `$env:` lines for PowerShell
    Powershell,
    /// One JSON object
    Json,
    /// `NAME=value` lines for files that tools read
    Dotenv,
}

/// Variables that send a client through the proxy. Many read the lower-case spelling alone.
const PROXY: &[&str] =
    &["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Variables that name the roots which a client trusts: OpenSSL and Go, curl, Python, Node, Git, Cargo,
/// AWS, pip, Deno, gRPC, Ruby's bundler, Nix, R.
const ROOTS: &[&str] = &[
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "PIP_CERT",
    "DENO_CERT",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "BUNDLE_SSL_CA_CERT",
    "NIX_SSL_CERT_FILE",
];

/// The variable that holds a session's token.
pub(crate) const SESSION: &str = "KILLICK_SESSION";
/// The variable that says where the gateway is.
pub(crate) const GATEWAY: &str = "KILLICK_GATEWAY";

/// A session as an environment needs it.
pub(crate) struct Access<'a> {
    /// Where the gateway is (`http://127.0.0.1:7070`).
    pub(crate) gateway: &'a str,
    /// The session's token.
    pub(crate) token: &'a str,
    /// The file with the roots; unchanged from the session above when absent.
    pub(crate) ca_bundle: Option<&'a str>,
    /// Surrogates, each with the variables that hold it.
    pub(crate) surrogates: Vec<(&'a [String], &'a str)>,
}

/// Returns the variables in the order in which they are printed.
pub(crate) fn variables(access: &Access<'_>) -> Vec<(String, Zeroizing<String>)> {
    let mut all = Vec::new();
    let mut put = |name: &str, value: &str| {
        all.push((name.to_owned(), Zeroizing::new(value.to_owned())));
    };
    let proxy = Zeroizing::new(proxy_url(access.gateway, access.token));
    for name in PROXY {
        put(name, &proxy);
    }
    // A proxy exception in the surrounding shell would be a way around the gateway.
    put("NO_PROXY", "");
    put("no_proxy", "");
    // Node's own fetch looks at the proxy variables only when told to.
    put("NODE_USE_ENV_PROXY", "1");
    if let Some(bundle) = access.ca_bundle {
        for name in ROOTS {
            put(name, bundle);
        }
    }
    put(GATEWAY, access.gateway);
    put(SESSION, access.token);
    for (names, value) in &access.surrogates {
        for name in *names {
            if is_variable(name) {
                put(name, value);
            }
        }
    }
    all
}

/// Returns the gateway's address with the token as password of `killick`.
fn proxy_url(gateway: &str, token: &str) -> String {
    match gateway.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://killick:{token}@{rest}"),
        None => format!("http://killick:{token}@{gateway}"),
    }
}

/// A pack names variables; one that is none must not become a line of shell.
fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 80
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Returns the lines for a shell.
pub(crate) fn lines(shell: Shell, variables: &[(String, Zeroizing<String>)]) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::new());
    if shell == Shell::Json {
        let object: serde_json::Map<String, serde_json::Value> =
            variables.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        out.push_str(&serde_json::Value::Object(object).to_string());
        out.push('\n');
        return out;
    }
    for (name, value) in variables {
        let line = match shell {
            Shell::Sh => format!("export {name}='{}'", value.replace('\'', r"'\''")),
            Shell::Fish => {
                format!("set -gx {name} '{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
            }
            Shell::Powershell => format!("$env:{name} = '{}'", value.replace('\'', "''")),
            Shell::Dotenv | Shell::Json => format!("{name}={}", dotenv(value)),
        };
        out.push_str(&Zeroizing::new(line));
        out.push('\n');
    }
    out
}

fn dotenv(value: &str) -> String {
    let plain = value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b':' | b'@'));
    if plain {
        return value.to_owned();
    }
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: &str) -> Vec<(String, Zeroizing<String>)> {
        vec![("NAME".into(), Zeroizing::new(value.into()))]
    }

    #[test]
    fn a_value_never_ends_its_quotes() {
        let hostile = "a'; rm -rf ~ #\\$(x)`y`\"";
        for (shell, expected) in [
            (Shell::Sh, "export NAME='a'\\''; rm -rf ~ #\\$(x)`y`\"'\n"),
            (Shell::Fish, "set -gx NAME 'a\\'; rm -rf ~ #\\\\$(x)`y`\"'\n"),
            (Shell::Powershell, "$env:NAME = 'a''; rm -rf ~ #\\$(x)`y`\"'\n"),
            (Shell::Dotenv, "NAME=\"a'; rm -rf ~ #\\\\\\$(x)`y`\\\"\"\n"),
        ] {
            assert_eq!(lines(shell, &sample(hostile)).as_str(), expected, "{shell:?}");
        }
    }

    #[test]
    fn clients_are_sent_through_the_gateway_and_trust_its_roots() {
        let names = ["PROVIDER_TOKEN".to_owned(), "bad name; true".to_owned()];
        let access = Access {
            gateway: "http://127.0.0.1:7070",
            token: "ksess_00",
            ca_bundle: Some("/home/a/.killick/ca-bundle.pem"),
            surrogates: vec![(&names, "surrogate")],
        };
        let all = variables(&access);
        let value =
            |name: &str| all.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str());
        assert_eq!(value("HTTPS_PROXY"), Some("http://killick:ksess_00@127.0.0.1:7070"));
        assert_eq!(value("https_proxy"), value("HTTPS_PROXY"));
        assert_eq!(value("NO_PROXY"), Some(""));
        assert_eq!(value("NODE_EXTRA_CA_CERTS"), Some("/home/a/.killick/ca-bundle.pem"));
        assert_eq!(value("PROVIDER_TOKEN"), Some("surrogate"));
        assert_eq!(value("bad name; true"), None);
        assert_eq!(value(SESSION), Some("ksess_00"));
    }

    #[test]
    fn json_is_one_object() {
        let text = lines(Shell::Json, &sample("it's \"x\""));
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["NAME"], "it's \"x\"");
    }
}
