//! Reading the members of a zip archive, as `numpy.savez` and `numpy.savez_compressed` write it.

use super::disk::region::read_at;
use super::files::MOST_INFLATION;
use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::Read;

/// The table of contents of an archive.
pub struct Archive<'a> {
    bytes: Bytes<'a>,
    members: Vec<Member>,
}

/// Where an archive is.
enum Bytes<'a> {
    Memory(&'a [u8]),
    /// And its length.
    File(&'a File, u64),
}

impl Bytes<'_> {
    fn len(&self) -> u64 {
        match self {
            Bytes::Memory(bytes) => bytes.len() as u64,
            Bytes::File(_, length) => *length,
        }
    }

    /// So many bytes at a place, if they are there.
    fn at(&self, offset: u64, count: u64) -> Option<Vec<u8>> {
        if offset.checked_add(count)? > self.len() {
            return None;
        }
        match self {
            Bytes::Memory(bytes) => Some(bytes[offset as usize..][..count as usize].to_vec()),
            Bytes::File(file, _) => {
                let mut out = vec![];
                out.try_reserve_exact(usize::try_from(count).ok()?).ok()?;
                out.resize(count as usize, 0);
                read_at(file, &mut out, offset).ok()?;
                Some(out)
            }
        }
    }
}

struct Member {
    name: String,
    /// 0: stored, 8: deflated.
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    /// Where its local header begins.
    offset: u64,
}

/// A cursor over little-endian numbers; `None` beyond the end.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const END_64_LOCATOR: &[u8] = b"PK\x06\x07";
const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";

impl<'a> Archive<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Archive<'a>, String> {
        Archive::new(Bytes::Memory(bytes))
    }

    /// Reads no more of a file of this length than it must.
    pub fn of_file(file: &'a File, length: u64) -> Result<Archive<'a>, String> {
        Archive::new(Bytes::File(file, length))
    }

    fn new(bytes: Bytes<'a>) -> Result<Archive<'a>, String> {
        // The end record is 22 bytes and a comment of at most 65,535; before it may lie a locator of 20.
        let from = bytes.len().saturating_sub(20 + 22 + 65_535);
        let tail = bytes.at(from, bytes.len() - from).ok_or("its end cannot be read")?;
        let end = tail.windows(4).rposition(|w| w == END).ok_or("it has no zip directory")?;
        let members = directory(&bytes, &tail, end).ok_or("its directory is damaged")?;
        Ok(Archive { bytes, members })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|m| m.name.as_str())
    }

    /// The bytes of a member, checked against its size and sum.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let member = self.member(name)?;
        let start = self.start(member).ok_or("it lies outside the archive")?;
        let packed = self.bytes.at(start, member.packed).ok_or("it lies outside the archive")?;
        let most =
            if member.method == 0 { packed.len() as u64 } else { (packed.len() as u64).saturating_mul(MOST_INFLATION) };
        if member.size > most {
            return Err(format!("it declares {} bytes, but can have at most {most}", member.size));
        }
        let out = match member.method {
            0 => packed,
            8 => {
                let mut out = vec![];
                out.try_reserve_exact(member.size as usize).map_err(|_| "it does not fit in memory")?;
                // One byte more than declared tells that there are more.
                let read = DeflateDecoder::new(&packed[..]).take(member.size.saturating_add(1)).read_to_end(&mut out);
                read.map_err(|reason| reason.to_string())?;
                out
            }
            method => return Err(format!("it is packed by method {method}; optc reads stored and deflated members")),
        };
        if out.len() as u64 != member.size {
            return Err(format!("it declares {} bytes, but has {}", member.size, out.len()));
        }
        let mut crc = flate2::Crc::new();
        crc.update(&out);
        if crc.sum() == member.crc { Ok(out) } else { Err("its checksum is wrong".into()) }
    }

    /// The size of a member when it is unpacked.
    pub fn size(&self, name: &str) -> Option<u64> {
        Some(self.member(name).ok()?.size)
    }

    /// Where the bytes of a member begin, if it is stored as it is.
    pub fn stored_at(&self, name: &str) -> Option<u64> {
        let member = self.member(name).ok().filter(|m| m.method == 0 && m.packed == m.size)?;
        let start = self.start(member)?;
        (start.checked_add(member.size)? <= self.bytes.len()).then_some(start)
    }

    /// Bytes of a member that is stored as it is.
    pub fn peek(&self, name: &str, count: u64) -> Option<Vec<u8>> {
        self.bytes.at(self.stored_at(name)?, count.min(self.size(name)?))
    }

    fn member(&self, name: &str) -> Result<&Member, String> {
        self.members.iter().find(|m| m.name == name).ok_or_else(|| "no such member".to_string())
    }

    /// Behind a member's local header.
    fn start(&self, member: &Member) -> Option<u64> {
        let local = self.bytes.at(member.offset, 30)?;
        let mut fields = Fields(&local);
        if fields.take(4)? != LOCAL {
            return None;
        }
        fields.take(22)?;
        let (name, extra) = (fields.u16()?, fields.u16()?);
        Some(member.offset + 30 + u64::from(name) + u64::from(extra))
    }
}

/// The members, by the record at place `end` of the archive's last bytes.
fn directory(bytes: &Bytes, tail: &[u8], end: usize) -> Option<Vec<Member>> {
    let mut record = Fields(tail.get(end + 4..)?);
    record.take(4)?;
    let (_, count, size, offset) = (record.u16()?, record.u16()?, record.u32()?, record.u32()?);
    let (mut count, mut size, mut offset) = (u64::from(count), u64::from(size), u64::from(offset));
    if let Some(locator) = end.checked_sub(20).and_then(|at| tail.get(at..end))
        && locator.starts_with(END_64_LOCATOR)
    {
        let at = Fields(&locator[8..]).u64()?;
        let record = bytes.at(at, 56)?;
        let mut record = Fields(&record);
        if record.take(4)? != END_64 {
            return None;
        }
        record.take(28)?;
        count = record.u64()?;
        (size, offset) = (record.u64()?, record.u64()?);
    }
    let entries = bytes.at(offset, size)?;
    let mut entries = Fields(&entries);
    let mut members = vec![];
    for _ in 0..count {
        members.push(entry(&mut entries)?);
    }
    Some(members)
}

fn entry(fields: &mut Fields) -> Option<Member> {
    if fields.take(4)? != ENTRY {
        return None;
    }
    fields.take(6)?;
    let method = fields.u16()?;
    fields.take(4)?;
    let (crc, packed, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let (name, extra, comment) = (fields.u16()?, fields.u16()?, fields.u16()?);
    fields.take(8)?;
    let offset = fields.u32()?;
    let name = String::from_utf8_lossy(fields.take(name as usize)?).into_owned();
    let mut extras = Fields(fields.take(extra as usize)?);
    fields.take(comment as usize)?;
    let mut member = Member { name, method, crc, packed: packed.into(), size: size.into(), offset: offset.into() };
    // Large members give their numbers in an extra field, in this order, where the 32-bit field is full.
    while let (Some(kind), Some(length)) = (extras.u16(), extras.u16()) {
        let mut extra = Fields(extras.take(length as usize)?);
        if kind == 1 {
            for number in [&mut member.size, &mut member.packed, &mut member.offset] {
                if *number == u64::from(u32::MAX) {
                    *number = extra.u64()?;
                }
            }
        }
    }
    Some(member)
}
