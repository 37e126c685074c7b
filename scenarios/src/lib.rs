//! What is tested: the designs, their ground truth, and how runs of them are judged.

pub mod backends;
pub mod bench;
pub mod conformance;
pub mod conformance_page;
pub mod design;
pub mod ground_truth;
pub mod matrix;
pub mod parts;
pub mod pattern;
pub mod run_dir;
pub mod trial;
