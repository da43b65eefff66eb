//! Stack slots: spilled vectors get places of 32 bytes, above the frame that Cranelift laid out.

use super::Refusal;
use super::listing::Listing;
use super::table::Class;
use iced_x86::{Code, Instruction, OpKind, Register};

/// The slots of spilled vectors, by their offset from the stack pointer.
#[derive(Debug, Default)]
pub struct Slots {
    offsets: Vec<u64>,
    /// Size of Cranelift's frame below the saved frame pointer, rounded up to 32.
    frame: u64,
}

impl Slots {
    /// The slot that an instruction's memory operand is.
    pub fn of(&self, i: &Instruction) -> Option<usize> {
        if !is_stack(i) {
            return None;
        }
        self.offsets.iter().position(|offset| *offset == i.memory_displacement64())
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Where slot `k` lies in the new frame.
    pub fn place(&self, k: usize) -> u64 {
        self.frame + 32 * k as u64
    }

    /// Size of the new frame.
    pub fn bytes(&self) -> u64 {
        self.place(self.offsets.len())
    }
}

/// Far above what kernels need; also refuses places below the stack pointer, whose offsets are negative.
const LARGEST_FRAME: u64 = 1 << 20;

fn has_memory(i: &Instruction) -> bool {
    (0..i.op_count()).any(|k| i.op_kind(k) == OpKind::Memory)
}

/// A memory operand at a fixed distance from the stack pointer.
fn is_stack(i: &Instruction) -> bool {
    has_memory(i) && i.memory_base() == Register::RSP && i.memory_index() == Register::None
}

/// The instructions that may name the stack or frame pointer as an operand.
fn is_frame_work(i: &Instruction) -> bool {
    let operands = (i.op0_register(), i.op1_register());
    match i.code() {
        Code::Push_r64 | Code::Pop_r64 => i.op0_register() == Register::RBP,
        Code::Mov_r64_rm64 | Code::Mov_rm64_r64 => {
            !has_memory(i) && (operands == (Register::RBP, Register::RSP) || operands == (Register::RSP, Register::RBP))
        }
        Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32 | Code::Add_rm64_imm8 | Code::Add_rm64_imm32 => {
            !has_memory(i) && i.op0_register() == Register::RSP
        }
        _ => false,
    }
}

/// Finds the slots, and refuses every use of the stack other than spills, saved registers and the frame itself.
pub fn slots(listing: &Listing) -> Result<Slots, Refusal> {
    let mut slots = Slots::default();
    let mut others = vec![];
    for item in &listing.items {
        let i = &item.instruction;
        let pointers = [Register::RSP, Register::RBP];
        let named = (0..i.op_count())
            .any(|k| i.op_kind(k) == OpKind::Register && pointers.contains(&i.op_register(k).full_register()));
        if named && !is_frame_work(i) {
            return Err(Refusal::Stack(i.ip()));
        }
        if !has_memory(i) {
            continue;
        }
        let by_pointer = pointers.contains(&i.memory_base()) || pointers.contains(&i.memory_index());
        if by_pointer && !is_stack(i) {
            return Err(Refusal::Stack(i.ip()));
        }
        if !is_stack(i) {
            continue;
        }
        let offset = i.memory_displacement64();
        if offset > LARGEST_FRAME {
            return Err(Refusal::Stack(i.ip()));
        }
        match item.class {
            Class::Move(_) if !slots.offsets.contains(&offset) => slots.offsets.push(offset),
            Class::Move(_) => {}
            // Registers that the function must restore, and spilled integers.
            Class::General if i.code() != Code::Lea_r64_m => others.push((offset, i.memory_size().size() as u64)),
            _ => return Err(Refusal::Stack(i.ip())),
        }
    }
    let overlap = |a: u64, a_size: u64, b: u64, b_size: u64| a < b + b_size && b < a + a_size;
    for (k, a) in slots.offsets.iter().enumerate() {
        let with_slot = slots.offsets[..k].iter().any(|b| overlap(*a, 16, *b, 16));
        if with_slot || others.iter().any(|(b, size)| overlap(*a, 16, *b, *size)) {
            return Err(Refusal::Slots);
        }
    }
    if slots.offsets.len() > u128::BITS as usize {
        return Err(Refusal::Slots);
    }
    if !slots.is_empty() {
        let size = frame_bytes(listing)?;
        slots.frame = size.next_multiple_of(32);
        if slots.offsets.iter().any(|offset| offset + 16 > size) {
            return Err(Refusal::Frame);
        }
    }
    Ok(slots)
}

/// The frame's size, if the function begins and ends as Cranelift's do: the frame pointer saved and set, the stack
/// pointer lowered once; and before each return restored from the frame pointer, which makes its alignment free.
fn frame_bytes(listing: &Listing) -> Result<u64, Refusal> {
    let code = |k: usize| listing.items.get(k).map(|item| &item.instruction);
    let is_mov = |i: &Instruction, to, from| {
        matches!(i.code(), Code::Mov_r64_rm64 | Code::Mov_rm64_r64)
            && (i.op0_register(), i.op1_register()) == (to, from)
    };
    let (Some(push), Some(mov), Some(sub)) = (code(0), code(1), code(2)) else { return Err(Refusal::Frame) };
    let is_sub = |i: &Instruction| {
        matches!(i.code(), Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32) && i.op0_register() == Register::RSP
    };
    if push.code() != Code::Push_r64 || !is_mov(mov, Register::RBP, Register::RSP) || !is_sub(sub) {
        return Err(Refusal::Frame);
    }
    let size = sub.immediate(1);
    for (k, item) in listing.items.iter().enumerate() {
        let i = &item.instruction;
        let in_order = match i.code() {
            Code::Push_r64 => k == 0 && i.op0_register() == Register::RBP,
            Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32 if i.op0_register() == Register::RSP => k == 2,
            Code::Add_rm64_imm8 | Code::Add_rm64_imm32 if i.op0_register() == Register::RSP => {
                i.immediate(1) == size && code(k + 1).is_some_and(|next| is_mov(next, Register::RSP, Register::RBP))
            }
            Code::Pop_r64 => k > 0 && code(k - 1).is_some_and(|last| is_mov(last, Register::RSP, Register::RBP)),
            Code::Retnq => k > 0 && code(k - 1).is_some_and(|last| last.code() == Code::Pop_r64),
            _ if is_mov(i, Register::RBP, Register::RSP) => k == 1,
            _ => true,
        };
        // Nothing may jump into the middle of a prologue or epilogue.
        let entered = listing.targets.contains(&k);
        let bound = matches!(i.code(), Code::Pop_r64 | Code::Retnq) || k < 3 || is_mov(i, Register::RSP, Register::RBP);
        if !in_order || (entered && bound) {
            return Err(Refusal::Frame);
        }
    }
    Ok(size)
}
