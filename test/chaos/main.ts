/**
 * `npm run test:chaos -- [--minutes 10] [--seed N] [--faults a,b] [--stale]`: three real nodes, clients that read and write
 * at once, and one fault after another. At the end the history must be linearizable, the revisions in order, and
 * everything that was acknowledged there. Exits with 1 when it is not, and leaves a page that shows the history.
 *
 * `--stale` lets clients read from whatever a node has applied, which must be found not to be linearizable: it shows that
 * the run can fail.
 *
 * The seed decides which faults come in which order; how the processes run under them is the machine's doing.
 */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import { parseArgs } from "node:util"
import type { NodeAddress } from "../../src/FlareDbConfig.ts"
import { check, describeVerdict } from "../linearizability/Checker.ts"
import { revisionProblems } from "../linearizability/Revisions.ts"
import { renderTimeline } from "../linearizability/Timeline.ts"
import { Random } from "../simulation/Random.ts"
import type { FaultName, Victims } from "./Faults.ts"
import { faultNames, inflict, startNode } from "./Faults.ts"
import { Network } from "./Network.ts"
import { NodeProcess } from "./NodeProcess.ts"
import { quietPorts } from "./QuietPorts.ts"
import * as Workload from "./Workload.ts"

const { values: flags } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    faults: { type: "string", default: faultNames.join() },
    clients: { type: "string", default: "4" },
    fibers: { type: "string", default: "4" },
    stale: { type: "boolean", default: false }
  }
})
const seed = Number(flags.seed)
const random = new Random(seed)
const command = `npm run test:chaos -- --minutes ${flags.minutes} --seed ${seed}${flags.stale ? " --stale" : ""}`
const startedMs = performance.now()
const nowMs = () => performance.now() - startedMs
const note = (line: string) => console.log(`${(nowMs() / 1000).toFixed(1).padStart(7)} s  ${line}`)
const wanted = flags.faults.split(",").filter((name): name is FaultName =>
  (faultNames as ReadonlyArray<string>).includes(name)
)

const folder = mkdtempSync(join(tmpdir(), "flaredb-chaos-"))
const ports = await quietPorts(9)
const addresses: ReadonlyArray<NodeAddress> = [1, 2, 3].map((id, i) => ({
  id,
  host: "127.0.0.1",
  clientPort: ports[3 * i] as number,
  peerPort: ports[3 * i + 1] as number,
  httpPort: ports[3 * i + 2] as number
}))

/** A small file system for one node, if this user may mount one. */
const mountSmall = (path: string): boolean => {
  try {
    mkdirSync(path, { recursive: true })
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=384m", "tmpfs", path], { stdio: "ignore" })
    return true
  } catch {
    note("no small file system: mounting one needs root; disk-full is skipped")
    return false
  }
}

const network = new Network(addresses)
await network.open()
const smallFolder = join(folder, "small")
const mounted = wanted.includes("disk-full") && mountSmall(smallFolder)
const nodes = addresses.map((address) =>
  new NodeProcess({
    address,
    nodes: network.seenBy(address.id),
    dataDir: mounted && address.id === 3 ? join(smallFolder, "data") : join(folder, `node-${address.id}`),
    program: ["bin/flaredb.js", "start"],
    // Little enough that a node which was away for a while is sent the state.
    env: { FLAREDB_MAX_LOG_ENTRIES: "2000", FLAREDB_LOG_SLACK_ENTRIES: "500" }
  })
)

const fetchJson = async (node: NodeProcess, path: string): Promise<{ readonly ok: boolean; readonly body: string }> => {
  try {
    const response = await fetch(`http://127.0.0.1:${node.address.httpPort}${path}`, {
      signal: AbortSignal.timeout(500)
    })
    return { ok: response.ok, body: await response.text() }
  } catch {
    return { ok: false, body: "" }
  }
}

const victims: Victims = {
  nodes,
  network,
  random,
  small: mounted ? nodes.slice(2) : [],
  note,
  leader: async () => {
    for (const node of nodes) {
      const { body } = await fetchJson(node, "/status")
      if (/"role":\s*"leader"/.test(body)) return node
    }
    return random.pick(nodes)
  },
  ready: async () => {
    const deadlineMs = performance.now() + 60_000
    for (const node of nodes) {
      while (!(await fetchJson(node, "/readyz")).ok) {
        if (performance.now() > deadlineMs) {
          throw new Error(`node ${node.id} was not ready within a minute:\n${node.log.slice(-20).join("\n")}`)
        }
        await wait(50)
      }
    }
  },
  press: (enough) => Effect.runPromise(Workload.press(options, enough))
}

const problems: Array<string> = []
const stopAtMs = Number(flags.minutes) * 60_000
/** Set once the last fault is over, not by the clock: what follows a fault is asked of clients that still work. */
let over = false
const done = new Map<string, number>()
const options: Workload.WorkloadOptions = {
  random,
  endpoints: addresses.map(({ host, id }) => ({ host, port: network.door(id).port })),
  clients: Number(flags.clients),
  fibers: Number(flags.fibers),
  nowMs,
  stopped: () => over,
  stale: flags.stale
}
const ledger = new Workload.Ledger(nowMs)
let longestOutageMs = 0

const faults = async (): Promise<void> => {
  // Chance of its own, so that what clients draw does not change which faults come.
  const chance = new Random(seed + 1)
  const drawn = { ...victims, random: chance }
  let bag: Array<FaultName> = []
  while (nowMs() < stopAtMs - 8_000) {
    if (bag.length === 0) bag = [...wanted]
    const name = bag.splice(chance.below(bag.length), 1)[0] as FaultName
    done.set(name, (done.get(name) ?? 0) + 1)
    // Now and then something happens to the network as well.
    const alsoSlow = chance.chance(0.2) && name.startsWith("kill")
    if (alsoSlow) network.around(chance.pick(nodes).id, "both", { delayMs: 20 })
    await inflict(name, drawn)
    network.heal()
    const healedMs = nowMs()
    while (ledger.lastOkMs < healedMs) {
      if (nowMs() - healedMs > 30_000) throw new Error(`nothing was answered for 30 s after ${name} was over`)
      await wait(10)
    }
    longestOutageMs = Math.max(longestOutageMs, nowMs() - healedMs)
    await wait(chance.below(500))
    for (const node of nodes) {
      for (const { code, signal } of node.surprises.splice(0)) {
        problems.push(
          `node ${node.id} ended by itself during ${name} (${code ?? signal}): ${node.log.slice(-8).join("\n")}`
        )
      }
      if (!node.running) await startNode(node)
    }
  }
}

try {
  note(`seed ${seed}, ${flags.minutes} minutes, data in ${folder}`)
  await Promise.all(nodes.map(startNode))
  await victims.ready()
  const results = await Promise.allSettled([
    Effect.runPromise(Workload.run(ledger, options)),
    faults().finally(() => {
      over = true
    })
  ])
  for (const result of results) if (result.status === "rejected") problems.push(String(result.reason))
  network.heal()
  for (const node of nodes) if (!node.running) await startNode(node)
  await victims.ready()
  note("all nodes are ready again; reading everything back")
  const back = await Effect.runPromise(Workload.readBack(ledger, options))
  const { acknowledged, counts, recorder, revised } = ledger
  console.log(`faults: ${[...done].sort().map(([name, times]) => `${name} ${times}`).join(", ")}`)
  console.log(
    `operations: ${recorder.operations.length} (${counts.ok} ok, ${counts.failed} failed, ${counts.unknown} unknown); ` +
      `first answer after a fault at most ${(longestOutageMs / 1000).toFixed(1)} s later`
  )
  console.log(`ledger: ${acknowledged.size} acknowledged, ${back.found} found, ${back.lost.length} lost`)
  if (back.lost.length > 0) problems.push(`acknowledged writes were lost: ${back.lost.slice(0, 10).join(", ")}`)
  if (back.undead.length > 0) {
    problems.push(`writes that had failed took effect: ${back.undead.slice(0, 10).join(", ")}`)
  }
  problems.push(...revisionProblems(revised))
  const checkMs = performance.now()
  const verdict = check(recorder.operations)
  console.log(`${describeVerdict(verdict)} (${((performance.now() - checkMs) / 1000).toFixed(1)} s)`)
  if (verdict._tag !== "Linearizable") problems.push(describeVerdict(verdict))
  if (verdict._tag === "Violation") {
    const page = join(process.cwd(), `chaos-${seed}.html`)
    writeFileSync(page, renderTimeline(verdict, command))
    console.log(`the history is shown in ${page}`)
  }
} catch (error) {
  problems.push(String(error))
} finally {
  await Promise.all(nodes.map((node) => {
    node.resume()
    return node.running ? node.end("SIGKILL") : undefined
  }))
  await network.close()
  if (mounted) execFileSync("umount", [smallFolder])
  rmSync(folder, { recursive: true, force: true })
}
for (const problem of problems) console.log(`PROBLEM: ${problem}`)
console.log(problems.length === 0 ? "PASSED" : `FAILED; ${command}`)
process.exit(problems.length === 0 ? 0 : 1)
