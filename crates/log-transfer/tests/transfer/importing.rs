//! Importing an export into a store: all of it or nothing.

use std::{
    fs::{self, File},
    sync::Arc,
};

use log_transfer::{End, Export, ImportError, import, inspect};

use crate::fixture::{EVENTS, Fixture};

#[tokio::test(flavor = "multi_thread")]
async fn an_import_keeps_everything_and_goes_on_with_a_beginning() {
    let (fixture, _) = Fixture::with_tasks(EVENTS, false).await;
    let target = Fixture::empty().await;
    // As after a crash in the middle: the first events are there.
    for (to, present) in [(1_001, 0), (EVENTS as u64, 1_001), (EVENTS as u64, EVENTS as u64)] {
        fixture.export(to).await.unwrap();
        assert_eq!(target.import(&fixture.file()).await.unwrap().present, present);
        assert_eq!(target.stored().await, fixture.stored().await[..usize::try_from(to).unwrap()]);
        fs::remove_file(fixture.file()).unwrap();
    }
    fixture.export(10).await.unwrap();
    let inspection = target.import(&fixture.file()).await.unwrap();
    assert!(inspection.goes_on && inspection.is_dense && inspection.missing() == 0);
    // A log with another history is not changed.
    let (other, _) = Fixture::with_tasks(3, false).await;
    let before = other.stored().await;
    let refused = other.import(&fixture.file()).await.unwrap_err();
    assert!(matches!(refused, ImportError::Another { position: 1, line: 1 }), "{refused}");
    assert_eq!(other.stored().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_was_changed_in_any_way_is_refused() {
    let (fixture, _) = Fixture::with_tasks(6, false).await;
    fixture.export(u64::MAX).await.unwrap();
    let text = fs::read_to_string(fixture.file()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let with = |edit: &dyn Fn(&mut Vec<&str>)| {
        let mut lines = lines.clone();
        edit(&mut lines);
        lines.concat()
    };
    let count = lines.len();
    let target = Fixture::empty().await;
    let changed = target.directory.path().join("changed");
    let mut contents = vec![String::new(), text.clone() + lines[0], text.trim_end().to_owned()];
    for line in 0..lines.len() {
        contents.push(with(&|lines| {
            lines.remove(line);
        }));
        contents.push(with(&|lines| lines.insert(line, lines[line])));
        contents.push(with(&|lines| lines.swap(line, (line + 1) % count)));
    }
    for part in
        ["\"low\\\"", "\"version\":2", "\"position\":4", "Secret 3", "\"events\":6", "\"root\":\"", "task-"]
    {
        contents.push(text.replacen(part, &part.replacen(|_: char| true, "X", 2), 1));
        assert_ne!(contents.last(), Some(&text), "{part}");
    }
    for content in contents {
        fs::write(&changed, &content).unwrap();
        let refused = target.import(&changed).await.expect_err(&content);
        assert!(matches!(refused, ImportError::Read(_)), "{refused}");
        assert_eq!(target.store.head().await.unwrap(), 0);
    }
    // An export that begins later, and one for auditors, are complete but cannot be imported.
    let store = &*fixture.store;
    let mut later = File::create(&changed).unwrap();
    Export::after(2).write(store, 6, &mut later, |_| {}).await.unwrap();
    target.import(&changed).await.unwrap_err();
    target.import(&fixture.file()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_cannot_hold_is_refused_before_anything_is_written() {
    let (fixture, _) = Fixture::with_tasks(3, false).await;
    fixture.export(u64::MAX).await.unwrap();
    let text = fs::read_to_string(fixture.file()).unwrap();
    let id = &fixture.stored().await[1].id;
    let changed = fixture.directory.path().join("changed");
    let mut lines: Vec<&str> = text.lines().collect();
    let second = lines[1].replace(id, &id.to_uppercase());
    lines[1] = &second;
    lines.pop();
    let events: Vec<_> = lines.iter().map(|line| log_transfer::ExportedEvent::parse(line).unwrap()).collect();
    let end = end_of(&events);
    fs::write(&changed, format!("{}\n{}\n", lines.join("\n"), end.to_line())).unwrap();
    let target = Fixture::empty().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_broken_off_is_known_until_the_same_log_is_whole() {
    let (fixture, _) = Fixture::with_tasks(EVENTS, false).await;
    let target = Fixture::empty().await;
    let file = |name: &str| fixture.directory.path().join(name);
    for (name, to) in [("small", 10), ("export", EVENTS as u64)] {
        fs::remove_file(fixture.file()).unwrap_or_default();
        fixture.export(to).await.unwrap();
        fs::rename(fixture.file(), file(name)).unwrap();
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
    // An export with fewer events than the store says nothing about the missing ones.
    let refused = target.inspect(&file("small")).await.unwrap_err();
    assert!(matches!(refused, ImportError::OtherUnfinished(2_500)), "{refused}");
    let inspection = target.inspect(&file("export")).await.unwrap();
    assert!(inspection.is_unfinished);
    target.import(&file("export")).await.unwrap();
    assert_eq!(unfinished().await, None);
    assert_eq!(target.stored().await, fixture.stored().await);
}
