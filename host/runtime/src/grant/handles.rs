//! `velum:common`: the handles of a call, and the log.

use wasmtime::component::Resource;

use crate::{
    call::{CallHost, RunResource, TargetHandle},
    world::bindings::velum::common::{log, types},
};

impl log::Host for CallHost {
    async fn log(&mut self, level: u8, message: String) -> wasmtime::Result<()> {
        self.count()?;
        self.plugin.log.line(level, &message);
        Ok(())
    }
}

impl types::Host for CallHost {}

impl types::HostTarget for CallHost {
    async fn id(&mut self, _: Resource<TargetHandle>) -> wasmtime::Result<String> {
        self.count()?;
        Ok(self.place.target.id.to_string())
    }

    async fn config(&mut self, _: Resource<TargetHandle>) -> wasmtime::Result<String> {
        self.count()?;
        Ok(match &self.place.target.config {
            serde_json::Value::Null => "{}".to_owned(),
            settings => settings.to_string(),
        })
    }

    async fn drop(&mut self, _: Resource<TargetHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl types::HostRun for CallHost {
    async fn id(&mut self, _: Resource<RunResource>) -> wasmtime::Result<String> {
        self.count()?;
        Ok(self.place.run.map(|run| run.id.to_string()).unwrap_or_default())
    }

    async fn generation(&mut self, _: Resource<RunResource>) -> wasmtime::Result<u64> {
        self.count()?;
        Ok(self.place.run.map_or(0, |run| run.generation))
    }

    async fn drop(&mut self, _: Resource<RunResource>) -> wasmtime::Result<()> {
        Ok(())
    }
}
