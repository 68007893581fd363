//! A wrong setting or a missing server is reported in one clear sentence with a failing exit code.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio, time::Duration};

use test_support::TestDatabase;

use crate::support::{Deployment, Role, System, binary, free_port, until};

/// Runs the binary with `settings` and returns its error. It must fail, with one line and without a backtrace.
#[track_caller]
pub(crate) fn refused(arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let output = binary()
        .args(arguments)
        .env("TASKLEDGER_DATA_DIR", directory.path())
        .env("TASKLEDGER_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("TASKLEDGER_ADMIN_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("TASKLEDGER_LOG", "warn")
        .env("RUST_BACKTRACE", "1")
        .envs(settings.iter().copied())
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "it should have failed: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "more than one sentence: {said}");
    assert!(said.starts_with("taskledger: ") && !said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_misspelt_variable_is_refused() {
    let said = refused(&[], &[("TASKLEDGER_LISTN", "127.0.0.1:1")]);
    assert!(said.contains("TASKLEDGER_LISTN"), "{said}");
}

#[test]
fn a_wrong_value_names_its_variable() {
    let said = refused(&[], &[("TASKLEDGER_LISTEN", "nonsense")]);
    assert!(said.contains("TASKLEDGER_LISTEN") && said.contains("nonsense"), "{said}");
    let said = refused(&[], &[("TASKLEDGER_PARTITIONS", "0")]);
    assert!(said.contains("TASKLEDGER_PARTITIONS") && said.contains("1 to 256"), "{said}");
    let said = refused(&[], &[("TASKLEDGER_LOG", "info,=,")]);
    assert!(said.contains("TASKLEDGER_LOG"), "{said}");
}

/// By `up` before anything has started, and by `config`.
#[test]
fn what_cannot_be_used_names_its_variable_before_anything_starts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "nonsense").unwrap();
    let file = path.to_str().unwrap();
    for (name, value) in [
        ("DATABASE_URL", "mysql://localhost/db"),
        ("DATABASE_URL", "postgres://"),
        ("DATABASE_URL", "postgres://localhost/db?sslpassword=hush"),
        ("EVENT_STORE_URL", "nonsense"),
        ("EVENT_STORE_URL", "kurrentdb://localhost:70000?tls=false"),
        ("DATABASE_URL", "postgres://localhost/db?sslmode=verify-full&sslrootcert=/absent"),
        ("EVENT_STORE_URL", "sqlite:/"),
        ("KEYS_DATABASE_URL", "nonsense"),
        ("AMQP_URL", "nonsense"),
        ("TASKLEDGER_MASTER_KEYS", "nonsense"),
        ("TASKLEDGER_MASTER_KEYS_FILE", file),
        ("TASKLEDGER_CURSOR_KEY", "nonsense"),
        ("TASKLEDGER_CURSOR_KEY_FILE", file),
        ("TASKLEDGER_TLS_CERTIFICATE", file),
        ("TASKLEDGER_TLS_KEY", file),
        ("TASKLEDGER_UPSTREAM_CA", file),
        ("TASKLEDGER_AUTH_URL", "https://auth.example"),
        ("TASKLEDGER_AUTH_URL", "http://somebody:hush@auth.example"),
        ("TASKLEDGER_PROJECTOR_URL", "ftp://projector.example"),
        ("TASKLEDGER_DATA_DIR", file),
        ("TASKLEDGER_KEYS_DIR", file),
        ("TASKLEDGER_GATEWAY_CONFIG", "/absent"),
        ("TASKLEDGER_BREACHED_PASSWORDS", "/absent"),
        ("TASKLEDGER_LOG", "info,=,"),
    ] {
        for arguments in [&["config"][..], &["up"]] {
            let said = refused(arguments, &[(name, value)]);
            assert!(
                said.contains(name.trim_end_matches("_FILE")) && !said.contains("hush"),
                "{arguments:?}: {said}"
            );
        }
    }
}

/// Nobody knows where the password is in a text that cannot be parsed.
#[test]
fn no_url_that_cannot_be_used_shows_its_password() {
    for name in [
        "DATABASE_URL",
        "EVENT_STORE_URL",
        "KEYS_DATABASE_URL",
        "AMQP_URL",
        "TASKLEDGER_AUTH_URL",
        "TASKLEDGER_AUDIT_WITNESSES",
    ] {
        for url in [
            "http://someone:hu#sh@127.0.0.1:8081",
            "http://someone:hush@127.0.0.1:99999",
            "http:/someone:hush@127.0.0.1",
            "http:someone:hush@127.0.0.1:1",
            "someone:hush@127.0.0.1:8081",
            "postgres:/someone:hush@127.0.0.1:1/db",
            "key@http://someone:hush@127.0.0.1",
        ] {
            let mut config = binary();
            let output = config.arg("config").env(name, url).output().unwrap();
            assert!(!output.status.success(), "{name}={url}: {output:?}");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            assert!(said.contains(name), "{said}");
            assert!(!said.contains("hush") && !said.contains("hu#sh"), "{said}");
        }
    }
}

#[test]
fn probes_have_a_port_of_their_own() {
    let port = free_port();
    for address in ["127.0.0.1", "0.0.0.0"] {
        let (api, admin) = (format!("{address}:{port}"), format!("127.0.0.1:{port}"));
        let settings = [
            ("TASKLEDGER_LISTEN", api.as_str()),
            ("TASKLEDGER_ADMIN_LISTEN", admin.as_str()),
            ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
            ("AMQP_URL", "amqp://127.0.0.1:1"),
        ];
        for arguments in [&["config"][..], &["up"], &["auth"]] {
            let said = refused(arguments, &settings);
            assert!(
                said.contains("TASKLEDGER_LISTEN") && said.contains("TASKLEDGER_ADMIN_LISTEN"),
                "{arguments:?}: {said}"
            );
        }
    }
}

#[test]
fn an_empty_variable_counts_as_unset_but_for_the_one_that_may_be_empty() {
    const MAY_BE_EMPTY: &str = "TASKLEDGER_GATEWAY_PEERS";
    let shown = |empty: &[&str]| {
        let mut config = binary();
        config.arg("config").envs(empty.iter().map(|name| (name, "")));
        let output = config.output().unwrap();
        assert!(output.status.success(), "{empty:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let unset = shown(&[]);
    let lines = unset.lines().filter_map(|line| line.split_once('='));
    let names = lines.map(|(name, _)| name);
    let names: Vec<&str> = names.filter(|name| *name != MAY_BE_EMPTY).collect();
    assert!(names.contains(&"TASKLEDGER_LOG") && names.contains(&"DATABASE_URL"), "{unset}");
    assert_eq!(shown(&names), unset);
    assert_eq!(shown(&["DATABASE_URL_FILE", "TASKLEDGER_MASTER_KEYS_FILE"]), unset);
    // Nobody is believed about clients then. By default, this machine is.
    let nobody = format!("{MAY_BE_EMPTY}=");
    let is_nobody = |text: &str| text.lines().any(|line| line == nobody);
    assert!(is_nobody(&shown(&[MAY_BE_EMPTY])) && !is_nobody(&unset), "{unset}");
}

#[tokio::test]
async fn empty_variables_that_are_ignored_are_named_at_the_start() {
    let mut system = System::start(Deployment::Embedded).await;
    system.terminate_all();
    let before = system.log_text(Role::Up.into());
    for name in ["TASKLEDGER_TRASH_RETENTION_DAYS", "TASKLEDGER_GATEWAY_PEERS"] {
        assert!(!before.contains(name), "{before}");
        system.set(name, "");
    }
    system.launch(Role::Up);
    system.ready().await;
    system.terminate_all();
    let log = system.log_text(Role::Up.into());
    let mut lines = log.lines();
    let named = lines.find(|line| line.contains("count as unset")).expect(&log);
    assert!(named.contains("TASKLEDGER_TRASH_RETENTION_DAYS"), "{named}");
    assert!(!named.contains("TASKLEDGER_GATEWAY_PEERS"), "{named}");
    system.stop().await;
}

#[test]
fn a_wrong_choice_is_answered_with_those_that_there_are() {
    let said = refused(&["keys", "generate", "--algorithm", "rsa"], &[]);
    assert!(said.contains("'rsa'") && said.contains("eddsa or es256"), "{said}");
    let said = refused(&[], &[("TASKLEDGER_LOG_FORMAT", "xml")]);
    assert!(said.contains("text or json") && said.contains("TASKLEDGER_LOG_FORMAT"), "{said}");
}

#[test]
fn a_command_about_what_is_in_the_log_names_the_log_that_is_missing_and_creates_none() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").display().to_string();
    let export = directory.path().join("export").display().to_string();
    let long_ago = "2026-01-01T00:00:00Z";
    for command in [
        &["users", "grant", "ada@example.org", "admin"][..],
        &["users", "reset", "ada@example.org"],
        &["events", "drop", "--ended-before", long_ago, "--export", &export],
    ] {
        let said = refused(command, &[("TASKLEDGER_DATA_DIR", &data)]);
        assert!(said.contains("there is no event_store database at"), "{said}");
        assert!(said.contains(&data) && said.contains("start the system"), "{said}");
    }
    assert!(!directory.path().join("data").exists());
}

/// Key ids are base64url, so one in 64 begins with a hyphen.
#[test]
fn an_id_that_begins_with_a_hyphen_is_no_option() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().display().to_string();
    for id in ["-jYz", "-hYz", "--Yz"] {
        let said = refused(&["keys", "retire", id], &[("TASKLEDGER_DATA_DIR", &data)]);
        assert!(said.contains("cannot read"), "{id}: {said}");
    }
}

#[test]
fn a_cause_is_named_once() {
    let said = refused(&["keys", "list"], &[]);
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}

#[test]
fn an_unreachable_database_is_named_without_its_password() {
    let url = format!("postgres://someone:hush@127.0.0.1:{}/db", free_port());
    let said = refused(&[], &[("DATABASE_URL", &url)]);
    assert!(said.contains("cannot connect") && said.contains("someone:***@"), "{said}");
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn missing_read_models_are_named_also_if_the_log_is_unreachable() {
    let url = format!("postgres://nobody@127.0.0.1:{}/db", free_port());
    for command in [["audit", "log"], ["parked", "list"]] {
        let said = refused(&command, &[("EVENT_STORE_URL", &url)]);
        assert!(said.contains("there is no read_models database"), "{said}");
    }
}

#[test]
fn an_unreachable_broker_is_named_without_its_password() {
    let url = format!("amqp://someone:hush@127.0.0.1:{}/%2f", free_port());
    let said = refused(&[], &[("AMQP_URL", &url)]);
    assert!(said.contains("RabbitMQ") && said.contains("someone:***@"), "{said}");
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn a_url_of_another_kind_is_refused() {
    let said = refused(&[], &[("DATABASE_URL", "mysql://localhost/db")]);
    assert!(said.contains("postgres://"), "{said}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(&[], &[("TASKLEDGER_LISTEN", &address)]);
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let directory = file.path().join("data").display().to_string();
    let said = refused(&[], &[("TASKLEDGER_DATA_DIR", &directory)]);
    assert!(said.contains(&directory), "{said}");
}

#[test]
fn a_data_directory_that_is_a_file_is_called_one() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for mode in [0o600, 0o644] {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        let path = file.path().display().to_string();
        let said = refused(&[], &[("TASKLEDGER_DATA_DIR", &path)]);
        assert!(said.contains(&path) && said.contains("it is a file"), "{said}");
    }
}

#[test]
fn a_role_of_its_own_asks_for_servers() {
    let said = refused(&["auth"], &[]);
    assert!(said.contains("DATABASE_URL and AMQP_URL"), "{said}");
}

#[test]
fn the_front_door_needs_a_broker_and_no_database() {
    let said = refused(&["gateway"], &[]);
    assert!(said.contains("AMQP_URL") && !said.contains("DATABASE_URL"), "{said}");
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let system = System::start(Deployment::Embedded).await;
    let directory = system.data_dir().display().to_string();
    let said = refused(&[], &[("TASKLEDGER_DATA_DIR", &directory)]);
    assert!(said.contains("another taskledger"), "{said}");
    system.stop().await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let mut system = System::start(Deployment::Embedded).await;
    system.terminate(Role::Up);
    let events = system.data_dir().join("events.db");
    let mut connection =
        <sqlx::SqliteConnection as sqlx::Connection>::connect(&format!("sqlite:{}", events.display()))
            .await
            .unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let directory = system.data_dir().display().to_string();
    let said = refused(&[], &[("TASKLEDGER_DATA_DIR", &directory)]);
    assert!(said.contains("newer version") && said.contains("9999"), "{said}");
    system.stop().await;
}

#[test]
fn the_effective_configuration_hides_secrets() {
    let output = binary()
        .arg("config")
        .env("DATABASE_URL", "postgres://someone:hush@db/taskledger")
        .env("TASKLEDGER_CURSOR_KEY", "ab".repeat(32))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(said.contains("DATABASE_URL=postgres://someone:***@db/taskledger"), "{said}");
    assert!(said.contains("TASKLEDGER_CURSOR_KEY=***") && !said.contains("abab"), "{said}");
    let output = binary().arg("config").env("TASKLEDGER_KEYS_DIR", "/etc/taskledger/keys").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let place = "TASKLEDGER_CURSOR_KEY=(kept in /etc/taskledger/keys/cursor-key)";
    assert!(said.contains(place), "{said}");
}

/// Whoever looks for the mistake needs to see them, and not every host has the files of all roles.
#[test]
fn the_effective_configuration_is_shown_also_if_a_file_cannot_be_used() {
    let mut config = binary();
    config.args(["config", "--breached-passwords", "/absent"]);
    let output = config.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("TASKLEDGER_BREACHED_PASSWORDS=/absent"), "{said}");
}

#[tokio::test]
async fn a_second_process_of_all_roles_on_one_postgres_without_rabbitmq_is_refused() {
    let database = TestDatabase::create().await;
    let port = free_port();
    let directory = tempfile::tempdir().unwrap();
    let launch = || {
        let mut command = binary();
        command
            .env("DATABASE_URL", database.url().as_str())
            .env("TASKLEDGER_DATA_DIR", directory.path())
            .env("TASKLEDGER_LISTEN", format!("127.0.0.1:{port}"))
            .env("TASKLEDGER_ADMIN_LISTEN", format!("127.0.0.1:{}", free_port()))
            .env("TASKLEDGER_LOG", "warn")
            .stdout(Stdio::null());
        command.spawn().unwrap()
    };
    let mut first = launch();
    until("the first is ready", Duration::from_secs(60), async || {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}/health/ready")).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let url = database.url().to_string();
    let second = tokio::task::spawn_blocking(move || refused(&[], &[("DATABASE_URL", &url)]));
    let said = second.await.unwrap();
    assert!(said.contains("AMQP_URL"), "{said}");
    // The lock ends with its process.
    first.kill().unwrap();
    first.wait().unwrap();
    let mut third = launch();
    until("the third is ready", Duration::from_secs(60), async || {
        assert!(third.try_wait().unwrap().is_none(), "it is refused");
        let answer = reqwest::get(format!("http://127.0.0.1:{port}/health/ready")).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    third.kill().unwrap();
    third.wait().unwrap();
}
