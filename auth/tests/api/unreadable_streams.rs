//! Streams of one person that cannot be read: their requests answer `500 internal`, and those of others work.

use events::{SessionId, StreamName, UserId};

use crate::{
    second_factor::claims,
    support::{ADA, App, PASSWORD},
};

#[derive(Debug, Clone, Copy)]
enum Struck {
    Account,
    Session,
    Email,
}

#[tokio::test]
async fn a_stream_of_a_person_that_cannot_be_read_is_a_failure_and_no_outage() {
    for struck in [Struck::Account, Struck::Session, Struck::Email] {
        let app = App::start().await;
        let (access, refresh) = app.sign_in(ADA).await;
        let (others, _) = app.sign_in("other@example.com").await;
        let claims = claims(&access);
        let id = |name: &str| claims[name].as_str().unwrap().to_owned();
        let stream = match struck {
            Struck::Account => StreamName::account(UserId(id("sub").parse().unwrap())),
            Struck::Session => StreamName::session(SessionId(id("sid").parse().unwrap())),
            Struck::Email => app.log().await[0].stream.clone(),
        };
        let damage = "UPDATE events SET type = 'of.tomorrow' WHERE stream = $1";
        app.damage_log(damage, stream.as_str().into()).await;
        let app = app.restarted().await;

        let login = app.login(ADA, PASSWORD).await;
        let refreshed = app.refresh(&refresh).await;
        let asked = app.me(&access).await;
        let (broken, whole) = match struck {
            Struck::Account => (vec![login, refreshed, asked], vec![]),
            Struck::Session => (vec![refreshed, asked], vec![login]),
            Struck::Email => (vec![login], vec![refreshed, asked]),
        };
        for answer in broken {
            answer.expect(500, "internal");
        }
        for answer in whole {
            answer.expect(200, "");
        }
        app.me(&others).await.expect(200, "");
    }
}
