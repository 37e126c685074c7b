//! The broker of the model: partitions, producers, consumer groups and transactions of Kafka.
