/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/base.h: shared by all public headers: attributes, clean-up at the
 * end of a scope, and the two containers that hold option values.
 *
 * Ownership in all headers: `const char *` is borrowed, `char *` is owned by
 * the struct or variable that holds it.  `ret_x` is an output that is set on
 * success only.  The callee owns an argument `take_x` from the call on,
 * whatever it returns.  Every _free() accepts NULL. */
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
#error "this header requires the cleanup attribute of gcc or clang"
#endif

#ifdef __cplusplus
#define NOMAD_BEGIN_DECLS extern "C" {
#define NOMAD_END_DECLS }
#else
#define NOMAD_BEGIN_DECLS
#define NOMAD_END_DECLS
#endif

/* The version of this interface, MAJOR * 1000 + MINOR.  nomadplugin(7) lists what a minor version may change. */
#define NOMAD_API_VERSION 1000

NOMAD_BEGIN_DECLS

/* Returns NOMAD_API_VERSION of the library that the program runs with. */
unsigned nomad_api_version(void);

/* A map of strings in insertion order.  Keys are unique. */
struct nomad_pair {
	char *key;
	char *value;
};

struct nomad_map {
	struct nomad_pair *pairs;
	size_t count;
};

/* Sets `key` to a copy of `value` and replaces an older value.  Returns 0 or -ENOMEM. */
int nomad_map_set(struct nomad_map *map, const char *key, const char *value) NOMAD_MUST_CHECK;
/* Returns the value of `key`, borrowed until the map changes, or NULL if the map has no such key. */
const char *nomad_map_get(const struct nomad_map *map, const char *key);
/* Removes `key` if the map has it. */
void nomad_map_remove(struct nomad_map *map, const char *key);
/* Makes *dst, which must be empty, a deep copy of *src.  Returns 0 or -ENOMEM. */
int nomad_map_copy(struct nomad_map *dst, const struct nomad_map *src) NOMAD_MUST_CHECK;
/* Frees all keys and values and leaves the map empty. */
void nomad_map_done(struct nomad_map *map);

/* Like nomad_map, with integer values. */
struct nomad_int_pair {
	char *key;
	int64_t value;
};

struct nomad_int_map {
	struct nomad_int_pair *pairs;
	size_t count;
};

/* Sets `key` to `value` and replaces an older value.  Returns 0 or -ENOMEM. */
int nomad_int_map_set(struct nomad_int_map *map, const char *key, int64_t value) NOMAD_MUST_CHECK;
/* Returns true and sets *ret_value if the map has `key`. */
bool nomad_int_map_get(const struct nomad_int_map *map, const char *key, int64_t *ret_value);
/* Frees all keys and leaves the map empty. */
void nomad_int_map_done(struct nomad_int_map *map);

/* Returns the number of strings in a NULL-terminated vector.  A NULL vector is empty. */
size_t nomad_strv_count(const char *const *strv);
/* Appends a copy of `s`, or a formatted string.  A failure leaves *strv unchanged.  Returns 0 or -ENOMEM. */
int nomad_strv_add(char ***strv, const char *s) NOMAD_MUST_CHECK;
int nomad_strv_addf(char ***strv, const char *fmt, ...) NOMAD_PRINTF(2, 3) NOMAD_MUST_CHECK;
/* Returns a deep copy, or NULL if out of memory. */
char **nomad_strv_copy(const char *const *strv);
/* Frees the vector and its strings. */
void nomad_strv_free(char **strv);

/* Returns the formatted string, which the caller frees, or NULL if out of memory. */
char *nomad_strdupf(const char *fmt, ...) NOMAD_PRINTF(1, 2);

/* Return nanoseconds of CLOCK_MONOTONIC, which never jumps, and since the epoch.  Safe from any thread. */
int64_t nomad_monotonic_ns(void);
int64_t nomad_wall_ns(void);

/* Writes all `size` bytes to `fd`, which must be in blocking mode.  Returns 0 or a negative errno. */
int nomad_write_all(int fd, const void *data, size_t size) NOMAD_MUST_CHECK;

/* Return the FNV-1a hash: the same on every machine and in every version.  Not for data that an attacker chooses. */
uint32_t nomad_hash32(const void *data, size_t size);
uint64_t nomad_hash64(const void *data, size_t size);

void nomad_autofree_(void *p);
void nomad_autoclose_(int *fd);
void nomad_autostrv_(char ***strv);

/* Free or close the variable when it goes out of scope.  A descriptor of -1 is not closed. */
#define NOMAD_AUTO_FREE NOMAD_CLEANUP(nomad_autofree_)
#define NOMAD_AUTO_FD NOMAD_CLEANUP(nomad_autoclose_)
#define NOMAD_AUTO_STRV NOMAD_CLEANUP(nomad_autostrv_)

/* Return the pointer or descriptor and empty the variable, to hand the ownership over. */
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
