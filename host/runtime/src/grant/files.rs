//! `velum:connect/files`: image files in the pool's one directory, on the target's node.

use velum_connector::{
    FilesGrant, Warrant,
    message::files::{Entry, MAX_ENTRIES},
};
use velum_model::{fault::Fault, port::Outcome};

use crate::{
    errand::{Errand, answered},
    sandbox::ask::{FilesAsk, Reply},
    world::{
        bindings::velum::{common::types as wit, connect::files},
        convert,
    },
};

impl Errand {
    fn directory(&self) -> Result<FilesGrant, Fault> {
        self.granted("files")?;
        let directory = self.setting("directory")?.to_owned();
        Ok(self.node()?.files(directory))
    }

    /// Answers what a guest asks of its pool's directory.
    pub async fn files(&self, ask: FilesAsk) -> Reply {
        match ask {
            FilesAsk::Open => answered(self.directory().map(drop)),
            FilesAsk::Space => {
                let space = async { self.within(self.directory()?.space()).await };
                answered(space.await.map(|space| files::Space {
                    capacity_bytes: space.capacity_bytes,
                    free_bytes: space.free_bytes,
                }))
            }
            FilesAsk::Inspect { name } => {
                let found = async { self.within(self.directory()?.inspect(&name)).await };
                answered(found.await.map(|found| found.map(entry)))
            }
            FilesAsk::Locate { name } => {
                let path = async { self.within(self.directory()?.locate(&name)).await };
                answered(path.await)
            }
            FilesAsk::Entries { after, limit } => {
                let limit = limit.clamp(1, MAX_ENTRIES);
                let page = async {
                    self.within(self.directory()?.entries(after.as_deref(), limit))
                        .await
                };
                let page = page.await;
                answered(page.map(|found| found.into_iter().map(entry).collect::<Vec<_>>()))
            }
            FilesAsk::Poll { token } => {
                let outcome = async { self.within(self.directory()?.poll(&token)).await };
                answered(outcome.await.map(convert::outcome_to_guest))
            }
            FilesAsk::Cancel { token } => answered(self.cancel_files(&token).await),
            FilesAsk::Create { .. } | FilesAsk::Copy { .. } => {
                answered(self.make_file(ask).await.map(convert::outcome_to_guest))
            }
            FilesAsk::Resize { effect, name, bytes } => {
                answered(self.resize_file(&effect, &name, bytes).await)
            }
            FilesAsk::Remove { effect, name } => answered(self.remove_file(&effect, &name).await),
        }
    }

    async fn make_file(&self, ask: FilesAsk) -> Result<Outcome, Fault> {
        let grant = self.directory()?;
        match ask {
            FilesAsk::Create {
                effect,
                name,
                format,
                bytes,
                backing,
            } => {
                let (fence, effect) = self.warrant_of(&effect)?;
                let warrant = Warrant {
                    fence: &fence,
                    effect: &effect,
                };
                let made = grant.create(warrant, &name, (format, bytes), backing.as_deref());
                self.within(made).await
            }
            FilesAsk::Copy {
                effect,
                source,
                name,
                format,
            } => {
                let (fence, effect) = self.warrant_of(&effect)?;
                let warrant = Warrant {
                    fence: &fence,
                    effect: &effect,
                };
                self.within(grant.copy(warrant, &source, &name, format)).await
            }
            _ => Err(self.denied("that makes no file")),
        }
    }

    async fn resize_file(&self, effect: &wit::Effect, name: &str, bytes: u64) -> Result<(), Fault> {
        let grant = self.directory()?;
        let (fence, effect) = self.warrant_of(effect)?;
        let warrant = Warrant {
            fence: &fence,
            effect: &effect,
        };
        self.within(grant.resize(warrant, name, bytes)).await
    }

    async fn remove_file(&self, effect: &wit::Effect, name: &str) -> Result<(), Fault> {
        let grant = self.directory()?;
        let (fence, effect) = self.warrant_of(effect)?;
        let warrant = Warrant {
            fence: &fence,
            effect: &effect,
        };
        self.within(grant.remove(warrant, name)).await
    }

    async fn cancel_files(&self, token: &str) -> Result<(), Fault> {
        let grant = self.directory()?;
        // Ending work changes something, so it needs the right to; work itself is named by the effect that began it.
        self.warrant()?;
        self.within(grant.cancel(token)).await
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
