# SPDX-License-Identifier: MPL-2.0
# durable_test counts how often the disk is waited for.
test_wrap_durable = $(addprefix -Wl$(comma)--wrap=,fsync fdatasync)
