//! Accounts of others, for admins.

use utoipa::openapi::{
    HttpMethod, Ref, RefOr, Schema,
    path::{Parameter, ParameterIn},
};

use super::{
    account_examples,
    components::{integer, parameter, text},
    endpoint::{Builder, Endpoint, endpoint},
    queries::{SHOWN, STATE},
};
use crate::{NoFields, ProblemCode::*, stand_ins::not_blank};

const TAG: &str = "Administration";
const TOKEN: [&str; 1] = ["Consistency-Token"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        list_users(),
        account(
            HttpMethod::Put,
            "/auth/users/{id}/roles",
            "setRoles",
            "Replace the roles of an account",
        )
        .about(
            "Without the role `user` an account has no tasks. The last admin cannot lose the role `admin`.",
        )
        .body(&account_examples::set_roles())
        .answer(
            200,
            "The account after the change.",
            &TOKEN,
            &account_examples::user_body(),
        )
        .problems(&[LastAdmin])
        .build(),
        account(
            HttpMethod::Post,
            "/auth/users/{id}/disable",
            "disableAccount",
            "Take an account out of use",
        )
        .about(
            "Ends every session of the account at once, and takes all tokens back from its programs, for good. The last admin \
             cannot be disabled.",
        )
        .empty_body(&account_examples::admin_act())
        .answer(200, "The account.", &TOKEN, &account_examples::user_body())
        .problems(&[LastAdmin])
        .build(),
        account(
            HttpMethod::Post,
            "/auth/users/{id}/enable",
            "enableAccount",
            "Take an account into use again",
        )
        .empty_body(&account_examples::admin_act())
        .answer(200, "The account.", &TOKEN, &account_examples::user_body())
        .build(),
        account(
            HttpMethod::Post,
            "/auth/users/{id}/reset",
            "offerReset",
            "Offer somebody a new password",
        )
        .about("The token is for `/auth/reset`. It is good for an hour and ends any that was made before.")
        .empty_body(&account_examples::offer_reset())
        .answer(200, "The reset.", &TOKEN, &account_examples::offered_reset())
        .build(),
        account(
            HttpMethod::Delete,
            "/auth/users/{id}/tokens",
            "revokeTokensOfAccount",
            "Take all tokens back from somebody's programs",
        )
        .about("Sessions stay; to end those, too, disable the account and enable it again.")
        .empty_body(&NoFields {})
        .nothing(204, "The tokens are refused from now on.", &TOKEN)
        .build(),
        second_factor_roles(HttpMethod::Get, "secondFactorRoles", "Which roles ask for a second factor").build(),
        second_factor_roles(
            HttpMethod::Put,
            "setSecondFactorRoles",
            "Let roles ask for a second factor",
        )
        .about(
            "Without one in a session, a role that asks for it counts for nothing there from then on, yours included. Roles that \
             an operator has set ask for it whatever is sent.",
        )
        .body(&account_examples::second_factor_roles())
        .build(),
    ]
}

fn second_factor_roles(method: HttpMethod, id: &'static str, summary: &'static str) -> Builder {
    endpoint(method, "/auth/second-factor-roles", TAG, id, summary)
        .needs_role()
        .answer(
            200,
            "The roles that count in sessions with a second factor only.",
            &TOKEN,
            &account_examples::second_factor_roles(),
        )
}

fn list_users() -> Endpoint {
    endpoint(HttpMethod::Get, "/auth/users", TAG, "listUsers", "List accounts")
        .about("The oldest first, a page at a time.")
        .needs_role()
        .shared(&STATE)
        .parameters(filters())
        .answer(
            200,
            "A page of accounts.",
            &SHOWN,
            &account_examples::managed_users(),
        )
        .problems(&[BadCursor, ProjectionBehind])
        .build()
}

fn filters() -> Vec<Parameter> {
    let query = |name: &str, description: &str, schema: RefOr<Schema>| {
        parameter(ParameterIn::Query, name, description, schema)
    };
    vec![
        query(
            "role",
            "Accounts with this role.",
            Ref::from_schema_name("Role").into(),
        ),
        query(
            "email",
            "Part of the address, in any case.",
            text()
                .min_length(Some(1))
                .pattern(Some(not_blank()))
                .examples(["@example.org"])
                .build()
                .into(),
        ),
        query(
            "limit",
            "How many accounts a page has at most.",
            integer()
                .minimum(Some(1))
                .maximum(Some(200))
                .default(Some(50.into()))
                .build()
                .into(),
        ),
        query(
            "cursor",
            "`next_cursor` of the page before, with the same filters.",
            text().min_length(Some(1)).build().into(),
        ),
    ]
}

/// About one account.
fn account(method: HttpMethod, path: &'static str, id: &'static str, summary: &'static str) -> Builder {
    endpoint(method, path, TAG, id, summary)
        .needs_role()
        .shared(&["id"])
        .problems(&[NotFound])
}
