/**
 * A leader that was suspended wakes up and finds a node that has lost its disk.
 *
 * 1. The leader is cut off, takes writes that no other node gets, and is suspended.
 * 2. The other two elect a new leader and acknowledge writes.
 * 3. The follower of the new leader loses its disk, and the new leader is killed or cut off.
 * 4. The follower starts with an empty disk. The first leader wakes up and still believes that it leads.
 *
 * What was acknowledged in step 2 is now only on the disk of the new leader. The two nodes that can talk to each other
 * must answer nothing: the empty one does not count, and one voter is no majority. Once the new leader is back,
 * everything goes on with what it has.
 */
import { setTimeout as wait } from "node:timers/promises"
import type { Random } from "../simulation/Random.ts"
import type { Network } from "./Network.ts"
import type { NodeProcess } from "./NodeProcess.ts"
import type { NodeStatus } from "./Site.ts"
import { startNode } from "./Site.ts"
import { until } from "./Until.ts"

/** What happens to the new leader. */
export type NewLeader = "killed" | "cut-off"

/** What the story needs of a cluster that has clients. */
export interface Stage {
  readonly nodes: ReadonlyArray<NodeProcess>
  readonly network: Network
  readonly random: Random
  readonly note: (line: string) => void
  /** Tells of a broken promise; the story goes on. */
  readonly problem: (line: string) => void
  readonly status: (node: NodeProcess) => Promise<NodeStatus | undefined>
  readonly leader: () => Promise<NodeProcess>
  readonly ready: () => Promise<void>
  /** How many writes were acknowledged so far. */
  readonly acknowledgedWrites: () => number
  readonly nowMs: () => number
  /** The operations that were called at or after a moment and have been answered, in lines for people. */
  readonly answeredSince: (calledMs: number) => ReadonlyArray<string>
}

/** Milliseconds within which a leader that was cut off can be expected to lead still. */
const leadsStillMs = 400

/** Milliseconds for the new leader to be elected and to acknowledge writes. */
const newLeaderMs = 20_000

/** Cuts the leader off and suspends it while it has entries that no other node has. `false` when it stepped down before. */
const suspendWithEntries = async (leading: NodeProcess, stage: Stage): Promise<boolean> => {
  const { network, nodes, random, status } = stage
  network.around(leading.id, "both", { refuse: true })
  const deadlineMs = performance.now() + leadsStillMs
  const others = nodes.filter((node) => node !== leading)
  while (performance.now() < deadlineMs) {
    const [own, ...theirs] = await Promise.all([leading, ...others].map(status))
    if (own?.role !== "leader") return false
    const longest = Math.max(...theirs.map((one) => one === undefined ? Infinity : one.lastIndex))
    if (own.lastIndex > longest || own.lastIndex > own.commit && theirs.some((one) => one?.role === "leader")) {
      await wait(random.below(60))
      leading.pause()
      return true
    }
  }
  return false
}

/** Tells the story once on a cluster whose clients write all the time. At the end every node is ready. */
export const staleLeader = async (fate: NewLeader, stage: Stage): Promise<void> => {
  const { acknowledgedWrites, answeredSince, leader, network, nodes, note, nowMs, problem, random, ready, status } =
    stage
  await ready()
  let stale = await leader()
  while (!(await suspendWithEntries(stale, stage))) {
    stale.resume()
    network.heal()
    await ready()
    stale = await leader()
  }
  const others = nodes.filter((node) => node !== stale)
  let next = others[0] as NodeProcess
  await until("a new leader", newLeaderMs, async () => {
    for (const node of others) {
      if ((await status(node))?.role !== "leader") continue
      next = node
      return true
    }
    return false
  })
  const enough = acknowledgedWrites() + 1 + random.below(60)
  await until("writes at the new leader", newLeaderMs, () => acknowledgedWrites() >= enough)

  const wiped = others.find((node) => node !== next) as NodeProcess
  await wiped.end("SIGKILL")
  wiped.wipe()
  await wait(random.below(200))
  if (fate === "killed") await next.end("SIGKILL")
  else network.around(next.id, "both", { refuse: true })
  // What was called before may have been decided before, and be answered when the leader wakes up.
  const calledMs = nowMs()
  note(
    `node ${stale.id} led and is suspended, node ${next.id} leads now and is ${fate}, node ${wiped.id} loses its disk`
  )
  await startNode(wiped)
  for (const [from, to] of [[stale.id, wiped.id], [wiped.id, stale.id]] as const) network.link(from, to).set({})
  await wait(random.below(300))
  stale.resume()
  await wait(1_000 + random.below(1_500))
  const answers = answeredSince(calledMs)
  const membership = (await status(wiped))?.membership
  if (answers.length > 0) {
    problem(
      `${answers.length} operations were answered by one voter and a node that had lost its disk: ` +
        answers.slice(0, 10).join("; ")
    )
  }
  if (membership === "voter") problem(`node ${wiped.id} lost its disk and votes, without having caught up`)

  if (fate === "killed") await startNode(next)
  network.heal()
  await ready()
}
