//! Items as DynamoDB's attributes, both ways. Sends nothing.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use crate::model::Timestamp;
use crate::ports::StoreError;
use crate::ports::store::{Item, Key};

pub(super) const PARTITION: &str = "pk";
pub(super) const SORT: &str = "sk";
pub(super) const VERSION: &str = "version";
pub(super) const BODY: &str = "body";
pub(super) const WRITER: &str = "writer";
pub(super) const EXPIRES: &str = "expiresAt";

/// An item as DynamoDB gives it.
pub(super) type Attributes = HashMap<String, AttributeValue>;

pub(super) fn key_attributes(partition: &str, sort: &str) -> Attributes {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    Attributes::from([(PARTITION.to_owned(), text(partition)), (SORT.to_owned(), text(sort))])
}

/// The item that the attributes say, or what is wrong with them.
pub(super) fn parse(attributes: &Attributes) -> Result<Item, StoreError> {
    let text = |name: &str| attributes.get(name).and_then(|value| value.as_s().ok());
    let key = Key::new(text(PARTITION).cloned().unwrap_or_default(), text(SORT).cloned().unwrap_or_default());
    let corrupt = |message: String| StoreError::Corrupt { key: key.clone(), message };
    let version = version(attributes).ok_or_else(|| corrupt(format!("it has no number `{VERSION}`")))?;
    let body = text(BODY).ok_or_else(|| corrupt(format!("it has no text `{BODY}`")))?;
    let body: Map<String, Value> = serde_json::from_str(body).map_err(|error| corrupt(error.to_string()))?;
    Ok(Item { key, version, body })
}

pub(super) fn version(attributes: &Attributes) -> Option<u64> {
    attributes.get(VERSION)?.as_n().ok()?.parse().ok()
}

pub(super) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Seconds since 1970, rounded up: an item may not go before its time.
pub(super) fn seconds(time: Timestamp) -> AttributeValue {
    let millis = time.as_millis();
    let seconds = millis.div_euclid(1000).saturating_add(i64::from(millis.rem_euclid(1000) > 0));
    AttributeValue::N(seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_never_early() {
        for (millis, wanted) in [(0, "0"), (1, "1"), (999, "1"), (1000, "1"), (1001, "2"), (-1, "0"), (-1001, "-1")] {
            assert_eq!(seconds(Timestamp::from_millis(millis)), AttributeValue::N(wanted.to_owned()), "{millis} ms");
        }
    }

    #[test]
    fn an_item_of_somebody_else_is_corrupt_by_name() {
        let mut attributes = key_attributes("cfg#head", "a");
        let corrupt = |attributes: &Attributes| match parse(attributes) {
            Err(StoreError::Corrupt { key, message }) => {
                assert_eq!(key, Key::new("cfg#head", "a"));
                message
            }
            other => panic!("{other:?}"),
        };
        assert!(corrupt(&attributes).contains("version"));
        attributes.insert(VERSION.to_owned(), number(1));
        assert!(corrupt(&attributes).contains("body"));
        attributes.insert(BODY.to_owned(), AttributeValue::S("[1]".to_owned()));
        assert!(corrupt(&attributes).contains("invalid type"));
        attributes.insert(BODY.to_owned(), AttributeValue::S(r#"{"a":1}"#.to_owned()));
        attributes.insert("unknown".to_owned(), AttributeValue::Bool(true));
        assert_eq!(parse(&attributes).unwrap().version, 1);
    }
}
