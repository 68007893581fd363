//! The log out of one store and into another, broken off and changed on the way.

#![expect(
    clippy::disallowed_methods,
    reason = "tests make ids and start tasks as they like"
)]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use event_store::{EventStore, head_point};
use events::{Actor, Encoding, EventId, Metadata, NewEvent, StoredEvent, StreamName, Timestamp, UserId};
use log_transfer::{
    End, Excerpt, ExcerptWriter, Export, ExportError, ImportError, Inspection, ReadError, StoredEvents,
    import, inspect,
};
use sealing::SealedStore;
use tempfile::TempDir;
use test_support::{FaultyStore, subject_keys};
use uuid::Uuid;

const EVENTS: usize = 2_500;
/// Events of one person before those of the other.
const TURN: usize = 5;

struct Place {
    directory: TempDir,
    store: Arc<dyn EventStore>,
}

impl Place {
    async fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = database::Database::file_url(&directory.path().join("events.db"));
        let store = event_store::open(&url, 2).await.unwrap();
        Self { directory, store }
    }

    /// With tasks of two people, in clear, one of whom is erased at the end if `erases`.
    async fn with_tasks(count: usize, erases: bool) -> (Self, [UserId; 2]) {
        let place = Self::empty().await;
        let people = [UserId(Uuid::now_v7()), UserId(Uuid::now_v7())];
        let streams = people.map(|_| StreamName::raw(format!("task-{}", Uuid::now_v7())));
        for (turn, first) in (0..count).step_by(TURN).enumerate() {
            let person = turn % 2;
            let renamed = |number| {
                let data = format!(r#"{{"title":"Secret {number}","priority":"low"}}"#);
                event(people[person], "task.renamed", &data)
            };
            let events = (first..count.min(first + TURN)).map(renamed).collect();
            let version = (turn / 2 * TURN) as u64;
            place
                .store
                .append(&streams[person], version, events)
                .await
                .unwrap();
        }
        if erases {
            let erased = event(people[0], "account.erased", "{}");
            place.append(&StreamName::account(people[0]), 0, erased).await;
        }
        (place, people)
    }

    async fn append(&self, stream: &StreamName, version: u64, event: NewEvent) {
        self.store.append(stream, version, vec![event]).await.unwrap();
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("export")
    }

    async fn export(&self, to: u64) -> Result<End, ExportError> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.file());
        let mut file = file.unwrap();
        let store = &*self.store;
        let mut export = Export::resume(&mut file, 0, store, |_| {}).await?;
        export.write(store, to, &mut file, |_| {}).await
    }

    async fn stored(&self) -> Vec<StoredEvent> {
        let (mut events, mut after): (Vec<StoredEvent>, i64) = (Vec::new(), 0);
        loop {
            let page = self.store.stored_page(after, 1_000).await.unwrap();
            after = page.events.last().map_or(after, |last| last.position);
            events.extend(page.events);
            if !page.more {
                return events;
            }
        }
    }

    async fn inspect(&self, export: &Path) -> Result<Inspection, ImportError> {
        let mut file = File::open(export).unwrap();
        inspect(&mut file, Some(&*self.store), None, false, |_| {}).await
    }

    async fn import(&self, export: &Path) -> Result<Inspection, ImportError> {
        let inspection = self.inspect(export).await?;
        let mut file = File::open(export).unwrap();
        let end = import(&mut file, &inspection, &*self.store, |_| {}).await?;
        assert_eq!(end, head_point(&*self.store).await.unwrap());
        self.store.note_import(None).await.unwrap();
        Ok(inspection)
    }
}

fn event(subject: UserId, kind: &str, data: &str) -> NewEvent {
    NewEvent {
        id: EventId(Uuid::now_v7()),
        kind: kind.to_owned(),
        schema_version: 1,
        encoding: Encoding::Json,
        data: data.to_owned().into(),
        metadata: Metadata {
            subject,
            actor: Actor::User(subject),
            correlation_id: "request of ada".into(),
            causation_id: Uuid::now_v7(),
            traceparent: None,
            idempotency_key: Some("key of ada".into()),
        },
        recorded_at: Timestamp::from_micros(1_780_000_000_123_456),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_was_broken_off_anywhere_goes_on() {
    let (place, _) = Place::with_tasks(EVENTS, false).await;
    let end = place.export(u64::MAX).await.unwrap();
    assert_eq!((end.events, end.position), (EVENTS as u64, EVENTS as i64));
    let whole = fs::read(place.file()).unwrap();
    let last_line = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    let places = [
        0,
        1,
        700,
        last_line - 1,
        last_line,
        last_line + 3,
        whole.len() - 1,
        whole.len(),
    ];
    for cut in places {
        fs::write(place.file(), &whole[..cut]).unwrap();
        assert_eq!(place.export(u64::MAX).await.unwrap(), end, "cut at {cut}");
        assert_eq!(fs::read(place.file()).unwrap(), whole, "cut at {cut}");
    }
    // The log goes on, and so does the file.
    let person = UserId(Uuid::now_v7());
    place
        .append(
            &StreamName::account(person),
            0,
            event(person, "account.erased", "{}"),
        )
        .await;
    assert_eq!(place.export(u64::MAX).await.unwrap().events, EVENTS as u64 + 1);
    assert!(fs::read(place.file()).unwrap().starts_with(&whole[..last_line]));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_no_export_of_this_log_is_left_as_it_is() {
    let (place, _) = Place::with_tasks(5, false).await;
    let (other, _) = Place::with_tasks(5, false).await;
    other.export(u64::MAX).await.unwrap();
    let of_other = fs::read_to_string(other.file()).unwrap();
    place.export(3).await.unwrap();
    let of_place = fs::read_to_string(place.file()).unwrap();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let with_second = |second: &str| {
        let mut lines = lines(&of_place);
        second.clone_into(&mut lines[1]);
        lines.pop();
        lines.join("\n") + "\n"
    };
    let withheld = {
        let mut second: serde_json::Value = serde_json::from_str(&lines(&of_place)[1]).unwrap();
        second["event"]["type"] = "of.a_later_release".into();
        with_second(&second.to_string())
    };
    let contents = [
        // Another line than the last is not of this log, though each is right by itself.
        with_second(&lines(&of_other)[1]),
        with_second(&lines(&of_place)[2]),
        lines(&of_place)[1..3].join("\n") + "\n",
        withheld,
        of_other.clone(),
        of_other.lines().next().unwrap().to_owned() + "\n",
        "my diary".to_owned(),
        "my diary\n".to_owned(),
        of_place.replacen("\"version\":1", "\"version\":2", 1),
        of_place + "{\"event\":1}\n",
    ];
    for content in contents {
        fs::write(place.file(), &content).unwrap();
        place.export(u64::MAX).await.unwrap_err();
        assert_eq!(fs::read_to_string(place.file()).unwrap(), content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_keeps_everything_and_goes_on_with_a_beginning() {
    let (place, _) = Place::with_tasks(EVENTS, false).await;
    let target = Place::empty().await;
    // As after a kill in the middle: the first events are there.
    for (to, present) in [(1_001, 0), (EVENTS as u64, 1_001), (EVENTS as u64, EVENTS as u64)] {
        place.export(to).await.unwrap();
        assert_eq!(target.import(&place.file()).await.unwrap().present, present);
        assert_eq!(
            target.stored().await,
            place.stored().await[..usize::try_from(to).unwrap()]
        );
        fs::remove_file(place.file()).unwrap();
    }
    place.export(10).await.unwrap();
    let inspection = target.import(&place.file()).await.unwrap();
    assert!(inspection.goes_on && inspection.is_dense && inspection.missing() == 0);
    // Another history is not touched.
    let (other, _) = Place::with_tasks(3, false).await;
    let before = other.stored().await;
    let refused = other.import(&place.file()).await.unwrap_err();
    assert!(
        matches!(refused, ImportError::Another { position: 1, line: 1 }),
        "{refused}"
    );
    assert_eq!(other.stored().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_was_changed_in_any_way_is_refused() {
    let (place, _) = Place::with_tasks(6, false).await;
    place.export(u64::MAX).await.unwrap();
    let text = fs::read_to_string(place.file()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let with = |edit: &dyn Fn(&mut Vec<&str>)| {
        let mut lines = lines.clone();
        edit(&mut lines);
        lines.concat()
    };
    let count = lines.len();
    let target = Place::empty().await;
    let changed = target.directory.path().join("changed");
    let mut contents = vec![String::new(), text.clone() + lines[0], text.trim_end().to_owned()];
    for line in 0..lines.len() {
        contents.push(with(&|lines| {
            lines.remove(line);
        }));
        contents.push(with(&|lines| lines.insert(line, lines[line])));
        contents.push(with(&|lines| lines.swap(line, (line + 1) % count)));
    }
    for part in [
        "\"low\\\"",
        "\"version\":2",
        "\"position\":4",
        "Secret 3",
        "\"events\":6",
        "\"root\":\"",
        "task-",
    ] {
        contents.push(text.replacen(part, &part.replacen(|_: char| true, "X", 2), 1));
        assert_ne!(contents.last(), Some(&text), "{part}");
    }
    for content in contents {
        fs::write(&changed, &content).unwrap();
        let refused = target.import(&changed).await.expect_err(&content);
        assert!(matches!(refused, ImportError::Read(_)), "{refused}");
        assert_eq!(target.store.head().await.unwrap(), 0);
    }
    // One that begins later, and one for auditors, are whole in their way.
    let store = &*place.store;
    let mut later = File::create(&changed).unwrap();
    Export::after(2)
        .write(store, 6, &mut later, |_| {})
        .await
        .unwrap();
    target.import(&changed).await.unwrap_err();
    target.import(&place.file()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_clear_is_sealed_once_and_found_again() {
    let (place, people) = Place::with_tasks(10, true).await;
    place.export(u64::MAX).await.unwrap();
    let target = Place::empty().await;
    let keys = subject_keys(target.directory.path()).await;
    let sealed = SealedStore::over(Arc::clone(&target.store), keys.clone());
    let inspect = async || {
        let mut file = File::open(place.file()).unwrap();
        inspect(&mut file, Some(&*target.store), Some(&keys), true, |_| {}).await
    };
    let before = inspect().await.unwrap();
    assert_eq!(
        (before.sealed_on_the_way, before.stays_in_clear, before.present),
        (11, 0, 0)
    );
    assert_eq!(
        (&before.erased, &before.people),
        (&[people[0]].into(), &people.into())
    );
    keys.destroy(people[0]).await.unwrap();
    let mut file = File::open(place.file()).unwrap();
    import(&mut file, &before, &*sealed, |_| {}).await.unwrap();
    for event in target.stored().await {
        let text = format!("{event:?}");
        assert!(!text.contains("Secret") && !text.contains("of ada"), "{text}");
    }
    // Whoever was not erased finds everything.
    let opened = sealed.read_all(0, 100).await.unwrap();
    let titles = |person: UserId| {
        let of = opened
            .iter()
            .filter(move |event| event.metadata.subject == person);
        of.filter(|event| String::from_utf8_lossy(&event.data).contains("Secret"))
            .count()
    };
    assert_eq!((titles(people[0]), titles(people[1])), (0, 5));
    assert_eq!(opened[5].metadata.idempotency_key.as_deref(), Some("key of ada"));
    assert_eq!(keys.destroyed(&people.into()).await.unwrap(), [people[0]].into());
    // Again: all of it is recognized, also what nobody can open; what differs is not.
    let again = inspect().await.unwrap();
    assert_eq!((again.present, again.missing()), (11, 0));
    assert_eq!((again.sealed_on_the_way, again.stays_in_clear), (11, 0));
    let (other, _) = Place::with_tasks(10, true).await;
    other.export(u64::MAX).await.unwrap();
    let mut file = File::open(other.file()).unwrap();
    let refused = log_transfer::inspect(&mut file, Some(&*target.store), Some(&keys), true, |_| {}).await;
    assert!(matches!(refused, Err(ImportError::Another { .. })), "{refused:?}");
    let unreadable = fs::read_to_string(place.file()).unwrap();
    let line = unreadable.replace("\"encoding\":\"json\"", "\"encoding\":\"other\"");
    let path = target.directory.path().join("unreadable");
    fs::write(&path, line).unwrap();
    let mut file = File::open(path).unwrap();
    let refused = log_transfer::inspect(&mut file, None, Some(&keys), true, |_| {}).await;
    assert!(
        matches!(refused, Err(ImportError::Read(ReadError::Line { number: 1, .. }))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_excerpt_is_read_from_its_end_backwards_and_what_it_has_may_be_dropped() {
    let (place, _) = Place::with_tasks(EVENTS, false).await;
    let before = place.stored().await;
    let stream = before[0].stream.clone();
    let file = || File::open(place.file()).unwrap();
    let write = async |wanted: &(dyn Fn(&StoredEvent) -> bool + Sync)| {
        let mut out = ExcerptWriter::new(File::create(place.file()).unwrap());
        let mut log = StoredEvents::new(&*place.store, 0, 2_400);
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
    assert_eq!(
        (end.events, end.position),
        (wanted.len() as u64, wanted.last().unwrap().position)
    );

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

    // Of one that is broken off or changed nothing can be had.
    let whole = fs::read_to_string(place.file()).unwrap();
    let cut = whole.rfind("{\"end\"").unwrap();
    fs::write(place.file(), &whole[..cut]).unwrap();
    let unfinished = Excerpt::open(file()).unwrap_err();
    assert!(matches!(unfinished, ReadError::Unfinished { .. }), "{unfinished}");
    fs::write(place.file(), whole.replacen("Secret", "Public", 1)).unwrap();
    let changed = Excerpt::open(file()).unwrap_err();
    assert!(matches!(changed, ReadError::Line { number: 1, .. }), "{changed}");

    // Dropped, they are in an export by their hashes, and stay so in the place that it moves to.
    assert_eq!(
        place.store.drop_payloads(&wanted).await.unwrap(),
        wanted.len() as u64
    );
    let after = write(&|event| event.stream == stream && event.data.whole().is_some()).await;
    assert_eq!(after.events, 0);
    let empty = Excerpt::open(file()).unwrap().previous_part().unwrap();
    assert_eq!(empty, None);
    write(&|event| event.stream == stream).await;
    let shown = Excerpt::open(file()).unwrap_err();
    assert!(matches!(shown, ReadError::Line { number: 1, .. }), "{shown}");
    fs::remove_file(place.file()).unwrap();
    place.export(u64::MAX).await.unwrap();
    let new = Place::empty().await;
    new.import(&place.file()).await.unwrap();
    assert_eq!(new.stored().await, place.stored().await);
    new.export(u64::MAX).await.unwrap();
    assert_eq!(fs::read(new.file()).unwrap(), fs::read(place.file()).unwrap());

    // A log that has the payloads still is the same log.
    let earlier = Place::empty().await;
    let mut end = head_point(&*earlier.store).await.unwrap();
    for events in before[..2_000].chunks(500) {
        end = earlier.store.import(end, events).await.unwrap();
    }
    assert_eq!(earlier.import(&place.file()).await.unwrap().present, 2_000);
    let now = earlier.stored().await;
    assert_eq!((now.len(), &now[..2_000]), (before.len(), &before[..2_000]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_sealing_is_what_the_log_has() {
    let (place, _) = Place::with_tasks(10, false).await;
    let target = Place::empty().await;
    let keys = subject_keys(target.directory.path()).await;
    let sealed = SealedStore::over(Arc::clone(&target.store), keys.clone());
    let counts = async |store: &dyn EventStore, seals| {
        let mut file = File::open(place.file()).unwrap();
        let inspection = inspect(&mut file, Some(&*target.store), Some(&keys), seals, |_| {}).await;
        let inspection = inspection.unwrap();
        import(&mut file, &inspection, store, |_| {}).await.unwrap();
        (inspection.sealed_on_the_way, inspection.stays_in_clear)
    };
    // The first four as they are, the others sealed; whoever asks again is told the same, whatever the flag.
    place.export(4).await.unwrap();
    assert_eq!(counts(&*target.store, false).await, (0, 4));
    fs::remove_file(place.file()).unwrap();
    place.export(10).await.unwrap();
    assert_eq!(counts(&*sealed, true).await, (6, 4));
    assert_eq!(counts(&*target.store, false).await, (6, 4));
    assert_eq!(counts(&*sealed, true).await, (6, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_cannot_hold_is_refused_before_anything_is_written() {
    let (place, _) = Place::with_tasks(3, false).await;
    place.export(u64::MAX).await.unwrap();
    let text = fs::read_to_string(place.file()).unwrap();
    let id = &place.stored().await[1].id;
    let changed = place.directory.path().join("changed");
    let mut lines: Vec<&str> = text.lines().collect();
    let second = lines[1].replace(id, &id.to_uppercase());
    lines[1] = &second;
    lines.pop();
    let events: Vec<_> = lines
        .iter()
        .map(|line| log_transfer::ExportedEvent::parse(line).unwrap())
        .collect();
    let end = end_of(&events);
    fs::write(&changed, format!("{}\n{}\n", lines.join("\n"), end.to_line())).unwrap();
    let target = Place::empty().await;
    let mut file = File::open(&changed).unwrap();
    for store in [None, Some(&*target.store)] {
        let refused = inspect(&mut file, store, None, false, |_| {}).await;
        assert!(matches!(refused, Err(ImportError::Refused(_))), "{refused:?}");
    }
}

fn end_of(events: &[log_transfer::ExportedEvent]) -> End {
    let mut edge = transparency_log::Edge::default();
    let leaf = |event: &log_transfer::ExportedEvent| {
        transparency_log::leaf_hash(&transparency_log::entry_hash(&event.event.canonical()).0)
    };
    edge.extend(events.iter().map(leaf));
    End {
        after: 0,
        position: events.last().unwrap().event.position,
        events: events.len() as u64,
        root: edge.root().to_string(),
    }
}

/// Sealed, an event is larger than in clear: what does not fit then is refused at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_once_it_is_sealed_is_refused_before_anything_is_written() {
    let (place, _) = Place::with_tasks(3, false).await;
    place.export(u64::MAX).await.unwrap();
    let sizes = place.stored().await;
    let largest = sizes
        .iter()
        .map(|event| event.data.size() + event.metadata.len())
        .max()
        .unwrap();
    let target = Place::empty().await;
    let store = FaultyStore::over(target.store.clone());
    let keys = subject_keys(target.directory.path()).await;
    let sealed = SealedStore::over(store.clone(), keys.clone());
    let mut file = File::open(place.file()).unwrap();
    for (most, is_taken) in [(largest, false), (largest + 1_000, true)] {
        store.most_imported_bytes.store(most, Ordering::SeqCst);
        let inspected = inspect(&mut file, Some(&*store), Some(&keys), true, |_| {}).await;
        assert_eq!(inspected.is_ok(), is_taken, "{inspected:?}");
        if let Ok(inspection) = inspected {
            import(&mut file, &inspection, &*sealed, |_| {}).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_broken_off_is_known_until_the_same_log_is_whole() {
    let (place, _) = Place::with_tasks(EVENTS, false).await;
    let target = Place::empty().await;
    let file = |name: &str| place.directory.path().join(name);
    for (name, to) in [("small", 10), ("export", EVENTS as u64)] {
        fs::remove_file(place.file()).unwrap_or_default();
        place.export(to).await.unwrap();
        fs::rename(place.file(), file(name)).unwrap();
    }
    let inspection = target.inspect(&file("export")).await.unwrap();
    let broken = test_support::FaultyStore::over(Arc::clone(&target.store));
    let mut whole = File::open(file("export")).unwrap();
    import(&mut whole, &inspection, &*broken, |_| {
        broken.down.store(true, std::sync::atomic::Ordering::SeqCst);
    })
    .await
    .unwrap_err();
    assert_eq!(target.stored().await.len(), 1_000);
    let unfinished = async || target.store.unfinished_import().await.unwrap();
    assert_eq!(unfinished().await.unwrap().events, EVENTS as u64);
    // One with less than is there says nothing of what is missing.
    let refused = target.inspect(&file("small")).await.unwrap_err();
    assert!(
        matches!(refused, ImportError::OtherUnfinished(2_500)),
        "{refused}"
    );
    let inspection = target.inspect(&file("export")).await.unwrap();
    assert!(inspection.is_unfinished);
    target.import(&file("export")).await.unwrap();
    assert_eq!(unfinished().await, None);
    assert_eq!(target.stored().await, place.stored().await);
}
