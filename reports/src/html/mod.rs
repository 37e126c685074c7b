//! Reports as HTML: one self-contained file each, which asks nothing of any network.

mod compare;
mod drawing;
mod embedded;
mod explored;
mod matrix;
mod page;
mod run;
mod witness;

pub use compare::render as render_compare;
pub use explored::render_explored;
pub use matrix::{ReportLinks, render as render_matrix};
pub use run::render;
