//! Session guarantees and staleness: textbook histories, oracles that try every order of versions, and simulated
//! replicas that keep some guarantees and break others.

mod oracle;
mod replicas;
mod staleness;
mod textbook;
