//! What a Velum plugin written in Rust stands on: bindings of the contracts, and traits over them.
#![doc = include_str!("../README.md")]

// The generated bindings name this crate by its path, here as in a plugin.
extern crate self as velum_guest;

#[doc(hidden)]
pub mod bindings;
pub mod codes;
pub mod common;
pub mod config;
pub mod connect;
pub mod driver;
#[cfg(feature = "json")]
pub mod json_api;
pub mod log;
pub mod placement;
pub mod provider;

#[doc(hidden)]
pub use wit_bindgen::rt;
