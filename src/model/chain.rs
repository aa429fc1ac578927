//! An error in one line.

use std::error::Error;

/// An error and its causes, outermost first, each said once: what a log line has as its `error`, and what a reason says.
///
/// Our own errors never repeat their source; some of the SDK do, in their own words.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        if !words.iter().any(|before| before.contains(&said)) {
            words.push(said);
        }
        next = error.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{says}")]
    struct Link {
        says: &'static str,
        #[source]
        cause: Option<Box<Link>>,
    }

    #[track_caller]
    fn check(words: &[&'static str], said: &str) {
        let link = words.iter().rev().fold(None, |cause, says| Some(Box::new(Link { says, cause })));
        assert_eq!(chain(link.unwrap().as_ref()), said);
    }

    #[test]
    fn each_cause_is_said_once_and_the_outermost_first() {
        check(&["one"], "one");
        check(&["failed to read", "no answer", "connection refused"], "failed to read: no answer: connection refused");
        check(&["dispatch failure: io error", "io error", "refused"], "dispatch failure: io error: refused");
    }
}
