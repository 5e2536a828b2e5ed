//! Why a call was refused: what did not happen, why, and what to do next.
//!
//! Agents act on this text. It leads to a human, never to another credential.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{CallId, PendingId, RequestId};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal;)*) => {
        /// Why a call was refused, one page for each in `docs/refusals/`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the code as it stands in answers, entries and the names of pages.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Returns the HTTP status of the refusal.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

codes! {
    /// A credential that is neither issued, own nor derived.
    ForeignCredential = "foreign-credential", 403;
    /// A surrogate outside its session or upstream.
    MisplacedSurrogate = "misplaced-surrogate", 403;
    /// No session token, or one that is unknown.
    NoSession = "no-session", 407;
    /// The session has ended.
    SessionEnded = "session-ended", 407;
    /// The agent is frozen.
    Frozen = "frozen", 403;
    /// The host is not a declared upstream.
    UndeclaredUpstream = "undeclared-upstream", 403;
    /// The address is loopback, link-local, private or a metadata service.
    ForbiddenAddress = "forbidden-address", 403;
    /// The head of the request is not strictly well-formed.
    MalformedHead = "malformed-head", 400;
    /// Host, SNI and target do not name the same host.
    HostMismatch = "host-mismatch", 421;
    /// The path has an encoded slash, a dot segment or another ambiguity.
    AmbiguousPath = "ambiguous-path", 400;
    /// A header that changes the method or the path behind the gateway's back.
    OverrideHeader = "override-header", 400;
    /// The protocol is switched (upgrade, h2c, tunnel to something that is not TLS).
    UnsupportedProtocol = "unsupported-protocol", 501;
    /// The body is larger than the gateway judges.
    BodyTooLarge = "body-too-large", 413;
    /// The body cannot be read as what it claims to be, or in two ways.
    AmbiguousBody = "ambiguous-body", 400;
    /// The document is not valid for the provider's schema.
    InvalidDocument = "invalid-document", 422;
    /// Nobody can say what the call would do.
    Unrecognized = "unrecognized", 403;
    /// The object lives in another environment than the session.
    CrossEnvironment = "cross-environment", 403;
    /// Policy forbids it.
    Forbidden = "forbidden", 403;
    /// A human may approve it.
    ApprovalNeeded = "approval-needed", 403;
    /// A human denied it.
    ApprovalDenied = "approval-denied", 403;
    /// The approval no longer fits what was found.
    ApprovalStale = "approval-stale", 409;
    /// Too many requests wait for humans.
    RequestBudget = "request-budget", 429;
    /// The call is accepted and waits for its grace period.
    Pending = "pending", 202;
    /// A human cancelled the pending call.
    Cancelled = "cancelled", 409;
    /// The scope of the session does not hold it.
    OutOfScope = "out-of-scope", 403;
    /// No credential is bound to the upstream.
    NoCredential = "no-credential", 403;
    /// What must be done first failed.
    ObligationFailed = "obligation-failed", 502;
    /// The decision point failed.
    DecisionFailed = "decision-failed", 503;
    /// The record cannot take the call.
    RecordUnavailable = "record-unavailable", 503;
    /// The store cannot be reached.
    StoreUnavailable = "store-unavailable", 503;
    /// The upstream cannot be reached.
    UpstreamUnreachable = "upstream-unreachable", 502;
    /// The agent asks for more than a named limit allows.
    TooMany = "too-many", 429;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal as the agent gets it, in whatever shape its protocol has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which kind.
    pub code: Code,
    /// Why, with what was found; no payload, no secret.
    pub because: String,
    /// What did not happen.
    pub not_done: String,
    /// What to do next.
    pub next_step: String,
    /// The call, as it stands in the record.
    pub call: Option<CallId>,
    /// The access request that a human may approve.
    pub request: Option<RequestId>,
    /// The parked call.
    pub pending: Option<PendingId>,
}

impl Refusal {
    /// Builds a refusal of a call of which nothing was sent.
    #[must_use]
    pub fn new(code: Code, because: impl Into<String>) -> Self {
        Self {
            code,
            because: because.into(),
            not_done: "nothing was sent to the upstream".into(),
            next_step: code.next_step().into(),
            call: None,
            request: None,
            pending: None,
        }
    }

    /// Returns the refusal with the call's id.
    #[must_use]
    pub fn with_call(mut self, call: CallId) -> Self {
        self.call = Some(call);
        self
    }

    /// Returns the refusal with another next step.
    #[must_use]
    pub fn with_next_step(mut self, next_step: impl Into<String>) -> Self {
        self.next_step = next_step.into();
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}. {}", self.code, self.because, self.not_done, self.next_step)
    }
}

impl Code {
    /// Returns what an agent should do next.
    #[must_use]
    pub const fn next_step(self) -> &'static str {
        match self {
            Self::ForeignCredential => {
                "Stop and report this to your operator. Do not look for another credential: none will work, \
                 and each attempt is recorded. Send the call without any credential, or with the placeholder \
                 from your session's environment"
            }
            Self::MisplacedSurrogate => {
                "Use this placeholder only in its own session and for its own upstream. If the task needs \
                 another upstream, ask your operator"
            }
            Self::NoSession | Self::SessionEnded => {
                "Ask your operator to open a session (`killick session open`) and use the environment it prints"
            }
            Self::Frozen => "Stop. Your operator froze this agent and decides how to go on",
            Self::UndeclaredUpstream => {
                "Only declared upstreams can be reached; reading the public web is not supported yet. Ask your \
                 operator to declare the host (`killick upstream add`)"
            }
            Self::ForbiddenAddress => {
                "Addresses of this machine, of private networks and of metadata services cannot be reached \
                 through the gateway. Ask your operator if the task needs one"
            }
            Self::MalformedHead
            | Self::HostMismatch
            | Self::AmbiguousPath
            | Self::OverrideHeader
            | Self::UnsupportedProtocol => {
                "Send a plain, well-formed HTTP/1.1 or HTTP/2 request. If an ordinary client produced this one, \
                 report it to your operator"
            }
            Self::BodyTooLarge => "Split the call into smaller ones",
            Self::AmbiguousBody | Self::InvalidDocument => {
                "Correct the request: it must be readable in one way only and valid for the provider's schema"
            }
            Self::Unrecognized => {
                "Use an operation that the provider documents, or ask your operator to do this by hand"
            }
            Self::CrossEnvironment => {
                "Work only on objects of your session's environment. If the object itself is right, ask your \
                 operator to open a session for its environment"
            }
            Self::Forbidden | Self::OutOfScope => {
                "Do not look for another way to do the same. Ask your operator if the task needs it"
            }
            Self::ApprovalNeeded => {
                "A human was asked. Wait for the answer, then send the same call again; do not look for another \
                 way to do the same"
            }
            Self::ApprovalDenied => {
                "A human said no. Do not send it again, and do not look for another way"
            }
            Self::ApprovalStale => {
                "The object changed since a human approved. Send the call again to ask anew"
            }
            Self::RequestBudget => {
                "Wait until a human has answered what is open before asking for more"
            }
            Self::Pending => {
                "Nothing more is needed. The call is sent when its grace period ends, unless cancelled"
            }
            Self::Cancelled => "A human cancelled the call. Do not send it again",
            Self::NoCredential => {
                "Ask your operator to bind a credential to this upstream (`killick credential add`). Do not use \
                 one that you find elsewhere"
            }
            Self::ObligationFailed => {
                "What makes this call survivable could not be done. Report it to your operator"
            }
            Self::DecisionFailed | Self::RecordUnavailable | Self::StoreUnavailable => {
                "The gateway cannot decide or record at the moment, so it lets nothing pass. Report it to your operator"
            }
            Self::UpstreamUnreachable => {
                "Try again later; if it persists, report it to your operator"
            }
            Self::TooMany => "Slow down and try again later",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_written_as_it_is_serialized() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{}\"", code.as_str()));
        }
    }

    #[test]
    fn a_stray_credential_leads_to_a_human_and_not_to_the_next_credential() {
        let refusal = Refusal::new(Code::ForeignCredential, "seen in header `authorization`");
        let text = refusal.to_string();
        assert!(text.contains("nothing was sent"));
        assert!(text.contains("Stop and report"));
        assert!(text.contains("Do not look for another credential"));
    }
}
