//! Requests as a link carries them: where one begins and ends, and the words that it begins with. Nothing here
//! touches a byte. What cannot be read (TLS, another protocol) is carried all the same, and is not seen.

mod kafka;
mod postgres;
mod redis;
mod sighting;

pub use sighting::Sighting;

/// What is spoken on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's, version 3: a request is a statement that is executed, by the simple protocol or the extended.
    Postgres,
    /// RESP: a request is a command.
    Redis,
    /// Kafka's: a request is named by its API key.
    Kafka,
}

/// Reads the requests of one connection, in pieces of any size.
#[derive(Debug)]
pub(super) enum Reader {
    Postgres(postgres::Reader),
    Redis(redis::Reader),
    Kafka(kafka::Reader),
}

impl Reader {
    pub(super) fn new(protocol: Protocol) -> Reader {
        match protocol {
            Protocol::Postgres => Reader::Postgres(postgres::Reader::default()),
            Protocol::Redis => Reader::Redis(redis::Reader::default()),
            Protocol::Kafka => Reader::Kafka(kafka::Reader::default()),
        }
    }

    /// Takes the next bytes, and tells each request that they complete.
    pub(super) fn read(&mut self, bytes: &[u8], request: &mut dyn FnMut(&str)) {
        match self {
            Reader::Postgres(reader) => reader.read(bytes, request),
            Reader::Redis(reader) => reader.read(bytes, request),
            Reader::Kafka(reader) => reader.read(bytes, request),
        }
    }
}

/// Something of known length of which only the beginning is of interest.
#[derive(Debug, Default)]
struct Piece {
    kept: Vec<u8>,
    keep: usize,
    left: usize,
}

impl Piece {
    fn of(len: usize, keep: usize) -> Piece {
        Piece { kept: Vec::new(), keep, left: len }
    }

    fn is_whole(&self) -> bool {
        self.left == 0
    }

    /// Takes what belongs to it, and gives back the rest.
    fn take<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (own, rest) = bytes.split_at(self.left.min(bytes.len()));
        self.left -= own.len();
        let room = self.keep.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&own[..room.min(own.len())]);
        rest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(protocol: Protocol, stream: &[u8], cuts: &[usize]) -> Vec<String> {
        let mut reader = Reader::new(protocol);
        let mut told = Vec::new();
        let mut rest = stream;
        for cut in cuts {
            let (piece, next) = rest.split_at((*cut).min(rest.len()));
            reader.read(piece, &mut |text| told.push(text.to_owned()));
            rest = next;
        }
        reader.read(rest, &mut |text| told.push(text.to_owned()));
        told
    }

    /// A stream and what is told of it.
    type Spoken = (Vec<u8>, Vec<String>);

    fn postgres_message(kind: u8, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len() + 4).expect("it is short").to_be_bytes();
        [&[kind][..], &len, body].concat()
    }

    fn postgres() -> impl Strategy<Value = Spoken> {
        let one = ("[A-Z]{1,8} [a-z ]{0,30}", 0..3_u8, any::<bool>()).prop_map(|(sql, name, simple)| {
            let text = sql.trim().to_owned();
            if simple {
                return (postgres_message(b'Q', format!("{sql}\0").as_bytes()), text);
            }
            let parse = postgres_message(b'P', format!("s{name}\0{sql}\0\0\0").as_bytes());
            let bind = postgres_message(b'B', &[format!("\0s{name}\0").as_bytes(), &[0; 90]].concat());
            let execute = postgres_message(b'E', b"\0\0\0\0\0");
            let sync = postgres_message(b'S', b"");
            ([parse, bind, execute, sync].concat(), text)
        });
        prop::collection::vec(one, 0..12).prop_map(|spoken| {
            let startup = [&9_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"\0"].concat();
            let ssl = [8_u32.to_be_bytes(), 80_877_103_u32.to_be_bytes()].concat();
            let (parts, told): (Vec<_>, Vec<_>) = spoken.into_iter().unzip();
            ([ssl, startup, parts.concat()].concat(), told)
        })
    }

    fn redis() -> impl Strategy<Value = Spoken> {
        let word = "[A-Za-z0-9:]{1,20}";
        let one = (prop::collection::vec(word, 1..5), prop::collection::vec(any::<u8>(), 0..3000));
        let one = one.prop_map(|(words, value)| {
            let mut bytes = format!("*{}\r\n", words.len() + 1).into_bytes();
            for part in words.iter().map(String::as_bytes).chain([&value[..]]) {
                bytes.extend(format!("${}\r\n", part.len()).into_bytes());
                bytes.extend(part);
                bytes.extend(b"\r\n");
            }
            (bytes, words[..words.len().min(3)].join(" "))
        });
        prop::collection::vec(one, 0..12).prop_map(|spoken| {
            let (parts, told): (Vec<_>, Vec<_>) = spoken.into_iter().unzip();
            (parts.concat(), told)
        })
    }

    fn kafka() -> impl Strategy<Value = Spoken> {
        let names = [(0_u16, "Produce"), (1, "Fetch"), (8, "OffsetCommit"), (26, "EndTxn"), (999, "999")];
        let one =
            (0..names.len(), prop::collection::vec(any::<u8>(), 0..500)).prop_map(move |(which, body)| {
                let (key, name) = names[which];
                let len = u32::try_from(body.len() + 2).expect("it is short").to_be_bytes();
                ([&len[..], &key.to_be_bytes(), &body].concat(), name.to_owned())
            });
        prop::collection::vec(one, 0..12).prop_map(|spoken| {
            let (parts, told): (Vec<_>, Vec<_>) = spoken.into_iter().unzip();
            (parts.concat(), told)
        })
    }

    proptest! {
        #[test]
        fn requests_are_told_whatever_the_pieces(
            ((stream, expected), protocol) in prop_oneof![
                postgres().prop_map(|spoken| (spoken, Protocol::Postgres)),
                redis().prop_map(|(bytes, told)| ((bytes, told), Protocol::Redis)),
                kafka().prop_map(|spoken| (spoken, Protocol::Kafka)),
            ],
            cuts in prop::collection::vec(0..50_usize, 0..200),
        ) {
            let found = told(protocol, &stream, &cuts);
            if protocol == Protocol::Redis {
                // The value is told, too, where it is one of the first words.
                prop_assert_eq!(found.len(), expected.len());
                prop_assert!(found.iter().zip(&expected).all(|(one, begins)| one.starts_with(begins)));
            } else {
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn any_bytes_can_be_carried(
            stream in prop::collection::vec(any::<u8>(), 0..4000),
            cuts in prop::collection::vec(0..50_usize, 0..100),
        ) {
            for protocol in [Protocol::Postgres, Protocol::Redis, Protocol::Kafka] {
                prop_assert_eq!(told(protocol, &stream, &cuts), told(protocol, &stream, &[]));
            }
        }
    }
}
