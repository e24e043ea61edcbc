/** A cluster of its own with clients from the beginning to the end, what is done to it meanwhile, and the verdict. */
import { Effect } from "effect"
import { setTimeout as wait } from "node:timers/promises"
import { Random } from "../simulation/Random.ts"
import type { Victims } from "./Faults.ts"
import type { NodeProcess } from "./NodeProcess.ts"
import { Site } from "./Site.ts"
import { judgeHistory, judgeLedger } from "./Verdict.ts"
import * as Workload from "./Workload.ts"

/** Milliseconds within which clients are answered while nothing is wrong. */
const answerMs = 30_000

export interface RunOptions {
  readonly seed: number
  /** Names the page that shows a violation. */
  readonly name: string
  /** The command that does this run again. */
  readonly command: string
  readonly note: (line: string) => void
  readonly clients: number
  readonly fibers: number
  /** Clients read whatever a node has: wrong, and to be found so. */
  readonly stale: boolean
  /** Whether a node is to have a small file system for its data. */
  readonly small: boolean
  /** Whether nodes and clients have certificates. */
  readonly tls?: boolean | undefined
  /** What is done to the cluster while clients are at work. */
  readonly scenario: (running: Running) => Promise<void>
}

export interface Running {
  readonly site: Site
  readonly victims: Victims
  /** Notes what is wrong; the run goes on. */
  readonly problem: (line: string) => void
  /** Milliseconds until something is answered; throws when that takes too long. `when` completes the message. */
  readonly nextAnswer: (when: string) => Promise<number>
}

export interface Ran {
  /** Everything that is wrong, in lines for people. */
  readonly problems: ReadonlyArray<string>
  /** The figures, in lines for people. */
  readonly lines: ReadonlyArray<string>
  /** Writes that were acknowledged with a revision. */
  readonly writes: number
  /** What the nodes logged last. */
  readonly logs: ReadonlyArray<string>
}

/** Runs `scenario` to its end and judges what clients were told. Never rejects: what fails is a problem. */
export const run = async (options: RunOptions): Promise<Ran> => {
  const { clients, command, fibers, name, note, scenario, seed, small, stale, tls } = options
  const site = await Site.open({ small, tls })
  if (small && site.small.length === 0) note("no small file system: mounting one needs root; disk-full is skipped")
  const problems: Array<string> = []
  const lines: Array<string> = []
  const beganMs = performance.now()
  const nowMs = () => performance.now() - beganMs
  const ledger = new Workload.Ledger(nowMs)
  let over = false
  const workload: Workload.WorkloadOptions = {
    random: new Random(seed),
    client: { endpoints: site.endpoints, tls: site.certificates?.tls },
    clients,
    fibers,
    nowMs,
    stopped: () => over,
    stale
  }
  const problem = (line: string) => void problems.push(line)
  const victims: Victims = {
    nodes: site.nodes,
    network: site.network,
    small: site.small,
    // Chance of its own, so that what clients draw does not change what is done to the cluster.
    random: new Random(seed + 1),
    note,
    problem,
    status: (node) => site.status(node),
    leader: () => leaderOf(site),
    ready: () => site.ready(),
    acknowledgedWrites: () => ledger.revised.length,
    nowMs,
    answeredSince: (calledMs) =>
      ledger.recorder.operations.filter(({ callMs, outcome }) => callMs >= calledMs && outcome._tag === "Ok").map((
        { action, callMs, client, endMs }
      ) => `${client} ${action.name} (called at ${callMs.toFixed(0)} ms, answered at ${endMs.toFixed(0)} ms)`),
    press: (enough) => Effect.runPromise(Workload.press(workload, enough))
  }
  const nextAnswer = async (when: string): Promise<number> => {
    const sinceMs = nowMs()
    while (ledger.lastOkMs <= sinceMs) {
      if (nowMs() - sinceMs > answerMs) throw new Error(`nothing was answered for ${answerMs / 1_000} s ${when}`)
      await wait(10)
    }
    return nowMs() - sinceMs
  }
  try {
    await site.start()
    const results = await Promise.allSettled([
      Effect.runPromise(Workload.run(ledger, workload)),
      scenario({ site, victims, problem, nextAnswer }).finally(() => {
        over = true
      })
    ])
    for (const result of results) if (result.status === "rejected") problem(String(result.reason))
    const { failed, ok, unknown } = ledger.counts
    const operations = ledger.recorder.operations.length
    lines.push(`operations: ${operations} (${ok} ok, ${failed} failed, ${unknown} unknown)`)
    problems.push(...site.ends())
    site.network.heal()
    await site.start()
    const judged = await judgeLedger(ledger, workload)
    problems.push(...judged.problems)
    lines.push(...judged.lines)
  } catch (error) {
    problem(String(error))
  }
  try {
    const judged = judgeHistory(ledger, name, command)
    problems.push(...judged.problems, ...site.ends())
    lines.push(...judged.lines)
  } finally {
    await site.close()
  }
  return { problems, lines, writes: ledger.revised.length, logs: site.nodes.flatMap(({ log }) => log.slice(-40)) }
}

/** Waits for a node that leads. */
const leaderOf = async (site: Site): Promise<NodeProcess> => {
  for (;;) {
    const found = await site.leader()
    if (found !== undefined) return found
    const [ended] = site.ends()
    if (ended !== undefined) throw new Error(ended)
    await wait(10)
  }
}
