//! Header blocks by hand (RFC 7541), and as much of reading them as an answer's status needs.

/// A header block of literals without indexing: any bytes, any order.
pub fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut block = Block::default();
    for (name, value) in fields {
        block = block.literal(name, value);
    }
    block.0
}

/// A header block that grows.
#[derive(Clone, Debug, Default)]
pub struct Block(pub Vec<u8>);

impl Block {
    /// A good request for `/x`.
    pub fn get() -> Self {
        Self::request("/x")
    }

    /// A good request for `path`.
    pub fn request(path: &str) -> Self {
        Self::default()
            .literal(":method", b"GET")
            .literal(":scheme", b"http")
            .literal(":authority", b"api.test")
            .literal(":path", path.as_bytes())
    }

    /// A literal without indexing (section 6.2.2).
    #[must_use]
    pub fn literal(self, name: &str, value: &[u8]) -> Self {
        self.field(name.as_bytes(), value)
    }

    /// The same with a name of any bytes.
    #[must_use]
    pub fn field(mut self, name: &[u8], value: &[u8]) -> Self {
        self.0.push(0);
        string(name, &mut self.0);
        string(value, &mut self.0);
        self
    }

    /// A literal that enters the dynamic table (section 6.2.1).
    #[must_use]
    pub fn insert(mut self, name: &str, value: &[u8]) -> Self {
        self.0.push(0x40);
        string(name.as_bytes(), &mut self.0);
        string(value, &mut self.0);
        self
    }

    /// References to an entry (section 6.1): 62 is the newest of the dynamic table.
    #[must_use]
    pub fn indexed(mut self, index: usize, times: usize) -> Self {
        let mut one = Vec::new();
        integer(0x80, 7, index, &mut one);
        self.0.extend(one.repeat(times));
        self
    }
}

/// An integer with a prefix of `bits` (section 5.1).
fn integer(pattern: u8, bits: u32, value: usize, into: &mut Vec<u8>) {
    let most = (1_usize << bits) - 1;
    if value < most {
        into.push(pattern | value as u8);
        return;
    }
    into.push(pattern | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        into.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    into.push(rest as u8);
}

fn string(bytes: &[u8], into: &mut Vec<u8>) {
    integer(0, 7, bytes.len(), into);
    into.extend_from_slice(bytes);
}

/// `:status` stands first in a block (RFC 9113 section 8.3.2 with section 8.3): indexed, or a literal with the name
/// indexed.
pub fn status(block: &[u8]) -> u16 {
    let mut at = 0;
    while block[at] & 0xe0 == 0x20 {
        at += 1; // dynamic table size update
    }
    match block[at] {
        0x88 => return 200,
        0x89 => return 204,
        0x8a => return 206,
        0x8b => return 304,
        0x8c => return 400,
        0x8d => return 404,
        0x8e => return 500,
        _ => {}
    }
    let length = (block[at + 1] & 0x7f) as usize;
    let value = &block[at + 2..at + 2 + length];
    let digits = if block[at + 1] & 0x80 == 0 {
        value.to_vec()
    } else {
        huffman_digits(value)
    };
    String::from_utf8_lossy(&digits).parse().expect("a status")
}

/// Three digits of the Huffman code of RFC 7541 appendix B.
fn huffman_digits(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| (byte >> bit) & 1))
        .collect();
    let value = |at: usize, n: usize| {
        bits[at..at + n]
            .iter()
            .fold(0_u8, |sum, bit| sum << 1 | bit)
    };
    let (mut digits, mut at) = (Vec::new(), 0);
    while digits.len() < 3 {
        let five = value(at, 5);
        if five < 3 {
            digits.push(b'0' + five);
            at += 5;
        } else {
            digits.push(b'3' + value(at, 6) - 0b01_1001);
            at += 6;
        }
    }
    digits
}
