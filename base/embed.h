/*
 * embed.h: a file's bytes as a constant of the program.
 *
 *	EMBED_TEXT(schema_sql, "admin/migrations/0001_schema.sql");
 *
 * declares `static const char *const schema_sql`, the file's content with a NUL behind it. The
 *path counts from the top of the source tree, where the compiler is run. The compiler's
 *dependency files do not name embedded files: the Makefile has a rule for them.
 */
#ifndef BASE_EMBED_H
#define BASE_EMBED_H

#define EMBED_TEXT(name, path)                                                                 \
	__asm__(".pushsection .rodata\n"                                                           \
			".type embed_" #name ", %object\n"                                                 \
			"embed_" #name ":\n"                                                               \
			".incbin \"" path "\"\n"                                                           \
			".byte 0\n"                                                                        \
			".size embed_" #name ", . - embed_" #name "\n.popsection\n");                      \
	extern const char embed_##name[] __attribute__((visibility("hidden")));                    \
	static const char *const name = embed_##name

#endif
