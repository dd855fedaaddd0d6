//! Runs real Linux NFS clients in user-mode Linux.
