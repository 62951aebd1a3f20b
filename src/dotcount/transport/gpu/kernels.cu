// The dual on neighbouring pairs: which pairs, Newton's method, and what a certificate needs.
//
// The same as ascent.py, dual.py and kernels/ do with tensors and with compiled loops; comments there say why. A warp
// works on a block of K cells and its list of dots, a lane on every 32nd dot. Pairs are float32; all sums over cells
// and dots, potentials and masses are float64.
//
// An image has one thread block or several. Each of these goes over its share of the cells; what the dots get is added
// up in memory that all see, and then all go over all dots, each for itself. They add up the same numbers in the same
// order, so that they take the same decisions.

#define ALL 0xffffffffu

typedef unsigned char u8;
typedef unsigned short u16;

// Set by driver.py, from what the other routes use: K, SIDE, TILE, the costs and penalties by number, LOWEST, TINY, LARGEST,
// FLOOR, UNDERFLOW, SAFE_SPREAD, FORCING, NEAR, SUFFICIENT, SHRINK, SHORT, CG_STEPS, TRIALS; NUMBERS, SHIFT.

// ---------------------------------------------------------------------------------------------- small parts

__device__ float infinity32() { return __int_as_float(0x7f800000); }
__device__ double infinity64() { return (double)infinity32(); }

__device__ float ground_cost(int kind, float dx, float dy) {
  if (kind == L1) return fabsf(dx) + fabsf(dy);
  float squared = dx * dx + dy * dy;
  return kind == SQL2 ? squared : sqrtf(squared);
}

// What numbers are put together by: their sum, or the largest; ``none`` changes nothing.
struct Add {
  template <class T>
  static __device__ T of(T a, T b) { return a + b; }
  static __device__ double none() { return 0.0; }
};
struct Max {
  static __device__ float of(float a, float b) { return fmaxf(a, b); }
  static __device__ double of(double a, double b) { return fmax(a, b); }
  static __device__ double none() { return -infinity64(); }
};

// Over the lanes, of v[i] for each of the K cells; lane l gets that of cell l % K.
template <class Op>
__device__ float over_cells(float (&v)[K], int lane) {
#pragma unroll
  for (int half = K / 2; half; half >>= 1) {
    bool upper = lane & half;
#pragma unroll
    for (int i = 0; i < half; i++) {
      float give = upper ? v[i] : v[i + half], keep = upper ? v[i + half] : v[i];
      v[i] = Op::of(keep, __shfl_xor_sync(ALL, give, half));
    }
  }
  return Op::of(v[0], __shfl_xor_sync(ALL, v[0], K));
}

// Over the lanes of a warp, for every lane.
template <class Op, class T>
__device__ T over_warp(T x) {
  for (int half = 16; half; half >>= 1) x = Op::of(x, __shfl_xor_sync(ALL, x, half));
  return x;
}

// Over the thread block, for every thread; room holds 33 numbers.
template <class Op>
__device__ double over_block(double x, double* room) {
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
  x = over_warp<Op>(x);
  __syncthreads();
  if (lane == 0) room[warp] = x;
  __syncthreads();
  if (warp == 0) {
    double all = over_warp<Op>(lane < warps ? room[lane] : Op::none());
    if (lane == 0) room[32] = all;
  }
  __syncthreads();
  return room[32];
}

__device__ double block_sum(double x, double* room) { return over_block<Add>(x, room); }
__device__ double block_max(double x, double* room) { return over_block<Max>(x, room); }

// rho phi*(z / rho) and its slope.
__device__ double conjugate(int kind, double rho, double z, double* slope) {
  if (kind == EQUALITY) {
    *slope = 1.0;
    return z;
  }
  if (kind == KL) {
    double excess = expm1(z / rho);
    *slope = excess > -0.5 ? excess + 1.0 : exp(z / rho);
    return rho * excess;
  }
  z = fmax(z, -2.0 * rho);
  *slope = fmax(1.0 + z / (2.0 * rho), 0.0);
  return z * z / (4.0 * rho) + z;
}

__device__ double curvature_of(int kind, double rho, double z) {
  if (kind == EQUALITY) return 0.0;
  if (kind == KL) return exp(z / rho) / rho;
  return z > -2.0 * rho ? 1.0 / (2.0 * rho) : 0.0;
}

// rho phi(ratio) + rho phi*(z / rho) - z ratio.
__device__ double fenchel_young(int kind, double rho, double ratio, double z) {
  if (kind == QUADRATIC) {
    if (z < -2.0 * rho) return ratio * (rho * ratio - 2.0 * rho - z);
    double off = ratio - 1.0 - z / (2.0 * rho);
    return rho * off * off;
  }
  double target = exp(z / rho);
  if (ratio <= 0.0) return rho * target;
  double excess = (target - ratio) / ratio;
  double off = fabs(excess) < 0.5 ? ratio * (excess - log1p(excess)) : target - ratio + ratio * (log(ratio) - z / rho);
  return off < 0.0 ? 0.0 : rho * off;  // what is not a number stays so, where fmax would make it 0
}

// The bound of rescaling.py on what it costs to pay a dot exactly.
__device__ double rescaling_gap(double v, double gamma, double a, double b) {
  double paid = fmax(gamma, TINY), excess = (paid - v) / v;
  double entropy = excess - (fabs(excess) < 0.5 ? log1p(excess) : log(paid / v));
  return a * v * entropy + b * (v - paid) * (v - paid) / paid;
}

// ---------------------------------------------------------------------------------------------- the pairs

// For every block the dots that can matter to one of its cells; grid (groups of blocks, images). See neighbours.py.
extern "C" __global__ void __launch_bounds__(512) choose_pairs(
    const int* layout, const double* units, const double* dots, const double* beta, const int* n_dots, const u8* active,
    int width, int capacity, int cost, double epsilon, double cutoff, double slack_share, u16* lists, int* counts,
    double* log_dropped, u8* listed) {
  int image = blockIdx.y, lane = threadIdx.x % 32;
  const int* own = layout + 4 * image;
  int rows = own[0], columns = own[1], across = own[2], begin = own[3], end = own[7];
  int b = begin + blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (b >= end) return;
  int m = active[image] ? n_dots[image] : 0;
  double unit = units[image];
  int x = (b - begin) % across * SIDE, y = (b - begin) / across * SIDE;
  double half_x = 0.5 * (min(SIDE, columns - x) - 1) * unit, half_y = 0.5 * (min(SIDE, rows - y) - 1) * unit;
  double middle_x = (x + 0.5) * unit + half_x, middle_y = (y + 0.5) * unit + half_y;
  const double* place = dots + 2 * (long long)image * width;
  const double* potential = beta + (long long)image * width;
  bool every = isinf(cutoff);
  float guaranteed = -infinity32(), largest = 0.0f;
  for (int j = lane; j < m && !every; j += 32) {
    double right = fabs(place[2 * j] - middle_x), down = fabs(place[2 * j + 1] - middle_y);
    float far = ground_cost(cost, (float)(right + half_x), (float)(down + half_y));
    guaranteed = fmaxf(guaranteed, (float)potential[j] - far);
    largest = fmaxf(largest, fmaxf(far, fabsf((float)potential[j])));
  }
  guaranteed = over_warp<Max>(guaranteed);
  largest = over_warp<Max>(largest);
  float least = guaranteed - (float)cutoff, inverse = (float)(1.0 / epsilon);
  int count = 0;
  double left_out = 0.0;
  u16* list = lists + (long long)b * capacity;
  for (int first = 0; first < m; first += 32) {
    int j = first + lane;
    bool keep = j < m;
    if (keep && !every) {
      double right = fabs(place[2 * j] - middle_x), down = fabs(place[2 * j + 1] - middle_y);
      float near = ground_cost(cost, fmaxf((float)(right - half_x), 0.0f), fmaxf((float)(down - half_y), 0.0f));
      float score = (float)potential[j] - near;
      keep = score >= least;
      if (!keep) left_out += (double)expf(fmaxf((score - guaranteed) * inverse, (float)UNDERFLOW));
    }
    unsigned mask = __ballot_sync(ALL, keep);
    if (keep) {
      list[count + __popc(mask & ((1u << lane) - 1u))] = (u16)j;
      listed[(long long)image * width + j] = 1;
    }
    count += __popc(mask);
  }
  left_out = over_warp<Add>(left_out);
  if (lane == 0) {
    counts[b] = count;
    double slack = slack_share * (double)largest;
    log_dropped[b] = left_out > 0.0 ? log(left_out) + ((double)guaranteed + slack) / epsilon : -infinity64();
  }
}

// A dot that is on no list gets a place on that of the nearest block, so that it can be paid at all; grid (1, images).
extern "C" __global__ void __launch_bounds__(512) place_unlisted(
    const int* layout, const double* units, const double* dots, const int* n_dots, const u8* active, int width,
    int capacity, const u8* listed, u16* lists, int* counts) {
  int image = blockIdx.y;
  if (!active[image]) return;
  const int* own = layout + 4 * image;
  int rows = own[0], across = own[2], begin = own[3];
  double side = units[image] * SIDE;
  for (int j = threadIdx.x; j < n_dots[image]; j += blockDim.x) {
    long long o = (long long)image * width + j;
    if (listed[o]) continue;
    double column = fmin(fmax(floor(dots[2 * o] / side), 0.0), (double)(across - 1));
    double row = fmin(fmax(floor(dots[2 * o + 1] / side), 0.0), (double)((rows + SIDE - 1) / SIDE - 1));
    int b = begin + (int)row * across + (int)column;
    lists[(long long)b * capacity + atomicAdd(&counts[b], 1)] = (u16)j;
  }
}

// ---------------------------------------------------------------------------------------------- the dual at a point

struct Image {
  // Where the image's blocks, dots and pairs are, and the terms of the objective.
  int begin, end, width, capacity, cost, pixel, dot;
  double unit, pixel_rho, dot_rho, epsilon;
  const double *corner, *mass, *dots, *weights;  // corner, mass of all blocks; dots and weights of the image
  const u16* lists;
  const int* counts;
  const long long* first_tile;
  float* plans;
  double *alpha, *total, *q;      // cells of all blocks
  double *beta, *gamma, *wanted;  // dots of the image
};

// What the thread blocks of an image exchange. There are three slots in turn: while one is filled, the next is emptied,
// and the one before may still be read.
#define SLOTS 3
#define SUMS 4
struct Exchange {
  int part, parts, turn, width;
  long long stride;  // from one slot to the next, in dots of all images; sums have SUMS of each image
  int images;
  double *gamma, *sums;
  float* applied;
  int* arrived;
};

__device__ double* gamma_slot(const Exchange& e) { return e.gamma + e.turn % SLOTS * e.stride; }
__device__ float* applied_slot(const Exchange& e) { return e.applied + e.turn % SLOTS * e.stride; }
__device__ double* sums_slot(const Exchange& e) { return e.sums + (long long)(e.turn % SLOTS) * e.images * SUMS; }

// Empty the next slot, wait for the other thread blocks of the image; afterwards the current slot holds the sums.
__device__ void meet(Exchange& e) {
  long long next = (e.turn + 1) % SLOTS * e.stride;
  for (int j = e.part * blockDim.x + threadIdx.x; j < e.width; j += e.parts * blockDim.x)
    e.gamma[next + j] = 0.0, e.applied[next + j] = 0.0f;
  if (e.part == 0 && threadIdx.x < SUMS) e.sums[(long long)((e.turn + 1) % SLOTS) * e.images * SUMS + threadIdx.x] = 0.0;
  __syncthreads();
  if (e.parts > 1) {
    if (threadIdx.x == 0) {
      __threadfence();
      atomicAdd(e.arrived, 1);
      while (*(volatile int*)e.arrived < (e.turn + 1) * e.parts) __nanosleep(32);
      __threadfence();
    }
    __syncthreads();
  }
}

__device__ void raise(double* place, double x) {  // to x, which is not negative
  atomicMax((unsigned long long*)place, (unsigned long long)__double_as_longlong(x));
}

// Pairs, alpha, total and q of one block at beta; what its dots receive is added to gamma. Returns this lane's part of
// sum u phi*(-alpha), adds its part of sum q to ``moved``, and raises ``steepest``, the largest q / u.
__device__ double evaluate_block(
    const Image& at, double* gamma, int b, int lane, double* steepest, double* moved) {
  int n = at.counts[b], cell = lane % K;
  const u16* list = at.lists + (long long)b * at.capacity;
  float* plans = at.plans + at.first_tile[b] * (K * TILE);
  double x0 = at.corner[2 * b], y0 = at.corner[2 * b + 1], anchor = n ? at.beta[list[0]] : 0.0;
  float unit = (float)at.unit, inverse = (float)(1.0 / at.epsilon);
  // Within a block scores of a norm differ little: then one reference serves all its cells.
  float spread = at.cost == L1 ? 2.0f : 1.41421357f;
  bool one = at.cost != SQL2 && spread * (SIDE - 1) * unit * inverse <= (float)SAFE_SPREAD;
  float top[K], sum[K], best = -infinity32();
#pragma unroll
  for (int i = 0; i < K; i++) top[i] = -infinity32(), sum[i] = 0.0f;
  for (int e = lane; e < n; e += 32) {
    int j = list[e];
    float dx = (float)(at.dots[2 * j] - x0), dy = (float)(at.dots[2 * j + 1] - y0);
    float score = (float)((at.beta[j] - anchor) / at.epsilon);
    if (one) {
      float side = (SIDE - 1) * unit;
      float near_x = fmaxf(fmaxf(dx - side, -dx), 0.0f), near_y = fmaxf(fmaxf(dy - side, -dy), 0.0f);
      best = fmaxf(best, score - ground_cost(at.cost, near_x, near_y) * inverse);
      continue;
    }
#pragma unroll
    for (int i = 0; i < K; i++)
      top[i] = fmaxf(top[i], score - ground_cost(at.cost, dx - (i % SIDE) * unit, dy - (i / SIDE) * unit) * inverse);
  }
  float own_top;
  if (one) {
    own_top = over_warp<Max>(best);
    if (!(own_top > -infinity32())) own_top = 0.0f;
#pragma unroll
    for (int i = 0; i < K; i++) top[i] = own_top;
  } else {
    own_top = over_cells<Max>(top, lane);
    if (!(own_top > -infinity32())) own_top = 0.0f;
#pragma unroll
    for (int i = 0; i < K; i++) top[i] = __shfl_sync(ALL, own_top, i);
  }
  for (int e = lane; e < (n + TILE - 1) / TILE * TILE; e += 32) {
    float* plan = plans + (e / TILE) * (K * TILE) + lane;
    if (e >= n) {
#pragma unroll
      for (int i = 0; i < K; i++) plan[i * TILE] = 0.0f;
      continue;
    }
    int j = list[e];
    float dx = (float)(at.dots[2 * j] - x0), dy = (float)(at.dots[2 * j + 1] - y0);
    float score = (float)((at.beta[j] - anchor) / at.epsilon);
#pragma unroll
    for (int i = 0; i < K; i++) {
      float c = ground_cost(at.cost, dx - (i % SIDE) * unit, dy - (i / SIDE) * unit);
      float share = expf(fmaxf((score - top[i]) - c * inverse, (float)FLOOR));
      plan[i * TILE] = share;
      sum[i] += share;
    }
  }
  double total = (double)over_cells<Add>(sum, lane), mass = at.mass[K * b + cell], slope = 0.0, price = 0.0, sent = 0.0;
  double z = total > 0.0 ? anchor + at.epsilon * (double)own_top + at.epsilon * log(total) : -infinity64();
  if (total <= 0.0) total = 1.0;
  if (mass > 0.0) {
    price = conjugate(at.pixel, at.pixel_rho, z, &slope);
    sent = mass * slope;
    *steepest = fmax(*steepest, slope);
  }
  float w = (float)(sent / total);
  if (lane < K) {
    long long o = (long long)K * b + lane;
    at.alpha[o] = -z, at.q[o] = sent, at.total[o] = total;
    *moved += sent;
  }
  float weight[K];
  bool used = __ballot_sync(ALL, w != 0.0f) != 0u;
#pragma unroll
  for (int i = 0; i < K; i++) weight[i] = __shfl_sync(ALL, w, i);
  if (used)
    for (int e = lane; e < n; e += 32) {
      const float* plan = plans + (e / TILE) * (K * TILE) + lane;
      float column = 0.0f;
#pragma unroll
      for (int i = 0; i < K; i++) column += weight[i] * plan[i * TILE];
      atomicAdd(&gamma[list[e]], (double)column);
    }
  return lane < K && mass > 0.0 ? mass * price : 0.0;
}

// The dual of the image at beta: sets all of the point; returns the value, its gap, and the mass that is sent.
__device__ double evaluate(const Image& at, Exchange& e, double* gap, double* moved, double* room) {
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
  double off = 0.0;
  for (int j = threadIdx.x; j < at.width; j += blockDim.x)
    if (!(fabs(at.beta[j]) <= LARGEST)) off = 1.0;
  if (block_max(off, room) > 0.0) {  // there is nothing to be seen from here
    for (int j = threadIdx.x; j < at.width; j += blockDim.x) at.wanted[j] = at.gamma[j] = 0.0;
    for (int b = at.begin + e.part * warps + warp; b < at.end && lane < K; b += e.parts * warps) {
      long long o = (long long)K * b + lane;
      at.alpha[o] = infinity64(), at.total[o] = 1.0, at.q[o] = 0.0;
    }
    __syncthreads();
    *gap = infinity64(), *moved = 0.0;
    return LOWEST;
  }
  double paid = 0.0, steepest = 0.0, sent = 0.0, *gamma = gamma_slot(e), *sums = sums_slot(e);
  for (int b = at.begin + e.part * warps + warp; b < at.end; b += e.parts * warps)
    paid += evaluate_block(at, gamma, b, lane, &steepest, &sent);
  paid = block_sum(paid, room);
  sent = block_sum(sent, room);
  steepest = block_max(steepest, room);
  if (threadIdx.x == 0) atomicAdd(&sums[0], paid), atomicAdd(&sums[1], sent), raise(&sums[2], steepest);
  meet(e);
  paid = __ldcg(&sums[0]), *moved = __ldcg(&sums[1]), steepest = __ldcg(&sums[2]);
  double a = at.epsilon, extra = 0.0;
  if (at.dot == EQUALITY && at.pixel == KL) a = fmax(at.pixel_rho, at.epsilon);
  if (at.dot == EQUALITY && at.pixel == QUADRATIC) extra = at.pixel_rho * steepest;
  double price = 0.0, open = 0.0;
  for (int j = threadIdx.x; j < at.width; j += blockDim.x) {
    double v = at.weights[j], got = __ldcg(&gamma[j]), slope;
    at.gamma[j] = got, at.wanted[j] = 0.0;
    if (!(v > 0.0)) continue;
    price += v * conjugate(at.dot, at.dot_rho, -at.beta[j], &slope);
    at.wanted[j] = v * slope;
    open += at.dot == EQUALITY ? rescaling_gap(v, got, a, extra)
                               : v * fenchel_young(at.dot, at.dot_rho, got / v, -at.beta[j]);
  }
  e.turn++;
  price = block_sum(price, room);
  open = block_sum(open, room);
  double value = -paid - price;
  *gap = open >= 0.0 ? open : infinity64();
  return value >= LOWEST && value <= -LOWEST ? value : LOWEST;
}

// ---------------------------------------------------------------------------------------------- Newton's systems

// Add P^T diag(second) P x of every ``step``-th block to ``applied``, or sum_i second_i p_ij^2; x is in shared memory.
__device__ __noinline__ void multiply(
    int begin, int end, int step, const int* counts, const u16* lists, int capacity, const long long* first_tile,
    const float* all_plans, const float* second, const float* x, float* applied, bool squares) {
  int lane = threadIdx.x % 32;
  for (int b = begin + threadIdx.x / 32; b < end; b += step) {
    int n = counts[b];
    const u16* list = lists + (long long)b * capacity;
    const float* plans = all_plans + first_tile[b] * (K * TILE) + lane;
    float w = second[K * b + lane % K], weight[K];
    if (!squares) {
#pragma unroll
      for (int i = 0; i < K; i++) weight[i] = 0.0f;
      for (int e = lane; e < n; e += 32) {
        const float* plan = plans + (e / TILE) * (K * TILE);
        float here = x[list[e]];
#pragma unroll
        for (int i = 0; i < K; i++) weight[i] += plan[i * TILE] * here;
      }
      w *= over_cells<Add>(weight, lane);
    }
    if (__ballot_sync(ALL, w != 0.0f) == 0u) continue;
#pragma unroll
    for (int i = 0; i < K; i++) weight[i] = __shfl_sync(ALL, w, i);
    for (int e = lane; e < n; e += 32) {
      const float* plan = plans + (e / TILE) * (K * TILE);
      float column = 0.0f;
#pragma unroll
      for (int i = 0; i < K; i++) {
        float p = plan[i * TILE];
        column += weight[i] * (squares ? p * p : p);
      }
      atomicAdd(&applied[list[e]], column);
    }
  }
}

struct System {
  // One number a dot each; ``concentration`` is kept from one system to the next, ``x`` is in shared memory; ``second``
  // has a number a cell, of all images.
  float *right, *fixed, *inverse, *residual, *direction, *step, *concentration, *second, *x;
};

// Set Newton's system for gamma = m, or for ln gamma = ln m; return the size by which it was divided.
__device__ double set_system(const Image& at, const System& s, bool logarithmic, double* room) {
  double size = TINY;
  for (int pass = 0; pass < 2; pass++) {
    for (int j = threadIdx.x; j < at.width; j += blockDim.x) {
      double gamma = at.gamma[j], m = at.wanted[j], curvature, right = m - gamma;
      if (logarithmic && at.dot != QUADRATIC && gamma > 0.0) {
        curvature = at.dot == EQUALITY ? 0.0 : gamma / at.dot_rho;
        right = gamma * log(fmax(m, TINY) / fmax(gamma, TINY));
      } else if (at.dot == EQUALITY) {  // a dot that gets nothing has no curvature of its own
        curvature = gamma > 0.0 ? 0.0 : m / at.pixel_rho;
      } else {
        curvature = at.weights[j] * curvature_of(at.dot, at.dot_rho, -at.beta[j]);
      }
      if (pass == 0) {
        size = fmax(size, fabs(right));
      } else {
        s.right[j] = (float)(right / size);
        s.fixed[j] = (float)curvature + (float)(gamma / at.epsilon);
      }
    }
    if (pass == 0) size = block_max(size, room);
  }
  return size;
}

// Solve the system by conjugate gradients with the diagonal, which is looked at anew where ``fresh``.
__device__ void solve_system(
    const Image& at, const System& s, Exchange& e, bool fresh, double relative, double* room) {
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
  int first = at.begin + e.part * warps, step = e.parts * warps;
  for (int b = first + warp; b < at.end; b += step) {
    if (lane >= K) continue;
    long long o = (long long)K * b + lane;
    double sent = at.q[o], total = at.total[o], weight = 0.0;
    if (sent > 0.0) weight = sent / at.epsilon - at.mass[o] * curvature_of(at.pixel, at.pixel_rho, -at.alpha[o]);
    s.second[o] = (float)(weight / total / total);
  }
  double product = 0.0, target = 0.0;
  // The first turn is for the diagonal.
  for (int turn = fresh ? -1 : 0; turn < CG_STEPS; turn++) {
    if (turn == 0) {
      for (int j = threadIdx.x; j < at.width; j += blockDim.x) {
        float spread = (float)(at.gamma[j] / at.epsilon);
        float diagonal = fmaxf(s.fixed[j] - s.concentration[j] * spread, 1e-7f * s.fixed[j]);
        s.inverse[j] = diagonal > 0.0f ? 1.0f / diagonal : 1.0f;
        s.residual[j] = s.right[j], s.step[j] = 0.0f;
        s.direction[j] = s.residual[j] * s.inverse[j];
        product += (double)s.residual[j] * s.direction[j];
      }
      product = block_sum(product, room);
      target = relative * relative * product;
      if (!(product > 0.0)) break;
    }
    if (turn >= 0)
      for (int j = threadIdx.x; j < at.width; j += blockDim.x) s.x[j] = s.direction[j];
    __syncthreads();
    float* applied = applied_slot(e);
    multiply(first, at.end, step, at.counts, at.lists, at.capacity, at.first_tile, at.plans, s.second, s.x, applied,
             turn < 0);
    meet(e);
    double along = 0.0, next = 0.0;
    for (int j = threadIdx.x; j < at.width; j += blockDim.x) {
      float got = __ldcg(&applied[j]), spread = (float)(at.gamma[j] / at.epsilon);
      if (turn < 0) {
        s.concentration[j] = spread > 0.0f ? got / spread : 0.0f;
      } else {
        float image = s.fixed[j] * s.x[j] - got;
        s.right[j] = image;  // what was there is in the residual
        along += (double)image * s.x[j];
      }
    }
    e.turn++;
    if (turn < 0) continue;
    float length = (float)(product / fmax(block_sum(along, room), 1e-38));
    for (int j = threadIdx.x; j < at.width; j += blockDim.x) {
      s.step[j] += length * s.x[j];
      s.residual[j] -= length * s.right[j];
      next += (double)s.residual[j] * (s.residual[j] * s.inverse[j]);
    }
    next = block_sum(next, room);
    if (!(next > target)) break;
    float ratio = (float)(next / fmax(product, TINY));
    for (int j = threadIdx.x; j < at.width; j += blockDim.x)
      s.direction[j] = s.residual[j] * s.inverse[j] + ratio * s.direction[j];
    product = next;
  }
  if (!(product > 0.0))
    for (int j = threadIdx.x; j < at.width; j += blockDim.x) s.step[j] = 0.0f;
  __syncthreads();
}

// ---------------------------------------------------------------------------------------------- the maximisation

__device__ Image image_of(
    int image, const int* layout, const double* units, const double* corner, const double* mass, const double* dots,
    const double* weights, const u16* lists, const int* counts, const long long* first_tile, float* plans, int width,
    int capacity, int cost, int pixel, double pixel_rho, int dot, double dot_rho, double epsilon, double* alpha,
    double* total, double* q) {
  Image at;
  long long o = (long long)image * width;
  at.begin = layout[4 * image + 3], at.end = layout[4 * image + 7];
  at.width = width, at.capacity = capacity, at.cost = cost, at.pixel = pixel, at.dot = dot;
  at.unit = units[image], at.pixel_rho = pixel_rho, at.dot_rho = dot_rho, at.epsilon = epsilon;
  at.corner = corner, at.mass = mass, at.dots = dots + 2 * o, at.weights = weights + o;
  at.lists = lists, at.counts = counts, at.first_tile = first_tile, at.plans = plans;
  at.alpha = alpha, at.total = total, at.q = q;
  return at;
}

// Maximise the dual of every image that is active from ``beta``, as ascent.py does; grid (parts of an image, images).
//
// The rooms are 7 * width floats, and 5 * width doubles, for each thread block. Of ``gamma_slots``, ``applied_slots``,
// ``sum_slots`` and ``arrived`` all numbers are 0. ``concentration`` of an image is negative where there is none.
extern "C" __global__ void __launch_bounds__(512) maximise(
    const int* layout, const double* units, const double* corner, const double* mass, const double* dots,
    const double* weights, const u16* lists, const int* counts, const long long* first_tile, float* plans, int width,
    int capacity, int cost, int pixel, double pixel_rho, int dot, double dot_rho, double epsilon, double* beta,
    double* alpha, double* total, double* q, double* gamma, double* wanted, double* values, double* gaps,
    const double* search_beta, double span, double tol, int budget, int known, const u8* active, float* concentration,
    float* second, float* float_room, double* double_room, double* gamma_slots, float* applied_slots, double* sum_slots,
    int* arrived, int* evaluations, u8* converged, u8* stale) {
  extern __shared__ double shared[];
  double* room = shared;
  int image = blockIdx.y;
  long long o = (long long)image * width, number = (long long)image * gridDim.x + blockIdx.x;
  Image at = image_of(image, layout, units, corner, mass, dots, weights, lists, counts, first_tile, plans, width, capacity,
                      cost, pixel, pixel_rho, dot, dot_rho, epsilon, alpha, total, q);
  Exchange e;
  e.part = blockIdx.x, e.parts = gridDim.x, e.turn = 0, e.width = width, e.images = gridDim.y;
  e.stride = (long long)gridDim.y * width, e.gamma = gamma_slots + o, e.applied = applied_slots + o;
  e.sums = sum_slots + SUMS * image, e.arrived = arrived + image;
  System s;
  float* own = float_room + number * 7 * width;
  s.right = own, s.fixed = own + width, s.inverse = own + 2 * width, s.residual = own + 3 * width;
  s.direction = own + 4 * width, s.step = own + 5 * width, s.concentration = own + 6 * width;
  s.second = second, s.x = (float*)(room + 33);
  double *start = double_room + number * 5 * width, *move = start + width;
  at.beta = start + 2 * width, at.gamma = start + 3 * width, at.wanted = start + 4 * width;
  for (int j = threadIdx.x; j < width; j += blockDim.x) {
    at.beta[j] = beta[o + j], s.concentration[j] = concentration[o + j];
    if (known) at.gamma[j] = gamma[o + j], at.wanted[j] = wanted[o + j];
  }
  const double* chosen = search_beta + o;
  const double noise = 4.0 * 1.1920928955078125e-07 * epsilon;
  double value = 0.0, gap = 0.0, new_value = values[image], new_gap = gaps[image], slope = 0.0, moved = 0.0, length = 1.0;
  int used = 0, returns = 0, trial = 0;
  bool logarithmic = true, stalled = false, away = false, done = false, searching = false, back = false;
  bool look = !known, on = active[image], fresh = concentration[o] < 0.0f;
  double sent = 0.0;
  if (known) {
    for (long long i = (long long)K * at.begin + threadIdx.x; i < (long long)K * at.end; i += blockDim.x) sent += q[i];
    sent = block_sum(sent, room);
    meet(e), e.turn++;  // what is sent from may change from now on
  }
  __syncthreads();
  while (true) {
    if (look) new_value = evaluate(at, e, &new_gap, &sent, room), used++;
    look = true;
    if (searching) {
      bool rise = new_value - value >= SUFFICIENT * length * slope - fmax(moved, 1.0) * noise;
      bool good = new_gap < infinity64() && ((rise && slope > 0.0) || new_gap <= 0.5 * gap);
      if (!good) {  // a shorter step, or back to where it began
        back = used >= budget || ++trial >= TRIALS;
        searching = !back;
        length *= SHRINK;
        for (int j = threadIdx.x; j < width; j += blockDim.x) at.beta[j] = start[j] + (back ? 0.0 : length * move[j]);
        __syncthreads();
        continue;
      }
      logarithmic = logarithmic && length >= SHORT;
    }
    if (back) stalled = !logarithmic, logarithmic = false, returns++;
    searching = back = false;
    value = new_value, gap = new_gap;
    double size_of_value = fmax(fabs(value), 1.0), goal = tol * size_of_value;
    done = gap <= goal;
    if (!on || done || stalled) break;
    double low = infinity64(), high = -infinity64();
    for (int j = threadIdx.x; j < width; j += blockDim.x) {
      if (!(at.weights[j] > 0.0)) continue;
      double apart = at.beta[j] - chosen[j];
      low = fmin(low, apart), high = fmax(high, apart);
    }
    away = block_max(high, room) + block_max(-low, room) > span;
    if (used >= budget || away) break;
    double size = set_system(at, s, logarithmic, room);
    bool near = gap < NEAR * size_of_value;
    double relative = FORCING;
    if (near) relative = fmin(fmax(0.5 * sqrt(goal / fmax(gap, TINY)), 1e-3), FORCING);
    solve_system(at, s, e, fresh || !near, relative, room);
    fresh = false;
    slope = moved = 0.0;
    for (int j = threadIdx.x; j < width; j += blockDim.x) {
      start[j] = at.beta[j], move[j] = (double)s.step[j] * size;
      slope += (at.wanted[j] - at.gamma[j]) * move[j];
      moved += at.wanted[j];
      at.beta[j] = start[j] + move[j];
    }
    slope = block_sum(slope, room);
    moved = block_sum(moved, room) + sent;
    length = 1.0, trial = 0, searching = true;
  }
  if (e.part > 0) return;
  for (int j = threadIdx.x; j < width; j += blockDim.x) {
    beta[o + j] = at.beta[j], gamma[o + j] = at.gamma[j], wanted[o + j] = at.wanted[j];
    concentration[o + j] = s.concentration[j];
  }
  if (threadIdx.x == 0) {
    values[image] = value, gaps[image] = gap;
    evaluations[image] = on ? used - returns : 0, converged[image] = done, stale[image] = on && away;
  }
}

// ---------------------------------------------------------------------------------------------- the certificate

// What dual.py's account and its rounding need of a point; grid (parts of an image, images). ``out`` gets NUMBERS for
// every thread block: sums, and maxima from SHIFT on. The first one of an image goes over its dots as well.
extern "C" __global__ void __launch_bounds__(512) account(
    const int* layout, const double* units, const double* corner, const double* mass, const double* dots,
    const double* weights, const u16* lists, const int* counts, const long long* first_tile, float* plans, int width,
    int capacity, int cost, int pixel, double pixel_rho, int dot, double dot_rho, double epsilon, const double* beta,
    double* alpha, double* total, double* q, const double* gamma, const double* wanted, const double* search_beta,
    const double* log_dropped, double* out) {
  extern __shared__ double shared[];
  double* room = shared;
  int image = blockIdx.y, warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
  long long first_dot = (long long)image * width;
  Image at = image_of(image, layout, units, corner, mass, dots, weights, lists, counts, first_tile, plans, width, capacity,
                      cost, pixel, pixel_rho, dot, dot_rho, epsilon, alpha, total, q);
  const double *chosen = search_beta + first_dot, *own_beta = beta + first_dot;
  double grown = 0.0;
  for (int j = threadIdx.x; j < width; j += blockDim.x)
    if (at.weights[j] > 0.0) grown = fmax(grown, own_beta[j] - chosen[j]);
  grown = block_max(grown, room);
  double all = 0.0, moved = 0.0, dropped = 0.0, spilled = 0.0, pixels = 0.0, potential = 0.0, shift = 0.0, steepest = 0.0;
  double transport = 0.0;
  for (int b = at.begin + blockIdx.x * warps + warp; b < at.end; b += gridDim.x * warps) {
    long long o = (long long)K * b + lane % K;
    float w = (float)(q[o] / total[o]), unit = (float)at.unit, weight[K];
    if (lane < K) {
      double u = mass[o], z = -alpha[o], left = log_dropped[b], share = 0.0, slope;
      bool reached = isfinite(z);
      if (reached && left > -infinity64()) share = exp(left + grown / epsilon - z / epsilon);
      double off = epsilon * log1p(share), size = reached ? -z : 0.0;
      shift = fmax(shift, off);
      all += u, moved += q[o];
      if (q[o] > 0.0) spilled += q[o] * share;
      if (u > 0.0) {
        double ratio = q[o] / u;
        steepest = fmax(steepest, ratio);
        if (reached)
          dropped += u * (conjugate(pixel, pixel_rho, z + off, &slope) - conjugate(pixel, pixel_rho, z, &slope));
        if (pixel == KL)
          pixels += u * pixel_rho * ((ratio > 0.0 ? ratio * log(ratio) : 0.0) - ratio + 1.0);
        else
          pixels += u * pixel_rho * (ratio - 1.0) * (ratio - 1.0);
      }
      if (pixel == KL) {
        potential += q[o] * fabs(size);
      } else {
        size = size > 0.0 ? fmin(size, 2.0 * pixel_rho) : -size;
        potential += u * size * (1.0 + size / (4.0 * pixel_rho));
      }
    }
    const u16* list = lists + (long long)b * capacity;
    const float* plans_of = plans + first_tile[b] * (K * TILE) + lane;
    double x0 = corner[2 * b], y0 = corner[2 * b + 1];
#pragma unroll
    for (int i = 0; i < K; i++) weight[i] = __shfl_sync(ALL, w, i);
    if (__ballot_sync(ALL, w != 0.0f) == 0u) continue;  // perhaps there are no plans
    for (int e = lane; e < counts[b]; e += 32) {
      const float* plan = plans_of + (e / TILE) * (K * TILE);
      int j = list[e];
      float dx = (float)(at.dots[2 * j] - x0), dy = (float)(at.dots[2 * j + 1] - y0), paid = 0.0f;
#pragma unroll
      for (int i = 0; i < K; i++)
        paid += weight[i] * plan[i * TILE] * ground_cost(cost, dx - (i % SIDE) * unit, dy - (i / SIDE) * unit);
      transport += (double)paid;
    }
  }
  double price = 0.0, owed = 0.0, slopes = 0.0, bent = 0.0, stretch = 1.0, least = infinity64(), low = infinity64();
  double high = -infinity64(), lost = 0.0;
  for (int j = threadIdx.x; j < width && blockIdx.x == 0; j += blockDim.x) {
    double v = at.weights[j], g = gamma[first_dot + j], size = fabs(own_beta[j]), ratio;
    price += v + wanted[first_dot + j] + g;
    if (!(v > 0.0)) continue;
    low = fmin(low, own_beta[j]), high = fmax(high, own_beta[j]);
    if (dot == EQUALITY) {
      double paid = fmax(g, TINY), off = g - v;
      slopes += fabs(off), bent += fabs(2.0 * off - off * off / paid);
      stretch = fmax(stretch, v / paid), least = fmin(least, paid);
      if (!(g >= TINY)) lost = 1.0;
      owed += fmax(g, v) * size;
      continue;
    }
    owed += g * size;
    ratio = g / v;
    if (g > 0.0) slopes += g * fabs((dot == KL ? dot_rho * log(ratio) : 2.0 * dot_rho * (ratio - 1.0)) + own_beta[j]);
  }
  double sums[] = {dropped, spilled, pixels, transport, all, moved, potential, price, owed, slopes, bent};
  double maxima[] = {shift, high, -low, stretch, -least, lost, steepest};
  double* mine = out + NUMBERS * ((long long)image * gridDim.x + blockIdx.x);
#pragma unroll
  for (int k = 0; k < NUMBERS; k++) {
    double found = k < SHIFT ? block_sum(sums[k < SHIFT ? k : 0], room) : block_max(maxima[k < SHIFT ? 0 : k - SHIFT], room);
    if (threadIdx.x == 0) mine[k] = found;
  }
}

// Set ``out`` to min_j (c_ij - beta_j) over the pairs, inf where there is none; a warp a block of cells.
extern "C" __global__ void hard_minimum(
    const int* layout, const double* units, const double* corner, const double* dots, const u16* lists, const int* counts,
    int width, int capacity, int cost, const double* beta, double* out) {
  int image = blockIdx.y, lane = threadIdx.x % 32;
  int begin = layout[4 * image + 3], end = layout[4 * image + 7];
  int b = begin + blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (b >= end) return;
  float unit = (float)units[image], top[K];
#pragma unroll
  for (int i = 0; i < K; i++) top[i] = -infinity32();
  for (int e = lane; e < counts[b]; e += 32) {
    long long j = (long long)image * width + lists[(long long)b * capacity + e];
    float dx = (float)(dots[2 * j] - corner[2 * b]), dy = (float)(dots[2 * j + 1] - corner[2 * b + 1]);
    float potential = (float)beta[j];
#pragma unroll
    for (int i = 0; i < K; i++)
      top[i] = fmaxf(top[i], potential - ground_cost(cost, dx - (i % SIDE) * unit, dy - (i / SIDE) * unit));
  }
  float best = over_cells<Max>(top, lane);
  if (lane < K) out[(long long)K * b + lane] = -(double)best;
}
