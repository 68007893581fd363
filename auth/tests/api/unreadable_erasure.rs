//! The erasure of people whose account has a record that this build cannot read.

use events::{AdminsEvent, Event, StreamName, UserId};

use crate::{
    interrupted_erasure::exploded,
    support::{ADA, App, OPERATION},
};

/// How a record of an account cannot be read.
#[derive(Debug, Clone, Copy)]
enum Unreadable {
    UnknownEvent,
    First,
    Last,
}

#[tokio::test]
async fn whose_account_cannot_be_read_is_erased_by_an_operator() {
    for unreadable in [Unreadable::UnknownEvent, Unreadable::First, Unreadable::Last] {
        let app = App::start().await;
        app.sign_in_admin("root@example.com").await;
        let access = app.sign_in_admin(ADA).await;
        let id = app.id_of(&access).await;
        let account = StreamName::account(id);
        match unreadable {
            Unreadable::UnknownEvent => app.append(&account, id, [exploded()]).await,
            Unreadable::First => app.damage_record(&account, 1).await,
            Unreadable::Last => damage_last(&app, id).await,
        }
        let app = app.restarted().await;
        app.me(&access).await.expect(500, "internal");
        app.register(ADA).await.expect(409, "email-taken");

        let operator = app.operator().await;
        for person in [ADA, &id.to_string()] {
            let holder = operator.find_also_erased(person).await.unwrap();
            assert_eq!((holder.user_id, holder.registered_at, holder.is_erased), (id, None, false));
            let email = (!matches!(unreadable, Unreadable::First)).then_some(ADA);
            assert_eq!(holder.email.as_deref(), email);
        }
        let erased = operator.erase(id, OPERATION.into()).await.unwrap();
        assert!(erased.changed && erased.receipt.is_some(), "{unreadable:?}");
        assert!(app.dependencies.keys.is_destroyed(id).await.unwrap());
        let again = operator.erase(id, OPERATION.into()).await.unwrap();
        assert!(!again.changed, "{unreadable:?}");
        app.me(&access).await.expect(401, "session-ended");
        assert!(!is_admin(&app, id).await);
        app.register(ADA).await.expect(201, "");
    }
}

#[tokio::test]
async fn the_last_admin_stays_also_when_the_account_cannot_be_read() {
    let app = App::start().await;
    let access = app.sign_in_admin(ADA).await;
    let id = app.id_of(&access).await;
    app.append(&StreamName::account(id), id, [exploded()]).await;
    let refused = app.operator().await.erase(id, OPERATION.into()).await;
    assert!(refused.unwrap_err().to_string().contains("last admin"));
    assert!(is_admin(&app, id).await);
}

async fn is_admin(app: &App, id: UserId) -> bool {
    let stream = StreamName::admins();
    let admins = app.dependencies.store.read_stream(&stream, 0, 100).await;
    let mut is_admin = false;
    for event in &admins.unwrap() {
        match Event::try_from(event).unwrap() {
            Event::Admins(AdminsEvent::Added(added)) if added.account == id => is_admin = true,
            Event::Admins(AdminsEvent::Removed(removed)) if removed.account == id => is_admin = false,
            _ => {}
        }
    }
    is_admin
}

/// The keys of three people are destroyed, and the log has erased nobody, since it is from a backup.
#[tokio::test]
async fn an_account_that_cannot_be_read_does_not_keep_auth_from_starting() {
    let app = App::start().await;
    let mut people = Vec::new();
    for email in [ADA, "bob@example.com", "carol@example.com"] {
        let (access, _) = app.sign_in(email).await;
        people.push((app.id_of(&access).await, access));
    }
    let (ada, carol) = (people[0].0, people[2].0);
    app.append(&StreamName::account(carol), carol, [exploded()]).await;
    damage_last(&app, ada).await;
    for (id, _) in &people {
        app.dependencies.keys.destroy(*id).await.unwrap();
    }
    let app = app.restarted().await;
    app.me(&people[0].1).await.expect(500, "internal");
    app.me(&people[1].1).await.expect(401, "session-ended");
    let account = StreamName::account(carol);
    let account = app.dependencies.store.read_stream(&account, 0, 100).await;
    assert_eq!(account.unwrap().last().unwrap().kind, "account.erased");
    for email in ["bob@example.com", "carol@example.com"] {
        app.register(email).await.expect(201, "");
    }
}

/// The last record of the account `id` cannot be read.
async fn damage_last(app: &App, id: UserId) {
    let account = StreamName::account(id);
    let head = app.dependencies.store.stream_head(&account).await.unwrap();
    app.damage_record(&account, head.unwrap().version).await;
}
