//! The planted cases, one file per domain: 3 to 8 of every kind of exception the detectors know.
//!
//! Values lie clearly beyond the limits of `thresholds.md`, so that no case hangs on an hour or on rounding.

pub(super) mod finance;
pub(super) mod fulfilment;
pub(super) mod orders;
pub(super) mod procurement;
pub(super) mod returns;
pub(super) mod stock;
