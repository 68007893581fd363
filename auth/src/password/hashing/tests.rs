//! Passwords and their hashes by argon2id and bcrypt.

use super::*;

const CHEAP: Argon2Parameters = Argon2Parameters {
    memory_kib: 64,
    iterations: 2,
    parallelism: 1,
};

fn password(text: &str) -> Arc<Password> {
    Arc::new(Password::new(text))
}

impl Hasher {
    async fn hash_now(&self, password: &Arc<Password>) -> Result<String, HashingFailed> {
        let slot = self.admit(Requester::stranger("")).await?;
        self.hash(&slot, password).await
    }

    async fn verify_now(
        &self,
        password: &Arc<Password>,
        hash: Option<&str>,
    ) -> Result<Verified, HashingFailed> {
        let slot = self.admit(Requester::stranger("")).await?;
        self.verify(&slot, password, hash).await
    }
}

/// Whether the password matches, and whether its hash is outdated.
fn said(verified: Verified) -> (bool, bool) {
    (verified.matches, verified.is_outdated)
}

fn hasher() -> Hasher {
    Hasher::new(CHEAP, 2, 8, Duration::ZERO).unwrap()
}

/// What the crate makes and compares by itself, with memory that was used before, for more and for less.
#[test]
fn used_memory_changes_no_hash() {
    let mut memory = Argon2Memory::default();
    for (memory_kib, parallelism) in [(64, 1), (128, 4), (32, 2), (64, 1)] {
        let params = Params::new(memory_kib, 2, parallelism, None).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        for (text, other) in [("plum tractor canyon", "plum tractor canyoN"), ("x", "")] {
            let hash: PasswordHash = argon2.hash_password(text.as_bytes()).unwrap();
            assert!(memory.matches(text.as_bytes(), &hash).unwrap());
            assert!(!memory.matches(other.as_bytes(), &hash).unwrap());
        }
    }
}

#[tokio::test]
async fn a_password_matches_its_own_hash_only() {
    let hasher = hasher();
    let hash = hasher.hash_now(&password("plum tractor canyon")).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{hash}");
    let fresh = |matches| (matches, false);
    assert_eq!(
        hasher
            .verify_now(&password("plum tractor canyon"), Some(&hash))
            .await
            .map(said)
            .unwrap(),
        fresh(true)
    );
    assert_eq!(
        hasher
            .verify_now(&password("plum tractor canyoN"), Some(&hash))
            .await
            .map(said)
            .unwrap(),
        fresh(false)
    );
    assert_ne!(
        hasher.hash_now(&password("plum tractor canyon")).await.unwrap(),
        hash,
        "salted"
    );
}

#[test]
fn nobody_has_the_dummy_and_it_costs_what_a_hash_costs() {
    let dummy = dummy(CHEAP);
    let parsed = PasswordHash::new(&dummy).unwrap();
    let made = make(&hasher().argon2, b"plum tractor canyon").unwrap();
    let made = PasswordHash::new(&made).unwrap();
    assert_eq!((parsed.algorithm, parsed.version), (made.algorithm, made.version));
    assert_eq!(parsed.params, made.params);
    let lengths = |hash: &PasswordHash| {
        (
            hash.salt.map(|salt| salt.len()),
            hash.hash.map(|output| output.len()),
        )
    };
    assert_eq!(lengths(&parsed), lengths(&made));
    let verified = Argon2Memory::default().matches(b"plum tractor canyon", &parsed);
    assert!(matches!(verified, Ok(false)), "{verified:?}");
}

#[tokio::test]
async fn the_last_of_128_characters_counts() {
    let hasher = hasher();
    let hash = hasher.hash_now(&password(&"🦀".repeat(128))).await.unwrap();
    let other = format!("{}🐢", "🦀".repeat(127));
    assert!(
        hasher
            .verify_now(&password(&"🦀".repeat(128)), Some(&hash))
            .await
            .unwrap()
            .matches
    );
    assert!(
        !hasher
            .verify_now(&password(&other), Some(&hash))
            .await
            .unwrap()
            .matches
    );
}

#[tokio::test]
async fn composition_makes_no_difference() {
    let hasher = hasher();
    let hash = hasher
        .hash_now(&password("caf\u{e9} tractor canyon"))
        .await
        .unwrap();
    assert!(
        hasher
            .verify_now(&password("cafe\u{301} tractor canyon"), Some(&hash))
            .await
            .unwrap()
            .matches
    );
}

#[tokio::test]
async fn weaker_parameters_are_outdated_and_stronger_ones_are_not() {
    let weak = hasher();
    let strong = Hasher::new(
        Argon2Parameters {
            memory_kib: 128,
            ..CHEAP
        },
        1,
        1,
        Duration::ZERO,
    )
    .unwrap();
    let secret = password("plum tractor canyon");
    let hash = weak.hash_now(&secret).await.unwrap();
    let verified = strong.verify_now(&secret, Some(&hash)).await.unwrap();
    assert_eq!(said(verified), (true, true));
    let hash = strong.hash_now(&secret).await.unwrap();
    let verified = weak.verify_now(&secret, Some(&hash)).await.unwrap();
    assert_eq!(said(verified), (true, false));
}

#[tokio::test]
async fn bcrypt_hashes_verify_and_are_outdated() {
    let secret = password("short");
    for prefix in ["$2a$", "$2b$", "$2y$"] {
        let hash = bcrypt::hash("short", 4).unwrap();
        let hash = format!("{prefix}{}", &hash[4..]);
        let verified = hasher().verify_now(&secret, Some(&hash)).await.unwrap();
        assert_eq!(said(verified), (true, true), "{hash}");
        assert!(
            !hasher()
                .verify_now(&password("other"), Some(&hash))
                .await
                .unwrap()
                .matches
        );
    }
}

#[tokio::test]
async fn nothing_matches_where_there_is_no_account() {
    let verified = hasher()
        .verify_now(&password("nobody has this password"), None)
        .await
        .unwrap();
    assert!(!verified.matches);
    assert!(
        !hasher()
            .verify_now(&password("x"), Some("not a hash"))
            .await
            .unwrap()
            .matches
    );
}

#[test]
fn impossible_parameters_are_refused() {
    assert!(
        Hasher::new(
            Argon2Parameters {
                memory_kib: 1,
                iterations: 0,
                parallelism: 1
            },
            1,
            1,
            Duration::ZERO,
        )
        .is_err()
    );
}
