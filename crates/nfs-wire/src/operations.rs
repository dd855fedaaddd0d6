//! The only list of operations. Rules are facts of RFC 8881 (table 13 and section 18), applied by the compound loop.

use std::ops::BitOr;

use crate::attributes::Fattr4;
use crate::nfs4::{
    Access4Args, Access4Resok, BackchannelCtl4Args, BindConnToSession4Args, BindConnToSession4Resok, ChangeInfo4,
    Close4Args, Commit4Args, Create4Args, Create4Resok, CreateSession4Args, CreateSession4Resok, Delegreturn4Args,
    DestroyClientid4Args, DestroySession4Args, ExchangeId4Args, ExchangeId4Resok, FreeStateid4Args, Getattr4Args,
    Link4Args, Linktext4, Lock4Args, Lock4Res, Lockt4Args, Lockt4Res, Locku4Args, Lookup4Args, NfsFh4, Nverify4Args,
    Open4Args, Open4Resok, OpenDowngrade4Args, Putfh4Args, Read4Args, Read4Resok, Readdir4Args, Readdir4Resok,
    ReclaimComplete4Args, Remove4Args, Rename4Args, Rename4Resok, Secinfo4Args, Secinfo4Resok, SecinfoNoName4Args,
    Sequence4Args, Sequence4Resok, Setattr4Args, Setattr4Res, Stateid4, TestStateid4Args, TestStateid4Resok, Verifier4,
    Verify4Args, Write4Args, Write4Resok,
};
use crate::status::{NfsStat4, Reply, Status};
use crate::xdr::{Decoder, Encoder, Malformed, Xdr};

/// The table of supported operations: number, name in the RFC, variant, file and function, arguments, reply, rules.
///
/// A crate that expands the rows passes the macro that takes them. Operations of RFC 8881 that are not here are
/// [`UNSUPPORTED`] (the pNFS ones, delegations, 4.0's own); every other number is NFS4ERR_OP_ILLEGAL.
#[macro_export]
macro_rules! operations {
    ($callback:ident) => {
        $callback! {
//  no  name                 variant            file                  arguments                   reply                               rules
    3   ACCESS               Access             access               (Access4Args)            -> Status<Access4Resok>,            FH | REPEATABLE;
    4   CLOSE                Close              close                (Close4Args)             -> Status<Stateid4>,                FH | TAKES_STATEID | SETS_STATEID | WHILE_SEALED;
    5   COMMIT               Commit             commit               (Commit4Args)            -> Status<Verifier4>,               FH;
    6   CREATE               Create             create               (Create4Args)            -> Status<Create4Resok>,            FH | MODIFIES | CLEARS_STATEID;
    8   DELEGRETURN          Delegreturn        delegreturn          (Delegreturn4Args)       -> Status<()>,                      FH | TAKES_STATEID | WHILE_SEALED;
    9   GETATTR              Getattr            getattr              (Getattr4Args)           -> Status<Fattr4>,                  FH | REPEATABLE;
    10  GETFH                Getfh              getfh                (())                     -> Status<NfsFh4>,                  FH | REPEATABLE;
    11  LINK                 Link               link                 (Link4Args)              -> Status<ChangeInfo4>,             FH | SAVED_FH | MODIFIES;
    12  LOCK                 Lock               lock                 (Lock4Args)              -> Lock4Res,                        FH | TAKES_STATEID | SETS_STATEID;
    13  LOCKT                Lockt              lockt                (Lockt4Args)             -> Lockt4Res,                       FH | REPEATABLE;
    14  LOCKU                Locku              locku                (Locku4Args)             -> Status<Stateid4>,                FH | TAKES_STATEID | SETS_STATEID | WHILE_SEALED;
    15  LOOKUP               Lookup             lookup               (Lookup4Args)            -> Status<()>,                      FH | CLEARS_STATEID | REPEATABLE;
    16  LOOKUPP              Lookupp            lookupp              (())                     -> Status<()>,                      FH | CLEARS_STATEID | REPEATABLE;
    17  NVERIFY              Nverify            nverify              (Nverify4Args)           -> Status<()>,                      FH | REPEATABLE;
    18  OPEN                 Open               open                 (Open4Args)              -> Status<Open4Resok>,              FH | MODIFIES | TAKES_STATEID | SETS_STATEID;
    21  OPEN_DOWNGRADE       OpenDowngrade      open_downgrade       (OpenDowngrade4Args)     -> Status<Stateid4>,                FH | TAKES_STATEID | SETS_STATEID;
    22  PUTFH                Putfh              putfh                (Putfh4Args)             -> Status<()>,                      CLEARS_STATEID | PUTS_FH | WHILE_SEALED | REPEATABLE;
    23  PUTPUBFH             Putpubfh           putpubfh             (())                     -> Status<()>,                      CLEARS_STATEID | PUTS_FH | WHILE_SEALED | REPEATABLE;
    24  PUTROOTFH            Putrootfh          putrootfh            (())                     -> Status<()>,                      CLEARS_STATEID | PUTS_FH | WHILE_SEALED | REPEATABLE;
    25  READ                 Read               read                 (Read4Args)              -> Status<Read4Resok>,              FH | TAKES_STATEID | REPEATABLE;
    26  READDIR              Readdir            readdir              (Readdir4Args)           -> Status<Readdir4Resok>,           FH | REPEATABLE;
    27  READLINK             Readlink           readlink             (())                     -> Status<Linktext4>,               FH | REPEATABLE;
    28  REMOVE               Remove             remove               (Remove4Args)            -> Status<ChangeInfo4>,             FH | MODIFIES;
    29  RENAME               Rename             rename               (Rename4Args)            -> Status<Rename4Resok>,            FH | SAVED_FH | MODIFIES;
    31  RESTOREFH            Restorefh          restorefh            (())                     -> Status<()>,                      SAVED_FH | PUTS_FH | WHILE_SEALED | REPEATABLE;
    32  SAVEFH               Savefh             savefh               (())                     -> Status<()>,                      FH | WHILE_SEALED | REPEATABLE;
    33  SECINFO              Secinfo            secinfo              (Secinfo4Args)           -> Status<Secinfo4Resok>,           FH | CONSUMES_FH | REPEATABLE;
    34  SETATTR              Setattr            setattr              (Setattr4Args)           -> Setattr4Res,                     FH | MODIFIES | TAKES_STATEID;
    37  VERIFY               Verify             verify               (Verify4Args)            -> Status<()>,                      FH | REPEATABLE;
    38  WRITE                Write              write                (Write4Args)             -> Status<Write4Resok>,             FH | MODIFIES | TAKES_STATEID;
    40  BACKCHANNEL_CTL      BackchannelCtl     backchannel_ctl      (BackchannelCtl4Args)    -> Status<()>,                      WHILE_SEALED;
    41  BIND_CONN_TO_SESSION BindConnToSession  bind_conn_to_session (BindConnToSession4Args) -> Status<BindConnToSession4Resok>, ALONE | WHILE_SEALED;
    42  EXCHANGE_ID          ExchangeId         exchange_id          (ExchangeId4Args)        -> Status<ExchangeId4Resok>,        OUTSIDE_SESSION | WHILE_SEALED;
    43  CREATE_SESSION       CreateSession      create_session       (CreateSession4Args)     -> Status<CreateSession4Resok>,     OUTSIDE_SESSION | WHILE_SEALED;
    44  DESTROY_SESSION      DestroySession     destroy_session      (DestroySession4Args)    -> Status<()>,                      OUTSIDE_SESSION | WHILE_SEALED;
    45  FREE_STATEID         FreeStateid        free_stateid         (FreeStateid4Args)       -> Status<()>,                      TAKES_STATEID | WHILE_SEALED;
    52  SECINFO_NO_NAME      SecinfoNoName      secinfo_no_name      (SecinfoNoName4Args)     -> Status<Secinfo4Resok>,           FH | CONSUMES_FH | REPEATABLE;
    53  SEQUENCE             Sequence           sequence             (Sequence4Args)          -> Status<Sequence4Resok>,          FIRST_ONLY | WHILE_SEALED | REPEATABLE;
    55  TEST_STATEID         TestStateid        test_stateid         (TestStateid4Args)       -> Status<TestStateid4Resok>,       TAKES_STATEID | WHILE_SEALED | REPEATABLE;
    57  DESTROY_CLIENTID     DestroyClientid    destroy_clientid     (DestroyClientid4Args)   -> Status<()>,                      OUTSIDE_SESSION | WHILE_SEALED;
    58  RECLAIM_COMPLETE     ReclaimComplete    reclaim_complete     (ReclaimComplete4Args)   -> Status<()>,                      WHILE_SEALED;
        }
    };
}

/// Operations that RFC 8881 defines and that are answered with NFS4ERR_NOTSUPP: those of 4.0 that it forbids, delegations,
/// named attributes, the SSV and pNFS.
pub const UNSUPPORTED: &[(u32, &str)] = &[
    (7, "DELEGPURGE"),
    (19, "OPENATTR"),
    (20, "OPEN_CONFIRM"),
    (30, "RENEW"),
    (35, "SETCLIENTID"),
    (36, "SETCLIENTID_CONFIRM"),
    (39, "RELEASE_LOCKOWNER"),
    (46, "GET_DIR_DELEGATION"),
    (47, "GETDEVICEINFO"),
    (48, "GETDEVICELIST"),
    (49, "LAYOUTCOMMIT"),
    (50, "LAYOUTGET"),
    (51, "LAYOUTRETURN"),
    (54, "SET_SSV"),
    (56, "WANT_DELEGATION"),
];

/// `OP_ILLEGAL`.
pub const ILLEGAL: u32 = 10044;

/// What the compound loop must do around an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules(u32);

impl Rules {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Works on the current filehandle: NFS4ERR_NOFILEHANDLE without one.
    pub const FH: Self = Self(1);
    /// Works on the saved filehandle, too.
    pub const SAVED_FH: Self = Self(1 << 1);
    /// May change the file system: NFS4ERR_ROFS where that is not allowed; its reply is stored with the change.
    pub const MODIFIES: Self = Self(1 << 2);
    /// Arguments hold a stateid that may stand for the current one. RFC 8881, section 16.2.3.1.2.
    pub const TAKES_STATEID: Self = Self(1 << 3);
    /// The reply's stateid becomes the current one.
    pub const SETS_STATEID: Self = Self(1 << 4);
    /// The current filehandle changes and the current stateid is no more.
    pub const CLEARS_STATEID: Self = Self(1 << 5);
    /// Only as the first operation: NFS4ERR_SEQUENCE_POS elsewhere.
    pub const FIRST_ONLY: Self = Self(1 << 6);
    /// May stand without SEQUENCE, and then alone: NFS4ERR_NOT_ONLY_OP.
    pub const OUTSIDE_SESSION: Self = Self(1 << 7);
    /// Always stands alone: NFS4ERR_NOT_ONLY_OP.
    pub const ALONE: Self = Self(1 << 8);
    /// The current filehandle is consumed. RFC 8881, section 2.6.3.1.1.8.
    pub const CONSUMES_FH: Self = Self(1 << 9);
    /// Gives the compound a current filehandle. RFC 8881, section 2.6.3.1.1.
    pub const PUTS_FH: Self = Self(1 << 10);
    /// Goes on when the file system is sealed: touches no object's contents, names or attributes.
    pub const WHILE_SEALED: Self = Self(1 << 11);

    /// Changes neither file system nor state, so that it may run again.
    pub const REPEATABLE: Self = Self(1 << 12);

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Rules {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

macro_rules! define_operations {
    ($($number:literal $name:ident $variant:ident $file:ident ($arguments:ty) -> $reply:ty, $($rule:ident)|+;)*) => {
        /// `nfs_argop4`: one operation with its arguments.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "operations of the RFC; the table says more")]
        pub enum ArgOp {
            $($variant($arguments),)*
            /// Defined by the RFC, answered with NFS4ERR_NOTSUPP; the arguments are not read.
            Unsupported(u32),
            /// The arguments are no XDR of this operation: NFS4ERR_BADXDR.
            Malformed(u32),
            /// Not defined by the RFC: NFS4ERR_OP_ILLEGAL.
            Illegal(u32),
        }

        impl ArgOp {
            /// The number of the operation, as it was asked for.
            pub const fn number(&self) -> u32 {
                match self {
                    $(Self::$variant(_) => $number,)*
                    Self::Unsupported(number) | Self::Malformed(number) | Self::Illegal(number) => *number,
                }
            }

            /// The rules of its row.
            pub const fn rules(&self) -> Rules {
                match self {
                    $(Self::$variant(_) => Rules::NONE $(.and(Rules::$rule))+,)*
                    Self::Unsupported(_) | Self::Malformed(_) | Self::Illegal(_) => Rules::NONE,
                }
            }

            /// The name in the RFC.
            pub fn name(&self) -> &'static str {
                name_of(self.number())
            }

            fn decode_known(number: u32, decoder: &mut Decoder) -> Self {
                match number {
                    $($number => <$arguments as Xdr>::decode(decoder).map_or(Self::Malformed(number), Self::$variant),)*
                    _ if UNSUPPORTED.iter().any(|(unsupported, _)| *unsupported == number) => Self::Unsupported(number),
                    _ => Self::Illegal(number),
                }
            }

            /// Appends the operation, for a client.
            pub fn encode(&self, encoder: &mut Encoder) {
                encoder.u32(self.number());
                match self {
                    $(Self::$variant(arguments) => arguments.encode(encoder),)*
                    Self::Unsupported(_) | Self::Malformed(_) | Self::Illegal(_) => {}
                }
            }
        }

        /// `nfs_resop4`: the reply of one operation.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "operations of the RFC; the table says more")]
        pub enum ResOp {
            $($variant($reply),)*
            /// The reply to an unsupported or malformed operation: a bare status under the operation's own number.
            Refused(u32, NfsStat4),
            /// The reply to an illegal operation.
            Illegal,
        }

        impl ResOp {
            /// How the operation ended.
            pub fn status(&self) -> NfsStat4 {
                match self {
                    $(Self::$variant(reply) => Reply::status(reply),)*
                    Self::Refused(_, status) => *status,
                    Self::Illegal => NfsStat4::OpIllegal,
                }
            }

            /// The number that stands in the reply.
            pub const fn number(&self) -> u32 {
                match self {
                    $(Self::$variant(_) => $number,)*
                    Self::Refused(number, _) => *number,
                    Self::Illegal => ILLEGAL,
                }
            }

            /// The reply of the operation with this number when it ends with this error.
            pub fn failure(number: u32, status: NfsStat4) -> Self {
                match number {
                    $($number => Self::$variant(Reply::failure(status)),)*
                    _ if UNSUPPORTED.iter().any(|(unsupported, _)| *unsupported == number) => Self::Refused(number, status),
                    _ => Self::Illegal,
                }
            }
        }

        impl Xdr for ResOp {
            const WIRE_BYTES_MIN: usize = 8;
            fn encode(&self, encoder: &mut Encoder) {
                encoder.u32(self.number());
                match self {
                    $(Self::$variant(reply) => reply.encode(encoder),)*
                    Self::Refused(_, status) => status.encode(encoder),
                    Self::Illegal => NfsStat4::OpIllegal.encode(encoder),
                }
            }
            fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
                match decoder.u32()? {
                    $($number => Xdr::decode(decoder).map(Self::$variant),)*
                    ILLEGAL => match NfsStat4::decode(decoder)? {
                        NfsStat4::OpIllegal => Ok(Self::Illegal),
                        _ => Err(Malformed::UnknownValue),
                    },
                    number if UNSUPPORTED.iter().any(|(unsupported, _)| *unsupported == number) => {
                        NfsStat4::decode(decoder).map(|status| Self::Refused(number, status))
                    }
                    _ => Err(Malformed::UnknownValue),
                }
            }
        }

        /// The name of the operation with this number; `ILLEGAL` if the RFC defines none.
        pub fn name_of(number: u32) -> &'static str {
            match number {
                $($number => stringify!($name),)*
                _ => UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == number).map_or("ILLEGAL", |(_, name)| *name),
            }
        }

        /// The rows as (number, name, file), for checks of the tree.
        pub const ROWS: &[(u32, &str, &str)] = &[$(($number, stringify!($name), stringify!($file)),)*];
    };
}

operations!(define_operations);

impl ArgOp {
    /// Takes the next operation. Only a missing operation number is an error; what follows it is told apart by the variants.
    pub fn decode_next(decoder: &mut Decoder) -> Result<Self, Malformed> {
        let number = decoder.u32()?;
        Ok(Self::decode_known(number, decoder))
    }

    /// The longest result of a success, its number and status included, for operations that change files or what clients hold: they
    /// must not run if the reply has no room for it. RFC 8881, section 2.10.6.4. None for the others, which may be tried.
    pub const fn changed_bytes_max(&self) -> Option<usize> {
        const RESULT: usize = 8;
        const STATEID: usize = 16;
        const CHANGE: usize = 20;
        const BITMAP: usize = 4 + 4 * 3;
        Some(match self {
            // The stateid, the flags, and at most a delegation that is refused with its reason.
            Self::Open(_) => RESULT + STATEID + CHANGE + 4 + BITMAP + 12,
            Self::Create(_) => RESULT + CHANGE + BITMAP,
            Self::Rename(_) => RESULT + 2 * CHANGE,
            Self::Link(_) | Self::Remove(_) => RESULT + CHANGE,
            Self::Setattr(_) => RESULT + BITMAP,
            Self::Write(_) => RESULT + 16,
            Self::Close(_) | Self::Lock(_) | Self::Locku(_) | Self::OpenDowngrade(_) => RESULT + STATEID,
            Self::FreeStateid(_) | Self::ReclaimComplete(_) | Self::DestroySession(_) | Self::DestroyClientid(_) => {
                RESULT
            }
            _ => return None,
        })
    }

    /// Whether what follows in the compound cannot be told apart and will never run.
    pub const fn ends_decoding(&self) -> bool {
        matches!(self, Self::Unsupported(_) | Self::Malformed(_) | Self::Illegal(_))
    }

    /// The reply of this operation when it ends with this error.
    pub fn failure(&self, status: NfsStat4) -> ResOp {
        match self {
            Self::Malformed(number) => ResOp::Refused(*number, status),
            Self::Illegal(_) => ResOp::Illegal,
            _ => ResOp::failure(self.number(), status),
        }
    }
}
