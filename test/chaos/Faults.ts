/** What can be done to a running cluster, each with its end: when the promise is done, the fault is over. */
import { rmSync, statfsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import type { NodeProcess } from "./NodeProcess.ts"
import { startNode } from "./Site.ts"
import type { Stage } from "./StaleLeader.ts"
import { staleLeader } from "./StaleLeader.ts"
import { until } from "./Until.ts"

export interface Victims extends Stage {
  /** Nodes whose data lies on a small file system of its own. */
  readonly small: ReadonlyArray<NodeProcess>
  /** Writes much, until told that it is enough. */
  readonly press: (enough: AbortSignal) => Promise<void>
}

export type FaultName = (typeof faultNames)[number]

export const faultNames = [
  "kill-one",
  "kill-leader",
  "kill-two",
  "kill-all",
  "pause",
  "pause-leader",
  "cut-off",
  "black-hole",
  "one-way-out",
  "one-way-in",
  "one-link",
  "flapping",
  "slow",
  "clients-cut",
  "clients-held",
  "rolling-restart",
  "wiped",
  "rolled-back",
  "stale-leader-killed",
  "stale-leader-cut-off",
  "disk-full"
] as const

/**
 * The faults that a list of names asks for. A name that is none is the beginning of some: `stale-leader` means both kinds.
 *
 * @throws Error when a name means nothing.
 */
export const faultsNamed = (list: string): ReadonlyArray<FaultName> =>
  list.split(",").flatMap((wanted) => {
    const exact = faultNames.filter((name) => name === wanted)
    const found = exact.length > 0 ? exact : faultNames.filter((name) => name.startsWith(`${wanted}-`))
    if (found.length === 0) throw new Error(`there is no fault ${wanted}; there are ${faultNames.join(", ")}`)
    return found
  })

const killAndStart = async (victims: ReadonlyArray<NodeProcess>, downMs: number): Promise<void> => {
  await Promise.all(victims.map((node) => node.end("SIGKILL")))
  await wait(downMs)
  await Promise.all(victims.map(startNode))
}

/**
 * Fills the file system of a node until the node stops, makes room again and starts it. RocksDB sets room for its log
 * aside, so that much has to be written before it notices.
 */
const fillDisk = async (node: NodeProcess, { note, press }: Victims): Promise<void> => {
  const ballast = join(node.dataDir, "..", "ballast")
  const ending = node.expectEnd()
  const { bavail, bsize } = statfsSync(join(node.dataDir, ".."))
  try {
    writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize)))
  } catch (error) {
    // The node took some of the room meanwhile: what there was is filled.
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error
  }
  const enough = new AbortController()
  const pressing = press(enough.signal)
  const ended = await Promise.race([ending, wait(20_000, "still there" as const)])
  enough.abort()
  await pressing
  if (ended === "still there") {
    throw new Error(`node ${node.id} went on for 20 s although its disk was full`)
  }
  if (ended.code !== 1) {
    throw new Error(`with a full disk node ${node.id} ended with ${ended.code ?? ended.signal}`)
  }
  note(`node ${node.id} stopped: ${node.log.findLast((line) => /fatal|space/i.test(line)) ?? "without a word"}`)
  rmSync(ballast)
  await startNode(node)
}

/**
 * Puts an old copy of a follower's directory in its place, made while the node was stopped in good order. The leader that
 * saw what the node acknowledged since then lives on.
 */
const rollBack = async ({ acknowledgedWrites, leader, nodes, note, random, ready, status }: Victims): Promise<void> => {
  await ready()
  const leading = await leader()
  const node = random.pick(nodes.filter((one) => one !== leading))
  await node.end("SIGTERM")
  const putBack = node.copyData()
  await startNode(node)
  await ready()
  const enough = acknowledgedWrites() + 1 + random.below(300)
  await until("writes after a copy of a directory was made", 60_000, () => acknowledgedWrites() >= enough)
  const goal = (await status(node))?.commit ?? 0
  await node.end(random.pick(["SIGKILL", "SIGTERM"] as const))
  putBack()
  note(`node ${node.id} starts on an old copy of its directory`)
  await startNode(node)
  await until(`node ${node.id}, on an old copy of its directory, catches up`, 20_000, async () => {
    const { commit = 0 } = await status(node) ?? {}
    return commit >= goal
  })
  return ready()
}

/** Carries out one fault on nodes of its choice. */
export const inflict = async (name: FaultName, victims: Victims): Promise<void> => {
  const { leader, network, nodes, note, random, ready, small } = victims
  const any = random.pick(nodes)
  const others = nodes.filter((node) => node !== any)
  const shortMs = 100 + random.below(900)
  const longMs = 500 + random.below(3_500)
  switch (name) {
    case "kill-one":
      note(`kill -9 node ${any.id}, down ${shortMs} ms`)
      return killAndStart([any], shortMs)
    case "kill-leader": {
      const leading = await leader()
      note(`kill -9 node ${leading.id}, the leader, down ${longMs} ms`)
      return killAndStart([leading], longMs)
    }
    case "kill-two":
      note(`kill -9 all but node ${any.id}, down ${shortMs} ms`)
      return killAndStart(others, shortMs)
    case "kill-all":
      note(`kill -9 all nodes, down ${shortMs} ms`)
      return killAndStart(nodes, shortMs)
    case "pause":
    case "pause-leader": {
      const paused = name === "pause" ? any : await leader()
      note(`SIGSTOP node ${paused.id} for ${longMs} ms`)
      paused.pause()
      await wait(longMs)
      return paused.resume()
    }
    case "cut-off":
      note(`node ${any.id} is cut off from its peers for ${longMs} ms`)
      network.around(any.id, "both", { refuse: true })
      break
    case "black-hole":
      note(`everything between node ${any.id} and its peers is held for ${longMs} ms`)
      network.around(any.id, "both", { holdForward: true, holdBackward: true })
      break
    case "one-way-out":
      note(`nothing of node ${any.id} reaches its peers for ${longMs} ms`)
      network.around(any.id, "out", { holdForward: true })
      network.around(any.id, "in", { holdBackward: true })
      break
    case "one-way-in":
      note(`nothing reaches node ${any.id} from its peers for ${longMs} ms`)
      network.around(any.id, "in", { holdForward: true })
      network.around(any.id, "out", { holdBackward: true })
      break
    case "one-link": {
      const other = random.pick(others)
      note(`nodes ${any.id} and ${other.id} do not hear each other for ${longMs} ms`)
      network.link(any.id, other.id).set({ refuse: true })
      network.link(other.id, any.id).set({ holdForward: true, holdBackward: true })
      break
    }
    case "flapping": {
      note(`the ways of node ${any.id} come and go for ${longMs} ms`)
      const untilMs = performance.now() + longMs
      while (performance.now() < untilMs) {
        network.around(any.id, random.pick(["both", "out", "in"] as const), { refuse: true })
        await wait(50 + random.below(400))
        network.around(any.id, "both", {})
        await wait(50 + random.below(400))
      }
      return
    }
    case "slow": {
      const delayMs = 10 + random.below(150)
      note(`everything to and from node ${any.id} takes ${delayMs} ms longer for ${longMs} ms`)
      network.around(any.id, "both", { delayMs })
      break
    }
    case "clients-cut":
      note(`clients cannot reach node ${any.id} for ${longMs} ms`)
      network.door(any.id).set({ refuse: true })
      break
    case "clients-held": {
      const way = random.pick([{ holdForward: true }, { holdBackward: true }])
      note(`${"holdForward" in way ? "questions to" : "answers of"} node ${any.id} are held for ${longMs} ms`)
      network.door(any.id).set(way)
      break
    }
    case "rolling-restart":
      note("rolling restart")
      for (const node of nodes) {
        const ended = await node.end("SIGTERM")
        if (ended.code !== 0) throw new Error(`told to stop, node ${node.id} ended with ${ended.code ?? ended.signal}`)
        await startNode(node)
        await ready()
      }
      return
    case "wiped":
      await ready()
      note(`node ${any.id} loses its disk`)
      await any.end("SIGKILL")
      any.wipe()
      await startNode(any)
      return ready()
    case "rolled-back":
      return rollBack(victims)
    case "stale-leader-killed":
      return staleLeader("killed", victims)
    case "stale-leader-cut-off":
      return staleLeader("cut-off", victims)
    case "disk-full": {
      const full = small[0]
      if (full === undefined) return note("disk-full is skipped: no small file system could be mounted")
      note(`the disk of node ${full.id} is full`)
      return fillDisk(full, victims)
    }
  }
  await wait(longMs)
  network.heal()
}
