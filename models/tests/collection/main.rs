//! Sets, queues, logs, counters, ids, accounts, forks and orders of writes: by hand, against their definitions, and
//! against simulated objects of known strength.

mod by_hand;
mod definitions;
mod logs;
