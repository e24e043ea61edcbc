/**
 * `npm run test:fuzz -- [--frames 1000000] [--rate 4000] [--seed N] [--ports client,peer,http]`: mutated calls on each
 * port of a live cluster, one port after the other, while a client writes. Exits with 1 unless, for every port,
 *
 * - no node ends, no term changes, no follower misses its leader for an election timeout, no write fails, and the
 *   client's p99 is at most three times the quiet one;
 * - memory without garbage is back to within a tenth of what it was, or below, within a minute;
 * - no log line is above WARN, and there are few lines.
 *
 * Frames that are right by luck and say what only a node may say are left out: without TLS nobody can tell them apart.
 */
import { Effect, Fiber } from "effect"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import { parseArgs, promisify } from "node:util"
import { KeyValue } from "../../src/client/index.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import type { NodeAddress } from "../../src/config/NodeAddress.ts"
import { NodeProcess } from "../chaos/NodeProcess.ts"
import { findPorts } from "../../src/cli/launch/FreePorts.ts"
import type { Order, Report } from "./Attacker.ts"
import { collect, inspectorFlag } from "./Collect.ts"
import type { Port } from "./Corpus.ts"
import { ports } from "./Corpus.ts"

const { values: flags } = parseArgs({
  options: {
    frames: { type: "string", default: "1000000" },
    rate: { type: "string", default: "4000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    ports: { type: "string", default: ports.join(",") }
  }
})
const [frames, rate, seed] = [Number(flags.frames), Number(flags.rate), Number(flags.seed)]
const chosen = flags.ports.split(",") as ReadonlyArray<Port>

/** Milliseconds between writes, and of the quiet time that the attack is compared with. */
const writeEveryMs = 10
const quietMs = 30_000

/** The full load before everything else: memory is level when it grows by no more than this from step to step. */
const heatStepMs = 15_000
const maxHeatMs = 180_000
const levelGrowth = 1.02
const heatLoops = 64

/** Milliseconds for memory to come back. */
const settleMs = 60_000

const maxSlower = 3
const maxGrown = 1.1
/** Lines a minute that a node may write under attack: each kind of violation on each port may have ten. */
const maxLinesPerMinute = 200

const clusterId = "fuzz"
const folder = mkdtempSync(join(tmpdir(), "flaredb-fuzz-"))
const free = await findPorts(9)
const addresses: ReadonlyArray<NodeAddress> = [1, 2, 3].map((id, i) => ({
  id,
  host: "127.0.0.1",
  clientPort: free[3 * i] as number,
  peerPort: free[3 * i + 1] as number,
  httpPort: free[3 * i + 2] as number
}))
const nodes = addresses.map((address) =>
  new NodeProcess({
    address,
    nodes: addresses,
    dataDir: join(folder, `node-${address.id}`),
    program: [inspectorFlag, "bin/flaredb.js", "start"],
    env: { FLAREDB_CLUSTER_ID: clusterId }
  })
)

const endpoints = addresses.map(({ clientPort: port, host }) => ({ host, port }))
const problems: Array<string> = []
const note = (line: string) => console.log(line)

const residentMiB = (node: NodeProcess): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${node.pid()}/status`, "utf8"))?.[1]) / 1024

/** Resident memory without garbage. */
const heldMiB = async (): Promise<ReadonlyArray<number>> => {
  for (const node of nodes) await collect(node)
  return nodes.map(residentMiB)
}

/** The terms of the nodes, and how often they have become something else. */
const terms = async (): Promise<string> => {
  const answers = await Promise.all(addresses.map(async ({ host, httpPort }) => {
    const response = await fetch(`http://${host}:${httpPort}/status`)
    return (await response.json() as { readonly term: number }).term
  }))
  return answers.join()
}

const percentile = (times: ReadonlyArray<number>, share: number): number =>
  times.toSorted((a, b) => a - b)[Math.floor(times.length * share)] as number

/** Writes at an even pace while `work` lasts, and tells how long each write took. */
const writing = async (
  work: Promise<unknown>
): Promise<{ readonly times: ReadonlyArray<number>; readonly failed: number }> => {
  const times: Array<number> = []
  let failed = 0
  const write = Effect.gen(function*() {
    const kv = yield* KeyValue
    for (let i = 0;; i++) {
      const startedMs = performance.now()
      yield* kv.put(`key ${i % 100}`, String(i)).pipe(
        Effect.catch((error) =>
          Effect.sync(() => {
            failed += 1
            problems.push(`a write failed: ${error.message}`)
          })
        )
      )
      const tookMs = performance.now() - startedMs
      times.push(tookMs)
      yield* Effect.sleep(Math.max(0, writeEveryMs - tookMs))
    }
  }).pipe(
    Effect.provide(FlareDb.layerClient({ endpoints }))
  )
  const fiber = Effect.runFork(write)
  try {
    await work
  } finally {
    await Effect.runPromise(Fiber.interrupt(fiber))
  }
  return { times, failed }
}

/**
 * Full load first, until memory is level: code is compiled, and caches, write buffers and the heap have the size that
 * they have on a node that has run for long.
 */
const heatUp = async (): Promise<void> => {
  const value = "x".repeat(1_000)
  const load = Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* Effect.forEach(
      Array.from({ length: heatLoops }, (_, loop) => loop),
      (loop) => Effect.forever(kv.put(`heat ${loop}`, value)),
      { concurrency: "unbounded", discard: true }
    )
  }).pipe(Effect.provide(FlareDb.layerClient({ endpoints })))
  const fiber = Effect.runFork(load)
  const deadlineMs = performance.now() + maxHeatMs
  for (let level = 0, before = 0; level < 3 && performance.now() < deadlineMs;) {
    await wait(heatStepMs)
    const now = Math.max(...nodes.map(residentMiB))
    level = now <= before * levelGrowth ? level + 1 : 0
    before = Math.max(before, now)
  }
  await Effect.runPromise(Fiber.interrupt(fiber))
}

const attack = async (port: Port): Promise<Report> => {
  const order: Order = {
    port,
    clusterId,
    targets: addresses.map(({ host, id, ...address }) => ({ id, host, port: address[`${port}Port`] })),
    frames,
    rate,
    seed
  }
  const { stdout } = await promisify(execFile)(process.execPath, ["test/fuzz/Attacker.ts", JSON.stringify(order)])
  return JSON.parse(stdout) as Report
}

const comeBack = async (before: ReadonlyArray<number>): Promise<ReadonlyArray<number>> => {
  const deadlineMs = performance.now() + settleMs
  for (;;) {
    const now = await heldMiB()
    if (now.every((mebi, i) => mebi <= (before[i] as number) * maxGrown) || performance.now() > deadlineMs) return now
    await wait(5_000)
  }
}

const round = async (port: Port): Promise<void> => {
  const quiet = percentile((await writing(wait(quietMs))).times, 0.99)
  const before = await heldMiB()
  const term = await terms()
  const linesBefore = nodes.map(({ log }) => log.length)
  const startedMs = performance.now()
  let report: Report | undefined
  const { failed, times } = await writing(attack(port).then((done) => report = done))
  const minutes = (performance.now() - startedMs) / 60_000
  const attacked = percentile(times, 0.99)
  const highest = nodes.map(residentMiB)
  const lines = nodes.map(({ log }, i) => log.slice(linesBefore[i]))
  const after = await comeBack(before)
  const mebi = (sizes: ReadonlyArray<number>) => sizes.map((size) => Math.round(size)).join(" ")
  note(
    `${port}: ${report?.frames} frames (${
      ((report?.bytes ?? 0) / 2 ** 20).toFixed(0)
    } MiB, ${report?.forged} left out) over ` +
      `${report?.connections} connections in ${minutes.toFixed(1)} min; ${times.length} writes, ${failed} failed, p99 ${
        quiet.toFixed(1)
      } -> ${attacked.toFixed(1)} ms; RSS ${mebi(before)} -> ${mebi(highest)} -> ${mebi(after)} MiB; ` +
      `log lines ${lines.map(({ length }) => length).join(" ")}`
  )
  if (attacked > quiet * maxSlower) {
    problems.push(`${port}: p99 is ${(attacked / quiet).toFixed(1)} times the quiet one`)
  }
  for (const [i, { id }] of nodes.entries()) {
    if ((after[i] as number) > (before[i] as number) * maxGrown) {
      problems.push(`${port}: the memory of node ${id} has grown`)
    }
    const said = lines[i] as ReadonlyArray<string>
    for (const line of said) {
      if (/"level":"(?:ERROR|FATAL)"/.test(line)) problems.push(`${port}: node ${id} says ${line}`)
    }
    const most = maxLinesPerMinute * Math.max(1, minutes)
    // A follower that misses heartbeats for an election timeout asks whether it would be elected.
    const late = said.filter((line) => /"pre-candidate in term/.test(line)).length
    if (late > 0) problems.push(`${port}: node ${id} heard of no leader ${late} times`)
    if (said.length > most) problems.push(`${port}: node ${id} wrote ${said.length} lines, more than ${most}`)
  }
  if (await terms() !== term) problems.push(`${port}: the terms were ${term} and are ${await terms()}`)
  for (const { id, surprises } of nodes) {
    for (const { code, signal } of surprises) problems.push(`${port}: node ${id} ended (${code ?? signal})`)
  }
}

try {
  note(`seed ${seed}, ${frames} frames on each of ${chosen.join(", ")}, ${rate} a second`)
  await Promise.all(nodes.map((node) => node.start()))
  await heatUp()
  for (const port of chosen) await round(port)
} catch (error) {
  problems.push(error instanceof Error ? error.stack ?? error.message : String(error))
} finally {
  await Promise.all(nodes.map((node) => node.running ? node.end("SIGTERM") : undefined))
  rmSync(folder, { recursive: true, force: true })
}
for (const problem of problems.slice(0, 20)) note(`PROBLEM: ${problem.slice(0, 1_000)}`)
note(problems.length === 0 ? "PASSED" : `FAILED; npm run test:fuzz -- --frames ${frames} --rate ${rate} --seed ${seed}`)
process.exit(problems.length === 0 ? 0 : 1)
