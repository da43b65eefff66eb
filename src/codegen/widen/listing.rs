//! Decodes a function: every instruction that can be reached, with its class and its successors.

use super::Refusal;
use super::table::{Class, class_of};
use iced_x86::{Decoder, DecoderOptions, Instruction};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub struct Item {
    pub instruction: Instruction,
    pub class: Class,
    /// Indices of the instructions that may follow.
    pub next: Vec<usize>,
}

/// The instructions in order of their addresses; address 0 of the function is [`BASE`].
#[derive(Debug)]
pub struct Listing {
    pub items: Vec<Item>,
    /// Indices that something jumps to.
    pub targets: BTreeSet<usize>,
    /// The first address after the last instruction: constants follow.
    pub end: u64,
}

/// Not 0, which iced takes for "no address".
pub const BASE: u64 = 0x1000;

pub fn decode(bytes: &[u8]) -> Result<Listing, Refusal> {
    let mut found: BTreeMap<u64, (Instruction, Class)> = BTreeMap::new();
    let mut jumps = BTreeSet::new();
    let mut work = vec![BASE];
    while let Some(ip) = work.pop() {
        if found.contains_key(&ip) {
            continue;
        }
        let at = ip.wrapping_sub(BASE) as usize;
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty()).ok_or(Refusal::Flow(ip))?;
        let instruction = Decoder::with_ip(64, rest, ip, DecoderOptions::NONE).decode();
        let class = class_of(&instruction).ok_or_else(|| Refusal::Unlisted(ip, instruction.to_string()))?;
        found.insert(ip, (instruction, class));
        if matches!(class, Class::Jump | Class::Branch) {
            jumps.insert(instruction.near_branch_target());
        }
        work.extend(successors(&instruction, class));
    }
    let index: BTreeMap<u64, usize> = found.keys().enumerate().map(|(k, ip)| (*ip, k)).collect();
    let items: Vec<Item> = found
        .values()
        .map(|(instruction, class)| {
            let next = successors(instruction, *class).iter().map(|ip| index[ip]).collect();
            Item { instruction: *instruction, class: *class, next }
        })
        .collect();
    for pair in items.windows(2) {
        if pair[0].instruction.next_ip() > pair[1].instruction.ip() {
            return Err(Refusal::Flow(pair[1].instruction.ip()));
        }
    }
    let end = items.last().map_or(BASE, |item| item.instruction.next_ip());
    Ok(Listing { items, targets: jumps.iter().map(|ip| index[ip]).collect(), end })
}

fn successors(i: &Instruction, class: Class) -> Vec<u64> {
    match class {
        Class::Return => vec![],
        Class::Jump => vec![i.near_branch_target()],
        Class::Branch => vec![i.next_ip(), i.near_branch_target()],
        _ => vec![i.next_ip()],
    }
}
