//! Access tokens that nobody should make (RFC 8725). Every role refuses each of them, also those that are signed with
//! auth's own key.

use std::fs;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use ed25519_dalek::{Signer as _, SigningKey, pkcs8::DecodePrivateKey as _};
use ring::hmac;
use serde_json::{Value, json};

use super::{everywhere, is_served_everywhere, with_token};
use crate::support::{Deployment, Person, System};

#[tokio::test(flavor = "multi_thread")]
async fn embedded_forged_tokens_are_refused_everywhere() {
    forged_tokens_are_refused_everywhere(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_are_refused_everywhere_on_postgres_and_rabbitmq() {
    forged_tokens_are_refused_everywhere(Deployment::Servers).await;
}

/// The parts of a genuine token.
struct TokenParts {
    header: Value,
    claims: Value,
    signature: String,
    key: SigningKey,
    /// The public key as auth publishes it.
    jwk: Value,
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&BASE64URL.decode(part).unwrap()).unwrap()
}

/// Returns `base` with the members of `changes`. A `null` removes a member.
fn with(base: &Value, changes: Value) -> Value {
    let mut changed = base.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            changed.as_object_mut().unwrap().remove(name);
        } else {
            changed[name] = value.clone();
        }
    }
    changed
}

fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64URL.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn signed(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let signature = BASE64URL.encode(key.sign(message.as_bytes()).to_bytes());
    format!("{message}.{signature}")
}

fn authenticated(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = BASE64URL.encode(hmac::sign(&key, message.as_bytes()));
    format!("{message}.{tag}")
}

impl TokenParts {
    async fn of(system: &System, person: &Person) -> Self {
        let mut parts = person.token.split('.');
        let mut part = || parts.next().unwrap();
        let (header, claims, signature) = (decoded(part()), decoded(part()), part().to_owned());
        let keys = fs::read_dir(system.data_dir().join("keys")).unwrap();
        let pem = keys
            .map(|file| file.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == "pem"));
        let pem = fs::read_to_string(pem.unwrap()).unwrap();
        let jwks = person.get("/.well-known/jwks.json").await.expect(200).body;
        Self {
            header,
            claims,
            signature,
            key: SigningKey::from_pkcs8_pem(&pem).unwrap(),
            jwk: jwks["keys"][0].clone(),
        }
    }

    /// Signs with auth's own key.
    fn signed(&self, header: Value, claims: Value) -> String {
        signed(&self.key, &with(&self.header, header), &with(&self.claims, claims))
    }

    /// Tokens that somebody without the key can make.
    fn of_an_outsider(&self) -> Vec<(&'static str, String)> {
        let Self { header, claims, jwk, .. } = self;
        let own = SigningKey::from_bytes(&[7; 32]);
        let own_x = BASE64URL.encode(own.verifying_key().to_bytes());
        let own_jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": own_x});
        let public = self.key.verifying_key().to_bytes();
        let hs256 = with(header, json!({"alg": "HS256"}));
        let by_own_key = |changes: Value| signed(&own, &with(header, changes), claims);
        let message = message(header, claims);
        let admin = with(claims, json!({"roles": ["admin"]}));
        let mut forged = vec![
            ("signed by a key of one's own", by_own_key(json!({}))),
            ("with its key", by_own_key(json!({"jwk": own_jwk}))),
            ("with its key and id", by_own_key(json!({"jwk": own_jwk, "kid": "own"}))),
            ("with where its key is", by_own_key(json!({"jku": "http://127.0.0.1:1/jwks.json"}))),
            ("with where its certificate is", by_own_key(json!({"x5u": "http://127.0.0.1:1/x5u.pem"}))),
            ("with a certificate", by_own_key(json!({"x5c": ["MIIB"]}))),
            ("a key that is a file", by_own_key(json!({"kid": "../../../../dev/null"}))),
            ("a key that is SQL", by_own_key(json!({"kid": "' OR 1=1 --"}))),
            ("the public key as a secret", authenticated(&public, &hs256, claims)),
            ("its text as a secret", authenticated(jwk["x"].as_str().unwrap().as_bytes(), &hs256, claims)),
            ("the published key as a secret", authenticated(jwk.to_string().as_bytes(), &hs256, claims)),
            ("no secret", authenticated(b"", &hs256, claims)),
            ("without its signature", format!("{message}.")),
            ("with half a signature", format!("{message}.{}", &self.signature[..43])),
            ("with more behind it", format!("{message}.{}AAAA", self.signature)),
            ("with padding", format!("{message}.{}==", self.signature)),
            ("in four parts", format!("{message}.{}.{}", self.signature, self.signature)),
            (
                "with other claims",
                format!("{}.{}", super::forged_tokens::message(header, &admin), self.signature),
            ),
            ("of 20 kB", format!("{message}.{}", "A".repeat(20_000))),
        ];
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let unsigned = super::forged_tokens::message(&with(header, json!({"alg": alg})), claims);
            forged.push(("unsigned", format!("{unsigned}.")));
            forged.push(("unsigned, with a signature", format!("{unsigned}.{}", self.signature)));
        }
        forged
    }

    /// Wrong tokens that are signed with auth's own key, by mistake or for another purpose.
    fn of_an_insider(&self) -> Vec<(&'static str, String)> {
        let now = self.claims["iat"].as_i64().unwrap();
        let of_header = |changes| self.signed(changes, json!({}));
        let of_claims = |changes| self.signed(json!({}), changes);
        vec![
            ("another algorithm", of_header(json!({"alg": "ES256"}))),
            ("another type", of_header(json!({"typ": "JWT"}))),
            ("no type", of_header(json!({"typ": null}))),
            ("no key", of_header(json!({"kid": null}))),
            ("an unknown key", of_header(json!({"kid": "unknown"}))),
            ("something critical", of_header(json!({"crit": ["exp"]}))),
            ("not in Base64", of_header(json!({"b64": false, "crit": ["b64"]}))),
            ("compressed", of_header(json!({"zip": "DEF"}))),
            ("of another issuer", of_claims(json!({"iss": "https://issuer.example.org"}))),
            ("of no issuer", of_claims(json!({"iss": null}))),
            ("for somebody else", of_claims(json!({"aud": "another-service"}))),
            ("for several", of_claims(json!({"aud": ["taskledger", "another-service"]}))),
            ("for nobody", of_claims(json!({"aud": null}))),
            ("without an end", of_claims(json!({"exp": null}))),
            ("good in an hour", of_claims(json!({"nbf": now + 3_600}))),
            ("made in an hour", of_claims(json!({"iat": now + 3_600, "exp": now + 4_500}))),
            ("without a session", of_claims(json!({"sid": null}))),
            ("of no person", of_claims(json!({"sub": "admin"}))),
        ]
    }
}

async fn forged_tokens_are_refused_everywhere(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let bob = Person::join(&system.base, "bob").await;
    let genuine = TokenParts::of(&system, &ada).await;

    // A correct token with this signature is accepted, so the others are refused for what is wrong with them.
    let copy = with_token(&ada, genuine.signed(json!({}), json!({})));
    is_served_everywhere(&copy).await;
    for (what, token) in [genuine.of_an_outsider(), genuine.of_an_insider()].concat() {
        for answer in everywhere(&with_token(&ada, token.as_str())).await {
            assert_eq!(answer.status, 401, "{what}: {answer:?}");
            assert_eq!(answer.code(), "token-invalid", "{what}: {answer:?}");
        }
    }

    let past = genuine.claims["iat"].as_i64().unwrap() - 1;
    let expired = with_token(&ada, genuine.signed(json!({}), json!({"exp": past})));
    for answer in everywhere(&expired).await {
        assert_eq!(answer.expect(401).code(), "token-expired");
    }
    // A session belongs to its owner, whatever a token says.
    let bobs = decoded(bob.token.split('.').nth(1).unwrap());
    let mixed = with_token(&ada, genuine.signed(json!({}), json!({"sub": bobs["sub"]})));
    for answer in everywhere(&mixed).await {
        assert_eq!(answer.expect(401).code(), "session-ended");
    }
    // A caller's roles are those of the account, whatever a token says.
    let promoted = json!({"roles": ["user", "auditor", "admin"]});
    let promoted = with_token(&ada, genuine.signed(json!({}), promoted));
    for path in ["/auth/users", "/audit/export"] {
        assert_eq!(promoted.get(path).await.expect(403).code(), "forbidden");
    }
    // A token that is longer than a header may be is refused too.
    let huge = with_token(&ada, "A".repeat(70_000));
    assert_eq!(huge.get("/tasks").await.status, 431);
    system.stop().await;
}
