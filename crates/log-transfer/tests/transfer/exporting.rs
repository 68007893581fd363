//! Writing an export, and continuing one. Payloads in it may be dropped.

use std::fs::{self, File};

use event_store::{StoredEvents, head_point};
use events::{StoredEvent, StreamName, UserId};
use log_transfer::{Excerpt, ExcerptWriter, ReadError};
use uuid::Uuid;

use crate::fixture::{EVENTS, Fixture, event};

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_was_broken_off_anywhere_goes_on() {
    let (fixture, _) = Fixture::with_tasks(EVENTS, false).await;
    let end = fixture.export(u64::MAX).await.unwrap();
    assert_eq!((end.events, end.position), (EVENTS as u64, EVENTS as i64));
    let whole = fs::read(fixture.file()).unwrap();
    let last_line = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let places = [0, 1, 700, last_line - 1, last_line, last_line + 3, whole.len() - 1, whole.len()];
    for cut in places {
        fs::write(fixture.file(), &whole[..cut]).unwrap();
        assert_eq!(fixture.export(u64::MAX).await.unwrap(), end, "cut at {cut}");
        assert_eq!(fs::read(fixture.file()).unwrap(), whole, "cut at {cut}");
    }
    // The log continues, and so does the file.
    let person = UserId(Uuid::now_v7());
    fixture.append(&StreamName::account(person), 0, event(person, "account.erased", "{}")).await;
    assert_eq!(fixture.export(u64::MAX).await.unwrap().events, EVENTS as u64 + 1);
    assert!(fs::read(fixture.file()).unwrap().starts_with(&whole[..last_line]));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_no_export_of_this_log_is_left_as_it_is() {
    let (fixture, _) = Fixture::with_tasks(5, false).await;
    let (other, _) = Fixture::with_tasks(5, false).await;
    other.export(u64::MAX).await.unwrap();
    let of_other = fs::read_to_string(other.file()).unwrap();
    fixture.export(3).await.unwrap();
    let of_fixture = fs::read_to_string(fixture.file()).unwrap();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let with_second = |second: &str| {
        let mut lines = lines(&of_fixture);
        second.clone_into(&mut lines[1]);
        lines.pop();
        lines.join("\n") + "\n"
    };
    let withheld = {
        let mut second: serde_json::Value = serde_json::from_str(&lines(&of_fixture)[1]).unwrap();
        second["event"]["type"] = "of.a_later_release".into();
        with_second(&second.to_string())
    };
    let contents = [
        // A line in the middle is from another log, though each line is valid by itself.
        with_second(&lines(&of_other)[1]),
        with_second(&lines(&of_fixture)[2]),
        lines(&of_fixture)[1..3].join("\n") + "\n",
        withheld,
        of_other.clone(),
        of_other.lines().next().unwrap().to_owned() + "\n",
        "my diary".to_owned(),
        "my diary\n".to_owned(),
        of_fixture.replacen("\"version\":1", "\"version\":2", 1),
        of_fixture + "{\"event\":1}\n",
    ];
    for content in contents {
        fs::write(fixture.file(), &content).unwrap();
        fixture.export(u64::MAX).await.unwrap_err();
        assert_eq!(fs::read_to_string(fixture.file()).unwrap(), content);
    }
    // A whole one that goes on beyond the wanted position keeps its end.
    fs::remove_file(fixture.file()).unwrap();
    fixture.export(u64::MAX).await.unwrap();
    let whole = fs::read_to_string(fixture.file()).unwrap();
    let refused = fixture.export(3).await.unwrap_err().to_string();
    assert!(refused.contains("goes on to position 5"), "{refused}");
    assert_eq!(fs::read_to_string(fixture.file()).unwrap(), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_excerpt_is_read_from_its_end_backwards_and_what_it_has_may_be_dropped() {
    let (fixture, _) = Fixture::with_tasks(EVENTS, false).await;
    let before = fixture.stored().await;
    let stream = before[0].stream.clone();
    let file = || File::open(fixture.file()).unwrap();
    let write = async |wanted: &(dyn Fn(&StoredEvent) -> bool + Sync)| {
        let mut out = ExcerptWriter::new(File::create(fixture.file()).unwrap());
        let mut log = StoredEvents::new(&*fixture.store, 0, 2_400);
        while let Some(event) = log.next().await.unwrap() {
            if wanted(&event) {
                out.write(&event).unwrap();
            }
        }
        out.finish().unwrap().0
    };
    let end = write(&|event| event.stream == stream).await;
    let wanted: Vec<_> = before
        .iter()
        .filter(|event| event.stream == stream && event.position <= 2_400)
        .map(StoredEvent::digest)
        .collect();
    assert_eq!((end.events, end.position), (wanted.len() as u64, wanted.last().unwrap().position));

    let mut excerpt = Excerpt::open(file()).unwrap();
    assert_eq!(*excerpt.end(), end);
    let mut reader = excerpt.reader().unwrap();
    let mut read = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        read.push(event.event);
    }
    assert_eq!(read, wanted);
    let mut parts = Vec::new();
    while let Some(part) = excerpt.previous_part().unwrap() {
        assert!(!part.is_empty() && part.len() <= 256);
        parts.insert(0, part);
    }
    assert!(parts.len() > 3);
    assert_eq!(parts.concat(), wanted);

    // An interrupted or changed one cannot be read.
    let whole = fs::read_to_string(fixture.file()).unwrap();
    let cut = whole.rfind("{\"end\"").unwrap();
    fs::write(fixture.file(), &whole[..cut]).unwrap();
    let unfinished = Excerpt::open(file()).unwrap_err();
    assert!(matches!(unfinished, ReadError::Unfinished { .. }), "{unfinished}");
    fs::write(fixture.file(), whole.replacen("Secret", "Public", 1)).unwrap();
    let changed = Excerpt::open(file()).unwrap_err();
    assert!(matches!(changed, ReadError::Line { number: 1, .. }), "{changed}");

    // Dropped payloads are exported as hashes, and stay dropped in the other store.
    assert_eq!(fixture.store.drop_payloads(&wanted).await.unwrap(), wanted.len() as u64);
    let after = write(&|event| event.stream == stream && event.data.whole().is_some()).await;
    assert_eq!(after.events, 0);
    let empty = Excerpt::open(file()).unwrap().previous_part().unwrap();
    assert_eq!(empty, None);
    write(&|event| event.stream == stream).await;
    let shown = Excerpt::open(file()).unwrap_err();
    assert!(matches!(shown, ReadError::Line { number: 1, .. }), "{shown}");
    fs::remove_file(fixture.file()).unwrap();
    fixture.export(u64::MAX).await.unwrap();
    let new = Fixture::empty().await;
    new.import(&fixture.file()).await.unwrap();
    assert_eq!(new.stored().await, fixture.stored().await);
    new.export(u64::MAX).await.unwrap();
    assert_eq!(fs::read(new.file()).unwrap(), fs::read(fixture.file()).unwrap());

    // A log that still has the payloads is the same log.
    let earlier = Fixture::empty().await;
    let mut end = head_point(&*earlier.store).await.unwrap();
    for events in before[..2_000].chunks(500) {
        end = earlier.store.import(end, events).await.unwrap();
    }
    assert_eq!(earlier.import(&fixture.file()).await.unwrap().present, 2_000);
    let now = earlier.stored().await;
    assert_eq!((now.len(), &now[..2_000]), (before.len(), &before[..2_000]));
}
