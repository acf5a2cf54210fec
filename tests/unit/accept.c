/* Which of two forms an Accept header asks for. */
#include <criterion/criterion.h>

#include "admin/accept.h"

#define OM "application/openmetrics-text"

Test(accept, openmetrics_is_named_and_weighs_no_less)
{
	static const char *const wanted[] = {
		OM,
		OM "; version=1.0.0",
		OM ";version=\"2,0\", " OM ";q=0.1",
		"Application/OpenMetrics-Text ; Version=1.0.0 ; Q=0.5, text/plain; q=0.5",
		OM ";q=0.001",
		OM ";q=0.9,*/*;q=0.8",
		/* what Prometheus 2 and 3 send */
		OM ";version=1.0.0;q=0.8," OM ";version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,"
		   "*/*;q=0.1",
		OM ";version=1.0.0;escaping=allow-utf-8;q=0.6," OM ";version=0.0.1;q=0.5,"
		   "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,"
		   "*/*;q=0.2",
	};

	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		cr_expect(accept_prefers_openmetrics(wanted[i]), "%s", wanted[i]);
}

Test(accept, anything_else_is_the_text_format)
{
	static const char *const others[] = {
		"",
		"*/*",
		"text/plain",
		"text/html, application/xhtml+xml, */*;q=0.8",
		OM ";q=0",
		OM ";q=0.000, */*",
		OM ";version=0.0.1",
		OM ";version=2.0.0, text/plain",
		OM ";q=0.4,text/plain;version=0.0.4;q=0.5",
		OM ";q=0.4,*/*;q=0.5",
		OM ";q=2",
		OM ";q=-1",
		OM ";q=0.1234",
		OM ";q=",
		OM ";q",
		OM ";q=a",
		OM "x",
		";,;=,\"" OM,
		"\"\\",
	};

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		cr_expect(!accept_prefers_openmetrics(others[i]), "%s", others[i]);
}
