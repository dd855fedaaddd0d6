//! nfs-wire
