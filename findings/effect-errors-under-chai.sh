#!/usr/bin/env bash
# Effect's tagged errors and chai: `assert.deepStrictEqual` takes two errors with different fields for equal.
#
# Versions:  effect 4.1.0, @effect/vitest 4.0.5, vitest 5.1.1, chai 6.3.0, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  `assert.deepStrictEqual` of @effect/vitest compares what it is given, as node:assert/strict does.
# Happens:   chai compares errors by name, message and code only. A tagged error keeps what it says in fields and has an
#            empty message, so that all errors of one tag are equal, also inside other values, and a test of the fields
#            cannot fail. Effect's own equality, node:assert/strict and `expect(…).toEqual` tell them apart.
# Output:    chai, Data.TaggedError: equal
#            chai, Schema.TaggedError: equal
#            chai, within an array: equal
#            expect(…).toEqual, Schema.TaggedError: different
#            node:assert/strict, Schema.TaggedError: different
#            Equal.equals, Schema.TaggedError: different
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  effect@4.1.0 @effect/vitest@4.0.5 vitest@5.1.1 chai@6.3.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.test.mjs <<'JS'
import { assert, expect, it } from "@effect/vitest"
import { Data, Equal, Schema } from "effect"
import strict from "node:assert/strict"

class NotFound extends Data.TaggedError("NotFound") {}
class Denied extends Schema.TaggedError()("Denied", { key: Schema.String }) {}

it("tells errors apart", () => {
  const inProcess = [new NotFound({ key: "a" }), new NotFound({ key: "b" })]
  const onTheWire = [new Denied({ key: "a" }), new Denied({ key: "b" })]
  const seen = []
  const look = (what, check) => {
    let result = "equal"
    try {
      check()
    } catch {
      result = "different"
    }
    console.log(`${what}: ${result}`)
    seen.push(result)
  }
  look("chai, Data.TaggedError", () => assert.deepStrictEqual(...inProcess))
  look("chai, Schema.TaggedError", () => assert.deepStrictEqual(...onTheWire))
  look("chai, within an array", () => assert.deepStrictEqual([onTheWire[0]], [onTheWire[1]]))
  look("expect(…).toEqual, Schema.TaggedError", () => expect(onTheWire[0]).toEqual(onTheWire[1]))
  look("node:assert/strict, Schema.TaggedError", () => strict.deepStrictEqual(...onTheWire))
  look("Equal.equals, Schema.TaggedError", () => strict.ok(Equal.equals(...onTheWire)))
  strict.deepEqual(
    seen,
    ["equal", "equal", "equal", "different", "different", "different"],
    "the behaviour has changed"
  )
})
JS
node_modules/.bin/node node_modules/vitest/vitest.mjs run --disable-console-intercept
