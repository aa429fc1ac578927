//! Seeded randomness: the only source of it in the model. Does not know what it is drawn for.

use std::time::Duration;

/// splitmix64 (Steele, Lea, Flood 2014): one word of state, and a stream of its own for every name.
///
/// Each service draws from its own stream, so that what happens to one does not change what happens to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Random(u64);

impl Random {
    /// The stream called `name` under `seed`.
    pub(super) fn named(seed: u64, name: &str) -> Self {
        // FNV-1a: stable across platforms and releases, unlike the standard library's hasher.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        let mut random = Self(seed ^ hash);
        // The first draws of near seeds are alike to the eye; one step parts them.
        random.next();
        random
    }

    /// The next word.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`; 0 where that is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// A length of time in `range`, both ends included, in whole milliseconds.
    pub(super) fn between(&mut self, range: (Duration, Duration)) -> Duration {
        let low = u64::try_from(range.0.as_millis()).unwrap_or(u64::MAX);
        let high = u64::try_from(range.1.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1))))
    }

    /// Puts `list` into any order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            let bound = u64::try_from(place).unwrap_or(0) + 1;
            list.swap(place, usize::try_from(self.below(bound)).unwrap_or(0));
        }
    }

    /// 32 hexadecimal digits: the form of a task's id.
    pub(super) fn hex32(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }

    /// 19 decimal digits: the form of a deployment's id and of a service revision's.
    pub(super) fn digits19(&mut self) -> String {
        const LOWEST: u64 = 1_000_000_000_000_000_000;
        (LOWEST + self.below(8 * LOWEST)).to_string()
    }

    /// `length` letters and digits: the form of a service deployment's id.
    pub(super) fn letters(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..length)
            .filter_map(|_| {
                let place = usize::try_from(self.below(64)).unwrap_or(0);
                ALPHABET.get(place).copied().map(char::from)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The published test vector for seed 1234567.
        let mut random = Random(1_234_567);
        let words: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(words, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn streams_of_other_names_differ_and_of_the_same_name_do_not() {
        let draw = |seed, name| Random::named(seed, name).hex32();
        assert_eq!(draw(1, "web"), draw(1, "web"));
        assert_ne!(draw(1, "web"), draw(1, "api"));
        assert_ne!(draw(1, "web"), draw(2, "web"));
    }
}
