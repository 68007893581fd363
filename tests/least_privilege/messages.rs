//! What the users of `deploy/` may not do on RabbitMQ.

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions,
        QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};

use super::Users;

/// Tries on RabbitMQ what would give a role power over others.
pub(super) async fn are_refused(users: &Users, namespace: &str) {
    let name = |local: &str| ShortString::from(format!("{namespace}.{local}"));
    // A role that could answer token checks could act as anybody.
    for (role, queue) in [
        ("query_api", "auth.verify"),
        ("command_api", "auth.verify"),
        ("gateway", "auth.keys"),
        ("auth", "projector.0-of-4"),
    ] {
        refused_by_rabbitmq(users, role, queue, async |channel| {
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let consuming = channel.basic_consume(name(queue), "".into(), options, arguments);
            consuming.await.map(drop)
        })
        .await;
    }
    // A role that could see requests would learn the tokens that other roles ask about.
    for role in ["gateway", "query_api"] {
        refused_by_rabbitmq(users, role, "binding to requests", async |channel| {
            let own = name(&format!("broadcast.any.{}", "0".repeat(32)));
            let (exclusive, arguments) = (QueueDeclareOptions::exclusive(), FieldTable::default());
            channel.queue_declare(own.clone(), exclusive, arguments).await?;
            let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
            let verify = name("auth.verify");
            channel.queue_bind(own, name("requests"), verify, options, arguments).await
        })
        .await;
    }
    // A role that could send events to the projector could make up the past. The default exchange leads to every queue.
    let queue = name("projector.0-of-4");
    for (role, exchange, key) in [
        ("gateway", "".into(), queue.clone()),
        ("query_api", "".into(), queue.clone()),
        ("command_api", "".into(), queue.clone()),
        ("projector", "".into(), queue),
        ("gateway", name("events"), "0.task.created".into()),
        ("query_api", name("events"), "0.task.created".into()),
        ("auth", name("events"), "0.task.created".into()),
        ("projector", name("events"), "0.task.created".into()),
    ] {
        let what = format!("publishing to `{exchange}` with `{key}`");
        refused_by_rabbitmq(users, role, &what, async |channel| {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            let publishing = channel.basic_publish(exchange.clone(), key.clone(), options, b"{}", properties);
            publishing.await?.await.map(drop)
        })
        .await;
    }
    // What a queue drops at once goes where its arguments say.
    for role in ["gateway", "query_api", "command_api"] {
        refused_by_rabbitmq(users, role, "dead letters for the projector", async |channel| {
            let mut arguments = FieldTable::default();
            let text = |text: &str| AMQPValue::LongString(text.into());
            arguments.insert("x-dead-letter-exchange".into(), text(""));
            let key = format!("{namespace}.projector.0-of-4");
            arguments.insert("x-dead-letter-routing-key".into(), text(&key));
            let own = name(&format!("broadcast.any.{}", "1".repeat(32)));
            let declaring = channel.queue_declare(own, QueueDeclareOptions::exclusive(), arguments);
            declaring.await.map(drop)
        })
        .await;
    }
    // Without the exchange nobody hears of revocations, and without the other one no token is checked.
    for (role, exchange) in [
        ("gateway", "broadcast.auth.revoked"),
        ("query_api", "broadcast.auth.revoked"),
        ("projector", "broadcast.auth.revoked"),
        ("gateway", "requests"),
        ("query_api", "requests"),
        ("command_api", "requests"),
        ("projector", "requests"),
    ] {
        let what = format!("deleting {exchange}");
        refused_by_rabbitmq(users, role, &what, async |channel| {
            let deleting = channel.exchange_delete(name(exchange), ExchangeDeleteOptions::default());
            deleting.await
        })
        .await;
    }
}

/// Fails unless RabbitMQ refuses what `attempt` tries over a channel of the role.
async fn refused_by_rabbitmq(
    users: &Users,
    role: &str,
    what: &str,
    attempt: impl AsyncFnOnce(&Channel) -> lapin::Result<()>,
) {
    let url = users.amqp_url(role);
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let said = attempt(&channel).await.unwrap_err().to_string();
    assert!(said.contains("ACCESS_REFUSED"), "{role}, {what}: {said}");
}
