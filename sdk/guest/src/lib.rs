//! What a Velum plugin written in Rust stands on.
#![doc = include_str!("../README.md")]

extern crate self as velum_guest;

#[doc(hidden)]
pub mod bindings;
pub mod codes;
pub mod config;
pub mod log;
pub mod placement;

#[doc(hidden)]
pub use wit_bindgen::rt;
