//! What a plain YAML scalar means: the core schema of YAML 1.2.2 (§10.3.2), read so that nothing people write as text
//! turns into something else. `no` and `on` are text, and so are `010` and `1_000`: an account number may begin with
//! a zero.

use serde_json::{Number, Value};

/// The value of a plain scalar.
///
/// # Errors
/// A sentence, where it is a number that JSON cannot hold as it stands.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("`{text}` is not a number that JSON can hold"));
    }
    let leading_zero = unsigned.len() > 1 && unsigned.starts_with('0') && !unsigned.starts_with("0.");
    if leading_zero || !is_number(unsigned) {
        return Ok(Value::String(text.to_owned()));
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let integer = digits.parse::<u64>().map(Number::from).or_else(|_| digits.parse::<i64>().map(Number::from));
        return integer.map(Value::Number).map_err(|_| format!("the integer `{text}` is too large to be kept exactly"));
    }
    let float = digits.parse::<f64>().ok().and_then(Number::from_f64);
    float.map(Value::Number).ok_or_else(|| format!("`{text}` is not a number that JSON can hold"))
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, the core schema's floats and, among them, integers.
fn is_number(unsigned: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(part)
        && !(whole.is_empty() && part.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_people_write_as_text_turns_into_something_else() {
        for text in [
            "no", "on", "yes", "Off", "010", "-010", "1_000", "0x1f", "0o17", "1.2.3", "e5", ".", "-", "+", "1e", "--1",
        ] {
            assert_eq!(plain(text), Ok(json!(text)));
        }
        // A time stays text too; what needs one reads it.
        assert_eq!(plain("2027-03-31T00:00:00Z"), Ok(json!("2027-03-31T00:00:00Z")));
    }

    #[test]
    fn numbers_booleans_and_nothing_are_what_the_core_schema_says() {
        let cases = [
            ("0", json!(0)),
            ("-7", json!(-7)),
            ("+7", json!(7)),
            ("18446744073709551615", json!(u64::MAX)),
            ("0.5", json!(0.5)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("TRUE", json!(true)),
            ("false", json!(false)),
            ("~", json!(null)),
            ("", json!(null)),
        ];
        for (text, value) in cases {
            assert_eq!(plain(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn a_number_that_cannot_be_kept_is_refused() {
        for text in ["18446744073709551616", "-9223372036854775809", ".inf", "-.INF", ".nan", "1e999"] {
            assert!(plain(text).is_err(), "{text}");
        }
    }
}
