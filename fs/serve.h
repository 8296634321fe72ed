/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.h - the threads that read requests from the kernel and run them.
 *
 * One worker at a time, the leader, reads requests and runs them itself, as nothing that waits for a commit blocks a thread; the
 * others sit on the bench. Two sleeping threads less a request are a third of a FUSE write's time, hence three habits. The
 * leader looks for the next request for some microseconds before it sleeps, as long as that finds one. It hands the lead to
 * the bench only when it may be away for long: before requests of a kind that has lately been slow (a cold disk, a big copy), and
 * after a millisecond in any request, which the watch thread sees; or when a request says so itself. And a second worker reads beside it only in a crowd: from when
 * requests have been waiting many times in a row until none is. An idle mount wakes nobody up.
 *
 * Calling  serve_start(&s, session, 4); r = serve_wait(s, fds, 2); ...; serve_stop(s)
 * Errors   negative errno.
 * Threads  start, wait and stop from one thread.
 */
#ifndef MQFS_FS_SERVE_H
#define MQFS_FS_SERVE_H

#define SERVE_FDS 4              /* to wait for, at most */

struct fuse_session;
struct serve;

/* Requests of the mounted SESSION are answered from here on. */
int serve_start(struct serve **s, struct fuse_session *session, unsigned workers);
/* Until the session is over by itself (0: unmounted), or one of the COUNT descriptors at FDS is readable (1 + its place, the first of them). Requests
 * are answered on. */
int serve_wait(struct serve *s, const int *fds, int count);
/* From a request that is answered, and has more to do that may take long: somebody else reads from here on. Nothing, for other threads. */
void serve_answered(void);
/* Joins the workers; no request is running or answered by them afterwards. */
void serve_stop(struct serve *s);

#endif
