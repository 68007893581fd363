//! The second factor of an account, and logins that need it.

use utoipa::openapi::HttpMethod;

use super::{
    account_examples,
    accounts::{TAG, own},
    endpoint::{Endpoint, endpoint},
};
use crate::ProblemCode::*;

const TOKEN: [&str; 1] = ["Consistency-Token"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint(
            HttpMethod::Post,
            "/auth/login/second-factor",
            TAG,
            "loginWithSecondFactor",
            "Go on with a login that needs a code",
        )
        .about("After five wrong codes in a row the next one has to wait, each time longer.")
        .body(&account_examples::second_factor_login())
        .answer(
            200,
            "The tokens of the new session.",
            &TOKEN,
            &account_examples::tokens(),
        )
        .problems(&[
            BadCredentials,
            TokenInvalid,
            AccountDisabled,
            RateLimited,
            Unavailable,
        ])
        .build(),
        own(
            HttpMethod::Post,
            "/auth/me/totp",
            "enrollTotp",
            "Set a second factor up",
        )
        .about("It counts once it is confirmed. Everything in the answer is shown this once.")
        .body(&account_examples::enroll_totp())
        .answer(
            200,
            "The new second factor.",
            &TOKEN,
            &account_examples::totp_enrolment(),
        )
        .problems(&[BadCredentials, SecondFactorExists, RateLimited, Overloaded])
        .build(),
        own(
            HttpMethod::Post,
            "/auth/me/totp/confirm",
            "confirmTotp",
            "Put the second factor into force",
        )
        .body(&account_examples::confirm_totp())
        .nothing(204, "Logins need a code from now on.", &TOKEN)
        .problems(&[BadCredentials, SecondFactorExists, RateLimited])
        .build(),
        own(
            HttpMethod::Delete,
            "/auth/me/totp",
            "removeTotp",
            "Give the second factor up",
        )
        .body(&account_examples::remove_totp())
        .nothing(204, "Logins need no code any more.", &TOKEN)
        .problems(&[BadCredentials, RateLimited, Overloaded])
        .build(),
    ]
}
