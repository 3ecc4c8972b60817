//! Tests of the ordered map and of what followers keep, against plain maps.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::collection::vec;
use proptest::prelude::*;

use super::ordered_map::OrderedMap;

/// Few keys that share beginnings, values from nothing to more than a leaf.
fn changes() -> impl Strategy<Value = Vec<(Vec<u8>, Option<usize>)>> {
    let key = vec(prop_oneof![Just(0_u8), Just(1), Just(255), any::<u8>()], 0..4);
    let value = prop_oneof![
        3 => Just(None),
        6 => (0..300_usize).prop_map(Some),
        1 => (4000..9000_usize).prop_map(Some),
    ];
    vec((key, value), 0..400)
}

fn content(map: &OrderedMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    map.range(Bound::Unbounded, Bound::Unbounded).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    let key = || vec(any::<u8>(), 0..3);
    prop_oneof![key().prop_map(Bound::Included), key().prop_map(Bound::Excluded), Just(Bound::Unbounded)]
}

proptest! {
    #[test]
    fn the_map_is_a_btree_map_and_its_clones_do_not_change(
        changes in changes(), cloned_at in 0..400_usize, from in bound(), to in bound(),
    ) {
        let (mut map, mut plain) = (OrderedMap::default(), BTreeMap::<Vec<u8>, Vec<u8>>::new());
        let mut cloned = None;
        for (at, (key, value)) in changes.into_iter().enumerate() {
            if at == cloned_at {
                cloned = Some((map.clone(), content(&map)));
            }
            match value {
                None => prop_assert_eq!(map.remove(&key), plain.remove(&key).is_some()),
                Some(length) => {
                    let value = vec![u8::try_from(at % 251).unwrap(); length];
                    map.insert(&key, &value);
                    plain.insert(key.clone(), value);
                }
            }
            prop_assert_eq!(map.get(&key), plain.get(&key).map(Vec::as_slice));
            prop_assert_eq!(map.len(), plain.len());
        }
        let all: Vec<_> = plain.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        prop_assert_eq!(content(&map), all);
        let bytes: usize = plain.iter().map(|(key, value)| key.len() + value.len()).sum();
        prop_assert_eq!(map.data_bytes(), bytes);
        let is_order = match (&from, &to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
            (Bound::Included(from), Bound::Included(to)) => from <= to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from < to,
        };
        if is_order {
            let ours: Vec<_> = map.range(as_slice(&from), as_slice(&to)).map(|(key, _)| key.to_vec()).collect();
            let theirs: Vec<_> = plain.range((from, to)).map(|(key, _)| key.clone()).collect();
            prop_assert_eq!(ours, theirs);
        }
        if let Some((map, before)) = cloned {
            prop_assert_eq!(content(&map), before);
        }
    }
}
