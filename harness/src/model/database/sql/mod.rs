//! SQL: parsed once, planned once for a state of the catalogue, run over the store.

mod bind;
mod cast;
mod catalog;
mod define;
mod expression;
mod input;
mod json;
mod names;
mod params;
mod plan;
mod run;
mod schema;
mod session;
mod settings;
mod syntax;
mod system;

pub(crate) use input::read as read_text;
pub(crate) use session::{Answer, PlanCache, SqlSession};
pub(crate) use settings::{Clock, Warning};
