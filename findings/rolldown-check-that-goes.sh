#!/usr/bin/env bash
# rolldown: a call that is there for its error alone is left out of the bundle, so that a check accepts everything.
#
# Versions:  rolldown 1.2.19, rollup 4.68.8, esbuild 0.28.2, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a bundle does what its sources do. `decodeURIComponent(text)` as a statement is a common check of a URL: it
#            throws for what encodes no text, and a bundler that knows that `JSON.parse` may throw knows it of this one.
# Happens:   rolldown takes `decodeURIComponent`, `encodeURIComponent` and `String.fromCodePoint` for free of effects. It
#            drops such a call where its value is not used, also within a `try`: the check stands in the bundle and is
#            empty, though nothing was to be minified. rollup keeps what is in a `try` itself, and drops even more where
#            the `try` is around a function that makes the call. Tests of the sources pass and those of the bundle fail.
#            esbuild keeps all, and all keep a call whose value is used: return it, or compare it.
# Setup:     seven checks, each with an argument that its call refuses, once with the call in the `try` and once in a
#            function that is called there.
# Output:    sources: none; by a function: none
#            rolldown: decodeURIComponent encodeURIComponent String.fromCodePoint; by a function: decodeURIComponent encodeURIComponent String.fromCodePoint
#            rollup: none; by a function: decodeURIComponent encodeURIComponent String.fromCodePoint new RegExp normalize
#            esbuild: none; by a function: none
#            with the value used: none, none, none, none
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error rolldown@1.2.19 rollup@4.68.8 esbuild@0.28.2 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >sources.mjs <<'JS'
const refuses = (call) => {
  try {
    call()
    return false
  } catch {
    return true
  }
}
const checks = [
  {
    name: "decodeURIComponent",
    wrong: "%FF",
    accepts: (wrong) => {
      try {
        decodeURIComponent(wrong)
        return true
      } catch {
        return false
      }
    },
    call: (wrong) => {
      decodeURIComponent(wrong)
    },
    used: (wrong) => decodeURIComponent(wrong)
  },
  {
    name: "encodeURIComponent",
    wrong: "\ud800",
    accepts: (wrong) => {
      try {
        encodeURIComponent(wrong)
        return true
      } catch {
        return false
      }
    },
    call: (wrong) => {
      encodeURIComponent(wrong)
    },
    used: (wrong) => encodeURIComponent(wrong)
  },
  {
    name: "String.fromCodePoint",
    wrong: -1,
    accepts: (wrong) => {
      try {
        String.fromCodePoint(wrong)
        return true
      } catch {
        return false
      }
    },
    call: (wrong) => {
      String.fromCodePoint(wrong)
    },
    used: (wrong) => String.fromCodePoint(wrong)
  },
  {
    name: "new RegExp",
    wrong: "(",
    accepts: (wrong) => {
      try {
        new RegExp(wrong)
        return true
      } catch {
        return false
      }
    },
    call: (wrong) => {
      new RegExp(wrong)
    },
    used: (wrong) => new RegExp(wrong)
  },
  {
    name: "normalize",
    wrong: "x",
    accepts: (wrong) => {
      try {
        "a".normalize(wrong)
        return true
      } catch {
        return false
      }
    },
    call: (wrong) => {
      "a".normalize(wrong)
    },
    used: (wrong) => "a".normalize(wrong)
  },
  {
    name: "new URL",
    wrong: "no url",
    accepts: (wrong) => {
      try {
        new URL(wrong)
        return true
      } catch {
        return false
      }
    },
    call: (wrong) => {
      new URL(wrong)
    },
    used: (wrong) => new URL(wrong)
  },
  {
    name: "JSON.parse",
    wrong: "{",
    accepts: (wrong) => {
      try {
        JSON.parse(wrong)
        return true
      } catch {
        return false
      }
    },
    call: (wrong) => {
      JSON.parse(wrong)
    },
    used: (wrong) => JSON.parse(wrong)
  }
]
const accepting = (test) => checks.filter(test).map(({ name }) => name)
console.log(JSON.stringify({
  direct: accepting(({ accepts, wrong }) => accepts(wrong)),
  called: accepting(({ call, wrong }) => !refuses(() => call(wrong))),
  used: accepting(({ used, wrong }) => !refuses(() => used(wrong)))
}))
JS
cat >bundles.mjs <<'JS'
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { build } from "esbuild"
import { rolldown } from "rolldown"
import { rollup } from "rollup"

for (const [bundler, file] of [[rolldown, "rolldown.mjs"], [rollup, "rollup.mjs"]]) {
  const bundle = await bundler({ input: "sources.mjs" })
  await bundle.write({ file, format: "esm" })
  await bundle.close()
}
await build({ entryPoints: ["sources.mjs"], bundle: true, format: "esm", platform: "node", outfile: "esbuild.mjs" })
const words = (names) => names.length === 0 ? "none" : names.join(" ")
const programs = ["sources", "rolldown", "rollup", "esbuild"].map((name) => ({
  name,
  ...JSON.parse(execFileSync(process.execPath, [`${name}.mjs`], { encoding: "utf8" }))
}))
const seen = [
  ...programs.map(({ called, direct, name }) => `${name}: ${words(direct)}; by a function: ${words(called)}`),
  `with the value used: ${programs.map(({ used }) => words(used)).join(", ")}`
]
console.log(seen.join("\n"))
const three = "decodeURIComponent encodeURIComponent String.fromCodePoint"
assert.deepEqual(seen, [
  "sources: none; by a function: none",
  `rolldown: ${three}; by a function: ${three}`,
  `rollup: none; by a function: ${three} new RegExp normalize`,
  "esbuild: none; by a function: none",
  "with the value used: none, none, none, none"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node bundles.mjs
