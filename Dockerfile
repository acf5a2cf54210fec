# Bulkhead's image: docs/deploy.md, "Container". make image-check carries these steps out without an engine.
FROM debian:12-slim AS build
WORKDIR /src
COPY deploy/install-packages deploy/packages deploy/
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends make && deploy/install-packages build
COPY . .
ARG VERSION=unknown
RUN make -j"$(nproc)" VERSION="$VERSION" && make install-strip VERSION="$VERSION" PREFIX=/usr DESTDIR=/out

FROM debian:12-slim
COPY deploy/install-packages deploy/packages /tmp/deploy/
RUN /tmp/deploy/install-packages runtime && rm -rf /tmp/deploy /var/lib/apt/lists/* /var/cache/apt/*.bin
RUN groupadd --system --gid 6432 bulkhead \
	&& useradd --system --uid 6432 --gid 6432 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin bulkhead \
	&& install -d -m 0755 /etc/bulkhead \
	&& install -d -o bulkhead -g bulkhead -m 0700 /etc/bulkhead/keys /var/lib/bulkhead \
	&& install -d -o bulkhead -g bulkhead -m 0755 /run/bulkhead
COPY --from=build /out/usr/ /usr/
COPY conf/bulkhead.ini /etc/bulkhead/

# All that is ever written: keys by `init`, the directory's snapshot, the unix socket. The rest may be read-only.
VOLUME ["/etc/bulkhead/keys", "/var/lib/bulkhead", "/run/bulkhead"]
USER 6432:6432
EXPOSE 6432 6490
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
	CMD ["bulkhead", "healthcheck", "-c", "/etc/bulkhead/bulkhead.ini"]
ENTRYPOINT ["bulkhead"]
CMD ["serve", "-c", "/etc/bulkhead/bulkhead.ini"]
