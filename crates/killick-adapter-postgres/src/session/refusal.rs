//! A refusal as PostgreSQL's clients read it: an `ErrorResponse` with SQLSTATE 42501.

use killick_model::{Code, Refusal};

/// `insufficient_privilege`: what every refusal of the gateway is to a client.
pub(crate) const SQLSTATE: &str = "42501";

/// The fields of an `ErrorResponse`.
pub(crate) struct Fields {
    pub(crate) sqlstate: &'static str,
    pub(crate) message: String,
    pub(crate) detail: String,
    pub(crate) hint: String,
}

/// Returns the fields for a refusal: MESSAGE why, DETAIL what was not done, HINT the next step.
pub(crate) fn fields(refusal: &Refusal) -> Fields {
    let sqlstate = match refusal.code {
        Code::TooMany | Code::RequestBudget => "53400",
        Code::RecordUnavailable | Code::StoreUnavailable | Code::DecisionFailed => "58030",
        Code::UpstreamUnreachable => "08006",
        _ => SQLSTATE,
    };
    let mut detail = refusal.not_done.clone();
    if let Some(call) = &refusal.call {
        detail.push_str("; call ");
        detail.push_str(call.as_str());
    }
    let mut hint = refusal.next_step.clone();
    if let Some(request) = &refusal.request
        && !hint.contains(request.as_str())
    {
        hint.push_str(" (request ");
        hint.push_str(request.as_str());
        hint.push(')');
    }
    Fields {
        sqlstate,
        message: format!("killick {}: {}", refusal.code, refusal.because),
        detail,
        hint,
    }
}
