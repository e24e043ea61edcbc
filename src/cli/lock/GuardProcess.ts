/**
 * The guard as a process: an entry of its own, which loads little. It is there before the command is started, and until
 * then the command line waits for it.
 */
import { createInterface } from "node:readline"
import type { Told } from "./GuardLines.ts"
import { machineMs, watchingLine } from "./GuardLines.ts"
import type { Root } from "./ProcessTree.ts"
import { endAll, signalAll } from "./ProcessTree.ts"
import { lockTimes } from "./Times.ts"

const [, , mark = ""] = process.argv

let root: Root | undefined
let killAtMs = Number.POSITIVE_INFINITY
let timer: NodeJS.Timeout | undefined

/** The time to kill, on the clock of this process. */
const killAt = (): number => performance.now() + (killAtMs - machineMs())

/** Milliseconds between two kills of a command that is overdue: it may have started a process meanwhile. */
const againMs = 50

const kill = (): void => {
  // A later time may have come while this process was stopped, and timers are looked at before what there is to read.
  if (machineMs() < killAtMs) return arm()
  signalAll(root, mark, "SIGKILL")
  timer = setTimeout(kill, againMs)
}

// A supervisor that is stopped keeps its end of the pipe.
const arm = (): void => {
  clearTimeout(timer)
  timer = setTimeout(() => setImmediate(kill), Math.max(0, killAtMs - machineMs()))
}

process.stdout.on("error", () => undefined)
process.stdout.write(`${watchingLine}\n`)
for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line) as Told
  if ("root" in told) root = told.root
  else {
    killAtMs = told.killAt
    arm()
  }
  process.stdout.write(`${watchingLine}\n`)
}
// Once the command is over its supervisor kills this process, and has not just ended.
clearTimeout(timer)
killAtMs = Math.min(killAtMs, machineMs() + lockTimes.stopMs)
signalAll(root, mark, "SIGTERM")
await endAll(root, mark, killAt)
