#!/usr/bin/env bash
# effect: with a timeout around it, `TxReentrantLock` is not reentrant, and a lock so acquired is not released.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  who holds a reentrant lock gets it again. A timeout limits how long one waits for it, and changes nothing
#            besides.
# Happens:   the lock belongs to a fiber, and `Effect.timeout` runs what it limits in a fiber of its own, as does
#            anything with concurrency. Within `withWriteLock`, a function that takes the lock for itself waits for its
#            caller as soon as somebody limits its time or calls it for several things at once. And what
#            `acquireWrite(lock).pipe(Effect.timeout(…))` has acquired belongs to the timeout's fiber, which is over:
#            `releaseWrite` of the caller gives back 0, the number of holds that are left, as if all were well, and
#            the lock is held for ever. Only the scoped `writeLock` and `readLock` know whose lock they release, so
#            that a timeout is right around them.
# Setup:     one lock each, under the test clock; who waits is looked at after an hour.
# Output:    within the write lock, read: done
#            within the write lock, read with a timeout of a day: waits
#            within the write lock, two reads in sequence: done
#            within the write lock, two reads at once: waits
#            acquired with a timeout and released: 0 holds left, locked true, the next one waits
#            acquired in a scope with a timeout: locked false after it, the next one done
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Fiber, TxReentrantLock as Lock } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"

const afterAnHour = (effect) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust("1 hour")
    const done = fiber.pollUnsafe() !== undefined
    yield* Fiber.interrupt(fiber)
    return done ? "done" : "waits"
  })
const within = Effect.fnUntraced(function*(what, twice) {
  const lock = yield* Lock.make()
  const read = Lock.withReadLock(lock, Effect.void)
  return `within the write lock, ${what}: ${yield* afterAnHour(Lock.withWriteLock(lock, twice(read)))}`
})
const program = Effect.gen(function*() {
  const seen = [
    yield* within("read", (read) => read),
    yield* within("read with a timeout of a day", (read) => read.pipe(Effect.timeout("1 day"))),
    yield* within("two reads in sequence", (read) => Effect.all([read, read])),
    yield* within("two reads at once", (read) => Effect.all([read, read], { concurrency: 2 }))
  ]
  const lock = yield* Lock.make()
  yield* Lock.acquireWrite(lock).pipe(Effect.timeout("1 day"))
  const left = yield* Lock.releaseWrite(lock)
  const locked = yield* Lock.writeLocked(lock)
  const next = yield* afterAnHour(Lock.withWriteLock(lock, Effect.void))
  seen.push(`acquired with a timeout and released: ${left} holds left, locked ${locked}, the next one ${next}`)
  const scoped = yield* Lock.make()
  yield* Effect.scoped(Lock.writeLock(scoped).pipe(Effect.timeout("1 day")))
  const after = yield* Lock.writeLocked(scoped)
  const nextOne = yield* afterAnHour(Lock.withWriteLock(scoped, Effect.void))
  seen.push(`acquired in a scope with a timeout: locked ${after} after it, the next one ${nextOne}`)
  return seen
})

const seen = await Effect.runPromise(program.pipe(Effect.provide(TestClock.layer())))
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "within the write lock, read: done",
  "within the write lock, read with a timeout of a day: waits",
  "within the write lock, two reads in sequence: done",
  "within the write lock, two reads at once: waits",
  "acquired with a timeout and released: 0 holds left, locked true, the next one waits",
  "acquired in a scope with a timeout: locked false after it, the next one done"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
