//! Which registers and stack slots hold a meaningful upper half at each instruction: a forward analysis over all paths.

use super::frame::Slots;
use super::listing::{Item, Listing};
use super::table::Class;
use iced_x86::{Code, Instruction, OpKind, Register};

/// One bit for each vector register, and for each stack slot, whose upper half is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Known {
    registers: u16,
    slots: u128,
}

impl Known {
    fn meet(self, other: Known) -> Known {
        Known { registers: self.registers & other.registers, slots: self.slots & other.slots }
    }

    pub fn register(self, r: Register) -> bool {
        self.registers & bit(r) != 0
    }

    fn set(&mut self, r: Register, known: bool) {
        if known {
            self.registers |= bit(r);
        } else {
            self.registers &= !bit(r);
        }
    }
}

fn bit(r: Register) -> u16 {
    1 << r.number()
}

/// What is known before each instruction. At the entry, nothing is.
pub fn known(listing: &Listing, slots: &Slots) -> Vec<Known> {
    let mut before: Vec<Option<Known>> = vec![None; listing.items.len()];
    let mut work = vec![(0, Known::default())];
    while let Some((k, arriving)) = work.pop() {
        let merged = before[k].map_or(arriving, |earlier| earlier.meet(arriving));
        if before[k] == Some(merged) {
            continue;
        }
        before[k] = Some(merged);
        let after = step(&listing.items[k], merged, slots);
        work.extend(listing.items[k].next.iter().map(|next| (*next, after)));
    }
    before.into_iter().map(Option::unwrap_or_default).collect()
}

fn step(item: &Item, before: Known, slots: &Slots) -> Known {
    let i = &item.instruction;
    let mut after = before;
    match item.class {
        Class::Halves(_) => after.set(i.op0_register(), halves_known(i, before)),
        Class::Move(_) => {
            let known = match (i.op1_kind(), slots.of(i)) {
                (OpKind::Register, _) => before.register(i.op1_register()),
                (_, Some(slot)) => before.slots >> slot & 1 != 0,
                (_, None) => true,
            };
            match (i.op0_kind(), slots.of(i)) {
                (OpKind::Register, _) => after.set(i.op0_register(), known),
                (_, Some(slot)) => after.slots = after.slots & !(1 << slot) | (known as u128) << slot,
                (_, None) => {}
            }
        }
        Class::Broadcast(_) => after.set(i.op0_register(), true),
        Class::LowHalf => {
            if i.op0_kind() == OpKind::Register && i.op0_register().is_xmm() {
                after.set(i.op0_register(), false);
            }
        }
        // The upper halves are zeroed before the call, and the callee may use every vector register.
        Class::Call => after.registers = 0,
        Class::General | Class::Return | Class::Jump | Class::Branch => {}
    }
    after
}

/// Whether the result of an instruction that works on halves has a known upper half.
fn halves_known(i: &Instruction, before: Known) -> bool {
    if is_constant_idiom(i) || is_scalar_splat(i, before) {
        return true;
    }
    let sources = (0..i.op_count()).filter(|k| *k > 0 || reads_target(i));
    sources.map(|k| (k, i.op_kind(k))).all(|(k, kind)| kind != OpKind::Register || before.register(i.op_register(k)))
}

/// Fused multiply-adds read the register that they write.
fn reads_target(i: &Instruction) -> bool {
    let name = format!("{:?}", i.mnemonic());
    name.starts_with("Vfm") || name.starts_with("Vfnm")
}

/// `x ^ x` and `x == x` do not depend on `x`.
fn is_constant_idiom(i: &Instruction) -> bool {
    use Code::*;
    let listed = matches!(
        i.code(),
        VEX_Vpxor_xmm_xmm_xmmm128
            | VEX_Vxorps_xmm_xmm_xmmm128
            | VEX_Vxorpd_xmm_xmm_xmmm128
            | VEX_Vpcmpeqd_xmm_xmm_xmmm128
            | VEX_Vpcmpeqq_xmm_xmm_xmmm128
    );
    listed && i.op2_kind() == OpKind::Register && i.op1_register() == i.op2_register()
}

/// `vpshufd x, s, 0x44` of a register without upper half: how Cranelift copies a 64-bit scalar to both lanes.
pub fn is_scalar_splat(i: &Instruction, before: Known) -> bool {
    i.code() == Code::VEX_Vpshufd_xmm_xmmm128_imm8
        && i.immediate8() == 0x44
        && i.op1_kind() == OpKind::Register
        && !before.register(i.op1_register())
}
