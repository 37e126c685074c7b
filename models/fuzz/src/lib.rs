//! What the fuzz targets do with the bytes that they are given.

mod bodies;

/// Does what a target does, by its name.
pub fn run(target: &str, bytes: &[u8]) {
    bodies::run(target, bytes);
}
