//! The operator's settings for a compute host.

use velum_guest::{common::Fault, config::Config};

/// What libvirt is asked to run guests with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hypervisor {
    /// QEMU on the processor's virtualization.
    Kvm,
    /// QEMU that translates.
    Tcg,
    /// libvirt's own, without guests.
    Test,
}

impl Hypervisor {
    /// The type of a domain.
    pub const fn domain_type(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "qemu",
            Self::Test => "test",
        }
    }
}

/// Settings of a compute host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    uri: String,
    accel: Accel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accel {
    Auto,
    Kvm,
    Tcg,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// `invalid` names the field.
    pub fn parse(json: &str) -> Result<Self, Fault> {
        Self::read(json).map_err(|problem| Fault::invalid(format!("settings of the compute host: {problem}")))
    }

    fn read(json: &str) -> Result<Self, String> {
        let config = Config::parse(json)?;
        let uri = config.text("uri", "qemu:///system")?;
        if !uri.starts_with("qemu:") && !uri.starts_with("test:") {
            return Err("'uri' must begin with qemu: or test:".to_owned());
        }
        let accel = match config.text("accel", "auto")?.as_str() {
            "auto" => Accel::Auto,
            "kvm" => Accel::Kvm,
            "tcg" => Accel::Tcg,
            _ => return Err("'accel' must be auto, kvm or tcg".to_owned()),
        };
        config.finish()?;
        Ok(Self { uri, accel })
    }

    /// What guests run with. `kvm_works` is asked only where it decides.
    ///
    /// # Errors
    /// That of `kvm_works`.
    pub fn hypervisor(&self, kvm_works: impl FnOnce() -> Result<bool, Fault>) -> Result<Hypervisor, Fault> {
        if self.uri.starts_with("test:") {
            return Ok(Hypervisor::Test);
        }
        let kvm = match self.accel {
            Accel::Kvm => true,
            Accel::Tcg => false,
            Accel::Auto => kvm_works()?,
        };
        Ok(if kvm { Hypervisor::Kvm } else { Hypervisor::Tcg })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(json: &str, kvm_works: bool) -> Hypervisor {
        Settings::parse(json)
            .unwrap()
            .hypervisor(|| Ok(kvm_works))
            .unwrap()
    }

    #[test]
    fn kvm_is_used_only_where_it_works_or_the_operator_says_so() {
        assert_eq!(chosen("{}", false), Hypervisor::Tcg);
        assert_eq!(chosen("{}", true), Hypervisor::Kvm);
        assert_eq!(chosen(r#"{"accel": "kvm"}"#, false), Hypervisor::Kvm);
        assert_eq!(chosen(r#"{"accel": "tcg"}"#, true), Hypervisor::Tcg);
        assert_eq!(
            chosen(r#"{"uri": "test:///default", "accel": "kvm"}"#, true),
            Hypervisor::Test
        );
    }

    #[test]
    fn wrong_settings_are_named() {
        for (json, field) in [
            (r#"{"uri": "xen:///"}"#, "uri"),
            (r#"{"accel": "fast"}"#, "accel"),
            (r#"{"x": 1}"#, "x"),
        ] {
            let fault = Settings::parse(json).unwrap_err();
            assert!(
                fault.unchanged && fault.detail.contains(&format!("'{field}'")),
                "{}",
                fault.detail
            );
        }
    }
}
