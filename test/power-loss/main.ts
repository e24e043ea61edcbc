/**
 * `npm run test:power-loss -- [--rounds 200] [--seed N] [--no-sync]`: real nodes under a load of writes, and again and
 * again the power goes: their processes end, and what their directories hold that was never synced is taken away. The nodes
 * start from what is left, and go on to the next round. After each loss everything that was acknowledged is there, with its
 * value and its revision, and the cluster serves. Exits with 1 when that is not so.
 *
 * Three quarters of the rounds are a cluster of three, of which all lose power at once, or some; the rest is a node alone.
 * Nodes create their data directories, and the folders above them. In some rounds a node of three loses its directory before the
 * power goes, and begins in new folders, and in some a node alone begins with nothing. In some, processes end and start
 * again before the power goes: what they find was written, and need not be durable.
 * `--no-sync` runs the nodes without syncing, which must be found to lose: it shows that the run can fail.
 *
 * The seed decides what is drawn; how the processes run is the machine's doing. `--keep` leaves the directories of a failure.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import { parseArgs } from "node:util"
import type { NodeAddress } from "../../src/config/NodeAddress.ts"
import { findPorts } from "../../src/cli/launch/FreePorts.ts"
import { Random } from "../simulation/Random.ts"
import { Load } from "./Load.ts"
import type { Rotation } from "./PowerNode.ts"
import { PowerNode } from "./PowerNode.ts"
import { tracerMissing } from "./SystemCalls.ts"

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    "no-sync": { type: "boolean", default: false },
    keep: { type: "boolean", default: false }
  }
})
const seed = Number(flags.seed)
const rounds = Number(flags.rounds)
const random = new Random(seed)
const startedMs = performance.now()
const note = (line: string) =>
  console.log(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${line}`)
const command = `npm run test:power-loss -- --rounds ${rounds} --seed ${seed}${flags["no-sync"] ? " --no-sync" : ""}`

const missing = tracerMissing()
if (missing !== undefined) {
  console.log(missing)
  process.exit(2)
}

/** Rounds after which everything is looked at again, and removed. */
const roundsBetweenClearings = 15

/** The share of rounds that begin with a new directory for one of the nodes. */
const newDirectories = 0.35

/** The share of rounds in which processes end before the power goes, and start again. */
const restarts = 0.4

/** A node starts within this time, also on a busy machine. */
const startsWithinMs = 90_000

/** A node that was wiped has caught up, and votes, within this time. */
const readyWithinMs = 60_000

const totals = {
  losses: 0,
  acknowledged: 0,
  unknown: 0,
  bytes: 0,
  files: 0,
  names: 0,
  folders: 0,
  starts: 0,
  rotations: 0,
  restarts: 0,
  wipes: 0,
  anew: 0
}

/** Nodes that lose their power round after round. */
class Site {
  private readonly nodes: ReadonlyArray<PowerNode>
  readonly load: Load
  private rotation: (what: Rotation) => void = () => undefined

  constructor(folder: string, addresses: ReadonlyArray<NodeAddress>) {
    mkdirSync(folder)
    this.load = new Load(addresses.map(({ clientPort: port, host }) => ({ host, port })), random)
    this.nodes = addresses.map((address) =>
      new PowerNode({
        address,
        nodes: addresses,
        home: join(folder, `node-${address.id}`),
        env: {
          FLAREDB_CLUSTER_ID: "power-loss",
          // Little enough that the log is compacted in most rounds, and a node that lost much is sent the state.
          FLAREDB_MAX_LOG_ENTRIES: "500",
          FLAREDB_LOG_SLACK_ENTRIES: "100",
          ...(flags["no-sync"] ? { FLAREDB_UNSAFE_NO_FSYNC: "true" } : {})
        },
        rotated: (what) => this.rotation(what)
      })
    )
  }

  async start(): Promise<void> {
    await allStarted(this.nodes.filter(({ process }) => !process.running), (node) => node.start())
  }

  /** One load and one loss. Answers what is wrong afterwards. */
  async round(round: number): Promise<ReadonlyArray<string>> {
    const { load } = this
    const renewed = random.chance(newDirectories)
    if (renewed && this.nodes.length === 1 && round > 1) await this.beginAnew()
    const stop = load.start(round)
    const when = random.weighted([
      ["at random", 50],
      ["log file", 20],
      ["segment", 20],
      ["while it starts again", 10]
    ])
    try {
      const problem = await this.moreAcknowledged(1 + random.below(400))
      if (problem !== undefined) return [problem]
      if (renewed && this.nodes.length > 1) {
        const problem = await this.wipeOne() ?? await this.moreAcknowledged(1 + random.below(200))
        if (problem !== undefined) return [problem]
      }
      if (random.chance(restarts)) {
        await this.restart()
        const problem = await this.moreAcknowledged(1 + random.below(60))
        if (problem !== undefined) return [problem]
      }
      if (when === "log file" || when === "segment") {
        await Promise.race([
          new Promise<void>((resolve) => this.rotation = (what) => what === when ? resolve() : undefined),
          wait(2_000)
        ])
        totals.rotations += 1
        if (random.chance(0.7)) await wait(random.below(30))
      }
      const surprises = this.surprises()
      if (surprises.length > 0) return surprises
      const victims = this.victims()
      await this.lose(victims)
      if (when === "while it starts again") {
        totals.starts += 1
        const starting = victims.map((node) => node.start())
        await wait(300 + random.below(1_200))
        await this.lose(victims)
        await Promise.all(starting)
      }
    } finally {
      this.rotation = () => undefined
      await stop()
    }
    await this.start()
    const problems = await load.problems(round)
    return [...problems, ...this.surprises()]
  }

  /** Processes end, all at the same time, and start again. Their machines run on. */
  private async restart(): Promise<void> {
    const nodes = this.victims()
    await Promise.all(nodes.map((node) => node.cut()))
    await allStarted(nodes, (node) => node.startAgain())
    totals.restarts += nodes.length
  }

  private async moreAcknowledged(count: number): Promise<string | undefined> {
    const goal = this.load.acknowledged + count
    const deadlineMs = performance.now() + 20_000
    while (this.load.acknowledged < goal) {
      if (performance.now() > deadlineMs) return "hardly anything was acknowledged for 20 s"
      await wait(2)
    }
    return undefined
  }

  /**
   * One of the nodes loses its directory, and starts again without. Only once the last one to which that happened has caught
   * up: two lost disks of three may have held the only copies of a write.
   */
  private async wipeOne(): Promise<string | undefined> {
    // The log of this harness is so short that under full load it is compacted past each snapshot before that has
    // arrived.
    this.load.pause()
    const problem = await this.allReady()
    this.load.resume()
    if (problem !== undefined) return problem
    totals.wipes += 1
    const remains = await random.pick(this.nodes).wipe(
      random.chance(0.5) ? "the node runs" : "the node was killed before"
    )
    if (remains === undefined) await this.start()
    return remains
  }

  private async allReady(): Promise<string | undefined> {
    const deadlineMs = performance.now() + readyWithinMs
    for (const node of this.nodes) {
      while (!await node.isReady()) {
        if (performance.now() > deadlineMs) {
          return `node ${node.process.id} has not caught up within ${readyWithinMs} ms:\n${
            node.process.log.slice(-8).join("\n")
          }`
        }
        await wait(20)
      }
    }
    return undefined
  }

  /** A node alone begins with nothing: what it had is not missed. */
  private async beginAnew(): Promise<void> {
    totals.anew += 1
    for (const node of this.nodes) await node.wipe("the node was killed before")
    this.load.forget()
    await this.start()
  }

  /** Looks at all that was written since this was last done, and removes it. */
  async clear(): Promise<ReadonlyArray<string>> {
    const problems = await this.load.problems(0)
    await this.load.clear()
    return problems
  }

  async end(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.process.running ? node.cut() : undefined))
  }

  /** Mostly all: what a majority has kept hides what the others lost. */
  private victims(): ReadonlyArray<PowerNode> {
    const count = random.weighted([["all", 80], ["two", 10], ["one", 10]])
    if (count === "all" || this.nodes.length === 1) return this.nodes
    const spared = random.pick(this.nodes)
    return count === "one" ? [spared] : this.nodes.filter((node) => node !== spared)
  }

  private async lose(victims: ReadonlyArray<PowerNode>): Promise<void> {
    await Promise.all(victims.map((node) => node.cut()))
    for (const node of victims) {
      const { bytes, files, folders, names } = node.lose(random.chance(0.5) ? "all" : "some", random)
      totals.losses += 1
      totals.bytes += bytes
      totals.files += files
      totals.names += names
      totals.folders += folders
    }
  }

  private surprises(): ReadonlyArray<string> {
    return this.nodes.flatMap(({ process: { id, log, surprises } }) =>
      surprises.splice(0).map(({ code, signal }) =>
        `node ${id} ended by itself (${code ?? signal}): ${log.slice(-8).join("\n")}`
      )
    )
  }
}

const allStarted = async (
  nodes: ReadonlyArray<PowerNode>,
  start: (node: PowerNode) => ReturnType<PowerNode["start"]>
) => {
  await Promise.all(nodes.map(async (node) => {
    const { id, log } = node.process
    const ended = await Promise.race([start(node), wait(startsWithinMs, "late" as const, { ref: false })])
    if (ended === undefined) return
    if (ended === "late") throw new Error(`node ${id} did not start within ${startsWithinMs} ms`)
    throw new Error(`node ${id} did not start (${ended.code ?? ended.signal}):\n${log.slice(-20).join("\n")}`)
  }))
}

const folder = mkdtempSync(join(tmpdir(), "flaredb-power-loss-"))
const ports = await findPorts(12)
const addresses: ReadonlyArray<NodeAddress> = [1, 2, 3, 4].map((id, i) => ({
  id,
  host: "127.0.0.1",
  clientPort: ports[3 * i] as number,
  peerPort: ports[3 * i + 1] as number,
  httpPort: ports[3 * i + 2] as number
}))
const sites = [
  {
    name: "three nodes",
    rounds: Math.ceil(rounds * 0.75),
    site: new Site(join(folder, "three"), addresses.slice(0, 3))
  },
  { name: "one node", rounds: Math.floor(rounds * 0.25), site: new Site(join(folder, "one"), addresses.slice(3)) }
]
let problems: ReadonlyArray<string> = []
let done = 0
try {
  note(`seed ${seed}, ${rounds} rounds, data in ${folder}`)
  for (const { name, rounds, site } of sites) {
    if (rounds > 0) await site.start()
    for (let round = 1; round <= rounds && problems.length === 0; round++) {
      problems = await site.round(round)
      done += 1
      if (problems.length === 0 && (round % roundsBetweenClearings === 0 || round === rounds)) {
        problems = await site.clear()
        note(`${name}: ${round} rounds, ${site.load.acknowledged} writes acknowledged`)
      }
    }
    await site.end()
  }
} catch (error) {
  problems = [error instanceof Error ? error.message : String(error)]
} finally {
  await Promise.all(sites.map(({ site }) => site.end()))
  for (const { site: { load } } of sites) {
    totals.acknowledged += load.acknowledged
    totals.unknown += load.unknown
  }
  if (problems.length > 0 && flags.keep) note(`the directories are left in ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
}
console.log(
  `${done} rounds, ${totals.losses} times a node lost its power (${totals.rotations} rounds at the beginning of a file, ` +
    `${totals.starts} once more while starting), and ${totals.restarts} times only its process ended: ` +
    `${totals.files} files cut, ${(totals.bytes / 1024).toFixed(0)} KiB lost, ` +
    `${totals.names} changes of names undone, ${totals.folders} folders lost; ${totals.wipes} nodes of three wiped, ` +
    `${totals.anew} times a node alone began with nothing`
)
console.log(`${totals.acknowledged} writes acknowledged, ${totals.unknown} with unknown outcome`)
for (const problem of problems.slice(0, 20)) console.log(`PROBLEM: ${problem}`)
console.log(problems.length === 0 ? "PASSED" : `FAILED; ${command}`)
process.exit(problems.length === 0 ? 0 : 1)
