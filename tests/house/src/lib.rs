//! The rules of the house, as tests: which crate may know which, how long a file may be, what must not be written, and that
//! contract files are what the code says. Exceptions, each with its reason, are in `exceptions.toml` beside this crate.

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod contracts;
#[cfg(test)]
mod exceptions;
#[cfg(test)]
mod files;
#[cfg(test)]
mod plugins;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod texts;
#[cfg(test)]
mod versions;
