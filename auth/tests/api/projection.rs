//! Stands in for the projector: writes the tables that auth reads.

use std::collections::BTreeMap;

use events::{Account, Aggregate as _, EmailAddress, Event, Session, StreamKind};

use crate::support::App;

impl App {
    /// Writes the rows of accounts and sessions up to `position`.
    pub(crate) async fn project(&self, position: u64) {
        let database = &self.dependencies.read_models;
        let mut tx = database.begin().await.unwrap();
        for sql in [
            "DELETE FROM sessions",
            "DELETE FROM accounts",
            "DELETE FROM checkpoints",
        ] {
            tx.execute(sql, &[]).await.unwrap();
        }
        let (mut sessions, mut accounts) = (BTreeMap::new(), BTreeMap::new());
        let log = self.log().await;
        let projected = log.iter().filter(|recorded| recorded.position <= position);
        let last = projected.clone().last().map(|recorded| recorded.id.0);
        for recorded in projected {
            let (version, at) = (recorded.version, recorded.recorded_at);
            match (
                Event::try_from(recorded).unwrap(),
                recorded.stream.kind().unwrap(),
            ) {
                (Event::Session(event), StreamKind::Session(id)) => {
                    let state = sessions.remove(&id);
                    let state = Session::evolve(state, &id, &event, version, at).unwrap();
                    sessions.insert(id, state);
                }
                (Event::Account(event), StreamKind::Account(id)) => {
                    let state = accounts.remove(&id);
                    let state = Account::evolve(state, &id, &event, version, at).unwrap();
                    accounts.insert(id, state);
                }
                _ => {}
            }
        }
        for session in sessions.values() {
            let sql = "INSERT INTO sessions (id, account, started_at, last_refreshed_at, expires_at, ip, user_agent, ended_at, end_reason, version, position) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
            let values = [
                session.id.0.into(),
                session.account.0.into(),
                session.started_at.as_micros().into(),
                session.last_refreshed_at.as_micros().into(),
                session.expires_at.as_micros().into(),
                session.ip.clone().into(),
                session.user_agent.clone().into(),
                session.ended.map(|(at, _)| at.as_micros()).into(),
                session.ended.map(|(_, reason)| format!("{reason:?}")).into(),
                session.version.into(),
                position.into(),
            ];
            tx.execute(sql, &values).await.unwrap();
        }
        for account in accounts.values() {
            let sql = "INSERT INTO accounts (id, email, email_search, display_name, roles, disabled, created_at, updated_at, version, position) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
            let values = [
                account.id.0.into(),
                account.email.clone().into(),
                EmailAddress::parse(&account.email).unwrap().search_text().into(),
                account.display_name.clone().into(),
                serde_json::to_string(&account.roles).unwrap().into(),
                account.disabled.into(),
                account.created_at.as_micros().into(),
                account.updated_at.as_micros().into(),
                account.version.into(),
                position.into(),
            ];
            tx.execute(sql, &values).await.unwrap();
        }
        for partition in self.dependencies.partitions.iter() {
            let sql =
                "INSERT INTO checkpoints (partitions, partition, position, event_id) VALUES ($1, $2, $3, $4)";
            let values = [
                self.dependencies.partitions.get().into(),
                partition.into(),
                position.into(),
                last.into(),
            ];
            tx.execute(sql, &values).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
}
