#!/usr/bin/env bash
# cross-process-lock: `withLock` lets go of the lock as soon as its callback waits for something.
#
# Versions:  cross-process-lock 2.2.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  `withLock(file, callback)` locks, waits for the promise of the callback, and unlocks then. Of processes
#            that count up a number in a file within it, none loses what another one wrote.
# Happens:   the callback is called and the lock is given back, before its promise is settled: the part before the
#            first `await` is all that the lock covers. So updates are lost. With `lock` and a `finally` of one's own
#            none are, in processes of one job each; within a process `lock` keeps nobody out.
# Setup:     three processes add 1 to a number in a file, with a pause between reading and writing.
# Output:    withLock: 1 of 3 updates are there, the lock is held during the callback: false
#            lock and unlock: 3 of 3 updates are there, the lock is held during the callback: true
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error cross-process-lock@2.2.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >worker.mjs <<'JS'
import { lock, withLock } from "cross-process-lock"
import { existsSync } from "node:fs"
import { readFile, writeFile } from "node:fs/promises"
import { setTimeout } from "node:timers/promises"

const [way, file] = process.argv.slice(2)
process.once("message", async () => {
  let held
  const update = async () => {
    const count = Number(await readFile(file, "utf8"))
    await setTimeout(1500)
    held = existsSync(`${file}.lock`)
    await writeFile(file, `${count + 1}`)
  }
  if (way === "withLock") {
    await withLock(file, { waitTimeout: 30_000 }, update)
  } else {
    const unlock = await lock(file, { waitTimeout: 30_000 })
    await update().finally(unlock)
  }
  process.send(held, () => process.disconnect())
})
process.send("ready")
JS
cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { fork } from "node:child_process"
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"

const run = async (way, file) => {
  writeFileSync(file, "0")
  const workers = [1, 2, 3].map(() => fork("worker.mjs", [way, file]))
  await Promise.all(workers.map((worker) => once(worker, "message")))
  const answers = []
  for (const worker of workers) {
    answers.push(once(worker, "message"))
    worker.send("go")
    // One after the other takes the lock, so that none finds the lock file while another one writes it.
    await new Promise((done) => setTimeout(done, 200))
  }
  const held = (await Promise.all(answers)).every(([answer]) => answer)
  return `${way}: ${readFileSync(file, "utf8")} of 3 updates are there, the lock is held during the callback: ${held}`
}
const seen = [await run("withLock", "one.txt"), await run("lock and unlock", "two.txt")]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "withLock: 1 of 3 updates are there, the lock is held during the callback: false",
  "lock and unlock: 3 of 3 updates are there, the lock is held during the callback: true"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
