//! What makes task definitions long: environment, secrets and labels, by the dozen. Does not know what is done with them.

use serde_json::{Value, json};

use super::super::random::Random;

/// Words that settings are made of.
const WORDS: [&str; 12] = [
    "QUEUE", "BUCKET", "TOPIC", "CACHE", "LIMIT", "TIMEOUT", "REGION", "CLIENT", "PARTNER", "REPORT", "INDEX", "RETRY",
];

/// Adds to the first container of `document` until its JSON has `bytes`: of ten members seven are variables, two secrets,
/// one a label. A document that is long enough stays as it is.
pub(super) fn fill(document: &mut Value, bytes: usize, random: &mut Random) {
    let mut length = document.to_string().len();
    let family = document.get("family").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(container) = document.pointer_mut("/containerDefinitions/0").and_then(Value::as_object_mut) else {
        return;
    };
    let mut number = 0;
    while length < bytes {
        number += 1;
        let word = |random: &mut Random| {
            let place = usize::try_from(random.below(12)).unwrap_or(0);
            WORDS.get(place).copied().unwrap_or_default()
        };
        let name = format!("{}_{}_{number}", word(random), word(random));
        let id = random.hex32();
        let (list, item) = match number % 10 {
            0 => {
                let labels = container.entry("dockerLabels").or_insert_with(|| json!({}));
                let name = format!("com.example.{}", name.to_lowercase());
                length += name.len() + id.len() + 6;
                if let Some(labels) = labels.as_object_mut() {
                    labels.insert(name, json!(id));
                }
                continue;
            }
            3 | 7 => {
                let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter";
                ("secrets", json!({ "name": name, "valueFrom": format!("{arn}/{family}/{}", name.to_lowercase()) }))
            }
            _ => {
                let queue = format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{family}-{id}");
                ("environment", json!({ "name": name, "value": queue }))
            }
        };
        length += item.to_string().len() + 1;
        if let Some(items) = container.entry(list).or_insert_with(|| json!([])).as_array_mut() {
            items.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_get_as_long_as_asked_for_and_not_much_longer() {
        let document = json!({ "family": "web", "containerDefinitions": [{ "name": "app", "image": "app:1" }] });
        for bytes in [0, 50, 6 * 1024, 60_000] {
            let mut filled = document.clone();
            fill(&mut filled, bytes, &mut Random::named(1, "web"));
            let length = filled.to_string().len();
            assert!(length >= bytes && length < bytes.max(document.to_string().len()) + 250, "{bytes}: {length}");
        }
    }
}
