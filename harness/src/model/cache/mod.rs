//! The cache of the model: the commands of Redis that designs send, with their scripts.
