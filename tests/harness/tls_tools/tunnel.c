/* tunnel TARGETPORT LISTENPORT: one plain connection carried inside TLS, with a KeyUpdate
 * (answer requested) every 64 writes and reads. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static struct sockaddr_in at(int p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(p)};
	inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
	return a;
}
int main(int c, char **v)
{
	(void)c;
	signal(SIGPIPE, SIG_IGN);
	struct sockaddr_in t = at(atoi(v[1])), l = at(atoi(v[2]));
	int one = 1, every = atoi(v[3]);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(s, (void *)&l, sizeof l) || listen(s, 1))
		return 1;
	printf("up\n");
	fflush(stdout);
	int p = accept(s, 0, 0), f = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(f, (void *)&t, sizeof t))
		return 2;
	unsigned char r[8] = {0, 0, 0, 8, 4, 210, 22, 47}, x;
	if (write(f, r, 8) != 8 || read(f, &x, 1) != 1)
		return 3;
	SSL *q = SSL_new(SSL_CTX_new(TLS_client_method()));
	SSL_set_fd(q, f);
	if (SSL_connect(q) != 1)
		return 4;
	fcntl(f, F_SETFL, O_NONBLOCK);
	fcntl(p, F_SETFL, O_NONBLOCK);
	SSL_set_mode(q, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	static char up[16384], down[16384];
	size_t ul = 0, uo = 0, dl = 0, dO = 0;
	long n = 0;
	int pe = 0, fe = 0;
	while (!fe || dl) {
		int did = 0;
		if (!ul && !pe) {
			ssize_t k = read(p, up, sizeof up);
			if (k > 0) {
				ul = k;
				uo = 0;
				did = 1;
			} else if (k == 0) {
				pe = 1;
				SSL_shutdown(q);
				return 0;
			}
		}
		if (ul) {
			size_t w;
			if (SSL_write_ex(q, up + uo, ul - uo, &w)) {
				uo += w;
				if (uo == ul)
					ul = 0;
				did = 1;
				if (++n % every == 0)
					SSL_key_update(q, SSL_KEY_UPDATE_REQUESTED);
			}
		}
		if (!dl && !fe) {
			size_t w;
			if (SSL_read_ex(q, down, sizeof down, &w)) {
				dl = w;
				dO = 0;
				did = 1;
				if (!ul && ++n % every == 0) {
					SSL_key_update(q, SSL_KEY_UPDATE_REQUESTED);
					SSL_do_handshake(q);
				}
			} else {
				int e = SSL_get_error(q, 0);
				if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
					fprintf(stderr, "end %d\n", e);
					fe = 1;
					shutdown(p, SHUT_WR);
				}
			}
		}
		if (dl) {
			ssize_t k = write(p, down + dO, dl - dO);
			if (k > 0) {
				dO += k;
				if (dO == dl)
					dl = 0;
				did = 1;
			}
		}
		if (!did)
			usleep(300);
	}
	return 0;
}
