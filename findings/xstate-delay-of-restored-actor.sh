#!/usr/bin/env bash
# xstate: an actor that is restored from its snapshot never leaves a state by `after`.
#
# Versions:  xstate 5.33.3, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a machine that is in a state with `after: { 300: "expired" }` gets to "expired". One that is restored from
#            its stored snapshot goes on waiting: for what is left of the time, or at the worst for all of it anew.
# Happens:   a delay is started on the way into the state, and a restored actor is in it already. Nothing of the delay
#            is in the snapshot, and it is not started: the lease of a process that was restarted never expires, and
#            an order that nobody pays is never given up. What is invoked is started again, and an event still gets
#            the actor out, so that a test which sends events passes. Entering the state again (`reenter`) starts it.
# Setup:     a machine in "held", which a delay ends, or a promise that is invoked. It is stored while it waits, as
#            JSON, and restored. Each line is where it is when an actor that was started then has long expired.
# Output:    started: expired
#            restored: held
#            restored, sent an event that enters the state again: expired
#            restored, with an invoked timer instead: expired
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error xstate@5.33.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { setTimeout as pause } from "node:timers/promises"
import { createActor, createMachine, fromPromise } from "xstate"

const delayed = createMachine({
  initial: "held",
  states: {
    held: { after: { 300: "expired" }, on: { again: { target: "held", reenter: true } } },
    expired: {}
  }
})
const invoked = createMachine({
  initial: "held",
  states: {
    held: { invoke: { src: fromPromise(() => pause(300)), onDone: "expired" } },
    expired: {}
  }
})
const restored = (machine) => {
  const before = createActor(machine).start()
  const snapshot = JSON.parse(JSON.stringify(before.getPersistedSnapshot()))
  before.stop()
  return createActor(machine, { snapshot }).start()
}
const actors = {
  started: createActor(delayed).start(),
  restored: restored(delayed),
  "restored, sent an event that enters the state again": restored(delayed),
  "restored, with an invoked timer instead": restored(invoked)
}
actors["restored, sent an event that enters the state again"].send({ type: "again" })

// Three further actors, one after the other, so that a slow machine waits longer.
for (let times = 0; times < 3; times++) {
  const clock = createActor(delayed).start()
  await new Promise((resolve) => clock.subscribe(({ value }) => value === "expired" && resolve()))
}
const seen = Object.entries(actors).map(([what, actor]) => `${what}: ${actor.getSnapshot().value}`)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "started: expired",
  "restored: held",
  "restored, sent an event that enters the state again: expired",
  "restored, with an invoked timer instead: expired"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
