# SPDX-License-Identifier: MPL-2.0
nomadinit.src := $(filter-out %_test.c,$(wildcard nomadinit/*.c))
nomadinit.test := $(wildcard nomadinit/*_test.c)
nomadinit.needs :=
