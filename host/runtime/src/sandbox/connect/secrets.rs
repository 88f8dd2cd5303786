//! `velum:connect/secrets`.

use wasmtime::component::Resource;

use crate::{
    sandbox::{
        ask::Ask,
        host::{CallHost, TargetHandle},
    },
    world::bindings::velum::{common::types as wit, connect::secrets},
};

impl secrets::Host for CallHost {
    async fn mint(
        &mut self,
        _: Resource<TargetHandle>,
        purpose: String,
        length: u16,
    ) -> wasmtime::Result<Result<String, wit::Fault>> {
        self.ask(Ask::Mint { purpose, length }).await
    }
}
