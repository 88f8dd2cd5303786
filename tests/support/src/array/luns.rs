//! Luns: made, listed, made larger, removed.

use std::{collections::BTreeMap, fs::File, os::unix::fs::MetadataExt as _};

use anyhow::Context as _;
use axum::http::StatusCode;
use serde::Serialize;

use super::state::{Inside, Lun, MB, POOL, Refused, State, no_lun};

/// The largest page.
const PAGE_MAX: usize = 100;

/// A lun as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LunView {
    lun_id: String,
    pool: &'static str,
    label: String,
    size_mb: u64,
    used_mb: u64,
    serial: String,
    wwid: String,
    client_ref: String,
    status: &'static str,
    copied_from: Option<String>,
    mapped_to: Vec<String>,
}

/// A pool as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolView {
    name: &'static str,
    total_mb: u64,
    free_mb: u64,
    lun_count: usize,
}

/// A page of luns.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    items: Vec<LunView>,
    next_page_token: Option<String>,
}

/// A lun to be made.
#[derive(Clone, Debug)]
pub(super) struct NewLun {
    pub(super) label: String,
    pub(super) size_mb: u64,
    pub(super) client_ref: String,
    pub(super) copied_from: Option<String>,
}

impl State {
    pub(super) fn view_lun(&self, lun: &Lun) -> LunView {
        let used = std::fs::metadata(self.file(&lun.id)).map_or(0, |meta| meta.blocks() * 512);
        LunView {
            lun_id: lun.id.clone(),
            pool: POOL,
            label: lun.label.clone(),
            size_mb: lun.size_mb,
            used_mb: used.div_ceil(MB),
            serial: lun.serial.clone(),
            wwid: lun.wwid.clone(),
            client_ref: lun.client_ref.clone(),
            status: if lun.is_copying { "copying" } else { "online" },
            copied_from: lun.copied_from.clone(),
            mapped_to: lun.shown_to.keys().cloned().collect(),
        }
    }

    pub(super) fn pool(&self) -> PoolView {
        let inside = self.inside.lock();
        PoolView {
            name: POOL,
            total_mb: self.setup.pool_mb,
            free_mb: self.free_mb(&inside),
            lun_count: inside.luns.len(),
        }
    }

    fn free_mb(&self, inside: &Inside) -> u64 {
        let promised: u64 = inside.luns.values().map(|lun| lun.size_mb).sum();
        self.setup.pool_mb.saturating_sub(promised)
    }

    /// Makes a lun's file and its books, within the lock.
    pub(super) fn add_lun(&self, inside: &mut Inside, new: NewLun) -> Result<Lun, Refused> {
        if let Some(known) = inside.luns.values().find(|lun| lun.client_ref == new.client_ref) {
            return Err(Refused {
                lun: Some(known.id.clone()),
                ..Refused::new(
                    StatusCode::CONFLICT,
                    "DUPLICATE_CLIENT_REF",
                    format!("{} was made under this client reference", known.id),
                )
            });
        }
        if new.size_mb == 0 {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "BAD_SIZE",
                "sizeMb must be at least 1",
            ));
        }
        if self.free_mb(inside) < new.size_mb {
            return Err(Refused::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "POOL_FULL",
                format!("{} MB do not fit", new.size_mb),
            ));
        }
        let (id, serial, wwid) = self.name_lun(inside);
        let made = File::create(self.file(&id))
            .and_then(|file| file.set_len(new.size_mb * MB))
            .context("could not make the lun's file");
        made?;
        let lun = Lun {
            id: id.clone(),
            label: new.label,
            size_mb: new.size_mb,
            serial,
            swapped: None,
            wwid,
            client_ref: new.client_ref,
            is_copying: new.copied_from.is_some(),
            copied_from: new.copied_from,
            shown_to: BTreeMap::new(),
        };
        inside.luns.insert(id, lun.clone());
        Ok(lun)
    }

    pub(super) fn create_lun(&self, new: NewLun) -> Result<LunView, Refused> {
        let lun = self.add_lun(&mut self.inside.lock(), new)?;
        Ok(self.view_lun(&lun))
    }

    pub(super) fn lun(&self, id: &str) -> Result<LunView, Refused> {
        let inside = self.inside.lock();
        let lun = inside.luns.get(id).ok_or_else(|| no_lun(id))?;
        Ok(self.view_lun(lun))
    }

    pub(super) fn list_luns(
        &self,
        client_ref: Option<&str>,
        size: Option<usize>,
        after: Option<&str>,
    ) -> Page {
        let inside = self.inside.lock();
        let size = size.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let mut wanted = inside
            .luns
            .values()
            .filter(|lun| client_ref.is_none_or(|wanted| lun.client_ref == wanted))
            .filter(|lun| after.is_none_or(|after| lun.id.as_str() > after));
        let items: Vec<LunView> = wanted.by_ref().take(size).map(|lun| self.view_lun(lun)).collect();
        let next_page_token = wanted
            .next()
            .and_then(|_| items.last().map(|last| last.lun_id.clone()));
        Page {
            items,
            next_page_token,
        }
    }

    pub(super) fn delete_lun(&self, id: &str) -> Result<(), Refused> {
        let mut inside = self.inside.lock();
        let lun = inside.luns.get(id).ok_or_else(|| no_lun(id))?;
        let busy = |code, why: &str| {
            Err(Refused {
                lun: Some(id.to_owned()),
                ..Refused::new(StatusCode::CONFLICT, code, format!("{id} {why}"))
            })
        };
        if !lun.shown_to.is_empty() {
            return busy("LUN_MAPPED", "is mapped to a host");
        }
        let is_source = inside
            .luns
            .values()
            .any(|other| other.is_copying && other.copied_from.as_deref() == Some(id));
        if lun.is_copying || is_source {
            return busy("COPY_IN_PROGRESS", "is being copied");
        }
        std::fs::remove_file(self.file(id)).context("could not remove the lun's file")?;
        inside.luns.remove(id);
        Ok(())
    }

    pub(super) fn resize_lun(&self, id: &str, size_mb: u64) -> Result<LunView, Refused> {
        let mut inside = self.inside.lock();
        let free = self.free_mb(&inside);
        let lun = inside.luns.get_mut(id).ok_or_else(|| no_lun(id))?;
        if size_mb < lun.size_mb {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "BAD_SIZE",
                "a lun cannot become smaller",
            ));
        }
        if !lun.shown_to.is_empty() && size_mb > lun.size_mb {
            return Err(Refused::new(
                StatusCode::CONFLICT,
                "LUN_MAPPED",
                "a lun that is mapped keeps its size",
            ));
        }
        if size_mb - lun.size_mb > free {
            return Err(Refused::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "POOL_FULL",
                format!("{} MB more do not fit", size_mb - lun.size_mb),
            ));
        }
        File::options()
            .write(true)
            .open(self.file(id))
            .and_then(|file| file.set_len(size_mb * MB))
            .context("could not resize the lun's file")?;
        lun.size_mb = size_mb;
        let lun = lun.clone();
        Ok(self.view_lun(&lun))
    }
}
