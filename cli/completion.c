#include "cli/cli.h"
int cmd_completion(int argc, char **argv){(void)argc;(void)argv;return 2;}
int cmd_man(int argc, char **argv){(void)argc;(void)argv;return 2;}
