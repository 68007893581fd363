//! Broadcasts.

use bus::{Heard, Listener};

use super::{TestBroker, soon};

pub(crate) async fn hear(listener: &mut dyn Listener) -> Heard {
    soon("a broadcast", listener.next()).await
}

pub(crate) fn said(message: &'static str) -> Heard {
    Heard::Message(message.into())
}

pub(crate) async fn everyone_who_listens_hears_everything_in_order(broker: &dyn TestBroker) {
    let (speaker, elsewhere) = (broker.bus().await, broker.bus().await);
    let mut listeners = [
        speaker.listen("news").await.unwrap(),
        elsewhere.listen("news").await.unwrap(),
        elsewhere.listen("news").await.unwrap(),
    ];
    for message in ["eins", "zwei", "", "三 🎉"] {
        speaker.broadcast("news", message.into()).await.unwrap();
    }
    for listener in &mut listeners {
        for message in ["eins", "zwei", "", "三 🎉"] {
            assert_eq!(hear(&mut **listener).await, said(message));
        }
    }
}

pub(crate) async fn topics_are_independent(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    let mut news = bus.listen("news").await.unwrap();
    let mut weather = bus.listen("weather").await.unwrap();
    bus.broadcast("weather", "rain".into()).await.unwrap();
    bus.broadcast("news", "none".into()).await.unwrap();
    assert_eq!(hear(&mut *news).await, said("none"));
    assert_eq!(hear(&mut *weather).await, said("rain"));
}

pub(crate) async fn what_was_said_before_listening_is_not_heard(broker: &dyn TestBroker) {
    let bus = broker.bus().await;
    bus.broadcast("news", "early".into()).await.unwrap();
    drop(bus.listen("news").await.unwrap());
    bus.broadcast("news", "between".into()).await.unwrap();
    let mut listener = bus.listen("news").await.unwrap();
    bus.broadcast("news", "now".into()).await.unwrap();
    assert_eq!(hear(&mut *listener).await, said("now"));
}
