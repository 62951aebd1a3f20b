// Runs CUDA kernels on the CPU, one thread of a block after the other, for tests of their arithmetic.
//
// A thread is a fiber that goes on until it waits for others: at __syncthreads for its block, at a warp function for
// its warp. Where threads wait for each other for ever, the process says so and stops.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <tuple>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __noinline__
#define __launch_bounds__(n)
#define __shared__ static

struct Index {
  int x, y, z;
};

namespace emulator {

const size_t STACK = 1 << 17;
struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  Index thread, block;
  bool ended = false;
  int warp_waits = 0, block_waits = 0;  // how often it has waited for its warp, and for its block
};
std::vector<Fiber> fibers;  // of all thread blocks of an image, block after block
int threads;                // of a thread block
ucontext_t scheduler;
int now;
void (*body)(void*);
void* arguments;
unsigned long long exchange[2][4096];  // a double buffer: the next exchange may begin before all have read

bool others_arrived(bool block) {
  int first = block ? now / threads * threads : now / 32 * 32, last = first + (block ? threads : 32);
  for (int k = first; k < last; k++) {
    const Fiber& one = fibers[k];
    int theirs = block ? one.block_waits : one.warp_waits, mine = block ? fibers[now].block_waits : fibers[now].warp_waits;
    if (!one.ended && theirs < mine) return false;
  }
  return true;
}

void wait(bool block) {
  block ? fibers[now].block_waits++ : fibers[now].warp_waits++;
  for (int patience = 0; !others_arrived(block); patience++) {
    if (patience > 1000000) fprintf(stderr, "threads wait for each other\n"), abort();
    int me = now;
    swapcontext(&fibers[me].context, &scheduler);
  }
}

void start() {
  body(arguments);
  fibers[now].ended = true;
  swapcontext(&fibers[now].context, &scheduler);
}

template <class T>
T swap(T value, int from) {
  int turn = fibers[now].warp_waits % 2, base = now / 32 * 32;
  memcpy(&exchange[turn][now], &value, sizeof value);
  wait(false);
  T found;
  memcpy(&found, &exchange[turn][base + from], sizeof found);
  return found;
}

}  // namespace emulator

Index blockDim, gridDim;
#define threadIdx (emulator::fibers[emulator::now].thread)
#define blockIdx (emulator::fibers[emulator::now].block)
std::vector<std::vector<double>> shared_memory;  // of each thread block
#define shared_memory_of_block (shared_memory[emulator::now / emulator::threads].data())

void __syncthreads() { emulator::wait(true); }
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulator::swap(value, emulator::now % 32 ^ mask);
}
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return emulator::swap(value, lane);
}
unsigned __ballot_sync(unsigned, bool value) {
  unsigned mask = 0;
  int turn = emulator::fibers[emulator::now].warp_waits % 2, base = emulator::now / 32 * 32;
  emulator::exchange[turn][emulator::now] = value;
  emulator::wait(false);
  for (int lane = 0; lane < 32; lane++) mask |= (unsigned)(emulator::exchange[turn][base + lane] & 1) << lane;
  return mask;
}
int __popc(unsigned x) { return __builtin_popcount(x); }
float __int_as_float(int x) {
  float f;
  memcpy(&f, &x, sizeof f);
  return f;
}
long long __double_as_longlong(double x) {
  long long i;
  memcpy(&i, &x, sizeof i);
  return i;
}
void __threadfence() {}
void __nanosleep(unsigned) {
  int me = emulator::now;
  swapcontext(&emulator::fibers[me].context, &emulator::scheduler);
}
template <class T>
T __ldcg(const T* place) {
  return *place;
}
unsigned long long atomicMax(unsigned long long* place, unsigned long long value) {
  unsigned long long before = *place;
  if (value > before) *place = value;
  return before;
}
template <class T>
T atomicAdd(T* place, T value) {
  T before = *place;
  *place += value;
  return before;
}
using std::isfinite;
using std::isinf;
int min(int a, int b) { return a < b ? a : b; }

template <class... A, size_t... I>
void call(void (*kernel)(A...), void** addresses, std::index_sequence<I...>) {
  kernel(*(A*)addresses[I]...);
}
template <class... A>
void run(void (*kernel)(A...), int across, int down, int threads, void** addresses, bool together) {
  using Call = std::pair<void (*)(A...), void**>;
  Call all(kernel, addresses);
  emulator::body = [](void* p) { call(((Call*)p)->first, ((Call*)p)->second, std::index_sequence_for<A...>()); };
  emulator::arguments = &all;
  blockDim = {threads, 1, 1};
  gridDim = {across, down, 1};
  emulator::threads = threads;
  int beside = together ? across : 1, all_threads = beside * threads;  // thread blocks wait for those beside them only
  for (int group = 0; group < across * down / beside; group++) {
    double nan = NAN;  // nobody may read what nobody wrote
    shared_memory.assign(beside, std::vector<double>(8192, nan));
    emulator::fibers.assign(all_threads, emulator::Fiber());
    for (int k = 0; k < all_threads; k++) {
      emulator::Fiber& one = emulator::fibers[k];
      one.thread = {k % threads, 0, 0};
      int number = group * beside + k / threads;
      one.block = {number % across, number / across, 0};
      one.stack.resize(emulator::STACK);
      getcontext(&one.context);
      one.context.uc_stack.ss_sp = one.stack.data();
      one.context.uc_stack.ss_size = emulator::STACK;
      one.context.uc_link = &emulator::scheduler;
      makecontext(&one.context, emulator::start, 0);
    }
    for (bool left = true; left;) {
      left = false;
      for (int k = 0; k < all_threads; k++)
        if (!emulator::fibers[k].ended) {
          left = true;
          emulator::now = k;
          swapcontext(&emulator::scheduler, &emulator::fibers[k].context);
        }
    }
  }
}
