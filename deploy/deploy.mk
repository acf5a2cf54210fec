# What becomes of the program outside this folder; included by the Makefile at the top.

.PHONY: image-check deb deb-check
# Needs root, and some minutes; ARGS='--cache DIR' keeps the unpacked Debian .
image-check:
	@deploy/install-packages image-check
	@PYTHON=$(PYTHON) tests/image-check $(ARGS)
