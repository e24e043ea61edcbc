#!/bin/sh
# Builds `dist/`: the command line in `dist/cli`, in few files, beside it the library, module by module, and the console's
# page in `dist/console`. All at once, and without checking types, which is `npm run check`: a clean clone waits for this.
# `npm run build` and npm's `prepare` call it, so that installing needs no second npm.
tsc -p tsconfig.build.json --noCheck &
library=$!
rolldown --config >/dev/null && cp console/index.html console/icon.svg dist/console/ &&
  cat node_modules/uplot/dist/uPlot.min.css console/app.css >dist/console/app.css &&
  cat node_modules/preact/LICENSE node_modules/uplot/LICENSE >dist/console/LICENSES.txt && wait "$library"
