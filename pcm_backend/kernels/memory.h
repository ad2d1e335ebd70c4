// Large tensors that are about to be filled for the first time.
#pragma once
#include <cstdint>
#if defined(__linux__)
#include <sys/mman.h>
#endif

// Ask for large pages: fresh memory then costs a tenth of its page faults, and is walked with fewer misses.
inline void prefer_large_pages(void *start, int64_t bytes) {
#ifdef MADV_HUGEPAGE
    const uintptr_t page = 1 << 21, a = (reinterpret_cast<uintptr_t>(start) + page - 1) & ~(page - 1);
    const uintptr_t b = (reinterpret_cast<uintptr_t>(start) + static_cast<uintptr_t>(bytes)) & ~(page - 1);
    if (b > a) madvise(reinterpret_cast<void *>(a), b - a, MADV_HUGEPAGE);
#else
    (void)start, (void)bytes;
#endif
}
