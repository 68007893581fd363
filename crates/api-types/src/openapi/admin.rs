//! Accounts of others, for admins.

use serde_json::json;

use super::{
    endpoint::{Builder, TOKEN, endpoint},
    examples::{HOUR_LATER, REASON, RESET_TOKEN, user},
    parameter::{cursor, limit, query},
    queries::{SHOWN, STATE},
};
use crate::{
    AdminAct, ManagedUsers, OfferReset, OfferedReset, ProblemCode::*, SecondFactorRoles, SetRoles,
    stand_ins::not_blank,
};

const TAG: &str = "Administration";

pub(super) fn endpoints() -> Vec<Builder> {
    let mut managed = user();
    managed["disabled"] = false.into();
    vec![
        endpoint("GET /auth/users", TAG)
            .named("listUsers", "List accounts")
            .about("The oldest first, a page at a time.")
            .needs_role()
            .shared(&STATE)
            .without_entity_tag(&SHOWN)
            .parameters([
                query("role", "Accounts with this role.").of("Role"),
                query("email", "Part of the address, in any case.")
                    .min(1)
                    .pattern(&not_blank())
                    .example("@example.org"),
                limit("How many accounts a page has at most.", 50, 200),
                cursor("`next_cursor` of the page before, with the same filters."),
            ])
            .answer::<ManagedUsers>(200, "A page of accounts.", &SHOWN, json!({"items": [managed], "next_cursor": null}))
            .problems(&[BadCursor, ProjectionBehind]),
        account("PUT /auth/users/{id}/roles")
            .named("setRoles", "Replace the roles of an account")
            .about("Without the role `user` an account has no tasks. The last admin cannot lose the role `admin`.")
            .body::<SetRoles>(json!({"roles": ["user", "auditor"], "reason": REASON}))
            .user("The account after the change.")
            .problems(&[LastAdmin]),
        account("POST /auth/users/{id}/disable")
            .named("disableAccount", "Take an account out of use")
            .about(
                "Ends every session of the account at once, and takes all tokens back from its programs, for good. The \
                 last admin cannot be disabled.",
            )
            .optional_body::<AdminAct>(json!({"reason": REASON}))
            .user("The account.")
            .problems(&[LastAdmin]),
        account("POST /auth/users/{id}/enable")
            .named("enableAccount", "Take an account into use again")
            .optional_body::<AdminAct>(json!({"reason": REASON}))
            .user("The account."),
        account("POST /auth/users/{id}/reset")
            .named("offerReset", "Offer somebody a new password")
            .about("The token is for `/auth/reset`. It is good for an hour and ends any that was made before.")
            .optional_body::<OfferReset>(json!({"remove_second_factor": false, "reason": REASON}))
            .answer::<OfferedReset>(
                200,
                "The reset.",
                &TOKEN,
                json!({"reset_token": RESET_TOKEN, "expires_at": HOUR_LATER}),
            ),
        account("DELETE /auth/users/{id}/tokens")
            .named("revokeTokensOfAccount", "Take all tokens back from somebody's programs")
            .about("Sessions stay; to end those, too, disable the account and enable it again.")
            .no_fields()
            .nothing(204, "The tokens are refused from now on.", &TOKEN),
        second_factor_roles("GET /auth/second-factor-roles")
            .named("secondFactorRoles", "Which roles ask for a second factor"),
        second_factor_roles("PUT /auth/second-factor-roles")
            .named("setSecondFactorRoles", "Let roles ask for a second factor")
            .about(
                "Without one in a session, a role that asks for it counts for nothing there from then on, yours \
                 included. Roles that an operator has set ask for it whatever is sent.",
            )
            .body::<SecondFactorRoles>(json!({"roles": ["auditor"]})),
    ]
}

fn second_factor_roles(route: &'static str) -> Builder {
    const ROLES: &str = "The roles that count in sessions with a second factor only.";
    endpoint(route, TAG).needs_role().without_entity_tag(&TOKEN).answer::<SecondFactorRoles>(
        200,
        ROLES,
        &TOKEN,
        json!({"roles": ["auditor"]}),
    )
}

/// About one account.
fn account(route: &'static str) -> Builder {
    endpoint(route, TAG).needs_role().shared(&["id"]).without_entity_tag(&TOKEN).problems(&[NotFound])
}
