//! What acts: ports to database, cache and broker, backends that start them, the fault proxy, the gate that
//! every step passes, and the runner that turns a design and a schedule into a history.

pub mod backend;
pub mod change;
pub mod check;
pub mod conform;
pub mod context;
pub mod database;
pub mod design;
pub mod explore;
pub mod fault;
pub mod gate;
pub mod judge;
pub mod model;
pub mod operation;
pub mod plan;
pub mod port;
pub mod proxy;
pub mod recorder;
pub mod runner;
pub mod schedule;
pub mod system;
pub mod virtual_time;
