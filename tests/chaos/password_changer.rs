//! A user who changes their password again and again, hangs up and retries, while a second session is open. Whatever
//! fails, the new password is valid, the session that changed it stays, and the other one ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::json;

use crate::{
    checks::REPLICAS_TRIED,
    support::{Answer, PASSWORD, Person, until},
};

/// Time within which the system has to recover from any fault.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(40);
const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct PasswordChanger {
    gateways: Vec<String>,
    dice: StdRng,
    /// The session that changes the password.
    keeps: Person,
    /// The session that each change ends.
    loses: Person,
    password: String,
    /// Tokens of sessions that have ended.
    pub(crate) ended: Vec<String>,
    pub(crate) changes: usize,
}

impl PasswordChanger {
    pub(crate) async fn join(seed: u64, gateways: Vec<String>) -> Self {
        let keeps = Person::join(&gateways[0], "keeper").await;
        let mut loses = keeps.clone();
        loses.log_in().await;
        Self {
            gateways,
            dice: StdRng::seed_from_u64(seed << 16 | 2 << 8),
            keeps,
            loses,
            password: PASSWORD.to_owned(),
            ended: Vec::new(),
            changes: 0,
        }
    }

    pub(crate) async fn work(mut self, stop: Arc<AtomicBool>) -> Self {
        while !stop.load(Ordering::Relaxed) {
            self.change_password().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self
    }

    async fn change_password(&mut self) {
        self.changes += 1;
        let new = format!("a rather long passphrase, number {}", self.changes);
        let body = json!({"current_password": self.password, "new_password": new});
        let deadline = Instant::now() + RECOVERY_TIMEOUT;
        for attempt in 1.. {
            let hang_up = self
                .dice
                .random_bool(0.5)
                .then(|| Duration::from_micros(self.dice.random_range(0..150_000)));
            let token = self.keeps.token.clone();
            let answer = self
                .try_send(
                    "/auth/me/password",
                    &body,
                    &token,
                    hang_up.filter(|_| attempt == 1),
                )
                .await;
            match answer.map(|answer| answer.status.as_u16()) {
                Some(204) => break,
                // An earlier attempt has succeeded, so the new password is valid.
                Some(401 | 422) if attempt > 1 && self.log_in(&new).await.is_some() => break,
                None | Some(503) => {}
                other => panic!("a change of the password answers {other:?} at attempt {attempt}"),
            }
            assert!(Instant::now() < deadline, "changing a password does not recover");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.password = new;
        self.ended.push(self.loses.token.clone());
        let deadline = Instant::now() + RECOVERY_TIMEOUT;
        loop {
            let password = self.password.clone();
            if let Some(token) = self.log_in(&password).await {
                self.loses.token = token;
                return;
            }
            assert!(Instant::now() < deadline, "logging in does not recover");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Opens a session if the password is right.
    async fn log_in(&mut self, password: &str) -> Option<String> {
        let deadline = Instant::now() + RECOVERY_TIMEOUT;
        let body = json!({"email": self.keeps.email, "password": password});
        while Instant::now() < deadline {
            if let Some(answer) = self.try_send("/auth/login", &body, "", None).await
                && answer.status != 503
            {
                let token = answer.body["access_token"].as_str();
                return token.map(str::to_owned);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    async fn try_send(
        &mut self,
        path: &str,
        body: &serde_json::Value,
        token: &str,
        hang_up: Option<Duration>,
    ) -> Option<Answer> {
        let gateway = &self.gateways[self.dice.random_range(0..self.gateways.len())];
        let request = self
            .keeps
            .http
            .request(Method::POST, format!("{gateway}{path}"))
            .timeout(hang_up.unwrap_or(TIMEOUT))
            .bearer_auth(token)
            .json(body);
        Answer::read(request.send().await.ok()?).await.ok()
    }

    /// Ends the other session right after every gateway and a role behind it have cached its token.
    pub(crate) async fn leave(&mut self) {
        let token = self.loses.token.clone();
        for gateway in &self.gateways {
            for _ in 0..REPLICAS_TRIED {
                self.answers(Method::GET, &format!("{gateway}/tasks?limit=1"), 200)
                    .await;
            }
            self.answers(Method::GET, &format!("{gateway}/auth/me"), 200)
                .await;
        }
        self.answers(Method::POST, &format!("{}/auth/logout", self.gateways[0]), 204)
            .await;
        self.ended.push(token);
    }

    /// Sends a request of the other session until it has this status.
    async fn answers(&self, method: Method, url: &str, status: u16) {
        until("the other session is answered", RECOVERY_TIMEOUT, async || {
            let request = self.loses.http.request(method.clone(), url).timeout(TIMEOUT);
            let answer = request.bearer_auth(&self.loses.token).send().await;
            // An earlier logout whose answer was lost may have succeeded.
            answer.is_ok_and(|answer| {
                answer.status() == status || method == Method::POST && answer.status() == 401
            })
        })
        .await;
    }

    /// The session that has changed the password and must still be open.
    pub(crate) fn kept(&self) -> &Person {
        &self.keeps
    }
}
