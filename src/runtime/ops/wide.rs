//! Loops of ours that the Rust compiler makes vector code of, as wide as the machine has it.

/// Runs `f`, compiled for the widest vectors of this machine: `f`, and what it calls, must be `#[inline(always)]`. Results
/// are the same bits everywhere, since no multiplication and addition is fused.
#[inline]
pub fn wide<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
        fn with_avx512<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        #[target_feature(enable = "avx2,fma")]
        fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        if avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
        {
            // SAFETY: the machine has what the function is compiled for.
            return unsafe { with_avx512(f) };
        }
        if avx2 {
            // SAFETY: as above.
            return unsafe { with_avx2(f) };
        }
    }
    f()
}
