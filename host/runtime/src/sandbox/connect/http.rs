//! `velum:connect/http`.

use wasmtime::component::Resource;

use crate::{
    sandbox::{
        ask::{Ask, HttpAsk},
        host::{CallHost, Endpoint, TargetHandle},
    },
    world::bindings::velum::{common::types as wit, connect::http},
};

impl http::Host for CallHost {}

impl http::HostEndpoint for CallHost {
    async fn open(
        &mut self,
        _: Resource<TargetHandle>,
        role: String,
    ) -> wasmtime::Result<Result<Resource<Endpoint>, wit::Fault>> {
        let opened: Result<u32, wit::Fault> = self.ask(Ask::Http(HttpAsk::Open { role })).await?;
        Ok(opened.map(Resource::new_own))
    }

    async fn send(
        &mut self,
        endpoint: Resource<Endpoint>,
        request: http::Request,
    ) -> wasmtime::Result<Result<http::Response, wit::Fault>> {
        let endpoint = endpoint.rep();
        self.ask(Ask::Http(HttpAsk::Send { endpoint, request })).await
    }

    async fn drop(&mut self, _: Resource<Endpoint>) -> wasmtime::Result<()> {
        Ok(())
    }
}
