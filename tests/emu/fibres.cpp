/* Fibres, barriers and exchanges: one block of CUDA threads on one thread of the processor. */
#include "fibres.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <sys/mman.h>

#if defined __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#define STACK ((size_t)128 << 10)
#else
#define STACK ((size_t)32 << 10)
#endif
#if !defined __x86_64__
#include <ucontext.h>
#endif

#define WARP 32u
/* Neighbouring stacks a little apart from a power of two, or all of them meet in one set of the
 * cache. */
#define STRIDE (STACK + 4096 + 320)

namespace
{

/* What a fibre waits for. */
enum class state { ready, barrier, grid, exchange, done };

struct place {
    const char *file;
    int line;
};

/* A block that runs. */
struct resident {
    unsigned char *shared;
    int any, gathered; /* of __syncthreads_or: of the barrier before, and of the one to come */
    unsigned long epoch;
};

struct fibre : emu_thread {
    unsigned home; /* index of its block among those that run */
    state what;
    place where;
    unsigned mask;  /* of the exchange */
    uint64_t value; /* it brings, then gets */
    unsigned from;  /* the lane whose value it gets */
    bool started;
#if defined __x86_64__
    void *stack;
#else
    ucontext_t context;
#endif
    void *shadow;                   /* of AddressSanitizer */
    std::vector<uint64_t> shown[2]; /* to the lanes of the warp */
    bool last;                      /* which of them */
};

std::vector<resident> blocks;
std::vector<fibre> fibres; /* block after block */
std::vector<unsigned> turn;
unsigned char *stacks;
size_t stacks_size;
const std::function<void()> *body;
const char *kernel_name;
unsigned long barriers; /* so far */
enum emu_order order = EMU_FORWARD;
uint64_t random_state = 1;
char fault[512];

uint64_t next_random()
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

fibre *now()
{
    return static_cast<fibre *>(emu_now);
}

/* ---- switching ---- */

#if defined __x86_64__
void *scheduler;
extern "C" __attribute__((visibility("hidden"))) void emu_switch(void **from, void *to);
asm(".text\n.globl emu_switch\n.hidden emu_switch\n.type emu_switch, @function\n"
    "emu_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
    ".size emu_switch, . - emu_switch\n");
#else
ucontext_t scheduler;
#endif

#if defined __SANITIZE_ADDRESS__
const void *host_stack;
size_t host_size;
#endif

unsigned char *stack_of(const fibre *f)
{
    return stacks + (size_t)(f - fibres.data()) * STRIDE;
}

void to_scheduler(fibre *f)
{
#if defined __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(f->what == state::done ? nullptr : &f->shadow, host_stack,
                                   host_size);
#endif
#if defined __x86_64__
    emu_switch(&f->stack, scheduler);
#else
    swapcontext(&f->context, &scheduler);
#endif
#if defined __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(f->shadow, nullptr, nullptr);
#endif
}

void main_of_fibre()
{
#if defined __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &host_stack, &host_size);
#endif
    (*body)();
    now()->what = state::done;
    to_scheduler(now());
    abort(); /* nobody resumes it */
}

void prepare(fibre *f)
{
    f->started = true;
#if defined __x86_64__
    uintptr_t top = (uintptr_t)(stack_of(f) + STACK) & ~(uintptr_t)15;
    void **sp = (void **)top - 1; /* as after a call: 8 below a multiple of 16 */
    *--sp = (void *)main_of_fibre;
    for (int i = 0; i < 6; i++)
        *--sp = nullptr;
    f->stack = sp;
#else
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack_of(f);
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = nullptr;
    makecontext(&f->context, main_of_fibre, 0);
#endif
}

void resume(fibre *f)
{
    if (!f->started)
        prepare(f);
    emu_now = f;
    emu_shared = blocks[f->home].shared;
    emu_epoch = blocks[f->home].epoch;
    emu_resident = f->home;
#if defined __SANITIZE_ADDRESS__
    void *shadow;
    __sanitizer_start_switch_fiber(&shadow, stack_of(f), STACK);
#endif
#if defined __x86_64__
    emu_switch(&scheduler, f->stack);
#else
    swapcontext(&scheduler, &f->context);
#endif
#if defined __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(shadow, nullptr, nullptr);
#endif
}

/* ---- who may go on ---- */

bool same_place(const fibre &a, const fibre &b)
{
    return a.where.line == b.where.line && strcmp(a.where.file, b.where.file) == 0;
}

/* All threads from `first` to before `end` wait for that, at one place: go on. True when they
 * do. */
bool release(fibre *first, fibre *end, state what)
{
    for (const fibre *f = first; f < end; f++)
        if (f->what != what)
            return false;
    for (const fibre *f = first; f < end; f++)
        if (!same_place(*f, *first)) {
            emu_fault("divergent barrier: thread %u waits at %s:%d, thread %u at %s:%d", f->index,
                      f->where.file, f->where.line, first->index, first->where.file,
                      first->where.line);
            return false;
        }
    for (fibre *f = first; f < end; f++)
        f->what = state::ready;
    return true;
}

/* True when somebody was released. */
bool release_barriers()
{
    size_t threads = fibres.size() / blocks.size();
    bool whole = release(fibres.data(), fibres.data() + fibres.size(), state::grid), some = whole;

    for (size_t i = 0; i < blocks.size(); i++) {
        fibre *first = &fibres[i * threads];
        bool released = release(first, first + threads, state::barrier);
        if (released) {
            blocks[i].any = blocks[i].gathered;
            blocks[i].gathered = 0;
        }
        if (released || whole)
            blocks[i].epoch = ++barriers;
        emu_counters.barriers += released;
        some |= released;
    }
    emu_counters.barriers += whole;
    return some;
}

/* The lanes that `f` waits for are there: exchange. */
bool release_exchange(fibre *f)
{
    fibre *warp = f - f->lane;
    size_t left = fibres.size() / blocks.size() - f->warp * WARP;
    uint64_t values[WARP] = {};

    for (unsigned lane = 0; lane < WARP; lane++) {
        if (!(f->mask >> lane & 1))
            continue;
        if (lane >= left || warp[lane].what != state::exchange || !same_place(warp[lane], *f) ||
            warp[lane].mask != f->mask)
            return false;
        values[lane] = warp[lane].value;
    }
    for (unsigned lane = 0; lane < WARP; lane++) {
        if (!(f->mask >> lane & 1))
            continue;
        unsigned from = warp[lane].from % WARP;
        if (!(f->mask >> from & 1))
            emu_fault("%s:%d: lane %u reads lane %u, which is not in mask %#x", f->where.file,
                      f->where.line, lane, from, f->mask);
        warp[lane].value = values[from];
        warp[lane].what = state::ready;
    }
    return true;
}

void say_deadlock()
{
    const char *const words[] = {"could run", "waits at a barrier", "waits for the whole grid",
                                 "waits for its warp", "has ended"};
    const fibre *first = nullptr, *other = nullptr;

    for (const fibre &f : fibres) {
        if (!first && f.what != state::done)
            first = &f;
        if (first && !other && (f.what != first->what || !same_place(f, *first)))
            other = &f;
    }
    for (const fibre &f : fibres)
        if (first && !other && f.what == state::done)
            other = &f;
    emu_fault("deadlock: thread %u %s at %s:%d, thread %u %s", first->index,
              words[(int)first->what], first->where.file, first->where.line,
              other ? other->index : first->index, words[(int)(other ? other : first)->what]);
}

/* One turn for everybody who can run. */
bool run_round()
{
    bool ran = false;

    if (order == EMU_RANDOM)
        for (size_t i = turn.size() - 1; i > 0; i--)
            std::swap(turn[i], turn[next_random() % (i + 1)]);
    for (unsigned i : turn) {
        fibre *f = &fibres[i];
        if (f->what == state::exchange)
            release_exchange(f);
        if (f->what != state::ready)
            continue;
        ran = true;
        resume(f);
    }
    return ran;
}

dim3 block_at(dim3 grid, size_t i)
{
    return dim3((unsigned)(i % grid.x), (unsigned)(i / grid.x % grid.y),
                (unsigned)(i / grid.x / grid.y));
}

/* Blocks first, first + 1 .. of the grid, as many as `blocks` has. */
void run_blocks(dim3 grid, size_t first, dim3 block)
{
    size_t n = fibres.size(), threads = n / blocks.size(), done = 0;

    for (size_t i = 0; i < n; i++) {
        fibre &f = fibres[i];
        size_t t = i % threads;
        f.thread = dim3((unsigned)t % block.x, (unsigned)t / block.x % block.y,
                        (unsigned)t / block.x / block.y);
        f.home = (unsigned)(i / threads);
        f.block = block_at(grid, first + f.home);
        f.index = (unsigned)t;
        f.warp = (unsigned)t / WARP;
        f.lane = (unsigned)t % WARP;
        f.syncs = 0;
        f.what = state::ready;
        f.where = {"", 0};
        f.started = false;
        f.last = false;
        f.copies.clear();
        f.groups.clear();
        turn[i] = (unsigned)(order == EMU_BACKWARD ? n - 1 - i : i);
    }
    while (!emu_faulted()) {
        bool ran = run_round();
        done = 0;
        for (const fibre &f : fibres)
            done += f.what == state::done;
        if (done == n) {
            for (const fibre &f : fibres)
                if (!f.copies.empty())
                    emu_fault("thread %u ends and has not waited for its copies", f.index);
            return;
        }
        if (!release_barriers() && !ran && !emu_faulted())
            say_deadlock();
    }
}

void make_stacks(size_t n)
{
    fibres.resize(n);
    turn.resize(n);
    if (n * STRIDE <= stacks_size)
        return;
    if (stacks)
        munmap(stacks, stacks_size);
    stacks_size = n * STRIDE;
    void *memory = mmap(nullptr, stacks_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("emulation: stacks of fibres");
        abort();
    }
    stacks = (unsigned char *)memory;
}

} // namespace

/* ---- what kernels see ---- */

emu_thread *emu_now;
dim3 emu_block_dim, emu_grid_dim;
unsigned char *emu_shared;
size_t emu_shared_bytes;
unsigned emu_resident;
unsigned long emu_epoch;

void emu_barrier(const char *file, int line)
{
    now()->what = state::barrier;
    now()->where = {file, line};
    to_scheduler(now());
}

int emu_barrier_or(int value, const char *file, int line)
{
    blocks[now()->home].gathered |= value != 0;
    emu_barrier(file, line);
    return blocks[now()->home].any;
}

void emu_grid_barrier(const char *file, int line)
{
    if (blocks.size() != (size_t)emu_grid_dim.x * emu_grid_dim.y * emu_grid_dim.z)
        emu_fault("%s:%d: a barrier of the grid in a launch that is not cooperative", file, line);
    now()->what = state::grid;
    now()->where = {file, line};
    to_scheduler(now());
}

uint64_t emu_exchange(unsigned mask, uint64_t value, unsigned from, const char *file, int line)
{
    fibre *f = now();

    f->what = state::exchange;
    f->where = {file, line};
    f->mask = mask;
    f->value = value;
    f->from = from;
    if (!(mask >> f->lane & 1))
        emu_fault("%s:%d: lane %u is not in mask %#x, which it gives itself", file, line, f->lane,
                  mask);
    else if (release_exchange(f)) /* the last one to come need not give up its turn */
        return f->value;
    to_scheduler(f);
    return f->value;
}

/* Lanes show each other where what they brought is: it lies still until the next exchange but one,
 * since a lane comes to that only when all have left this one. */
void emu_gather(const void *mine, size_t bytes, const void *all[], const char *file, int line)
{
    fibre *f = now(), *warp = &fibres[f->warp * WARP];

    f->last = !f->last;
    f->shown[f->last].resize((bytes + 7) / 8);
    memcpy(f->shown[f->last].data(), mine, bytes);
    emu_exchange(~0u, 0, f->lane, file, line);
    for (unsigned lane = 0; lane < WARP; lane++)
        all[lane] = warp[lane].shown[f->last].data();
}

void emu_run(const char *kernel, dim3 grid, dim3 block, size_t shared,
             const std::function<void()> &code, bool together)
{
    size_t all = (size_t)grid.x * grid.y * grid.z, at_once = together ? all : 1;

    body = &code;
    kernel_name = kernel;
    emu_block_dim = block;
    emu_grid_dim = grid;
    blocks.resize(at_once);
    make_stacks(at_once * block.x * block.y * block.z);
    for (resident &b : blocks)
        b.shared = emu_guarded_new(shared);
    for (size_t i = 0; i < all && !emu_faulted(); i += at_once) {
        for (resident &b : blocks) {
            emu_guarded_poison(b.shared, shared);
            b.any = b.gathered = 0;
            b.epoch = ++barriers;
        }
        emu_shared = blocks[0].shared; /* not that of a launch before, whose place is others' now */
        emu_shared_bytes = shared;
        run_blocks(grid, order == EMU_BACKWARD ? all - at_once - i : i, block);
        emu_shared_bytes = 0;
        for (const resident &b : blocks)
            if (!emu_guarded_intact(b.shared, shared))
                emu_fault("a write outside of the %zu bytes of shared memory", shared);
    }
    for (const resident &b : blocks)
        emu_guarded_delete(b.shared, shared);
}

/* ---- control ---- */

void emu_fault(const char *format, ...)
{
    va_list args;
    char text[400];

    if (fault[0])
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(fault, sizeof fault, "%s: %s", kernel_name ? kernel_name : "host", text);
}

bool emu_faulted()
{
    return fault[0] != 0;
}

const char *emu_fault_text(void)
{
    return fault;
}

void emu_forget_fault(void)
{
    fault[0] = 0;
}

void emu_set_order(enum emu_order which, unsigned seed)
{
    order = which;
    random_state = 0x9e3779b97f4a7c15u ^ seed;
}
