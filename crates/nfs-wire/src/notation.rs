//! `xdr!`: the notation in which every wire type is written once. It reads like the language of RFC 4506, section 6.
//!
//! ```
//! nfs_wire::xdr! {
//!     /// A point in time.
//!     pub struct Nfstime4 { seconds: i64, nseconds: u32 }
//!
//!     /// How a time is set.
//!     pub enum TimeHow4 { SetToServerTime4 = 0, SetToClientTime4 = 1 }
//!
//!     /// The time to set: a union whose discriminant stands behind each arm.
//!     pub union Settime4 { ServerTime = 0, ClientTime(Nfstime4) = 1 }
//! }
//! # let _ = (TimeHow4::SetToServerTime4, Settime4::ServerTime);
//! ```

/// Defines structs, checked enums and discriminated unions together with their codec.
#[macro_export]
macro_rules! xdr {
    () => {};

    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? } $($rest:tt)*) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$field_meta])* #[allow(missing_docs, reason = "a field of the RFC")] pub $field: $type),* }

        impl $crate::xdr::Xdr for $name {
            const WIRE_BYTES_MIN: usize = 0 $(+ <$type as $crate::xdr::Xdr>::WIRE_BYTES_MIN)*;
            fn encode(&self, encoder: &mut $crate::xdr::Encoder) {
                $($crate::xdr::Xdr::encode(&self.$field, encoder);)*
            }
            fn decode(decoder: &mut $crate::xdr::Decoder) -> Result<Self, $crate::xdr::Malformed> {
                Ok(Self { $($field: $crate::xdr::Xdr::decode(decoder)?),* })
            }
        }
        $crate::xdr! { $($rest)* }
    };

    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $value:literal),* $(,)? } $($rest:tt)*) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        #[allow(missing_docs, reason = "values of the RFC")]
        pub enum $name { $($(#[$variant_meta])* $variant = $value),* }

        impl $name {
            /// The value on the wire.
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The value with this number.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($value => Some(Self::$variant),)* _ => None }
            }

            /// Every value, in the order of the definition.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }

        impl $crate::xdr::Xdr for $name {
            const WIRE_BYTES_MIN: usize = 4;
            fn encode(&self, encoder: &mut $crate::xdr::Encoder) {
                encoder.u32(self.number());
            }
            fn decode(decoder: &mut $crate::xdr::Decoder) -> Result<Self, $crate::xdr::Malformed> {
                Self::from_number(decoder.u32()?).ok_or($crate::xdr::Malformed::UnknownValue)
            }
        }
        $crate::xdr! { $($rest)* }
    };

    ($(#[$meta:meta])* pub union $name:ident { $($(#[$arm_meta:meta])* $arm:ident $(($type:ty))? = $value:literal),* $(,)? } $($rest:tt)*) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "arms of the RFC")]
        pub enum $name { $($(#[$arm_meta])* $arm $(($type))?),* }

        impl $crate::xdr::Xdr for $name {
            const WIRE_BYTES_MIN: usize = 4;
            fn encode(&self, encoder: &mut $crate::xdr::Encoder) {
                match self {
                    $(Self::$arm $(($crate::xdr!(@bind body $type)))? => {
                        encoder.u32($value);
                        $(<$type as $crate::xdr::Xdr>::encode(body, encoder);)?
                    })*
                }
            }
            fn decode(decoder: &mut $crate::xdr::Decoder) -> Result<Self, $crate::xdr::Malformed> {
                match decoder.u32()? {
                    $($value => Ok(Self::$arm $((<$type as $crate::xdr::Xdr>::decode(decoder)?))?),)*
                    _ => Err($crate::xdr::Malformed::UnknownValue),
                }
            }
        }
        $crate::xdr! { $($rest)* }
    };

    (@bind $name:ident $type:ty) => { $name };
}
