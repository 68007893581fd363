//! The partition of a subject: within range, and the same forever.

use events::{ConsistencyToken, PartitionCount, UserId};
use proptest::prelude::*;
use uuid::Uuid;

use crate::arbitrary::user_id;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_partition_is_below_the_count_and_that_of_the_subjects_tokens(
        subject in user_id(),
        position in any::<u64>(),
        count in 1_u16..=256,
    ) {
        let partitions = PartitionCount::new(count).unwrap();
        let partition = partitions.of(subject);
        prop_assert!(partition < count);
        prop_assert_eq!(partitions.of_token(ConsistencyToken::new(subject, position)), partition);
    }
}

#[test]
fn tokens_of_one_subject_can_be_compared() {
    let (ada, grace) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    assert!(ConsistencyToken::new(ada, 1).same_subject(ConsistencyToken::new(ada, 2)));
    assert!(!ConsistencyToken::new(ada, 1).same_subject(ConsistencyToken::new(grace, 1)));
}

#[test]
fn partition_counts_run_from_1_to_256() {
    assert!(PartitionCount::new(0).is_none());
    assert!(PartitionCount::new(257).is_none());
    let seven = PartitionCount::new(7).unwrap();
    assert_eq!(seven.get(), 7);
    assert!(seven.iter().eq(0..7));
}

/// Read models, queues and clients' tokens outlive a release: these values may never change.
#[test]
fn the_partition_of_a_subject_never_changes() {
    let counts = [1, 2, 4, 7, 16, 256].map(|count| PartitionCount::new(count).unwrap());
    let golden = [
        ("01890a5d-ac96-774b-bcce-b302099a8057", "96f8b57a-7", [0, 0, 2, 1, 10, 122]),
        ("00000000-0000-0000-0000-000000000000", "374708ff-7", [0, 1, 3, 1, 15, 255]),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", "5ac6a594-7", [0, 0, 0, 6, 4, 148]),
        ("01932f6e-7a40-7c3e-8d2b-4f5a6b7c8d9e", "53528bc7-7", [0, 1, 3, 1, 7, 199]),
    ];
    for (subject, token, partitions) in golden {
        let subject: UserId = subject.parse().unwrap();
        assert_eq!(ConsistencyToken::new(subject, 7).to_string(), token);
        assert_eq!(counts.map(|count| count.of(subject)), partitions, "{subject}");
    }
}
