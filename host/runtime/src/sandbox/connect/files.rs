//! `velum:connect/files`.

use wasmtime::component::Resource;

use crate::{
    sandbox::{
        ask::{Ask, FilesAsk},
        host::{CallHost, Directory, TargetHandle},
    },
    world::bindings::velum::{common::types as wit, connect::files},
};

impl files::Host for CallHost {}

impl files::HostDirectory for CallHost {
    async fn open(
        &mut self,
        _: Resource<TargetHandle>,
    ) -> wasmtime::Result<Result<Resource<Directory>, wit::Fault>> {
        let opened: Result<(), wit::Fault> = self.ask(Ask::Files(FilesAsk::Open)).await?;
        Ok(opened.map(|()| Resource::new_own(1)))
    }

    async fn space(&mut self, _: Resource<Directory>) -> wasmtime::Result<Result<files::Space, wit::Fault>> {
        self.ask(Ask::Files(FilesAsk::Space)).await
    }

    async fn create(
        &mut self,
        _: Resource<Directory>,
        effect: wit::Effect,
        name: String,
        format: u16,
        bytes: u64,
        backing: Option<String>,
    ) -> wasmtime::Result<Result<wit::Outcome, wit::Fault>> {
        self.ask(Ask::Files(FilesAsk::Create {
            effect,
            name,
            format,
            bytes,
            backing,
        }))
        .await
    }

    async fn copy(
        &mut self,
        _: Resource<Directory>,
        effect: wit::Effect,
        source: String,
        name: String,
        format: u16,
    ) -> wasmtime::Result<Result<wit::Outcome, wit::Fault>> {
        self.ask(Ask::Files(FilesAsk::Copy {
            effect,
            source,
            name,
            format,
        }))
        .await
    }

    async fn resize(
        &mut self,
        _: Resource<Directory>,
        effect: wit::Effect,
        name: String,
        bytes: u64,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.ask(Ask::Files(FilesAsk::Resize { effect, name, bytes }))
            .await
    }

    async fn remove(
        &mut self,
        _: Resource<Directory>,
        effect: wit::Effect,
        name: String,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.ask(Ask::Files(FilesAsk::Remove { effect, name })).await
    }

    async fn inspect(
        &mut self,
        _: Resource<Directory>,
        name: String,
    ) -> wasmtime::Result<Result<Option<files::Entry>, wit::Fault>> {
        self.ask(Ask::Files(FilesAsk::Inspect { name })).await
    }

    async fn locate(
        &mut self,
        _: Resource<Directory>,
        name: String,
    ) -> wasmtime::Result<Result<String, wit::Fault>> {
        self.ask(Ask::Files(FilesAsk::Locate { name })).await
    }

    async fn entries(
        &mut self,
        _: Resource<Directory>,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<files::Entry>, wit::Fault>> {
        self.ask(Ask::Files(FilesAsk::Entries { after, limit })).await
    }

    async fn poll(
        &mut self,
        _: Resource<Directory>,
        token: String,
    ) -> wasmtime::Result<Result<wit::Outcome, wit::Fault>> {
        self.ask(Ask::Files(FilesAsk::Poll { token })).await
    }

    async fn cancel(
        &mut self,
        _: Resource<Directory>,
        token: String,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.ask(Ask::Files(FilesAsk::Cancel { token })).await
    }

    async fn drop(&mut self, _: Resource<Directory>) -> wasmtime::Result<()> {
        Ok(())
    }
}
