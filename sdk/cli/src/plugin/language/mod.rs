//! How a component is made of a folder, language by language.

mod javascript;
mod python;
mod run;
mod rust;
mod toolchain;

use crate::{
    failure::Failure,
    plugin::{
        build::Build,
        folder::{Folder, Language},
    },
};

/// The bytes of a folder's component.
pub async fn component(folder: &Folder, build: &Build) -> Result<Vec<u8>, Failure> {
    match folder.language {
        Language::Rust => rust::component(folder, build).await,
        Language::Python => python::component(folder).await,
        Language::Javascript => javascript::component(folder).await,
    }
}
