/* SPDX-License-Identifier: MPL-2.0 */
#include "base/abi.h"

#include <errno.h>
#include <stdint.h>

struct nomad_abi nomad__abi = NOMAD_ABI_INIT;

unsigned nomad_api_version(void)
{
	return NOMAD_API_VERSION;
}

/* The sizes stand from `driver` on; offsets in this library's struct. */
enum { FIRST = offsetof(struct nomad_abi, driver), STEP = sizeof(size_t) };

static size_t size_at(const struct nomad_abi *abi, size_t offset)
{
	size_t size;

	memcpy(&size, (const char *)abi + offset, sizeof(size));
	return size;
}

int nomad__abi_set(const struct nomad_abi *abi, struct nomad_error **err)
{
	static const struct nomad_abi own = NOMAD_ABI_INIT;
	struct nomad_abi taken = own;

	if (abi->version / 1000 != NOMAD_API_VERSION / 1000 || abi->version > NOMAD_API_VERSION)
		return nomad_error_set(err, EINVAL,
				       "start the driver: built for version %u.%u of libnomadplugin's interface, but "
				       "the library has %u.%u; install a matching library, or rebuild the driver",
				       abi->version / 1000, abi->version % 1000, NOMAD_API_VERSION / 1000,
				       NOMAD_API_VERSION % 1000);
	if (abi->size > sizeof(*abi) || abi->size < FIRST || abi->size % STEP)
		return nomad_error_set(err, EINVAL, "start the driver: struct nomad_abi: has %zu bytes, not %zu",
				       abi->size, sizeof(*abi));
	memcpy(&taken, abi, abi->size);
	for (size_t offset = FIRST; offset < sizeof(own); offset += STEP)
		if (size_at(&taken, offset) == 0 || size_at(&taken, offset) > size_at(&own, offset))
			return nomad_error_set(
				err, EINVAL, "start the driver: struct nomad_abi: size %zu is %zu, not 1 to %zu",
				(offset - FIRST) / STEP + 1, size_at(&taken, offset), size_at(&own, offset));
	nomad__abi = taken;
	return 0;
}
