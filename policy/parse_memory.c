#include "policy/parse_memory.h"

#include <setjmp.h>
#include <stdlib.h>

/* The library's, which has it for each thread: where its errors jump to. The server's headers
 * say otherwise, so they are not used here. */
extern __thread void *PG_exception_stack;

/* Where to go when memory is out. The library knows nothing that it could hand through. */
static __thread jmp_buf *recovery;

/* What the library's beginning is served from: blocks that were got before. */
#define RESERVE_BLOCKS 4
#define RESERVE_BYTES  ((size_t)16 << 10)

static __thread struct {
	void *blocks[RESERVE_BLOCKS];
	int left;
	bool is_begun;
} start;

/* What the library's malloc is linked to, and ours in policy/parse*.c: ld's --wrap. */
void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	void *memory;

	if (start.left && size <= RESERVE_BYTES)
		return start.blocks[--start.left];
	memory = __real_malloc(size);
	if (!memory && recovery)
		longjmp(*recovery, 1);
	return memory;
}

static void give_reserve_back(void)
{
	while (start.left)
		free(start.blocks[--start.left]);
}

bool parse_begin(void (*begin)(void))
{
	int count = 0;

	if (start.is_begun)
		return true;
	while (count < RESERVE_BLOCKS && (start.blocks[count] = __real_malloc(RESERVE_BYTES)))
		count++;
	start.left = count;
	if (count == RESERVE_BLOCKS) {
		begin();
		start.is_begun = true;
	}
	give_reserve_back();
	return start.is_begun;
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
