//! What is refused, and why; what the rest becomes.

use super::*;
use iced_x86::MemoryOperand;
use iced_x86::Register::*;

/// Instructions as bytes. Addresses are indices: a branch to `at(k)` goes to instruction `k`.
fn assemble(code: &[Instruction]) -> Vec<u8> {
    let mut code = code.to_vec();
    for (k, i) in code.iter_mut().enumerate() {
        i.set_ip(at(k));
    }
    let block = InstructionBlock::new(&code, 1 << 40);
    BlockEncoder::encode(64, block, BlockEncoderOptions::NONE).map(|result| result.code_buffer).expect("it encodes")
}

fn at(k: usize) -> u64 {
    k as u64 + 1
}

fn base(register: Register) -> MemoryOperand {
    MemoryOperand::with_base(register)
}

fn stack(offset: i64) -> MemoryOperand {
    MemoryOperand::with_base_displ(RSP, offset)
}

fn load(to: Register, from: MemoryOperand) -> Instruction {
    Instruction::with2(Code::VEX_Vmovups_xmm_xmmm128, to, from).expect("it exists")
}

fn store(to: MemoryOperand, from: Register) -> Instruction {
    Instruction::with2(Code::VEX_Vmovups_xmmm128_xmm, to, from).expect("it exists")
}

fn scalar(to: Register, from: Register) -> Instruction {
    Instruction::with2(Code::VEX_Vmovss_xmm_m32, to, base(from)).expect("it exists")
}

fn spread(to: Register, from: Register) -> Instruction {
    Instruction::with2(Code::VEX_Vbroadcastss_xmm_xmm, to, from).expect("it exists")
}

fn add(to: Register, x: Register, y: Register) -> Instruction {
    Instruction::with3(Code::VEX_Vaddps_xmm_xmm_xmmm128, to, x, y).expect("it exists")
}

fn ret() -> Instruction {
    Instruction::with(Code::Retnq)
}

fn refusal(code: &[Instruction]) -> Refusal {
    widen(&assemble(code)).expect_err("it is refused")
}

fn text(code: &[Instruction]) -> String {
    let text = widen(&assemble(code)).expect("it is widened").assembly();
    text.lines().map(|line| line[7..].to_string() + "\n").collect()
}

#[test]
fn vectors_grow_and_scalars_stay() {
    let code = [
        load(XMM1, base(RDI)),
        scalar(XMM2, RSI),
        spread(XMM2, XMM2),
        add(XMM9, XMM1, XMM2),
        store(base(RDX), XMM9),
        ret(),
    ];
    let expected = "vmovups (%rdi),%ymm1\nvmovss (%rsi),%xmm2\nvbroadcastss %xmm2,%ymm2\nvaddps %ymm2,%ymm1,%ymm9\n\
                    vmovups %ymm9,(%rdx)\nvzeroupper\nret\n";
    assert_eq!(text(&code), expected);
}

/// `vpshufd x, s, 0x44` copies a 64-bit scalar to all lanes, and works inside each half of anything else.
#[test]
fn splats_of_f64() {
    let shuffle = |x| Instruction::with3(Code::VEX_Vpshufd_xmm_xmmm128_imm8, XMM1, x, 0x44).expect("it exists");
    let double = Instruction::with2(Code::VEX_Vmovsd_xmm_m64, XMM0, base(RDI)).expect("it exists");
    let of_scalar = text(&[double, shuffle(XMM0), store(base(RSI), XMM1), ret()]);
    assert!(of_scalar.contains("vbroadcastsd %xmm0,%ymm1"), "{of_scalar}");
    let of_vector = text(&[load(XMM0, base(RDI)), shuffle(XMM0), store(base(RSI), XMM1), ret()]);
    assert!(of_vector.contains("vpshufd $0x44,%ymm0,%ymm1"), "{of_vector}");
    let from_memory = Instruction::with2(Code::VEX_Vmovddup_xmm_xmmm64, XMM1, base(RDI)).expect("it exists");
    assert!(text(&[from_memory, store(base(RSI), XMM1), ret()]).contains("vbroadcastsd (%rdi),%ymm1"));
}

#[test]
fn unlisted_instructions_are_refused() {
    let three = |code| Instruction::with3(code, XMM0, XMM1, XMM2).expect("it exists");
    let two = |code, x, y| Instruction::with2(code, x, y).expect("it exists");
    let cases = [
        // Without VEX the upper half stays as it was; with EVEX there are masks.
        two(Code::Addps_xmm_xmmm128, XMM0, XMM1),
        two(Code::Movss_xmm_xmmm32, XMM0, XMM1),
        three(Code::EVEX_Vaddps_xmm_k1z_xmm_xmmm128b32),
        // Already wide; across halves; into flags and masks.
        Instruction::with3(Code::VEX_Vaddps_ymm_ymm_ymmm256, YMM0, YMM1, YMM2).expect("it exists"),
        Instruction::with3(Code::VEX_Vpermd_ymm_ymm_ymmm256, YMM0, YMM1, YMM2).expect("it exists"),
        two(Code::VEX_Vpmovmskb_r32_xmm, EAX, XMM0),
        two(Code::VEX_Vptest_xmm_xmmm128, XMM0, XMM1),
        two(Code::VEX_Vmovddup_xmm_xmmm64, XMM0, XMM1),
        // Not a kernel's business.
        Instruction::with(Code::Syscall),
        Instruction::with(Code::Int3),
        Instruction::with(Code::VEX_Vzeroupper),
        Instruction::with1(Code::Jmp_rm64, RAX).expect("it exists"),
        Instruction::with1(Code::Call_rm64, base(RAX)).expect("it exists"),
    ];
    for i in cases {
        assert!(matches!(refusal(&[i, ret()]), Refusal::Unlisted(BASE, _)), "{i}");
    }
    assert!(matches!(widen(&[0xff, 0xff]), Err(Refusal::Unlisted(..))));
}

#[test]
fn a_vector_without_upper_half_is_not_stored() {
    let is_half = |code: &[Instruction]| assert!(matches!(refusal(code), Refusal::Half(_)));
    is_half(&[scalar(XMM0, RDI), store(base(RSI), XMM0), ret()]);
    // Through arithmetic and moves.
    let copy = Instruction::with2(Code::Movdqa_xmm_xmmm128, XMM3, XMM2).expect("it exists");
    is_half(&[load(XMM0, base(RDI)), scalar(XMM1, RDI), add(XMM2, XMM0, XMM1), copy, store(base(RSI), XMM3), ret()]);
    // What was there at the entry.
    is_half(&[store(base(RSI), XMM5), ret()]);
    // A conversion that has another wide form.
    let convert = Instruction::with2(Code::VEX_Vcvtps2pd_xmm_xmmm64, XMM1, XMM0).expect("it exists");
    is_half(&[load(XMM0, base(RDI)), convert, store(base(RSI), XMM1), ret()]);
    // A fused multiply-add reads its target.
    let fma = Instruction::with3(Code::VEX_Vfmadd213ps_xmm_xmm_xmmm128, XMM1, XMM0, XMM0).expect("it exists");
    is_half(&[load(XMM0, base(RDI)), scalar(XMM1, RDI), fma, store(base(RSI), XMM1), ret()]);
}

#[test]
fn constants_of_one_register_have_both_halves() {
    let zero = Instruction::with3(Code::VEX_Vpxor_xmm_xmm_xmmm128, XMM1, XMM2, XMM2).expect("it exists");
    assert!(text(&[zero, store(base(RSI), XMM1), ret()]).starts_with("vpxor %ymm2,%ymm2,%ymm1\n"));
}

/// Both ways to an instruction must bring the upper half; around a loop as well.
#[test]
fn all_paths_count() {
    let branch = |to| Instruction::with_branch(Code::Je_rel32_64, at(to)).expect("it exists");
    let one_way = [load(XMM0, base(RDI)), branch(3), scalar(XMM0, RDI), store(base(RSI), XMM0), ret()];
    assert!(matches!(refusal(&one_way), Refusal::Half(_)));
    let loops = [load(XMM0, base(RDI)), store(base(RSI), XMM0), scalar(XMM0, RDI), branch(1), ret()];
    assert!(matches!(refusal(&loops), Refusal::Half(_)));
    let good = [load(XMM0, base(RDI)), branch(3), load(XMM0, base(RSI)), store(base(RSI), XMM0), ret()];
    assert!(widen(&assemble(&good)).is_ok());
}

#[test]
fn control_flow_stays_inside() {
    let mut away = Instruction::with_branch(Code::Jmp_rel32_64, 0).expect("it exists");
    away.set_near_branch64((1 << 40) + 0x5000);
    assert!(matches!(refusal(&[away]), Refusal::Flow(_)));
    // The last instruction falls off the end.
    assert!(matches!(refusal(&[load(XMM0, base(RDI))]), Refusal::Flow(_)));
}

/// A function with a frame, as Cranelift writes them.
fn framed(size: i32, body: &[Instruction]) -> Vec<Instruction> {
    let two = |code, x, y| Instruction::with2(code, x, y).expect("it exists");
    let step = |code| Instruction::with2(code, RSP, size).expect("it exists");
    let mut code = vec![
        Instruction::with1(Code::Push_r64, RBP).expect("it exists"),
        two(Code::Mov_rm64_r64, RBP, RSP),
        step(Code::Sub_rm64_imm32),
    ];
    code.extend(body);
    code.push(step(Code::Add_rm64_imm32));
    code.push(two(Code::Mov_rm64_r64, RSP, RBP));
    code.push(Instruction::with1(Code::Pop_r64, RBP).expect("it exists"));
    code.push(ret());
    code
}

#[test]
fn spilled_vectors_get_longer_slots() {
    let spill = |offset| Instruction::with2(Code::Movdqu_xmmm128_xmm, stack(offset), XMM0).expect("it exists");
    let reload = |offset| Instruction::with2(Code::Movdqu_xmm_xmmm128, XMM1, stack(offset)).expect("it exists");
    let saved = Instruction::with2(Code::Mov_rm64_r64, stack(0), RBX).expect("it exists");
    let good = framed(0x30, &[saved, load(XMM0, base(RDI)), spill(0x10), reload(0x10), store(base(RSI), XMM1)]);
    let text = text(&good);
    for line in [
        "sub $0x60,%rsp\nand $0xFFFFFFFFFFFFFFE0,%rsp",
        "vmovdqu %ymm0,0x40(%rsp)",
        "vmovdqu 0x40(%rsp),%ymm1",
        "mov %rbx,(%rsp)",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let of = |body: &[Instruction]| refusal(&framed(0x30, body));
    // A spilled scalar has no upper half either.
    assert!(matches!(of(&[scalar(XMM0, RDI), spill(0x10), reload(0x10), store(base(RSI), XMM1)]), Refusal::Half(_)));
    // A slot that nothing was written to.
    assert!(matches!(of(&[reload(0x10), store(base(RSI), XMM1)]), Refusal::Half(_)));
    assert_eq!(of(&[spill(0x10), spill(0x18)]), Refusal::Slots);
    let integer = Instruction::with2(Code::Mov_rm64_r64, stack(0x18), RBX).expect("it exists");
    assert_eq!(of(&[spill(0x10), integer]), Refusal::Slots);
    assert_eq!(of(&[spill(0x28)]), Refusal::Frame);
    assert!(matches!(of(&[spill(-16)]), Refusal::Stack(_)));
    // An address of the stack that goes elsewhere, and a scalar in a slot.
    let lea = Instruction::with2(Code::Lea_r64_m, RAX, stack(0)).expect("it exists");
    assert!(matches!(of(&[lea]), Refusal::Stack(_)));
    let part = Instruction::with2(Code::VEX_Vmovss_xmm_m32, XMM0, stack(0x10)).expect("it exists");
    assert!(matches!(of(&[spill(0x10), part]), Refusal::Stack(_)));
    let folded = Instruction::with3(Code::VEX_Vaddps_xmm_xmm_xmmm128, XMM0, XMM0, stack(0x10)).expect("it exists");
    assert!(matches!(of(&[spill(0x10), folded]), Refusal::Stack(_)));
    let escape = Instruction::with2(Code::Mov_rm64_r64, RAX, RSP).expect("it exists");
    assert!(matches!(of(&[escape]), Refusal::Stack(_)));
    // No frame, no slots.
    assert_eq!(refusal(&[spill(0x10), ret()]), Refusal::Frame);
}

/// A call leaves no vector register, and comes after the upper halves are cleared.
#[test]
fn calls_keep_nothing() {
    let call = Instruction::with1(Code::Call_rm64, RAX).expect("it exists");
    let code = [load(XMM0, base(RDI)), call, store(base(RSI), XMM0), ret()];
    assert!(matches!(refusal(&code), Refusal::Half(_)));
    assert!(
        text(&[call, load(XMM0, base(RDI)), store(base(RSI), XMM0), ret()]).starts_with("vzeroupper\ncall *%rax\n")
    );
}

#[test]
fn addresses_move_with_their_instructions() {
    let address = Instruction::with2(Code::Mov_r64_imm64, RAX, 0x1234_5678_9abcu64).expect("it exists");
    let movdqa = Instruction::with2(Code::Movdqa_xmm_xmmm128, XMM12, XMM1).expect("it exists");
    let bytes = assemble(&[movdqa, address, ret()]);
    let at = bytes.len() - 1 - 8;
    let wide = widen(&bytes).expect("it is widened");
    let new = wide.address_offset(at as u32).expect("the address was found") as usize;
    assert_eq!(wide.bytes[new..new + 8], 0x1234_5678_9abcu64.to_le_bytes());
    assert_eq!(wide.address_offset(at as u32 + 1), Err(Refusal::Relocation));
}

#[test]
fn constants_are_written_twice() {
    // The constant follows the code: load, store, ret.
    let bytes = assemble(&[load(XMM0, base(RDI)), store(base(RSI), XMM0), ret()]);
    let rip = |distance: i32| {
        // vmovups xmm0, [rip + distance]
        let mut code = vec![0xc5, 0xf8, 0x10, 0x05];
        code.extend(distance.to_le_bytes());
        code.extend(&bytes[4..]);
        code
    };
    let tail = bytes.len() - 4;
    let mut code = rip(tail as i32);
    let constant: Vec<u8> = (1..=16).collect();
    code.extend(&constant);
    let wide = widen(&code).expect("it is widened");
    assert_eq!(wide.bytes.len(), 64);
    assert_eq!(wide.bytes[32..48], constant);
    assert_eq!(wide.bytes[48..], constant);
    // Outside the function, in its instructions, or written.
    let mut written = code.clone();
    written[2] = 0x11;
    assert!(matches!(widen(&written), Err(Refusal::Constant(_))));
    assert!(matches!(widen(&rip(1000)), Err(Refusal::Constant(_))));
    assert!(matches!(widen(&rip(0)), Err(Refusal::Constant(_))));
}
