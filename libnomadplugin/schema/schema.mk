# SPDX-License-Identifier: MPL-2.0
# nomemory_test lets each allocation of this folder fail in turn.
comma := ,
test_wrap_nomemory := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc strdup strndup)
