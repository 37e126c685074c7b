//! The checkers of transactional isolation: against textbook histories, against oracles that try every order, and
//! against simulated databases of known strength.

mod inferred;
mod known_versions;
mod oracle;
mod random_txns;
mod simulated;
mod textbook;
