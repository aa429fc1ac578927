//! What is asked for in an address, and addresses to ask for more.

use std::collections::BTreeMap;
use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All that may stand in a value as it is; the rest is escaped, spaces too.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');

/// Names and values after the `?`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Of these; what is empty was not asked for.
    #[must_use]
    pub fn of(asked: BTreeMap<String, String>) -> Self {
        Self(asked.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether a name is asked to be this, or nothing is asked of it.
    #[must_use]
    pub fn allows(&self, name: &str, value: &str) -> bool {
        self.get(name).is_none_or(|wanted| wanted == value)
    }

    /// Whether one of the texts has what is searched for in it, whatever its case.
    #[must_use]
    pub fn finds(&self, texts: &[&str]) -> bool {
        let Some(sought) = self.get("q").map(str::to_lowercase) else { return true };
        texts.iter().any(|text| text.to_lowercase().contains(&sought))
    }

    /// Which page of a list, from 1.
    #[must_use]
    pub fn page(&self) -> usize {
        self.get("page").and_then(|page| page.parse().ok()).filter(|page| *page > 0).unwrap_or(1)
    }

    /// The address of another page of the same list.
    #[must_use]
    pub fn at_page(&self, path: &'static str, page: usize) -> String {
        let others = self.0.iter().filter(|(name, _)| *name != "page");
        let link = others.fold(Link::to(path), |link, (name, value)| link.with(name, value));
        link.with("page", &page.to_string()).into()
    }
}

/// An address of this site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link(String);

impl Link {
    /// To a path.
    #[must_use]
    pub fn to(path: &'static str) -> Self {
        Self(path.to_owned())
    }

    /// With a name and a value after the `?`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let sign = if self.0.contains('?') { '&' } else { '?' };
        // Writing into a String does not fail.
        let _ = write!(self.0, "{sign}{}={}", utf8_percent_encode(name, ESCAPED), utf8_percent_encode(value, ESCAPED));
        self
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        link.0
    }
}

/// One page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Which, from 1.
    pub page: usize,
    /// How many there are; at least one.
    pub pages: usize,
    /// How many entries all of them have.
    pub total: usize,
    /// Where it begins.
    start: usize,
    length: usize,
}

impl Slice {
    /// The page that is asked for, or the last one.
    #[must_use]
    pub fn of(total: usize, length: usize, query: &Query) -> Self {
        let pages = total.div_ceil(length).max(1);
        let page = query.page().min(pages);
        Self { page, pages, total, start: (page - 1) * length, length }
    }

    /// Its entries.
    pub fn cut<T>(&self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().skip(self.start).take(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(asked: &[(&str, &str)]) -> Query {
        Query::of(asked.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_value_cannot_leave_its_place_in_an_address() {
        let link: String = Link::to("/findings").with("q", "a&b=c#d \"<>ü").with("page", "2").into();
        assert_eq!(link, "/findings?q=a%26b%3Dc%23d%20%22%3C%3E%C3%BC&page=2");
    }

    #[test]
    fn a_page_that_is_none_is_the_first_and_one_too_far_the_last() {
        for (asked, expected) in [("", 1), ("0", 1), ("-1", 1), ("x", 1), ("3", 3), ("99", 3)] {
            let slice = Slice::of(250, 100, &query(&[("page", asked)]));
            assert_eq!((slice.page, slice.pages), (expected, 3), "{asked}");
        }
        let last = Slice::of(250, 100, &query(&[("page", "3")]));
        assert_eq!(last.cut(0..250).collect::<Vec<_>>(), (200..250).collect::<Vec<_>>());
        assert_eq!(Slice::of(0, 100, &query(&[])).pages, 1);
    }

    #[test]
    fn another_page_keeps_what_was_asked() {
        let asked = query(&[("policy", "a b"), ("page", "2"), ("q", "")]);
        assert_eq!(asked.at_page("/findings", 3), "/findings?policy=a%20b&page=3");
    }
}
