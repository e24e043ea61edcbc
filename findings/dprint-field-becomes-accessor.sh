#!/usr/bin/env bash
# dprint: without semicolons, formatting a class makes an accessor or a static method of the method behind a field.
#
# Versions:  dprint 0.54.0, @dprint/typescript 0.96.1, prettier 3.10.1, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  `"semiColons": "asi"` leaves out the semicolons that a program does not need, and keeps or moves the rest:
#            a line that begins with a bracket gets one in front, a field before a generator method keeps its own.
# Happens:   a field without a value whose name is `get`, `set` or `static` loses its semicolon, and the line break
#            with it. It becomes the first word of what follows: `get; size() {…}` is a getter `size` then, and
#            calls of `size()` fail; a static method is gone from every instance. The file is formatted, exit code 0.
#            Prettier's `--no-semi` keeps these semicolons. A value or a type (`get = undefined`) helps.
# Setup:     three classes with such a field and a method behind it. A line is what each of them has.
# Output:    source: get, size() | static, open() | set, items()
#            prettier, no-semi: get, size() | static, open() | set, items()
#            dprint, asi: getter size | static open() | setter items
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error dprint@0.54.0 @dprint/typescript@0.96.1 \
  prettier@3.10.1 "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
export PATH="$folder/node_modules/node/bin:$PATH" DPRINT_CACHE_DIR="$folder/cache"

cat >source.mjs <<'JS'
export default [
  class {
    get;
    size() {
      return 1
    }
  },
  class {
    static;
    open() {
      return 1
    }
  },
  class {
    set;
    items(list) {
      return list
    }
  }
]
JS
cat >dprint.json <<'JSON'
{ "typescript": { "semiColons": "asi" }, "plugins": ["./node_modules/@dprint/typescript/plugin.wasm"] }
JSON
cp source.mjs dprint.mjs
node node_modules/dprint/bin.cjs fmt dprint.mjs >/dev/null 2>&1
node node_modules/prettier/bin/prettier.cjs --no-semi source.mjs >prettier.mjs

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"

// What a class has: fields of its instances, methods, accessors and what is static.
const look = async (what, file) => {
  const { default: classes } = await import(file)
  const lists = classes.map((Class) => {
    const own = Object.getOwnPropertyDescriptors(Class.prototype)
    const fields = Object.keys(new Class())
    const methods = Object.entries(own).filter(([name]) => name !== "constructor").map(([name, { get, set }]) =>
      get ? `getter ${name}` : set ? `setter ${name}` : `${name}()`
    )
    const statics = Object.getOwnPropertyNames(Class).filter((name) => !["length", "name", "prototype"].includes(name))
    return [...fields, ...methods, ...statics.map((name) => `static ${name}()`)].join(", ")
  })
  console.log(`${what}: ${lists.join(" | ")}`)
  return lists.join(" | ")
}
const source = await look("source", "./source.mjs")
assert.equal(await look("prettier, no-semi", "./prettier.mjs"), source, "the behaviour has changed")
assert.equal(
  await look("dprint, asi", "./dprint.mjs"),
  "getter size | static open() | setter items",
  "the behaviour has changed"
)
JS
timeout 60 node finding.mjs
