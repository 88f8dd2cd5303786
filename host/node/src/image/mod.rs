//! Image stores in directories of this machine, and the reader that judges what users bring.

pub mod inspect;
pub mod store;

pub use store::Images;
