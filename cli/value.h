/*
 * value.h: values on the command line, which the control schema keeps as JSON.
 */
#ifndef CLI_VALUE_H
#define CLI_VALUE_H

/*
 * The JSON text of a word: the word itself where it is JSON. Any other is a string, or, for
 * value_list, the strings between its commas. From malloc; NULL, with the reason printed, when
 * it is no UTF-8 or memory is out.
 */
char *value_text(const char *word);
char *value_list(const char *word);

#endif
