#!/usr/bin/env bash
# effect/reactivity: a change of the user with id 1 runs the queries of all users again, as if no id had been given.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  `{ users: [1] }` stands for the user with id 1. A mutation with it runs the queries of that user again, and
#            those of all users, `["users"]`, but not that of user 2. The page on `Keys` has it so: "invalidates the
#            `users` query with ID 1".
# Happens:   a record of keys stands for its names too: a query of `{ users: [2] }` is one of "users" and of "users:2",
#            and a mutation of `{ users: [1] }` is one of "users" and of "users:1". They meet in "users", always, so
#            that ids narrow nothing down. With a thousand open queries of one row each, a change of one row reads all
#            thousand again. Only the text that the library makes of name and id, `["users:1"]`, in the mutation, means
#            that row alone, and leaves out the queries of all users.
# Setup:     four queries that count their runs, and one invalidation after the other.
# Output:    at the start: user 1 ran 1, user 2 ran 1, all users ran 1, jobs ran 1
#            { users: [1] }: user 1 ran 2, user 2 ran 2, all users ran 2, jobs ran 1
#            { users: [3] }: user 1 ran 3, user 2 ran 3, all users ran 3, jobs ran 1
#            ["users:1"]: user 1 ran 4, user 2 ran 3, all users ran 3, jobs ran 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect } from "effect"
import { Reactivity } from "effect/reactivity"
import assert from "node:assert/strict"

const program = Effect.gen(function*() {
  const runs = new Map()
  const open = (name, keys) => {
    runs.set(name, 0)
    return Reactivity.query(Effect.sync(() => runs.set(name, runs.get(name) + 1)), keys)
  }
  yield* open("user 1", { users: [1] })
  yield* open("user 2", { users: [2] })
  yield* open("all users", ["users"])
  yield* open("jobs", ["jobs"])
  const seen = []
  // The queries run in fibers of their own, and need no clock.
  const look = (what) =>
    Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20))).pipe(
      Effect.andThen(Effect.sync(() => {
        seen.push(`${what}: ${Array.from(runs, ([name, count]) => `${name} ran ${count}`).join(", ")}`)
      }))
    )
  yield* look("at the start")
  yield* Effect.void.pipe(Reactivity.mutation({ users: [1] }))
  yield* look("{ users: [1] }")
  yield* Effect.void.pipe(Reactivity.mutation({ users: [3] }))
  yield* look("{ users: [3] }")
  yield* Effect.void.pipe(Reactivity.mutation(["users:1"]))
  yield* look(`["users:1"]`)
  return seen
})

const seen = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Reactivity.layer)))
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "at the start: user 1 ran 1, user 2 ran 1, all users ran 1, jobs ran 1",
  "{ users: [1] }: user 1 ran 2, user 2 ran 2, all users ran 2, jobs ran 1",
  "{ users: [3] }: user 1 ran 3, user 2 ran 3, all users ran 3, jobs ran 1",
  `["users:1"]: user 1 ran 4, user 2 ran 3, all users ran 3, jobs ran 1`
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
