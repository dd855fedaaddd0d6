//! File attributes: their table, sets of them (`bitmap4`) and their values (`fattr4`). RFC 8881, sections 3.3.7 and 5.

use std::fmt;

use crate::bounded::Opaque;
use crate::xdr::{Decoder, Encoder, Malformed, Xdr};

/// The table of attributes: number, name, type and what a client may do with it. RFC 8881, sections 5.8 to 5.12.
///
/// A crate that expands the rows passes the macro that takes them. The type `Unsupported` marks attributes that Coffer does not
/// have; no value of them is ever read or written.
#[macro_export]
macro_rules! attributes {
    ($callback:ident) => {
        $callback! {
            // no  name               type           access
            0  SupportedAttrs    (Bitmap4)      GET;
            1  Type              (NfsFtype4)    GET;
            2  FhExpireType      (u32)          GET;
            3  Change            (u64)          GET;
            4  Size              (u64)          GET_SET;
            5  LinkSupport       (bool)         GET;
            6  SymlinkSupport    (bool)         GET;
            7  NamedAttr         (bool)         GET;
            8  Fsid              (Fsid4)        GET;
            9  UniqueHandles     (bool)         GET;
            10 LeaseTime         (u32)          GET;
            11 RdattrError       (NfsStat4)     GET;
            12 Acl               (Unsupported)  GET_SET;
            13 Aclsupport        (u32)          GET;
            14 Archive           (Unsupported)  GET_SET;
            15 Cansettime        (bool)         GET;
            16 CaseInsensitive   (bool)         GET;
            17 CasePreserving    (bool)         GET;
            18 ChownRestricted   (bool)         GET;
            19 Filehandle        (NfsFh4)       GET;
            20 Fileid            (u64)          GET;
            21 FilesAvail        (u64)          GET;
            22 FilesFree         (u64)          GET;
            23 FilesTotal        (u64)          GET;
            24 FsLocations       (Unsupported)  GET;
            25 Hidden            (Unsupported)  GET_SET;
            26 Homogeneous       (bool)         GET;
            27 Maxfilesize       (u64)          GET;
            28 Maxlink           (u32)          GET;
            29 Maxname           (u32)          GET;
            30 Maxread           (u64)          GET;
            31 Maxwrite          (u64)          GET;
            32 Mimetype          (Unsupported)  GET_SET;
            33 Mode              (u32)          GET_SET;
            34 NoTrunc           (bool)         GET;
            35 Numlinks          (u32)          GET;
            36 Owner             (Utf8Mixed)    GET_SET;
            37 OwnerGroup        (Utf8Mixed)    GET_SET;
            38 QuotaAvailHard    (Unsupported)  GET;
            39 QuotaAvailSoft    (Unsupported)  GET;
            40 QuotaUsed         (Unsupported)  GET;
            41 Rawdev            (Specdata4)    GET;
            42 SpaceAvail        (u64)          GET;
            43 SpaceFree         (u64)          GET;
            44 SpaceTotal        (u64)          GET;
            45 SpaceUsed         (u64)          GET;
            46 System            (Unsupported)  GET_SET;
            47 TimeAccess        (Nfstime4)     GET;
            48 TimeAccessSet     (Settime4)     SET;
            49 TimeBackup        (Unsupported)  GET_SET;
            50 TimeCreate        (Nfstime4)     GET_SET;
            51 TimeDelta         (Nfstime4)     GET;
            52 TimeMetadata      (Nfstime4)     GET;
            53 TimeModify        (Nfstime4)     GET;
            54 TimeModifySet     (Settime4)     SET;
            55 MountedOnFileid   (u64)          GET;
            56 DirNotifDelay     (Unsupported)  GET;
            57 DirentNotifDelay  (Unsupported)  GET;
            58 Dacl              (Unsupported)  GET_SET;
            59 Sacl              (Unsupported)  GET_SET;
            60 ChangePolicy      (Unsupported)  GET;
            61 FsStatus          (Unsupported)  GET;
            62 FsLayoutTypes     (Unsupported)  GET;
            63 LayoutHint        (Unsupported)  SET;
            64 LayoutTypes       (Unsupported)  GET;
            65 LayoutBlksize     (Unsupported)  GET;
            66 LayoutAlignment   (Unsupported)  GET;
            67 FsLocationsInfo   (Unsupported)  GET;
            68 Mdsthreshold      (Unsupported)  GET;
            69 RetentionGet      (Unsupported)  GET;
            70 RetentionSet      (Unsupported)  SET;
            71 RetentevtGet      (Unsupported)  GET;
            72 RetentevtSet      (Unsupported)  SET;
            73 RetentionHold     (Unsupported)  GET_SET;
            74 ModeSetMasked     (ModeMasked4)  SET;
            75 SuppattrExclcreat (Bitmap4)      GET;
            76 FsCharsetCap      (u32)          GET;
        }
    };
}

macro_rules! define_attributes {
    ($($number:literal $name:ident ($type:ident) $access:ident;)*) => {
        /// An attribute of RFC 8881 by its name; the table says more.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        #[allow(missing_docs, reason = "names of the RFC")]
        pub enum Attribute { $($name = $number),* }

        impl Attribute {
            /// Every attribute in the order of its number, which is the order of values in a `fattr4`.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The attribute's bit.
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The attribute with this bit.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// Whether GETATTR, READDIR, VERIFY and NVERIFY may name it.
            pub const fn readable(self) -> bool {
                match self { $(Self::$name => matches!(Access::$access, Access::GET | Access::GET_SET)),* }
            }

            /// Whether SETATTR, CREATE and OPEN may set it.
            pub const fn settable(self) -> bool {
                match self { $(Self::$name => matches!(Access::$access, Access::SET | Access::GET_SET)),* }
            }
        }
    };
}

#[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the words of the table")]
enum Access {
    GET,
    SET,
    GET_SET,
}

attributes!(define_attributes);

const WORDS: usize = 4;
/// Clients may send more words than there are attributes; beyond this a bitmap is malformed.
const WIRE_WORDS_MAX: usize = 64;

/// `bitmap4`: a set of attribute (or operation) numbers.
///
/// Numbers of 128 and above belong to no minor version that is known here; of them only the fact is kept that there were some.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Bitmap4 {
    words: [u32; WORDS],
    beyond: bool,
}

impl Bitmap4 {
    /// The set without members.
    pub const EMPTY: Self = Self { words: [0; WORDS], beyond: false };

    /// The set of these attributes.
    pub const fn of(attributes: &[Attribute]) -> Self {
        let mut words = [0_u32; WORDS];
        let mut rest = attributes;
        while let Some((first, tail)) = rest.split_first() {
            let number = first.number();
            let mut index = 0;
            let mut left: &mut [u32] = &mut words;
            while let Some((word, after)) = left.split_first_mut() {
                if index == number / 32 {
                    *word |= 1 << (number % 32);
                }
                left = after;
                index += 1;
            }
            rest = tail;
        }
        Self { words, beyond: false }
    }

    /// Whether the attribute is a member.
    pub fn contains(&self, attribute: Attribute) -> bool {
        self.contains_number(attribute.number())
    }

    /// Whether the number is a member.
    pub fn contains_number(&self, number: u32) -> bool {
        self.word_of(number).is_some_and(|word| word & (1 << (number % 32)) != 0)
    }

    /// Makes the attribute a member.
    pub fn insert(&mut self, attribute: Attribute) {
        self.insert_number(attribute.number());
    }

    /// Makes the number a member.
    pub fn insert_number(&mut self, number: u32) {
        match self.words.get_mut(index_of(number)) {
            Some(word) => *word |= 1 << (number % 32),
            None => self.beyond = true,
        }
    }

    /// Takes the attribute out.
    pub fn remove(&mut self, attribute: Attribute) {
        if let Some(word) = self.words.get_mut(index_of(attribute.number())) {
            *word &= !(1 << (attribute.number() % 32));
        }
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        !self.beyond && self.words.iter().all(|word| *word == 0)
    }

    /// Whether every member is a member of `other`.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        !self.beyond && self.words.iter().zip(&other.words).all(|(own, others)| own & !others == 0)
    }

    /// The members of both.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut words = self.words;
        for (word, others) in words.iter_mut().zip(&other.words) {
            *word &= others;
        }
        Self { words, beyond: false }
    }

    /// The members of either.
    pub fn union(&self, other: &Self) -> Self {
        let mut words = self.words;
        for (word, others) in words.iter_mut().zip(&other.words) {
            *word |= others;
        }
        Self { words, beyond: self.beyond || other.beyond }
    }

    /// The members that `other` has not.
    pub fn difference(&self, other: &Self) -> Self {
        let mut words = self.words;
        for (word, others) in words.iter_mut().zip(&other.words) {
            *word &= !others;
        }
        Self { words, beyond: self.beyond }
    }

    /// The member numbers, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        (0_u32..).zip(&self.words).flat_map(|(index, word)| {
            (0..32)
                .filter(move |bit| word & (1 << bit) != 0)
                .map(move |bit| index.saturating_mul(32).saturating_add(bit))
        })
    }

    /// The member attributes, ascending: the order of values in a `fattr4`. Unknown numbers are left out.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute> + '_ {
        self.numbers().filter_map(Attribute::from_number)
    }

    /// Whether there is a member that is no attribute of the table.
    pub fn has_unknown(&self) -> bool {
        self.beyond || self.numbers().any(|number| Attribute::from_number(number).is_none())
    }

    /// How many words it takes on the wire; one stands for all numbers that are not kept.
    fn wire_words(&self) -> usize {
        match self.beyond {
            true => WORDS + 1,
            false => self.words.iter().rposition(|word| *word != 0).map_or(0, |last| last.saturating_add(1)),
        }
    }

    fn word_of(&self, number: u32) -> Option<u32> {
        self.words.get(index_of(number)).copied()
    }
}

fn index_of(number: u32) -> usize {
    usize::try_from(number / 32).unwrap_or(usize::MAX)
}

impl FromIterator<Attribute> for Bitmap4 {
    fn from_iter<I: IntoIterator<Item = Attribute>>(attributes: I) -> Self {
        let mut set = Self::EMPTY;
        for attribute in attributes {
            set.insert(attribute);
        }
        set
    }
}

impl fmt::Debug for Bitmap4 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.numbers()).finish()
    }
}

impl Xdr for Bitmap4 {
    const WIRE_BYTES_MIN: usize = 4;
    fn encode(&self, encoder: &mut Encoder) {
        let used = self.wire_words();
        encoder.u32(crate::xdr::length_of(used));
        for word in self.words.iter().take(used) {
            encoder.u32(*word);
        }
        if self.beyond {
            encoder.u32(1);
        }
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        let count = decoder.count(WIRE_WORDS_MAX, 4)?;
        let mut set = Self::EMPTY;
        for index in 0..count {
            let word = decoder.u32()?;
            match set.words.get_mut(index) {
                Some(place) => *place = word,
                None => set.beyond |= word != 0,
            }
        }
        Ok(set)
    }
}

/// The most bytes that the values of one `fattr4` take. The largest values that Coffer has are owners and bitmaps.
pub const ATTRIBUTE_BYTES_MAX: usize = 64 * 1024;

crate::xdr! {
    /// `fattr4`: a set of attributes and their values, encoded back to back in the order of their numbers.
    pub struct Fattr4 { attrmask: Bitmap4, attr_vals: Opaque<ATTRIBUTE_BYTES_MAX> }
}

impl Fattr4 {
    /// No attributes.
    pub fn empty() -> Self {
        Self { attrmask: Bitmap4::EMPTY, attr_vals: Opaque::default() }
    }

    /// A decoder over the values.
    pub fn values(&self) -> Decoder {
        Decoder::new(self.attr_vals.clone().into_bytes())
    }

    /// How many bytes this takes on the wire.
    pub fn wire_bytes(&self) -> usize {
        let mask = self.attrmask.wire_words();
        let values = self.attr_vals.len();
        8 + 4 * mask + values + crate::xdr::padding_of(values)
    }
}
