//! Checks `compose.yaml` and the scripts under `deploy/` that it starts, as far as that is possible without a
//! container engine.

use std::{collections::BTreeMap, fs, net::IpAddr, process::Command};

use http_api::Peers;

use crate::support::free_port;

fn compose() -> String {
    fs::read_to_string("../compose.yaml").unwrap()
}

/// Test secrets, by the names of the variables that set them.
fn defaults() -> BTreeMap<String, String> {
    let text = compose();
    let variables = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
    let with_defaults = variables.filter_map(|(variable, _)| variable.split_once(":-"));
    with_defaults
        .filter(|(name, _)| name.ends_with("_PASSWORD") || *name == "MASTER_KEYS")
        .map(|(name, default)| (name.to_owned(), default.to_owned()))
        .collect()
}

/// Runs the script. Returns its output and whether it started the program, which is replaced by one that only prints.
fn started(address: &str, secrets: &BTreeMap<String, String>) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("taskledger");
    fs::write(&program, "#!/bin/sh\necho \"started $*\"\n").unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&program).status().unwrap().success());
    let output = Command::new("/bin/sh")
        .args(["../deploy/start-migrate.sh", "migrate"])
        .env_clear()
        .env("PATH", directory.path())
        .env("GATEWAY_ADDRESS", address)
        .envs(secrets)
        .output()
        .unwrap();
    let is_started = output.stdout == b"started migrate\n";
    assert_eq!(is_started, output.status.success(), "{output:?}");
    (is_started, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn nothing_that_others_reach_starts_with_a_secret_of_the_trial() {
    let defaults = defaults();
    assert_eq!(defaults.len(), 10, "{defaults:?}");
    for here in ["127.0.0.1", "localhost", "[::1]"] {
        assert!(started(here, &defaults).0, "{here}");
    }
    let own: BTreeMap<String, String> =
        defaults.keys().map(|name| (name.clone(), format!("secret{}", free_port()))).collect();
    for elsewhere in ["0.0.0.0", "[::]", "192.0.2.1"] {
        assert_eq!(started(elsewhere, &own), (true, String::new()), "{elsewhere}");
        for (name, default) in &defaults {
            let mut secrets = own.clone();
            secrets.insert(name.clone(), default.clone());
            let (is_started, says) = started(elsewhere, &secrets);
            assert!(!is_started && says.contains(name.as_str()), "{name}: {says}");
        }
    }
}

/// The rest of the first line that begins with `name`, after the line `part`.
fn value(part: &str, name: &str) -> String {
    let text = compose();
    let (_, text) = text.split_once(&format!("\n{part}\n")).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
    line.unwrap_or_default().trim().to_owned()
}

#[test]
fn the_roles_believe_the_address_that_the_gateway_has() {
    let gateway = value("services:", "ipv4_address:");
    assert_eq!(value("x-settings: &settings", "TASKLEDGER_GATEWAY_PEERS:"), gateway);
    let gateway: IpAddr = gateway.parse().unwrap();
    let (network, range) = (value("  roles:", "- subnet:"), value("  roles:", "ip_range:"));
    let of_others: IpAddr = range.split('/').next().unwrap().parse().unwrap();
    let (network, range) = (Peers::parse([&*network]).unwrap(), Peers::parse([&*range]).unwrap());
    assert!(network.include(gateway) && network.include(of_others));
    assert!(!range.include(gateway), "it could be given to somebody else");
}

#[test]
fn each_address_that_the_gateway_is_given_is_a_service_of_its_own() {
    for role in ["auth", "command-api", "query-api", "projector"] {
        let variable = format!("TASKLEDGER_{}_URL:", role.to_uppercase().replace('-', "_"));
        let urls = value("services:", &variable);
        let (first, second) = urls.split_once("${COMPOSE_PROFILES:+,").unwrap();
        let host = |url: &str| url.parse::<url::Url>().unwrap().host_str().unwrap().to_owned();
        assert_eq!(host(first), role);
        let replica = host(second.strip_suffix('}').unwrap());
        // It has the same settings, and the variable that adds its address also starts it.
        let service = format!("\n  {replica}:\n    <<: *{role}\n    profiles: [replicas]\n");
        assert!(compose().contains(&service), "{service}");
    }
}

#[test]
fn the_gateway_reads_the_file_of_limits_and_the_address_of_a_proxy_beside_it_is_known() {
    let file = value("services:", "TASKLEDGER_GATEWAY_CONFIG:");
    assert!(compose().contains(&format!("- ./deploy/gateway.toml:{file}:ro\n")));
    let proxy = value("  front:", "gateway:");
    let network = Peers::parse([&*value("  front:", "- subnet:")]).unwrap();
    assert!(network.include(proxy.parse().unwrap()));
    let guide = fs::read_to_string("../docs/operations.md").unwrap();
    assert!(guide.contains(&format!("`trusted_proxies = [\"{proxy}\"]`")));
}

/// The lines that belong to `part`, which is the whole line that begins it.
fn lines_of(part: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    compose()
        .lines()
        .skip_while(|line| *line != part)
        .skip(1)
        .take_while(|line| line.is_empty() || indent(line) > indent(part))
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_container_writes_but_to_its_volumes_and_to_memory() {
    for shared in ["x-confined: &confined", "x-server: &server"] {
        assert!(lines_of(shared).contains(&"  read_only: true".to_owned()), "{shared}");
    }
    assert!(lines_of("x-role: &role").contains(&"  <<: *confined".to_owned()));
    let kinds = ["confined", "server", "role", "auth", "command-api", "query-api", "projector"];
    let kinds = kinds.map(|kind| format!("    <<: *{kind}"));
    let mut services = lines_of("services:");
    services.retain(|line| {
        let name = line.strip_prefix("  ").unwrap_or_default();
        !name.is_empty() && !name.starts_with([' ', '#'])
    });
    assert_eq!(services.len(), 15, "{services:?}");
    for service in services {
        let lines = lines_of(&service);
        assert!(lines.iter().any(|line| kinds.contains(line)), "{service}");
        assert!(!lines.iter().any(|line| line.contains("read_only:")), "{service}");
    }
}

#[test]
fn the_broker_reads_its_definitions_where_they_are_written_in_memory() {
    let settings = fs::read_to_string("../deploy/rabbitmq/taskledger.conf").unwrap();
    let (_, file) = settings.split_once("load_definitions = ").unwrap();
    let script = fs::read_to_string("../deploy/rabbitmq/start.sh").unwrap();
    assert!(script.contains(&format!(" >{}\n", file.trim())), "{script}");
    let (directory, _) = file.rsplit_once('/').unwrap();
    let broker = lines_of("  rabbitmq:").join("\n");
    let in_memory = broker.split_once("tmpfs: [").unwrap().1;
    let in_memory = in_memory.split_once(']').unwrap().0;
    assert!(in_memory.split(", ").any(|mount| mount == directory), "{in_memory}");
    assert!(broker.contains("- ./deploy/rabbitmq/taskledger.conf:/etc/rabbitmq/conf.d/"));
}

#[test]
fn roles_start_once_their_rights_are_limited() {
    let waits = |part: &str, needed: &str| {
        let rest = lines_of(part).join("\n");
        let condition = format!(" {needed}:\n");
        let (_, condition) = rest.rsplit_once(&condition).unwrap();
        condition.trim_start().starts_with("condition: service_completed_successfully")
    };
    assert!(waits("x-role: &role", "rights") && waits("  rights:", "migrate"));
    let rights = lines_of("  rights:").join("\n");
    let (_, mounted) = rights.split_once("- ./deploy/postgres/rights.sql:").unwrap();
    let file = mounted.split_once(":ro").unwrap().0;
    assert!(rights.contains(&format!("\"--file\", \"{file}\"]")), "{rights}");
}
