//! Components in the plugins directory: what is installed already keeps a server neither from starting nor from working.

use std::{path::Path, time::Duration};

use anyhow::Context;
use velum_client::Filter;
use velum_support::{CloudOptions, TestCloud, first_party};

const NAME: &str = "placement-first-fit";
const PATIENCE: Duration = Duration::from_secs(20);

/// A custom section changes nothing but the digest: another build of the same source.
const CUSTOM_SECTION: &[u8] = &[0, 6, 5, b'b', b'u', b'i', b'l', b'd'];

async fn installed(cloud: &TestCloud) -> anyhow::Result<Vec<String>> {
    let plugins = cloud.client()?.plugins().all(&Filter::new()).await?;
    Ok(plugins.into_iter().map(|plugin| plugin.digest).collect())
}

async fn start_again(cloud: &mut TestCloud) -> anyhow::Result<String> {
    cloud.velumd.stop(PATIENCE)?;
    let before = cloud.velumd.printed().len();
    cloud.restart().await?;
    let printed = cloud.velumd.printed();
    Ok(printed.get(before..).unwrap_or_default().to_owned())
}

fn warning_in(printed: &str) -> anyhow::Result<&str> {
    let warnings: Vec<&str> = printed.lines().filter(|line| line.contains("WARN")).collect();
    match warnings.as_slice() {
        [warning] => Ok(warning),
        others => anyhow::bail!("{} warnings: {printed}", others.len()),
    }
}

fn change(path: &Path, what: impl FnOnce(Vec<u8>) -> Vec<u8>) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    Ok(std::fs::write(path, what(bytes))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_build_of_a_version_does_not_keep_the_server_from_starting() -> anyhow::Result<()> {
    let plugins = tempfile::tempdir()?;
    for ending in ["wasm", "toml"] {
        let file = format!("{NAME}.{ending}");
        std::fs::copy(first_party()?.join(&file), plugins.path().join(&file))?;
    }
    let options = CloudOptions {
        plugins: Some(plugins.path().to_owned()),
        ..CloudOptions::default()
    };
    let mut cloud = TestCloud::start(&options).await?;
    let first = installed(&cloud).await?;
    assert_eq!(first.len(), 1, "{first:?}");

    let component = plugins.path().join(format!("{NAME}.wasm"));
    change(&component, |bytes| [bytes.as_slice(), CUSTOM_SECTION].concat())?;
    let printed = start_again(&mut cloud).await?;
    let warning = warning_in(&printed)?;
    assert_eq!(installed(&cloud).await?, first, "the installed one stays");
    let digests = warning.matches("sha256:").count();
    assert!(digests == 2 && warning.contains(&first[0]), "{warning}");
    assert!(
        warning.contains("raise the version") && warning.contains("remove the installed one"),
        "{warning}"
    );

    // The component of before, with another manifest.
    change(&component, |bytes| {
        bytes[..bytes.len() - CUSTOM_SECTION.len()].to_vec()
    })?;
    let manifest = plugins.path().join(format!("{NAME}.toml"));
    change(&manifest, |bytes| [b"# told anew\n", bytes.as_slice()].concat())?;
    let printed = start_again(&mut cloud).await?;
    let warning = warning_in(&printed)?;
    assert!(
        warning.contains(&first[0]) && warning.contains("manifest"),
        "{warning}"
    );
    assert_eq!(installed(&cloud).await?, first);

    // With its version raised the other build is a plugin of its own.
    change(&component, |bytes| [bytes.as_slice(), CUSTOM_SECTION].concat())?;
    change(&manifest, |bytes| {
        let text = String::from_utf8_lossy(&bytes);
        text.replace("\nversion = \"", "\nversion = \"9").into_bytes()
    })?;
    start_again(&mut cloud).await?;
    assert_eq!(installed(&cloud).await?.len(), 2);
    Ok(())
}
