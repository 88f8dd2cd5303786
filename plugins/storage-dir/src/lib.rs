//! Volumes as qcow2 files in a directory of the node. This file joins the contract to [`volumes`], which holds what is
//! done.

pub mod volumes;

use velum_guest::{
    common::{Attachment, Effect, Fault, Outcome, Target},
    config::Config,
    connect::files,
    provider::{Consumer, Descriptor, Provider, Space, Volume, VolumeInfo, VolumePage, VolumeSpec},
};

/// The provider.
#[derive(Debug)]
pub struct DirectoryProvider;

fn open(pool: &Target) -> Result<files::Directory, Fault> {
    check(&pool.config()).map_err(|problem| Fault::invalid(format!("settings of the pool: {problem}")))?;
    files::Directory::open(pool)
}

/// Which directory it is stays with the node; here it only must be one.
fn check(settings: &str) -> Result<(), String> {
    let config = Config::parse(settings)?;
    let directory = config.text("directory", "")?;
    config.finish()?;
    if directory.starts_with('/') {
        Ok(())
    } else {
        Err("'directory' must be an absolute path".to_owned())
    }
}

impl volumes::Directory for files::Directory {
    fn space(&self) -> Result<files::Space, Fault> {
        Self::space(self)
    }
    fn create(&self, effect: &Effect, image: &volumes::Image<'_>) -> Result<Outcome, Fault> {
        Self::create(self, effect, image.name, image.format, image.bytes, image.backing)
    }
    fn resize(&self, effect: &Effect, name: &str, bytes: u64) -> Result<(), Fault> {
        Self::resize(self, effect, name, bytes)
    }
    fn remove(&self, effect: &Effect, name: &str) -> Result<(), Fault> {
        Self::remove(self, effect, name)
    }
    fn inspect(&self, name: &str) -> Result<Option<files::Entry>, Fault> {
        Self::inspect(self, name)
    }
    fn locate(&self, name: &str) -> Result<String, Fault> {
        Self::locate(self, name)
    }
    fn entries(&self, after: Option<&str>, limit: u32) -> Result<Vec<files::Entry>, Fault> {
        Self::entries(self, after, limit)
    }
    fn poll(&self, token: &str) -> Result<Outcome, Fault> {
        Self::poll(self, token)
    }
    fn cancel(&self, token: &str) -> Result<(), Fault> {
        Self::cancel(self, token)
    }
}

impl Provider for DirectoryProvider {
    fn describe(_: &Target) -> Result<Descriptor, Fault> {
        Ok(volumes::describe())
    }
    fn probe(pool: &Target) -> Result<Space, Fault> {
        volumes::probe(&open(pool)?)
    }
    fn create(pool: &Target, effect: Effect, spec: VolumeSpec) -> Result<Outcome, Fault> {
        volumes::create(&open(pool)?, &effect, &spec)
    }
    fn delete(pool: &Target, effect: Effect, volume: Volume) -> Result<Outcome, Fault> {
        volumes::delete(&open(pool)?, &effect, &volume)
    }
    fn expand(pool: &Target, effect: Effect, volume: Volume, size_bytes: u64) -> Result<Outcome, Fault> {
        volumes::expand(&open(pool)?, &effect, &volume, size_bytes)
    }
    fn publish(pool: &Target, _: Effect, volume: Volume, _: Consumer) -> Result<Outcome, Fault> {
        volumes::publish(&open(pool)?, &volume)
    }
    fn unpublish(_: &Target, _: Effect, _: Volume, _: String) -> Result<Outcome, Fault> {
        Ok(Outcome::done())
    }
    fn reached_by(pool: &Target, volume: Volume, _: String) -> Result<Option<Attachment>, Fault> {
        volumes::reached_by(&open(pool)?, &volume)
    }
    fn find(pool: &Target, id: String) -> Result<Option<VolumeInfo>, Fault> {
        volumes::find(&open(pool)?, &id)
    }
    fn observe(pool: &Target, after: Option<String>) -> Result<VolumePage, Fault> {
        volumes::observe(&open(pool)?, after.as_deref())
    }
    fn poll(pool: &Target, _: Effect, token: String) -> Result<Outcome, Fault> {
        volumes::poll(&open(pool)?, &token)
    }
    fn cancel(pool: &Target, _: Effect, token: String) -> Result<Outcome, Fault> {
        volumes::cancel(&open(pool)?, &token)
    }
}

velum_guest::export_provider!(DirectoryProvider);

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn the_directory_is_absolute_and_the_only_setting() {
        assert_eq!(check(r#"{"directory": "/pool"}"#), Ok(()));
        assert!(check("{}").unwrap_err().contains("'directory'"));
        assert!(
            check(r#"{"directory": "pool"}"#)
                .unwrap_err()
                .contains("'directory'")
        );
        assert!(
            check(r#"{"directory": "/pool", "mode": 1}"#)
                .unwrap_err()
                .contains("'mode'")
        );
    }
}
