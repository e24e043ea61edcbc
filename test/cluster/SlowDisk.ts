/**
 * Disks whose syncs take as long as a test says: strace delays `fsync` and `fdatasync` of a real node. Needs Linux and the
 * right to trace.
 */
import { Effect } from "effect"
import type { ChildProcess } from "node:child_process"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { tracerMissing } from "../power-loss/SystemCalls.ts"
import type { ClusterNode } from "./Cluster.ts"

const delayed = (ms: number): ReadonlyArray<string> => [
  "--trace=fsync,fdatasync",
  `--inject=fsync,fdatasync:delay_enter=${ms * 1_000}`,
  "--signal=none",
  "--output=/dev/null",
  "-qq"
]

/** What runs a node whose every sync takes `ms` milliseconds longer, also while it starts. For `Cluster.make`. */
export const slowDisk = (ms: number) => (): ReadonlyArray<string> => ["strace", "-Df", "--seccomp-bpf", ...delayed(ms)]

/**
 * The same for the syncs of a new node's write-ahead log only. RocksDB makes some twenty other syncs while it opens, which
 * would take most of a test's time.
 */
export const slowLog = (ms: number) => (dataDir: string): ReadonlyArray<string> => [
  ...slowDisk(ms)(),
  `--trace-path=${join(dataDir, "000004.log")}`
]

const tasksOf = (pid: number): ReadonlyArray<number> =>
  readdirSync(`/proc/${pid}/task`).map(Number).filter((task) => task !== pid)

/** Lets every sync of a running node take `ms` milliseconds longer, from now on until the end of the scope. */
export const slowDown = ({ pid }: ClusterNode, ms: number) =>
  Effect.acquireRelease(
    Effect.promise(() => attach(tasksOf(pid), ms)),
    (tracer) =>
      Effect.promise(async () => {
        if (tracer.exitCode !== null || tracer.signalCode !== null) return
        tracer.kill("SIGINT")
        await once(tracer, "exit")
      })
  )

/** Every thread but the first, which does no syncs and would be slowed by each of its calls. */
const attach = async (tasks: ReadonlyArray<number>, ms: number): Promise<ChildProcess> => {
  const tracer = spawn("strace", [...delayed(ms), ...tasks.flatMap((task) => ["-p", String(task)])], {
    stdio: "ignore"
  })
  await once(tracer, "spawn")
  while (tasks.some((task) => tracerOf(task) !== tracer.pid)) {
    if (tracer.exitCode !== null) throw new Error(`strace could not attach: it ended with ${tracer.exitCode}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return tracer
}

const tracerOf = (task: number): number =>
  Number(/^TracerPid:\s*(\d+)/m.exec(readFileSync(`/proc/${task}/status`, "utf8"))?.[1])

/** Why disks cannot be slowed down on this machine, and what to do about it. */
export const slowDiskMissing = (): string | undefined => {
  const missing = tracerMissing()
  if (missing !== undefined) return missing
  const sleeping = spawn("sleep", ["60"], { stdio: "ignore" })
  try {
    const { status, stderr } = spawnSync("timeout", [
      "--signal=INT",
      "0.3",
      "strace",
      "-qq",
      "--output=/dev/null",
      "-p",
      String(sleeping.pid)
    ], { encoding: "utf8" })
    // 124: it was tracing until its time was over.
    return status === 124 ? undefined : `strace may not attach to a process here (ptrace_scope?): ${stderr.trim()}`
  } finally {
    sleeping.kill("SIGKILL")
  }
}
