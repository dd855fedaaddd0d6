//! Key pairs and MACs against published vectors and against what OpenSSL made (tests/openssl, by OpenSSL 3.0: a key of its
//! own, signatures over "signed by OpenSSL", ciphertexts of "encrypted by OpenSSL").
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use crypto::{Hash, MacKey, MacKind, Message, Oaep, PairError, PairKind, PrivateKey, PublicKey, Scheme};
use env::Env;
use zeroize::Zeroizing;

const SIGNED: Message<'_> = Message::Raw(b"signed by OpenSSL");

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    let value = |digit: u8| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap();
    digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

fn private(kind: PairKind, pkcs8: &[u8]) -> PrivateKey {
    PrivateKey::from_pkcs8(kind, Zeroizing::new(pkcs8.to_vec())).unwrap()
}

fn rsa() -> PrivateKey {
    private(PairKind::Rsa2048, include_bytes!("openssl/rsa_2048.pkcs8"))
}

/// RFC 5649, RFC 8017 section 7.1: what OpenSSL wrapped under an AES key, wrapped itself for an RSA key, is unwrapped; with
/// any byte changed or missing, or by the other hash, it is not.
#[test]
fn keys_wrapped_by_openssl_are_unwrapped() {
    let key = rsa();
    let files: [(Oaep, Oaep, &[u8]); 2] = [
        (Oaep::Sha1, Oaep::Sha256, include_bytes!("openssl/rsa_aes_key_wrap_sha1.ct")),
        (Oaep::Sha256, Oaep::Sha1, include_bytes!("openssl/rsa_aes_key_wrap_sha256.ct")),
    ];
    for (oaep, other, wrapped) in files {
        assert_eq!(key.unwrap_key(oaep, wrapped).unwrap().as_slice(), b"wrapped by OpenSSL");
        assert_eq!(key.unwrap_key(other, wrapped).err(), Some(PairError::OpenFailed));
        for at in [0, 100, 255, 256, 270, wrapped.len() - 1] {
            let mut changed = wrapped.to_vec();
            changed[at] ^= 1;
            assert_eq!(key.unwrap_key(oaep, &changed).err(), Some(PairError::OpenFailed), "{at}");
        }
        for length in [0, 255, 256, 264, wrapped.len() - 8, wrapped.len() - 1] {
            assert_eq!(key.unwrap_key(oaep, &wrapped[..length]).err(), Some(PairError::OpenFailed), "{length}");
        }
    }
    // An AES key of another length than 256 bits.
    let short = key.public_key().unwrap().encrypt(Oaep::Sha1, &[7; 16]).unwrap();
    assert_eq!(key.unwrap_key(Oaep::Sha1, &[short, vec![0; 24]].concat()).err(), Some(PairError::OpenFailed));
    let curve = PrivateKey::generate(PairKind::P256).unwrap();
    assert_eq!(curve.unwrap_key(Oaep::Sha1, files[0].2).err(), Some(PairError::WrongKind));
}

/// SubjectPublicKeyInfo of a point of P-256, P-384 or P-521, RFC 5480 section 2.
fn spki(kind: PairKind, x: &str, y: &str) -> Vec<u8> {
    let head = match kind {
        PairKind::P256 => "3059301306072a8648ce3d020106082a8648ce3d03010703420004",
        PairKind::P384 => "3076301006072a8648ce3d020106052b8104002203620004",
        _ => "30819b301006072a8648ce3d020106052b810400230381860004",
    };
    bytes(&format!("{head}{x}{y}"))
}

/// DER of an ECDSA signature, RFC 3279 section 2.2.3.
fn der(r: &str, s: &str) -> Vec<u8> {
    let integer = |hex: &str| {
        let mut value = bytes(hex);
        while value.len() > 1 && value[0] == 0 {
            value.remove(0);
        }
        if value[0] & 0x80 != 0 {
            value.insert(0, 0);
        }
        [&[2, u8::try_from(value.len()).unwrap()], value.as_slice()].concat()
    };
    let body = [integer(r), integer(s)].concat();
    let length = u8::try_from(body.len()).unwrap();
    if length < 128 {
        [&[0x30, length], body.as_slice()].concat()
    } else {
        [&[0x30, 0x81, length], body.as_slice()].concat()
    }
}

/// RFC 4231, test cases 1, 2 and 6: all four hashes, a key shorter and one longer than a block.
#[test]
fn macs_are_those_of_rfc_4231() {
    let long = [0xaa; 131];
    let cases: [(&[u8], &[u8], [&str; 4]); 3] = [
        (
            &[0x0b; 20],
            b"Hi There",
            [
                "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ],
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            [
                "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ],
        ),
        (
            &long,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            [
                "95e9a0db962095adaebe9b2d6f0dbce2d499f112f2d2b7273fa6870e",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
            ],
        ),
    ];
    let kinds = [MacKind::Sha224, MacKind::Sha256, MacKind::Sha384, MacKind::Sha512];
    for (key, message, macs) in cases {
        for (kind, mac) in kinds.into_iter().zip(macs) {
            let key = MacKey::new(kind, Zeroizing::new(key.to_vec()));
            assert_eq!(key.mac(message), bytes(mac), "{kind:?}");
            assert!(key.verify(message, &bytes(mac)));
        }
    }
}

/// KMS API, VerifyMac: only the whole, unchanged MAC of the same message and key verifies.
#[test]
fn a_mac_verifies_only_whole_and_unchanged() {
    let env = Env::real();
    for kind in [MacKind::Sha224, MacKind::Sha256, MacKind::Sha384, MacKind::Sha512] {
        let key = MacKey::random(kind, &env);
        assert_eq!(key.expose().len(), kind.bytes());
        let mac = key.mac(b"message");
        assert_eq!(mac.len(), kind.bytes());
        assert!(!key.verify(b"massage", &mac));
        assert!(!MacKey::random(kind, &env).verify(b"message", &mac));
        for length in 0..mac.len() {
            assert!(!key.verify(b"message", &mac[..length]));
        }
        for bit in 0..mac.len() * 8 {
            let mut changed = mac.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(b"message", &changed));
        }
    }
}

/// RFC 6979 appendix A.2.5 to A.2.7 ("sample"): signatures with published keys verify on each NIST curve, by message and by
/// digest, and not on another message.
#[test]
fn ecdsa_signatures_of_rfc_6979_verify() {
    let cases = [
        (
            PairKind::P256,
            Hash::Sha256,
            spki(
                PairKind::P256,
                "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
                "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
            ),
            der(
                "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
                "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
            ),
        ),
        (
            PairKind::P384,
            Hash::Sha384,
            spki(
                PairKind::P384,
                "EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13",
                "8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720",
            ),
            der(
                "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46",
                "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8",
            ),
        ),
        (
            PairKind::P521,
            Hash::Sha512,
            spki(
                PairKind::P521,
                "01894550D0785932E00EAA23B694F213F8C3121F86DC97A04E5A7167DB4E5BCD371123D46E45DB6B5D5370A7F20FB633155D38FFA16D2BD761DCAC474B9A2F5023A4",
                "00493101C962CD4D2FDDF782285E64584139C2F91B47F87FF82354D6630F746A28A0DB25741B5B34A828008B22ACC23F924FAAFBD4D33F81EA66956DFEAA2BFDFCF5",
            ),
            der(
                "00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF05EC36E377FA",
                "00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4A67A",
            ),
        ),
    ];
    for (kind, hash, spki, signature) in cases {
        let key = PublicKey::from_spki(kind, spki);
        let digest = match hash {
            Hash::Sha256 => aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"sample"),
            Hash::Sha384 => aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, b"sample"),
            Hash::Sha512 => aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, b"sample"),
        };
        let scheme = Scheme::Ecdsa(hash);
        key.verify(scheme, Message::Raw(b"sample"), &signature).unwrap();
        key.verify(scheme, Message::Digest(digest.as_ref()), &signature).unwrap();
        assert_eq!(key.verify(scheme, Message::Raw(b"simple"), &signature), Err(PairError::BadSignature), "{kind:?}");
    }
}

/// RFC 8032 sections 7.1 (test 2) and 7.3: Ed25519 and Ed25519ph are deterministic, so the signatures are these.
#[test]
fn ed25519_signatures_are_those_of_rfc_8032() {
    let key = |seed: &str| private(PairKind::Ed25519, &bytes(&format!("302e020100300506032b657004220420{seed}")));
    let pure = key("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let signature = bytes(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    assert_eq!(pure.sign(Scheme::Ed25519, Message::Raw(&[0x72])).unwrap(), signature);
    pure.public_key().unwrap().verify(Scheme::Ed25519, Message::Raw(&[0x72]), &signature).unwrap();

    let hashed = key("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42");
    let signature = bytes(
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406",
    );
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, b"abc");
    let message = Message::Digest(digest.as_ref());
    assert_eq!(hashed.sign(Scheme::Ed25519Ph, message).unwrap(), signature);
    let public = hashed.public_key().unwrap();
    public.verify(Scheme::Ed25519Ph, message, &signature).unwrap();
    // The two are separate schemes: neither's signature is one of the other.
    assert_eq!(public.verify(Scheme::Ed25519, Message::Raw(b"abc"), &signature), Err(PairError::BadSignature));
    assert_eq!(public.verify(Scheme::Ed25519Ph, message, &signature[..63]), Err(PairError::BadSignature));
}

/// NIST CAVP, "ECC CDH Primitive" (SP 800-56A section 5.7.1.2), P-256, count 0.
#[test]
fn the_shared_secret_is_that_of_the_cavp_vector() {
    let key = private(
        PairKind::P256,
        &bytes(
            "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420
             7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534",
        ),
    );
    let peer = spki(
        PairKind::P256,
        "700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287",
        "db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac",
    );
    let secret = bytes("46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b");
    assert_eq!(*key.agree(&peer).unwrap(), secret);
}

/// SP 800-56A section 5.6.2.3: a peer's key is checked. A point off the curve, one of another curve, the bare point, the
/// point at infinity, a cut or a longer document is refused; a curve without agreement refuses all.
#[test]
fn a_bad_peer_is_refused() {
    let key = PrivateKey::generate(PairKind::P256).unwrap();
    let good = PrivateKey::generate(PairKind::P256).unwrap().public_key().unwrap().as_spki().to_vec();
    assert_eq!(key.agree(&good).unwrap().len(), 32);
    let other = PrivateKey::generate(PairKind::P384).unwrap().public_key().unwrap();
    let mut off = good.clone();
    *off.last_mut().unwrap() ^= 1;
    let mut longer = good.clone();
    longer.push(0);
    let infinity = bytes("3019301306072a8648ce3d020106082a8648ce3d03010703020000");
    let point = &good[26..];
    for bad in [&off, &longer, &good[..good.len() - 1], point, other.as_spki(), &infinity, b"", &[0; 9000]] {
        assert_eq!(key.agree(bad).err(), Some(PairError::Malformed), "{} bytes", bad.len());
    }
    let key = PrivateKey::generate(PairKind::P256K1).unwrap();
    assert_eq!(key.agree(&good).err(), Some(PairError::WrongKind));
}

/// RFC 8017 sections 8.1.2 and 8.2.2: what OpenSSL signed verifies here, under its own scheme only.
#[test]
fn what_openssl_signed_verifies() {
    let public = rsa().public_key().unwrap();
    assert_eq!(public.as_spki(), include_bytes!("openssl/rsa_2048.spki"));
    let (pkcs1, pss) = (include_bytes!("openssl/pkcs1_sha256.sig"), include_bytes!("openssl/pss_sha384.sig"));
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let verified = |scheme, signature: &[u8]| public.verify(scheme, SIGNED, signature).is_ok();
        assert_eq!(verified(Scheme::RsaPkcs1(hash), pkcs1), hash == Hash::Sha256);
        assert_eq!(verified(Scheme::RsaPss(hash), pss), hash == Hash::Sha384);
        assert!(!verified(Scheme::RsaPss(hash), pkcs1));
        assert!(!verified(Scheme::RsaPkcs1(hash), pss));
    }
    let key = private(PairKind::P256K1, include_bytes!("openssl/secp256k1.pkcs8"));
    let public = key.public_key().unwrap();
    assert_eq!(public.as_spki(), include_bytes!("openssl/secp256k1.spki"));
    let signature = include_bytes!("openssl/secp256k1_sha256.sig");
    public.verify(Scheme::Ecdsa(Hash::Sha256), SIGNED, signature).unwrap();
}

/// RFC 8017 section 7.1: what OpenSSL encrypted opens here under its own hash only, and every changed, cut or longer
/// ciphertext is the same error.
#[test]
fn what_openssl_encrypted_opens() {
    let key = rsa();
    let (one, other) = (include_bytes!("openssl/oaep_sha1.ct"), include_bytes!("openssl/oaep_sha256.ct"));
    assert_eq!(*key.decrypt(Oaep::Sha1, one).unwrap(), b"encrypted by OpenSSL");
    assert_eq!(*key.decrypt(Oaep::Sha256, other).unwrap(), b"encrypted by OpenSSL");
    let mut changed = other.to_vec();
    changed[100] ^= 4;
    let longer = [other.as_slice(), &[0]].concat();
    for bad in [one.as_slice(), &changed, &longer, &other[1..], &[], &[0xff; 256], &[0; 256]] {
        assert_eq!(key.decrypt(Oaep::Sha256, bad).err(), Some(PairError::OpenFailed));
    }
    assert_eq!(
        PrivateKey::generate(PairKind::P256).unwrap().decrypt(Oaep::Sha1, one).err(),
        Some(PairError::WrongKind)
    );
}

/// RFC 8017 section 7.1.1, step 1b: the longest message fits, one byte more does not.
#[test]
fn the_longest_plaintext_fits() {
    let (key, public) = (rsa(), rsa().public_key().unwrap());
    for (oaep, most) in [(Oaep::Sha1, 214), (Oaep::Sha256, 190)] {
        assert_eq!(PairKind::Rsa2048.oaep_bytes_max(oaep), Some(most));
        let sealed = public.encrypt(oaep, &vec![7; most]).unwrap();
        assert_eq!(*key.decrypt(oaep, &sealed).unwrap(), vec![7; most]);
        assert_ne!(sealed, public.encrypt(oaep, &vec![7; most]).unwrap());
        assert_eq!(public.encrypt(oaep, &vec![7; most + 1]).err(), Some(PairError::TooLong));
    }
}

const SCHEMES: [Scheme; 11] = [
    Scheme::RsaPss(Hash::Sha256),
    Scheme::RsaPss(Hash::Sha384),
    Scheme::RsaPss(Hash::Sha512),
    Scheme::RsaPkcs1(Hash::Sha256),
    Scheme::RsaPkcs1(Hash::Sha384),
    Scheme::RsaPkcs1(Hash::Sha512),
    Scheme::Ecdsa(Hash::Sha256),
    Scheme::Ecdsa(Hash::Sha384),
    Scheme::Ecdsa(Hash::Sha512),
    Scheme::Ed25519,
    Scheme::Ed25519Ph,
];

/// KMS developer guide, "Key spec reference": each kind signs by its own schemes and no other; a signature verifies for its
/// message and key, and no changed one does.
#[test]
fn each_kind_signs_by_its_own_schemes() {
    let kinds = [
        (rsa(), 6),
        (PrivateKey::generate(PairKind::P256).unwrap(), 1),
        (PrivateKey::generate(PairKind::P384).unwrap(), 1),
        (PrivateKey::generate(PairKind::P521).unwrap(), 1),
        (PrivateKey::generate(PairKind::P256K1).unwrap(), 1),
        (PrivateKey::generate(PairKind::Ed25519).unwrap(), 2),
    ];
    for (key, known) in kinds {
        let public = key.public_key().unwrap();
        let stranger = match key.kind() {
            PairKind::Rsa2048 => None,
            kind => Some(PrivateKey::generate(kind).unwrap().public_key().unwrap()),
        };
        let mut signed = 0;
        for scheme in SCHEMES {
            let signature = match key.sign(scheme, Message::Raw(b"message")) {
                Ok(signature) => signature,
                Err(error) => {
                    assert_eq!(error, PairError::WrongKind, "{:?} {scheme:?}", key.kind());
                    assert_eq!(public.verify(scheme, Message::Raw(b"message"), &[0; 64]), Err(PairError::WrongKind));
                    continue;
                }
            };
            signed += 1;
            public.verify(scheme, Message::Raw(b"message"), &signature).unwrap();
            let bad = |message, signature: &[u8]| {
                assert_eq!(public.verify(scheme, Message::Raw(message), signature), Err(PairError::BadSignature));
            };
            bad(b"massage", &signature);
            bad(b"message", &[]);
            bad(b"message", &signature[..signature.len() - 1]);
            bad(b"message", &[signature.as_slice(), &[0]].concat());
            bad(b"message", &vec![0; signature.len()]);
            bad(b"message", &vec![0xff; signature.len()]);
            let mut changed = signature.clone();
            *changed.last_mut().unwrap() ^= 1;
            bad(b"message", &changed);
            // r = s = 0 and r = s = 1 are no signatures, RFC 8032 and FIPS 186-5 alike.
            bad(b"message", &bytes("3006020100020100"));
            bad(b"message", &bytes("3006020101020101"));
            if let Some(stranger) = &stranger {
                let outcome = stranger.verify(scheme, Message::Raw(b"message"), &signature);
                assert_eq!(outcome, Err(PairError::BadSignature));
            }
        }
        assert_eq!(signed, known, "{:?}", key.kind());
    }
}

/// KMS API, Sign, `MessageType`: a digest gives the signature of its message, and has the length of the scheme's hash.
#[test]
fn a_digest_is_signed_as_its_message() {
    let key = rsa();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, b"message");
    let scheme = Scheme::RsaPkcs1(Hash::Sha384);
    let by_digest = key.sign(scheme, Message::Digest(digest.as_ref())).unwrap();
    assert_eq!(by_digest, key.sign(scheme, Message::Raw(b"message")).unwrap());
    for length in [0, 32, 47] {
        let short = Message::Digest(&digest.as_ref()[..length]);
        assert_eq!(key.sign(scheme, short), Err(PairError::DigestLength));
        assert_eq!(key.public_key().unwrap().verify(scheme, short, &by_digest), Err(PairError::DigestLength));
    }
    let edwards = PrivateKey::generate(PairKind::Ed25519).unwrap();
    assert_eq!(edwards.sign(Scheme::Ed25519, Message::Digest(&[0; 64])), Err(PairError::WrongKind));
}

/// RFC 5208: a document is taken for the kind that it holds and no other; noise and cut documents are refused.
#[test]
fn a_private_key_is_taken_for_its_own_kind() {
    let kinds = [
        PairKind::Rsa2048,
        PairKind::Rsa3072,
        PairKind::Rsa4096,
        PairKind::P256,
        PairKind::P384,
        PairKind::P521,
        PairKind::P256K1,
        PairKind::Ed25519,
    ];
    let made: Vec<PrivateKey> = kinds
        .into_iter()
        .filter(|kind| !matches!(kind, PairKind::Rsa3072 | PairKind::Rsa4096))
        .map(|kind| PrivateKey::generate(kind).unwrap())
        .collect();
    for key in made {
        let document = key.expose_pkcs8();
        for kind in kinds {
            let taken = PrivateKey::from_pkcs8(kind, Zeroizing::new(document.to_vec()));
            assert_eq!(taken.is_ok(), kind == key.kind(), "{kind:?} from {:?}", key.kind());
        }
        for length in (0..document.len()).step_by(7) {
            let cut = Zeroizing::new(document[..length].to_vec());
            assert!(PrivateKey::from_pkcs8(key.kind(), cut).is_err());
        }
    }
    assert!(PrivateKey::from_pkcs8(PairKind::P256, Zeroizing::new(vec![0x30; 9000])).is_err());
}
