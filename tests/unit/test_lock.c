/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"
#include <criterion/criterion.h>
#include <errno.h>

#define FILE_A 100u
#define FILE_B 200u
#define UNTOLD 1

struct asker {
	struct lock_wait wait;
	int told;
	bool gone;
};

static struct locks *locks;

static void granted(struct lock_wait *w, int err)
{
	((struct asker *)w)->told = err;
}

static bool gone(struct lock_wait *w)
{
	return ((struct asker *)w)->gone;
}

static struct asker asker(void)
{
	return (struct asker){.wait = {.granted = granted, .gone = gone}, .told = UNTOLD};
}

static void start(void)
{
	cr_assert_eq(locks_new(&locks), 0);
}

static void end(void)
{
	locks_free(locks);
}

TestSuite(lock, .init = start, .fini = end);

static struct lock range(uint64_t owner, enum lock_type type, uint64_t from, uint64_t to)
{
	return (struct lock){.inode = FILE_A, .kind = LOCK_FCNTL, .type = type, .start = from, .end = to, .owner = owner,
		.handle = owner, .pid = (pid_t)owner};
}

static struct lock whole(uint64_t owner, enum lock_type type)
{
	struct lock l = range(owner, type, 0, LOCK_END);

	l.kind = LOCK_FLOCK;
	return l;
}

static int set(struct lock l)
{
	return locks_set(locks, &l, NULL);
}

static int set_or_wait(struct lock l, struct asker *a)
{
	return locks_set(locks, &l, &a->wait);
}

/* Whether owner 99 could have the byte, for itself or shared. */
static bool free_for(enum lock_type type, uint64_t byte)
{
	struct lock l = range(99, type, byte, byte);

	return locks_get(locks, &l).type == LOCK_NONE;
}

Test(lock, exclusive_keeps_others_out_and_shared_lets_sharers_in)
{
	cr_expect_eq(set(range(1, LOCK_SHARED, 0, 9)), 0);
	cr_expect_eq(set(range(2, LOCK_SHARED, 5, 14)), 0);
	cr_expect_eq(set(range(3, LOCK_EXCLUSIVE, 14, 20)), -EAGAIN);
	cr_expect_eq(set(range(3, LOCK_EXCLUSIVE, 15, 20)), 0);
	cr_expect_eq(set(range(1, LOCK_SHARED, 20, 20)), -EAGAIN);
}

Test(lock, files_do_not_see_each_other)
{
	struct lock other = range(2, LOCK_EXCLUSIVE, 0, LOCK_END);

	other.inode = FILE_B;
	cr_expect_eq(set(range(1, LOCK_EXCLUSIVE, 0, LOCK_END)), 0);
	cr_expect_eq(set(other), 0);
}

Test(lock, flock_and_fcntl_do_not_see_each_other)
{
	cr_expect_eq(set(whole(1, LOCK_EXCLUSIVE)), 0);
	cr_expect_eq(set(range(2, LOCK_EXCLUSIVE, 0, LOCK_END)), 0);
	cr_expect_eq(set(whole(3, LOCK_SHARED)), -EAGAIN);
}

Test(lock, unlocking_the_middle_leaves_both_sides)
{
	cr_expect_eq(set(range(1, LOCK_EXCLUSIVE, 10, 29)), 0);
	cr_expect_eq(set(range(1, LOCK_NONE, 15, 19)), 0);
	cr_expect(free_for(LOCK_EXCLUSIVE, 9));
	cr_expect_not(free_for(LOCK_SHARED, 10));
	cr_expect_not(free_for(LOCK_SHARED, 14));
	cr_expect(free_for(LOCK_EXCLUSIVE, 15));
	cr_expect(free_for(LOCK_EXCLUSIVE, 19));
	cr_expect_not(free_for(LOCK_SHARED, 20));
	cr_expect_not(free_for(LOCK_SHARED, 29));
	cr_expect(free_for(LOCK_EXCLUSIVE, 30));
}

Test(lock, a_part_changes_its_type)
{
	cr_expect_eq(set(range(1, LOCK_EXCLUSIVE, 0, LOCK_END)), 0);
	cr_expect_eq(set(range(1, LOCK_SHARED, 5, 9)), 0);
	cr_expect_not(free_for(LOCK_SHARED, 4));
	cr_expect(free_for(LOCK_SHARED, 5));
	cr_expect_not(free_for(LOCK_EXCLUSIVE, 9));
	cr_expect_not(free_for(LOCK_SHARED, 10));
}

Test(lock, neighbours_become_one)
{
	struct lock probe = range(99, LOCK_SHARED, 0, LOCK_END), found;

	cr_expect_eq(set(range(1, LOCK_EXCLUSIVE, 0, 9)), 0);
	cr_expect_eq(set(range(1, LOCK_EXCLUSIVE, 20, LOCK_END)), 0);
	cr_expect_eq(set(range(1, LOCK_EXCLUSIVE, 10, 19)), 0);
	found = locks_get(locks, &probe);
	cr_expect_eq(found.type, LOCK_EXCLUSIVE);
	cr_expect_eq(found.start, 0);
	cr_expect_eq(found.end, LOCK_END);
	cr_expect_eq(found.pid, 1);
}

Test(lock, who_waits_gets_it_when_it_is_given_up)
{
	struct asker a = asker();

	cr_expect_eq(set(range(1, LOCK_EXCLUSIVE, 0, 9)), 0);
	cr_expect_eq(set_or_wait(range(2, LOCK_EXCLUSIVE, 5, 5), &a), -EINPROGRESS);
	cr_expect_eq(set(range(1, LOCK_NONE, 0, 4)), 0);
	cr_expect_eq(a.told, UNTOLD);
	cr_expect_eq(set(range(1, LOCK_NONE, 5, 5)), 0);
	cr_expect_eq(a.told, 0);
	cr_expect_not(free_for(LOCK_SHARED, 5));
}

Test(lock, first_come_first_served)
{
	struct asker a = asker(), b = asker();

	cr_expect_eq(set(whole(1, LOCK_EXCLUSIVE)), 0);
	cr_expect_eq(set_or_wait(whole(2, LOCK_EXCLUSIVE), &a), -EINPROGRESS);
	cr_expect_eq(set_or_wait(whole(3, LOCK_EXCLUSIVE), &b), -EINPROGRESS);
	cr_expect_eq(set(whole(1, LOCK_NONE)), 0);
	cr_expect_eq(a.told, 0);
	cr_expect_eq(b.told, UNTOLD);
	cr_expect_eq(set(whole(2, LOCK_NONE)), 0);
	cr_expect_eq(b.told, 0);
}

Test(lock, sharing_an_exclusive_lock_lets_all_sharers_in)
{
	struct asker a = asker(), b = asker();

	cr_expect_eq(set(whole(1, LOCK_EXCLUSIVE)), 0);
	cr_expect_eq(set_or_wait(whole(2, LOCK_SHARED), &a), -EINPROGRESS);
	cr_expect_eq(set_or_wait(whole(3, LOCK_SHARED), &b), -EINPROGRESS);
	cr_expect_eq(set(whole(1, LOCK_SHARED)), 0);
	cr_expect_eq(a.told, 0);
	cr_expect_eq(b.told, 0);
}

Test(lock, two_who_both_want_to_upgrade_an_flock_do_not_wait_for_ever)
{
	struct asker a = asker(), b = asker();

	cr_expect_eq(set(whole(1, LOCK_SHARED)), 0);
	cr_expect_eq(set(whole(2, LOCK_SHARED)), 0);
	cr_expect_eq(set_or_wait(whole(1, LOCK_EXCLUSIVE), &a), -EINPROGRESS);
	cr_expect_eq(set_or_wait(whole(2, LOCK_EXCLUSIVE), &b), 0);
	cr_expect_eq(a.told, UNTOLD);
	cr_expect_eq(set(whole(2, LOCK_NONE)), 0);
	cr_expect_eq(a.told, 0);
}

Test(lock, a_circle_of_waits_is_a_deadlock)
{
	struct asker a = asker(), b = asker(), c = asker();

	cr_expect_eq(set(range(1, LOCK_EXCLUSIVE, 1, 1)), 0);
	cr_expect_eq(set(range(2, LOCK_EXCLUSIVE, 2, 2)), 0);
	cr_expect_eq(set(range(3, LOCK_EXCLUSIVE, 3, 3)), 0);
	cr_expect_eq(set_or_wait(range(1, LOCK_EXCLUSIVE, 2, 2), &a), -EINPROGRESS);
	cr_expect_eq(set_or_wait(range(2, LOCK_EXCLUSIVE, 3, 3), &b), -EINPROGRESS);
	cr_expect_eq(set_or_wait(range(3, LOCK_EXCLUSIVE, 1, 1), &c), -EDEADLK);
	locks_stop(locks, -ENOTCONN);
	cr_expect_eq(a.told, -ENOTCONN);
	cr_expect_eq(b.told, -ENOTCONN);
	cr_expect_eq(c.told, UNTOLD);
}

Test(lock, a_circle_is_found_through_each_of_several_holders)
{
	struct asker a = asker(), b = asker();

	cr_expect_eq(set(range(1, LOCK_EXCLUSIVE, 1, 1)), 0);
	cr_expect_eq(set(range(2, LOCK_SHARED, 2, 2)), 0);
	cr_expect_eq(set(range(3, LOCK_SHARED, 2, 2)), 0);
	cr_expect_eq(set_or_wait(range(3, LOCK_EXCLUSIVE, 1, 1), &a), -EINPROGRESS);
	cr_expect_eq(set_or_wait(range(1, LOCK_EXCLUSIVE, 2, 2), &b), -EDEADLK);
	cr_expect_eq(set(range(1, LOCK_NONE, 1, 1)), 0);
	cr_expect_eq(a.told, 0);
}

Test(lock, a_circle_that_a_grant_closes_ends_the_wait_in_it)
{
	struct asker one = asker(), two = asker(), b = asker();

	/* Owner 1 has two threads. */
	cr_expect_eq(set(range(2, LOCK_EXCLUSIVE, 2, 2)), 0);
	cr_expect_eq(set(range(3, LOCK_EXCLUSIVE, 3, 3)), 0);
	cr_expect_eq(set_or_wait(range(1, LOCK_EXCLUSIVE, 2, 2), &one), -EINPROGRESS);
	cr_expect_eq(set_or_wait(range(1, LOCK_EXCLUSIVE, 3, 3), &two), -EINPROGRESS);
	cr_expect_eq(set_or_wait(range(2, LOCK_EXCLUSIVE, 3, 3), &b), -EINPROGRESS);
	cr_expect_eq(set(range(3, LOCK_NONE, 3, 3)), 0);
	cr_expect_eq(two.told, 0);
	cr_expect(one.told == -EDEADLK || b.told == -EDEADLK);
	cr_expect(one.told == UNTOLD || b.told == UNTOLD);
	locks_stop(locks, -ENOTCONN);
}

Test(lock, a_circle_that_is_closed_without_waiting_ends_the_wait_in_it)
{
	struct asker one = asker(), b = asker();

	/* Owner 1 has two threads; its second one shares what 3 shares, before 2 who waits for it. */
	cr_expect_eq(set(range(2, LOCK_EXCLUSIVE, 2, 2)), 0);
	cr_expect_eq(set(range(3, LOCK_SHARED, 3, 3)), 0);
	cr_expect_eq(set_or_wait(range(1, LOCK_EXCLUSIVE, 2, 2), &one), -EINPROGRESS);
	cr_expect_eq(set_or_wait(range(2, LOCK_EXCLUSIVE, 3, 3), &b), -EINPROGRESS);
	cr_expect_eq(set(range(1, LOCK_SHARED, 3, 3)), 0);
	cr_expect(one.told == -EDEADLK || b.told == -EDEADLK);
	cr_expect(one.told == UNTOLD || b.told == UNTOLD);
	locks_stop(locks, -ENOTCONN);
}

Test(lock, a_grant_that_frees_a_range_lets_in_who_was_passed_over)
{
	struct asker a = asker(), b = asker();

	cr_expect_eq(set(range(1, LOCK_EXCLUSIVE, 0, 0)), 0);
	cr_expect_eq(set(range(2, LOCK_EXCLUSIVE, 1, 1)), 0);
	cr_expect_eq(set_or_wait(range(3, LOCK_SHARED, 1, 1), &a), -EINPROGRESS);
	/* Gives up 1 to itself by sharing 0 and 1 as soon as it may have 0. */
	cr_expect_eq(set_or_wait(range(2, LOCK_SHARED, 0, 1), &b), -EINPROGRESS);
	cr_expect_eq(set(range(1, LOCK_NONE, 0, 0)), 0);
	cr_expect_eq(b.told, 0);
	cr_expect_eq(a.told, 0);
}

Test(lock, a_wait_taken_back_ends_once_and_gets_nothing)
{
	struct asker a = asker();

	a.wait.key = &a;
	cr_expect_eq(set(whole(1, LOCK_EXCLUSIVE)), 0);
	cr_expect_eq(set_or_wait(whole(2, LOCK_EXCLUSIVE), &a), -EINPROGRESS);
	locks_cancel(locks, &a, -EINTR);
	cr_expect_eq(a.told, -EINTR);
	a.told = UNTOLD;
	cr_expect_eq(set(whole(1, LOCK_NONE)), 0);
	locks_cancel(locks, &a, -EINTR);
	cr_expect_eq(a.told, UNTOLD);
	cr_expect_eq(set(whole(3, LOCK_EXCLUSIVE)), 0);
}

Test(lock, who_has_given_up_already_is_not_parked)
{
	struct asker a = asker();

	a.gone = true;
	cr_expect_eq(set(whole(1, LOCK_EXCLUSIVE)), 0);
	cr_expect_eq(set_or_wait(whole(2, LOCK_EXCLUSIVE), &a), -EINTR);
	cr_expect_eq(set(whole(1, LOCK_NONE)), 0);
	cr_expect_eq(a.told, UNTOLD);
}

Test(lock, close_gives_up_the_owners_fcntl_locks_only)
{
	cr_expect_eq(set(range(1, LOCK_EXCLUSIVE, 0, 9)), 0);
	cr_expect_eq(set(range(2, LOCK_EXCLUSIVE, 10, 19)), 0);
	cr_expect_eq(set(whole(1, LOCK_EXCLUSIVE)), 0);
	locks_close(locks, FILE_B, 1);
	cr_expect_not(free_for(LOCK_SHARED, 0));
	locks_close(locks, FILE_A, 1);
	cr_expect(free_for(LOCK_EXCLUSIVE, 0));
	cr_expect_not(free_for(LOCK_SHARED, 10));
	cr_expect_eq(set(whole(3, LOCK_SHARED)), -EAGAIN);
}

Test(lock, release_gives_up_what_the_open_file_set_and_wakes)
{
	struct asker a = asker();

	cr_expect_eq(set(whole(1, LOCK_EXCLUSIVE)), 0);
	cr_expect_eq(set_or_wait(whole(2, LOCK_EXCLUSIVE), &a), -EINPROGRESS);
	locks_release(locks, FILE_A, 1);
	cr_expect_eq(a.told, 0);
}

Test(lock, there_is_a_limit)
{
	struct lock l = range(1, LOCK_SHARED, 0, 0);

	for (uint64_t i = 0; i < LOCKS_MAX; i++) {
		l.inode = i + 1;
		l.end = l.inode == FILE_A ? 9 : 0;
		cr_assert_eq(set(l), 0);
	}
	l.end = 0;
	l.inode = LOCKS_MAX + 1;
	cr_expect_eq(set(l), -ENOLCK);
	/* Giving up the middle of one would leave one more. */
	cr_expect_eq(set(range(1, LOCK_NONE, 5, 5)), -ENOLCK);
	l.inode = 1;
	l.type = LOCK_NONE;
	cr_expect_eq(set(l), 0);
	l.inode = LOCKS_MAX + 1;
	l.type = LOCK_SHARED;
	cr_expect_eq(set(l), 0);
}
