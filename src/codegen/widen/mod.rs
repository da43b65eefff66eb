//! 256-bit code from 128-bit code.
//!
//! Cranelift's vectors have 128 bits on x86-64; machines with AVX2 compute on 256 at the same pace. So the emitter can
//! write a kernel for *twice* the width: it emits the ordinary 128-bit operations, but counts, strides and offsets as if
//! each vector were 32 bytes long. [`widen`] then turns the finished machine code into what was meant, by replacing each
//! 128-bit instruction by its 256-bit form.
//!
//! # Why it is sound
//!
//! Think of two copies of the 128-bit program that run in lockstep: one in the lower halves of the ymm registers, one in
//! the upper halves.
//!
//! * The lower copy is the program that Cranelift compiled, instruction by instruction: every 256-bit form on the list
//!   does to the lower half exactly what the 128-bit form does. What is in the upper halves never influences it.
//! * The upper copy does the same to its half (shuffles of AVX2, too, work inside each half), on data 16 bytes further:
//!   a load or store of a vector reaches 32 bytes instead of 16. Constants are written twice, spill slots are doubled.
//! * Scalars are common to both copies and exist once, in the lower half. An instruction that writes one (a scalar load,
//!   a conversion between widths, a move from an integer register) leaves *no* upper half; a broadcast makes one. [`flow`]
//!   follows on all paths which registers have one. A result has an upper half if all operands have; only a register
//!   that has one may be stored to a buffer.
//!
//! Everything that does not fit is refused, and the kernel compiled again for 128 bits: an instruction that is not on the
//! list ([`table`]), an unusual use of the stack ([`frame`]), a store without upper half.
//!
//! What the emitter promises in return (see `quad` and `value`): buffers are accessed within their bounds at the
//! doubled width; a lane is picked out of a vector only where all lanes are equal, otherwise through memory; a step
//! between halves goes through memory as well.

mod flow;
mod frame;
mod listing;
mod table;
#[cfg(test)]
mod tests;

use flow::{Known, is_scalar_splat};
use frame::Slots;
use iced_x86::{BlockEncoder, BlockEncoderOptions, Code, Formatter, GasFormatter, Instruction, InstructionBlock};
use iced_x86::{Decoder, DecoderOptions, OpKind, Register};
use listing::{BASE, Item, Listing};
use rustc_hash::FxHashMap;
use table::Class;

/// Why code was not widened. The numbers are addresses in the function.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("`{1}` at {0:#x} is not known to work on halves")]
    Unlisted(u64, String),
    #[error("control flow leaves the function at {0:#x}")]
    Flow(u64),
    #[error("unusual use of the stack at {0:#x}")]
    Stack(u64),
    #[error("spilled values overlap, or are too many")]
    Slots,
    #[error("the function does not begin or end as expected")]
    Frame,
    #[error("a vector without upper half is stored at {0:#x}")]
    Half(u64),
    #[error("a constant lies outside the function at {0:#x}")]
    Constant(u64),
    #[error("an unexpected relocation")]
    Relocation,
    #[error("encoding: {0}")]
    Encode(String),
}

/// Widened code, and where instructions went.
#[derive(Debug)]
pub struct Widened {
    /// Instructions, then constants.
    pub bytes: Vec<u8>,
    /// Bytes of the instructions alone.
    pub code_bytes: usize,
    /// For each instruction with a 64-bit immediate: its old offset, its old and its new end.
    moved: Vec<(u32, u32, u32)>,
}

/// Constants are aligned to their size.
pub const ALIGNMENT: u64 = 32;

impl Widened {
    /// The new offset of an absolute 64-bit address at the end of the instruction around `offset`.
    pub fn address_offset(&self, offset: u32) -> Result<u32, Refusal> {
        let found = self.moved.iter().find(|(start, end, _)| *start < offset && offset + 8 == *end);
        found.map(|(_, _, end)| end - 8).ok_or(Refusal::Relocation)
    }

    /// The instructions as text, each with its offset.
    pub fn assembly(&self) -> String {
        let mut formatter = GasFormatter::new();
        let mut text = String::new();
        for i in Decoder::with_ip(64, &self.bytes[..self.code_bytes], 0, DecoderOptions::NONE).iter() {
            text.push_str(&format!("{:5x}  ", i.ip()));
            formatter.format(&i, &mut text);
            text.push('\n');
        }
        text
    }
}

/// Turns the code of a function that was emitted for twice the width into code of that width.
pub fn widen(bytes: &[u8]) -> Result<Widened, Refusal> {
    let listing = listing::decode(bytes)?;
    let slots = frame::slots(&listing)?;
    let known = flow::known(&listing, &slots);
    let mut constants = Constants { bytes, code_end: listing.end, places: vec![], data: vec![] };
    let mut code = vec![];
    // For each instruction of `code`, the old one.
    let mut origin = vec![];
    for (k, (item, known)) in listing.items.iter().zip(&known).enumerate() {
        for new in rewrite(item, *known, &slots, &mut constants)? {
            code.push(new);
            origin.push(k);
        }
    }
    encode(&listing, code, &origin, &constants)
}

/// The instructions that take the place of one.
fn rewrite(item: &Item, known: Known, slots: &Slots, constants: &mut Constants) -> Result<Vec<Instruction>, Refusal> {
    let mut i = item.instruction;
    // Constants are read, 16 bytes at most; their addresses go nowhere.
    let writes = i.op0_kind() == OpKind::Memory || i.code() == Code::Lea_r64_m;
    if writes && i.is_ip_rel_memory_operand() {
        return Err(Refusal::Constant(i.ip()));
    }
    let stored_to_buffer = i.op0_kind() == OpKind::Memory && slots.of(&i).is_none();
    match item.class {
        Class::Halves(_) if is_scalar_splat(&i, known) => {
            let (to, from) = (ymm(i.op0_register()), i.op1_register());
            let ip = i.ip();
            i = Instruction::with2(Code::VEX_Vbroadcastsd_ymm_xmm, to, from).map_err(encoding)?;
            i.set_ip(ip);
        }
        Class::Halves(code) | Class::Move(code) => {
            if stored_to_buffer && !known.register(i.op1_register()) {
                return Err(Refusal::Half(i.ip()));
            }
            i.set_code(code);
            for k in 0..i.op_count() {
                if i.op_kind(k) == OpKind::Register {
                    i.set_op_register(k, ymm(i.op_register(k)));
                }
            }
            // Only moves have slots: nothing else reads spilled vectors.
            if let Some(slot) = slots.of(&i) {
                i.set_memory_displacement64(slots.place(slot));
                i.set_memory_displ_size(8);
            }
        }
        Class::Broadcast(code) => {
            i.set_code(code);
            i.set_op0_register(ymm(i.op0_register()));
        }
        // No transition between encodings: see Intel's manual on mixing AVX and SSE.
        Class::Call | Class::Return => {
            let mut zero = Instruction::with(Code::VEX_Vzeroupper);
            zero.set_ip(i.ip());
            i.set_ip(0);
            return Ok(vec![zero, i]);
        }
        Class::General
            if !slots.is_empty() && i.op0_kind() == OpKind::Register && i.op0_register() == Register::RSP =>
        {
            return frame_step(i, slots);
        }
        Class::LowHalf | Class::General | Class::Jump | Class::Branch => {}
    }
    if i.is_ip_rel_memory_operand() {
        let new = constants.place(i.ip_rel_memory_address()).ok_or(Refusal::Constant(i.ip()))?;
        i.set_memory_displacement64(new);
    }
    Ok(vec![i])
}

/// The steps of the stack pointer, by the size of the new frame.
fn frame_step(i: Instruction, slots: &Slots) -> Result<Vec<Instruction>, Refusal> {
    let lowers = match i.code() {
        Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32 => true,
        Code::Add_rm64_imm8 | Code::Add_rm64_imm32 => false,
        _ => return Ok(vec![i]),
    };
    let code = if lowers { Code::Sub_rm64_imm32 } else { Code::Add_rm64_imm32 };
    let mut step = Instruction::with2(code, Register::RSP, slots.bytes() as i32).map_err(encoding)?;
    step.set_ip(i.ip());
    if !lowers {
        return Ok(vec![step]);
    }
    let align = Instruction::with2(Code::And_rm64_imm8, Register::RSP, -32i32).map_err(encoding)?;
    Ok(vec![step, align])
}

fn ymm(r: Register) -> Register {
    if r.is_xmm() { Register::YMM0 + r.number() as u32 } else { r }
}

fn encoding(error: iced_x86::IcedError) -> Refusal {
    Refusal::Encode(error.to_string())
}

/// The constants of a function, each written twice in a row.
struct Constants<'a> {
    bytes: &'a [u8],
    code_end: u64,
    /// Old addresses, in the order of the new ones.
    places: Vec<u64>,
    data: Vec<u8>,
}

/// Where the new code is said to lie: far from the old, so that no new address is taken for an old one.
const NEW_BASE: u64 = 1 << 32;
/// Where constants lie while the length of the code is not known.
const FAR: u64 = NEW_BASE + (1 << 24);

impl Constants<'_> {
    /// The new address of the constant at `old`, relative to [`FAR`].
    fn place(&mut self, old: u64) -> Option<u64> {
        if let Some(k) = self.places.iter().position(|place| *place == old) {
            return Some(FAR + 32 * k as u64);
        }
        let at = (old >= self.code_end).then(|| (old - BASE) as usize)?;
        let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
        // A scalar at the very end is shorter.
        let mut half = [0; 16];
        let size = rest.len().min(16);
        half[..size].copy_from_slice(&rest[..size]);
        self.places.push(old);
        self.data.extend(half);
        self.data.extend(half);
        Some(FAR + 32 * (self.places.len() as u64 - 1))
    }
}

fn encode(
    listing: &Listing,
    mut code: Vec<Instruction>,
    origin: &[usize],
    constants: &Constants,
) -> Result<Widened, Refusal> {
    // Once with the constants far away, to know the length; distances of constants have one size.
    let (first, _) = encode_at(&code)?;
    let pool = (NEW_BASE + first.len() as u64).next_multiple_of(ALIGNMENT);
    for i in code.iter_mut().filter(|i| i.is_ip_rel_memory_operand()) {
        i.set_memory_displacement64(i.ip_rel_memory_address() - FAR + pool);
    }
    let (mut bytes, offsets) = encode_at(&code)?;
    if bytes.len() != first.len() {
        return Err(Refusal::Encode("the length changed".into()));
    }
    check(&bytes, &offsets, &code)?;
    let code_bytes = bytes.len();
    let mut moved = vec![];
    for (n, k) in origin.iter().enumerate() {
        let end = offsets.get(n + 1).copied().unwrap_or(code_bytes as u32);
        let old = &listing.items[*k].instruction;
        if old.code() == Code::Mov_r64_imm64 {
            moved.push(((old.ip() - BASE) as u32, (old.next_ip() - BASE) as u32, end));
        }
    }
    if !constants.data.is_empty() {
        bytes.resize((pool - NEW_BASE) as usize, 0);
        bytes.extend(&constants.data);
    }
    Ok(Widened { bytes, code_bytes, moved })
}

fn encode_at(code: &[Instruction]) -> Result<(Vec<u8>, Vec<u32>), Refusal> {
    let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
    let result = BlockEncoder::encode(64, InstructionBlock::new(code, NEW_BASE), options).map_err(encoding)?;
    if result.new_instruction_offsets.contains(&u32::MAX) {
        return Err(Refusal::Encode("an instruction was replaced by others".into()));
    }
    Ok((result.code_buffer, result.new_instruction_offsets))
}

/// Reads the new code back: the same instructions, constants and targets.
fn check(bytes: &[u8], offsets: &[u32], code: &[Instruction]) -> Result<(), Refusal> {
    let new_place: FxHashMap<u64, u64> =
        code.iter().zip(offsets).map(|(i, offset)| (i.ip(), NEW_BASE + *offset as u64)).collect();
    let mut decoder = Decoder::with_ip(64, bytes, NEW_BASE, DecoderOptions::NONE);
    for (i, offset) in code.iter().zip(offsets) {
        let read = decoder.decode();
        let is_jump = matches!(i.op0_kind(), OpKind::NearBranch64);
        let same = if is_jump {
            read.mnemonic() == i.mnemonic()
                && new_place.get(&i.near_branch_target()) == Some(&read.near_branch_target())
        } else {
            let constant = !i.is_ip_rel_memory_operand() || read.ip_rel_memory_address() == i.ip_rel_memory_address();
            // Moves between registers and steps of the stack pointer have more than one encoding.
            let operands = (0..i.op_count()).all(|k| {
                read.op_kind(k) == OpKind::Memory
                    || i.op_kind(k) != OpKind::Register
                    || read.op_register(k) == i.op_register(k)
            });
            read.mnemonic() == i.mnemonic() && read.op_count() == i.op_count() && operands && constant
        };
        if !same || read.ip() != NEW_BASE + *offset as u64 {
            return Err(Refusal::Encode(format!("`{i}` became `{read}`")));
        }
    }
    Ok(())
}
