/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "devices.c"

static void test_rules(void **state)
{
	struct rule rules[8];

	(void)state;
	assert_int_equal(rules_parse("", rules, 8), 0);
	assert_int_equal(rules_parse("c10:200:rw,b7:0:r,c1:3:m", rules, 8), 3);
	assert_int_equal(rules[0].type, BPF_DEVCG_DEV_CHAR);
	assert_int_equal(rules[0].major, 10);
	assert_int_equal(rules[0].minor, 200);
	assert_int_equal(rules[0].access, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE);
	assert_int_equal(rules[1].type, BPF_DEVCG_DEV_BLOCK);
	assert_int_equal(rules[1].access, BPF_DEVCG_ACC_READ);
	assert_int_equal(rules[2].access, BPF_DEVCG_ACC_MKNOD);
}

static void test_wrong(void **state)
{
	static const char *const bad[] = { "x1:2:r",	    "c1:2",  "c1:2:", "c1:2:q", "c1:2:rwmr",
					   "c1:2:r;c1:3:r", "c:2:r", "c1::r", ",",	"c" };
	struct rule rules[2];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(rules_parse(bad[i], rules, 2), -1);
	/* More than there is room for is refused, not cut: a cut one would not be what was asked for. */
	assert_int_equal(rules_parse("c1:1:r,c1:2:r", rules, 2), 2);
	assert_int_equal(rules_parse("c1:1:r,c1:2:r,c1:3:r", rules, 2), -1);
}

/* What the kernel would do with the program, for the instructions that are in it. */
static int run(const struct program *p, int type, int access, int major, int minor)
{
	int64_t r[11] = { [2] = type, [3] = access, [4] = major, [5] = minor };
	int pc, steps = 0;

	for (pc = 0; pc < p->n; pc++) {
		const struct bpf_insn *i = &p->code[pc];

		assert_true(++steps < 10000);
		switch (i->code) {
		case BPF_JMP | BPF_JNE | BPF_K:
			pc += r[i->dst_reg] != i->imm ? i->off : 0;
			break;
		case BPF_JMP | BPF_JNE | BPF_X:
			pc += r[i->dst_reg] != r[i->src_reg] ? i->off : 0;
			break;
		case BPF_ALU64 | BPF_MOV | BPF_X:
			r[i->dst_reg] = r[i->src_reg];
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			r[i->dst_reg] = i->imm;
			break;
		case BPF_ALU64 | BPF_AND | BPF_K:
			r[i->dst_reg] &= i->imm;
			break;
		case BPF_JMP | BPF_EXIT:
			return (int)r[0];
		default:
			fail_msg("instruction %d", i->code);
		}
	}
	fail_msg("the program has no end");
	return -1;
}

static void test_program(void **state)
{
	static struct program p;
	const struct rule first = { BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, 10, 200 };
	const struct rule all = { BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 136, ANY };

	(void)state;
	emit_rule(&p, &first);
	emit_rule(&p, &all);
	emit(&p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	emit(&p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	assert_int_equal(run(&p, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, 10, 200), 1);
	assert_int_equal(run(&p, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_WRITE, 10, 200), 0);
	assert_int_equal(run(&p, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 10, 200), 0);
	assert_int_equal(run(&p, BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_READ, 10, 200), 0);
	assert_int_equal(run(&p, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, 10, 201), 0);
	assert_int_equal(run(&p, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, 11, 200), 0);
	assert_int_equal(run(&p, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 136, 77), 1);
	assert_int_equal(run(&p, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_MKNOD, 136, 77), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_program),
	};

	return cmocka_run_group_tests_name("nspawn/init/devices", tests, NULL, NULL);
}
