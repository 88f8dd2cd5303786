//! The line to a database on another machine. When it was cut and is there again, what was opened before is of no use: TCP
//! comes back to it after seconds, and the longer the cut was, the later.

use std::sync::Arc;

use tokio::sync::watch;

/// The line; clones are the same one.
#[derive(Clone)]
pub(crate) struct Line(Arc<watch::Sender<()>>);

impl Line {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }

    /// The database answers again after a silence: whoever waits on an older connection goes on to a new one.
    pub(crate) fn came_back(&self) {
        self.0.send_replace(());
    }

    /// For a connection that is opened now.
    pub(super) fn end(&self) -> End {
        End(self.0.subscribe())
    }
}

/// A connection's end of the line.
pub(super) struct End(watch::Receiver<()>);

impl End {
    /// Returns when the line has come back since this end of it was made.
    pub(super) async fn is_old(&mut self) {
        // Nobody is left who could find out.
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// It is known to be as new as the line.
    pub(super) fn renew(&mut self) {
        self.0.mark_unchanged();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn is_old(end: &mut End) -> bool {
        tokio::time::timeout(Duration::ZERO, end.is_old()).await.is_ok()
    }

    #[tokio::test]
    async fn what_is_older_than_the_line_is_told() {
        let line = Line::new();
        let (mut old, mut kept) = (line.end(), line.clone().end());
        assert!(!is_old(&mut old).await);
        line.came_back();
        kept.renew();
        let mut new = line.end();
        assert!(is_old(&mut old).await);
        assert!(!is_old(&mut kept).await && !is_old(&mut new).await);
        drop(line);
        assert!(!is_old(&mut new).await);
    }
}
