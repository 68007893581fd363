//! Memory that is free again, with the allocator of the `taskledger` binary.

#![cfg(target_os = "linux")]

use std::{sync::mpsc::channel, thread, time::Duration};

use runtime::{Background, memory};
use tokio::{sync::watch, time::timeout};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LIMIT: usize = 256 << 20;
const BLOCK: usize = 64 << 10;

#[tokio::test]
async fn memory_is_no_longer_short_soon_after_it_was_freed_by_threads_that_go_on() {
    let background = Background::default();
    let (told, mut is_short) = watch::channel(false);
    let told = move |short| {
        told.send_replace(short);
    };
    background.spawn("memory", memory::watch(Some(LIMIT as u64), told, background.stop()));
    let (frees, freed) = channel::<()>();
    let (end, ended) = channel::<()>();
    let worker = thread::spawn(move || {
        let blocks: Vec<Vec<u8>> = (0..LIMIT / BLOCK).map(|_| vec![1; BLOCK]).collect();
        let _ = freed.recv();
        drop(blocks);
        let _ = ended.recv();
    });
    let deadline = Duration::from_secs(10);
    timeout(deadline, is_short.wait_for(|short| *short)).await.unwrap().unwrap();
    frees.send(()).unwrap();
    let deadline = Duration::from_secs(20);
    timeout(deadline, is_short.wait_for(|short| !*short)).await.unwrap().unwrap();
    drop(end);
    worker.join().unwrap();
    background.stop().cancel();
}
