#include "policy/parse_memory.h"

#include <setjmp.h>
#include <stdlib.h>

/* The library's, which has it for each thread: where its errors jump to. The server's headers
 * say otherwise, so they are not used here. */
extern __thread void *PG_exception_stack;

/* Where to go when memory is out. The library knows nothing that it could hand through. */
static __thread jmp_buf *recovery;

/* What the library's malloc is linked to, and ours in policy/parse*.c: ld's --wrap. */
void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	void *memory = __real_malloc(size);

	if (!memory && recovery)
		longjmp(*recovery, 1);
	return memory;
}

bool parse_or_recover(void (*work)(void *), void *data)
{
	void *volatile stack = PG_exception_stack;
	jmp_buf here;

	if (setjmp(here) == 0) {
		recovery = &here;
		work(data);
		recovery = NULL;
		return true;
	}
	recovery = NULL;
	PG_exception_stack = stack;
	return false;
}
