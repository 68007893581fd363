//! What a worker reads and checks, and its sessions.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use api_types::Task;
use rand::seq::IteratorRandom as _;
use reqwest::Method;
use serde_json::json;

use super::{Request, Worker, task_in};
use crate::{command::alike, support::Answer};

/// Time within which a client may send a refresh token again.
const REPEAT_TIMEOUT: Duration = Duration::from_secs(30);

impl Worker {
    pub(super) async fn look_at_own(&mut self) {
        let Some((id, task)) = self.own.iter().choose(&mut self.dice) else {
            return;
        };
        let (id, task) = (*id, task.clone());
        let answer = self.ask(&format!("/tasks/{id}")).await;
        if task.deleted_at.is_some() {
            answer.expect(404);
        } else {
            let answer = answer.expect(200);
            assert_eq!(task_in(&answer.body), Some(task), "{} does not see its own write", self.name);
        }
    }

    pub(super) async fn look_at_shared(&mut self) {
        let id = *self.shared.keys().choose(&mut self.dice).unwrap();
        let answer = self.ask(&format!("/tasks/{id}")).await;
        if answer.status != 404 {
            let answer = answer.expect(200);
            self.see_shared(&task_in(&answer.body).unwrap());
        }
    }

    pub(super) async fn look_at_list(&mut self) {
        self.look_at_page("/tasks?limit=100", |task| task.deleted_at.is_none()).await;
    }

    pub(super) async fn look_at_trash(&mut self) {
        self.look_at_page("/tasks?deleted=true&limit=100", |task| task.deleted_at.is_some()).await;
    }

    /// Checks that a page shows exactly those tasks of its own that belong there, as they were acknowledged.
    async fn look_at_page(&mut self, path: &str, belongs: fn(&Task) -> bool) {
        let page = self.ask(path).await.expect(200);
        assert!(page.body["next_cursor"].is_null(), "all tasks fit on a page");
        let mut shown = BTreeMap::new();
        for item in page.body["items"].as_array().unwrap() {
            let task = task_in(item).unwrap();
            assert!(task.title.starts_with(&self.tag), "{} sees {item}", self.name);
            self.see_shared(&task);
            if self.own.contains_key(&task.id) {
                assert!(shown.insert(task.id, task).is_none(), "shown twice");
            }
        }
        let mut known = self.own.clone();
        known.retain(|_, task| belongs(task));
        // A deletion is answered without the task, so its instants are unknown.
        for (id, task) in &mut known {
            if task.deleted_at.is_some()
                && let Some(shown) = shown.get(id)
            {
                assert!(alike(shown, task), "{} sees {shown:?}, not {task:?}", self.name);
                *task = shown.clone();
                self.own.insert(*id, shown.clone());
            }
        }
        assert_eq!(shown, known, "what {} sees is not what was acknowledged", self.name);
    }

    pub(super) fn see_shared(&mut self, task: &Task) {
        if let Some(seen) = self.shared.get_mut(&task.id) {
            assert!(task.version >= *seen, "{} sees {task:?} after version {seen}", self.name);
            *seen = task.version;
        }
    }

    pub(super) async fn look_at_self(&mut self) {
        let me = self.ask("/auth/me").await.expect(200);
        assert_eq!(me.body["user"]["email"], self.person.email, "another's identity");
    }

    pub(super) async fn refresh(&mut self) {
        let request = Request {
            method: Method::POST,
            path: "/auth/refresh".to_owned(),
            body: Some(json!({"refresh_token": self.person.refresh_token})),
            headers: Vec::new(),
        };
        let begun = Instant::now();
        let (answer, attempts) = self.answered(&request).await;
        // Whatever an earlier attempt did, the token is exchanged again for so long.
        if begun.elapsed() < REPEAT_TIMEOUT {
            self.take_tokens(&answer.expect(200));
        }
        if attempts > 1 {
            // An earlier attempt may still be under way. If it arrives when the successor is used, the session ends.
            self.log_in().await;
        }
    }

    pub(super) async fn leave_and_return(&mut self) {
        let request = Request {
            method: Method::POST,
            path: "/auth/logout".to_owned(),
            body: None,
            headers: Vec::new(),
        };
        let (answer, attempts) = self.answered(&request).await;
        // A second attempt may find the session ended.
        assert!(answer.status == 204 || answer.status == 401 && attempts > 1, "{answer:?}");
        self.ended.push(self.person.token.clone());
        self.log_in().await;
    }

    pub(super) async fn log_in(&mut self) {
        let request = Request {
            method: Method::POST,
            path: "/auth/login".to_owned(),
            body: Some(json!({"email": self.person.email, "password": crate::support::PASSWORD})),
            headers: Vec::new(),
        };
        let (answer, _) = self.answered(&request).await;
        self.take_tokens(&answer.expect(200));
    }

    fn take_tokens(&mut self, answer: &Answer) {
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        self.person.token = text("access_token");
        self.person.refresh_token = text("refresh_token");
    }
}
