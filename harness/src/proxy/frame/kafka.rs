//! Requests in what a Kafka client sends: a size, then an API key (Kafka protocol guide, "Request Header").

use super::Piece;

/// Names of API keys as Kafka's protocol guide has them, by key.
const NAMES: [(u16, &str); 23] = [
    (0, "Produce"),
    (1, "Fetch"),
    (2, "ListOffsets"),
    (3, "Metadata"),
    (8, "OffsetCommit"),
    (9, "OffsetFetch"),
    (10, "FindCoordinator"),
    (11, "JoinGroup"),
    (12, "Heartbeat"),
    (13, "LeaveGroup"),
    (14, "SyncGroup"),
    (15, "DescribeGroups"),
    (16, "ListGroups"),
    (17, "SaslHandshake"),
    (18, "ApiVersions"),
    (19, "CreateTopics"),
    (20, "DeleteTopics"),
    (21, "DeleteRecords"),
    (22, "InitProducerId"),
    (24, "AddPartitionsToTxn"),
    (25, "AddOffsetsToTxn"),
    (26, "EndTxn"),
    (28, "TxnOffsetCommit"),
];

/// Reads one connection.
#[derive(Debug)]
pub(in crate::proxy) struct Reader {
    state: State,
}

#[derive(Debug)]
enum State {
    Size(Piece),
    Body(Piece),
    /// It is not Kafka's protocol.
    Blind,
}

impl Default for Reader {
    fn default() -> Self {
        Reader { state: size() }
    }
}

fn size() -> State {
    State::Size(Piece::of(4, 4))
}

impl Reader {
    pub(super) fn read(&mut self, mut bytes: &[u8], request: &mut dyn FnMut(&str)) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Blind => return,
                State::Size(piece) => {
                    bytes = piece.take(bytes);
                    if piece.is_whole() {
                        let size: Option<[u8; 4]> = piece.kept.as_slice().try_into().ok();
                        let size = size.and_then(|size| usize::try_from(i32::from_be_bytes(size)).ok());
                        self.state = match size {
                            Some(size) if size >= 2 => State::Body(Piece::of(size, 2)),
                            _ => State::Blind,
                        };
                    }
                }
                State::Body(piece) => {
                    bytes = piece.take(bytes);
                    if piece.is_whole() {
                        if let [high, low] = piece.kept[..] {
                            tell(u16::from_be_bytes([high, low]), request);
                        }
                        self.state = size();
                    }
                }
            }
        }
    }
}

fn tell(key: u16, request: &mut dyn FnMut(&str)) {
    match NAMES.iter().find(|(known, _)| *known == key) {
        Some((_, name)) => request(name),
        None => request(&key.to_string()),
    }
}
