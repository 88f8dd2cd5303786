//! A tree of elements, read from text and written as text.

use std::fmt::Write as _;

use super::TAG_NAMESPACE;

/// The longest text of a domain: a guest with a hundred disks has 40 KiB.
pub const MAX_XML: usize = 256 << 10;

/// The deepest nesting: libvirt's own has eight levels.
const MAX_DEPTH: usize = 16;

/// An element, without name space but for our own tag's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Its attributes in the order written.
    pub attributes: Vec<(String, String)>,
    /// Its text, trimmed; empty when it has children.
    pub text: String,
    /// Its children.
    pub children: Vec<Element>,
}

/// Why a text is no tree of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl Element {
    /// An element without attributes.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// With an attribute more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// With a child more.
    #[must_use]
    pub fn holding(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// With this text.
    #[must_use]
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first child of this name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of this name.
    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Drops the children of this name.
    pub fn drop_children(&mut self, name: &str) {
        self.children.retain(|child| child.name != name);
    }

    /// Reads a text. DTDs, name spaces, processing instructions and mixed content are refused.
    ///
    /// # Errors
    /// [`Unreadable`] in words.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        if text.len() > MAX_XML {
            return Err(Unreadable(format!(
                "the text has {} bytes; {MAX_XML} are allowed",
                text.len()
            )));
        }
        // DTDs are refused by default, and with them entities of the text's own.
        let document = roxmltree::Document::parse(text).map_err(|e| Unreadable(format!("no XML: {e}")))?;
        from_node(document.root_element(), 0)
    }

    /// The text of this element, every value escaped.
    #[must_use]
    pub fn write(&self) -> String {
        let mut out = String::new();
        self.write_to(&mut out, 0);
        out
    }

    fn write_to(&self, out: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        // Writing to a String cannot fail.
        let _ = write!(out, "{indent}<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"{}\"", escaped(value));
        }
        if self.children.is_empty() && self.text.is_empty() {
            out.push_str("/>\n");
        } else if self.children.is_empty() {
            let _ = writeln!(out, ">{}</{}>", escaped(&self.text), self.name);
        } else {
            out.push_str(">\n");
            for child in &self.children {
                child.write_to(out, depth + 1);
            }
            let _ = writeln!(out, "{indent}</{}>", self.name);
        }
    }
}

fn from_node(node: roxmltree::Node<'_, '_>, depth: usize) -> Result<Element, Unreadable> {
    // Our own tag is the one thing with a name space; it is known by its usual prefix.
    let name = match node.tag_name().namespace() {
        Some(TAG_NAMESPACE) => &format!("velum:{}", node.tag_name().name()),
        _ => node.tag_name().name(),
    };
    if depth > MAX_DEPTH {
        return Err(Unreadable(format!("<{name}> is nested deeper than {MAX_DEPTH}")));
    }
    if let Some(space) = node
        .tag_name()
        .namespace()
        .filter(|space| *space != TAG_NAMESPACE)
    {
        return Err(Unreadable(format!(
            "<{name}> has the name space {space}; none is allowed"
        )));
    }
    let mut element = Element::new(name);
    for attribute in node.attributes() {
        if let Some(space) = attribute.namespace() {
            return Err(Unreadable(format!(
                "the attribute {} of <{name}> has the name space {space}; none is allowed",
                attribute.name()
            )));
        }
        element
            .attributes
            .push((attribute.name().to_owned(), attribute.value().to_owned()));
    }
    let mut text = String::new();
    for child in node.children() {
        if child.is_element() {
            element.children.push(from_node(child, depth + 1)?);
        } else if child.is_text() {
            text.push_str(child.text().unwrap_or_default());
        } else if child.is_pi() {
            return Err(Unreadable(format!("<{name}> holds a processing instruction")));
        }
    }
    let text = text.trim();
    if !text.is_empty() && !element.children.is_empty() {
        return Err(Unreadable(format!("<{name}> holds text beside elements")));
    }
    element.text = text.to_owned();
    Ok(element)
}

/// Text that means itself in an attribute or between tags. Characters that XML 1.0 cannot carry are replaced: the model
/// lets none through, this only makes sure.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(attribute in "\\PC*", text in "\\PC*", odd in "[\\x01-\\x1f\u{fffe}<>&'\"]*") {
            let element = Element::new("a")
                .with("b", attribute)
                .with("c", odd)
                .holding(Element::new("d").saying(text.trim()));
            let written = element.write();
            let read = Element::read(&written).unwrap();
            prop_assert_eq!(read.attribute("b"), element.attribute("b"));
            prop_assert_eq!(read.children.len(), 1);
            prop_assert_eq!(&read.children[0].text, text.trim());
            prop_assert_eq!(read.attributes.len(), 2);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
            let _ = Element::read(&text);
        }
    }

    #[test]
    fn what_is_no_plain_tree_is_refused() {
        for (bad, why) in [
            ("<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>", "no XML"),
            ("<a xmlns='urn:x'/>", "name space"),
            ("<a xmlns:q='urn:x' q:b='c'/>", "name space"),
            ("<a><?php x?></a>", "processing instruction"),
            ("<a>text<b/></a>", "beside elements"),
            ("<a", "no XML"),
            (&format!("{}{}", "<a>".repeat(40), "</a>".repeat(40)), "deeper"),
            (&format!("<a>{}</a>", "x".repeat(MAX_XML)), "allowed"),
        ] {
            let error = Element::read(bad).unwrap_err();
            assert!(error.0.contains(why), "{bad:.60}: {error}");
        }
    }
}
