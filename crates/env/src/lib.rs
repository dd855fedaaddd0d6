//! parking_lot
