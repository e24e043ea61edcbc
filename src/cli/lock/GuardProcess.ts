/**
 * The guard as a process: an entry of its own, which loads little. It is there before the command is started, and until
 * then the command line waits for it.
 */
import { createInterface } from "node:readline"
import type { Told } from "./GuardLines.ts"
import { machineMs, readyLine } from "./GuardLines.ts"
import type { Root } from "./ProcessTree.ts"
import { endAll, signalAll } from "./ProcessTree.ts"
import { stopMs } from "./Times.ts"

const [, , mark = ""] = process.argv

let root: Root | undefined
let killAtMs = Number.POSITIVE_INFINITY
let done = false
let timer: NodeJS.Timeout | undefined

/** The time to kill, on the clock of this process. */
const killAt = (): number => performance.now() + (killAtMs - machineMs())

/** Milliseconds between two kills of a command that is overdue: it may have started a process meanwhile. */
const againMs = 50

const kill = (): void => {
  signalAll(root, mark, "SIGKILL")
  timer = setTimeout(kill, againMs)
}

// A supervisor that is stopped keeps its end of the pipe.
const arm = (): void => {
  clearTimeout(timer)
  timer = setTimeout(kill, Math.max(0, killAtMs - machineMs()))
}

process.stdout.on("error", () => undefined)
process.stdout.write(`${readyLine}\n`)
for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line) as Told
  if ("root" in told) root = told.root
  else if ("done" in told) done = true
  else {
    killAtMs = told.killAt
    arm()
  }
}
clearTimeout(timer)
if (!done) {
  killAtMs = Math.min(killAtMs, machineMs() + stopMs)
  signalAll(root, mark, "SIGTERM")
  await endAll(root, mark, killAt)
}
