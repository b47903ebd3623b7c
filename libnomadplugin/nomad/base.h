/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/base.h: what every other public header needs: attributes, clean-up
 * at the end of a scope, and the two containers that options land in.
 *
 * Ownership, here and everywhere: `const char *` is borrowed, `char *` is
 * owned by who holds it.  `ret_x` is an output that is set on success only;
 * `take_x` is an argument that the callee owns from the call on, whatever
 * it returns.  Every _free() accepts NULL. */
#ifndef NOMAD_BASE_H
#define NOMAD_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define NOMAD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define NOMAD_MUST_CHECK __attribute__((warn_unused_result))
#define NOMAD_CLEANUP(f) __attribute__((cleanup(f)))
#else
#error "the clean-up attribute of gcc and clang is needed"
#endif

#ifdef __cplusplus
#define NOMAD_BEGIN_DECLS extern "C" {
#define NOMAD_END_DECLS }
#else
#define NOMAD_BEGIN_DECLS
#define NOMAD_END_DECLS
#endif

/* The version of this interface, MAJOR * 1000 + MINOR: nomadplugin(7) says what a minor version may change. */
#define NOMAD_API_VERSION 1000

NOMAD_BEGIN_DECLS

/* NOMAD_API_VERSION of the library that the program runs with. */
unsigned nomad_api_version(void);

/* A map of strings, in the order of insertion.  Keys are unique. */
struct nomad_pair {
	char *key;
	char *value;
};

struct nomad_map {
	struct nomad_pair *pairs;
	size_t count;
};

/* Set `key` to a copy of `value`, replacing an older one.  0 or -ENOMEM. */
int nomad_map_set(struct nomad_map *map, const char *key, const char *value) NOMAD_MUST_CHECK;
/* The value of `key`, borrowed until the map changes; NULL if absent. */
const char *nomad_map_get(const struct nomad_map *map, const char *key);
/* Remove `key` if it is there. */
void nomad_map_remove(struct nomad_map *map, const char *key);
/* Make *dst (empty) a deep copy of *src.  0 or -ENOMEM. */
int nomad_map_copy(struct nomad_map *dst, const struct nomad_map *src) NOMAD_MUST_CHECK;
/* Free all that the map holds and leave it empty. */
void nomad_map_done(struct nomad_map *map);

/* Like nomad_map, with numbers for values. */
struct nomad_int_pair {
	char *key;
	int64_t value;
};

struct nomad_int_map {
	struct nomad_int_pair *pairs;
	size_t count;
};

/* Set `key` to `value`, replacing an older one.  0 or -ENOMEM. */
int nomad_int_map_set(struct nomad_int_map *map, const char *key, int64_t value) NOMAD_MUST_CHECK;
/* True, and *ret_value set, if `key` is there. */
bool nomad_int_map_get(const struct nomad_int_map *map, const char *key, int64_t *ret_value);
/* Free all that the map holds and leave it empty. */
void nomad_int_map_done(struct nomad_int_map *map);

/* The number of strings in a NULL-terminated vector; a NULL vector is an empty one. */
size_t nomad_strv_count(const char *const *strv);
/* Append a copy of `s`, or a formatted string.  On failure *strv is as before.  0 or -ENOMEM. */
int nomad_strv_add(char ***strv, const char *s) NOMAD_MUST_CHECK;
int nomad_strv_addf(char ***strv, const char *fmt, ...) NOMAD_PRINTF(2, 3) NOMAD_MUST_CHECK;
/* A deep copy, or NULL for want of memory. */
char **nomad_strv_copy(const char *const *strv);
/* Free the vector and its strings. */
void nomad_strv_free(char **strv);

/* The formatted string, malloc()ed, or NULL. */
char *nomad_strdupf(const char *fmt, ...) NOMAD_PRINTF(1, 2);

/* Nanoseconds of the clock that never jumps (CLOCK_MONOTONIC), and since the epoch.  Any thread. */
int64_t nomad_monotonic_ns(void);
int64_t nomad_wall_ns(void);

/* Writes all `size` bytes to `fd`, which must not be in non-blocking mode.  0 or -errno. */
int nomad_write_all(int fd, const void *data, size_t size) NOMAD_MUST_CHECK;

/* FNV-1a: the same value on every machine and in every version.  Not for data that an attacker chooses. */
uint32_t nomad_hash32(const void *data, size_t size);
uint64_t nomad_hash64(const void *data, size_t size);

void nomad_autofree_(void *p);
void nomad_autoclose_(int *fd);
void nomad_autostrv_(char ***strv);

/* Freed or closed when the variable goes out of scope.  An fd of -1 is none. */
#define NOMAD_AUTO_FREE NOMAD_CLEANUP(nomad_autofree_)
#define NOMAD_AUTO_FD NOMAD_CLEANUP(nomad_autoclose_)
#define NOMAD_AUTO_STRV NOMAD_CLEANUP(nomad_autostrv_)

/* Hand a pointer or descriptor over: the variable is empty afterwards. */
#define NOMAD_TAKE_PTR(p)                                                                                              \
	__extension__({                                                                                                \
		__typeof__(p) nomad_taken_ = (p);                                                                      \
		(p) = NULL;                                                                                            \
		nomad_taken_;                                                                                          \
	})
#define NOMAD_TAKE_FD(fd)                                                                                              \
	__extension__({                                                                                                \
		int nomad_taken_ = (fd);                                                                               \
		(fd) = -1;                                                                                             \
		nomad_taken_;                                                                                          \
	})

#define NOMAD_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

NOMAD_END_DECLS

#endif
