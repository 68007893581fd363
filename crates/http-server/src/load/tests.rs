//! What has room among the work in progress.

use std::{
    task::{Context, Waker},
    thread,
};

use super::*;

fn load(requests: usize, bytes: usize, bytes_per_caller: usize) -> Load {
    let options = ServerOptions {
        max_requests: requests,
        max_bytes: bytes,
        max_bytes_per_caller: bytes_per_caller,
        ..ServerOptions::default()
    };
    Load::new(&options, ConnectionMetrics::new())
}

fn network(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

#[test]
fn more_requests_than_allowed_are_too_many_until_one_ends() {
    let load = load(2, 0, 0);
    let (first, second, third) = (load.begin(), load.begin(), load.begin());
    assert_eq!((first.1, second.1, third.1), (true, true, false));
    drop((first, third));
    assert!(load.begin().1);
}

#[test]
fn bytes_are_there_until_their_request_ends() {
    let load = load(10, 200_000, 200_000);
    let (first, second) = (load.begin().0, load.begin().0);
    assert!(first.receive(150_000) && !second.receive(100_000));
    let small = load.begin().0;
    assert!(small.receive(SMALL_BODY) && !small.receive(1), "little is received in any case");
    drop(small);
    drop(second);
    first.forget();
    let third = load.begin().0;
    assert!(third.answer(150_000));
    assert!(first.answer(SMALL), "a small one");
    assert!(!load.begin().0.answer(SMALL + 1));
    drop((first, third));
    assert_eq!(load.0.bytes.load(Ordering::Relaxed), 0);
    assert_eq!(load.0.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn one_caller_leaves_bytes_to_the_others() {
    let load = load(10, 400_000, 100_000);
    let (greedy, other) = (CallerBytes::default(), CallerBytes::default());
    let of = |caller: &CallerBytes| {
        let request = load.begin().0;
        request.count_for(caller, network(u8::from(std::ptr::eq(caller, &greedy))));
        request
    };
    let (first, second) = (of(&greedy), of(&greedy));
    assert!(first.answer(90_000) && !second.answer(90_000));
    assert!(of(&greedy).answer(SMALL) && of(&greedy).receive(SMALL_BODY), "little");
    assert!(!of(&greedy).receive(SMALL_BODY + 1));
    assert!(of(&other).answer(90_000) && of(&other).receive(90_000));
    drop((first, second));
    assert!(of(&greedy).answer(90_000));
    let before = load.begin().0;
    assert!(before.receive(90_000));
    before.count_for(&greedy, network(1));
    assert!(!of(&greedy).answer(90_000), "what came before it was known whose it is");
    drop(before);
    assert_eq!((greedy.add(0), other.add(0)), (0, 0));
}

#[test]
fn the_callers_of_one_network_leave_bytes_to_the_others() {
    let load = load(10, 300_000, 90_000);
    let of = |last: u8| {
        let request = load.begin().0;
        request.count_for(&CallerBytes::default(), network(last));
        request
    };
    let (first, second) = (of(1), of(1));
    assert!(first.answer(80_000) && !second.answer(80_000), "another account at the same address");
    second.forget();
    assert!(of(1).answer(SMALL), "little");
    assert!(of(2).answer(80_000));
    drop(first);
    assert!(second.answer(80_000));
}

/// Lets the client be waited for, and returns whether its answer goes on.
fn goes_on(activity: &Activity, slow_since: Instant) -> bool {
    let context = Context::from_waker(Waker::noop());
    activity.wait_for_client(slow_since, &context).is_ok()
}

/// A request with an answer of 100,000 bytes, and its connection.
fn answer(load: &Load) -> (Arc<AtWork>, Activity) {
    let (at_work, activity) = (load.begin().0, Activity::new());
    assert!(at_work.answer(100_000));
    at_work.may_be_cut_off(&activity);
    (at_work, activity)
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_which_least_is_taken_makes_room_for_others() {
    let load = load(10, 300_000, 300_000);
    let since = Instant::now();
    let (slow, slower, fast) = (answer(&load), answer(&load), answer(&load));
    let second = Duration::from_secs(1);
    assert!(goes_on(&slow.1, since + second) && goes_on(&slower.1, since));
    let late = load.begin().0;
    assert!(!late.answer(100_000), "nobody has waited for long");
    late.forget();
    tokio::time::advance(load.0.patience + second).await;
    assert!(late.answer(100_000));
    assert_eq!(load.0.bytes.load(Ordering::Relaxed), 300_000);
    assert!(!goes_on(&slower.1, since) && goes_on(&slow.1, since));
    let too_large = load.begin().0;
    assert!(!too_large.answer(200_000) && goes_on(&slow.1, since), "in vain");
    drop((slow, slower, fast, late, too_large));
    assert_eq!(load.0.bytes.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_enough_each_time_is_not_cut_off_however_long_it_takes() {
    let load = load(10, 100_000, 100_000);
    let (steady, next) = (answer(&load), load.begin().0);
    for _ in 0..10 {
        assert!(goes_on(&steady.1, Instant::now()));
        tokio::time::advance(load.0.patience - Duration::from_millis(1)).await;
        assert!(!next.answer(100_000), "it may take its time");
        next.forget();
    }
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(next.answer(100_000), "it has stopped");
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_cut_off_for_bodies_that_strangers_can_hold_back() {
    let load = load(10, 100_000, 100_000);
    let slow = answer(&load);
    assert!(goes_on(&slow.1, Instant::now()));
    tokio::time::advance(2 * load.0.patience).await;
    let body = load.begin().0;
    assert!(!body.receive(SMALL_BODY + 1));
    assert_eq!(slow.0.bytes.load(Ordering::Relaxed), 100_000);
    body.forget();
    assert!(body.answer(100_000), "an answer makes room");
}

/// Every answer that waits for its client is late at once.
fn impatient_load(bytes: usize, bytes_per_caller: usize) -> Load {
    let options = ServerOptions {
        max_bytes: bytes,
        max_bytes_per_caller: bytes_per_caller,
        stall_timeout_under_load: Duration::ZERO,
        ..ServerOptions::default()
    };
    Load::new(&options, ConnectionMetrics::new())
}

#[test]
fn answers_that_come_together_do_not_cut_off_more_than_they_need() {
    let load = impatient_load(400_000, 400_000);
    let slow: Vec<_> = (0..4).map(|_| answer(&load)).collect();
    let now = Instant::now();
    assert!(slow.iter().all(|(_, activity)| goes_on(activity, now)));
    let next: Vec<_> = (0..2).map(|_| load.begin().0).collect();
    let bytes = || load.0.bytes.load(Ordering::Relaxed);
    thread::scope(|scope| {
        // Both find that there is no room before either of them makes some.
        let large = load.0.large.lock();
        let answering: Vec<_> =
            next.iter().map(|request| scope.spawn(move || request.answer(100_000))).collect();
        let begun = Instant::now();
        while bytes() < 600_000 {
            assert!(begun.elapsed() < Duration::from_secs(20));
            thread::yield_now();
        }
        drop(large);
        assert!(answering.into_iter().all(|answer| answer.join().unwrap()));
    });
    assert_eq!(bytes(), 400_000);
}

#[test]
fn the_answers_of_a_network_make_room_for_others_of_it() {
    let load = impatient_load(600_000, 150_000);
    let of = |last: u8| {
        let (request, activity) = (load.begin().0, Activity::new());
        request.count_for(&CallerBytes::default(), network(last));
        let is_given = request.answer(100_000);
        request.may_be_cut_off(&activity);
        (request, activity, is_given)
    };
    let elsewhere = of(2);
    let since = Instant::now();
    assert!(goes_on(&elsewhere.1, since));
    let (slow, fast, refused) = (of(1), of(1), of(1));
    assert!(slow.2 && fast.2 && !refused.2, "a third for the network");
    refused.0.forget();
    assert!(goes_on(&slow.1, Instant::now()));
    assert!(of(1).2);
    assert!(!goes_on(&slow.1, since) && goes_on(&fast.1, since));
    assert!(goes_on(&elsewhere.1, since), "another network has its own share");
}

#[test]
fn what_was_cut_off_is_not_cut_off_again() {
    let load = impatient_load(200_000, 200_000);
    let (first, second) = (answer(&load), answer(&load));
    let now = Instant::now();
    assert!(goes_on(&first.1, now) && goes_on(&second.1, now));
    let late = || {
        let large = load.0.large.lock();
        let late = large.iter().filter_map(|answer| answer.late(Duration::ZERO));
        late.count()
    };
    assert_eq!(late(), 2);
    let next = load.begin().0;
    assert!(next.answer(100_000));
    assert_eq!(late(), 1, "the other one waits until its task runs");
}

#[test]
fn streams_and_strangers_leave_half_of_the_places_to_the_others() {
    for enter in [AtWork::stream, AtWork::anonymous] {
        let load = load(4, 0, 0);
        let requests: Vec<_> = (0..4).map(|_| load.begin().0).collect();
        let entered: Vec<_> = requests.iter().map(|request| enter(request)).collect();
        assert_eq!(entered, [true, true, false, false]);
        drop(requests);
        let again = load.begin().0;
        assert!(enter(&again) && enter(&again), "one place is enough for it");
        let next = load.begin().0;
        assert!(enter(&next));
    }
}

#[test]
fn those_that_wait_for_one_answer_leave_half_of_the_places_to_those_that_wait_for_others() {
    let load = load(8, 0, 0);
    let (frozen, other) = (Waiting::default(), Waiting::default());
    let requests: Vec<_> = (0..8).map(|_| load.begin().0).collect();
    let (strangers, known) = requests.split_at(4);
    assert!(strangers.iter().all(|request| request.anonymous()));
    let wait = |requests: &[Arc<AtWork>]| -> Vec<_> {
        requests.iter().filter_map(|request| request.wait_in(&frozen)).collect()
    };
    let strangers_waiting = wait(strangers);
    assert_eq!(strangers_waiting.len(), 2);
    assert!(strangers[3].wait_in(&other).is_some());
    assert_eq!(wait(known).len(), 2);
    drop(strangers_waiting);
    assert_eq!(wait(known).len(), 4);
    assert_eq!((frozen.all.into_inner(), frozen.anonymous.into_inner()), (0, 0));
}

#[test]
fn what_is_refused_takes_no_place() {
    let load = load(2, 0, 0);
    let strangers: Vec<_> = (0..5).map(|_| load.begin().0).collect();
    drop(strangers);
    let (first, second) = (load.begin().0, load.begin().0);
    assert!(first.anonymous() && !second.anonymous());
    let third = load.begin();
    assert!(third.1, "a stranger who is refused, and is still told so");
    let fourth = load.begin();
    assert!(!fourth.1);
    drop(third);
    assert!(load.begin().1, "one more that is refused");
}

#[test]
fn who_becomes_known_leaves_the_place_of_a_stranger() {
    let load = load(2, 0, 0);
    let (first, second) = (load.begin().0, load.begin().0);
    assert!(first.anonymous());
    first.not_anonymous();
    assert!(second.anonymous());
}
