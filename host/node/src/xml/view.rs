//! What the node reads out of libvirt's own text of a domain. That text is libvirt's, so it is read leniently: what is
//! not looked for is passed over.

use std::collections::BTreeSet;

use roxmltree::{Document, Node};
use velum_model::{id::RunId, port::hypervisor::RunHandle};

use super::TAG_NAMESPACE;

/// Our domain as libvirt has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainView {
    /// The run of the owner tag.
    pub run: RunHandle,
    /// Digest of the order that it was defined from.
    pub digest: String,
    /// Slots and identities of its disks, by slot.
    pub disks: Vec<(u16, String)>,
    /// Path of the serial console's terminal, while it runs.
    pub terminal: Option<String>,
    /// vCPUs now.
    pub vcpus: u64,
    /// Memory now, MiB.
    pub memory_mib: u64,
}

/// A device of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceView {
    /// libvirt's text of it.
    pub xml: String,
    /// Its source: a path, a bridge, a network, a unit.
    pub source: String,
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|n| n.has_tag_name(name))
}

fn devices<'a, 'i>(document: &'a Document<'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    child(document.root_element(), "devices")
        .into_iter()
        .flat_map(|devices| devices.children())
        .filter(Node::is_element)
}

fn alias<'a>(device: Node<'a, '_>) -> Option<&'a str> {
    child(device, "alias")?.attribute("name")
}

fn source_of<'a>(device: Node<'a, '_>) -> &'a str {
    child(device, "source")
        .and_then(|source| super::SOURCES.into_iter().find_map(|name| source.attribute(name)))
        .unwrap_or_default()
}

impl DomainView {
    /// Reads a domain's text; none when it does not carry our tag.
    #[must_use]
    pub fn read(xml: &str) -> Option<Self> {
        let document = Document::parse(xml).ok()?;
        let root = document.root_element();
        let tag = child(root, "metadata")?
            .children()
            .find(|n| n.has_tag_name((TAG_NAMESPACE, "run")))?;
        let run = RunHandle {
            id: tag.attribute("id")?.parse::<RunId>().ok()?,
            generation: tag.attribute("generation")?.parse().ok()?,
        };
        let mut disks: Vec<(u16, String)> = devices(&document)
            .filter(|device| device.has_tag_name("disk"))
            .filter_map(|disk| {
                let slot = alias(disk)?.strip_prefix("ua-disk-")?.parse().ok()?;
                let serial = child(disk, "serial").and_then(|s| s.text());
                Some((slot, serial.unwrap_or_else(|| source_of(disk)).to_owned()))
            })
            .collect();
        disks.sort();
        let terminal = devices(&document)
            .find(|device| device.has_tag_name("serial"))
            .and_then(|serial| child(serial, "source"))
            .and_then(|source| source.attribute("path"))
            .map(str::to_owned);
        let vcpu = child(root, "vcpu");
        let vcpus = vcpu.and_then(|v| v.attribute("current").or(v.text()));
        let memory = child(root, "currentMemory").or(child(root, "memory"));
        Some(Self {
            run,
            digest: tag.attribute("digest").unwrap_or_default().to_owned(),
            disks,
            terminal,
            vcpus: vcpus.and_then(|v| v.trim().parse().ok()).unwrap_or(0),
            // libvirt itself always writes KiB.
            memory_mib: memory
                .and_then(|m| m.text()?.trim().parse::<u64>().ok())
                .unwrap_or(0)
                / 1024,
        })
    }
}

/// The files and devices that a domain's disks lie on, with those below them.
#[must_use]
pub fn disk_sources(xml: &str) -> BTreeSet<String> {
    let Ok(document) = Document::parse(xml) else {
        return BTreeSet::new();
    };
    let disks = devices(&document).filter(|device| device.has_tag_name("disk"));
    disks
        .flat_map(|disk| disk.descendants().filter(|node| node.has_tag_name("source")))
        .filter_map(|source| source.attribute("file").or(source.attribute("dev")))
        .map(str::to_owned)
        .collect()
}

/// A secret that libvirt must know when it opens a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSecret {
    /// What the domain says that the secret is used for.
    pub usage: String,
    /// Identity of the disk (its serial).
    pub identity: String,
}

/// The secrets that the disks of a domain, or one disk, are opened with.
#[must_use]
pub fn secrets(xml: &str) -> Vec<WantedSecret> {
    let Ok(document) = Document::parse(xml) else {
        return Vec::new();
    };
    let root = document.root_element();
    let disks = root.descendants().filter(|node| node.has_tag_name("disk"));
    disks
        .filter_map(|disk| {
            let secret = disk.descendants().find(|node| node.has_tag_name("secret"))?;
            Some(WantedSecret {
                usage: secret.attribute("usage")?.to_owned(),
                identity: child(disk, "serial")?.text()?.to_owned(),
            })
        })
        .collect()
}

/// The device with this alias.
#[must_use]
pub fn device(xml: &str, wanted: &str) -> Option<DeviceView> {
    let document = Document::parse(xml).ok()?;
    let device = devices(&document).find(|device| alias(*device) == Some(wanted))?;
    Some(DeviceView {
        xml: xml.get(device.range())?.to_owned(),
        source: source_of(device).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<domain type='test' id='1'>
      <metadata><velum:run xmlns:velum='urn:velum:run:1' id='00000000-0000-0000-0000-000000000007' generation='3' digest='d'/></metadata>
      <memory unit='KiB'>1048576</memory><currentMemory unit='KiB'>524288</currentMemory><vcpu current='2'>4</vcpu>
      <devices>
        <disk><source file='/b'/><alias name='ua-disk-1'/></disk>
        <disk><source file='/a' index='1'/><serial>id-a</serial><alias name='ua-disk-0'/></disk>
        <disk><source file='/s'/><alias name='ua-seed'/></disk>
        <serial type='pty'><source path='/dev/pts/4'/></serial>
      </devices></domain>";

    #[test]
    fn our_domain_says_which_run_it_is_and_what_it_has() {
        let view = DomainView::read(XML).unwrap();
        assert_eq!(view.run.generation, 3);
        assert_eq!(view.disks, [(0, "id-a".to_owned()), (1, "/b".to_owned())]);
        assert_eq!(view.terminal.as_deref(), Some("/dev/pts/4"));
        assert_eq!((view.vcpus, view.memory_mib), (2, 512));
        let seen = device(XML, "ua-disk-0").unwrap();
        assert_eq!(seen.source, "/a");
        assert!(seen.xml.starts_with("<disk>") && seen.xml.ends_with("</disk>"));
        assert_eq!(device(XML, "ua-disk-9"), None);
        let sources = disk_sources(XML);
        assert!(["/a", "/b", "/s"].iter().all(|file| sources.contains(*file)) && sources.len() == 3);
    }

    #[test]
    fn a_disk_behind_a_login_names_its_secret() {
        let disk = "<disk type='network'><source protocol='iscsi' name='iqn.2026-01.a:b/1'><auth username='u'>\
            <secret type='iscsi' usage='velum-x'/></auth></source><serial>S1</serial><alias name='ua-disk-1'/></disk>";
        let wanted = [WantedSecret {
            usage: "velum-x".to_owned(),
            identity: "S1".to_owned(),
        }];
        assert_eq!(secrets(disk), wanted);
        let domain = XML.replace("</devices>", &format!("{disk}</devices>"));
        assert_eq!(secrets(&domain), wanted);
        assert_eq!(device(&domain, "ua-disk-1").unwrap().source, "/b");
        assert!(secrets(XML).is_empty());
    }

    #[test]
    fn a_foreign_domain_is_not_ours() {
        assert_eq!(
            DomainView::read(&XML.replace("urn:velum:run:1", "urn:other")),
            None
        );
        assert_eq!(DomainView::read("<domain/>"), None);
        assert_eq!(DomainView::read("nonsense"), None);
    }
}
