//! Names of objects on the broker.

use events::PartitionCount;
use lapin::types::ShortString;

use crate::BusError;

/// The names of one installation.
#[derive(Debug, Clone)]
pub(super) struct Names {
    namespace: String,
}

impl Names {
    pub(super) fn new(namespace: &str) -> Result<Self, BusError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if namespace.is_empty() || namespace.len() > 64 || !namespace.chars().all(plain) {
            return Err(BusError::unavailable(format!(
                "the namespace `{namespace}` is not 1 to 64 letters, digits, `.`, `_` or `-`"
            )));
        }
        Ok(Self { namespace: namespace.to_owned() })
    }

    pub(super) fn events(&self) -> Result<ShortString, BusError> {
        short(format!("{}.events", self.namespace))
    }

    pub(super) fn partition(
        &self,
        partitions: PartitionCount,
        partition: u16,
    ) -> Result<ShortString, BusError> {
        short(format!("{}.projector.{partition}-of-{}", self.namespace, partitions.get()))
    }

    pub(super) fn requests(&self, queue: &str) -> Result<ShortString, BusError> {
        short(format!("{}.{}", self.namespace, local(queue)))
    }

    /// The exchange of all requests. The routing key is the name of the queue.
    pub(super) fn request_exchange(&self) -> Result<ShortString, BusError> {
        short(format!("{}.requests", self.namespace))
    }

    pub(super) fn broadcast(&self, topic: &str) -> Result<ShortString, BusError> {
        short(format!("{}.broadcast.{}", self.namespace, local(topic)))
    }
}

/// The name without the product's prefix, which the namespace replaces.
fn local(name: &str) -> &str {
    name.strip_prefix("taskledger.").unwrap_or(name)
}

/// AMQP names are at most 255 bytes.
pub(super) fn short(text: String) -> Result<ShortString, BusError> {
    ShortString::try_new(text).map_err(BusError::unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_takes_the_place_of_the_usual_prefix() {
        let usual = Names::new("taskledger").unwrap();
        assert_eq!(usual.requests("taskledger.auth.verify").unwrap().as_str(), "taskledger.auth.verify");
        assert_eq!(usual.request_exchange().unwrap().as_str(), "taskledger.requests");
        assert_eq!(
            usual.broadcast("taskledger.auth.revoked").unwrap().as_str(),
            "taskledger.broadcast.auth.revoked"
        );
        let other = Names::new("staging").unwrap();
        assert_eq!(other.requests("taskledger.auth.verify").unwrap().as_str(), "staging.auth.verify");
        assert_eq!(other.requests("taskledgers").unwrap().as_str(), "staging.taskledgers");
        let four = PartitionCount::new(4).unwrap();
        assert_eq!(other.partition(four, 3).unwrap().as_str(), "staging.projector.3-of-4");
    }

    #[test]
    fn a_namespace_that_could_be_mistaken_is_refused() {
        for wrong in ["", "a b", "a#", "ü", &"x".repeat(65)] {
            assert!(Names::new(wrong).is_err(), "{wrong}");
        }
    }
}
