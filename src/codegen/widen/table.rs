//! The allow-list: what each instruction does to the upper half of a register once it is widened.

use Code::*;
use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};
use rustc_hash::FxHashMap;
use std::sync::OnceLock;

/// How an instruction takes part in widened code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Works on each 128-bit half by itself; the code of its 256-bit form.
    Halves(Code),
    /// Copies a whole vector register, or moves one to or from memory; the code of its 256-bit form.
    Move(Code),
    /// Copies one element to all lanes; the code of its 256-bit form.
    Broadcast(Code),
    /// Stays as it is: it reads the lower half only, and a vector that it writes has no upper half.
    LowHalf,
    /// Touches no vector register.
    General,
    /// Ends a path, or begins another.
    Return,
    Jump,
    Branch,
    Call,
}

/// `None` for everything that is not on the list.
pub fn class_of(i: &Instruction) -> Option<Class> {
    let code = i.code();
    if let Some(wide) = halves(code) {
        return Some(Class::Halves(wide));
    }
    if let Some((_, wide)) = MOVES.iter().find(|(narrow, _)| *narrow == code) {
        return Some(Class::Move(*wide));
    }
    if let Some((_, wide)) = BROADCASTS.iter().find(|(narrow, _)| *narrow == code) {
        let from_register = i.op1_kind() == OpKind::Register;
        if code == VEX_Vmovddup_xmm_xmmm64 && from_register {
            return None;
        }
        return Some(Class::Broadcast(*wide));
    }
    if LOW_HALF.contains(&code) {
        return Some(Class::LowHalf);
    }
    match code {
        Retnq => return Some(Class::Return),
        Jmp_rel8_64 | Jmp_rel32_64 => return Some(Class::Jump),
        Call_rm64 if i.op0_kind() == OpKind::Register => return Some(Class::Call),
        _ if i.is_jcc_short_or_near() => return Some(Class::Branch),
        _ => {}
    }
    let plain = (0..i.op_count()).all(|k| match i.op_kind(k) {
        OpKind::Register => is_general(i.op_register(k)),
        _ => true,
    });
    (plain && GENERAL.contains(&i.mnemonic())).then_some(Class::General)
}

fn is_general(r: Register) -> bool {
    r.is_gpr8() || r.is_gpr32() || r.is_gpr64()
}

/// The 256-bit form of an instruction that works on each half of its registers by itself.
fn halves(code: Code) -> Option<Code> {
    static TABLE: OnceLock<FxHashMap<Code, Code>> = OnceLock::new();
    TABLE.get_or_init(|| HALVES.iter().copied().collect()).get(&code).copied()
}

/// Integer instructions, whose register operands are general registers.
const GENERAL: &[Mnemonic] = {
    use Mnemonic::*;
    &[
        Mov, Movzx, Movsx, Movsxd, Lea, Add, Sub, Imul, Mul, And, Or, Xor, Not, Neg, Inc, Dec, Shl, Shr, Sar, Rol, Ror,
        Rorx, Mulx, Shlx, Shrx, Sarx, Andn, Cmp, Test, Div, Idiv, Cdq, Cqo, Cmove, Cmovne, Cmovl, Cmovle, Cmovg,
        Cmovge, Cmovb, Cmovbe, Cmova, Cmovae, Cmovs, Cmovns, Sete, Setne, Setl, Setle, Setg, Setge, Setb, Setbe, Seta,
        Setae, Push, Pop, Nop,
    ]
};

/// Moves of whole vectors, with and without VEX (spills come without); none of the wide ones asks for alignment.
const MOVES: &[(Code, Code)] = &[
    (Movdqa_xmm_xmmm128, VEX_Vmovdqu_ymm_ymmm256),
    (Movdqa_xmmm128_xmm, VEX_Vmovdqu_ymmm256_ymm),
    (Movdqu_xmm_xmmm128, VEX_Vmovdqu_ymm_ymmm256),
    (Movdqu_xmmm128_xmm, VEX_Vmovdqu_ymmm256_ymm),
    (Movaps_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256),
    (Movups_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256),
    (Movups_xmmm128_xmm, VEX_Vmovups_ymmm256_ymm),
    (VEX_Vmovdqa_xmm_xmmm128, VEX_Vmovdqu_ymm_ymmm256),
    (VEX_Vmovdqa_xmmm128_xmm, VEX_Vmovdqu_ymmm256_ymm),
    (VEX_Vmovdqu_xmm_xmmm128, VEX_Vmovdqu_ymm_ymmm256),
    (VEX_Vmovdqu_xmmm128_xmm, VEX_Vmovdqu_ymmm256_ymm),
    (VEX_Vmovaps_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256),
    (VEX_Vmovaps_xmmm128_xmm, VEX_Vmovups_ymmm256_ymm),
    (VEX_Vmovapd_xmm_xmmm128, VEX_Vmovupd_ymm_ymmm256),
    (VEX_Vmovups_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256),
    (VEX_Vmovups_xmmm128_xmm, VEX_Vmovups_ymmm256_ymm),
    (VEX_Vmovupd_xmm_xmmm128, VEX_Vmovupd_ymm_ymmm256),
    (VEX_Vmovupd_xmmm128_xmm, VEX_Vmovupd_ymmm256_ymm),
];

const BROADCASTS: &[(Code, Code)] = &[
    // Only from memory: see `class_of`.
    (VEX_Vmovddup_xmm_xmmm64, VEX_Vbroadcastsd_ymm_m64),
    (VEX_Vbroadcastss_xmm_xmm, VEX_Vbroadcastss_ymm_xmm),
    (VEX_Vbroadcastss_xmm_m32, VEX_Vbroadcastss_ymm_m32),
    (VEX_Vpbroadcastd_xmm_xmmm32, VEX_Vpbroadcastd_ymm_xmmm32),
    (VEX_Vpbroadcastq_xmm_xmmm64, VEX_Vpbroadcastq_ymm_xmmm64),
];

/// Scalar instructions, transfers from and to general registers, and 128-bit ones whose wide forms do something else.
/// VEX-encoded ones write zeros to the upper half.
const LOW_HALF: &[Code] = &[
    VEX_Vmovss_xmm_m32,
    VEX_Vmovss_m32_xmm,
    VEX_Vmovss_xmm_xmm_xmm,
    VEX_Vmovsd_xmm_m64,
    VEX_Vmovsd_m64_xmm,
    VEX_Vmovsd_xmm_xmm_xmm,
    VEX_Vmovd_xmm_rm32,
    VEX_Vmovd_rm32_xmm,
    VEX_Vmovq_xmm_rm64,
    VEX_Vmovq_rm64_xmm,
    VEX_Vcvtss2sd_xmm_xmm_xmmm32,
    VEX_Vcvtsd2ss_xmm_xmm_xmmm64,
    VEX_Vcvtsi2sd_xmm_xmm_rm32,
    VEX_Vcvtsi2sd_xmm_xmm_rm64,
    VEX_Vcvtsi2ss_xmm_xmm_rm32,
    VEX_Vcvtsi2ss_xmm_xmm_rm64,
    VEX_Vcvtps2pd_xmm_xmmm64,
    VEX_Vcvtpd2ps_xmm_xmmm128,
    VEX_Vcvtdq2pd_xmm_xmmm64,
    VEX_Vcvttpd2dq_xmm_xmmm128,
    VEX_Vpmovsxdq_xmm_xmmm64,
    VEX_Vpmovzxdq_xmm_xmmm64,
    VEX_Vinsertps_xmm_xmm_xmmm32_imm8,
    VEX_Vpinsrd_xmm_xmm_rm32_imm8,
    VEX_Vpinsrq_xmm_xmm_rm64_imm8,
    VEX_Vpextrd_rm32_xmm_imm8,
    VEX_Vpextrq_rm64_xmm_imm8,
    VEX_Vextractps_rm32_xmm_imm8,
    VEX_Vmovlhps_xmm_xmm_xmm,
    VEX_Vmovhps_xmm_xmm_m64,
];

#[rustfmt::skip]
const HALVES: &[(Code, Code)] = &[
    // Arithmetic of floats
    (VEX_Vaddps_xmm_xmm_xmmm128, VEX_Vaddps_ymm_ymm_ymmm256),
    (VEX_Vaddpd_xmm_xmm_xmmm128, VEX_Vaddpd_ymm_ymm_ymmm256),
    (VEX_Vsubps_xmm_xmm_xmmm128, VEX_Vsubps_ymm_ymm_ymmm256),
    (VEX_Vsubpd_xmm_xmm_xmmm128, VEX_Vsubpd_ymm_ymm_ymmm256),
    (VEX_Vmulps_xmm_xmm_xmmm128, VEX_Vmulps_ymm_ymm_ymmm256),
    (VEX_Vmulpd_xmm_xmm_xmmm128, VEX_Vmulpd_ymm_ymm_ymmm256),
    (VEX_Vdivps_xmm_xmm_xmmm128, VEX_Vdivps_ymm_ymm_ymmm256),
    (VEX_Vdivpd_xmm_xmm_xmmm128, VEX_Vdivpd_ymm_ymm_ymmm256),
    (VEX_Vminps_xmm_xmm_xmmm128, VEX_Vminps_ymm_ymm_ymmm256),
    (VEX_Vminpd_xmm_xmm_xmmm128, VEX_Vminpd_ymm_ymm_ymmm256),
    (VEX_Vmaxps_xmm_xmm_xmmm128, VEX_Vmaxps_ymm_ymm_ymmm256),
    (VEX_Vmaxpd_xmm_xmm_xmmm128, VEX_Vmaxpd_ymm_ymm_ymmm256),
    // One rounding
    (VEX_Vfmadd132ps_xmm_xmm_xmmm128, VEX_Vfmadd132ps_ymm_ymm_ymmm256),
    (VEX_Vfmadd132pd_xmm_xmm_xmmm128, VEX_Vfmadd132pd_ymm_ymm_ymmm256),
    (VEX_Vfmadd213ps_xmm_xmm_xmmm128, VEX_Vfmadd213ps_ymm_ymm_ymmm256),
    (VEX_Vfmadd213pd_xmm_xmm_xmmm128, VEX_Vfmadd213pd_ymm_ymm_ymmm256),
    (VEX_Vfmadd231ps_xmm_xmm_xmmm128, VEX_Vfmadd231ps_ymm_ymm_ymmm256),
    (VEX_Vfmadd231pd_xmm_xmm_xmmm128, VEX_Vfmadd231pd_ymm_ymm_ymmm256),
    (VEX_Vfmsub132ps_xmm_xmm_xmmm128, VEX_Vfmsub132ps_ymm_ymm_ymmm256),
    (VEX_Vfmsub132pd_xmm_xmm_xmmm128, VEX_Vfmsub132pd_ymm_ymm_ymmm256),
    (VEX_Vfmsub213ps_xmm_xmm_xmmm128, VEX_Vfmsub213ps_ymm_ymm_ymmm256),
    (VEX_Vfmsub213pd_xmm_xmm_xmmm128, VEX_Vfmsub213pd_ymm_ymm_ymmm256),
    (VEX_Vfmsub231ps_xmm_xmm_xmmm128, VEX_Vfmsub231ps_ymm_ymm_ymmm256),
    (VEX_Vfmsub231pd_xmm_xmm_xmmm128, VEX_Vfmsub231pd_ymm_ymm_ymmm256),
    (VEX_Vfnmadd132ps_xmm_xmm_xmmm128, VEX_Vfnmadd132ps_ymm_ymm_ymmm256),
    (VEX_Vfnmadd132pd_xmm_xmm_xmmm128, VEX_Vfnmadd132pd_ymm_ymm_ymmm256),
    (VEX_Vfnmadd213ps_xmm_xmm_xmmm128, VEX_Vfnmadd213ps_ymm_ymm_ymmm256),
    (VEX_Vfnmadd213pd_xmm_xmm_xmmm128, VEX_Vfnmadd213pd_ymm_ymm_ymmm256),
    (VEX_Vfnmadd231ps_xmm_xmm_xmmm128, VEX_Vfnmadd231ps_ymm_ymm_ymmm256),
    (VEX_Vfnmadd231pd_xmm_xmm_xmmm128, VEX_Vfnmadd231pd_ymm_ymm_ymmm256),
    (VEX_Vfnmsub132ps_xmm_xmm_xmmm128, VEX_Vfnmsub132ps_ymm_ymm_ymmm256),
    (VEX_Vfnmsub132pd_xmm_xmm_xmmm128, VEX_Vfnmsub132pd_ymm_ymm_ymmm256),
    (VEX_Vfnmsub213ps_xmm_xmm_xmmm128, VEX_Vfnmsub213ps_ymm_ymm_ymmm256),
    (VEX_Vfnmsub213pd_xmm_xmm_xmmm128, VEX_Vfnmsub213pd_ymm_ymm_ymmm256),
    (VEX_Vfnmsub231ps_xmm_xmm_xmmm128, VEX_Vfnmsub231ps_ymm_ymm_ymmm256),
    (VEX_Vfnmsub231pd_xmm_xmm_xmmm128, VEX_Vfnmsub231pd_ymm_ymm_ymmm256),
    // Bits
    (VEX_Vandps_xmm_xmm_xmmm128, VEX_Vandps_ymm_ymm_ymmm256),
    (VEX_Vandpd_xmm_xmm_xmmm128, VEX_Vandpd_ymm_ymm_ymmm256),
    (VEX_Vandnps_xmm_xmm_xmmm128, VEX_Vandnps_ymm_ymm_ymmm256),
    (VEX_Vandnpd_xmm_xmm_xmmm128, VEX_Vandnpd_ymm_ymm_ymmm256),
    (VEX_Vorps_xmm_xmm_xmmm128, VEX_Vorps_ymm_ymm_ymmm256),
    (VEX_Vorpd_xmm_xmm_xmmm128, VEX_Vorpd_ymm_ymm_ymmm256),
    (VEX_Vxorps_xmm_xmm_xmmm128, VEX_Vxorps_ymm_ymm_ymmm256),
    (VEX_Vxorpd_xmm_xmm_xmmm128, VEX_Vxorpd_ymm_ymm_ymmm256),
    (VEX_Vpand_xmm_xmm_xmmm128, VEX_Vpand_ymm_ymm_ymmm256),
    (VEX_Vpandn_xmm_xmm_xmmm128, VEX_Vpandn_ymm_ymm_ymmm256),
    (VEX_Vpor_xmm_xmm_xmmm128, VEX_Vpor_ymm_ymm_ymmm256),
    (VEX_Vpxor_xmm_xmm_xmmm128, VEX_Vpxor_ymm_ymm_ymmm256),
    // Arithmetic and comparisons of integers
    (VEX_Vpaddb_xmm_xmm_xmmm128, VEX_Vpaddb_ymm_ymm_ymmm256),
    (VEX_Vpaddw_xmm_xmm_xmmm128, VEX_Vpaddw_ymm_ymm_ymmm256),
    (VEX_Vpaddd_xmm_xmm_xmmm128, VEX_Vpaddd_ymm_ymm_ymmm256),
    (VEX_Vpaddq_xmm_xmm_xmmm128, VEX_Vpaddq_ymm_ymm_ymmm256),
    (VEX_Vpsubb_xmm_xmm_xmmm128, VEX_Vpsubb_ymm_ymm_ymmm256),
    (VEX_Vpsubw_xmm_xmm_xmmm128, VEX_Vpsubw_ymm_ymm_ymmm256),
    (VEX_Vpsubd_xmm_xmm_xmmm128, VEX_Vpsubd_ymm_ymm_ymmm256),
    (VEX_Vpsubq_xmm_xmm_xmmm128, VEX_Vpsubq_ymm_ymm_ymmm256),
    (VEX_Vpmulld_xmm_xmm_xmmm128, VEX_Vpmulld_ymm_ymm_ymmm256),
    (VEX_Vpmuludq_xmm_xmm_xmmm128, VEX_Vpmuludq_ymm_ymm_ymmm256),
    (VEX_Vpmuldq_xmm_xmm_xmmm128, VEX_Vpmuldq_ymm_ymm_ymmm256),
    (VEX_Vpcmpeqb_xmm_xmm_xmmm128, VEX_Vpcmpeqb_ymm_ymm_ymmm256),
    (VEX_Vpcmpeqw_xmm_xmm_xmmm128, VEX_Vpcmpeqw_ymm_ymm_ymmm256),
    (VEX_Vpcmpeqd_xmm_xmm_xmmm128, VEX_Vpcmpeqd_ymm_ymm_ymmm256),
    (VEX_Vpcmpeqq_xmm_xmm_xmmm128, VEX_Vpcmpeqq_ymm_ymm_ymmm256),
    (VEX_Vpcmpgtd_xmm_xmm_xmmm128, VEX_Vpcmpgtd_ymm_ymm_ymmm256),
    (VEX_Vpcmpgtq_xmm_xmm_xmmm128, VEX_Vpcmpgtq_ymm_ymm_ymmm256),
    (VEX_Vpminsd_xmm_xmm_xmmm128, VEX_Vpminsd_ymm_ymm_ymmm256),
    (VEX_Vpmaxsd_xmm_xmm_xmmm128, VEX_Vpmaxsd_ymm_ymm_ymmm256),
    (VEX_Vpminud_xmm_xmm_xmmm128, VEX_Vpminud_ymm_ymm_ymmm256),
    (VEX_Vpmaxud_xmm_xmm_xmmm128, VEX_Vpmaxud_ymm_ymm_ymmm256),
    // Shuffles inside each half, of two operands
    (VEX_Vunpcklps_xmm_xmm_xmmm128, VEX_Vunpcklps_ymm_ymm_ymmm256),
    (VEX_Vunpckhps_xmm_xmm_xmmm128, VEX_Vunpckhps_ymm_ymm_ymmm256),
    (VEX_Vunpcklpd_xmm_xmm_xmmm128, VEX_Vunpcklpd_ymm_ymm_ymmm256),
    (VEX_Vunpckhpd_xmm_xmm_xmmm128, VEX_Vunpckhpd_ymm_ymm_ymmm256),
    (VEX_Vpunpckldq_xmm_xmm_xmmm128, VEX_Vpunpckldq_ymm_ymm_ymmm256),
    (VEX_Vpunpckhdq_xmm_xmm_xmmm128, VEX_Vpunpckhdq_ymm_ymm_ymmm256),
    (VEX_Vpunpcklqdq_xmm_xmm_xmmm128, VEX_Vpunpcklqdq_ymm_ymm_ymmm256),
    (VEX_Vpunpckhqdq_xmm_xmm_xmmm128, VEX_Vpunpckhqdq_ymm_ymm_ymmm256),
    (VEX_Vpackssdw_xmm_xmm_xmmm128, VEX_Vpackssdw_ymm_ymm_ymmm256),
    (VEX_Vpshufb_xmm_xmm_xmmm128, VEX_Vpshufb_ymm_ymm_ymmm256),
    // With an immediate
    (VEX_Vcmpps_xmm_xmm_xmmm128_imm8, VEX_Vcmpps_ymm_ymm_ymmm256_imm8),
    (VEX_Vcmppd_xmm_xmm_xmmm128_imm8, VEX_Vcmppd_ymm_ymm_ymmm256_imm8),
    (VEX_Vshufps_xmm_xmm_xmmm128_imm8, VEX_Vshufps_ymm_ymm_ymmm256_imm8),
    (VEX_Vshufpd_xmm_xmm_xmmm128_imm8, VEX_Vshufpd_ymm_ymm_ymmm256_imm8),
    (VEX_Vpalignr_xmm_xmm_xmmm128_imm8, VEX_Vpalignr_ymm_ymm_ymmm256_imm8),
    (VEX_Vpblendw_xmm_xmm_xmmm128_imm8, VEX_Vpblendw_ymm_ymm_ymmm256_imm8),
    (VEX_Vblendps_xmm_xmm_xmmm128_imm8, VEX_Vblendps_ymm_ymm_ymmm256_imm8),
    (VEX_Vblendpd_xmm_xmm_xmmm128_imm8, VEX_Vblendpd_ymm_ymm_ymmm256_imm8),
    // Blends by a mask
    (VEX_Vblendvps_xmm_xmm_xmmm128_xmm, VEX_Vblendvps_ymm_ymm_ymmm256_ymm),
    (VEX_Vblendvpd_xmm_xmm_xmmm128_xmm, VEX_Vblendvpd_ymm_ymm_ymmm256_ymm),
    (VEX_Vpblendvb_xmm_xmm_xmmm128_xmm, VEX_Vpblendvb_ymm_ymm_ymmm256_ymm),
    // Of one operand
    (VEX_Vsqrtps_xmm_xmmm128, VEX_Vsqrtps_ymm_ymmm256),
    (VEX_Vsqrtpd_xmm_xmmm128, VEX_Vsqrtpd_ymm_ymmm256),
    (VEX_Vcvtdq2ps_xmm_xmmm128, VEX_Vcvtdq2ps_ymm_ymmm256),
    (VEX_Vcvttps2dq_xmm_xmmm128, VEX_Vcvttps2dq_ymm_ymmm256),
    (VEX_Vcvtps2dq_xmm_xmmm128, VEX_Vcvtps2dq_ymm_ymmm256),
    (VEX_Vpabsd_xmm_xmmm128, VEX_Vpabsd_ymm_ymmm256),
    // Of one operand with an immediate
    (VEX_Vroundps_xmm_xmmm128_imm8, VEX_Vroundps_ymm_ymmm256_imm8),
    (VEX_Vroundpd_xmm_xmmm128_imm8, VEX_Vroundpd_ymm_ymmm256_imm8),
    (VEX_Vpshufd_xmm_xmmm128_imm8, VEX_Vpshufd_ymm_ymmm256_imm8),
    (VEX_Vpermilps_xmm_xmmm128_imm8, VEX_Vpermilps_ymm_ymmm256_imm8),
    // Shifts by an immediate
    (VEX_Vpslld_xmm_xmm_imm8, VEX_Vpslld_ymm_ymm_imm8),
    (VEX_Vpsllq_xmm_xmm_imm8, VEX_Vpsllq_ymm_ymm_imm8),
    (VEX_Vpsrld_xmm_xmm_imm8, VEX_Vpsrld_ymm_ymm_imm8),
    (VEX_Vpsrlq_xmm_xmm_imm8, VEX_Vpsrlq_ymm_ymm_imm8),
    (VEX_Vpsrad_xmm_xmm_imm8, VEX_Vpsrad_ymm_ymm_imm8),
    (VEX_Vpsrldq_xmm_xmm_imm8, VEX_Vpsrldq_ymm_ymm_imm8),
    (VEX_Vpslldq_xmm_xmm_imm8, VEX_Vpslldq_ymm_ymm_imm8),
];
