//! Stands in for the projector: writes the tables that auth reads.

use std::collections::BTreeMap;

use events::{Account, Aggregate as _, EmailAddress, Event, StreamKind};

use crate::support::App;

impl App {
    /// Writes the rows of accounts up to `position`.
    pub(crate) async fn project(&self, position: u64) {
        let database = &self.dependencies.read_models;
        let mut tx = database.begin().await.unwrap();
        for sql in ["DELETE FROM accounts", "DELETE FROM checkpoints"] {
            tx.execute(sql, &[]).await.unwrap();
        }
        let mut accounts = BTreeMap::new();
        let log = self.log().await;
        let projected = log.iter().filter(|recorded| recorded.position <= position);
        let last = projected.clone().last().map(|recorded| recorded.id.0);
        for recorded in projected {
            let (version, at) = (recorded.version, recorded.recorded_at);
            let event = Event::try_from(recorded).unwrap();
            if let (Event::Account(event), StreamKind::Account(id)) = (event, recorded.stream.kind().unwrap())
            {
                let state = accounts.remove(&id);
                let state = Account::evolve(state, &id, &event, version, at).unwrap();
                accounts.insert(id, state);
            }
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
            let values =
                [self.dependencies.partitions.get().into(), partition.into(), position.into(), last.into()];
            tx.execute(sql, &values).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
}
