//! Copies: work that goes on after the answer.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use axum::http::StatusCode;
use serde::Serialize;

use super::{
    luns::NewLun,
    state::{MB, Refused, State, no_lun},
};

/// Work.
#[derive(Clone, Debug)]
pub(super) struct Task {
    lun: String,
    state: &'static str,
    percent: u64,
    message: String,
    is_cancelled: Arc<AtomicBool>,
}

/// Work as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskView {
    task_id: String,
    state: &'static str,
    percent: u64,
    lun_id: String,
    message: String,
}

/// What a copy is begun as.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Begun {
    task_id: String,
    lun_id: String,
}

fn no_task(id: &str) -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        "NO_SUCH_TASK",
        format!("there is no task {id}"),
    )
}

impl State {
    /// Makes a lun and begins to copy another into it.
    pub(super) fn begin_copy(self: &Arc<Self>, source: &str, new: NewLun) -> Result<Begun, Refused> {
        let mut inside = self.inside.lock();
        let from = inside.luns.get(source).ok_or_else(|| no_lun(source))?;
        if from.size_mb > new.size_mb {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "BAD_SIZE",
                format!(
                    "{source} has {} MB; its copy cannot have {}",
                    from.size_mb, new.size_mb
                ),
            ));
        }
        let lun = self.add_lun(
            &mut inside,
            NewLun {
                copied_from: Some(source.to_owned()),
                ..new
            },
        )?;
        let task_id = Self::name_task(&mut inside);
        let is_cancelled = Arc::new(AtomicBool::new(false));
        inside.tasks.insert(
            task_id.clone(),
            Task {
                lun: lun.id.clone(),
                state: "running",
                percent: 0,
                message: format!("copying {source} to {}", lun.id),
                is_cancelled: Arc::clone(&is_cancelled),
            },
        );
        drop(inside);
        let (state, task, from, to) = (
            Arc::clone(self),
            task_id.clone(),
            source.to_owned(),
            lun.id.clone(),
        );
        std::thread::spawn(move || state.copy(&task, (&from, &to), &is_cancelled));
        Ok(Begun {
            task_id,
            lun_id: lun.id,
        })
    }

    fn copy(&self, task: &str, (from, to): (&str, &str), is_cancelled: &AtomicBool) {
        let copied = self.copy_bytes(task, (from, to), is_cancelled);
        let mut inside = self.inside.lock();
        let (state, message) = match copied {
            Ok(true) => ("done", String::new()),
            Ok(false) => ("failed", "cancelled".to_owned()),
            Err(error) => ("failed", format!("{error:#}")),
        };
        if state == "done" {
            if let Some(lun) = inside.luns.get_mut(to) {
                lun.is_copying = false;
            }
        } else {
            // What was made so far is of no use.
            inside.luns.remove(to);
            let _ = std::fs::remove_file(self.file(to));
        }
        if let Some(task) = inside.tasks.get_mut(task) {
            (task.state, task.message) = (state, message);
            task.percent = if state == "done" { 100 } else { task.percent };
        }
    }

    /// Whether it came to its end.
    fn copy_bytes(
        &self,
        task: &str,
        (from, to): (&str, &str),
        is_cancelled: &AtomicBool,
    ) -> anyhow::Result<bool> {
        let mut from = File::open(self.file(from)).context("could not open the source")?;
        let mut to = File::options()
            .write(true)
            .open(self.file(to))
            .context("could not open the copy")?;
        let whole = from.metadata()?.len().max(1);
        let mut piece = vec![0; MB as usize];
        let mut at = 0;
        loop {
            if is_cancelled.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let count = from.read(&mut piece)?;
            if count == 0 {
                to.sync_all()?;
                return Ok(true);
            }
            // Luns are thin: what is empty stays so.
            if piece[..count].iter().any(|byte| *byte != 0) {
                to.seek(SeekFrom::Start(at))?;
                to.write_all(&piece[..count])?;
            }
            at += count as u64;
            if let Some(task) = self.inside.lock().tasks.get_mut(task) {
                task.percent = at * 99 / whole;
            }
        }
    }

    pub(super) fn task(&self, id: &str) -> Result<TaskView, Refused> {
        let inside = self.inside.lock();
        let task = inside.tasks.get(id).ok_or_else(|| no_task(id))?;
        Ok(TaskView {
            task_id: id.to_owned(),
            state: task.state,
            percent: task.percent,
            lun_id: task.lun.clone(),
            message: task.message.clone(),
        })
    }

    pub(super) fn cancel_task(&self, id: &str) -> Result<(), Refused> {
        let inside = self.inside.lock();
        let task = inside.tasks.get(id).ok_or_else(|| no_task(id))?;
        task.is_cancelled.store(true, Ordering::Relaxed);
        Ok(())
    }
}
