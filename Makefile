# The two commands are `make run` and `make check`; the rest is for people who work on Slipway.
BUILD ?= build
CHECK_BUILD ?= build-check

.PHONY: all run demo-minitwit check check-long bench clean clean-run deps install deb format analyse fuzz mutants

all: deps
	@tools/build $(BUILD)

run: deps
	@tools/build $(BUILD)
	@tools/run $(BUILD)

demo-minitwit: deps
	@tools/build $(BUILD)
	@tools/demo-minitwit $(BUILD)

clean-run:
	@tools/clean-run

check: deps
	@tools/check $(CHECK_BUILD)

check-long: deps
	@tools/check-long

bench: deps
	@tools/bench $(BUILD)

analyse: deps
	@tools/analyse

mutants: deps
	@tools/mutants --jobs "$$(nproc)"

fuzz: deps
	@tools/fuzz 60

install: all
	@ninja -C $(BUILD) --quiet installed
	@meson install -C $(BUILD) --no-rebuild --quiet

deb: deps
	@tools/deb

format:
	@clang-format -i $$(git ls-files 'src/*.[ch]' 'tests/*.[ch]')

deps:
	@tools/install-deps $(if $(filter check check-long bench analyse mutants fuzz,$(MAKECMDGOALS)),test) $(if $(filter check-long bench analyse mutants,$(MAKECMDGOALS)),work)
	@$(if $(filter check check-long,$(MAKECMDGOALS)),tools/install-verifiers)

clean:
	@rm -rf build build-*
