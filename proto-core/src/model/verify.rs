//! The rule by which a signature holds (SPEC 3.12), for one signature and for many at once.
//!
//! The rule has the cofactored equation, so that a batch agrees with the single check on every signature ("Taming the many
//! EdDSAs", Chalkias, Garillot and Nikolaenko, SSR 2020). Without the cofactor, no batch does.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use chacha20::ChaCha8Rng;
use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::Scalar;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256, Sha512};

use super::{PublicKey, Signature};

/// The y coordinates of the eight points of small order, little-endian.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

/// The point that a public key encodes. To decompress it takes an eighth of the time of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyPoint(EdwardsPoint);

impl KeyPoint {
    /// The point with this encoding. None: the encoding is not canonical, or not that of a point of the curve, or the
    /// point is of small order.
    pub(super) fn decompress(encoding: &[u8; 32]) -> Option<Self> {
        is_strict(encoding).then(|| CompressedEdwardsY(*encoding).decompress().map(Self)).flatten()
    }
}

/// Whether the bytes may encode a key or an R: y is below 2^255 - 19, and not that of a point of small order. The only
/// other encodings that are not canonical have a sign for x = 0. They are of points of small order.
pub(super) fn is_strict(encoding: &[u8; 32]) -> bool {
    let mut y = *encoding;
    y[31] &= 0x7f;
    let [lowest, middle @ .., highest] = &y;
    let is_canonical = *lowest < 0xed || *highest != 0x7f || middle.iter().any(|byte| *byte != 0xff);
    is_canonical && !SMALL_ORDER.contains(&y)
}

/// The verification equation of one signature: `[8]([S]B - R - [k]A) = 0`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Equation {
    key: PublicKey,
    a: EdwardsPoint,
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

impl Equation {
    /// The equation of this signature over what `signed` is the concatenation of. None: an encoding in the signature is
    /// wrong, so that it does not hold.
    pub(super) fn new(
        key: PublicKey,
        point: KeyPoint,
        signed: &[&[u8]],
        signature: &Signature,
    ) -> Option<Self> {
        let (r, s) = signature.as_bytes().split_first_chunk::<32>()?;
        let s = Option::from(Scalar::from_canonical_bytes(s.try_into().ok()?))?;
        let KeyPoint(point_r) = KeyPoint::decompress(r)?;
        let hash = Sha512::new().chain_update(r).chain_update(key.as_bytes());
        let hash = signed.iter().fold(hash, Digest::chain_update);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        Some(Self { key, a: point.0, r: point_r, s, k })
    }

    /// The key and its point.
    pub(crate) fn key(&self) -> (PublicKey, KeyPoint) {
        (self.key, KeyPoint(self.a))
    }

    /// Whether it holds.
    pub(crate) fn holds(&self) -> bool {
        let r = EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.k, &-self.a, &self.s);
        (r - self.r).is_small_order()
    }

    /// Whether all of these hold: whether a random linear combination of them does (Bernstein, Duif, Lange, Schwabe and
    /// Yang, CHES 2011). The probability that it holds and one of them does not is 2^-128.
    ///
    /// The coefficients follow from the equations and the seed. So whoever makes the equations cannot choose them to
    /// cancel each other, and the result does not depend on what was verified before.
    pub(crate) fn all_hold(equations: &[&Self], seed: &[u8; 32]) -> bool {
        if let [one] = equations {
            return one.holds();
        }
        let mut random = coefficients(equations, seed);
        let mut of_base = Scalar::ZERO;
        let mut of_keys = BTreeMap::new();
        let (mut scalars, mut points) = (Vec::new(), Vec::new());
        for Self { key, a, r, s, k } in equations {
            let z = Scalar::from(u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()));
            of_base += z * s;
            of_keys.entry(*key).or_insert((Scalar::ZERO, *a)).0 -= z * k;
            scalars.push(-z);
            points.push(*r);
        }
        for (scalar, a) in of_keys.into_values() {
            scalars.push(scalar);
            points.push(a);
        }
        scalars.push(of_base);
        points.push(ED25519_BASEPOINT_POINT);
        EdwardsPoint::vartime_multiscalar_mul(scalars, points).is_small_order()
    }
}

/// The generator of the coefficients of these equations.
fn coefficients(equations: &[&Equation], seed: &[u8; 32]) -> ChaCha8Rng {
    let mut hash = Sha256::new().chain_update(seed);
    for Equation { key, k, s, .. } in equations {
        // With the key, k stands for R and for what is signed.
        hash = hash.chain_update(key.as_bytes()).chain_update(k.as_bytes()).chain_update(s.as_bytes());
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}

#[cfg(test)]
mod tests;
