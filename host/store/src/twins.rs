//! Two processes of one name: a data directory that was copied to another machine with its `server.id`.

/// Watches the number of times that a server has signed in: who signs in alone sees it grow by one.
#[derive(Debug, Default)]
pub(crate) struct Twins {
    signed_in: Option<u64>,
    is_told: bool,
}

impl Twins {
    /// It was signed in, for so many times now. Tells once when somebody else did so meanwhile under the same name, and answers
    /// whether it did.
    pub(crate) fn signed_in(&mut self, times: Option<u64>, name: &str) -> bool {
        let before = std::mem::replace(&mut self.signed_in, times);
        // A row that was forgotten in between begins anew.
        let others = matches!((before, times), (Some(before), Some(now)) if now > before + 1);
        if !others || self.is_told {
            return false;
        }
        self.is_told = true;
        tracing::error!(
            name,
            "another process works on this database under this server's name, and each takes from the other what it owns: was the \
             data directory copied? End one of the two and remove server.id from its data directory"
        );
        true
    }

    /// It is not known whether it was signed in.
    pub(crate) fn lost(&mut self) {
        self.signed_in = None;
    }
}

#[cfg(test)]
mod tests {
    use super::Twins;

    #[test]
    fn who_signs_in_alone_has_no_twin() {
        let mut twins = Twins::default();
        for times in [7, 8, 9, 1, 2] {
            assert!(!twins.signed_in(Some(times), "n"), "{times}");
        }
        twins.lost();
        assert!(!twins.signed_in(Some(5), "n"), "its own that was not answered");
        assert!(!twins.signed_in(Some(6), "n"));
        assert!(twins.signed_in(Some(8), "n"));
        assert!(!twins.signed_in(Some(10), "n"), "once is enough");
    }
}
