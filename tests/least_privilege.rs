//! Every role works with the rights that `deploy/` gives it on PostgreSQL and RabbitMQ, and has no further rights.

mod messages;

use std::{cell::OnceCell, collections::BTreeMap, process::Command, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Executor as _, PgConnection};
use test_support::TestDatabase;
use url::Url;

use crate::support::{Deployment, PASSWORD, Person, Role, System, amqp_url, binary, until};

const ROLES: [(Role, &str); 5] = [
    (Role::Auth, "auth"),
    (Role::CommandApi, "command_api"),
    (Role::QueryApi, "query_api"),
    (Role::Projector, "projector"),
    (Role::Gateway, "gateway"),
];

/// Users on both servers, named after the database of one test. They are removed when this is dropped.
struct Users {
    prefix: String,
    server: Url,
}

impl Users {
    /// Runs `roles.sql` and `rights.sql` in the database of the test, and creates users of RabbitMQ with the same
    /// names.
    async fn create(database: &TestDatabase, namespace: &str) -> Self {
        let users =
            Self { prefix: database.name().replace("taskledger_test_", "rights_"), server: database.url() };
        let sql = users.named(include_str!("../deploy/postgres/roles.sql"));
        let mut connection = database.connect().await;
        // Another database of the server may have the roles already.
        for _ in 0..2 {
            connection.execute(sqlx::raw_sql(&sql)).await.unwrap();
        }
        users.give_passwords(&mut connection, &["owner"]).await;
        let mut migrating = binary();
        migrating.arg("migrate").env("DATABASE_URL", users.database_url("owner"));
        assert!(migrating.status().unwrap().success());
        users.limit_rights();
        let sql = users.named(include_str!("../deploy/postgres/reporting.sql"));
        connection.execute(sqlx::raw_sql(&sql)).await.unwrap();
        let others = ["auth", "command_api", "query_api", "projector", "reporting"];
        users.give_passwords(&mut connection, &others).await;
        let definitions = include_str!("../deploy/rabbitmq/definitions.json");
        let definitions: Value = serde_json::from_str(definitions).unwrap();
        for given in definitions["permissions"].as_array().unwrap() {
            let name = users.named(given["user"].as_str().unwrap());
            let regex = |what: &str| given[what].as_str().unwrap().replace("taskledger", namespace);
            rabbitmqctl(&["add_user", &name, &name]);
            let (configure, write, read) = (regex("configure"), regex("write"), regex("read"));
            rabbitmqctl(&["set_permissions", "--vhost", "/", &name, &configure, &write, &read]);
        }
        users
    }

    /// Runs `rights.sql` as the owner.
    fn limit_rights(&self) {
        let sql = self.named(include_str!("../deploy/postgres/rights.sql"));
        assert_eq!(psql(&self.database_url("owner"), &sql), "");
    }

    async fn give_passwords(&self, connection: &mut PgConnection, roles: &[&str]) {
        for role in roles {
            let name = self.name(role);
            let sql = format!("ALTER ROLE {name} PASSWORD '{name}'");
            connection.execute(sqlx::raw_sql(&sql)).await.unwrap();
        }
    }

    fn named(&self, text: &str) -> String {
        text.replace("taskledger_", &format!("{}_", self.prefix))
    }

    fn name(&self, role: &str) -> String {
        format!("{}_{role}", self.prefix)
    }

    fn database_url(&self, role: &str) -> String {
        as_user(self.server.clone(), &self.name(role))
    }

    fn amqp_url(&self, role: &str) -> String {
        as_user(amqp_url().parse().unwrap(), &self.name(role))
    }
}

fn as_user(mut url: Url, name: &str) -> String {
    url.set_username(name).unwrap();
    url.set_password(Some(name)).unwrap();
    url.into()
}

impl Drop for Users {
    fn drop(&mut self) {
        for (_, role) in ROLES {
            rabbitmqctl(&["delete_user", &self.name(role)]);
        }
        // Their objects and rights were removed with the database.
        let mut server = self.server.clone();
        server.set_path("postgres");
        let roles = ["auth", "command_api", "query_api", "projector", "reporting", "owner"]
            .map(|role| self.name(role));
        let sql = format!("DROP ROLE IF EXISTS {}", roles.join(", "));
        let status = Command::new("psql").args(["-qd", server.as_str(), "-c", &sql]).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("the roles {} are left on the server", roles.join(", "));
        }
    }
}

/// What `psql` prints as the answer.
fn asked(url: &str, sql: &str) -> String {
    let asked = Command::new("psql").args(["-qAtd", url, "-c", sql]).output();
    String::from_utf8(asked.unwrap().stdout).unwrap()
}

/// The errors that `psql` prints.
fn psql(url: &str, sql: &str) -> String {
    let asked = Command::new("psql").args(["-qd", url, "-c", sql]).output().unwrap();
    String::from_utf8_lossy(&asked.stderr).into_owned()
}

fn rabbitmqctl(arguments: &[&str]) {
    let output = Command::new("rabbitmqctl").arg("--quiet").args(arguments).output();
    // Users cannot be created without rabbitmqctl: `./test` skips this test then, and says so.
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn least_rights_on_postgres_and_rabbitmq_are_enough_and_no_more() {
    // This is declared first, so that the users outlive the system.
    let users = OnceCell::new();
    let mut system = System::launched_as(Deployment::Servers, 1, async |database, namespace| {
        let made = Users::create(database, namespace).await;
        let settings = ROLES.map(|(role, name)| {
            let mut own = vec![("AMQP_URL", made.amqp_url(name))];
            own.push(match role {
                // This URL leads nowhere.
                Role::Gateway => ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none".to_owned()),
                _ => ("DATABASE_URL", made.database_url(name)),
            });
            (role, own)
        });
        users.set(made).ok();
        BTreeMap::from(settings)
    })
    .await;
    let users = users.get().unwrap();
    system.ready().await;

    let ada = Person::join(&system.base, "ada").await;
    let created = ada.post("/tasks", json!({"title": "Sweep the yard"})).await.expect(201);
    let path = format!("/tasks/{}", created.body["id"].as_str().unwrap());
    ada.get(&path).await.expect(200);
    ada.post(&format!("{path}/complete"), json!({})).await.expect(200);
    let page = ada.get("/tasks?status=done&q=yard").await.expect(200);
    assert_eq!(page.body["items"].as_array().unwrap().len(), 1);
    ada.post("/auth/logout", json!({})).await.expect(204);
    ada.get(&path).await.expect(401);

    // What is sent again is answered from what the command API remembers. A person's erasure deletes that.
    let cal = Person::join(&system.base, "cal").await;
    let body = json!({"title": "Oil the gate"});
    for _ in 0..2 {
        let headers = [("idempotency-key", "gate")];
        let sent = cal.try_send(Method::POST, "/tasks", Some(body.clone()), &headers);
        sent.await.unwrap().expect(201);
    }
    let remembered = || asked(users.server.as_str(), "SELECT count(*) FROM operations.idempotency_keys");
    assert_eq!(remembered(), "1\n");
    let password = json!({ "password": PASSWORD });
    cal.send(Method::DELETE, "/auth/me", Some(password)).await.expect(204);
    let limit = Duration::from_secs(30);
    until("the erasure", limit, async || remembered() == "0\n").await;
    for replica in system.replicas() {
        let log = system.log_text(replica);
        let refused = |line: &&str| line.contains("permission denied") || line.contains("row-level security");
        assert_eq!(log.lines().find(refused), None, "{replica:?}");
    }

    // A rebuild replaces the tables, and the rights must apply to the new ones.
    let mut rebuild = system.tool(&["projection", "rebuild", "--yes"]);
    let rebuilt = rebuild.env("DATABASE_URL", users.database_url("owner")).output().unwrap();
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    // Whoever may not record a command is told who may.
    let mut rotation = system.tool(&["keys", "rotate"]);
    let refused = rotation.env("DATABASE_URL", users.database_url("projector")).output();
    let refused = refused.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("or as the user of auth: "), "{said}");
    let bea = Person::join(&system.base, "bea").await;
    bea.post("/tasks", json!({"title": "Water the plants"})).await.expect(201);
    assert_eq!(bea.get("/tasks").await.expect(200).body["items"].as_array().unwrap().len(), 1);

    let created = psql(&users.database_url("owner"), "CREATE TABLE read_models.later (id BIGINT)");
    assert_eq!(created, "", "a later migration");
    users.limit_rights();
    assert_eq!(psql(&users.database_url("projector"), "DELETE FROM read_models.later"), "");
    assert_eq!(psql(&users.database_url("query_api"), "SELECT FROM read_models.later"), "");

    for (role, forbidden) in [
        ("auth", "UPDATE event_store.events SET data = data"),
        ("command_api", "DELETE FROM event_store.events"),
        ("command_api", "DELETE FROM read_models.accounts"),
        ("command_api", "INSERT INTO event_store.imports VALUES (1, 1, 'root')"),
        ("command_api", "INSERT INTO event_store._sqlx_migrations DEFAULT VALUES"),
        ("command_api", "INSERT INTO subject_keys.followed_erasures DEFAULT VALUES"),
        ("command_api", "UPDATE subject_keys.data_keys SET wrapped = NULL"),
        ("command_api", "INSERT INTO operations._sqlx_migrations DEFAULT VALUES"),
        ("command_api", "SELECT FROM operations.account_snapshots"),
        ("command_api", "DELETE FROM operations.address_allowances"),
        ("command_api", "DELETE FROM operations.authentication_failures"),
        ("command_api", "INSERT INTO operations.familiar_addresses DEFAULT VALUES"),
        ("command_api", "DELETE FROM operations.password_hash_costs"),
        ("command_api", "INSERT INTO operations.pending_erasures DEFAULT VALUES"),
        ("command_api", "DELETE FROM operations.relay_progress"),
        ("auth", "INSERT INTO event_store.imports VALUES (1, 1, 'root')"),
        ("auth", "UPDATE operations.idempotency_keys SET response = NULL"),
        ("auth", "INSERT INTO operations.task_snapshots DEFAULT VALUES"),
        ("auth", "DELETE FROM operations.relay_progress"),
        ("query_api", "INSERT INTO event_store.events DEFAULT VALUES"),
        ("query_api", "DELETE FROM read_models.tasks"),
        ("query_api", "SELECT FROM operations.relay_progress"),
        ("projector", "INSERT INTO event_store.events DEFAULT VALUES"),
        ("projector", "SELECT FROM operations.idempotency_keys"),
        ("projector", "CREATE TABLE read_models.more (id BIGINT)"),
        ("owner", "CREATE ROLE another"),
    ] {
        let said = psql(&users.database_url(role), forbidden);
        assert!(said.contains("permission denied"), "{role} may {forbidden}: {said}");
    }

    only_events_of_tasks(users);
    let mut migrating = binary();
    migrating.arg("migrate").env("DATABASE_URL", users.database_url("auth"));
    let said = migrating.output().unwrap().stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("as its owner") && said.contains("rights.sql"), "{said}");

    // The reporting user may read the views and nothing else, also after the tables were replaced. Values that a
    // view leaves out cannot be seen by replacing `jsonb` with another type, and this user cannot create one.
    let peeping = "CREATE FUNCTION pg_temp.peep(value pg_catalog.jsonb) RETURNS bool LANGUAGE plpgsql AS
            $$BEGIN RAISE NOTICE '%', value; RETURN true; END$$;
        CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (pg_temp.peep(value));
        SELECT count(data) FROM event_store.event WHERE type = 'account.registered';";
    assert_eq!(psql(users.server.as_str(), peeping), "");
    let writing = format!("SET TRANSACTION READ WRITE; {peeping}");
    let said = psql(&users.database_url("reporting"), &writing);
    assert!(said.contains("permission denied"), "{said}");

    let reporting = users.database_url("reporting");
    let allowed = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('event_store', 'read_models', 'operations', 'audit_tree', 'subject_keys')
            AND c.relkind IN ('r', 'v', 'm', 'p') AND (has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE')
                OR has_table_privilege(c.oid, 'DELETE, TRUNCATE')) ORDER BY 1";
    let listed = asked(&reporting, allowed);
    let views = [
        "event_store.event",
        "read_models.account",
        "read_models.audit_event",
        "read_models.operation",
        "read_models.session",
        "read_models.task",
        "read_models.task_change",
    ];
    assert_eq!(listed.lines().collect::<Vec<_>>(), views);
    let questions = views.map(|view| format!("SELECT * FROM {view} LIMIT 1;"));
    assert_eq!(psql(&reporting, &questions.concat()), "");
    assert_eq!(psql(&reporting, "SELECT FROM event JOIN task_change USING (position)"), "");
    let said = psql(&reporting, "SET transaction_read_only = off; DELETE FROM task");
    assert!(said.contains("permission denied"), "{said}");

    messages::are_refused(users, &system.broker.as_ref().unwrap().namespace).await;
}

/// Tries to append as the command API what belongs to other streams, in a statement and through a function.
fn only_events_of_tasks(users: &Users) {
    let insert = |stream: &str, kind: &str| {
        format!(
            "BEGIN; INSERT INTO event_store.events (position, version, recorded_at, schema_version, id, stream, type,
                encoding, metadata, data)
            VALUES (-1, 1, 0, 1, gen_random_uuid(), '{stream}', '{kind}', 'json', '{{}}', ''); ROLLBACK"
        )
    };
    let call = |stream: &str, kind: &str| {
        format!(
            "SET search_path = event_store; BEGIN;
            SELECT append_event('{stream}', 0, gen_random_uuid(), '{kind}', 1, 'json', '', '{{}}', 0); ROLLBACK"
        )
    };
    let (command_api, auth) = (users.database_url("command_api"), users.database_url("auth"));
    for (stream, kind) in [
        ("account-1", "account.password_changed"),
        ("admins", "task.created"),
        ("task-1", "account.password_changed"),
    ] {
        for append in [insert(stream, kind), call(stream, kind)] {
            let said = psql(&command_api, &append);
            assert!(said.contains("row-level security"), "{append}: {said}");
            assert_eq!(psql(&auth, &append), "", "{append}");
        }
    }
    for append in [insert("task-1", "task.created"), call("task-1", "task.created")] {
        assert_eq!(psql(&command_api, &append), "", "{append}");
    }
    // Everybody still sees the whole log.
    let head = asked(users.server.as_str(), "SELECT max(position) FROM event_store.events");
    let seen = format!("SELECT count(*) FROM event_store.events WHERE position <= {head}");
    for role in ["auth", "command_api", "query_api", "projector", "owner"] {
        assert_eq!(asked(&users.database_url(role), &seen), head, "{role}");
    }
}
