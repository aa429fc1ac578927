//! JSON's values as CBOR (RFC 8949), as far as Smithy's rpcv2Cbor needs them. Knows no operation.

use minicbor::data::{Tag, Type};
use minicbor::{Decoder, Encoder};
use serde_json::{Map, Value};

/// Deeper bodies are refused: no input of an operation is.
const MOST_DEEP: usize = 16;

/// A body as a value. Timestamps (tag 1) become their seconds.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read(body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let mut decoder = Decoder::new(body);
    let value = value(&mut decoder, 0).map_err(|error| error.to_string())?;
    if decoder.position() == body.len() { Ok(value) } else { Err("the body goes on after its value".to_owned()) }
}

fn value(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, minicbor::decode::Error> {
    if depth > MOST_DEEP {
        return Err(minicbor::decode::Error::message("too deep"));
    }
    Ok(match decoder.datatype()? {
        Type::Null | Type::Undefined => {
            decoder.skip()?;
            Value::Null
        }
        Type::Bool => Value::Bool(decoder.bool()?),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => Value::from(decoder.u64()?),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => Value::from(decoder.i64()?),
        Type::F16 | Type::F32 | Type::F64 => Value::from(decoder.f64()?),
        Type::String | Type::StringIndef => Value::String(text(decoder)?),
        Type::Tag => {
            decoder.tag()?;
            value(decoder, depth + 1)?
        }
        Type::Array | Type::ArrayIndef => {
            let mut left = decoder.array()?;
            let mut list = Vec::new();
            while more(decoder, &mut left)? {
                list.push(value(decoder, depth + 1)?);
            }
            Value::Array(list)
        }
        Type::Map | Type::MapIndef => {
            let mut left = decoder.map()?;
            let mut members = Map::new();
            while more(decoder, &mut left)? {
                let name = text(decoder)?;
                members.insert(name, value(decoder, depth + 1)?);
            }
            Value::Object(members)
        }
        other => return Err(minicbor::decode::Error::message(format!("a {other} is not expected"))),
    })
}

fn text(decoder: &mut Decoder<'_>) -> Result<String, minicbor::decode::Error> {
    decoder.str_iter()?.collect()
}

/// Whether a list or a map goes on: by its length, or until the break where it says none.
fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, minicbor::decode::Error> {
    match left {
        Some(0) => Ok(false),
        Some(count) => {
            *count -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => {
            decoder.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

/// A value as a body. Members whose names end in `Timestamp` are seconds since the epoch.
pub(super) fn write(value: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    // Writing into a vector does not fail.
    let _ = put(&mut Encoder::new(&mut body), value);
    body
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn put(encoder: &mut Encoder<&mut Vec<u8>>, value: &Value) -> Written {
    match value {
        Value::Null => encoder.null()?.ok(),
        Value::Bool(flag) => encoder.bool(*flag)?.ok(),
        Value::String(text) => encoder.str(text)?.ok(),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => encoder.u64(number)?.ok(),
            (None, Some(number)) => encoder.i64(number)?.ok(),
            (None, None) => encoder.f64(number.as_f64().unwrap_or_default())?.ok(),
        },
        Value::Array(list) => {
            encoder.array(list.len() as u64)?;
            list.iter().try_for_each(|item| put(encoder, item))
        }
        Value::Object(members) => {
            encoder.map(members.len() as u64)?;
            members.iter().try_for_each(|(name, value)| {
                encoder.str(name)?;
                if name.ends_with("Timestamp") {
                    encoder.tag(Tag::new(1))?;
                }
                put(encoder, value)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({
            "AlarmNames": ["a", "é 漢 😀", ""], "MaxRecords": 100, "Below": -7, "Half": 0.5, "No": null, "Yes": true,
            "StateUpdatedTimestamp": 1_768_000_000.25, "Nested": { "List": [[], {}] },
        });
        assert_eq!(read(&write(&value)), Ok(value));
    }

    #[test]
    fn a_body_of_unknown_length_is_read_too() {
        // {_ "a": [_ 1, 2]}, as Smithy's clients write it.
        let body = [0xbf, 0x61, b'a', 0x9f, 0x01, 0x02, 0xff, 0xff];
        assert_eq!(read(&body), Ok(json!({ "a": [1, 2] })));
        assert_eq!(read(&[]), Ok(json!({})));
    }

    #[test]
    fn what_is_no_body_is_refused() {
        let deep = [0x81; 100];
        for wrong in [&[0xbf_u8, 0x61][..], &[0xa0, 0x00], &[0xa1, 0x01, 0x01], &[0x40], &deep] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
