//! Counts and shares, as users write them: `5` or `"25%"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A share of a whole, from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
// INVARIANT: at most 100.
pub struct Percent(u8);

impl Percent {
    /// `None` above 100.
    #[must_use]
    pub const fn new(share: u8) -> Option<Self> {
        if share <= 100 { Some(Self(share)) } else { None }
    }

    /// The share, from 0 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// This share of `whole`, rounded down.
    #[must_use]
    pub fn of_rounded_down(self, whole: usize) -> usize {
        whole * usize::from(self.0) / 100
    }

    /// This share of `whole`, rounded up.
    #[must_use]
    pub fn of_rounded_up(self, whole: usize) -> usize {
        (whole * usize::from(self.0)).div_ceil(100)
    }
}

/// What was given is neither a count nor a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct ParseAmountError {
    text: String,
    wanted: &'static str,
}

/// A count, or a share of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// So many in a hundred.
    Share(Percent),
}

impl Amount {
    /// Of `whole`, a share rounded down.
    #[must_use]
    pub fn of_rounded_down(self, whole: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Share(share) => share.of_rounded_down(whole),
        }
    }
}

/// How many changes a wave takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaveSize {
    /// So many, or a share of all (rounded up, so that a wave is never empty).
    Amount(Amount),
    /// All that are left.
    Rest,
}

impl FromStr for Amount {
    type Err = ParseAmountError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.strip_suffix('%') {
            Some(share) => share.parse().ok().and_then(Percent::new).map(Self::Share),
            None => text.parse().ok().map(Self::Count),
        };
        parsed.ok_or_else(|| ParseAmountError {
            text: text.to_owned(),
            wanted: "a count such as 5 or a share such as `10%`",
        })
    }
}

impl FromStr for WaveSize {
    type Err = ParseAmountError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "rest" {
            return Ok(Self::Rest);
        }
        match text.parse() {
            Ok(Amount::Count(0) | Amount::Share(Percent(0))) | Err(_) => Err(ParseAmountError {
                text: text.to_owned(),
                wanted: "a wave's size: a count from 1, a share such as `25%`, or `rest`",
            }),
            Ok(amount) => Ok(Self::Amount(amount)),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Share(share) => write!(f, "{}%", share.0),
        }
    }
}

impl fmt::Display for WaveSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount(amount) => amount.fmt(f),
            Self::Rest => f.write_str("rest"),
        }
    }
}

/// A number or a text, read into whatever parses from its text.
struct NumberOrText<T>(std::marker::PhantomData<T>);

impl<T> de::Visitor<'_> for NumberOrText<T>
where
    T: FromStr<Err = ParseAmountError>,
{
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count or a share such as `10%`")
    }
    fn visit_u64<E: de::Error>(self, count: u64) -> Result<T, E> {
        count.to_string().parse().map_err(E::custom)
    }
    fn visit_i64<E: de::Error>(self, count: i64) -> Result<T, E> {
        count.to_string().parse().map_err(E::custom)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! number_or_text {
    ($name:ident, $schema:tt) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(NumberOrText(std::marker::PhantomData))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let text = self.to_string();
                match text.parse::<u32>() {
                    Ok(count) => serializer.serialize_u32(count),
                    Err(_) => serializer.serialize_str(&text),
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

number_or_text!(Amount, { "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+%?$" });
number_or_text!(WaveSize, { "type": ["integer", "string"], "minimum": 1, "pattern": "^([0-9]+%?|rest)$" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_is_never_empty() {
        for text in ["0", "0%", "-1", "101%", "some"] {
            assert!(text.parse::<WaveSize>().is_err(), "{text}");
        }
        assert_eq!("25%".parse(), Ok(WaveSize::Amount(Amount::Share(Percent(25)))));
        assert_eq!(Percent(25).of_rounded_up(1), 1);
        assert_eq!(serde_json::from_str::<WaveSize>("3").unwrap(), WaveSize::Amount(Amount::Count(3)));
        assert_eq!(serde_json::to_string(&WaveSize::Amount(Amount::Count(3))).unwrap(), "3");
    }
}
