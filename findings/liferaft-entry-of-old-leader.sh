#!/usr/bin/env bash
# @markwylde/liferaft: what an old leader could not commit is committed on it, in place of what all others have.
#
# Versions:  @markwylde/liferaft 1.4.0, memdown 6.1.1, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  "consensus protocol based on Raft": all nodes are given the same commands in the same order. An entry that
#            a leader wrote while it was cut off is removed when it hears from the next one, whose entry has that index.
# Happens:   a follower compares the index of its last entry with the leader's, and not the term. When both are at the
#            same index it takes its own entry for the leader's, and commits it at the next heartbeat. From then on
#            the nodes agree on what comes, and each has its own entry as a committed one. What compares the lengths of
#            their logs does not see it; the terms in the logs differ.
# Setup:     three nodes in one process, each with a log of its own. A leads, and "first" is committed by all. A is cut
#            off and given "lost"; the others elect a leader and commit "second". A is back, and "third" is committed.
#            A line is what a node has been given to commit, then its log as term:command.
# Output:    A: first lost third, log 1:first 1:lost 2:third
#            B: first second third, log 1:first 2:second 2:third
#            C: first second third, log 1:first 2:second 2:third
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @markwylde/liferaft@1.4.0 memdown@6.1.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import Raft from "@markwylde/liferaft"
import Log from "@markwylde/liferaft/log.js"
import memdown from "memdown"
import assert from "node:assert/strict"
import { setTimeout } from "node:timers/promises"

// Waits a minute at most.
const await_ = async (holds) => {
  for (let i = 0; i < 3000; i++) {
    if (holds()) return
    await setTimeout(20)
  }
  throw new Error(`waited for: ${holds}`)
}
const names = ["A", "B", "C"]
const cutOff = new Set()
const committed = Object.fromEntries(names.map((name) => [name, new Set()]))
// A begins well before the others. Election timeouts are far above what a busy machine adds.
const nodes = Object.fromEntries(names.map((name) => [
  name,
  new Raft(name, {
    Log,
    adapter: memdown,
    path: name,
    heartbeat: "50 ms",
    "election min": name === "A" ? "300 ms" : "2 s",
    "election max": name === "A" ? "400 ms" : "4 s"
  })
]))
for (const from of names) {
  nodes[from].on("commit", (command) => committed[from].add(command)).on("error", () => {})
  for (const to of names.filter((name) => name !== from)) {
    const open = () => !cutOff.has(from) && !cutOff.has(to)
    nodes[from].join(to, (packet, answer) => {
      if (open()) nodes[to].emit("data", structuredClone(packet), (reply) => open() && answer(undefined, reply))
    })
  }
}
const leaderOf = (some) => some.find((name) => nodes[name].state === Raft.LEADER)
const committedBy = (some, command) => await_(() => some.every((name) => committed[name].has(command)))

await await_(() => names.every((name) => nodes[name].leader === "A") && leaderOf(["A"]))
await nodes.A.command("first")
await committedBy(names, "first")
cutOff.add("A")
await nodes.A.command("lost")
await await_(() => leaderOf(["B", "C"]))
const leader = leaderOf(["B", "C"])
await nodes[leader].command("second")
await committedBy(["B", "C"], "second")
cutOff.clear()
await await_(() => nodes.A.leader === leader && committed.A.size === 2)
await nodes[leader].command("third")
await committedBy(names, "third")

const lines = await Promise.all(names.map(async (name) => {
  const entries = await nodes[name].log.getEntriesAfter(0)
  const log = entries.map((entry) => `${entry.term}:${entry.command}`).join(" ")
  return `${name}: ${[...committed[name]].join(" ")}, log ${log}`
}))
console.log(lines.join("\n"))
assert.deepEqual(lines, [
  "A: first lost third, log 1:first 1:lost 2:third",
  "B: first second third, log 1:first 2:second 2:third",
  "C: first second third, log 1:first 2:second 2:third"
], "the behaviour has changed")
process.exit()
JS
node_modules/.bin/node finding.mjs
