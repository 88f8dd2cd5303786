//! `velum:connect/files`: image files in the pool's one directory, on the target's node.

use velum_connector::{
    FilesGrant, Warrant,
    message::files::{Entry, MAX_ENTRIES},
};
use velum_model::{fault::Fault, port::Outcome};
use wasmtime::component::Resource;

use crate::{
    call::{CallHost, TargetHandle, refused},
    world::{
        bindings::velum::{common::types as wit, connect::files},
        convert,
    },
};

/// The opened directory: there is one, the `directory` of the pool's settings.
#[derive(Debug)]
pub struct Directory;

/// What changes something, with its arguments.
enum Change<'a> {
    Create {
        name: &'a str,
        format: u16,
        bytes: u64,
        backing: Option<&'a str>,
    },
    Copy {
        source: &'a str,
        name: &'a str,
        format: u16,
    },
    Resize {
        name: &'a str,
        bytes: u64,
    },
    Remove {
        name: &'a str,
    },
}

impl CallHost {
    fn directory(&self) -> Result<FilesGrant, Fault> {
        self.granted("files")?;
        let directory = self.setting("directory")?.to_owned();
        Ok(self.node()?.files(directory))
    }

    async fn change(&self, effect: &wit::Effect, change: Change<'_>) -> Result<Outcome, Fault> {
        let grant = self.directory()?;
        let (fence, effect) = self.warrant_of(effect)?;
        let warrant = Warrant {
            fence: &fence,
            effect: &effect,
        };
        let done = |()| Outcome::Done(Vec::new());
        match change {
            Change::Create {
                name,
                format,
                bytes,
                backing,
            } => {
                self.within(grant.create(warrant, name, (format, bytes), backing))
                    .await
            }
            Change::Copy { source, name, format } => {
                self.within(grant.copy(warrant, source, name, format)).await
            }
            Change::Resize { name, bytes } => self.within(grant.resize(warrant, name, bytes)).await.map(done),
            Change::Remove { name } => self.within(grant.remove(warrant, name)).await.map(done),
        }
    }
}

impl files::Host for CallHost {}

impl files::HostDirectory for CallHost {
    async fn open(
        &mut self,
        _: Resource<TargetHandle>,
    ) -> wasmtime::Result<Result<Resource<Directory>, wit::Fault>> {
        self.count()?;
        Ok(refused(self.directory().map(|_| Resource::new_own(1))))
    }

    async fn space(&mut self, _: Resource<Directory>) -> wasmtime::Result<Result<files::Space, wit::Fault>> {
        self.count()?;
        let answer = async { self.within(self.directory()?.space()).await };
        Ok(refused(answer.await.map(|space| files::Space {
            capacity_bytes: space.capacity_bytes,
            free_bytes: space.free_bytes,
        })))
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
        self.count()?;
        let change = Change::Create {
            name: &name,
            format,
            bytes,
            backing: backing.as_deref(),
        };
        let answer = self.change(&effect, change).await;
        Ok(refused(answer.map(convert::outcome_to_guest)))
    }

    async fn copy(
        &mut self,
        _: Resource<Directory>,
        effect: wit::Effect,
        source: String,
        name: String,
        format: u16,
    ) -> wasmtime::Result<Result<wit::Outcome, wit::Fault>> {
        self.count()?;
        let change = Change::Copy {
            source: &source,
            name: &name,
            format,
        };
        let answer = self.change(&effect, change).await;
        Ok(refused(answer.map(convert::outcome_to_guest)))
    }

    async fn resize(
        &mut self,
        _: Resource<Directory>,
        effect: wit::Effect,
        name: String,
        bytes: u64,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.count()?;
        let answer = self.change(&effect, Change::Resize { name: &name, bytes }).await;
        Ok(refused(answer.map(drop)))
    }

    async fn remove(
        &mut self,
        _: Resource<Directory>,
        effect: wit::Effect,
        name: String,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.count()?;
        let answer = self.change(&effect, Change::Remove { name: &name }).await;
        Ok(refused(answer.map(drop)))
    }

    async fn inspect(
        &mut self,
        _: Resource<Directory>,
        name: String,
    ) -> wasmtime::Result<Result<Option<files::Entry>, wit::Fault>> {
        self.count()?;
        let answer = async { self.within(self.directory()?.inspect(&name)).await };
        Ok(refused(answer.await.map(|found| found.map(entry))))
    }

    async fn locate(
        &mut self,
        _: Resource<Directory>,
        name: String,
    ) -> wasmtime::Result<Result<String, wit::Fault>> {
        self.count()?;
        let answer = async { self.within(self.directory()?.locate(&name)).await };
        Ok(refused(answer.await))
    }

    async fn entries(
        &mut self,
        _: Resource<Directory>,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<files::Entry>, wit::Fault>> {
        self.count()?;
        let limit = limit.clamp(1, MAX_ENTRIES);
        let answer = async {
            self.within(self.directory()?.entries(after.as_deref(), limit))
                .await
        };
        Ok(refused(
            answer.await.map(|found| found.into_iter().map(entry).collect()),
        ))
    }

    async fn poll(
        &mut self,
        _: Resource<Directory>,
        token: String,
    ) -> wasmtime::Result<Result<wit::Outcome, wit::Fault>> {
        self.count()?;
        let answer = async { self.within(self.directory()?.poll(&token)).await };
        Ok(refused(answer.await.map(convert::outcome_to_guest)))
    }

    async fn cancel(
        &mut self,
        _: Resource<Directory>,
        token: String,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.count()?;
        let answer = async {
            let grant = self.directory()?;
            // Ending work changes something, so it needs the right to; work itself is named by the effect that began it.
            self.warrant()?;
            self.within(grant.cancel(&token)).await
        };
        Ok(refused(answer.await))
    }

    async fn drop(&mut self, _: Resource<Directory>) -> wasmtime::Result<()> {
        Ok(())
    }
}

fn entry(entry: Entry) -> files::Entry {
    files::Entry {
        name: entry.name,
        format: entry.format,
        virtual_bytes: entry.virtual_bytes,
        allocated_bytes: entry.allocated_bytes,
        backing: entry.backing,
        owner: entry.owner,
    }
}
