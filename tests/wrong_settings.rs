//! Settings that are wrong in a common way are refused with what is expected instead.

use crate::start::refused;

/// Each with a part of the sentence that says what to do, and without what may be secret.
#[track_caller]
fn says(settings: &[(&str, &str, &str)]) {
    for &(name, value, expected) in settings {
        let said = refused(&["config"], &[(name, value)]);
        assert!(said.contains(name) && said.contains(expected), "{name}: {said}");
        assert!(!said.contains("hush"), "{name}: {said}");
    }
}

#[test]
fn an_address_to_listen_on_has_an_ip_address_and_a_port() {
    let expected = "expected an IP address and a port, such as 127.0.0.1:8080";
    says(&[
        ("TASKLEDGER_LISTEN", "localhost:18080", expected),
        ("TASKLEDGER_LISTEN", "8080", expected),
        ("TASKLEDGER_ADMIN_LISTEN", "127.0.0.1", expected),
    ]);
}

#[test]
fn an_empty_file_of_a_secret_is_called_empty() {
    let expected = "/dev/null that";
    says(&[
        ("DATABASE_URL_FILE", "/dev/null", expected),
        ("EVENT_STORE_URL_FILE", "/dev/null", expected),
        ("AMQP_URL_FILE", "/dev/null", expected),
        ("TASKLEDGER_CURSOR_KEY_FILE", "/dev/null", "TASKLEDGER_CURSOR_KEY_FILE names is empty"),
    ]);
}

#[test]
fn a_password_that_breaks_its_url_has_to_be_encoded() {
    let expected = "have to be percent-encoded";
    says(&[
        ("DATABASE_URL", "postgres://u:hush#w@h/db", expected),
        ("EVENT_STORE_URL", "postgres://u:hush/w@h/db", expected),
        ("KEYS_DATABASE_URL", "postgresql://u:hush?w@h/db", expected),
    ]);
}

#[test]
fn a_url_of_a_role_has_its_scheme() {
    let expected = "is not an address of command-api: expected a URL such as http://localhost:8081";
    says(&[("TASKLEDGER_COMMAND_API_URL", "localhost:8081", expected)]);
}

#[test]
fn master_keys_are_on_lines_or_between_commas() {
    let expected = "one a line or separated by commas";
    says(&[("TASKLEDGER_MASTER_KEYS", "hush", expected)]);
}
