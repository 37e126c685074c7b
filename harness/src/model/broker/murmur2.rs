//! Which partition a key belongs to, as the Java client and librdkafka's `murmur2` have it: the 32-bit
//! MurmurHash2 of the key with the seed `0x9747b28c`, made positive, modulo the number of partitions.

pub(super) fn partition(key: &[u8], partitions: usize) -> usize {
    (hash(key) & 0x7fff_ffff) as usize % partitions
}

fn hash(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // The length enters the hash modulo 2^32, as in Java.
    let mut hash = SEED ^ (data.len() as u32);
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]).wrapping_mul(M);
        word = (word ^ (word >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ word;
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let word = rest.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = (hash ^ word).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::hash;

    /// The values of the tests of Kafka's Java client and of librdkafka.
    #[test]
    fn keys_hash_as_in_the_java_client() {
        let cases: [(&str, u32); 7] = [
            ("kafka", 0xd067_cf64),
            ("giberish123456789", 0x8f55_2b0c),
            ("1234", 0x9fc9_7b14),
            ("234", 0xe7c0_09ca),
            ("34", 0x873930da),
            ("4", 0x5a4b_5ca1),
            ("PreAmbleWillBeRemoved,ThePrePartThatIs", 0x78424f1c),
        ];
        for (key, expected) in cases {
            assert_eq!(hash(key.as_bytes()), expected, "{key}");
        }
    }
}
