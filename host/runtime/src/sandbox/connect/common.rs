//! `velum:common`: the handles of a call, and the log.

use wasmtime::component::Resource;

use crate::{
    sandbox::{
        ask::Ask,
        host::{CallHost, RunResource, TargetHandle},
    },
    world::bindings::velum::common::{log, types},
};

/// Bytes of a line that cross to the server: it keeps 1024 characters, of at most 4 bytes each.
const LINE_BYTES: usize = 4096;

impl log::Host for CallHost {
    async fn log(&mut self, level: u8, mut message: String) -> wasmtime::Result<()> {
        message.truncate(message.floor_char_boundary(LINE_BYTES));
        self.ask(Ask::Log { level, message }).await
    }
}

impl types::Host for CallHost {}

impl types::HostTarget for CallHost {
    async fn id(&mut self, _: Resource<TargetHandle>) -> wasmtime::Result<String> {
        self.count()?;
        Ok(self.place.target.clone())
    }

    async fn config(&mut self, _: Resource<TargetHandle>) -> wasmtime::Result<String> {
        self.count()?;
        Ok(self.place.config.clone())
    }

    async fn drop(&mut self, _: Resource<TargetHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl types::HostRun for CallHost {
    async fn id(&mut self, _: Resource<RunResource>) -> wasmtime::Result<String> {
        self.count()?;
        let run = self.place.run.as_ref();
        Ok(run.map(|(id, _)| id.clone()).unwrap_or_default())
    }

    async fn generation(&mut self, _: Resource<RunResource>) -> wasmtime::Result<u64> {
        self.count()?;
        Ok(self.place.run.as_ref().map_or(0, |(_, generation)| *generation))
    }

    async fn drop(&mut self, _: Resource<RunResource>) -> wasmtime::Result<()> {
        Ok(())
    }
}
