/* Buffers, encodings, uuids, UTF-8, the hash and the list. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/utf8.h"
#include "base/uuid.h"

/* ---- buf ---- */

Test(buf, holds_no_memory_until_it_must)
{
	struct buf buf;

	buf_init(&buf);
	cr_assert_null(buf.memory);
	cr_assert_eq(buf_len(&buf), 0);
	cr_assert(buf_append(&buf, "abc", 3));
	buf_consume(&buf, 3);
	cr_assert_null(buf.memory, "the last byte that leaves must give the memory back");
	buf_fini(&buf);
}

Test(buf, writes_integers_in_network_order)
{
	static const uint8_t expected[] = {7, 0x01, 0x02, 0xfe, 0xdc, 0xba, 0x98, 'h', 'i', 0};
	struct buf buf;

	buf_init(&buf);
	cr_assert(buf_append_byte(&buf, 7));
	cr_assert(buf_append_u16(&buf, 0x0102));
	cr_assert(buf_append_u32(&buf, 0xfedcba98));
	cr_assert(buf_append_cstr(&buf, "hi"));
	cr_assert_eq(buf_len(&buf), sizeof expected);
	cr_assert_eq(memcmp(buf_data(&buf), expected, sizeof expected), 0);
	buf_fini(&buf);
}

Test(buf, is_a_queue_over_many_growths)
{
	struct buf buf;
	uint32_t in = 0, out = 0;

	buf_init(&buf);
	for (int round = 0; round < 2000; round++) {
		for (int i = 0; i < round % 37 + 1; i++, in++)
			cr_assert(buf_append(&buf, &in, sizeof in));
		for (int i = 0; i < round % 23 && buf_len(&buf); i++, out++) {
			cr_assert_eq(memcmp(buf_data(&buf), &out, sizeof out), 0);
			buf_consume(&buf, sizeof out);
		}
	}
	cr_assert_eq(buf_len(&buf), (in - out) * sizeof in);
	for (; buf_len(&buf); out++) {
		cr_assert_eq(memcmp(buf_data(&buf), &out, sizeof out), 0);
		buf_consume(&buf, sizeof out);
	}
	cr_assert_eq(in, out);
}

Test(buf, formats_without_a_nul_and_truncates)
{
	struct buf buf;

	buf_init(&buf);
	cr_assert(buf_appendf(&buf, "%s-%d", "x", 42));
	cr_assert(buf_appendf(&buf, "%s", ""));
	cr_assert_eq(buf_len(&buf), 4);
	cr_assert_eq(memcmp(buf_data(&buf), "x-42", 4), 0);
	buf_truncate(&buf, 9);
	cr_assert_eq(buf_len(&buf), 4, "a buffer does not grow by being truncated");
	buf_truncate(&buf, 1);
	cr_assert_eq(buf_len(&buf), 1);
	buf_consume(&buf, 100);
	cr_assert_eq(buf_len(&buf), 0);
	buf_fini(&buf);
}

Test(buf, refuses_what_cannot_be)
{
	struct buf buf;

	buf_init(&buf);
	cr_assert(buf_append(&buf, "a", 1));
	cr_assert_not(buf_reserve(&buf, SIZE_MAX));
	cr_assert_not(buf_reserve(&buf, SIZE_MAX / 2));
	cr_assert_eq(buf_len(&buf), 1, "a failed reservation must leave the bytes alone");
	cr_assert_eq(*buf_data(&buf), 'a');
	buf_wipe(&buf);
	cr_assert_null(buf.memory);
}

/* ---- encode ---- */

Test(hex, goes_there_and_back)
{
	uint8_t bytes[256], back[256];
	char text[513];

	for (int i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	hex_encode(bytes, sizeof bytes, text);
	cr_assert_eq(strlen(text), 512);
	cr_assert_eq(strncmp(text, "000102030405060708090a0b0c0d0e0f10", 34), 0);
	cr_assert(hex_decode(text, 512, back));
	cr_assert_eq(memcmp(bytes, back, sizeof bytes), 0);
	cr_assert(hex_decode("AbCd", 4, back));
	cr_assert_eq(memcmp(back, "\xab\xcd", 2), 0);
	cr_assert_not(hex_decode("abc", 3, back));
	cr_assert_not(hex_decode("ag", 2, back));
	cr_assert_not(hex_decode("a\0", 2, back));
}

/* RFC 4648, section 10. */
Test(base64, agrees_with_the_rfc)
{
	static const char *const vectors[][2] = {{"", ""},
											 {"f", "Zg=="},
											 {"fo", "Zm8="},
											 {"foo", "Zm9v"},
											 {"foob", "Zm9vYg=="},
											 {"fooba", "Zm9vYmE="},
											 {"foobar", "Zm9vYmFy"}};

	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		const char *plain = vectors[i][0], *coded = vectors[i][1];
		char text[BASE64_SIZE(6)], back[6];
		size_t len = base64_encode(plain, strlen(plain), text);

		cr_assert_str_eq(text, coded);
		cr_assert_eq(len, strlen(coded));
		cr_assert_eq(base64_decode(coded, len, back, sizeof back), (long)strlen(plain));
		cr_assert_eq(memcmp(back, plain, strlen(plain)), 0);
	}
}

Test(base64, refuses_every_other_spelling)
{
	static const char *const wrong[] = {"Zg=",      "Zg",   "Zh==", "Zm9=",   "====", "Z===",
										"Zg==Zg==", "Zg=a", "Zm 9", "Zm9v\n", "Zm9-", "Z=g="};
	char out[16];

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		cr_expect_eq(base64_decode(wrong[i], strlen(wrong[i]), out, sizeof out), -1, "%s",
					 wrong[i]);
	cr_assert_eq(base64_decode("Zm9vYmFy", 8, out, 5), -1, "six bytes do not fit in five");
	cr_assert_eq(base64_decode("Zm\0v", 4, out, sizeof out), -1);
}

/* ---- uuid ---- */

Test(uuid, reads_both_forms_and_writes_lower_case)
{
	struct uuid dashed, plain;
	char hex[UUID_HEX_SIZE], text[UUID_TEXT_SIZE];

	cr_assert(uuid_parse("0190A1b2-c3d4-7e5f-8091-a2b3c4d5e6f7", 36, &dashed));
	cr_assert(uuid_parse("0190a1b2c3d47e5f8091a2b3c4d5e6f7", 32, &plain));
	cr_assert(uuid_equal(&dashed, &plain));
	uuid_hex(&dashed, hex);
	cr_assert_str_eq(hex, "0190a1b2c3d47e5f8091a2b3c4d5e6f7");
	uuid_text(&dashed, text);
	cr_assert_str_eq(text, "0190a1b2-c3d4-7e5f-8091-a2b3c4d5e6f7");
	plain.b[15] ^= 1;
	cr_assert_not(uuid_equal(&dashed, &plain));
}

Test(uuid, refuses_other_texts_and_leaves_the_target_alone)
{
	static const char *const wrong[] = {"",
										"acme",
										"0190a1b2c3d47e5f8091a2b3c4d5e6f",
										"0190a1b2c3d47e5f8091a2b3c4d5e6fg",
										"0190a1b2c3d4-7e5f-8091-a2b3-c4d5e6f7",
										"0190a1b2-c3d4-7e5f-8091-a2b3c4d5e6-7",
										"0190a1b2-c3d4-7e5f-8091+a2b3c4d5e6f7",
										"{0190a1b2-c3d4-7e5f-8091-a2b3c4d5e6f}"};
	struct uuid out, before;

	memset(&out, 0x5a, sizeof out);
	before = out;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		cr_expect_not(uuid_parse(wrong[i], strlen(wrong[i]), &out), "%s", wrong[i]);
	cr_assert(uuid_equal(&out, &before));
}

/* ---- utf8 ---- */

Test(utf8, accepts_what_the_rfc_allows)
{
	static const char *const fine[] = {"",
									   "plain",
									   "\xc2\x80",
									   "\xdf\xbf",
									   "\xe0\xa0\x80",
									   "\xed\x9f\xbf",
									   "\xee\x80\x80",
									   "\xef\xbf\xbf",
									   "\xf0\x90\x80\x80",
									   "\xf4\x8f\xbf\xbf",
									   "a\xc3\xa4z"};

	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
		cr_expect(utf8_valid(fine[i], strlen(fine[i])), "case %zu", i);
	cr_assert(utf8_valid("a\0b", 3));
}

Test(utf8, refuses_overlong_surrogates_and_pieces)
{
	static const char *const wrong[] = {"\x80",
										"\xbf",
										"\xc0\x80",
										"\xc1\xbf",
										"\xc2",
										"\xc2z",
										"\xe0\x9f\xbf",
										"\xed\xa0\x80",
										"\xed\xbf\xbf",
										"\xe2\x82",
										"\xe2\x28\xa1",
										"\xf0\x8f\xbf\xbf",
										"\xf0\x9f\x98",
										"\xf4\x90\x80\x80",
										"\xf5\x80\x80\x80",
										"\xff",
										"ok\xfe"};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		cr_expect_not(utf8_valid(wrong[i], strlen(wrong[i])), "case %zu", i);
	cr_assert_eq(utf8_character("\xe2\x82\xac", 2), 0, "the third byte is not there");
	cr_assert_eq(utf8_character("\xe2\x82\xac", 3), 3);
	cr_assert_eq(utf8_character("", 0), 0);
}

/* ---- hash ---- */

/* From CPython, which hashes strings so: key of zeros (PYTHONHASHSEED=0), message of n bytes
 * 00, 01, 02 … */
Test(siphash, agrees_with_another_implementation)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} vectors[] = {
		{1, 0x68a914128e01e473},  {7, 0x2f098ab0c751325a},  {8, 0xead411e67ebe2eea},
		{15, 0xf30eb725bb91c9ea}, {16, 0x8972188433a5c5b7}, {63, 0x385d3e39e5f37359},
	};
	uint8_t key[16] = {0}, message[64];

	for (size_t i = 0; i < sizeof message; i++)
		message[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
		cr_expect_eq(siphash(key, message, vectors[i].len), vectors[i].hash, "length %zu",
					 vectors[i].len);
	memcpy(key, message, sizeof key);
	cr_expect_eq(siphash(key, message, 0), 0xabac0158050fc4dc);
}

Test(siphash, is_stable_within_the_process_and_reads_the_length)
{
	cr_assert_eq(hash_bytes("tenant", 6), hash_bytes("tenant", 6));
	cr_assert_neq(hash_bytes("tenant", 6), hash_bytes("tenant", 5));
	cr_assert_neq(hash_bytes("\0", 1), hash_bytes("\0\0", 2));
}

/* ---- list ---- */

struct item {
	int value;
	struct list node;
};

Test(list, keeps_order_and_lets_go)
{
	struct list list;
	struct item items[4] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 0}};
	int seen = 0, expected = 0;

	list_init(&list);
	cr_assert(list_empty(&list));
	cr_assert_null(list_first(&list, struct item, node));
	for (int i = 0; i < 3; i++)
		list_append(&list, &items[i].node);
	list_prepend(&list, &items[3].node);
	cr_assert_eq(list_first(&list, struct item, node), &items[3]);
	list_each (node, after, &list) {
		cr_assert_eq(list_entry(node, struct item, node)->value, expected++);
		if (expected % 2)
			list_remove(node);
		seen++;
	}
	cr_assert_eq(seen, 4);
	cr_assert_eq(list_first(&list, struct item, node), &items[0]);
	list_remove(&items[3].node); /* once more does no harm */
	list_remove(&items[0].node);
	list_remove(&items[2].node);
	cr_assert(list_empty(&list));
}
