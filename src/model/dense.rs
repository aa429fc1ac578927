//! Maps that are kept for long.

use std::collections::BTreeMap;
use std::mem;

/// Builds a map anew: what is inserted in its order leaves its nodes half empty, and what is collected fills them.
pub fn dense<K: Ord, V>(map: &mut BTreeMap<K, V>) {
    *map = mem::take(map).into_iter().collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_map_is_lost() {
        let mut map: BTreeMap<u32, u32> = (0..1_000).map(|key| (key, key * 2)).collect();
        map.retain(|key, _| key % 3 == 0);
        let before = map.clone();
        dense(&mut map);
        assert_eq!(map, before);
    }
}
