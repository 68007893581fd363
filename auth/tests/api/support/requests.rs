//! The requests that the tests of several endpoints send.

use std::fmt::Display;

use auth_client::Revocation;
use bus::{Heard, Listener};
use events::UserId;
use http::Method;
use serde_json::{Value, json};

use super::{Answer, App, PASSWORD};

impl App {
    pub(crate) async fn get_as(&self, access: &str, path: &str) -> Answer {
        self.get(path).token(access).send().await
    }

    /// Without a body.
    pub(crate) async fn post_as(&self, access: &str, path: &str) -> Answer {
        self.post(path).token(access).send().await
    }

    /// Without a body.
    pub(crate) async fn delete_as(&self, access: &str, path: &str) -> Answer {
        self.call(Method::DELETE, path).token(access).send().await
    }

    pub(crate) async fn register(&self, email: &str) -> Answer {
        let body = json!({"email": email, "password": PASSWORD});
        self.post("/auth/register").json(&body).send().await
    }

    pub(crate) async fn register_from(&self, address: &str, email: &str) -> Answer {
        let body = json!({"email": email, "password": PASSWORD});
        let call = self.post("/auth/register").json(&body);
        call.header("x-forwarded-for", address).send().await
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        self.post("/auth/login").json(&body).send().await
    }

    pub(crate) async fn login_from(&self, address: &str, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        let call = self.post("/auth/login").json(&body);
        call.header("x-forwarded-for", address).send().await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        let body = json!({"refresh_token": token});
        self.post("/auth/refresh").json(&body).send().await
    }

    pub(crate) async fn me(&self, access: &str) -> Answer {
        self.get_as(access, "/auth/me").await
    }

    pub(crate) async fn id_of(&self, access: &str) -> UserId {
        let me = self.me(access).await.expect(200, "");
        me.text("/user/id").parse().unwrap()
    }

    pub(crate) async fn change_password(&self, access: &str, current: &str, new: &str) -> Answer {
        let body = json!({"current_password": current, "new_password": new});
        let call = self.post("/auth/me/password").token(access);
        call.json(&body).send().await
    }

    pub(crate) async fn reset(&self, token: &str, password: &str) -> Answer {
        let body = json!({"reset_token": token, "new_password": password});
        self.post("/auth/reset").json(&body).send().await
    }

    pub(crate) async fn erase(&self, access: &str, body: Value) -> Answer {
        let call = self.call(Method::DELETE, "/auth/me").token(access);
        call.json(&body).send().await
    }

    pub(crate) async fn erase_with(&self, access: &str, password: &str) -> Answer {
        self.erase(access, json!({ "password": password })).await
    }

    pub(crate) async fn set_roles(&self, admin: &str, id: impl Display, roles: Value) -> Answer {
        let call = self.call(Method::PUT, &format!("/auth/users/{id}/roles")).token(admin);
        call.json(&json!({ "roles": roles })).send().await
    }

    /// Lets an admin `disable` or `enable` an account, or offer a `reset` of its password.
    pub(crate) async fn act(&self, admin: &str, id: impl Display, action: &str) -> Answer {
        self.post_as(admin, &format!("/auth/users/{id}/{action}")).await
    }

    /// The sessions in the list of a person.
    pub(crate) async fn sessions(&self, access: &str) -> Vec<Value> {
        let answer = self.get_as(access, "/auth/sessions").await.expect(200, "");
        answer.body["items"].as_array().unwrap().clone()
    }

    /// Registers if necessary, logs in, and returns both tokens.
    pub(crate) async fn sign_in(&self, email: &str) -> (String, String) {
        self.register(email).await;
        let answer = self.login(email, PASSWORD).await.expect(200, "");
        (answer.text("/access_token"), answer.text("/refresh_token"))
    }

    pub(crate) async fn sign_in_admin(&self, email: &str) -> String {
        self.register(email).await;
        self.grant(email, events::Role::Admin).await;
        self.sign_in(email).await.0
    }
}

/// The statuses of `answers`, the smallest first.
pub(crate) fn statuses<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Vec<u16> {
    let mut statuses: Vec<_> = answers.into_iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    statuses
}

/// The next revocation that is broadcast.
pub(crate) async fn heard(listener: &mut dyn Listener) -> Revocation {
    let heard = tokio::time::timeout(std::time::Duration::from_secs(10), listener.next());
    match heard.await.unwrap() {
        Heard::Message(bytes) => Revocation::decode(&bytes).unwrap(),
        Heard::Interrupted | Heard::Gap => panic!("a gap on a bus that never breaks"),
    }
}
