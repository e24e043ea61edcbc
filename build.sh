#!/bin/sh
# Builds `dist/`: the command line in `dist/cli`, in few files, and beside it the library, module by module. Both at once,
# and without checking types, which is `npm run check`: a clean clone waits for this.
# `npm run build` and npm's `prepare` call it, so that installing needs no second npm.
tsc -p tsconfig.build.json --noCheck &
library=$!
rolldown --config >/dev/null && wait "$library"
