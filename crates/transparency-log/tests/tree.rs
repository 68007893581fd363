//! The tree compared with well-known test vectors, with another implementation, and with its laws.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use transparency_log::{
    Edge, Hash, Range, Tile, TileKind, Tiles, WIDTH, consistency_ranges, empty_root, inclusion_ranges,
    leaf_hash, root_of, verify_consistency, verify_inclusion,
};

/// The entries of the test vectors of Certificate Transparency, and the roots of the trees over the first 1, 2, … of
/// them.
const ENTRIES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn leaf(number: u64) -> Hash {
    leaf_hash(&number.to_be_bytes())
}

/// A tree of `size` leaves, grown in steps, with all of its tiles.
fn grown(size: u64, step: u64) -> (Edge, Tiles) {
    let (mut edge, mut tiles) = (Edge::default(), Tiles::default());
    while edge.size() < size {
        let from = edge.size();
        for ((level, number), hashes) in edge.extend((from..size.min(from + step)).map(leaf)) {
            tiles.insert(level, number, hashes);
        }
    }
    (edge, tiles)
}

fn roots(tiles: &Tiles, ranges: &[Range]) -> Vec<Hash> {
    ranges.iter().map(|range| tiles.root(*range).unwrap()).collect()
}

#[test]
fn the_roots_are_those_of_certificate_transparency() {
    assert_eq!(
        hex::encode(empty_root().0),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let leaves: Vec<Hash> = ENTRIES.iter().map(|entry| leaf_hash(&hex::decode(entry).unwrap())).collect();
    for (count, root) in (1..).zip(ROOTS) {
        assert_eq!(hex::encode(root_of(&leaves[..count]).unwrap().0), root);
        let mut edge = Edge::default();
        edge.extend(leaves[..count].iter().copied());
        assert_eq!(hex::encode(edge.root().0), root);
    }
}

#[test]
fn every_proof_of_small_trees_is_that_of_another_implementation() {
    let mut other = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for size in 1..=70 {
        other.push((size - 1_u64).to_be_bytes().to_vec());
        let (edge, tiles) = grown(size, 13);
        let root = other.root();
        assert_eq!(edge.root().0.as_slice(), root.as_bytes().as_slice());
        for index in 0..size {
            let proof = roots(&tiles, &inclusion_ranges(index, size).unwrap());
            let bytes: Vec<u8> = proof.iter().flat_map(|hash| hash.0).collect();
            assert_eq!(bytes, other.prove_inclusion(index as usize).as_bytes(), "{index} in {size}");
            verify_inclusion(leaf(index), index, size, &proof, &edge.root()).unwrap();
        }
        for from in 1..size {
            let proof = roots(&tiles, &consistency_ranges(from, size).unwrap());
            let bytes: Vec<u8> = proof.iter().flat_map(|hash| hash.0).collect();
            let additions = (size - from) as usize;
            assert_eq!(bytes, other.prove_consistency(additions).as_bytes(), "{from} to {size}");
        }
    }
}

#[test]
fn the_tiles_of_a_large_tree_are_where_the_specification_has_them() {
    // The example of tlog-tiles: 273 full tiles and 112 hashes, one full tile and 17 hashes, one hash.
    let edge: Vec<Tile> = Edge::tiles(70_000).collect();
    let tile = |level, number, width| Tile { kind: TileKind::Hashes(level), number, width };
    assert_eq!(edge, [tile(0, 273, 112), tile(1, 1, 17), tile(2, 0, 1)]);
    assert_eq!(Edge::tiles(256).collect::<Vec<_>>(), [tile(1, 0, 1)]);
    for (path, kind, number, width) in [
        ("0/x001/x234/067", TileKind::Hashes(0), 1_234_067, WIDTH),
        ("1/001.p/17", TileKind::Hashes(1), 1, 17),
        ("entries/000.p/1", TileKind::Entries, 0, 1),
        ("entries/x001/000", TileKind::Entries, 1_000, WIDTH),
    ] {
        let tile = Tile { kind, number, width };
        assert_eq!(Tile::parse(path), Ok(tile));
        assert_eq!(tile.to_string(), path);
    }
    for path in [
        "",
        "0",
        "0/",
        "0/1",
        "0/0001",
        "00/001",
        "64/001",
        "-1/001",
        "0/x001",
        "0/001/002",
        "0/x000/001",
        "0/001.p/0",
        "0/001.p/256",
        "0/001.p/01",
        "0/001.p/",
        "entry/001",
        "entries/001/",
        "0/001/",
        "0/+01",
        "0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(Tile::parse(path).is_err(), "{path}");
    }
    assert!(tile(0, 273, 112).is_within(70_000) && !tile(0, 273, 113).is_within(70_000));
    assert!(!tile(63, u64::MAX, 1).is_within(u64::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_tree_grows_the_same_in_any_steps_and_from_any_point(size in 1..3_000_u64, step in 1..700_u64) {
        let (edge, tiles) = grown(size, step);
        let (at_once, _) = grown(size, size);
        prop_assert_eq!(&edge, &at_once);
        let leaves: Vec<Hash> = (0..size).map(leaf).collect();
        prop_assert_eq!(edge.root(), root_of(&leaves).unwrap());
        prop_assert_eq!(edge.root(), tiles.root(Range { start: 0, end: size }).unwrap());
        // Resumed from its tiles it is the same tree.
        let hashes = Edge::tiles(size).map(|tile| {
            let TileKind::Hashes(level) = tile.kind else { unreachable!() };
            let width = 256_u64.pow(u32::from(level));
            (0..tile.width)
                .map(|n| {
                    let start = (tile.number * WIDTH + n) * width;
                    tiles.root(Range { start, end: start + width }).unwrap()
                })
                .collect::<Vec<Hash>>()
        });
        prop_assert_eq!(Edge::resume(size, hashes).unwrap(), edge);
    }

    #[test]
    fn proofs_hold_for_what_they_prove_and_for_nothing_else(
        size in 2..2_000_u64, index: prop::sample::Index, earlier: prop::sample::Index, spoilt: prop::sample::Index,
    ) {
        let (edge, tiles) = grown(size, 500);
        let root = edge.root();
        let index = index.index(size as usize) as u64;
        let mut proof = roots(&tiles, &inclusion_ranges(index, size).unwrap());
        prop_assert!(verify_inclusion(leaf(index), index, size, &proof, &root).is_ok());
        prop_assert!(verify_inclusion(leaf(index + 1), index, size, &proof, &root).is_err());
        prop_assert!(verify_inclusion(leaf(index), size, size, &proof, &root).is_err());
        let place = spoilt.index(proof.len());
        proof[place].0[0] ^= 1;
        prop_assert!(verify_inclusion(leaf(index), index, size, &proof, &root).is_err());
        proof.pop();
        prop_assert!(verify_inclusion(leaf(index), index, size, &proof, &root).is_err());

        let from = 1 + earlier.index(size as usize - 1) as u64;
        let (before, _) = grown(from, 500);
        let mut proof = roots(&tiles, &consistency_ranges(from, size).unwrap());
        prop_assert!(verify_consistency(from, &before.root(), size, &root, &proof).is_ok());
        prop_assert!(verify_consistency(from, &root, size, &root, &proof).is_err());
        prop_assert!(verify_consistency(from, &before.root(), size, &before.root(), &proof).is_err());
        let place = spoilt.index(proof.len());
        proof[place].0[0] ^= 1;
        prop_assert!(verify_consistency(from, &before.root(), size, &root, &proof).is_err());
        prop_assert!(verify_consistency(0, &empty_root(), size, &root, &[]).is_ok());
        prop_assert!(verify_consistency(size, &root, size, &root, &[]).is_ok());
    }

    #[test]
    fn only_the_tiles_that_are_named_are_needed(size in 2..3_000_u64, index: prop::sample::Index) {
        let (edge, tiles) = grown(size, 3_000);
        let index = index.index(size as usize) as u64;
        let ranges = inclusion_ranges(index, size).unwrap();
        let needed = Tiles::needed(&ranges);
        prop_assert!(needed.len() <= 6);
        let mut few = Tiles::default();
        for (level, number) in needed {
            let width = 256_u64.pow(u32::from(level));
            let count = (TileKind::Hashes(level).hashes(size) - number * WIDTH).min(WIDTH);
            let hashes = (0..count)
                .map(|n| {
                    let start = (number * WIDTH + n) * width;
                    tiles.root(Range { start, end: start + width }).unwrap()
                })
                .collect();
            few.insert(level, number, hashes);
        }
        let proof = roots(&few, &ranges);
        prop_assert!(verify_inclusion(leaf(index), index, size, &proof, &edge.root()).is_ok());
    }
}
