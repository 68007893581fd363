//! Chooses the next request for hashing a password: addresses take turns, and so do strangers and familiar clients.
//! Knows nothing of how requests wait.

use std::collections::{HashSet, VecDeque};

/// After this many familiar requests in a row a stranger is admitted, if there is one, so that neither kind blocks
/// the other.
const FAMILIAR_IN_A_ROW: usize = 3;

/// Why a request gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueError {
    /// Too many requests of its address wait already.
    Crowded,
    /// Every place is taken, and no address has more places than this one would have.
    Full,
}

/// The waiting requests, and facts about the admitted ones. `T` notifies a waiting request.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    /// How many more requests can be admitted.
    free: usize,
    /// The counters of admitted requests: no other request with one of these is admitted meanwhile.
    busy: HashSet<String>,
    familiar: WaitingGroup<T>,
    strangers: WaitingGroup<T>,
    familiar_in_a_row: usize,
    entered: u64,
}

/// The waiting requests of one kind.
#[derive(Debug)]
struct WaitingGroup<T> {
    most: usize,
    most_of_one_address: usize,
    waiting: usize,
    /// The addresses, the least recently served first; none is empty.
    addresses: VecDeque<Address<T>>,
}

#[derive(Debug)]
struct Address<T> {
    key: String,
    /// The requests in the order of arrival.
    waiting: VecDeque<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    number: u64,
    counter: Option<String>,
    sender: T,
}

impl<T> FairQueue<T> {
    /// Admits `at_once` requests at the same time, and lets `waiting` of each kind wait, half of them from one
    /// address.
    pub(super) fn new(at_once: usize, waiting: usize) -> Self {
        let group = || WaitingGroup {
            most: waiting,
            most_of_one_address: (waiting / 2).max(1),
            waiting: 0,
            addresses: VecDeque::new(),
        };
        Self {
            free: at_once,
            busy: HashSet::new(),
            familiar: group(),
            strangers: group(),
            familiar_in_a_row: 0,
            entered: 0,
        }
    }

    /// Adds a request. Returns its number, and the request that loses its place for it: the last one of the address
    /// with the most.
    pub(super) fn enter(
        &mut self,
        is_familiar: bool,
        address: &str,
        counter: Option<&str>,
        sender: T,
    ) -> Result<(u64, Option<T>), QueueError> {
        // Then no waiting request could be admitted before it.
        let is_next = self.free > 0 && counter.is_none_or(|counter| !self.busy.contains(counter));
        let group = if is_familiar { &mut self.familiar } else { &mut self.strangers };
        let leaves = if is_next { None } else { group.make_room(address)? };
        self.entered += 1;
        group.add(address, Waiting { number: self.entered, counter: counter.map(str::to_owned), sender });
        Ok((self.entered, leaves))
    }

    /// Admits the next request, and returns its counter.
    pub(super) fn admit(&mut self) -> Option<(T, Option<String>)> {
        if self.free == 0 {
            return None;
        }
        let Self { busy, familiar, strangers, .. } = self;
        let (next, is_familiar) = if self.familiar_in_a_row < FAMILIAR_IN_A_ROW {
            let next = familiar.next(busy).map(|next| (next, true));
            next.or_else(|| strangers.next(busy).map(|next| (next, false)))
        } else {
            let next = strangers.next(busy).map(|next| (next, false));
            next.or_else(|| familiar.next(busy).map(|next| (next, true)))
        }?;
        self.familiar_in_a_row = if is_familiar { self.familiar_in_a_row.saturating_add(1) } else { 0 };
        self.free -= 1;
        self.busy.extend(next.counter.clone());
        Some((next.sender, next.counter))
    }

    /// Records that an admitted request with `counter` is done.
    pub(super) fn release(&mut self, counter: Option<&str>) {
        self.free += 1;
        if let Some(counter) = counter {
            self.busy.remove(counter);
        }
    }

    /// Removes the waiting request with this number.
    pub(super) fn leave(&mut self, number: u64) {
        for group in [&mut self.familiar, &mut self.strangers] {
            group.remove(number);
        }
    }
}

impl<T> WaitingGroup<T> {
    /// Makes room for one more request from `address`, and returns the one that loses its place.
    fn make_room(&mut self, address: &str) -> Result<Option<T>, QueueError> {
        let its = self.addresses.iter().find(|other| other.key == address);
        let its = its.map_or(0, |address| address.waiting.len());
        if its >= self.most_of_one_address {
            return Err(QueueError::Crowded);
        }
        if self.waiting < self.most {
            return Ok(None);
        }
        let greediest = self
            .addresses
            .iter_mut()
            .max_by_key(|address| address.waiting.len())
            // Otherwise the two addresses would only exchange places.
            .filter(|greediest| greediest.waiting.len() > its + 1)
            .ok_or(QueueError::Full)?;
        let last = greediest.waiting.pop_back();
        self.waiting -= 1;
        Ok(last.map(|last| last.sender))
    }

    fn add(&mut self, address: &str, waiting: Waiting<T>) {
        self.waiting += 1;
        if let Some(known) = self.addresses.iter_mut().find(|other| other.key == address) {
            known.waiting.push_back(waiting);
        } else {
            self.addresses.push_back(Address { key: address.to_owned(), waiting: [waiting].into() });
        }
    }

    /// Takes the next request whose counter is not `busy`, and moves its address to the end.
    fn next(&mut self, busy: &HashSet<String>) -> Option<Waiting<T>> {
        let is_ready = |one: &Waiting<T>| one.counter.as_ref().is_none_or(|counter| !busy.contains(counter));
        let (place, first) = self.addresses.iter().enumerate().find_map(|(place, address)| {
            let first = address.waiting.iter().position(is_ready)?;
            Some((place, first))
        })?;
        let mut address = self.addresses.remove(place)?;
        let next = address.waiting.remove(first);
        if !address.waiting.is_empty() {
            self.addresses.push_back(address);
        }
        self.waiting -= 1;
        next
    }

    fn remove(&mut self, number: u64) {
        for address in &mut self.addresses {
            let before = address.waiting.len();
            address.waiting.retain(|one| one.number != number);
            self.waiting -= before - address.waiting.len();
        }
        self.addresses.retain(|address| !address.waiting.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: usize = 512;

    /// A queue that admits one request at a time, which has been admitted.
    fn busy(waiting: usize) -> FairQueue<String> {
        let mut queue = FairQueue::new(1, waiting);
        enter(&mut queue, false, "admitted").unwrap();
        assert_eq!(next(&mut queue), "admitted");
        queue
    }

    fn enter(
        queue: &mut FairQueue<String>,
        is_familiar: bool,
        address: &str,
    ) -> Result<Option<String>, QueueError> {
        queue.enter(is_familiar, address, None, address.to_owned()).map(|(_, leaves)| leaves)
    }

    fn next(queue: &mut FairQueue<String>) -> String {
        queue.admit().unwrap().0
    }

    fn next_after_one_is_done(queue: &mut FairQueue<String>) -> String {
        queue.release(None);
        next(queue)
    }

    /// The number of waiting requests of `address`.
    fn places(queue: &FairQueue<String>, is_familiar: bool, address: &str) -> usize {
        let group = if is_familiar { &queue.familiar } else { &queue.strangers };
        let found = group.addresses.iter().find(|other| other.key == address);
        found.map_or(0, |address| address.waiting.len())
    }

    #[test]
    fn however_few_addresses_take_every_place_a_newcomer_gets_one_and_is_soon_next() {
        for (greedy, is_familiar) in [1, 2, 3, 7, 100].into_iter().flat_map(|n| [(n, false), (n, true)]) {
            let mut queue = busy(PLACES);
            let names: Vec<_> = (0..greedy).map(|number| format!("greedy {number}")).collect();
            for name in names.iter().cycle().take(PLACES * 3) {
                let _ = enter(&mut queue, is_familiar, name);
            }
            let leaves = enter(&mut queue, is_familiar, "newcomer").unwrap();
            assert_eq!(leaves.is_some(), greedy > 1, "one address has half of the places");
            assert_eq!(places(&queue, is_familiar, "newcomer"), 1);
            let before = (0..).take_while(|_| next_after_one_is_done(&mut queue) != "newcomer").count();
            assert!(before <= greedy, "{before} were admitted before, of {greedy} addresses");
        }
    }

    #[test]
    fn places_are_taken_from_whoever_has_the_most_until_all_have_the_same() {
        let mut queue = busy(8);
        for address in ["a", "a", "a", "a", "b", "b", "b", "c"] {
            assert_eq!(enter(&mut queue, false, address), Ok(None));
        }
        assert_eq!(enter(&mut queue, false, "a"), Err(QueueError::Crowded));
        assert_eq!(enter(&mut queue, false, "b"), Err(QueueError::Full));
        assert_eq!(enter(&mut queue, false, "c"), Ok(Some("a".to_owned())));
        assert!(enter(&mut queue, false, "d").unwrap().is_some());
        assert!(enter(&mut queue, false, "d").unwrap().is_some());
        let all = ["a", "b", "c", "d"].map(|address| places(&queue, false, address));
        assert_eq!(all, [2, 2, 2, 2]);
        assert_eq!(enter(&mut queue, false, "a"), Err(QueueError::Full));
    }

    #[test]
    fn the_longest_waiting_of_an_address_stays_and_the_last_leaves() {
        let mut queue = FairQueue::new(0, 4);
        for (address, one) in [("a", 1), ("a", 2), ("b", 3), ("b", 4)] {
            queue.enter(false, address, None, one).unwrap();
        }
        let (_, leaves) = queue.enter(false, "c", None, 5).unwrap();
        assert!(matches!(leaves, Some(2 | 4)), "{leaves:?}");
    }

    #[test]
    fn addresses_take_turns() {
        let mut queue = busy(PLACES);
        for address in ["a", "a", "a", "b", "b", "c"] {
            enter(&mut queue, false, address).unwrap();
        }
        let order: String = (0..6).map(|_| next_after_one_is_done(&mut queue)).collect();
        assert_eq!(order, "abcaba");
    }

    #[test]
    fn neither_kind_keeps_the_other_out() {
        let mut queue = busy(PLACES);
        for _ in 0..20 {
            enter(&mut queue, false, "s").unwrap();
            enter(&mut queue, true, "F").unwrap();
        }
        let order: String = (0..9).map(|_| next_after_one_is_done(&mut queue)).collect();
        assert_eq!(order, "FFFsFFFsF");
    }

    #[test]
    fn a_counter_that_is_busy_holds_up_nobody_else() {
        let mut queue = FairQueue::new(2, PLACES);
        for number in 0..3 {
            queue.enter(false, "a", Some("account"), number).unwrap();
        }
        queue.enter(false, "a", None, 3).unwrap();
        let counter = Some("account".to_owned());
        assert_eq!(queue.admit(), Some((0, counter.clone())));
        assert_eq!(queue.admit(), Some((3, None)));
        queue.release(None);
        assert_eq!(queue.admit(), None);
        queue.release(counter.as_deref());
        assert_eq!(queue.admit(), Some((1, counter)));
    }

    #[test]
    fn whoever_can_be_admitted_at_once_needs_no_place() {
        let mut queue = FairQueue::new(2, 2);
        for number in 0..3 {
            let address = number.to_string();
            queue.enter(false, &address, Some("account"), number).unwrap();
            let _ = queue.admit();
        }
        assert_eq!(queue.enter(false, "z", Some("account"), 3), Err(QueueError::Full));
        queue.enter(false, "z", None, 4).unwrap();
        assert_eq!(queue.admit(), Some((4, None)));
    }

    #[test]
    fn whoever_leaves_makes_room() {
        let mut queue = busy(2);
        let (number, _) = queue.enter(false, "a", None, "a".to_owned()).unwrap();
        assert_eq!(enter(&mut queue, false, "b"), Ok(None));
        assert_eq!(enter(&mut queue, false, "c"), Err(QueueError::Full));
        queue.leave(number);
        assert_eq!(enter(&mut queue, false, "c"), Ok(None));
        let order: String = (0..2).map(|_| next_after_one_is_done(&mut queue)).collect();
        assert_eq!(order, "bc");
        queue.release(None);
        assert!(queue.admit().is_none());
    }
}
