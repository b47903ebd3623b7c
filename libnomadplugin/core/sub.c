/* SPDX-License-Identifier: MPL-2.0 */
#include "core/sub.h"

#include <stdlib.h>

#include "base/loop.h"

void nomad__sub_list_init(struct nomad__sub_list *list)
{
	pthread_mutex_init(&list->lock, NULL);
	list->first = NULL;
}

void nomad__sub_list_clear(struct nomad__sub_list *list)
{
	while (list->first)
		nomad__sub_unlink(list->first);
}

void nomad__sub_list_done(struct nomad__sub_list *list)
{
	nomad__sub_list_clear(list);
	pthread_mutex_destroy(&list->lock);
}

struct nomad__sub *nomad__sub_new(struct nomad__sub_list *list, void (*fn)(void), void *ud)
{
	return nomad__sub_new_of(list, fn, ud, NULL, NULL);
}

struct nomad__sub *nomad__sub_new_of(struct nomad__sub_list *list, void (*fn)(void), void *ud, void *extra,
				     void (*extra_free)(void *extra))
{
	struct nomad__sub *sub = calloc(1, sizeof(*sub));

	if (!sub)
		return NULL;
	sub->fn = fn;
	sub->ud = ud;
	sub->extra = extra;
	sub->extra_free = extra_free;
	sub->refs = 2;
	pthread_mutex_init(&sub->lock, NULL);
	pthread_cond_init(&sub->idle, NULL);
	pthread_mutex_lock(&list->lock);
	sub->list = list;
	sub->next = list->first;
	list->first = sub;
	pthread_mutex_unlock(&list->lock);
	return sub;
}

struct nomad__sub *nomad__sub_new_greeted(struct nomad__sub_list *list, void (*fn)(void), void *ud, void *extra,
					  void (*extra_free)(void *extra), struct nomad__loop *loop,
					  void (*greet)(void *sub))
{
	struct nomad__sub *sub = nomad__sub_new_of(list, fn, ud, extra, extra_free);

	if (!sub) {
		extra_free(extra);
		return NULL;
	}
	if (nomad__loop_post(loop, greet, nomad__sub_ref(sub)) < 0) {
		nomad__sub_unref(sub);
		nomad__sub_cancel(sub);
		return NULL;
	}
	return sub;
}

struct nomad__sub *nomad__sub_ref(struct nomad__sub *sub)
{
	__atomic_add_fetch(&sub->refs, 1, __ATOMIC_RELAXED);
	return sub;
}

void nomad__sub_unref(struct nomad__sub *sub)
{
	if (__atomic_sub_fetch(&sub->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (sub->extra_free)
		sub->extra_free(sub->extra);
	pthread_mutex_destroy(&sub->lock);
	pthread_cond_destroy(&sub->idle);
	free(sub);
}

bool nomad__sub_is(const struct nomad__sub *sub, const void *arg)
{
	return sub == arg;
}

struct nomad__sub *nomad__sub_take(struct nomad__sub_list *list,
				   bool (*filter)(const struct nomad__sub *sub, const void *arg), const void *arg)
{
	struct nomad__sub *found = NULL;

	pthread_mutex_lock(&list->lock);
	for (struct nomad__sub **p = &list->first; *p; p = &(*p)->next)
		if (filter(*p, arg)) {
			found = *p;
			*p = found->next;
			__atomic_store_n(&found->list, NULL, __ATOMIC_RELEASE);
			break;
		}
	pthread_mutex_unlock(&list->lock);
	return found;
}

void nomad__sub_unlink(struct nomad__sub *sub)
{
	struct nomad__sub_list *list = __atomic_load_n(&sub->list, __ATOMIC_ACQUIRE);

	if (list && nomad__sub_take(list, nomad__sub_is, sub))
		nomad__sub_unref(sub);
}

void nomad__sub_call(struct nomad__sub *sub, void (*call)(struct nomad__sub *sub, void *arg), void *arg)
{
	pthread_mutex_lock(&sub->lock);
	while (sub->running && !sub->dead && !pthread_equal(sub->runner, pthread_self()))
		pthread_cond_wait(&sub->idle, &sub->lock);
	if (sub->dead || sub->running) {
		bool nested = !sub->dead;

		pthread_mutex_unlock(&sub->lock);
		if (nested) /* what it does causes more of the same */
			call(sub, arg);
		return;
	}
	sub->running = true;
	sub->runner = pthread_self();
	pthread_mutex_unlock(&sub->lock);
	call(sub, arg);
	pthread_mutex_lock(&sub->lock);
	sub->running = false;
	pthread_cond_broadcast(&sub->idle);
	pthread_mutex_unlock(&sub->lock);
}

struct nomad__sub **nomad__sub_all(struct nomad__sub_list *list, size_t *ret_count)
{
	struct nomad__sub **all;
	size_t n = 0;

	pthread_mutex_lock(&list->lock);
	for (struct nomad__sub *sub = list->first; sub; sub = sub->next)
		n++;
	all = n ? calloc(n, sizeof(struct nomad__sub *)) : NULL;
	*ret_count = n;
	for (struct nomad__sub *sub = list->first; all && sub; sub = sub->next)
		all[--n] = nomad__sub_ref(sub);
	pthread_mutex_unlock(&list->lock);
	return all;
}

void nomad__sub_call_all(struct nomad__sub_list *list, void (*call)(struct nomad__sub *sub, void *arg), void *arg)
{
	size_t n;
	struct nomad__sub **all = nomad__sub_all(list, &n);

	for (size_t i = 0; all && i < n; i++) {
		nomad__sub_call(all[i], call, arg);
		nomad__sub_unref(all[i]);
	}
	free(all);
}

void nomad__sub_cancel(struct nomad__sub *sub)
{
	if (!sub)
		return;
	pthread_mutex_lock(&sub->lock);
	sub->dead = true;
	pthread_cond_broadcast(&sub->idle);
	while (sub->running && !pthread_equal(sub->runner, pthread_self()))
		pthread_cond_wait(&sub->idle, &sub->lock);
	pthread_mutex_unlock(&sub->lock);
	nomad__sub_unlink(sub);
	nomad__sub_unref(sub);
}
