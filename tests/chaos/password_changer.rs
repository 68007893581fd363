//! A user who changes their password again and again, hangs up and retries, while a second session is open. Whatever
//! fails, the new password is valid, the session that changed it stays, and the other one ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::json;

use crate::{
    checks::REPLICAS_TRIED,
    recovery::Recovery,
    support::{Answer, PASSWORD, Person},
};

const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct PasswordChanger {
    gateways: Vec<String>,
    recovery: Recovery,
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
    pub(crate) async fn join(seed: u64, gateways: Vec<String>, recovery: Recovery) -> Self {
        let keeps = Person::join(&gateways[0], "keeper").await;
        let mut loses = keeps.clone();
        loses.log_in().await;
        Self {
            gateways,
            recovery,
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
        let wait = self.recovery.wait();
        for attempt in 1.. {
            let hang_up =
                self.dice.random_bool(0.5).then(|| Duration::from_micros(self.dice.random_range(0..150_000)));
            let token = self.keeps.token.clone();
            let answer =
                self.try_send("/auth/me/password", &body, &token, hang_up.filter(|_| attempt == 1)).await;
            match answer.map(|answer| answer.status.as_u16()) {
                Some(204) => break,
                // An earlier attempt has succeeded, so the new password is valid.
                Some(401 | 422) if attempt > 1 && self.log_in(&new).await.is_some() => break,
                None | Some(503) => {}
                other => panic!("a change of the password answers {other:?} at attempt {attempt}"),
            }
            wait.goes_on(|| "changing a password does not recover".to_owned());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        wait.ends(|| "changing a password".to_owned());
        self.password = new;
        self.ended.push(self.loses.token.clone());
        let wait = self.recovery.wait();
        loop {
            let password = self.password.clone();
            if let Some(token) = self.log_in(&password).await {
                self.loses.token = token;
                return;
            }
            wait.goes_on(|| "logging in with the new password".to_owned());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Opens a session if the password is right.
    async fn log_in(&mut self, password: &str) -> Option<String> {
        let wait = self.recovery.wait();
        let body = json!({"email": self.keeps.email, "password": password});
        loop {
            if let Some(answer) = self.try_send("/auth/login", &body, "", None).await
                && answer.status != 503
            {
                wait.ends(|| "logging in after a change of the password".to_owned());
                let token = answer.body["access_token"].as_str();
                return token.map(str::to_owned);
            }
            wait.goes_on(|| "logging in does not recover".to_owned());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
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
                self.answers(Method::GET, &format!("{gateway}/tasks?limit=1"), 200).await;
            }
            self.answers(Method::GET, &format!("{gateway}/auth/me"), 200).await;
        }
        self.answers(Method::POST, &format!("{}/auth/logout", self.gateways[0]), 204).await;
        self.ended.push(token);
    }

    /// Sends a request of the other session until it has this status.
    async fn answers(&self, method: Method, url: &str, status: u16) {
        self.recovery
            .until("the other session is answered", async || {
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
