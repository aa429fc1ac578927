//! Values into YAML that reads back the same.

use serde_json::Value;

/// The value as a YAML document, ending in a line break. Text that YAML would read as something else is quoted.
///
/// # Errors
/// serde-saphyr's; none is known for JSON values.
pub fn to_yaml(value: &Value) -> Result<String, serde_saphyr::SerializeError> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let mut text = serde_saphyr::to_string_with_options(value, options)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::manifest::compose::documents;

    fn read_back(value: &Value) -> Value {
        let text = to_yaml(value).unwrap();
        let (documents, faults) = documents(&text, crate::manifest::compose::OBJECTS);
        assert_eq!(faults, [], "{text}");
        documents.first().map(super::super::node::Node::to_json).unwrap_or_default()
    }

    #[test]
    fn text_that_looks_like_something_else_survives() {
        let odd = [
            "no",
            "on",
            "010",
            "1_000",
            "0x1f",
            "0o17",
            "1e3",
            ".5",
            ".inf",
            "~",
            "null",
            "",
            " a ",
            "a: b",
            "a #b",
            "- a",
            "<<",
            "*a",
            "&a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a",
            "a\nb",
            "a\n",
            "\na",
            "a\tb",
            "\u{7}",
            "\u{feff}a",
            "ä",
            "---",
            "...",
            "'",
            "\"",
            "\\",
            "true",
            "=",
            "?",
            "a\r\nb",
            "\u{85}",
            "\u{2028}",
            "a,b",
            "[",
            "}",
            "1:2",
            "+1",
            "2027-03-31T00:00:00Z",
            "a  b",
            "\u{0}",
        ];
        for text in odd {
            let value = json!({ "a": [text, { text: text }] });
            assert_eq!(read_back(&value), value, "{text:?}: {}", to_yaml(&value).unwrap());
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e12..1e12_f64).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[-+0-9eE_.:#a{}\\[\\]'\" \n\t]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::hash_map("[a-z0-9~<? \n]{1,8}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_reads_back_the_same(value in values()) {
            let value = json!({ "value": value });
            prop_assert_eq!(read_back(&value), value);
        }
    }
}
