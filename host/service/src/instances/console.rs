//! The serial console of an instance: the driver locates it, the node streams it. No byte of it crosses a sandbox.

use std::sync::Arc;

use velum_model::{
    InstanceId,
    fault::{Fault, code},
    infrastructure::ComputeHost,
    instance::Run,
    port::{
        hypervisor::{RunHandle, registry},
        node::{Node, stream::ByteStream},
    },
    tenancy::Caller,
};

use crate::{compute_hosts::target_of, error::ServiceError, services::Services, targets::probe};

/// What a terminal scrolls back through; the node keeps more.
const LOG_MAX: u32 = 256 << 10;
/// Seconds after which a node or a far side that did not answer is asked again.
const AGAIN_S: u32 = 5;

impl Services {
    /// Opens the serial console of an instance's run.
    ///
    /// # Errors
    /// It does not exist, does not run, has no serial console, or the compute host does not answer.
    pub async fn instance_console(
        &self,
        caller: &Caller,
        id: InstanceId,
    ) -> Result<ByteStream, ServiceError> {
        let (run, host) = self.running(caller, id).await?;
        let node = self.node_of(&host, id)?;
        let driver = self.plugins().hypervisor(&host.driver)?;
        let target = target_of(&host, host.config.clone());
        let handle = RunHandle {
            id: run.id,
            generation: run.generation,
        };
        let place = probe(driver.locate_console(&target, handle, registry::CONSOLE_SERIAL)).await;
        let place = place.map_err(|fault| no_console(id, &fault))?;
        let uri = host
            .config
            .get("uri")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();
        let stream = probe(node.open_console(uri, run.id, &place)).await;
        stream.map_err(|fault| no_console(id, &fault))
    }

    /// What the serial console of an instance's run wrote last.
    ///
    /// # Errors
    /// It does not exist, does not run, or its node does not answer.
    pub async fn instance_console_log(
        &self,
        caller: &Caller,
        id: InstanceId,
    ) -> Result<Vec<u8>, ServiceError> {
        let (run, host) = self.running(caller, id).await?;
        let node = self.node_of(&host, id)?;
        probe(node.console_log(run.id, LOG_MAX))
            .await
            .map_err(|fault| no_console(id, &fault))
    }

    async fn running(&self, caller: &Caller, id: InstanceId) -> Result<(Run, ComputeHost), ServiceError> {
        let instance = self.instance_get(caller, id).await?;
        let run = instance
            .run
            .ok_or_else(|| closed(id, "the instance does not run; start it first"))?;
        let host = self.read().compute_host(run.compute_host).await;
        let host = host.map_err(|error| ServiceError::from_store("read the compute host", error))?;
        let host = host.ok_or_else(|| ServiceError::not_found("compute host", run.compute_host))?;
        Ok((run, host))
    }

    fn node_of(&self, host: &ComputeHost, id: InstanceId) -> Result<Arc<dyn Node>, ServiceError> {
        let address = host.node.as_deref();
        let address =
            address.ok_or_else(|| closed(id, "its compute host has no node that could open a console"))?;
        self.nodes().node(address).map_err(|fault| no_console(id, &fault))
    }
}

fn closed(id: InstanceId, problem: &str) -> ServiceError {
    ServiceError::InvalidState {
        what: "instance",
        id: id.uuid(),
        problem: problem.to_owned(),
    }
}

/// What the far side said is for the operator's log; a tenant learns whether trying again may help.
fn no_console(id: InstanceId, fault: &Fault) -> ServiceError {
    tracing::info!(instance = %id, %fault, "a console could not be opened");
    match fault.code {
        code::UNSUPPORTED | code::NOT_FOUND => closed(id, "the guest has no serial console now"),
        _ => ServiceError::Unavailable {
            problem: "the compute host did not open the console".to_owned(),
            retry_after_s: fault
                .retry_after_ms
                .map_or(AGAIN_S, |ms| ms.div_ceil(1000).max(1)),
        },
    }
}
