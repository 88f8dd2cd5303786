//! Writes XML: every text and attribute is escaped, and what XML cannot hold is refused.

use std::fmt::Write as _;

/// A document in the making.
#[derive(Debug, Default)]
pub struct Xml {
    text: String,
    open: Vec<&'static str>,
    forbidden: Option<String>,
}

/// A text holds a character that XML 1.0 has no way to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden(pub String);

impl Xml {
    fn indent(&mut self) {
        for _ in 0..self.open.len() {
            self.text.push_str("  ");
        }
    }

    fn escape(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&apos;"),
                // As they are, attributes would turn them into blanks.
                '\t' | '\n' | '\r' => {
                    // Writing to a String cannot fail.
                    let _ = write!(self.text, "&#{};", u32::from(c));
                }
                '\0'..' ' | '\u{fffe}' | '\u{ffff}' => {
                    self.forbidden
                        .get_or_insert_with(|| text.escape_debug().to_string());
                }
                _ => self.text.push(c),
            }
        }
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        for (key, value) in attributes {
            self.text.push(' ');
            self.text.push_str(key);
            self.text.push_str("='");
            self.escape(value);
            self.text.push('\'');
        }
    }

    /// An element without content.
    pub fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) -> &mut Self {
        self.tag(name, attributes);
        self.text.push_str("/>\n");
        self
    }

    /// An element that holds a text.
    pub fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) -> &mut Self {
        self.tag(name, attributes);
        self.text.push('>');
        self.escape(text);
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\n");
        self
    }

    /// Begins an element; what follows is in it until [`Xml::end`].
    pub fn begin(&mut self, name: &'static str, attributes: &[(&str, &str)]) -> &mut Self {
        self.tag(name, attributes);
        self.text.push_str(">\n");
        self.open.push(name);
        self
    }

    /// Ends the element begun last.
    pub fn end(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            self.indent();
            self.text.push_str("</");
            self.text.push_str(name);
            self.text.push_str(">\n");
        }
        self
    }

    /// The text, all elements ended.
    ///
    /// # Errors
    /// [`Forbidden`] names the text that XML cannot hold.
    pub fn finish(mut self) -> Result<String, Forbidden> {
        while !self.open.is_empty() {
            self.end();
        }
        match self.forbidden {
            None => Ok(self.text),
            Some(text) => Err(Forbidden(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> Result<String, Forbidden> {
        let mut xml = Xml::default();
        xml.begin("a", &[("b", text)]).leaf("c", &[], text);
        xml.finish()
    }

    #[test]
    fn nothing_breaks_out_of_a_text_or_an_attribute() {
        let text = written("'/><x y=\"&amp;\">]]>\n").unwrap();
        assert_eq!(text.matches('<').count(), 4, "{text}");
        assert!(!text.contains("<x"), "{text}");
    }

    #[test]
    fn what_xml_cannot_hold_is_refused() {
        for text in ["a\0b", "\u{1b}[0m", "\u{ffff}"] {
            assert!(written(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_back_as_it_was_written(text in any::<String>()) {
            if let Ok(xml) = written(&text) {
                let document = roxmltree::Document::parse(&xml).unwrap();
                let root = document.root_element();
                prop_assert_eq!(root.attribute("b"), Some(text.as_str()));
                let leaf = root.first_element_child().unwrap();
                prop_assert_eq!(leaf.text().unwrap_or(""), text.as_str());
            } else {
                let has_forbidden = text.chars().any(|c| c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}'));
                prop_assert!(has_forbidden);
            }
        }
    }
}
