//! Events that are in clear in an export are encrypted by the import.

use std::{
    fs::{self, File},
    sync::{Arc, atomic::Ordering},
};

use event_store::EventStore;
use events::UserId;
use log_transfer::{ImportError, ReadError, import, inspect};
use sealing::SealedStore;
use test_support::{FaultyStore, read_all, subject_keys};

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_clear_is_sealed_once_and_found_again() {
    let (fixture, people) = Fixture::with_tasks(10, true).await;
    fixture.export(u64::MAX).await.unwrap();
    let target = Fixture::empty().await;
    let keys = subject_keys(target.directory.path()).await;
    let sealed = SealedStore::over(Arc::clone(&target.store), keys.clone());
    let inspect = async || {
        let mut file = File::open(fixture.file()).unwrap();
        inspect(&mut file, Some(&*target.store), Some(&keys), true, |_| {}).await
    };
    let before = inspect().await.unwrap();
    assert_eq!((before.sealed_on_the_way, before.stays_in_clear, before.present), (11, 0, 0));
    assert_eq!((&before.erased, &before.people), (&[people[0]].into(), &people.into()));
    keys.destroy(people[0]).await.unwrap();
    let mut file = File::open(fixture.file()).unwrap();
    import(&mut file, &before, &*sealed, |_| {}).await.unwrap();
    for event in target.stored().await {
        let text = format!("{event:?}");
        assert!(!text.contains("Secret") && !text.contains("of ada"), "{text}");
    }
    // Everything about people who were not erased can be read.
    let opened = read_all(&*sealed, 0, 100).await;
    let titles = |person: UserId| {
        let of = opened.iter().filter(move |event| event.metadata.subject == person);
        of.filter(|event| String::from_utf8_lossy(&event.data).contains("Secret")).count()
    };
    assert_eq!((titles(people[0]), titles(people[1])), (0, 5));
    assert_eq!(opened[5].metadata.idempotency_key.as_deref(), Some("key of ada"));
    assert_eq!(keys.destroyed(&people.into()).await.unwrap(), [people[0]].into());
    // The second time all of it is recognised, including what cannot be decrypted; a difference is not.
    let again = inspect().await.unwrap();
    assert_eq!((again.present, again.missing()), (11, 0));
    assert_eq!((again.sealed_on_the_way, again.stays_in_clear), (11, 0));
    let (other, _) = Fixture::with_tasks(10, true).await;
    other.export(u64::MAX).await.unwrap();
    let mut file = File::open(other.file()).unwrap();
    let refused = log_transfer::inspect(&mut file, Some(&*target.store), Some(&keys), true, |_| {}).await;
    assert!(matches!(refused, Err(ImportError::Another { .. })), "{refused:?}");
    let unreadable = fs::read_to_string(fixture.file()).unwrap();
    let line = unreadable.replace("\"encoding\":\"json\"", "\"encoding\":\"other\"");
    let path = target.directory.path().join("unreadable");
    fs::write(&path, line).unwrap();
    let mut file = File::open(path).unwrap();
    let refused = log_transfer::inspect(&mut file, None, Some(&keys), true, |_| {}).await;
    assert!(matches!(refused, Err(ImportError::Read(ReadError::Line { number: 1, .. }))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_sealing_is_what_the_log_has() {
    let (fixture, _) = Fixture::with_tasks(10, false).await;
    let target = Fixture::empty().await;
    let keys = subject_keys(target.directory.path()).await;
    let sealed = SealedStore::over(Arc::clone(&target.store), keys.clone());
    let counts = async |store: &dyn EventStore, seals| {
        let mut file = File::open(fixture.file()).unwrap();
        let inspection = inspect(&mut file, Some(&*target.store), Some(&keys), seals, |_| {}).await;
        let inspection = inspection.unwrap();
        import(&mut file, &inspection, store, |_| {}).await.unwrap();
        (inspection.sealed_on_the_way, inspection.stays_in_clear)
    };
    // The first four are in clear, the others encrypted; a repeated import recognises both, with either flag.
    fixture.export(4).await.unwrap();
    assert_eq!(counts(&*target.store, false).await, (0, 4));
    fs::remove_file(fixture.file()).unwrap();
    fixture.export(10).await.unwrap();
    assert_eq!(counts(&*sealed, true).await, (6, 4));
    assert_eq!(counts(&*target.store, false).await, (6, 4));
    assert_eq!(counts(&*sealed, true).await, (6, 4));
}

/// An encrypted event is larger. One that is then too large is refused at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_once_it_is_sealed_is_refused_before_anything_is_written() {
    let (fixture, _) = Fixture::with_tasks(3, false).await;
    fixture.export(u64::MAX).await.unwrap();
    let sizes = fixture.stored().await;
    let largest = sizes.iter().map(|event| event.data.size() + event.metadata.len()).max().unwrap();
    let target = Fixture::empty().await;
    let store = FaultyStore::over(target.store.clone());
    let keys = subject_keys(target.directory.path()).await;
    let sealed = SealedStore::over(store.clone(), keys.clone());
    let mut file = File::open(fixture.file()).unwrap();
    for (most, is_taken) in [(largest, false), (largest + 1_000, true)] {
        store.most_imported_bytes.store(most, Ordering::SeqCst);
        let inspected = inspect(&mut file, Some(&*store), Some(&keys), true, |_| {}).await;
        assert_eq!(inspected.is_ok(), is_taken, "{inspected:?}");
        if let Ok(inspection) = inspected {
            import(&mut file, &inspection, &*sealed, |_| {}).await.unwrap();
        }
    }
}
