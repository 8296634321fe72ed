/* SPDX-License-Identifier: Apache-2.0 */
#include "ending.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ending_init(struct ending *e)
{
	memset(e, 0, sizeof *e);
	pthread_mutex_init(&e->lock, NULL);
}

void ending_destroy(struct ending *e)
{
	pthread_mutex_destroy(&e->lock);
}

int ending_set(struct ending *e, int err, uint32_t code, const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&e->lock);
	if (!e->err) {
		e->err = err;
		e->code = code;
		e->said = code == ENDING_QUIET;
		va_start(args, format);
		vsnprintf(e->why, sizeof e->why, format, args);
		va_end(args);
	}
	err = e->err;
	pthread_mutex_unlock(&e->lock);
	return err;
}

int ending_say(struct ending *e, struct frame *f, struct iovec *iov, int *n)
{
	struct frame_error_text text = {0};
	int len, err;

	pthread_mutex_lock(&e->lock);
	err = e->err;
	if (err && !e->said) {
		e->said = true;
		text.error = e->code;
		memcpy(text.reason, e->why, sizeof text.reason);
		len = frame_put_error(&text, e->body, sizeof e->body);
		if (len > 0) {
			f->type = FRAME_ERROR;
			iov[0] = (struct iovec){e->body, (size_t)len};
			*n = 1;
			err = 1;
		}
	}
	pthread_mutex_unlock(&e->lock);
	return err;
}

int ending_heard(struct ending *e, const struct frame *f, const void *body)
{
	struct frame_error_text text;
	int err = frame_get_error(&text, body, f->length);

	if (err)
		return ending_set(e, err, FRAME_DAMAGED, "an ERROR frame that is none came");
	return ending_set(e, -ECONNABORTED, ENDING_QUIET, "the other side has ended the link: %.*s", (int)(FRAME_REASON - 64), text.reason);
}

void ending_why(struct ending *e, char to[FRAME_REASON])
{
	pthread_mutex_lock(&e->lock);
	memcpy(to, e->why, FRAME_REASON);
	pthread_mutex_unlock(&e->lock);
}
