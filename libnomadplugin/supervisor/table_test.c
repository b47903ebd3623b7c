/* SPDX-License-Identifier: MPL-2.0
 *
 * Every cell of the table, against the rules that it has to obey. */
#include "supervisor/program/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void each_cell(void (*check)(enum super_state from, enum super_event event, const struct super_cell *cell))
{
	for (int s = 0; s < ST_MAX; s++)
		for (int e = 0; e < EV_MAX; e++)
			check((enum super_state)s, (enum super_event)e, &super_table[s][e]);
}

static void cell_is_sane(enum super_state from, enum super_event event, const struct super_cell *cell)
{
	bool kills = cell->action == ACT_KILL || cell->action == ACT_SWEEP || cell->action == ACT_FAIL;

	assert_true(cell->next < ST_MAX);
	assert_true(cell->action < ACT_MAX);
	/* Never back. */
	assert_true(cell->next >= from);
	/* To begin to kill is to enter KILLING, once. */
	assert_int_equal(kills, from != ST_KILLING && cell->next == ST_KILLING);
	/* The only way out of KILLING is that nothing is left, the only way to OVER too. */
	assert_int_equal(cell->action == ACT_FINISH, from == ST_KILLING && event == EV_EMPTY);
	assert_int_equal(cell->action == ACT_FINISH, from != ST_OVER && cell->next == ST_OVER);
	/* A start is answered with success on the way to RUNNING only. */
	assert_int_equal(cell->action == ACT_STARTED, from < ST_RUNNING && cell->next == ST_RUNNING);
	if (cell->next != from)
		assert_true(cell->action != ACT_NONE);
	if (from == ST_OVER)
		assert_true(cell->next == ST_OVER && cell->action == ACT_NONE);
}

static void test_cells(void **state)
{
	(void)state;
	each_cell(cell_is_sane);
}

static void leads(enum super_state from, enum super_event event, enum super_state next, enum super_action action)
{
	assert_int_equal(super_table[from][event].next, next);
	assert_int_equal(super_table[from][event].action, action);
}

static void test_rules(void **state)
{
	(void)state;
	for (int s = ST_STARTING; s <= ST_STOPPING; s++) {
		/* A kill is obeyed in every state, and the process' end is seen. */
		leads((enum super_state)s, EV_KILL, ST_KILLING, ACT_KILL);
		assert_int_equal(super_table[s][EV_MAIN_EXIT].next, ST_KILLING);
		/* An end by itself is not our doing. */
		assert_true(super_table[s][EV_MAIN_EXIT].action != ACT_KILL);
		/* Nothing but the sweep says that nothing is left. */
		assert_int_equal(super_table[s][EV_EMPTY].action, ACT_NONE);
	}
	/* A start without a waiting client is undone; a running task continues. */
	leads(ST_STARTING, EV_STARTER_GONE, ST_KILLING, ACT_KILL);
	leads(ST_WAITING, EV_STARTER_GONE, ST_KILLING, ACT_KILL);
	leads(ST_RUNNING, EV_STARTER_GONE, ST_RUNNING, ACT_NONE);
	leads(ST_STOPPING, EV_STARTER_GONE, ST_STOPPING, ACT_NONE);
	/* An end before READY=1 is a failed start. */
	leads(ST_STARTING, EV_EXEC_FAILED, ST_KILLING, ACT_FAIL);
	leads(ST_WAITING, EV_MAIN_EXIT, ST_KILLING, ACT_FAIL);
	leads(ST_WAITING, EV_READY_LATE, ST_KILLING, ACT_FAIL);
	leads(ST_RUNNING, EV_READY_LATE, ST_RUNNING, ACT_NONE);
	/* The stop, its deadline, a second one. */
	leads(ST_RUNNING, EV_STOP, ST_STOPPING, ACT_STOP);
	leads(ST_STOPPING, EV_STOP, ST_STOPPING, ACT_SOONER);
	leads(ST_STOPPING, EV_STOP_LATE, ST_KILLING, ACT_KILL);
	leads(ST_STOPPING, EV_MAIN_EXIT, ST_KILLING, ACT_SWEEP);
	leads(ST_RUNNING, EV_STOP_LATE, ST_RUNNING, ACT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests_name("supervisor/table", tests, NULL, NULL);
}
