//! The port of the node: what the server itself orders there.

use async_trait::async_trait;
use uuid::Uuid;
use velum_model::{
    fault::Fault,
    id::RunId,
    port::{
        Effect, Fence, Secret,
        hypervisor::ConsolePlace,
        node::{LinkSpec, Node, NodeHello, SeedSpec, stream::ByteStream},
        storage::Attachment,
    },
};

use super::{NodeClient, QUESTION, Warrant, console};
use crate::message::Verb;

#[async_trait]
impl Node for NodeClient {
    async fn hello(&self) -> Result<NodeHello, Fault> {
        self.greeting().await
    }

    async fn ensure_link(&self, fence: &Fence, effect: &Effect, spec: &LinkSpec) -> Result<String, Fault> {
        self.act(Verb::LinkEnsure(spec.clone()), Warrant { fence, effect })
            .await
    }

    async fn remove_link(&self, fence: &Fence, effect: &Effect, network: Uuid) -> Result<(), Fault> {
        self.act(Verb::LinkRemove(network), Warrant { fence, effect })
            .await
    }

    async fn made_links(&self) -> Result<Vec<Uuid>, Fault> {
        self.ask(Verb::Links, QUESTION).await
    }

    async fn write_seed(
        &self,
        fence: &Fence,
        effect: &Effect,
        run: RunId,
        seed: &SeedSpec,
    ) -> Result<String, Fault> {
        let seed = seed.clone();
        self.act(Verb::SeedWrite { run, seed }, Warrant { fence, effect })
            .await
    }

    async fn written_seeds(&self) -> Result<Vec<RunId>, Fault> {
        self.ask(Verb::Seeds, QUESTION).await
    }

    async fn remove_seed(&self, fence: &Fence, effect: &Effect, run: RunId) -> Result<(), Fault> {
        self.act(Verb::SeedRemove(run), Warrant { fence, effect }).await
    }

    async fn fill_layer(
        &self,
        fence: &Fence,
        effect: &Effect,
        image: &str,
        into: &Attachment,
    ) -> Result<(), Fault> {
        let verb = Verb::FillLayer {
            image: image.to_owned(),
            into: into.clone(),
        };
        self.act(verb, Warrant { fence, effect }).await
    }

    async fn hold_secret(&self, attachment: &Attachment, secret: &Secret) -> Result<(), Fault> {
        let verb = Verb::SecretHold {
            identity: attachment.identity.clone(),
        };
        let ((), _) = self
            .exchange(verb, None, QUESTION, secret.bytes().to_vec())
            .await?;
        Ok(())
    }

    async fn verify_attachment(&self, attachment: &Attachment) -> Result<(), Fault> {
        self.ask(Verb::VerifyAttachment(attachment.clone()), QUESTION)
            .await
    }

    async fn open_console(
        &self,
        target_uri: &str,
        run: RunId,
        place: &ConsolePlace,
    ) -> Result<ByteStream, Fault> {
        let verb = Verb::ConsoleOpen {
            uri: target_uri.to_owned(),
            run,
            place: place.clone(),
        };
        console::open(&self.inner.place, verb).await
    }

    async fn console_log(&self, run: RunId, limit: u32) -> Result<Vec<u8>, Fault> {
        let verb = Verb::ConsoleLog { run, limit };
        let ((), bytes) = self.exchange(verb, None, QUESTION, Vec::new()).await?;
        Ok(bytes)
    }
}
