//! Components that nobody wrote: modules with random bodies behind the right names, and a good one with random changes.
//! Whatever the server makes of them is right, as long as it answers and goes on.

use anyhow::Context as _;
use serde_json::{Value, json};
use velum_client::ClientError;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::{
    guests::{Dialect, PolicyText},
    play::Stage,
};

/// What came of them.
#[derive(Debug, Default)]
pub struct Generated {
    /// How many were sent.
    pub played: u64,
    /// How many the server took.
    pub taken: u64,
    /// What was not an answer.
    pub failed: Vec<Value>,
}

/// Lets `each` components of both kinds loose.
///
/// # Errors
/// The generators fail.
pub async fn let_loose(stage: &Stage<'_>, each: u64) -> anyhow::Result<Generated> {
    let mut generated = Generated::default();
    let seed = PolicyText::default();
    let good = wat::parse_str(seed.text())?;
    // The generator makes functions to order, and exports no memory.
    let functions = wat::parse_str(
        seed.text()
            .replace("(memory (export \"memory\") 4)", "(memory 4)"),
    )?;
    for number in 0..each {
        for (kind, module) in [
            ("smith", smith(&functions, number)),
            ("mutate", mutated(&good, number)),
        ] {
            let Some(component) = module.and_then(|module| component(&module)) else {
                continue;
            };
            generated.played += 1;
            let name = format!("{kind}-{number}");
            match send(stage, &name, component).await {
                Ok(taken) => generated.taken += u64::from(taken),
                Err(error) => generated
                    .failed
                    .push(json!({ "case": name, "why": format!("{error:#}") })),
            }
        }
    }
    Ok(generated)
}

/// Whether the server took it. What it took is made a policy and asked once.
async fn send(stage: &Stage<'_>, name: &str, component: Vec<u8>) -> anyhow::Result<bool> {
    let manifest = format!("name = \"{name}\"\nversion = \"0.1.0\"\nworld = \"placement-policy\"\n");
    let plugin = match stage
        .client
        .plugins()
        .install(component.into(), Some(&manifest))
        .await
    {
        Ok(answer) => answer.value,
        Err(ClientError::Problem(problem)) if problem.status < 500 => return Ok(false),
        Err(error) => return Err(error).context("installing it"),
    };
    let body = serde_json::from_value(json!({ "name": name, "digest": plugin.digest }))?;
    match stage.client.policies().create(&body).await {
        Ok(policy) => {
            stage
                .client
                .policies()
                .delete(policy.value.id)
                .await
                .context("removing its policy")?;
        }
        Err(ClientError::Problem(problem)) if problem.status < 500 => {}
        Err(error) => return Err(error).context("making a policy of it"),
    }
    stage
        .client
        .plugins()
        .delete(plugin.id)
        .await
        .context("removing it")?;
    Ok(true)
}

/// Bytes that look random and are the same in every run.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

/// A random module that exports what a policy exports.
fn smith(like: &[u8], seed: u64) -> Option<Vec<u8>> {
    let bytes = bytes(seed, 4096);
    let mut from = arbitrary::Unstructured::new(&bytes);
    let config = wasm_smith::Config {
        exports: Some(like.to_vec()),
        max_imports: 0,
        min_memories: 1,
        max_memories: 1,
        memory64_enabled: false,
        gc_enabled: false,
        exceptions_enabled: false,
        threads_enabled: false,
        relaxed_simd_enabled: false,
        tail_call_enabled: false,
        wide_arithmetic_enabled: false,
        custom_page_sizes_enabled: false,
        shared_everything_threads_enabled: false,
        ..wasm_smith::Config::default()
    };
    let module = wasm_smith::Module::new(config, &mut from).ok()?.to_bytes();
    let text = wasmprinter::print_bytes(module).ok()?;
    let (body, _) = text.trim_end().rsplit_once(')')?;
    wat::parse_str(format!("{body} (export \"memory\" (memory 0)))")).ok()
}

/// A good module with a change that may change what it does.
fn mutated(good: &[u8], seed: u64) -> Option<Vec<u8>> {
    let mut mutate = wasm_mutate::WasmMutate::default();
    mutate.seed(seed).preserve_semantics(false).fuel(200);
    let mut found = mutate.run(good).ok()?;
    found.next()?.ok()
}

/// The component of a module that may be none.
fn component(module: &[u8]) -> Option<Vec<u8>> {
    let resolve = Dialect::of("placement-policy").resolve();
    let (world, _) = resolve
        .worlds
        .iter()
        .find(|(_, world)| world.name == "placement-policy")?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).ok()?;
    ComponentEncoder::default()
        .module(&module)
        .ok()?
        .validate(false)
        .encode()
        .ok()
}
