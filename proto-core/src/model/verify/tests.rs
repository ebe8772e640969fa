//! The rule at its corners, and the batch against it.

use alloc::vec;

use curve25519_dalek::constants::EIGHT_TORSION;
use ed25519_dalek::VerifyingKey;
use proptest::prelude::*;

use super::*;
use crate::model::{Identity, NetworkId, Purpose};

const SEED: [u8; 32] = [3; 32];
const MESSAGE: &[u8] = b"message";

#[test]
fn an_encoding_is_strict_if_its_point_encodes_to_it_again_and_is_not_of_small_order() {
    let torsion = EIGHT_TORSION.map(|point| point.compress().to_bytes());
    let signs = [0, 0x80];
    let torsion = torsion.iter().flat_map(|bytes| signs.map(|sign| with_last(*bytes, bytes[31] ^ sign)));
    // Encodings around 2^255 - 19 and around zero.
    let around = (0..=u8::MAX).flat_map(|low| {
        [[0xff; 32], [0; 32]]
            .map(|bytes| with_first(bytes, low))
            .into_iter()
            .flat_map(|bytes| [0x00, 0x7e, 0x7f, 0x80, 0xfe, 0xff].map(|high| with_last(bytes, high)))
    });
    let mut accepted = 0;
    for bytes in torsion.chain(around) {
        let point = CompressedEdwardsY(bytes).decompress();
        let Some(point) = point else {
            assert_eq!(KeyPoint::decompress(&bytes), None);
            continue;
        };
        let expected = point.compress().to_bytes() == bytes && !point.is_small_order();
        assert_eq!(KeyPoint::decompress(&bytes).is_some(), expected, "{bytes:?}");
        accepted += usize::from(expected);
    }
    assert!(accepted > 500, "{accepted}");
}

fn with_first(mut bytes: [u8; 32], first: u8) -> [u8; 32] {
    bytes[0] = first;
    bytes
}

fn with_last(mut bytes: [u8; 32], last: u8) -> [u8; 32] {
    bytes[31] = last;
    bytes
}

/// A key pair whose key has a part of small order.
struct Mixed {
    secret: Scalar,
    key: [u8; 32],
}

impl Mixed {
    fn new(secret: u64, torsion: usize) -> Self {
        let secret = Scalar::from(secret);
        let key = EdwardsPoint::mul_base(&secret) + EIGHT_TORSION[torsion];
        Self { secret, key: key.compress().to_bytes() }
    }

    /// A signature that holds with the cofactor, whose R has a part of small order.
    fn sign(&self, nonce: u64, torsion: usize) -> [u8; 64] {
        let nonce = Scalar::from(nonce);
        let r = (EdwardsPoint::mul_base(&nonce) + EIGHT_TORSION[torsion]).compress().to_bytes();
        self.signature(r, nonce)
    }

    fn signature(&self, r: [u8; 32], nonce: Scalar) -> [u8; 64] {
        let hash = Sha512::new().chain_update(r).chain_update(self.key).chain_update(MESSAGE);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice((nonce + k * self.secret).as_bytes());
        signature
    }
}

fn equation(key: &[u8; 32], signature: &[u8; 64]) -> Option<Equation> {
    let key = PublicKey::from_bytes(key).ok()?;
    Equation::new(key, key.point()?, &[MESSAGE], &Signature::from_bytes(*signature))
}

fn all_hold(equations: &[Equation], seed: &[u8; 32]) -> bool {
    Equation::all_hold(&equations.iter().collect::<Vec<_>>(), seed)
}

fn holds(key: &[u8; 32], signature: &[u8; 64]) -> bool {
    equation(key, signature).is_some_and(|equation| equation.holds())
}

#[test]
fn parts_of_small_order_do_not_count_and_points_of_small_order_do_not_hold() {
    for (of_key, of_r) in (0..8).flat_map(|of_key| (0..8).map(move |of_r| (of_key, of_r))) {
        let mixed = Mixed::new(77, of_key);
        assert!(holds(&mixed.key, &mixed.sign(78, of_r)), "{of_key} {of_r}");
        // R alone of small order: whoever has the key can make it, and the equation holds.
        let r = EIGHT_TORSION[of_r].compress().to_bytes();
        assert!(!holds(&mixed.key, &mixed.signature(r, Scalar::ZERO)), "{of_key} {of_r}");
        // A key of small order: anybody can sign.
        let anybody = Mixed::new(0, of_key);
        assert!(!holds(&anybody.key, &anybody.sign(78, of_r)), "{of_key} {of_r}");
    }
}

#[test]
fn s_is_below_the_group_order() {
    let mixed = Mixed::new(77, 0);
    let good = mixed.sign(78, 0);
    assert!(holds(&mixed.key, &good));
    let order = (-Scalar::ONE).to_bytes();
    let mut s = [0; 32];
    s.copy_from_slice(&good[32..]);
    for times in 1..=14 {
        // S + (L - 1) + 1, bytewise.
        let mut carry = 1;
        for (byte, other) in s.iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(other) + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert_eq!(carry, 0, "it fits 32 bytes");
        let mut signature = good;
        signature[32..].copy_from_slice(&s);
        assert!(!holds(&mixed.key, &signature), "S + {times} L");
    }
}

#[test]
fn whatever_the_strict_check_of_the_library_accepts_holds() {
    let purpose = Purpose::Entry.signed_bytes(&NetworkId::OPEN, MESSAGE).concat();
    for secret in 0..20 {
        let identity = Identity::from_secret(&[secret; 32]);
        let signature = identity.sign(Purpose::Entry, NetworkId::OPEN, MESSAGE);
        let key = VerifyingKey::from_bytes(identity.key().as_bytes()).unwrap();
        let theirs = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        assert!(key.verify_strict(&purpose, &theirs).is_ok());
        assert!(identity.key().verify(Purpose::Entry, NetworkId::OPEN, MESSAGE, &signature));
    }
}

#[test]
fn errors_that_cancel_each_other_are_found() {
    let (one, other) = (Mixed::new(77, 0), Mixed::new(79, 0));
    let mut equations = [
        equation(&one.key, &one.sign(80, 0)).unwrap(),
        equation(&other.key, &other.sign(81, 0)).unwrap(),
        equation(&one.key, &one.sign(82, 0)).unwrap(),
    ];
    assert!(all_hold(&equations, &SEED));
    equations[0].s += Scalar::ONE;
    equations[2].s -= Scalar::ONE;
    assert!(!equations[0].holds() && !equations[2].holds());
    assert!(!all_hold(&equations, &SEED));
}

/// What is wrong with a signature.
#[derive(Clone, Copy, Debug)]
enum Corner {
    Honest,
    /// Parts of small order in the key and in R.
    Mixed(usize, usize),
    /// Another S, R or message.
    Changed(usize),
    /// S is so much higher, and that of the next one as much lower.
    Cancels(u64),
}

fn corner() -> impl Strategy<Value = Corner> {
    prop_oneof![
        4 => Just(Corner::Honest),
        3 => (0..8_usize, 0..8_usize).prop_map(|(key, r)| Corner::Mixed(key, r)),
        1 => (0..512_usize).prop_map(Corner::Changed),
        1 => any::<u64>().prop_map(Corner::Cancels),
    ]
}

/// The equations of signatures of a few authors.
fn equations(corners: &[(u64, Corner)]) -> Vec<Equation> {
    let mut owed = Scalar::ZERO;
    let mut equations = vec![];
    for (index, (author, corner)) in (1..).zip(corners) {
        let torsion = if let Corner::Mixed(key, _) = corner { *key } else { 0 };
        let mixed = Mixed::new(100 + author, torsion);
        let mut signature = match corner {
            Corner::Mixed(_, r) => mixed.sign(index, *r),
            _ => mixed.sign(index, 0),
        };
        if let Corner::Changed(bit) = corner {
            signature[bit / 8] ^= 1 << (bit % 8);
        }
        let Some(mut equation) = equation(&mixed.key, &signature) else { continue };
        equation.s -= core::mem::take(&mut owed);
        if let Corner::Cancels(more) = corner {
            owed = Scalar::from(*more);
            equation.s += owed;
        }
        equations.push(equation);
    }
    equations
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_holds_if_each_does(
        corners in proptest::collection::vec((0..4_u64, corner()), 0..24),
        seed in any::<[u8; 32]>(),
    ) {
        let equations = equations(&corners);
        let each = equations.iter().all(Equation::holds);
        prop_assert_eq!(all_hold(&equations, &seed), each);
        // Mostly something is wrong: those that hold are a batch, too.
        let good: Vec<_> = equations.into_iter().filter(Equation::holds).collect();
        prop_assert!(all_hold(&good, &seed));
    }
}
