//! Streams of a real broker, as a processor and a review desk use them.

use std::time::Duration;

use async_nats::{
    Client, HeaderMap, Message, Subscriber,
    jetstream::{
        self, Context,
        consumer::{DeliverPolicy, pull},
        stream,
    },
};
use futures_util::StreamExt as _;

/// The configuration of a service that reads a stream.
pub const STREAM: &str = "[stream]\nenabled = true\n";

/// A transaction of one card.
pub fn transaction(id: &str, amount: i64) -> String {
    format!(r#"{{"id":"{id}","time":1532513730123,"card":"c_1","amount":{amount},"currency":"EUR","merchant":"m"}}"#)
}

/// Stores a message; the number that it got.
pub async fn put(context: &Context, subject: &str, body: String) -> u64 {
    let stored = context.publish(subject.to_owned(), body.into()).await.expect("sent");
    stored.await.expect("stored").sequence
}

/// The next message.
pub async fn next(subscriber: &mut Subscriber) -> Message {
    tokio::time::timeout(Duration::from_secs(20), subscriber.next()).await.expect("in time").expect("a message")
}

/// Every verdict from now on.
pub async fn verdicts(client: &Client) -> Subscriber {
    let verdicts = client.subscribe("fraud.v1.verdict.>").await.expect("subscribed");
    client.flush().await.expect("the broker is there");
    verdicts
}

/// Nothing comes for a while.
pub async fn nothing_more(subscriber: &mut Subscriber) {
    let more = tokio::time::timeout(Duration::from_millis(300), subscriber.next()).await;
    assert!(more.is_err(), "{:?}", more.map(|message| message.map(|message| message.subject)));
}

/// A header's text, empty where there is none.
pub fn header<'m>(headers: Option<&'m HeaderMap>, name: &str) -> &'m str {
    headers.and_then(|headers| headers.get(name)).map_or("", |value| value.as_str())
}

/// Waits until the service has acknowledged everything up to a message.
pub async fn until_acknowledged(stream: &stream::Stream, sequence: u64) {
    let acknowledged = async {
        while stream.consumer_info("gavel").await.unwrap().ack_floor.stream_sequence < sequence {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), acknowledged).await.expect("in time");
}

/// Every message of a stream, in its order: subject, identity and body.
pub async fn stored(client: &Client, name: &str) -> Vec<(String, String, Vec<u8>)> {
    let stream = jetstream::new(client.clone()).get_stream(name).await.expect("it is there");
    let mut left = stream.cached_info().state.messages;
    let wanted = pull::OrderedConfig { deliver_policy: DeliverPolicy::All, ..pull::OrderedConfig::default() };
    let mut messages = stream.create_consumer(wanted).await.expect("made").messages().await.expect("begun");
    let mut all = Vec::new();
    while left > 0 {
        let message = messages.next().await.expect("a message").expect("it comes");
        let id = header(message.headers.as_ref(), "Nats-Msg-Id").to_owned();
        all.push((message.subject.to_string(), id, message.payload.to_vec()));
        left -= 1;
    }
    all
}
