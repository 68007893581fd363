//! The README's examples: every command is run in a shell, and its output compared with that of the README.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Deployment, Role, System};

/// The variable that has the README updated with the real output.
const UPDATE: &str = "UPDATE_README";
/// The address of the server in the README.
const BASE: &str = "http://127.0.0.1:8080";
const BINARY: &str = "target/release/taskledger";

/// A part of the README: lines of text, or a command with its output.
enum Part {
    Line(String),
    Command { command: String, says: String },
}

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut in_console, mut goes_on) = (false, false);
    for line in text.lines() {
        in_console = match line {
            "```console" => true,
            "```" => false,
            _ => in_console,
        };
        match (parts.last_mut(), line.strip_prefix("$ ")) {
            (_, Some(begun)) if in_console => {
                goes_on = begun.ends_with('\\');
                parts.push(Part::Command { command: begun.to_owned(), says: String::new() });
            }
            (Some(Part::Command { command, .. }), _) if goes_on => {
                write!(command, "\n{line}").unwrap();
                goes_on = line.ends_with('\\');
            }
            (Some(Part::Command { says, .. }), _) if in_console => writeln!(says, "{line}").unwrap(),
            _ => parts.push(Part::Line(line.to_owned())),
        }
    }
    parts
}

/// Runs all commands in one shell, and returns the output of each.
fn run(system: &System, commands: &[&str]) -> Vec<String> {
    let directory = system.directory();
    let mut script = String::new();
    for (number, command) in commands.iter().enumerate() {
        let command = command.replace(BASE, &system.base).replace(BINARY, env!("CARGO_BIN_EXE_taskledger"));
        writeln!(script, "{{\n{command}\n}} > said.{number}").unwrap();
    }
    let shell = Command::new("bash")
        .args(["-euc", &script])
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap();
    assert!(shell.status.success(), "{shell:?}");
    let said = |number| fs::read_to_string(directory.join(format!("said.{number}"))).unwrap();
    let said = (0..commands.len()).map(said);
    said.map(|text| text.replace('\r', "").replace(&system.base, BASE))
        .map(|text| match text.is_empty() || text.ends_with('\n') {
            true => text,
            false => text + "\n",
        })
        .collect()
}

/// The text without values that differ each time: ids, instants, sealed data, tokens, and the rest of a limit.
fn masked(text: &str) -> String {
    let of_word = |c: char| c.is_ascii_alphanumeric() || "_-:.".contains(c);
    let mask = |word: &str| {
        let is_id = word.len() == 36 && word.matches('-').count() == 4;
        let is_instant = word.starts_with("20") && word.contains('T') && word.ends_with('Z');
        let is_token = word
            .split_once('-')
            .is_some_and(|(hash, _)| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        is_id || is_instant || is_token || word.len() > 60
    };
    let mut masked = String::new();
    for line in text.lines() {
        if line.starts_with("date: ") {
            masked.push_str("date: …\n");
            continue;
        }
        let is_limit = line.starts_with("ratelimit: ");
        for part in line.split_inclusive(|c| !of_word(c)) {
            let word = part.trim_end_matches(|c| !of_word(c));
            let rest = &part[word.len()..];
            let is_count = is_limit && !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
            masked.push_str(if mask(word) || is_count { "…" } else { word });
            masked.push_str(rest);
        }
        masked.push('\n');
    }
    masked
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_readme_says_what_is_written_below_it() {
    let text = fs::read_to_string(readme()).unwrap();
    let parts = parts(&text);
    let commands: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Command { command, .. } => Some(command.as_str()),
            Part::Line(_) => None,
        })
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    let mut system = System::launched(Deployment::Embedded, 1).await;
    system.kill(Role::Up);
    // The system has the default limits here, and not those of other tests.
    let policy = readme().with_file_name("deploy").join("gateway.toml");
    system.set("TASKLEDGER_GATEWAY_CONFIG", policy.display().to_string());
    system.launch(Role::Up);
    system.ready().await;
    let mut said = run(&system, &commands).into_iter();
    system.stop().await;
    let is_update = std::env::var_os(UPDATE).is_some();
    let mut updated = String::new();
    for part in parts {
        match part {
            Part::Line(line) => writeln!(updated, "{line}").unwrap(),
            Part::Command { command, says } => {
                let said = said.next().unwrap();
                assert!(
                    is_update || masked(&said) == masked(&says),
                    "README.md says of\n{command}\n{says}\nbut it is\n{said}\nRun this with {UPDATE}=1."
                );
                write!(updated, "$ {command}\n{said}").unwrap();
            }
        }
    }
    if is_update {
        fs::write(readme(), updated).unwrap();
    }
}

#[test]
fn only_what_differs_each_time_is_masked() {
    let line = r#"{"id":"01a204f4-51d1-74f1-ba83-57b2e65ebd4d","at":"2026-11-22T20:30:50.325969Z","due":"2026-12-01","version":3}"#;
    assert_eq!(masked(line), "{\"id\":\"…\",\"at\":\"…\",\"due\":\"2026-12-01\",\"version\":3}\n");
    assert_eq!(masked("consistency-token: d30d58070c2a51e3-5"), "consistency-token: …\n");
    assert_eq!(masked("ratelimit: \"tasks\";r=59;t=1"), "ratelimit: \"tasks\";r=…;t=…\n");
}
