//! Passwords and their hashes by argon2id and bcrypt.

use super::*;

const CHEAP: Argon2Parameters = Argon2Parameters { memory_kib: 64, iterations: 2, parallelism: 1 };

fn password(text: &str) -> Arc<Password> {
    Arc::new(Password::new(text))
}

impl Hasher {
    async fn hash_now(&self, text: &str) -> String {
        let slot = self.admit(Requester::stranger("")).await.unwrap();
        self.hash(&slot, &password(text)).await.unwrap()
    }

    /// Whether `text` is the password of `hash`, and whether that is outdated.
    async fn verify_now(&self, text: &str, hash: Option<&str>) -> (bool, bool) {
        let slot = self.admit(Requester::stranger("")).await.unwrap();
        let verified = self.verify(&slot, &password(text), hash).await.unwrap();
        (verified.matches, verified.is_outdated)
    }
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
    let (hasher, text) = (hasher(), "plum tractor canyon");
    let hash = hasher.hash_now(text).await;
    assert!(hash.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{hash}");
    assert_eq!(hasher.verify_now(text, Some(&hash)).await, (true, false));
    let other = hasher.verify_now("plum tractor canyoN", Some(&hash)).await;
    assert_eq!(other, (false, false));
    assert_ne!(hasher.hash_now(text).await, hash, "salted");
}

#[test]
fn nobody_has_the_dummy_and_it_costs_what_a_hash_costs() {
    let dummy = dummy(CHEAP);
    let parsed = PasswordHash::new(&dummy).unwrap();
    let made = make(&hasher().argon2, b"plum tractor canyon").unwrap();
    let made = PasswordHash::new(&made).unwrap();
    assert_eq!((parsed.algorithm, parsed.version), (made.algorithm, made.version));
    assert_eq!(parsed.params, made.params);
    let lengths =
        |hash: &PasswordHash| (hash.salt.map(|salt| salt.len()), hash.hash.map(|output| output.len()));
    assert_eq!(lengths(&parsed), lengths(&made));
    let verified = Argon2Memory::default().matches(b"plum tractor canyon", &parsed);
    assert!(matches!(verified, Ok(false)), "{verified:?}");
}

#[tokio::test]
async fn the_last_of_128_characters_counts() {
    let (hasher, text) = (hasher(), "🦀".repeat(128));
    let hash = hasher.hash_now(&text).await;
    let other = format!("{}🐢", "🦀".repeat(127));
    assert!(hasher.verify_now(&text, Some(&hash)).await.0);
    assert!(!hasher.verify_now(&other, Some(&hash)).await.0);
}

#[tokio::test]
async fn composition_makes_no_difference() {
    let hasher = hasher();
    let hash = hasher.hash_now("caf\u{e9} tractor canyon").await;
    let decomposed = hasher.verify_now("cafe\u{301} tractor canyon", Some(&hash));
    assert!(decomposed.await.0);
}

#[tokio::test]
async fn weaker_parameters_are_outdated_and_stronger_ones_are_not() {
    let weak = hasher();
    let parameters = Argon2Parameters { memory_kib: 128, ..CHEAP };
    let strong = Hasher::new(parameters, 1, 1, Duration::ZERO).unwrap();
    let text = "plum tractor canyon";
    let hash = weak.hash_now(text).await;
    assert_eq!(strong.verify_now(text, Some(&hash)).await, (true, true));
    let hash = strong.hash_now(text).await;
    assert_eq!(weak.verify_now(text, Some(&hash)).await, (true, false));
}

#[tokio::test]
async fn bcrypt_hashes_verify_and_are_outdated() {
    for prefix in ["$2a$", "$2b$", "$2y$"] {
        let hash = bcrypt::hash("short", 4).unwrap();
        let hash = format!("{prefix}{}", &hash[4..]);
        let verified = hasher().verify_now("short", Some(&hash)).await;
        assert_eq!(verified, (true, true), "{hash}");
        assert!(!hasher().verify_now("other", Some(&hash)).await.0);
    }
}

#[tokio::test]
async fn nothing_matches_where_there_is_no_account() {
    assert!(!hasher().verify_now("nobody has this password", None).await.0);
    assert!(!hasher().verify_now("x", Some("not a hash")).await.0);
}

#[test]
fn impossible_parameters_are_refused() {
    let parameters = Argon2Parameters { memory_kib: 1, iterations: 0, parallelism: 1 };
    assert!(Hasher::new(parameters, 1, 1, Duration::ZERO).is_err());
}
