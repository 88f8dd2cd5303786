//! The host functions of `velum:common` and `velum:connect`, an interface a file: each asks the server and hands on what it
//! answers. Whether something is granted is the server's to say.

mod common;
mod files;
mod http;
mod libvirt;
mod secrets;
mod state;
