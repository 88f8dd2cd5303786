//! `velum:connect/state`.

use crate::{
    sandbox::{
        ask::{Ask, StateAsk},
        host::CallHost,
    },
    world::bindings::velum::{common::types as wit, connect::state},
};

impl state::Host for CallHost {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<state::Entry>, wit::Fault>> {
        self.ask(Ask::State(StateAsk::Get { key })).await
    }

    async fn put(
        &mut self,
        key: String,
        version: u64,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<u64, wit::Fault>> {
        self.ask(Ask::State(StateAsk::Put { key, version, value })).await
    }

    async fn remove(&mut self, key: String, version: u64) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.ask(Ask::State(StateAsk::Remove { key, version })).await
    }
}
