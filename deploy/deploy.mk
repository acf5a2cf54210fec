# What becomes of the program beyond this folder; included by the Makefile at the top.

# Both need root, and some minutes; ARGS='--cache DIR' keeps the unpacked Debian.
.PHONY: image-check deb-check
image-check:
	@deploy/install-packages image-check
	@PYTHON=$(PYTHON) tests/image-check $(ARGS)

deb-check: deb
	@deploy/install-packages image-check
	@PYTHON=$(PYTHON) tests/deb-check $(ARGS)

# The Debian package, in build/deb.
.PHONY: deb
deb: build-deps
	@deploy/install-packages deb
	@rm -rf build/deb
	@deploy/make-deb build/deb
