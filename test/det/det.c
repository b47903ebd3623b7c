/* SPDX-License-Identifier: MPL-2.0
 *
 * det.c: coroutines in the place of threads, and what they wait for. */
#include "det.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "base/poller.h"

#ifdef DET_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

enum { MAX_THREADS = 256, STACK_BYTES = 256 << 10, MAX_SWITCHES = 3000000, TRACE_BYTES = 8 << 20 };

enum state { FREE, READY, BLOCKED };

struct det_thread {
	enum state state;
	enum det_group group;
	char name[32];
	void (*fn)(void *arg);
	void *(*routine)(void *arg); /* of pthread_create() */
	void *arg;
	const void *key; /* what it waits for */
	int64_t due;
	bool woken, frozen, entered, is_loop;
	unsigned serial;
	size_t slot; /* in ready[] */
	int saved_errno;
	jmp_buf at;
	ucontext_t begin;
	void *stack;
	void *fake_stack; /* AddressSanitizer's */
};

struct det_mood det_mood;

static struct det_thread threads[MAX_THREADS], *ready[MAX_THREADS], *self;
static size_t n_ready;
static unsigned serials, used_slots, n_locks;
static uint64_t state[2], hash, switches;
static int64_t now, next_due;
static jmp_buf out;
static bool done, failed, tracing;
static char failure[1024], *trace;
static size_t trace_size;
static const void *main_stack;
static size_t main_stack_size;
char det_sockets;

static const int64_t wall_offset = INT64_C(1700000000000000000);

/* ---- The seed's choices ---- */

static uint64_t splitmix(uint64_t *x)
{
	uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* xoroshiro128+ */
static uint64_t draw(void)
{
	uint64_t a = state[0], b = state[1], r = a + b;

	b ^= a;
	state[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
	state[1] = (b << 37) | (b >> 27);
	return r;
}

uint64_t det_random(uint32_t below)
{
	return ((draw() >> 32) * below) >> 32;
}

/* ---- What is told of it ---- */

static void vtrace(const char *fmt, va_list ap)
{
	size_t room = TRACE_BYTES - trace_size;
	int n;

	if (!tracing || room < 512)
		return;
	n = snprintf(trace + trace_size, room, "%14.6f %-18s ", (double)now / 1e9, self ? self->name : "-");
	trace_size += (size_t)n;
	n = vsnprintf(trace + trace_size, 400, fmt, ap);
	trace_size += n < 400 ? (size_t)n : 399;
	trace[trace_size++] = '\n';
	trace[trace_size] = 0;
}

void det_trace(const char *fmt, ...)
{
	va_list ap;

	if (!tracing)
		return;
	va_start(ap, fmt);
	vtrace(fmt, ap);
	va_end(ap);
}

const char *det_trace_text(void)
{
	return trace ? trace : "";
}

const char *det_failure(void)
{
	return failure;
}

uint64_t det_hash(void)
{
	return hash;
}

uint64_t det_switches(void)
{
	return switches;
}

int64_t det_now(void)
{
	return now;
}

int64_t det_wall(void)
{
	return now + wall_offset;
}

enum det_group det_group(void)
{
	return self ? self->group : DET_WORLD;
}

struct det_thread *det_self(void)
{
	return self;
}

bool det_is_loop(void)
{
	return self && self->is_loop;
}

/* ---- From one to another ---- */

static void make_ready(struct det_thread *t)
{
	t->state = READY;
	t->key = NULL;
	t->slot = n_ready;
	ready[n_ready++] = t;
}

static void take_ready(struct det_thread *t)
{
	ready[t->slot] = ready[--n_ready];
	ready[t->slot]->slot = t->slot;
}

/* AddressSanitizer has to know on which stack we are. */
static void switch_begins(struct det_thread *from, const void *stack, size_t size)
{
#ifdef DET_ASAN
	__sanitizer_start_switch_fiber(from && from->state != FREE ? &from->fake_stack : NULL, stack, size);
#endif
	(void)from;
	(void)stack;
	(void)size;
}

static void switch_ends(struct det_thread *to)
{
#ifdef DET_ASAN
	const void *stack;
	size_t size;

	__sanitizer_finish_switch_fiber(to ? to->fake_stack : NULL, &stack, &size);
	if (to && !main_stack) {
		main_stack = stack;
		main_stack_size = size;
	}
#endif
	(void)to;
}

static void __attribute__((noreturn)) leave(void)
{
	switch_begins(self, main_stack, main_stack_size);
	self = NULL;
	_longjmp(out, 1);
}

static void begin(void)
{
	struct det_thread *t = self;

	switch_ends(t);
	errno = 0;
	if (t->routine)
		t->routine(t->arg);
	else
		t->fn(t->arg);
	t = self;
	t->state = FREE;
	det_wake(t); /* who joins it */
	if (t == &threads[0]) {
		done = true;
		leave();
	}
	det_point();
	abort();
}

static void __attribute__((noreturn)) enter(struct det_thread *t)
{
	switch_begins(self, t->stack, STACK_BYTES);
	self = t;
	errno = t->saved_errno;
	if (!t->entered) {
		t->entered = true;
		setcontext(&t->begin);
		abort();
	}
	_longjmp(t->at, 1);
}

/* Threads whose time has come. */
static void wake_due(void)
{
	next_due = INT64_MAX;
	for (unsigned i = 0; i < used_slots; i++) {
		struct det_thread *t = &threads[i];

		if (t->state != BLOCKED || t->frozen || t->due == INT64_MAX)
			continue;
		if (t->due <= now)
			make_ready(t);
		else if (t->due < next_due)
			next_due = t->due;
	}
}

static void __attribute__((noreturn)) deadlock(void)
{
	char all[900] = "";
	size_t n = 0;

	for (unsigned i = 0; i < used_slots && n < sizeof(all) - 64; i++)
		if (threads[i].state == BLOCKED)
			n += (size_t)snprintf(all + n, sizeof(all) - n, " %s(%s)", threads[i].name,
					      threads[i].frozen ? "stopped" : "waits");
	self = NULL;
	det_fail("deadlock: nothing can go on:%s", all);
}

static struct det_thread *choose(void)
{
	struct det_thread *t;

	if (++switches > MAX_SWITCHES)
		det_fail("it does not come to rest: %d switches", MAX_SWITCHES);
	if (next_due <= now || (next_due < INT64_MAX && det_one_in(det_mood.lag_in))) {
		now = next_due > now ? next_due : now;
		wake_due();
	}
	while (!n_ready) {
		if (next_due == INT64_MAX)
			wake_due();
		if (next_due == INT64_MAX && !n_ready)
			deadlock();
		now = next_due > now && next_due < INT64_MAX ? next_due : now;
		wake_due();
	}
	t = ready[det_random(n_ready)];
	take_ready(t);
	hash = (hash ^ ((uint64_t)t->serial << 48) ^ (uint64_t)now) * UINT64_C(0x100000001b3);
	return t;
}

/* The caller has said what it waits for, or is ready. */
static void give_way(void)
{
	struct det_thread *me = self, *next = choose();

	if (next == me)
		return;
	me->saved_errno = errno;
	if (me->state == FREE || _setjmp(me->at) == 0)
		enter(next);
	switch_ends(me);
}

void det_point(void)
{
	if (!self)
		return;
	now += 1000;
	if (self->state == FREE) {
		give_way();
	} else if (next_due <= now || det_one_in(det_mood.switch_in)) {
		make_ready(self);
		give_way();
	}
}

bool det_wait(const void *key, int64_t due)
{
	self->state = BLOCKED;
	self->key = key;
	self->due = due;
	self->woken = false;
	if (due < next_due)
		next_due = due;
	give_way();
	return self->woken;
}

static void wake(const void *key, bool all)
{
	struct det_thread *found[MAX_THREADS];
	unsigned n = 0, first, last;

	for (unsigned i = 0; i < used_slots; i++)
		if (threads[i].state == BLOCKED && threads[i].key == key)
			found[n++] = &threads[i];
	first = all || !n ? 0 : (unsigned)det_random(n);
	last = all || !n ? n : first + 1;
	for (unsigned i = first; i < last; i++) {
		found[i]->woken = true;
		if (found[i]->frozen)
			found[i]->due = 0;
		else
			make_ready(found[i]);
	}
}

void det_wake(const void *key)
{
	wake(key, true);
}

void det_sleep(int64_t ns)
{
	int64_t due = now + ns;

	while (now < due)
		(void)det_wait(NULL, due);
}

static struct det_thread *add_thread(enum det_group group, const char *name)
{
	struct det_thread *t = threads;

	while (t < threads + MAX_THREADS && (t->state != FREE || t == self))
		t++;
	if (t == threads + MAX_THREADS)
		det_fail("more than %d threads", MAX_THREADS);
	if ((unsigned)(t - threads) >= used_slots)
		used_slots = (unsigned)(t - threads) + 1;
	if (!t->stack)
		t->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (t->stack == MAP_FAILED)
		abort();
	t->group = group;
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->entered = t->frozen = t->is_loop = false;
	t->fake_stack = NULL;
	t->routine = NULL;
	t->saved_errno = 0;
	t->serial = ++serials;
	getcontext(&t->begin);
	t->begin.uc_stack = (stack_t){ .ss_sp = t->stack, .ss_size = STACK_BYTES };
	makecontext(&t->begin, begin, 0);
	make_ready(t);
	return t;
}

struct det_thread *det_spawn(enum det_group group, const char *name, void (*fn)(void *arg), void *arg)
{
	struct det_thread *t = add_thread(group, name);

	t->fn = fn;
	t->arg = arg;
	return t;
}

void det_freeze(struct det_thread *t, bool frozen)
{
	if (t->state == FREE || t->frozen == frozen)
		return;
	t->frozen = frozen;
	if (frozen && t->state == READY) {
		take_ready(t);
		t->state = BLOCKED;
		t->key = NULL;
		t->due = 0; /* at once, when it may */
	} else if (!frozen && t->due < next_due) {
		next_due = t->due;
	}
}

unsigned det_count(enum det_group group)
{
	unsigned n = 0;

	for (unsigned i = 0; i < used_slots; i++)
		n += threads[i].state != FREE && threads[i].group == group;
	return n;
}

/* ---- Memory of the plugin ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void __real_free(void *p);
int __real_vasprintf(char **ret, const char *fmt, va_list ap);

enum { BLOCKS = 1 << 13 };
static void *blocks[BLOCKS]; /* open addressing */
static size_t n_blocks;

static size_t place_of(const void *p)
{
	return (size_t)(((uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % BLOCKS;
}

static void *keep(void *p)
{
	size_t i = place_of(p);

	if (!p || det_group() != DET_PLUGIN)
		return p;
	if (++n_blocks > BLOCKS / 2)
		det_fail("the plugin has more than %d blocks of memory", BLOCKS / 2);
	while (blocks[i])
		i = (i + 1) % BLOCKS;
	blocks[i] = p;
	return p;
}

static void forget(const void *p)
{
	size_t i = place_of(p), hole;

	if (!p || !n_blocks)
		return;
	while (blocks[i] != p)
		if (!blocks[i])
			return;
		else
			i = (i + 1) % BLOCKS;
	n_blocks--;
	/* Those behind it that belong before the hole move up. */
	for (hole = i; blocks[i = (i + 1) % BLOCKS];) {
		size_t home = place_of(blocks[i]);

		if ((i > hole && (home <= hole || home > i)) || (i < hole && home <= hole && home > i)) {
			blocks[hole] = blocks[i];
			hole = i;
		}
	}
	blocks[hole] = NULL;
}

static void free_all(void)
{
	for (size_t i = 0; n_blocks && i < BLOCKS; i++)
		if (blocks[i]) {
			__real_free(blocks[i]);
			blocks[i] = NULL;
			n_blocks--;
		}
}

void *__wrap_malloc(size_t size)
{
	return keep(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return keep(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size)
{
	forget(p);
	return keep(__real_realloc(p, size));
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	forget(p);
	return keep(__real_reallocarray(p, n, size));
}

char *__wrap_strdup(const char *s)
{
	return keep(__real_strdup(s));
}

char *__wrap_strndup(const char *s, size_t n)
{
	return keep(__real_strndup(s, n));
}

void __wrap_free(void *p)
{
	forget(p);
	__real_free(p);
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
	int n = __real_vasprintf(ret, fmt, ap);

	if (n >= 0)
		keep(*ret);
	return n;
}

int __wrap___vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap)
{
	(void)flag;
	return __wrap_vasprintf(ret, fmt, ap);
}

/* ---- The ends ---- */

static void end_thread(struct det_thread *t)
{
	if (t->state == READY)
		take_ready(t);
	t->state = FREE;
}

void det_kill_thread(struct det_thread *thread)
{
	end_thread(thread);
	files_close_of(thread->group, thread);
}

void det_kill(enum det_group group)
{
	for (unsigned i = 0; i < used_slots; i++)
		if (threads[i].state != FREE && threads[i].group == group && &threads[i] != self)
			end_thread(&threads[i]);
	files_close_of(group, NULL);
	if (group == DET_PLUGIN) {
		free_all();
		n_locks = 0;
	}
}

void det_check_nothing_left(void)
{
	if (det_count(DET_PLUGIN))
		det_fail("the plugin has ended, %u of its threads have not", det_count(DET_PLUGIN));
	if (n_locks)
		det_fail("the plugin has ended and left %u locks or conditions", n_locks);
	if (n_blocks)
		det_fail("the plugin has ended and left %zu blocks of memory", n_blocks);
	if (files_open_of(DET_PLUGIN))
		det_fail("the plugin has ended and left %u descriptors", files_open_of(DET_PLUGIN));
}

void det_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(failure, sizeof(failure), fmt, ap);
	va_end(ap);
	det_trace("FAILED: %s", failure);
	failed = true;
	leave();
}

static void run_first(void *arg)
{
	void (*fn)(void);

	memcpy(&fn, arg, sizeof(fn));
	fn();
}

bool det_run(uint64_t seed, bool with_trace, void (*fn)(void))
{
	uint64_t x = seed;

	if (with_trace && !trace)
		trace = __real_malloc(TRACE_BYTES);
	tracing = with_trace;
	trace_size = 0;
	if (trace)
		trace[0] = 0;
	state[0] = splitmix(&x);
	state[1] = splitmix(&x);
	hash = UINT64_C(0xcbf29ce484222325);
	serials = used_slots = 0;
	n_ready = 0;
	switches = 0;
	now = INT64_C(1000000000);
	next_due = INT64_MAX;
	failed = done = false;
	failure[0] = 0;
	det_mood = (struct det_mood){ .switch_in = 4 };
	files_reset();
	host_reset();
	det_spawn(DET_WORLD, "world", run_first, &fn);
	if (_setjmp(out) == 0)
		enter(choose());
	switch_ends(NULL);
	for (unsigned i = 0; i < used_slots; i++)
		threads[i].state = FREE;
	files_reset();
	free_all();
	n_locks = 0;
	return !failed;
}

/* ---- POSIX threads ---- */

/* In the memory of a pthread_mutex_t or pthread_cond_t; all zero is a new one. */
struct lock {
	struct det_thread *owner;
	unsigned waiters;
};
_Static_assert(sizeof(struct lock) <= sizeof(pthread_mutex_t) && sizeof(struct lock) <= sizeof(pthread_cond_t), "room");

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
	(void)attr;
	memset(m, 0, sizeof(*m));
	n_locks++;
	return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *m)
{
	struct lock *lock = (struct lock *)m;

	if (lock->owner)
		det_fail("a lock is destroyed that %s holds", lock->owner->name);
	n_locks--;
	return 0;
}

static void lock_it(struct lock *lock)
{
	if (lock->owner == self)
		det_fail("%s takes a lock that it holds", self->name);
	while (lock->owner) {
		lock->waiters++;
		(void)det_wait(lock, INT64_MAX);
		lock->waiters--;
	}
	lock->owner = self;
}

static void unlock_it(struct lock *lock)
{
	if (lock->owner != self)
		det_fail("%s opens a lock that it does not hold", self->name);
	lock->owner = NULL;
	if (lock->waiters)
		det_wake(lock);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	if (!self)
		return 0;
	det_point();
	lock_it((struct lock *)m);
	return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	if (!self)
		return 0;
	unlock_it((struct lock *)m);
	det_point();
	return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
	(void)attr;
	memset(c, 0, sizeof(*c));
	n_locks++;
	return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c)
{
	if (((struct lock *)c)->waiters)
		det_fail("a condition is destroyed that somebody waits for");
	n_locks--;
	return 0;
}

static int cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t due)
{
	struct lock *cond = (struct lock *)c;
	bool woken = true;

	unlock_it((struct lock *)m);
	if (!det_one_in(50)) { /* or woken for nothing */
		cond->waiters++;
		woken = det_wait(cond, due);
		cond->waiters--;
	}
	lock_it((struct lock *)m);
	return woken ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	return cond_wait(c, m, INT64_MAX);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
	int64_t due = (int64_t)until->tv_sec * 1000000000 + until->tv_nsec;

	if (due <= now) {
		unlock_it((struct lock *)m);
		det_point();
		lock_it((struct lock *)m);
		return ETIMEDOUT;
	}
	return cond_wait(c, m, due);
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
	if (((struct lock *)c)->waiters)
		wake(c, false);
	det_point();
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	if (((struct lock *)c)->waiters)
		det_wake(c);
	det_point();
	return 0;
}

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	char name[32];
	struct det_thread *t;

	(void)attr;
	det_point();
	if (det_fault("pthread_create", EAGAIN))
		return EAGAIN;
	snprintf(name, sizeof(name), "thread %u", serials + 1);
	t = add_thread(self->group, name);
	t->routine = fn;
	t->arg = arg;
	*ret = (pthread_t)t;
	return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret)
{
	struct det_thread *t = (struct det_thread *)thread;

	(void)ret;
	while (t->state != FREE)
		(void)det_wait(t, INT64_MAX);
	return 0;
}

pthread_t __wrap_pthread_self(void)
{
	return (pthread_t)self;
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	(void)how;
	(void)set;
	(void)old;
	return 0;
}

/* ---- Time ---- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	int64_t t = clock == CLOCK_REALTIME ? det_wall() : now;

	ret->tv_sec = t / 1000000000;
	ret->tv_nsec = t % 1000000000;
	return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)left;
	det_sleep((int64_t)time->tv_sec * 1000000000 + time->tv_nsec);
	return 0;
}

int __wrap_poll(struct pollfd *p, nfds_t n, int timeout)
{
	int64_t due = timeout < 0 ? INT64_MAX : now + (int64_t)timeout * 1000000;

	if (det_is_loop())
		det_fail("the loop thread sleeps");
	if (n > 1)
		det_fail("poll() of %lu descriptors", (unsigned long)n);
	do {
		if (n && host_socket_readable(files_socket(p->fd))) {
			p->revents = POLLIN;
			return 1;
		}
		(void)det_wait(n ? &det_sockets : NULL, due);
	} while (now < due);
	return 0;
}

bool det_fault(const char *call, int errnum)
{
	if (!det_mood.fault_in || det_group() != DET_PLUGIN || !det_one_in(det_mood.fault_in))
		return false;
	det_trace("%s() fails: %s", call, strerror(errnum));
	errno = errnum;
	return true;
}

/* ---- The loop's descriptors, base/poller.h ---- */

enum { MAX_WATCHES = 64 };

struct nomad__poller {
	struct {
		int fd;
		void *ud;
	} watches[MAX_WATCHES];
	int count;
	bool woken;
};

int __wrap_nomad__poller_new(struct nomad__poller **ret)
{
	*ret = __wrap_calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void __wrap_nomad__poller_free(struct nomad__poller *poller)
{
	if (poller && poller->count)
		det_fail("the loop has ended with %d descriptors to watch", poller->count);
	__wrap_free(poller);
}

int __wrap_nomad__poller_add(struct nomad__poller *poller, int fd, unsigned events, void *ud)
{
	(void)events; /* it does not fail: then the supervisor is taken for dead, and its task killed */
	if (poller->count == MAX_WATCHES)
		det_fail("more than %d descriptors to watch", MAX_WATCHES);
	poller->watches[poller->count].fd = fd;
	poller->watches[poller->count++].ud = ud;
	return 0;
}

int __wrap_nomad__poller_mod(struct nomad__poller *poller, int fd, unsigned events, void *ud)
{
	(void)poller;
	(void)fd;
	(void)events;
	(void)ud;
	return 0;
}

void __wrap_nomad__poller_del(struct nomad__poller *poller, int fd)
{
	int i = 0;

	while (i < poller->count && poller->watches[i].fd != fd)
		i++;
	if (i == poller->count)
		det_fail("descriptor %d is not watched", fd);
	poller->watches[i] = poller->watches[--poller->count];
}

int __wrap_nomad__poller_wait(struct nomad__poller *poller, int64_t timeout_ns, struct nomad__poller_event *ret,
			      int max)
{
	int64_t due = timeout_ns < 0 ? INT64_MAX : now + timeout_ns;
	int n = 0;

	if (!self->is_loop)
		snprintf(self->name, sizeof(self->name), "loop");
	self->is_loop = true;
	det_point();
	for (;;) {
		for (int i = 0; i < poller->count && n < max; i++)
			if (host_socket_readable(files_socket(poller->watches[i].fd)))
				ret[n++] = (struct nomad__poller_event){ .ud = poller->watches[i].ud,
									 .events = NOMAD__POLL_READ };
		if (n || poller->woken || now >= due)
			break;
		(void)det_wait(&det_sockets, due);
	}
	poller->woken = false;
	return n;
}

void __wrap_nomad__poller_wake(struct nomad__poller *poller)
{
	poller->woken = true;
	det_wake(&det_sockets);
}
