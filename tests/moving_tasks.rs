//! A person's tasks are exported to a file and imported into another account without a difference.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Deployment, Person, System, binary};

/// The fields of a task that a file contains.
const KEPT: [&str; 6] = ["title", "description", "status", "priority", "due", "tags"];

/// Runs `taskledger tasks …` with the token of `person`.
fn tool(system: &System, person: &Person, arguments: &[&str]) -> Output {
    let mut command = system.tool(&["tasks"]);
    command.args(arguments).args(["--url", &person.base]);
    command.env("TASKLEDGER_TOKEN", &person.token).output().unwrap()
}

#[track_caller]
fn run(system: &System, person: &Person, arguments: &[&str]) -> String {
    let output = tool(system, person, arguments);
    assert!(output.status.success(), "{arguments:?} {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail, and returns its output.
#[track_caller]
fn refused(system: &System, person: &Person, arguments: &[&str]) -> String {
    let output = tool(system, person, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?} {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The person's tasks, the oldest first, without the fields that depend on the account.
async fn tasks(person: &Person) -> Vec<Value> {
    let mut tasks = Vec::new();
    let mut path = "/tasks?sort=created_at&limit=100".to_owned();
    loop {
        let page = person.get(&path).await.expect(200).body;
        for task in page["items"].as_array().unwrap() {
            tasks.push(KEPT.iter().map(|name| task[name].clone()).collect());
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            return tasks;
        };
        path = format!("/tasks?sort=created_at&limit=100&cursor={cursor}");
    }
}

/// Creates more tasks than a page or a batch has, in every state and with texts that have a meaning in one of the
/// formats.
async fn make_tasks(person: &Person) {
    let mut commands = vec![
        json!({"op": "create", "title": "=cmd|' /C calc'!A0", "tags": ["a,b", "c\\", "=d"], "due": "2026-12-01"}),
        json!({"op": "create", "title": "é; \"q\", \\n 👨\u{200d}👩", "description": "one\n two;\\three,\t\"four\"\n",
            "priority": "urgent", "due": "2026-12-01T09:00:00.000007Z"}),
        json!({"op": "create", "title": "'tis", "priority": "low", "description": "x".repeat(10_000)}),
        json!({"op": "create", "title": "In the trash"}),
    ];
    commands.extend((4..100).map(|number| json!({"op": "create", "title": format!("Task {number}")})));
    let made = person.post("/tasks/batch", json!({"commands": commands})).await.expect(200).body;
    let id = |place: usize| made["results"][place]["task"]["id"].clone();
    let moves = [(1, "start"), (2, "complete"), (3, "delete"), (4, "cancel"), (5, "complete")];
    let moves = moves.map(|(place, op)| json!({"op": op, "id": id(place)}));
    person.post("/tasks/batch", json!({"commands": moves})).await.expect(200);
    for title in ["Second page", "Last"] {
        person.post("/tasks", json!({"title": title})).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_tasks_move_into_another_account_in_every_format() {
    let system = System::start(Deployment::Embedded).await;
    let ada = Person::join(&system.base, "ada").await;
    make_tasks(&ada).await;
    let of_ada = tasks(&ada).await;
    assert_eq!(of_ada.len(), 101);
    let directory = system.directory().to_owned();
    let file = |name: &str| directory.join(name).display().to_string();

    for name in ["tasks.json", "tasks.csv", "tasks.ics"] {
        let file = file(name);
        run(&system, &ada, &["export", "--output", &file]);
        assert!(refused(&system, &ada, &["export", "--output", &file]).contains("cannot create"));
        let bob = Person::join(&system.base, "bob").await;
        let said = run(&system, &bob, &["import", "--dry-run", &file]);
        assert!(said.contains("101 tasks can be imported"), "{said}");
        assert_eq!(tasks(&bob).await, Vec::<Value>::new());
        for expected in ["imported 101 tasks", "0 created, 101 were imported before"] {
            let said = run(&system, &bob, &["import", &file]);
            assert!(said.contains(expected), "{said}");
            assert_eq!(tasks(&bob).await, of_ada, "{name}");
        }
    }
    let eve = Person::join(&system.base, "eve").await;
    for number in [1, 2] {
        let said = run(&system, &eve, &["import", "--again", &file("tasks.csv")]);
        assert!(said.contains("imported 101 tasks"), "{said}");
        assert_eq!(tasks(&eve).await.len(), 101 * number);
    }
    let text = fs::read_to_string(file("tasks.csv")).unwrap();
    assert!(text.starts_with("\u{feff}\"title\",") && text.contains("\r\n\"'=cmd|"), "{text}");
    let all = run(&system, &ada, &["export"]);
    assert_eq!(all, fs::read_to_string(file("tasks.json")).unwrap());

    // Every entry that cannot become a task is reported, and then none is created.
    let cyd = Person::join(&system.base, "cyd").await;
    let (title, tag) = ("x".repeat(201), "y".repeat(51));
    let bad = file("bad.csv");
    fs::write(
        &bad,
        format!(
            "Title;Status;Tags;Owner\r\nGood;done;;me\r\n{title};;;\r\nBad;;{tag};\r\nBad;finished;;\r\n"
        ),
    )
    .unwrap();
    let said = refused(&system, &cyd, &["import", &bad]);
    for part in [
        "owner is passed over, in 1 place",
        "line 3: its title must have at most 200 characters",
        "line 4: its tags: must have at most 50 characters",
        "line 5: `finished` is none of",
        "3 of 4 tasks cannot be imported: nothing was created",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(tasks(&cyd).await, Vec::<Value>::new());
    let calendar = file("calendar.ics");
    let todo = "BEGIN:VTODO\nSUMMARY:Call\n  back\nDUE:20261201T090000\nSTATUS:COMPLETED\nEND:VTODO\n";
    fs::write(&calendar, format!("BEGIN:VCALENDAR\n{todo}END:VCALENDAR\n")).unwrap();
    run(&system, &cyd, &["import", &calendar, "--time-zone", "Asia/Tokyo"]);
    let expected = json!(["Call back", null, "done", "normal", "2026-12-01T00:00:00Z", []]);
    assert_eq!(tasks(&cyd).await, [expected]);

    // The command works with the rights of the token, however it is given.
    let made = json!({"name": "Reader", "scopes": ["tasks:read"]});
    let made = cyd.post("/auth/tokens", made).await.expect(201).body;
    let reader = Person { token: made["token"].as_str().unwrap().to_owned(), ..cyd.clone() };
    assert!(run(&system, &reader, &["export", "--format", "ical"]).contains("SUMMARY:Call back"));
    assert!(refused(&system, &reader, &["import", &calendar]).contains("403"));
    let nobody = Person { token: String::new(), ..cyd.clone() };
    assert!(refused(&system, &nobody, &["export"]).contains("Set TASKLEDGER_TOKEN"));
    fs::write(file("token"), format!("{}\n", cyd.token)).unwrap();
    assert_eq!(
        run(&system, &nobody, &["export", "--token-file", &file("token")]).matches("Call back").count(),
        1
    );
    let stranger = Person { token: "no-token".to_owned(), ..cyd.clone() };
    let output = file("nothing.json");
    assert!(refused(&system, &stranger, &["export", "--output", &output]).contains("401"));
    assert!(!fs::exists(&output).unwrap());
    assert!(!fs::exists(output + ".partial").unwrap());
    system.stop().await;
}

#[test]
fn embedded_export_that_is_interrupted_leaves_no_file_that_looks_complete() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("tasks.csv");
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", api.local_addr().unwrap());
    let export = || {
        let mut command = binary();
        command.args(["tasks", "export", "--url", &url, "--output"]).arg(&output);
        command.env("TASKLEDGER_TOKEN", "a").stderr(Stdio::piped());
        command
    };
    let running = export().spawn().unwrap();
    // The first page is answered, the second is not.
    let page = json!({"items": [], "next_cursor": "second"}).to_string();
    let (mut first, _) = api.accept().unwrap();
    assert!(first.read(&mut [0; 4_096]).unwrap() > 0);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    write!(first, "{head}\r\ncontent-length: {}\r\n\r\n{page}", page.len()).unwrap();
    drop(first);
    let (_second, _) = api.accept().unwrap();
    let pid = running.id().to_string();
    let signalled = Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap();
    assert!(signalled.success());
    let interrupted = running.wait_with_output().unwrap();
    assert!(!interrupted.status.success(), "{interrupted:?}");
    assert!(!fs::exists(&output).unwrap());
    let again = export().output().unwrap();
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("tasks.csv.partial") && said.contains("delete it"), "{said}");
}

#[test]
fn embedded_export_from_an_address_where_nothing_listens_fails_at_once_and_writes_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let began = Instant::now();
    let url = format!("http://{free}");
    let mut command = binary();
    command.args(["tasks", "export", "--url", &url]);
    let output = command.env("TASKLEDGER_TOKEN", "a").output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("does not answer"), "{said}");
    // Ten attempts take more than half a minute.
    assert!(began.elapsed() < Duration::from_secs(15));
}
