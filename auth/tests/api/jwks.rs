//! `GET /.well-known/jwks.json`

use std::{
    fs::{self, File},
    path::PathBuf,
    time::Duration,
};

use auth_client::{KEYS_QUEUE, REVOCATIONS, Revocation};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use bus::Heard;
use bytes::Bytes;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use test_support::{eventually, make_pipe, open_pipe};

use crate::support::{ADA, App};

#[tokio::test]
async fn anyone_can_verify_a_token_with_the_published_key() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let jwks = app.get("/.well-known/jwks.json").send().await.expect(200, "");
    assert_eq!(jwks.header("content-type"), "application/json");
    let [key] = &jwks.body["keys"].as_array().unwrap()[..] else { panic!("one key: {jwks:?}") };
    let (x, kid) = (key["x"].as_str().unwrap(), key["kid"].as_str().unwrap());
    let expected = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"});
    assert_eq!(*key, expected, "nothing private");
    assert_eq!(BASE64URL.decode(x).unwrap().len(), 32);

    let header = decode_header(&access).unwrap();
    assert_eq!((header.alg, header.kid.as_deref()), (Algorithm::EdDSA, Some(kid)));
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["taskledger"]);
    validation.set_issuer(&["taskledger"]);
    validation.validate_exp = false;
    let decoded =
        decode::<Value>(&access, &DecodingKey::from_ed_components(x).unwrap(), &validation).unwrap();
    let mut names: Vec<_> = decoded.claims.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(
        names,
        ["amr", "aud", "auth_time", "client_id", "email", "exp", "iat", "iss", "jti", "roles", "sid", "sub"]
    );
}

#[tokio::test]
async fn a_key_that_is_put_beside_the_others_needs_no_restart() {
    let app = App::start().await;
    let other = App::start().await;
    let newer = app.keys().join(format!("{}.pem", uuid::Uuid::now_v7()));
    fs::copy(other.keys().join("0-first.pem"), newer).unwrap();
    let restarted = app.replica(|_, _| {}).await;
    let (new, _) = restarted.sign_in(ADA).await;
    eventually("the new key is read", || async { app.me(&new).await.status == 200 }).await;
}

#[tokio::test]
async fn a_key_that_is_taken_away_is_told_to_those_who_remember_its_tokens() {
    let app = App::start().await;
    let other = App::start().await;
    let newer = app.keys().join(format!("{}.pem", uuid::Uuid::now_v7()));
    fs::copy(other.keys().join("0-first.pem"), newer).unwrap();
    let app = app.replica(|_, _| {}).await;
    let mut revocations = app.dependencies.bus.listen(REVOCATIONS).await.unwrap();
    fs::remove_file(app.keys().join("0-first.pem")).unwrap();
    let heard = async {
        while let Heard::Message(bytes) = revocations.next().await {
            if Revocation::decode(&bytes).unwrap() == Revocation::Keys {
                break;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), heard).await.unwrap();
}

/// A named pipe among the keys. Whoever reads it waits until this is dropped, as for a file system of the network that
/// has gone.
struct Unanswering {
    path: PathBuf,
    /// While it is open the pipe does not end.
    _writer: File,
}

impl Unanswering {
    fn make(path: PathBuf) -> Self {
        make_pipe(&path);
        Self { _writer: open_pipe(&path), path }
    }

    /// Whether somebody besides this has opened it.
    fn is_being_read(&self) -> bool {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let open = open.filter(|file| fs::read_link(file.path()).is_ok_and(|path| path == self.path));
        open.count() > 1
    }
}

impl Drop for Unanswering {
    fn drop(&mut self) {
        fs::remove_file(&self.path).unwrap();
    }
}

#[tokio::test]
async fn a_directory_of_keys_that_does_not_answer_keeps_nobody_from_the_known_keys() {
    let app = App::start().await;
    let other = App::start().await;
    let unanswering = Unanswering::make(app.keys().join("x.pem"));
    let published = async || {
        let bus = &app.dependencies.bus;
        let keys = bus.request(KEYS_QUEUE, Bytes::new(), Duration::from_secs(10));
        let keys: Value = serde_json::from_slice(&keys.await.unwrap()).unwrap();
        keys["keys"].as_array().unwrap().len()
    };
    eventually("the directory is read", async || unanswering.is_being_read()).await;
    assert_eq!(published().await, 1);
    let newer = app.keys().join(format!("{}.pem", uuid::Uuid::now_v7()));
    fs::copy(other.keys().join("0-first.pem"), newer).unwrap();
    drop(unanswering);
    eventually("the directory is read again", async || published().await == 2).await;
}

#[tokio::test]
async fn a_new_key_signs_and_the_old_one_still_verifies() {
    let app = App::start().await;
    let (old, _) = app.sign_in(ADA).await;
    let other = App::start().await;
    let newer = app.keys().join(format!("{}.pem", uuid::Uuid::now_v7()));
    fs::copy(other.keys().join("0-first.pem"), newer).unwrap();

    let rotated = app.replica(|_, _| {}).await;
    let (new, _) = rotated.sign_in(ADA).await;
    assert_ne!(decode_header(&old).unwrap().kid, decode_header(&new).unwrap().kid);
    rotated.me(&old).await.expect(200, "");
    rotated.me(&new).await.expect(200, "");
    let jwks = rotated.get("/.well-known/jwks.json").send().await;
    assert_eq!(jwks.body["keys"].as_array().unwrap().len(), 2);
}
