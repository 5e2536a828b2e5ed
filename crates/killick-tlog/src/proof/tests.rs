use super::*;
use crate::hash::hex;
use crate::tree::{Frontier, MemoryTree};

/// The eight leaves that every implementation of RFC 6962 is tried on.
const LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

/// Their published roots, for one leaf to eight.
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

/// RFC 6962 word by word, over slices: slow, and independent of everything above.
mod oracle {
    use sha2::{Digest as _, Sha256};

    type Node = [u8; 32];

    fn split(leaves: usize) -> usize {
        let mut power = 1;
        while power * 2 < leaves {
            power *= 2;
        }
        power
    }

    pub(super) fn root(leaves: &[Vec<u8>]) -> Node {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => Sha256::digest([&[0], leaf.as_slice()].concat()).into(),
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                Sha256::digest([&[1], root(left).as_slice(), &root(right)].concat()).into()
            }
        }
    }

    pub(super) fn path(index: usize, leaves: &[Vec<u8>]) -> Vec<Node> {
        if leaves.len() == 1 {
            return vec![];
        }
        let middle = split(leaves.len());
        let (left, right) = leaves.split_at(middle);
        let (mut path, other) = if index < middle {
            (path(index, left), root(right))
        } else {
            (path(index - middle, right), root(left))
        };
        path.push(other);
        path
    }

    pub(super) fn subproof(earlier: usize, leaves: &[Vec<u8>], whole: bool) -> Vec<Node> {
        if earlier == leaves.len() {
            return if whole { vec![] } else { vec![root(leaves)] };
        }
        let middle = split(leaves.len());
        let (left, right) = leaves.split_at(middle);
        let (mut proof, other) = if earlier <= middle {
            (subproof(earlier, left, whole), root(right))
        } else {
            (subproof(earlier - middle, right, false), root(left))
        };
        proof.push(other);
        proof
    }
}

fn tree_of(leaves: &[Vec<u8>]) -> MemoryTree {
    let mut tree = MemoryTree::default();
    for leaf in leaves {
        tree.append(Hash::of_leaf(leaf));
    }
    tree
}

fn numbered(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| number.to_be_bytes().to_vec()).collect()
}

#[test]
fn the_published_roots_of_the_eight_leaves_come_out() {
    let mut edge = Frontier::empty();
    let mut tree = MemoryTree::default();
    for (leaf, expected) in LEAVES.iter().zip(ROOTS) {
        edge.append(Hash::of_leaf(leaf));
        tree.append(Hash::of_leaf(leaf));
        assert_eq!(hex(edge.root().as_bytes()), expected);
        assert_eq!(root_at(&tree, tree.size()), Ok(edge.root()));
    }
}

#[test]
fn the_published_proofs_of_the_eight_leaves_come_out() {
    let leaves: Vec<_> = LEAVES.iter().map(|leaf| leaf.to_vec()).collect();
    let tree = tree_of(&leaves);
    let shown = |proof: Vec<Hash>| proof.iter().map(|n| hex(n.as_bytes())).collect::<Vec<_>>();
    assert_eq!(
        shown(inclusion(&tree, 5, 8).unwrap()),
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(
        shown(consistency(&tree, 6, 8).unwrap()),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
}

#[test]
fn every_proof_of_every_small_tree_equals_the_oracle_and_holds() {
    let leaves = numbered(67);
    let tree = tree_of(&leaves);
    for size in 1..=leaves.len() {
        let some = leaves.get(..size).unwrap();
        let root = root_at(&tree, size as u64).unwrap();
        assert_eq!(*root.as_bytes(), oracle::root(some));
        for (index, leaf) in some.iter().enumerate() {
            let proof = inclusion(&tree, index as u64, size as u64).unwrap();
            let expected: Vec<_> =
                oracle::path(index, some).into_iter().map(Hash::from_bytes).collect();
            assert_eq!(proof, expected);
            let leaf = Hash::of_leaf(leaf);
            assert_eq!(check_inclusion(&leaf, index as u64, size as u64, &root, &proof), Ok(()));
        }
        for earlier in 1..=size {
            let proof = consistency(&tree, earlier as u64, size as u64).unwrap();
            let expected: Vec<_> =
                oracle::subproof(earlier, some, true).into_iter().map(Hash::from_bytes).collect();
            assert_eq!(proof, expected);
            let before = root_at(&tree, earlier as u64).unwrap();
            let holds = check_consistency(earlier as u64, &before, size as u64, &root, &proof);
            assert_eq!(holds, Ok(()));
        }
    }
}

#[test]
fn a_proof_holds_for_no_other_place_size_root_or_length() {
    let leaves = numbered(40);
    let tree = tree_of(&leaves);
    let other = Hash::of_leaf(b"other");
    for size in 2..=40_u64 {
        let root = root_at(&tree, size).unwrap();
        for index in 0..size {
            let leaf = tree.node(0, index).unwrap();
            let proof = inclusion(&tree, index, size).unwrap();
            for wrong in (0..size).filter(|wrong| *wrong != index) {
                assert!(check_inclusion(&leaf, wrong, size, &root, &proof).is_err());
            }
            assert!(check_inclusion(&other, index, size, &root, &proof).is_err());
            assert!(check_inclusion(&leaf, index, size, &other, &proof).is_err());
            let longer = [proof.as_slice(), &[other]].concat();
            assert!(check_inclusion(&leaf, index, size, &root, &longer).is_err());
            let shorter = proof.get(1..).unwrap();
            assert!(check_inclusion(&leaf, index, size, &root, shorter).is_err());
        }
        for earlier in 1..size {
            let before = root_at(&tree, earlier).unwrap();
            let proof = consistency(&tree, earlier, size).unwrap();
            assert!(check_consistency(earlier, &other, size, &root, &proof).is_err());
            assert!(check_consistency(earlier, &before, size, &other, &proof).is_err());
            let longer = [proof.as_slice(), &[other]].concat();
            assert!(check_consistency(earlier, &before, size, &root, &longer).is_err());
            for place in 0..proof.len() {
                let mut forged = proof.clone();
                *forged.get_mut(place).unwrap() = other;
                assert!(check_consistency(earlier, &before, size, &root, &forged).is_err());
            }
        }
    }
}

#[test]
fn a_question_outside_the_tree_is_refused() {
    let tree = tree_of(&numbered(3));
    let root = root_at(&tree, 3).unwrap();
    assert!(matches!(inclusion(&tree, 3, 3), Err(ProofError::OutOfRange { asked: 3, size: 3 })));
    assert!(matches!(consistency(&tree, 4, 3), Err(ProofError::OutOfRange { .. })));
    assert!(matches!(inclusion(&tree, 3, 9), Err(ProofError::Node(_))));
    assert_eq!(check_inclusion(&root, 3, 3, &root, &[]), Err(ProofRefusal::OutOfRange));
    assert_eq!(check_consistency(4, &root, 3, &root, &[]), Err(ProofRefusal::OutOfRange));
    assert_eq!(check_consistency(0, &root, 3, &root, &[]), Err(ProofRefusal::Root));
    assert_eq!(check_consistency(0, &Hash::of_empty_tree(), 3, &root, &[]), Ok(()));
    assert_eq!(check_consistency(3, &root, 3, &root, &[root]), Err(ProofRefusal::Length));
}

proptest::proptest! {
    #[test]
    fn an_edge_and_a_whole_tree_agree_at_every_size(size in 1_usize..1_500) {
        let leaves = numbered(size);
        let mut edge = Frontier::empty();
        for leaf in &leaves {
            edge.append(Hash::of_leaf(leaf));
        }
        proptest::prop_assert_eq!(*edge.root().as_bytes(), oracle::root(&leaves));
    }
}
